//! What registrator did over time, the daemon does too: containers that start,
//! die and go, resyncs, clean-ups, and a daemon that is killed and comes back.
//!
//! Every recorded case of that kind is replayed phase by phase to the real
//! program, between a Docker that says what was recorded and a Consul that notes
//! every write. Where registrator loses or takes too much, [`LOSSES`] says what
//! is right instead; nothing else may differ.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    corpus::{self, Case},
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    recording_consul::{RecordingConsul, Write},
    wait::INTERVAL,
};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

/// How long what is recorded may take to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing must happen until the daemon counts as at rest: after an
/// event, and after a phase.
const REST: Duration = Duration::from_millis(150);
const LONG_REST: Duration = Duration::from_millis(400);
/// How many cases are replayed at once.
const AT_ONCE: usize = 6;

/// A recorded case in which registrator's outcome is wrong.
struct Loss {
    case: &'static str,
    /// Whether the daemon writes its marks. Without them it does not know after
    /// a crash what is its own, no more than registrator does.
    marks: bool,
    reason: &'static str,
    /// How the writes differ from the recorded ones: the phase, counted from 0,
    /// and a write that is made in addition (`+`) or not made (`-`).
    differences: &'static [(usize, &'static str)],
    /// The right IDs before the last container is removed, and after.
    before_end: &'static [&'static str],
    after_end: &'static [&'static str],
}

const FOREIGN: &str = "an entry without this host's address is not registrator's, whatever its ID";
const FAILED: &str = "a container that failed keeps its services until it is removed, not for ever";
const CRASHED: &str = "the marks tell after a crash which services lost their container";

