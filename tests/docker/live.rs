//! What registrator did with real containers, the daemon does too: every recorded
//! case is carried out once more on a real Docker daemon and a real Consul agent,
//! with the recorded command lines, addresses and ports.
//!
//! Each lane is a network namespace with servers of its own, in which a part of
//! the cases run one after another. What the daemon writes is noted by a relay in
//! front of Consul and compared with what registrator wrote, phase by phase, and
//! so is what Consul has in the end. Where registrator was wrong,
//! [`crate::common::losses`] says what is right instead; nothing else may differ.
//!
//! `WHARFINGER_CORPUS` names another folder of cases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::common::{
    command_lines,
    consul::Consul,
    corpus::{self, Case},
    daemon::Daemon,
    losses::{Loss, loss},
    namespace,
    recorded::{Expected, expectations, phases},
    recorded_host::{Lab, address, difference},
    recording_consul::Write,
    relay::ConsulRelay,
    volatile::Volatile,
    wait::INTERVAL,
};
use serde_json::{Map, Value, json};

const TEST: &str = "live::every_recorded_case_ends_alike_on_real_servers";
/// How many lanes there are. A case mostly waits, for Docker and for its own
/// pauses.
const LANES: usize = 3;
/// How long what is recorded may take to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nobody must be spoken to until the daemon counts as at rest.
const REST: Duration = Duration::from_millis(300);

/// What is wrong in each case.
type Faults = BTreeMap<String, Vec<String>>;

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_case_ends_alike_on_real_servers() {
    let all = corpus::cases();
    let (line, live): (Vec<_>, Vec<_>) = all.into_iter().partition(|case| case.area() == "cli");
    if let Some((lane, results)) = namespace::lane() {
        let mine = live.iter().enumerate().filter(|(index, _)| index % LANES == lane);
        let faults = run(&Lab::start(&live).await, mine.map(|(_, case)| case)).await;
        std::fs::write(results, json!(faults).to_string()).expect("the results are written");
        return;
    }
    let mut faults = Faults::new();
    for results in namespace::run_lanes(TEST, LANES).await {
        faults.extend(serde_json::from_slice::<Faults>(&results).expect("a lane's results"));
    }
    assert_eq!(faults.len(), live.len(), "every case was run");
    let right = faults.keys().filter(|name| loss(name).is_some()).count();
    let sound = |faults: &Faults, wanted: bool| {
        let sound = faults
            .iter()
            .filter(|(name, faults)| faults.is_empty() && loss(name).is_some() == wanted);
        sound.count()
    };
    println!("{} of {} cases identical", sound(&faults, false), live.len() - right);
    println!("{} of {right} losses put right", sound(&faults, true));
    for case in &line {
        faults.insert(case.name.clone(), command_lines::faults(case).await);
    }
    let good = faults.values().filter(|faults| faults.is_empty()).count();
    println!("{good} of {} cases of the corpus, with {} command lines", faults.len(), line.len());
    let bad = faults.iter().filter(|(_, faults)| !faults.is_empty());
    let bad: Vec<_> =
        bad.map(|(case, faults)| format!("{case}: {}", faults.join("\n  "))).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(!faults.is_empty(), "there are cases");
}

/// How often a case is carried out at most.
const TIMES: usize = 20;

/// Carry out cases one after another. One that differs is carried out again, and
/// that is said, if Docker has shown a container's variables in another order than
/// in the recording, which the templates see.
async fn run(lab: &Lab, cases: impl Iterator<Item = &Case>) -> Faults {
    let mut all = Faults::new();
    for case in cases {
        let mut faults = Vec::new();
        for _ in 0..TIMES {
            let reordered;
            (faults, reordered) = Live::run(lab, case).await;
            lab.tidy().await;
            if faults.is_empty() || !reordered {
                break;
            }
            eprintln!("{} had its variables reordered: {}", case.name, faults.join("\n  "));
        }
        all.insert(case.name.clone(), faults);
    }
    all
}

