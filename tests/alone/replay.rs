//! What registrator did over time, the daemon does too: containers that start,
//! die and go, resyncs, clean-ups, and a daemon that is killed and comes back.
//!
//! Every recorded case of that kind is replayed phase by phase to the real
//! program, between a Docker that says what was recorded and a Consul that notes
//! every write. Where registrator loses or takes too much, [`LOSSES`] says what
//! is right instead; nothing else may differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{
    corpus::{self, Case},
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    losses::{LOSSES, Loss},
    recorded::{Expected, Phase, expectations, phases, refusals},
    recording_consul::RecordingConsul,
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
        // What is run inside a container is nothing to look at, nor is a signal.
        if !action.starts_with("exec_") && action != "kill" {
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