const LOSSES: [Loss; 10] = [
    Loss {
        case: "cleanup-foreign",
        marks: false,
        reason: FOREIGN,
        differences: &[(6, "-deregister testhost:byhand:80")],
        before_end: &[
            "manual",
            "otherhost:x:80",
            "testhost:a:80",
            "testhost:app:80",
            "testhost:byhand:80",
            "testhost:sctpx:80:sctp",
        ],
        after_end: &[
            "manual",
            "otherhost:x:80",
            "testhost:a:80",
            "testhost:byhand:80",
            "testhost:sctpx:80:sctp",
        ],
    },
    Loss {
        case: "cleanup-renamed-service",
        marks: false,
        reason: FOREIGN,
        differences: &[(2, "-deregister testhost:app:81")],
        before_end: &["testhost:app:80", "testhost:app:81"],
        after_end: &["testhost:app:81"],
    },
    Loss {
        case: "cleanup-resync",
        marks: false,
        reason: FOREIGN,
        differences: &[(3, "-deregister testhost:gone:80")],
        before_end: &["testhost:app:80", "testhost:gone:80"],
        after_end: &["testhost:gone:80"],
    },
    Loss {
        case: "crash-stale",
        marks: true,
        reason: CRASHED,
        differences: &[(4, "+deregister testhost:app:80")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "crash-stale-cleanup-customid",
        marks: true,
        reason: CRASHED,
        differences: &[(4, "+deregister custom-1")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "dereg-exit-1",
        marks: false,
        reason: FAILED,
        differences: &[(2, "+deregister testhost:app:80")],
        before_end: &["testhost:app:80"],
        after_end: &[],
    },
    Loss {
        case: "dereg-exit-125",
        marks: false,
        reason: FAILED,
        differences: &[(2, "+deregister testhost:app:80")],
        before_end: &["testhost:app:80"],
        after_end: &[],
    },
    Loss {
        case: "dereg-exit-1-then-rm",
        marks: false,
        reason: FAILED,
        differences: &[(2, "+deregister testhost:app:80")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "dereg-rm-auto-1",
        marks: false,
        reason: FAILED,
        differences: &[(1, "+deregister testhost:app:80")],
        before_end: &[],
        after_end: &[],
    },
    Loss {
        case: "resync-partial",
        marks: false,
        reason: "a port that Consul refused is tried again, though another was accepted",
        differences: &[(1, "+register testhost:app:80")],
        before_end: &["testhost:app:443"],
        after_end: &[],
    },
];

fn lifecycle() -> Vec<Case> {
    corpus::cases().into_iter().filter(|case| case.area() == "lifecycle").collect()
}

/// How a case is replayed.
#[derive(Clone, Copy, Default)]
struct Mode {
    loss: Option<&'static Loss>,
    /// The address that the entries of others are given.
    address_of_others: Option<&'static str>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_as_recorded_or_put_right() {
    let cases = lifecycle();
    let mut same = Vec::new();
    for case in cases.iter().filter(|case| case.is_deterministic()) {
        if !LOSSES.iter().any(|loss| loss.case == case.name && !loss.marks) {
            same.push((case.clone(), Mode::default()));
        }
    }
    let right = LOSSES.iter().map(|loss| {
        let case = cases.iter().find(|case| case.name == loss.case);
        let case = case.unwrap_or_else(|| panic!("there is no case {}", loss.case));
        (case.clone(), Mode { loss: Some(loss), ..Mode::default() })
    });
    let (same, right) = (replay_all(same).await, replay_all(right.collect()).await);
    for skipped in cases.iter().filter(|case| !case.is_deterministic()) {
        println!("{}: not replayed, two runs of registrator differ", skipped.name);
    }
    let identical = same.values().filter(|faults| faults.is_empty()).count();
    let put_right = right.values().filter(|faults| faults.is_empty()).count();
    println!("{identical} of {} cases identical, {put_right} losses put right", same.len());
    assert!(same.len() >= 25, "{}", same.len());
    assert_none(&same);
    assert_none(&right);
}

/// An entry that has the host's address, beside an ID of registrator's form, is
/// what registrator left behind: it is cleaned up as registrator does.
#[tokio::test(flavor = "multi_thread")]
async fn what_registrator_left_behind_is_cleaned_up() {
    let cases = lifecycle().into_iter().filter(|case| case.name.starts_with("cleanup-"));
    let mode = Mode { address_of_others: Some("203.0.113.10"), ..Mode::default() };
    let faults = replay_all(cases.map(|case| (case, mode)).collect()).await;
    assert!(faults.len() >= 4, "{:?}", faults.keys());
    assert_none(&faults);
}

fn assert_none(faults: &BTreeMap<String, Vec<String>>) {
    let all: Vec<_> = faults
        .iter()
        .filter(|(_, faults)| !faults.is_empty())
        .map(|(case, faults)| format!("{case}: {}", faults.join("\n  ")))
        .collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// What is wrong in each case.
async fn replay_all(cases: Vec<(Case, Mode)>) -> BTreeMap<String, Vec<String>> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (case, mode) in cases {
        let places = places.clone();
        running.spawn(async move {
            let _place = places.acquire_owned().await.expect("it is never closed");
            (case.name.clone(), Replay::run(&case, mode).await)
        });
    }
    running.join_all().await.into_iter().collect()
}

/// A recorded phase.
struct Phase<'a> {
    recorded: &'a Value,
    /// The writes, with the milliseconds since the phase began and whether they
    /// were accepted.
    writes: Vec<(u64, Write, bool)>,
}

impl Phase<'_> {
    fn action(&self) -> &str {
        self.recorded["action"].as_str().unwrap_or_default()
    }

    fn events(&self) -> &[Value] {
        self.recorded["events"].as_array().map_or(&[], Vec::as_slice)
    }

    /// What `docker inspect` prints of a container at the end of the phase, if it
    /// changed: null if the container is gone.
    fn changed(&self, name: &str) -> Option<&Value> {
        self.recorded["docker_inspect_changed"].get(name)
    }

    /// How many writes were made before the time of an event, with some
    /// tolerance between the two clocks.
    fn writes_before(&self, event: &Value) -> usize {
        let until = event["t_ms"].as_u64().unwrap_or_default().saturating_sub(30);
        self.writes.iter().filter(|(at, ..)| *at < until).count()
    }
}

fn phases(case: &Case) -> Vec<Phase<'_>> {
    let phases = case.value["phases"].as_array().expect("a case has phases");
    let phase = |recorded| Phase { recorded, writes: calls(recorded).collect() };
    phases.iter().map(phase).collect()
}

