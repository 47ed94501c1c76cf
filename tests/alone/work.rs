//! Guarantee: the daemon does no more than its work. What it asks of Docker and of the registry, and how
//! often it calls a stage, is counted over a story: a start, a container more, a container less, and a
//! configuration that changes nothing for most. Times depend on the machine, these do not.

use std::{fs, path::Path, time::Duration};

use crate::common::{
    corpus,
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::{Activity, Asked},
    plugin,
    recording_consul::RecordingConsul,
    wait::until,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const COUNT: usize = 40;
/// For how long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(30);

struct Lab {
    folder: tempfile::TempDir,
    docker: FakeDocker,
    consul: RecordingConsul,
    base: Value,
}

/// What was counted so far.
#[derive(Debug, PartialEq)]
struct Work {
    writes: usize,
    inspections: usize,
    /// Of each stage made of a component: calls, answers that were remembered.
    stages: Vec<(u64, u64)>,
}

impl Lab {
    async fn new() -> Self {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = RecordingConsul::start(activity, Vec::new()).await;
        let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
        let base = case.expect("the case is part of the corpus").inspected().remove(0);
        let lab = Self { folder: tempfile::tempdir().expect("a folder"), docker, consul, base };
        (0..COUNT).for_each(|n| lab.set(n, true));
        lab
    }

    fn set(&self, n: usize, runs: bool) {
        let mut one = self.base.clone();
        one["Id"] = json!(id(n));
        one["Name"] = json!(format!("/c{n}"));
        one["Config"]["Labels"] = json!({ "owner": "ann", "team": "shop" });
        if !runs {
            one["State"]["Status"] = json!("exited");
            one["State"]["Running"] = json!(false);
        }
        self.docker.set(&format!("c{n}"), Some(one));
    }

    fn tell(&self, n: usize, action: &str) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.expect("it is after 1970").as_nanos() as u64;
        self.docker.send(&json!({
            "Type": "container", "Action": action, "time": now / 1_000_000_000, "timeNano": now,
            "Actor": { "ID": id(n), "Attributes": { "name": format!("c{n}"), "exitCode": "0" } },
        }));
    }

    /// Stages, the last one with this tag.
    fn configure(&self, tag: &str) {
        let convention = plugin("convention");
        let stage = |name: &str, settings: &str| {
            format!("[[pipeline]]\nname = '{name}'\nfile = {convention:?}\nsettings = {settings}\n")
        };
        let registrator = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
        let first = stage("first", "{ owner-label = 'owner', team-label = 'team' }");
        let last = stage("last", &format!("{{ owner-label = 'owner', tag = '{tag}' }}"));
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{registrator}{first}{last}")).expect("the file is written");
        fs::rename(&new, self.config()).expect("it is renamed");
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("config.toml")
    }

    async fn work(&self, control: &Path) -> Work {
        let socket = control.display().to_string();
        let mut status = Daemon::start(&["status", "--json", "--control", &socket], &[]);
        status.wait(SOON).await;
        let printed: Value = serde_json::from_str(&status.stdout()).expect("it prints JSON");
        let stages = printed["stages"].as_array().expect("stages");
        let figures = |name: &str| {
            let stage = stages.iter().find(|stage| stage["stage"] == name).expect("a stage");
            let figure = |key: &str| stage["figures"][key].as_u64().expect("a number");
            (figure("calls"), figure("hits"))
        };
        Work {
            writes: self.consul.count(),
            inspections: (0..=COUNT).map(|n| self.docker.inspections(&id(n))).sum(),
            stages: vec![figures("first"), figures("last")],
        }
    }

    async fn until_registered(&self, count: usize, tag: &str) {
        until(SOON, format!("{count} services with the tag {tag}"), async || {
            let services = self.consul.services();
            let tagged = services.values().filter(|it| it["Tags"].to_string().contains(tag));
            let (found, all) = (tagged.count(), services.len());
            (found == count && all == count).then_some(()).ok_or(format!("{found} of {all}"))
        })
        .await;
    }
}

