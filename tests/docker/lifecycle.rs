//! How a container's life, the daemon's end and a change of the configuration
//! show in the catalog, on a real dockerd and a real Consul agent.

use std::{
    fs,
    os::unix::fs::symlink,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::common::{
    daemon::Daemon,
    dockerd::Dockerd,
    lab::{Lab, SOON, after_registrator},
    ports,
    wait::{holds, until},
};
use serde_json::Value;

const BUILTIN: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

/// Flags of `docker run` for a health check that passes while a file exists.
const HEALTH: [&str; 6] = [
    "--health-cmd=test -f /tmp/ok",
    "--health-interval=1s",
    "--health-retries=1",
    "-e",
    "A=1",
    "-P",
];

/// A shell command that ends three seconds after it was told to.
const SLOW_END: &str = "trap 'sleep 3; exit' TERM; while :; do sleep 0.1; done";

fn lifecycle(keys: &str) -> String {
    format!("[lifecycle]\n{keys}\n{BUILTIN}")
}

/// The states of a service's checks, by their IDs, once they are as expected.
async fn checks(lab: &Lab, id: &str, expected: &[(&str, &str)]) {
    until(SOON, format!("the checks {expected:?} of {id}"), async || {
        let all = lab.consul.checks().await;
        let mut of_service: Vec<_> = all
            .iter()
            .filter(|(_, check)| check["ServiceID"] == id)
            .map(|(id, check)| (id.as_str(), check["Status"].as_str().unwrap_or_default()))
            .collect();
        of_service.sort_unstable();
        if of_service == expected { Ok(()) } else { Err(format!("{of_service:?}")) }
    })
    .await;
}

/// The container's processes are told to end; how they end is not waited for.
fn stop(lab: &Lab, name: &str) -> std::process::Child {
    lab.docker.docker(&["stop", "-t", "20", name]).spawn().expect("docker runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_registers_only_while_the_container_is_healthy() {
    let lab = Lab::new().await;
    let (daemon, _folder) = lab.configured(&lifecycle("healthcheck = 'gate'"));
    lab.start("gated", &HEALTH);
    lab.start("plain", &["-P"]);
    lab.ids(&["testhost:plain:80"]).await;
    daemon.wait_for_log("its health check", SOON).await;
    lab.docker.run(&["exec", "gated", "touch", "/tmp/ok"]);
    lab.ids(&["testhost:gated:80", "testhost:plain:80"]).await;
    lab.docker.run(&["exec", "gated", "rm", "/tmp/ok"]);
    lab.ids(&["testhost:plain:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirrored_health_check_says_what_docker_says() {
    let lab = Lab::new().await;
    let (_daemon, _folder) = lab.configured(&lifecycle("healthcheck = 'check'"));
    lab.start("mirrored", &HEALTH);
    lab.service("testhost:mirrored:80").await;
    let id = "testhost:mirrored:80";
    let check = "wharfinger-health:testhost:mirrored:80";
    checks(&lab, id, &[(check, "critical")]).await;
    lab.docker.run(&["exec", "mirrored", "touch", "/tmp/ok"]);
    checks(&lab, id, &[(check, "passing")]).await;
    lab.docker.run(&["pause", "mirrored"]);
    checks(&lab, id, &[(check, "critical")]).await;
    lab.docker.run(&["unpause", "mirrored"]);
    checks(&lab, id, &[(check, "passing")]).await;
    lab.docker.run(&["rm", "-f", "mirrored"]);
    lab.ids(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ttl_check_is_reported_to() {
    let lab = Lab::new().await;
    let (_daemon, _folder) = lab.configured(&lifecycle("heartbeat = true"));
    lab.start("alive", &["-P", "-e", "SERVICE_CHECK_TTL=2s"]);
    let id = "testhost:alive:80";
    lab.service(id).await;
    checks(&lab, id, &[("service:testhost:alive:80", "passing")]).await;
    // Longer than the TTL.
    holds(Duration::from_secs(5), "the TTL check passes", async || {
        let checks = lab.consul.checks().await;
        let status = checks["service:testhost:alive:80"]["Status"].clone();
        if status == "passing" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_container_is_drained_and_a_surviving_one_comes_back() {
    let lab = Lab::new().await;
    let (daemon, _folder) = lab.configured(&lifecycle("drain = '5s'"));
    let run = |name: &str, script: &str| {
        let [port] = crate::common::ports::free::<1>();
        let publish = format!("{port}:80");
        lab.docker.run(&["run", "-d", "--name", name, "-p", &publish, "web:1", "sh", "-c", script]);
    };
    run("ends", SLOW_END);
    run("stays", "trap '' TERM; while :; do sleep 0.1; done");
    lab.ids(&["testhost:ends:80", "testhost:stays:80"]).await;
    let maintenance = |id: &str| format!("_service_maintenance:{id}");

    // Another signal than that which ends it says nothing of its end.
    lab.docker.run(&["kill", "-s", "CONT", "ends"]);
    let mut stopping = stop(&lab, "ends");
    let ends = maintenance("testhost:ends:80");
    checks(&lab, "testhost:ends:80", &[(&ends, "critical")]).await;
    assert_eq!(lab.consul.checks().await[&ends]["Notes"], "wharfinger: the container is ending");
    lab.ids(&["testhost:stays:80"]).await;
    assert!(stopping.wait().expect("docker ends").success());
    let count = daemon.log().matches("in maintenance: ").count();
    assert_eq!(count, 1, "{}", daemon.log());

    lab.docker.run(&["kill", "-s", "TERM", "stays"]);
    let stays = maintenance("testhost:stays:80");
    checks(&lab, "testhost:stays:80", &[(&stays, "critical")]).await;
    checks(&lab, "testhost:stays:80", &[]).await;
    lab.ids(&["testhost:stays:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_container_can_be_deregistered_at_once() {
    let lab = Lab::new().await;
    let keys = "drain = '10s'\ndrain-by = 'deregister'";
    let (_daemon, _folder) = lab.configured(&lifecycle(keys));
    let [port] = crate::common::ports::free::<1>();
    let publish = format!("{port}:80");
    lab.docker.run(&["run", "-d", "--name", "ends", "-p", &publish, "web:1", "sh", "-c", SLOW_END]);
    lab.ids(&["testhost:ends:80"]).await;
    let mut stopping = stop(&lab, "ends");
    lab.ids(&[]).await;
    assert_eq!(lab.docker.inspect("ends")["State"]["Running"], true, "it was drained in time");
    assert!(stopping.wait().expect("docker ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemons_end_means_is_the_operators_choice() {
    let lab = Lab::new().await;
    lab.start("one", &["-P"]);
    let id = "testhost:one:80";
    let (mut daemon, _folder) = lab.configured(&lifecycle("on-exit = 'maintenance'"));
    lab.ids(&[id]).await;
    assert!(daemon.terminate().await.success());
    checks(&lab, id, &[("_service_maintenance:testhost:one:80", "critical")]).await;

    let (mut daemon, _folder) = lab.configured(&lifecycle("on-exit = 'deregister'"));
    checks(&lab, id, &[]).await;
    assert!(daemon.terminate().await.success());
    lab.ids(&[]).await;
}

/// What `wharfinger apply` prints, and its exit code.
fn apply(daemon: &Daemon, flags: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(Daemon::binary())
        .arg("apply")
        .args(flags)
        .env("WHARFINGER_CONTROL", daemon.dir().join("control.sock"))
        .output()
        .expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_takes_half_the_host_out_waits_for_a_word() {
    let lab = Lab::new().await;
    let names = ["aa", "bb", "cc", "dd", "ee", "ff"];
    for name in names {
        lab.start(name, &["-P"]);
    }
    let ids: Vec<String> = names.iter().map(|name| format!("testhost:{name}:80")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (mut daemon, _folder) = lab.configured(BUILTIN);
    lab.ids(&ids).await;
    assert_eq!(apply(&daemon, &[]), ("Nothing is held.\n".to_string(), Some(0)));
    assert!(daemon.terminate().await.success());

    // No container has the label that the policy asks for.
    let policy = after_registrator("convention", "convention", "");
    let (mut daemon, _folder) = lab.configured(&policy);
    let held = "held: 6 of 6 services would be deregistered or renamed";
    daemon.wait_for_log(held, SOON).await;
    let (text, code) = apply(&daemon, &[]);
    assert!(text.starts_with("Held: 6 of 6 services") && code == Some(2), "{code:?} {text}");
    assert!(ids.iter().all(|id| text.contains(id)), "{text}");
    // The end of a container is no such change, and what starts is judged.
    lab.docker.run(&["rm", "-f", "aa"]);
    lab.start("owned", &["-P", "-l", "owner=ann"]);
    let left: Vec<&str> = ids[1..].iter().copied().chain(["testhost:owned:80"]).collect();
    lab.ids(&left).await;
    let confirmed = apply(&daemon, &["--confirm"]);
    assert!(confirmed.0.starts_with("Confirmed: 5 of 6 services"), "{confirmed:?}");
    assert_eq!(confirmed.1, Some(0));
    lab.ids(&["testhost:owned:80"]).await;
    assert!(daemon.terminate().await.success());

    // A confirmation can be given beforehand.
    let (mut daemon, _folder) = lab.configured(BUILTIN);
    lab.ids(&left).await;
    assert!(daemon.terminate().await.success());
    let (daemon, _folder) = lab.configured_with(&policy, &["--confirm"]);
    lab.ids(&["testhost:owned:80"]).await;
    assert!(!daemon.log().contains("held:"), "{}", daemon.log());
}

/// The socket leads to another engine from some moment on. That none of the first one's
/// containers is there does not mean that they have ended.
#[tokio::test(flavor = "multi_thread")]
async fn another_engine_behind_the_socket_takes_nothing_out_unasked() {
    let mut lab = Lab::new().await;
    let names = ["aa", "bb", "cc", "dd", "ee", "ff"];
    for name in names {
        lab.start(name, &["-P"]);
    }
    let ids: Vec<String> = names.iter().map(|name| format!("testhost:{name}:80")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    symlink(lab.docker.socket(), &socket).expect("a link");
    let (mut daemon, _folder) =
        lab.configured_at(&format!("unix://{}", socket.display()), BUILTIN, &[]);
    lab.ids(&ids).await;

    let other = Dockerd::start().await;
    other.import_busybox("web:1", &["CMD [\"sleep\",\"3600\"]", "EXPOSE 80"]);
    let seen = daemon.lines();
    let next = folder.path().join("next.sock");
    symlink(other.socket(), &next).expect("a link");
    fs::rename(&next, &socket).expect("the link is replaced");
    lab.docker.kill9().await;
    daemon.wait_for_log_after(seen, "this is another container engine than before", SOON).await;
    let held = "held: 6 of 6 services would be deregistered or renamed";
    daemon.wait_for_log_after(seen, held, SOON).await;
    // What starts on the new engine is registered, and the rest waits for a word.
    let publish = format!("{}:80", ports::free::<1>()[0]);
    other.run(&["run", "-d", "--name", "new", "-p", &publish, "web:1"]);
    let all: Vec<&str> = ids.iter().copied().chain(["testhost:new:80"]).collect();
    lab.ids(&all).await;
    let confirmed = apply(&daemon, &["--confirm"]);
    assert!(confirmed.0.starts_with("Confirmed: 6 of 6 services"), "{confirmed:?}");
    lab.ids(&["testhost:new:80"]).await;
    assert!(daemon.terminate().await.success());
    // So that its containers can be ended.
    lab.docker.resume().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_to_a_service_is_mended_at_the_next_resync() {
    let lab = Lab::new().await;
    lab.start("one", &["-P"]);
    lab.start("two", &["-P"]);
    let daemon = lab.daemon(&["-resync", "3"]);
    lab.ids(&["testhost:one:80", "testhost:two:80"]).await;
    let mut altered = lab.service("testhost:two:80").await;
    let body = serde_json::json!({
        "ID": "testhost:two:80", "Name": "other", "Port": altered["Port"].take(),
        "Address": altered["Address"].take(), "Meta": altered["Meta"].take(),
    });
    lab.consul.register_foreign(&body).await;
    lab.consul.deregister("testhost:one:80").await;
    daemon.wait_for_log("somebody else has changed it", SOON).await;
    lab.ids(&["testhost:one:80", "testhost:two:80"]).await;
    until(SOON, "the name is mended", async || {
        let name: Value = lab.service("testhost:two:80").await["Service"].clone();
        if name == "web" { Ok(()) } else { Err(name.to_string()) }
    })
    .await;
    assert!(daemon.log().contains("somebody else has deregistered it"), "{}", daemon.log());
}

/// With an overlap, what a service was called can still be found for a while, also by
/// a daemon that did not begin it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rename_with_an_overlap_keeps_the_old_name_for_its_time() {
    let lab = Lab::new().await;
    let labels = ["-l", "owner=ann", "-l", "team=core"];
    lab.start("one", &[&HEALTH[..], &labels].concat());
    lab.docker.run(&["exec", "one", "touch", "/tmp/ok"]);
    lab.start("ends", &[&["-P"][..], &labels].concat());
    let keys = "healthcheck = 'check'\nrename = 'overlap 20s'";
    let (mut daemon, _folder) = lab.configured(&lifecycle(keys));
    lab.ids(&["testhost:ends:80", "testhost:one:80"]).await;
    assert!(daemon.terminate().await.success());

    // The ID stays, and the name changes: an agent has one name under an ID.
    let policy = after_registrator("convention", "convention", "");
    let renamed = format!("[lifecycle]\n{keys}\n{policy}");
    let (mut daemon, _folder) = lab.configured(&renamed);
    let [one, ends] = ["testhost:one:80", "testhost:ends:80"];
    let [old_one, old_ends] = [one, ends].map(|id| format!("{id}:was:web"));
    lab.ids(&[one, ends, &old_one, &old_ends]).await;
    assert_eq!(lab.service(&old_one).await["Service"], "web");
    until(SOON, "the new name", async || {
        let name = lab.service(one).await["Service"].clone();
        if name == "core-web" { Ok(()) } else { Err(name.to_string()) }
    })
    .await;
    let retires = lab.service(&old_one).await["Meta"]["wharfinger-retire-at"].clone();
    assert!(retires.is_string(), "{retires}");

    // Both have the container's health, and go with the container.
    for id in [one, &old_one] {
        checks(&lab, id, &[(&format!("wharfinger-health:{id}"), "passing")]).await;
    }
    lab.docker.run(&["rm", "-f", "ends"]);
    lab.ids(&[one, &old_one]).await;

    // The next daemon goes on where this one was, and then the old name goes.
    daemon.kill9();
    let (daemon, _folder) = lab.configured(&renamed);
    daemon.wait_for_log("Syncing services on 1 containers", SOON).await;
    assert_eq!(lab.service(&old_one).await["Meta"]["wharfinger-retire-at"], retires);
    lab.ids(&[one]).await;
    let over = humantime::parse_rfc3339(retires.as_str().expect("a time")).expect("a time");
    assert!(std::time::SystemTime::now() >= over, "{retires} has not come yet");
    assert!(!daemon.log().contains("kept for a while"), "{}", daemon.log());
}

/// Docker answers for a container that has died only when it has taken down the network. Until then
/// the service would be offered to clients; so it goes by the event.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_containers_service_goes_before_the_engine_answers_for_it() {
    const ROUNDS: usize = 11;
    let lab = Lab::new().await;
    let (_daemon, _folder) = lab.configured(BUILTIN);
    let (mut gone, mut answered) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("dies{round}");
        lab.start(&name, &["-P"]);
        let id = format!("testhost:{name}:80");
        lab.service(&id).await;
        let mut kill = lab.docker.docker(&["kill", &name]).spawn().expect("docker runs");
        let engine = async {
            while !lab.docker.run(&["inspect", "-f", "{{.State.Running}}", &name]).contains("false")
            {
            }
            SystemTime::now()
        };
        let catalog = async {
            while lab.consul.services().await.contains_key(&id) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            SystemTime::now()
        };
        let (gone_at, answered_at) = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let handle = tokio::runtime::Handle::current();
                let asked = scope.spawn(move || handle.block_on(engine));
                let catalog = tokio::runtime::Handle::current().block_on(catalog);
                (catalog, asked.join().expect("the engine answers"))
            })
        });
        kill.wait().expect("docker ends");
        let died = lab.docker.run(&["inspect", "-f", "{{.State.FinishedAt}}", &name]);
        let died = humantime::parse_rfc3339(died.trim()).expect("a time");
        let after = |at: SystemTime| at.duration_since(died).unwrap_or_default();
        gone.push(after(gone_at));
        answered.push(after(answered_at));
    }
    gone.sort();
    answered.sort();
    println!("after a death its service is gone in {gone:?}, and Docker answers in {answered:?}");
    assert!(gone[ROUNDS / 2] * 2 < answered[ROUNDS / 2], "{gone:?} {answered:?}");
}