fn calls(phase: &Value) -> impl Iterator<Item = (u64, Write, bool)> {
    phase["calls"].as_array().into_iter().flatten().filter_map(|call| {
        let (method, path) = (call["method"].as_str()?, call["path"].as_str()?);
        let write = Write::of(method, path, &call["body"])?;
        Some((call["t_ms"].as_u64()?, write, call["status"] == 200))
    })
}

/// The writes that Consul refused, with its words.
fn refusals(case: &Case) -> Vec<(Write, u16, String)> {
    let phases = case.value["phases"].as_array().into_iter().flatten();
    let calls = phases.flat_map(|phase| phase["calls"].as_array().into_iter().flatten());
    calls
        .filter_map(|call| {
            let status = call["status"].as_u64().filter(|status| *status != 200)?;
            let write = Write::of(call["method"].as_str()?, call["path"].as_str()?, &call["body"])?;
            let words = call["response"].as_str().unwrap_or_default().to_string();
            Some((write, u16::try_from(status).ok()?, words))
        })
        .collect()
}

/// What a phase must bring.
struct Expected {
    writes: Vec<Write>,
    /// With resyncs, how often a write is made depends on the time: each of
    /// `writes` at least once, and anything of these as often as it likes.
    also: Option<BTreeSet<Write>>,
}

impl Expected {
    fn fault(&self, made: &[Write]) -> Option<String> {
        let (mut wanted, mut made) = (self.writes.clone(), made.to_vec());
        wanted.sort();
        made.sort();
        let fits = match &self.also {
            None => wanted == made,
            Some(also) => {
                wanted.iter().all(|write| made.contains(write))
                    && made.iter().all(|write| wanted.contains(write) || also.contains(write))
            }
        };
        (!fits).then(|| format!("expected {wanted:?}, beside {:?}, made {made:?}", self.also))
    }

    fn is_there(&self, made: &[Write]) -> bool {
        match &self.also {
            None => made.len() >= self.writes.len(),
            Some(_) => self.writes.iter().all(|write| made.contains(write)),
        }
    }
}

/// The expectations of all phases, with what a loss changes about them.
fn expectations(case: &Case, phases: &[Phase], loss: Option<&Loss>) -> Vec<Expected> {
    let resync = case.flag("-resync").is_some();
    let recorded: Vec<_> = phases.iter().flat_map(|phase| &phase.writes).collect();
    let (mut before, mut accepted) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for (index, phase) in phases.iter().enumerate() {
        let mut writes: Vec<_> = phase.writes.iter().map(|(_, write, _)| write.clone()).collect();
        for (_, difference) in loss.into_iter().flat_map(|l| l.differences).filter(|d| d.0 == index)
        {
            let (sign, text) = difference.split_at(1);
            let known = recorded.iter().map(|(_, write, _)| write);
            let write = known.into_iter().find(|write| write.to_string() == text).cloned();
            match sign {
                "-" => writes.retain(|write| write.to_string() != text),
                _ => writes.push(write.unwrap_or_else(|| deregistration(text))),
            }
        }
        before.extend(writes.iter().cloned());
        let also = resync.then(|| before.clone());
        if resync {
            // What Consul has already is not written again.
            writes.retain(|write| !accepted.contains(write));
            accepted.extend(phase.writes.iter().filter(|w| w.2).map(|(_, write, _)| write.clone()));
        }
        all.push(Expected { writes, also });
    }
    all
}

fn deregistration(text: &str) -> Write {
    let id =
        text.strip_prefix("deregister ").expect("a write that is recorded, or no registration");
    Write::Deregister(id.into())
}

/// Whether `condition` holds within `limit`.
async fn within(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(INTERVAL).await;
    }
    true
}

/// A case that is being replayed.
struct Replay<'a> {
    case: &'a Case,
    mode: Mode,
    activity: Activity,
    docker: FakeDocker,
    consul: RecordingConsul,
    daemon: Option<Daemon>,
    faults: Vec<String>,
}