/// While nothing happens, each kind of question has its pause, and nothing is read whole but Docker's list.
#[tokio::test]
async fn a_daemon_on_an_idle_host_asks_little_and_writes_nothing() {
    let lab = Lab::new().await;
    lab.consul.count_changes();
    let uri = lab.consul.uri();
    let args = ["-ip", "10.0.0.1", "--hostname", "testhost", &uri];
    let daemon = Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())]);
    until(SOON, "all are registered, and the last change was seen in a list", async || {
        let (services, reads) = (lab.consul.services().len(), lab.consul.reads());
        let settled = services == COUNT && reads >= 2 && lab.docker.lists() >= 2;
        settled.then_some(()).ok_or(format!("{services} services, {reads} reads"))
    })
    .await;
    let list = lab.docker.list().to_string().len();
    let (docker, consul) = (lab.docker.asked(), lab.consul.asked());
    let (writes, reads, lists) = (lab.consul.count(), lab.consul.reads(), lab.docker.lists());
    let began = std::time::Instant::now();
    tokio::time::sleep(IDLE).await;
    let since = |now: Asked, then: Asked| Asked {
        requests: now.requests - then.requests,
        bytes: now.bytes - then.bytes,
    };
    let (docker, consul) = (since(lab.docker.asked(), docker), since(lab.consul.asked(), consul));
    // A busy machine takes longer than was asked for.
    let seconds = began.elapsed().as_secs() as usize + 1;
    println!("Docker: {docker:?}, Consul: {consul:?} in {seconds} s");
    assert_eq!((lab.consul.count(), lab.consul.reads()), (writes, reads), "{}", daemon.log());
    // A look whether it answers each 10 s or more, and a list each 20.
    let lists = lab.docker.lists() - lists;
    let most = seconds / 20 + 1;
    assert!(
        lists <= most && docker.requests <= seconds / 10 + 1 + most,
        "{lists} lists, {docker:?}"
    );
    assert!(docker.bytes <= lists * (list + 200) + 1_000, "{docker:?} of lists of {list} bytes");
    // A lookup or the count of the services each 2 s, other daemons' services each 5.
    let most = seconds / 2 + seconds / 5 + 3;
    assert!(consul.requests <= most, "{consul:?}, and not {most}");
    assert!(consul.bytes <= consul.requests * 1_000, "{consul:?}");
    let asks = docker.requests > 0 && consul.requests > 0;
    assert!(asks, "it has ended: {}", daemon.log());
}

fn id(n: usize) -> String {
    format!("{:012x}{:052x}", n + 1, n + 1)
}

#[tokio::test]
async fn what_is_asked_written_and_called_is_what_has_to_be() {
    let lab = Lab::new().await;
    lab.configure("one");
    let uri = lab.consul.uri();
    let config = lab.config().display().to_string();
    let args = ["-ip", "10.0.0.1", "--hostname", "testhost", "--config", &config, &uri];
    let daemon = Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())]);
    let control = daemon.dir().join("control.sock");
    let count = COUNT as u64;

    lab.until_registered(COUNT, "one").await;
    let started = lab.work(&control).await;
    let once = vec![(count, 0); 2];
    assert_eq!(started, Work { writes: COUNT, inspections: COUNT, stages: once });

    lab.set(COUNT, true);
    lab.tell(COUNT, "start");
    lab.until_registered(COUNT + 1, "one").await;
    let more = lab.work(&control).await;
    let once = vec![(count + 1, 0); 2];
    assert_eq!(more, Work { writes: COUNT + 1, inspections: COUNT + 1, stages: once });

    // One look at the most, at which no stage is called.
    lab.set(COUNT, false);
    lab.tell(COUNT, "die");
    lab.until_registered(COUNT, "one").await;
    let less = lab.work(&control).await;
    assert_eq!((less.writes, less.stages), (COUNT + 2, more.stages), "after a death");
    assert!(less.inspections <= COUNT + 2, "{} inspections", less.inspections);

    // The stage that has changed is called, and each service is written once. That the pipeline settles is
    // tried on its own result, which the first stage has not seen before.
    lab.configure("two");
    lab.until_registered(COUNT, "two").await;
    let changed = lab.work(&control).await;
    assert_eq!(changed.writes, 2 * COUNT + 2, "after a change of the last stage");
    let [first, last] = [changed.stages[0], changed.stages[1]];
    assert!(first.0 <= 2 * count + 1, "{} calls of the stage that has not changed", first.0);
    assert!(first.1 >= count, "{} remembered answers of it", first.1);
    let more = last.0 - (count + 1);
    assert!((count..=2 * count).contains(&more), "{more} calls of the one that has");
}