/// A case that is being carried out.
struct Live<'a> {
    lab: &'a Lab,
    case: &'a Case,
    loss: Option<&'static Loss>,
    /// The recording, without what is volatile in it.
    recorded: Case,
    /// What is volatile here.
    here: Volatile,
    daemon: Option<Daemon>,
    /// Docker shows a container's variables in another order than in the recording.
    reordered: bool,
    faults: Vec<String>,
}

impl<'a> Live<'a> {
    /// Carry out a case, and say what is wrong and whether variables were reordered.
    async fn run(lab: &'a Lab, case: &'a Case) -> (Vec<String>, bool) {
        let (mut there, mut here) = (Volatile::default(), Volatile::default());
        for (index, (recorded, made)) in lab.images.identifiers().enumerate() {
            there.identifier(recorded, &format!("image {index}"));
            here.identifier(made, &format!("image {index}"));
        }
        let phases = case.value["phases"].as_array().into_iter().flatten();
        let changed = phases.map(|phase| &phase["docker_inspect_changed"]);
        for seen in [&case.value["docker_inspect"]].into_iter().chain(changed) {
            for (name, inspected) in seen.as_object().into_iter().flatten() {
                there.container(name, inspected);
            }
        }
        let recorded = Case { name: case.name.clone(), value: there.replace(&case.value) };
        let loss = loss(&case.name);
        let (daemon, reordered, faults) = (None, false, Vec::new());
        let mut live = Self { lab, case, loss, recorded, here, daemon, reordered, faults };
        live.all_phases().await;
        (live.faults, live.reordered)
    }

    async fn all_phases(&mut self) {
        for command in self.case.value["setup"].as_array().into_iter().flatten() {
            let words = words(command.as_str().expect("a command"));
            self.docker(&words[1..], false);
        }
        let recorded = self.recorded.clone();
        let phases = phases(&recorded);
        let expected = expectations(&recorded, &phases, self.loss);
        if self.case.value["registrator"]["started"] == "before the first phase" {
            self.start().await;
        }
        let last = phases.len() - 1;
        for (index, (phase, expected)) in phases.iter().zip(&expected).enumerate() {
            if index == last {
                self.compare_end().await;
            }
            let written = self.relay().count();
            let action = self.case.value["phases"][index]["action"].as_str().expect("an action");
            self.act(action, phase.recorded.get("docker_error").is_some()).await;
            self.settle(expected, written).await;
            if let Some(fault) = self.differs(expected, &self.made(written)) {
                self.fault(format!("phase {index} ({action}): {fault}"));
            }
            self.compare_registered(phase.recorded, &format!("after phase {index}")).await;
        }
        let left = &self.recorded.value["expected"]["left_after_teardown"];
        let left: Vec<String> = serde_json::from_value(left.clone()).expect("a list of IDs");
        let right = self.loss.map(|loss| loss.after_end.iter().map(ToString::to_string).collect());
        self.compare_ids(right.unwrap_or(left), "in the end").await;
        self.end().await;
    }

    /// Do what was done in a phase.
    async fn act(&mut self, action: &str, fails: bool) {
        let words = words(action);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["registrator", "start"] => self.start().await,
            ["registrator", "kill9"] => self.daemon.take().expect("a daemon").kill9(),
            ["registrator", "stop" | "term" | "TERM"] => {
                self.daemon.take().expect("a daemon").terminate().await;
            }
            ["teardown:", ..] => self.lab.remove_containers(),
            ["wait", time] => {
                let seconds = time.trim_end_matches('s').parse().expect("a number of seconds");
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
            ["PUT", "by", "somebody", "else", ..] => {
                let body = action.strip_prefix("PUT by somebody else ").unwrap_or_default();
                let body = serde_json::from_str(body).expect("a body");
                self.consul().register_foreign(&body).await;
            }
            ["docker", "run", name] => self.run_container(name, fails),
            ["docker", ref args @ ..] => {
                let args: Vec<_> = args.iter().map(ToString::to_string).collect();
                self.docker(&args, fails);
            }
            _ => self.fault(format!("{action:?} is no action that this test knows")),
        }
        self.see_containers();
    }