impl<'a> Replay<'a> {
    /// Replay a case and say what is wrong.
    async fn run(case: &'a Case, mode: Mode) -> Vec<String> {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = RecordingConsul::start(activity.clone(), refusals(case)).await;
        let mut replay =
            Self { case, mode, activity, docker, consul, daemon: None, faults: Vec::new() };
        replay.all_phases().await;
        replay.faults
    }

    async fn all_phases(&mut self) {
        let phases = phases(self.case);
        let expected = expectations(self.case, &phases, self.mode.loss);
        if self.case.value["registrator"]["started"] == "before the first phase" {
            self.start().await;
        }
        let last = phases.len() - 1;
        for (index, (phase, expected)) in phases.iter().zip(&expected).enumerate() {
            if index == last {
                self.compare_ids("services", self.mode.loss.map(|loss| loss.before_end));
            }
            let written = self.consul.writes(0).len();
            self.replay(phase, expected, written).await;
            if let Some(fault) = expected.fault(&self.consul.writes(written)) {
                self.fault(format!("phase {index} ({}): {fault}", phase.action()));
            }
        }
        self.compare_ids("left_after_teardown", self.mode.loss.map(|loss| loss.after_end));
        let marks = self.mode.loss.is_some_and(|loss| loss.marks);
        if self.consul.marked() != marks {
            self.fault(format!("marks were expected: {marks}"));
        }
        if let Some(mut daemon) = self.daemon.take()
            && !daemon.terminate().await.success()
        {
            self.fault(format!("it did not end well; its output:\n{}", daemon.log()));
        }
    }

    fn fault(&mut self, text: String) {
        let log = self.daemon.as_ref().map(Daemon::log).unwrap_or_default();
        let reason = self.mode.loss.map_or("", |loss| loss.reason);
        self.faults.push(format!("{text}; {reason}; the daemon's output:\n{log}"));
    }

    /// Compare what is registered with what was, or what is right.
    fn compare_ids(&mut self, field: &str, right: Option<&[&str]>) {
        let recorded = &self.case.value["expected"][field];
        let ids: Vec<String> = match (right, recorded) {
            (Some(right), _) => right.iter().map(ToString::to_string).collect(),
            (None, Value::Object(map)) => map.keys().cloned().collect(),
            (None, ids) => serde_json::from_value(ids.clone()).expect("a list of IDs"),
        };
        let (ids, found) = (BTreeSet::from_iter(ids), BTreeSet::from_iter(self.consul.ids()));
        if ids != found {
            self.fault(format!("{field}: expected {ids:?}, found {found:?}"));
        }
    }

    /// Do what was done in a phase, and wait until the daemon has done its part.
    /// `written` writes were made before.
    async fn replay(&mut self, phase: &Phase<'_>, expected: &Expected, written: usize) {
        let reads = self.consul.reads();
        let action = phase.action();
        if action == "registrator start" {
            self.start().await;
        } else if action == "registrator kill9" {
            self.daemon.take().expect("a daemon").kill9();
        } else if let Some(body) = action.strip_prefix("PUT by somebody else ") {
            self.put_by_others(body);
        }
        let events = phase.events();
        for (index, event) in events.iter().enumerate() {
            self.happen(phase, event).await;
            if let Some(next) = events.get(index + 1)
                && expected.also.is_none()
                && self.daemon.is_some()
            {
                let count = phase.writes_before(next).min(expected.writes.len());
                within(PATIENCE, || self.consul.writes(written).len() >= count).await;
            }
        }
        if self.daemon.is_none() {
            return;
        }
        within(PATIENCE, || expected.is_there(&self.consul.writes(written))).await;
        let waiting = action.starts_with("wait ") && events.is_empty();
        if waiting && self.case.flag("-resync").is_some() {
            // The first may have begun before the phase.
            let done = within(PATIENCE, || self.consul.reads() >= reads + 2).await;
            if !done {
                self.fault("there was no resync".into());
            }
        }
        let refresh = self.case.flag("-ttl-refresh").and_then(|seconds| seconds.parse().ok());
        match refresh.filter(|_| waiting) {
            Some(seconds) => self.rest(Duration::from_secs(seconds) + LONG_REST).await,
            None => self.rest(LONG_REST).await,
        }
    }

