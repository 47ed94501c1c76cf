//! Guarantee: a changed configuration or plugin is taken over while the daemon
//! runs, and at no moment is a service missing or one too many; one with a fault
//! changes nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::common::{
    corpus,
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    plugin,
    recording_consul::RecordingConsul,
    wait::{holds, until},
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const COUNT: usize = 500;
/// A minute, with a change a second, where the program is optimised.
const ROUNDS: usize = 60;

/// A host with containers that have an owner, and the IDs of their services.
fn host(docker: &FakeDocker, count: usize) -> BTreeSet<String> {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let base = case.expect("the case is part of the corpus").inspected().remove(0);
    for n in 0..count {
        let mut one = base.clone();
        one["Id"] = json!(format!("{n:064}"));
        one["Name"] = json!(format!("/c{n}"));
        one["Config"]["Labels"] = json!({"owner": "ann"});
        docker.set(&format!("c{n}"), Some(one));
    }
    (0..count).map(|n| format!("testhost:c{n}:80")).collect()
}

/// Write a file as editors do, so that it is whole at any moment.
fn replace(file: &Path, content: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, content).expect("the file is written");
    fs::rename(&new, file).expect("it is renamed");
}

struct Lab {
    folder: tempfile::TempDir,
    docker: FakeDocker,
    consul: Arc<RecordingConsul>,
    ids: BTreeSet<String>,
}

impl Lab {
    async fn new(count: usize) -> Self {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = Arc::new(RecordingConsul::start(activity, Vec::new()).await);
        let ids = host(&docker, count);
        let folder = tempfile::tempdir().expect("a folder");
        let lab = Self { folder, docker, consul, ids };
        lab.plug("convention");
        lab.configure("tag = 'v0'");
        lab
    }

    /// Put a plugin in the place of the one that the file names.
    fn plug(&self, name: &str) {
        let content = fs::read(plugin(name)).expect("a plugin");
        replace(&self.folder.path().join("stage.wasm"), &content);
    }

    fn configure(&self, settings: &str) {
        let text = format!(
            "[limits]\ntimeout = '10s'\n\
             [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
             [[pipeline]]\nname = 'convention'\nfile = 'stage.wasm'\nsettings = {{ {settings} }}\n"
        );
        self.write(&text);
    }

    fn write(&self, text: &str) {
        replace(&self.folder.path().join("wharfinger.toml"), text.as_bytes());
    }

    fn daemon(&self) -> Daemon {
        let file = self.folder.path().join("wharfinger.toml");
        let (file, uri) = (file.to_str().expect("a path"), self.consul.uri());
        let args = ["run", "--config", file, "--ip", "192.0.2.10", "--hostname", "testhost", &uri];
        let docker = self.docker.host();
        Daemon::start(&args, &[("DOCKER_HOST", &docker), ("WHARFINGER_CONTROL", "none")])
    }

    /// Wait until all services are registered with these tags, and no others are.
    async fn tagged(&self, tags: &Value) {
        until(SOON, format!("all have the tags {tags}"), async || {
            let services = self.consul.services();
            let right = services.values().filter(|service| service["Tags"] == *tags).count();
            let all = (right, services.len()) == (self.ids.len(), self.ids.len());
            if all { Ok(()) } else { Err(format!("{right} of {}", services.len())) }
        })
        .await;
    }
}