    /// Start a container of the recording.
    fn run_container(&mut self, name: &str, fails: bool) {
        let containers = self.case.value["containers"].as_array().into_iter().flatten();
        let container = containers.clone().find(|container| container["name"] == name);
        let container = container.expect("a container of this name");
        let texts = |key: &str| {
            container[key]
                .as_array()
                .into_iter()
                .flatten()
                .map(|text| text.as_str().expect("a text").to_string())
        };
        let mut args: Vec<String> = ["run", "-d", "--name", name].map(String::from).into();
        args.extend(texts("run_args"));
        args.push(self.lab.images.here(container["image"].as_str().expect("an image")));
        args.extend(texts("cmd"));
        self.docker(&args, fails);
    }

    fn docker(&mut self, args: &[String], fails: bool) {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        match self.lab.docker.try_run(&args) {
            Ok(_) if fails => self.fault(format!("docker {args:?} did not fail")),
            Err(error) if !fails => self.fault(format!("docker {args:?}: {error}")),
            _ => {}
        }
    }

    /// Learn what is volatile of the containers.
    fn see_containers(&mut self) {
        for id in self.lab.containers() {
            // It may go at any time by itself.
            let Ok(inspected) = self.lab.docker.try_run(&["inspect", &id]) else { continue };
            let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
            let name = inspected[0]["Name"].as_str().unwrap_or_default().trim_start_matches('/');
            self.here.container(name, &inspected[0]);
            self.reordered |= reordered(&inspected[0], &self.case.value["docker_inspect"][name]);
        }
    }

    /// Start the daemon, and wait until it listens and has looked around, or has
    /// ended.
    async fn start(&mut self) {
        let registrator = &self.case.value["registrator"];
        let hostname = registrator["hostname"].as_str().expect("a host name");
        let mut args: Vec<String> = self.case.flags().into_iter().map(String::from).collect();
        args.extend(["--compat", "registrator", "--allow-http-get"].map(String::from));
        args.extend(["--hostname".into(), hostname.into()]);
        for (name, address) in registrator["hosts"].as_object().into_iter().flatten() {
            let address = address.as_str().expect("an address");
            args.extend(["--resolve".into(), format!("{name}={address}")]);
        }
        if !self.loss.is_some_and(|loss| loss.marks) {
            args.push("--no-provenance".into());
        }
        args.push(registrator["uri"].as_str().expect("a URI").into());
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let docker = format!("unix://{}", self.lab.socket.display());
        let daemon = self.daemon.insert(Daemon::start(&args, &[("DOCKER_HOST", &docker)]));
        let begun = Instant::now();
        let looked = |log: &str| {
            ["Listening for Docker events", "Syncing services on"].iter().all(|it| log.contains(it))
        };
        while daemon.is_running() && !looked(&daemon.log()) && begun.elapsed() < PATIENCE {
            tokio::time::sleep(INTERVAL).await;
        }
        if !looked(&daemon.log()) && !self.may_end() {
            self.fault("it did not start".into());
        }
        self.rest().await;
    }

    /// Whether registrator ended by itself.
    fn may_end(&self) -> bool {
        self.case.value["expected"]["registrator_exit"].is_i64()
    }