    /// Start the daemon, and wait until it listens and has looked around.
    async fn start(&mut self) {
        let registrator = &self.case.value["registrator"];
        let hostname = registrator["hostname"].as_str().expect("a host name");
        let address = registrator["hosts"][hostname].as_str().expect("its address");
        let resolve = format!("{hostname}={address}");
        let uri = self.consul.uri();
        let mut args = self.case.flags();
        args.extend(["--compat", "registrator", "--hostname", hostname, "--resolve", &resolve]);
        if !self.mode.loss.is_some_and(|loss| loss.marks) {
            args.push("--no-provenance");
        }
        args.push(&uri);
        let lists = self.docker.lists();
        self.daemon = Some(Daemon::start(&args, &[("DOCKER_HOST", &self.docker.host())]));
        let up = || self.docker.listeners() == 1 && self.docker.lists() > lists;
        if !within(PATIENCE, up).await {
            self.fault("it did not start".into());
        }
        self.rest(REST).await;
    }

    /// Wait until nothing was asked of Docker and Consul for a while.
    async fn rest(&self, period: Duration) {
        self.activity.touch();
        let rests = || self.activity.idle().is_some_and(|idle| idle >= period);
        assert!(within(PATIENCE, rests).await, "{}: it never comes to rest", self.case.name);
    }

    fn put_by_others(&self, body: &str) {
        let mut body: Value = serde_json::from_str(body).expect("a body");
        if let Some(address) = self.mode.address_of_others {
            body["Address"] = json!(address);
        }
        self.consul.put(&body);
    }

    /// An event of the recording: the container becomes what it was, Docker
    /// says so, and the daemon looks at it.
    async fn happen(&self, phase: &Phase<'_>, event: &Value) {
        let actor = &event["Actor"];
        let name = actor["Attributes"]["name"].as_str().expect("the container's name");
        let id = actor["ID"].as_str().expect("the container's identifier");
        let action = event["Action"].as_str().expect("an action");
        self.docker.set(name, self.inspected(phase, event, name, action));
        let looks = self.docker.inspections(id);
        let mut sent = event.clone();
        sent.as_object_mut().expect("an object").remove("t_ms");
        self.docker.send(&sent);
        if self.daemon.is_none() {
            return;
        }
        // What is run inside a container is nothing to look at.
        if !action.starts_with("exec_") {
            let looked = within(PATIENCE, || self.docker.inspections(id) > looks).await;
            assert!(looked, "{}: it does not look at {name} after {action}", self.case.name);
        }
        self.rest(REST).await;
    }

    /// What `docker inspect` prints after an event.
    fn inspected(
        &self,
        phase: &Phase<'_>,
        event: &Value,
        name: &str,
        action: &str,
    ) -> Option<Value> {
        let first_seen = &self.case.value["docker_inspect"][name];
        let current = self.docker.inspected(name);
        let at_end = match phase.changed(name) {
            Some(Value::Null) => None,
            Some(changed) => {
                let base = current.clone().unwrap_or_else(|| first_seen.clone());
                Some(with(base, changed.clone()))
            }
            None => Some(first_seen.clone()),
        };
        let runs = |it: &Value| it["State"]["Running"] == true;
        match action {
            "create" => Some(with(first_seen.clone(), stopped("created", 0))),
            "start" => at_end.filter(runs).or_else(|| Some(first_seen.clone())),
            "die" => {
                let code = event["Actor"]["Attributes"]["exitCode"].as_str();
                let code = code.and_then(|code| code.parse().ok()).expect("an exit code");
                current.map(|it| with(it, stopped("exited", code)))
            }
            "destroy" => None,
            _ => current,
        }
    }
}

/// The keys of a container that does not run.
fn stopped(status: &str, exit_code: i64) -> Value {
    json!({
        "State": { "Status": status, "Running": false, "ExitCode": exit_code },
        "NetworkSettings": { "Ports": {}, "Networks": {} },
    })
}

/// A container with other values of some keys.
fn with(mut inspected: Value, changed: Value) -> Value {
    for (key, value) in changed.as_object().into_iter().flatten() {
        inspected[key] = value.clone();
    }
    inspected
}