/// Look again and again whether exactly these services are there, until `stop`.
/// It says how often it looked, or what was wrong.
async fn watch(
    consul: Arc<RecordingConsul>,
    ids: BTreeSet<String>,
    stop: Arc<AtomicBool>,
) -> Result<usize, String> {
    let mut clock = tokio::time::interval(Duration::from_millis(5));
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        clock.tick().await;
        let found: BTreeSet<_> = consul.ids().into_iter().collect();
        looks += 1;
        if found != ids {
            let differ: Vec<_> = found.symmetric_difference(&ids).collect();
            return Err(format!("look {looks}: missing or stale are {differ:?}"));
        }
    }
    Ok(looks)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_service_is_missing_or_stale_while_plugins_and_settings_change() {
    let lab = Lab::new(COUNT).await;
    let mut daemon = lab.daemon();
    lab.tagged(&json!(["v0"])).await;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(lab.consul.clone(), lab.ids.clone(), stop.clone()));

    let mut clock = tokio::time::interval(Duration::from_secs(1));
    for round in 1..=ROUNDS {
        clock.tick().await;
        let seen = daemon.lines();
        match round % 5 {
            // It keeps everything as it is, whatever its settings say.
            1 => lab.plug("hostile"),
            2 => lab.plug("convention"),
            3 => lab.configure("tagg = 'misspelt'"),
            4 => replace(&lab.folder.path().join("stage.wasm"), b"\0asm, and no more"),
            _ => {
                lab.plug("convention");
                lab.configure(&format!("tag = 'v{round}'"));
                lab.tagged(&json!([format!("v{round}")])).await;
                continue;
            }
        }
        let taken = matches!(round % 5, 1 | 2);
        let said = if taken { "the new pipeline is in force" } else { "not reloaded" };
        daemon.wait_for_log_after(seen, said, SOON).await;
    }
    stop.store(true, Ordering::Relaxed);
    let looks = watching.await.expect("the watcher ends").expect("nothing missing, nothing stale");
    let log = daemon.log();
    let (taken, refused) =
        (log.matches("the new pipeline is in force").count(), log.matches("not reloaded").count());
    println!("{looks} looks, {taken} pipelines taken over, {refused} refused");
    // Two files are not changed at one moment, so that there may be more.
    assert!(looks > 1_000 && taken >= ROUNDS * 3 / 5 && refused >= ROUNDS * 2 / 5);
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_changes_nothing_and_is_said_in_full() {
    let lab = Lab::new(3).await;
    let mut daemon = lab.daemon();
    lab.tagged(&json!(["v0"])).await;

    lab.write(
        "[[pipeline]]\nname = 'a'\nfile = 'none.wasm'\n\
         [[pipeline]]\nname = 'b'\nfile = 'stage.wasm'\nsettings = { tagg = 'x' }\n",
    );
    let line = daemon.wait_for_log("not reloaded", SOON).await;
    assert!(line.contains("stage \\\"a\\\"") && line.contains("none.wasm"), "{line}");
    assert!(line.contains("stage \\\"b\\\"") && line.contains("tagg"), "{line}");
    let writes = lab.consul.writes(0).len();
    holds(Duration::from_secs(2), "nothing is written", async || {
        let now = lab.consul.writes(0).len();
        if now == writes { Ok(()) } else { Err(format!("{} more", now - writes)) }
    })
    .await;

    // The file that was missing appears: it is known to be waited for.
    let lines = daemon.lines();
    lab.write("[[pipeline]]\nname = 'a'\nfile = 'none.wasm'\nsettings = { tag = 'v1' }\n");
    daemon.wait_for_log_after(lines, "not reloaded", SOON).await;
    fs::copy(plugin("convention"), lab.folder.path().join("none.wasm")).expect("a plugin");
    lab.tagged(&json!(["v1"])).await;
    let log = daemon.log();
    assert!(log.contains("a new stage stage=\"a\"") && log.contains("a stage is gone"), "{log}");
    assert!(daemon.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_again_and_what_needs_a_restart_is_said() {
    let lab = Lab::new(3).await;
    let mut daemon = lab.daemon();
    lab.tagged(&json!(["v0"])).await;
    daemon.signal("HUP");
    daemon.wait_for_log("read again; the pipeline is the same", SOON).await;

    let pipeline = "[[pipeline]]\nname = 'convention'\nfile = 'stage.wasm'\n\
                    settings = { tag = 'v1' }\n";
    lab.write(&format!("compat = 'registrator'\n[registry]\nuri = 'memory://'\n{pipeline}"));
    let line = daemon.wait_for_log("needs a restart", SOON).await;
    assert!(line.contains("registry, compat"), "{line}");
    lab.tagged(&json!(["v1"])).await;

    // What was changed and changed back needs none.
    lab.write(&pipeline.replace("v1", "v2"));
    lab.tagged(&json!(["v2"])).await;
    assert_eq!(daemon.log().matches("needs a restart").count(), 1);
    assert!(daemon.terminate().await.success());
}

/// A stage that answers for all containers but one, which it had not to judge before.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_fails_where_the_one_in_force_does_not_is_not_taken_over() {
    let lab = Lab::new(4).await;
    let mut odd = lab.docker.inspected("c3").expect("it is there");
    odd["Config"]["Labels"]["hostile"] = json!("trap");
    lab.docker.set("c3", Some(odd));
    let mut daemon = lab.daemon();
    lab.tagged(&json!(["v0"])).await;
    let writes = lab.consul.writes(0).len();

    // It keeps everything as it is but for that container.
    lab.plug("hostile");
    let line = daemon.wait_for_log("not reloaded", SOON).await;
    for part in ["fails on 1 of 4 containers", "c3", "guard.failing", "stage convention failed"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    holds(Duration::from_secs(2), "nothing is written", async || {
        let now = lab.consul.writes(0).len();
        if now == writes { Ok(()) } else { Err(format!("{} more", now - writes)) }
    })
    .await;
    // What is right again is said to be.
    let seen = daemon.lines();
    lab.plug("convention");
    daemon.wait_for_log_after(seen, "is whole again", SOON).await;

    // By the operator's word a quarter may fail; it keeps what it has.
    assert!(daemon.terminate().await.success());
    let text = fs::read_to_string(lab.folder.path().join("wharfinger.toml")).expect("the file");
    lab.write(&format!("[guard]\nfailing = 25\n{text}"));
    let mut daemon = lab.daemon();
    daemon.wait_for_log("Listening for Docker events", SOON).await;
    lab.tagged(&json!(["v0"])).await;
    lab.plug("hostile");
    daemon.wait_for_log("the new pipeline is in force", SOON).await;
    daemon.wait_for_log("it keeps what it has", SOON).await;
    assert_eq!(lab.consul.ids().into_iter().collect::<BTreeSet<_>>(), lab.ids);
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn sighup_ends_no_daemon() {
    let lab = Lab::new(1).await;
    let env = [("DOCKER_HOST", &*lab.docker.host()), ("WHARFINGER_CONTROL", "none")];
    let mut without = Daemon::start(&["memory://"], &env);
    without.wait_for_log("Listening for Docker events", SOON).await;
    without.signal("HUP");
    without.wait_for_log("there is no configuration file to read again", SOON).await;
    assert!(without.is_running());
    assert!(without.terminate().await.success());
}
