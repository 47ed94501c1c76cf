//! A run goes to the threads of the stages that have some, once, and only if it has to.

use tokio::runtime::{Builder, Runtime};

use super::*;

/// A stage that notes the thread on which it is called.
struct Noting {
    name: &'static str,
    threads: Option<Handle>,
    answer: Answer,
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl Stage for Noting {
    fn name(&self) -> &str {
        self.name
    }

    fn threads(&self) -> Option<&Handle> {
        self.threads.as_ref()
    }

    async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
        let thread = std::thread::current().name().unwrap_or_default().to_string();
        self.seen.lock().expect("no stage panics").push(format!("{} on {thread}", self.name));
        Called { result: (self.answer)(services), messages: Vec::new() }
    }
}

fn keep(services: &[Service]) -> Result<Decision, StageError> {
    Ok(Decision {
        verdicts: vec![Verdict::Keep; services.len()],
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

fn fail(_: &[Service]) -> Result<Decision, StageError> {
    Err(StageError::Guest("it cannot tell".into()))
}

fn panic(_: &[Service]) -> Result<Decision, StageError> {
    panic!("a fault of the host")
}

fn threads() -> Runtime {
    let mut threads = Builder::new_multi_thread();
    threads.worker_threads(1).thread_name("guest").build().expect("a thread")
}

/// The outcome of a container in the stages `name:answer`, which must be called where it is
/// expected, and only in the first of two runs. Those whose name begins with `g` have threads
/// of their own.
fn check(
    stages: &[(&'static str, Answer)],
    expected: &[&str],
) -> Result<Outcome, Box<PipelineError>> {
    let (theirs, seen) = (threads(), Arc::new(Mutex::new(Vec::new())));
    let step = |(name, answer): &(&'static str, _)| {
        let threads = name.starts_with('g').then(|| theirs.handle().clone());
        let stage = Noting { name, threads, answer: *answer, seen: seen.clone() };
        Step::new(Arc::new(stage)).made_of(Made { plugin: (*name).into(), ..Made::default() })
    };
    let pipeline = Pipeline::of(stages.iter().map(step).collect());
    let ours = Builder::new_current_thread().build().expect("this thread");
    let run = || {
        // Its name is the test's.
        let here = std::thread::Builder::new().name("ours".into());
        let both = std::thread::scope(|scope| {
            let run = || {
                ours.block_on(async {
                    pipeline.evaluate(&container(), &host()).await.map_err(Box::new)
                })
            };
            here.spawn_scoped(scope, run).expect("a thread").join()
        });
        both.expect("the run does not panic")
    };
    let first = run();
    assert_eq!(*seen.lock().expect("no stage panics here"), expected);
    seen.lock().expect("no stage panics here").clear();
    let again = run();
    if let (Ok(first), Ok(again)) = (&first, &again) {
        assert_eq!(first, again);
        assert_eq!(*seen.lock().expect("no stage panics here"), [""; 0], "all is remembered");
    }
    first
}

#[test]
fn a_run_changes_threads_once_and_stays_there() {
    let stages: [(_, Answer); 4] = [("a", keep), ("g1", keep), ("b", keep), ("g2", keep)];
    let expected = ["a on ours", "g1 on guest", "b on guest", "g2 on guest"];
    let outcome = check(&stages, &expected).expect("the stages answer");
    let traced: Vec<_> = outcome.trace.iter().map(|trace| trace.stage.as_str()).collect();
    assert_eq!(traced, ["a", "g1", "b", "g2"]);
    assert_eq!(outcome.services, outcome.candidates);
}

#[test]
fn without_such_stages_it_stays_where_it_is() {
    check(&[("a", keep), ("b", keep)], &["a on ours", "b on ours"]).expect("the stages answer");
}

#[test]
fn a_failure_there_ends_the_run_as_here() {
    let stages: [(_, Answer); 3] = [("g1", keep), ("b", fail), ("c", keep)];
    let error = check(&stages, &["g1 on guest", "b on guest"]).expect_err("a stage fails");
    assert_eq!((error.stage.as_str(), error.source.kind()), ("b", "guest"));
    assert_eq!(error.so_far.trace.len(), 2, "{:?}", error.so_far);
}

#[test]
fn a_panic_there_is_a_failure_of_the_run_and_not_of_the_program() {
    let stages: [(_, Answer); 2] = [("g1", keep), ("g2", panic)];
    let error = check(&stages, &["g1 on guest", "g2 on guest"]).expect_err("a stage panics");
    assert_eq!((error.stage.as_str(), error.source.kind()), ("g1", "host"));
}