    /// Wait until the daemon has done its part.
    async fn settle(&mut self, expected: &Expected, written: usize) {
        let Some(daemon) = &mut self.daemon else { return };
        let running = daemon.is_running();
        let begun = Instant::now();
        let is_there = || expected.is_there(&self.made(written));
        while running && !is_there() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(INTERVAL).await;
        }
        self.rest().await;
    }

    /// Wait until nothing was asked of Docker and Consul for a while.
    async fn rest(&mut self) {
        self.lab.activity.touch();
        let begun = Instant::now();
        while self.lab.activity.idle().is_none_or(|idle| idle < REST) {
            tokio::time::sleep(INTERVAL).await;
            if begun.elapsed() > PATIENCE {
                return self.fault("it never comes to rest".into());
            }
        }
    }

    /// The daemon's end: in order, or where registrator ended by itself, with the
    /// fault said.
    async fn end(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let (running, log) = (daemon.is_running(), daemon.log());
        let well = daemon.terminate().await.success();
        let fine = match self.may_end() {
            true if running => log.contains("cannot bring a container up to date") && well,
            true => !well,
            false => running && well,
        };
        if !fine {
            self.fault(format!("it ran to the end: {running}, it ended well: {well}; {log}"));
        }
    }

    fn consul(&self) -> &'a Consul {
        &self.lab.agents[&address(self.case)].0
    }

    fn relay(&self) -> &'a ConsulRelay {
        &self.lab.agents[&address(self.case)].1
    }

    /// The writes after the first calls.
    fn made(&self, skip: usize) -> Vec<Write> {
        let calls = self.relay().calls(skip).into_iter();
        calls
            .filter_map(|call| {
                let target = self.here.replace(&Value::from(call.target));
                let target = target.as_str().expect("a text stays one");
                Write::of(&call.method, target, &self.here.replace(&call.body))
            })
            .collect()
    }

    /// How the writes differ from what is expected. Where registrator's own runs
    /// differ in them, only what is written is compared; the end tells the rest.
    fn differs(&self, expected: &Expected, made: &[Write]) -> Option<String> {
        if self.case.value["calls_differ"] == true {
            let texts = |writes: &[Write]| {
                let mut texts: Vec<_> = writes.iter().map(ToString::to_string).collect();
                texts.sort();
                texts
            };
            let (expected, made) = (texts(&expected.writes), texts(made));
            return (expected != made).then(|| format!("expected {expected:?}, made {made:?}"));
        }
        expected.fault(made)
    }

    /// Compare what there is before the last container is removed.
    async fn compare_end(&mut self) {
        if let Some(loss) = self.loss {
            let ids = loss.before_end.iter().map(ToString::to_string).collect();
            return self.compare_ids(ids, "before the end").await;
        }
        let value = self.recorded.value.clone();
        let variants = value["variants"].as_array().into_iter().flatten();
        let mut ends: Vec<_> = variants.map(|variant| &variant["expected"]).collect();
        if ends.is_empty() {
            ends.push(&value["expected"]);
        }
        let mut faults = Vec::new();
        for end in ends {
            match difference(self.consul(), &self.here, end).await {
                None => return,
                Some(fault) => faults.push(fault),
            }
        }
        self.fault(format!("before the end: {}", faults.join("; or ")));
    }

    /// Compare what there is after a phase, as far as that is recorded. What is
    /// there in the midst of resyncs is a matter of time.
    async fn compare_registered(&mut self, recorded: &Value, when: &str) {
        let resync = self.case.flag("-resync").is_some();
        if self.loss.is_some() || resync || !self.case.is_deterministic() {
            return;
        }
        if let Some(fault) = difference(self.consul(), &self.here, recorded).await {
            self.fault(format!("{when}: {fault}"));
        }
    }

    async fn compare_ids(&mut self, ids: Vec<String>, when: &str) {
        let services = self.here.replace(&Value::Object(self.consul().services().await));
        let found: BTreeSet<_> =
            services.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        let expected = BTreeSet::from_iter(ids);
        if expected != found {
            self.fault(format!("{when}: expected {expected:?}, found {found:?}"));
        }
    }

    fn fault(&mut self, text: String) {
        let log = self.daemon.as_ref().map(Daemon::log).unwrap_or_default();
        let reason = self.loss.map_or("", |loss| loss.reason);
        self.faults.push(format!("{text}; {reason}; the daemon's output:\n{log}"));
    }
}

/// Whether two containers have the same variables in another order.
fn reordered(one: &Value, other: &Value) -> bool {
    let variables = |container: &Value| {
        let all = container["Config"]["Env"].as_array().into_iter().flatten();
        all.map(Value::to_string).collect::<Vec<_>>()
    };
    let (mut one, mut other) = (variables(one), variables(other));
    let differ = one != other;
    one.sort();
    other.sort();
    differ && one == other
}

/// The words of a command line: quotes keep a word together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
