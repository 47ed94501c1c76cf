//! Guarantee: whatever answers in Docker's place, the daemon neither runs out of memory
//! nor hangs, what is registered stays, other containers are registered, and SIGTERM is
//! obeyed within the grace period.

use std::time::{Duration, Instant};

use crate::common::{
    corpus,
    daemon::Daemon,
    fake_docker::{FakeDocker, Way},
    http::Activity,
    recording_consul::RecordingConsul,
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
/// All grace periods together, and a little for a busy machine.
const GRACE: Duration = Duration::from_secs(12);
/// What the daemon may have more than without a stranger, in KiB.
const MORE: u64 = 64 * 1024;

/// A running container as `docker inspect` prints it.
fn inspected(number: usize, name: &str) -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut value = case.expect("the case is part of the corpus").inspected().remove(0);
    value["Id"] = json!(format!("{number:064x}"));
    value["Name"] = json!(format!("/{name}"));
    value["State"]["Running"] = json!(true);
    value
}

fn event(number: usize) -> Value {
    json!({ "Type": "container", "Action": "start", "Actor": { "ID": format!("{number:064x}") } })
}

struct Lab {
    docker: FakeDocker,
    consul: RecordingConsul,
    daemon: Daemon,
}

impl Lab {
    /// A daemon that has registered a container.
    async fn start(args: &[&str]) -> Self {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = RecordingConsul::start(activity, Vec::new()).await;
        docker.set("good", Some(inspected(1, "good")));
        let line = ["--hostname", "testhost", "-ip", "192.0.2.1"];
        let uri = consul.uri();
        let words = [args, &line, &[&uri]].concat();
        let daemon = Daemon::start(&words, &[("DOCKER_HOST", &docker.host())]);
        let lab = Self { docker, consul, daemon };
        lab.registered("good").await;
        wait::until(SOON, "the daemon listens", async || match lab.docker.listeners() {
            0 => Err("nobody listens".to_string()),
            _ => Ok(()),
        })
        .await;
        lab
    }

    async fn registered(&self, name: &str) {
        let part = format!(":{name}:");
        wait::until(SOON, format!("{name} is registered"), async || {
            let ids = self.consul.ids();
            if ids.iter().any(|id| id.contains(&part)) { Ok(()) } else { Err(format!("{ids:?}")) }
        })
        .await;
    }

    /// How long SIGTERM takes.
    async fn stop(&mut self, what: &str) -> Duration {
        let began = Instant::now();
        self.daemon.terminate().await;
        let took = began.elapsed();
        assert!(took < GRACE, "{what}: {took:?}");
        took
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_one_container_costs_nobody_else_anything() {
    for way in [
        Way::Endless(r#"{"Id":""#, "x"),
        Way::Endless("", " "),
        Way::Endless(r#"{"Config":{"Env":["#, "\"\","),
        Way::Endless("", "["),
        Way::Drip("{"),
        Way::Hang,
        Way::Head,
        Way::Refuse,
    ] {
        let mut lab = Lab::start(&[]).await;
        let before = lab.daemon.memory_kib("VmRSS");
        lab.docker.misbehave(&format!("{:064x}/json", 2), Some(way));
        for n in 0..3 {
            lab.docker.send(&event(2));
            let (number, name) = (10 + n, format!("late-{n}"));
            lab.docker.set(&name, Some(inspected(number, &name)));
            lab.docker.send(&event(number));
            lab.registered(&name).await;
        }
        let peak = lab.daemon.memory_kib("VmHWM");
        let took = lab.stop(&format!("{way:?}")).await;
        println!("{way:?}: {before} KiB before, {peak} KiB at the most, SIGTERM {took:?}");
        assert!(peak < before + MORE, "{way:?}: {peak} KiB");
        assert_eq!(lab.consul.ids().len(), 4, "{way:?}: {:?}", lab.consul.ids());
    }
}

/// A template of `-tags` is the operator's, and what it is rendered over is the container's.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_over_a_large_container_costs_nobody_else_anything() {
    // For each variable, all of them: quick for a usual container.
    let all = r#"{{range .Config.Env}}{{replace -1 "a" "b" (join "," $.Config.Env)}}{{end}}"#;
    // (variables, bytes of each): many, large ones, and more than a template is rendered over.
    for (count, size) in [(20_000, 80), (2, 900_000), (4, 900_000)] {
        let mut lab = Lab::start(&["-tags", all]).await;
        let before = lab.daemon.memory_kib("VmRSS");
        let mut fat = inspected(2, "fat");
        fat["Config"]["Env"] = (0..count).map(|n| format!("V{n}={}", "a".repeat(size))).collect();
        lab.docker.set("fat", Some(fat));
        lab.docker.send(&event(2));
        for n in 0..3 {
            let (number, name) = (10 + n, format!("late-{n}"));
            lab.docker.set(&name, Some(inspected(number, &name)));
            lab.docker.send(&event(number));
            lab.registered(&name).await;
        }
        lab.daemon.wait_for_log("the template of -tags failed", SOON).await;
        let peak = lab.daemon.memory_kib("VmHWM");
        let took = lab.stop(&format!("{count} x {size}")).await;
        println!("{count} x {size}: {before} KiB before, {peak} KiB at the most, SIGTERM {took:?}");
        assert!(peak < before + MORE, "{count} x {size}: {peak} KiB");
        assert_eq!(lab.consul.ids().len(), 4, "{count} x {size}: {:?}", lab.consul.ids());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_takes_nothing_out() {
    for way in [
        Way::Endless(r#"[{"Id":""#, "x"),
        Way::Endless("[", r#"{"Id":"0123456789ab"},"#),
        Way::Endless("[{},", "{},"),
        Way::Endless("[]", " "),
        Way::Endless("[", "["),
        Way::Drip("["),
        Way::Refuse,
    ] {
        let mut lab = Lab::start(&[]).await;
        let before = lab.daemon.memory_kib("VmRSS");
        lab.docker.misbehave("/containers/json", Some(way));
        // Everything is to be looked at, which takes the list.
        lab.docker.send_raw("junk\n");
        lab.daemon.wait_for_log("Docker is not understood", SOON).await;
        lab.docker.set("late", Some(inspected(3, "late")));
        lab.docker.send(&event(3));
        lab.registered("late").await;
        let peak = lab.daemon.memory_kib("VmHWM");
        let took = lab.stop(&format!("{way:?}")).await;
        println!("{way:?}: {before} KiB before, {peak} KiB at the most, SIGTERM {took:?}");
        assert!(peak < before + MORE, "{way:?}: {peak} KiB");
        assert_eq!(lab.consul.ids().len(), 2, "{way:?}: {:?}", lab.consul.ids());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_junk_line_costs_a_full_look_and_not_the_stream() {
    let mut lab = Lab::start(&[]).await;
    for (n, junk) in [
        "junk\n",
        "{\n",
        "{}\n",
        "\u{1b}[31m\n",
        "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"a\\nb\"}}\n",
    ]
    .into_iter()
    .enumerate()
    {
        // It starts without an event of its own.
        let name = format!("silent-{n}");
        lab.docker.set(&name, Some(inspected(20 + n, &name)));
        lab.docker.send_raw(junk);
        lab.registered(&name).await;
    }
    assert!(!lab.daemon.log().contains("connecting again"), "{}", lab.daemon.log());
    // However much of it comes, a container's own event is heard.
    lab.docker.send_raw(&"junk\n".repeat(900));
    lab.docker.set("late", Some(inspected(40, "late")));
    lab.docker.send(&event(40));
    lab.registered("late").await;
    let said = lab.daemon.log().matches("Docker is not understood").count();
    assert!(said <= 7, "{said} warnings");
    lab.stop("junk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_no_events_is_given_up_and_opened_again() {
    for way in [
        Way::Endless("", "x"),
        Way::Endless("", "junk\n"),
        Way::Endless("{\"Type\":\"", "\\\\"),
        Way::Endless("", "\n"),
        Way::Endless("", "{\"Type\":\"image\"}\n"),
        Way::Drip("x"),
        Way::Head,
        Way::Hang,
    ] {
        let mut lab = Lab::start(&[]).await;
        let before = lab.daemon.memory_kib("VmRSS");
        let inspections = lab.docker.inspections(&format!("{:064x}", 1));
        lab.docker.misbehave("/events", Some(way));
        lab.docker.set("late", Some(inspected(3, "late")));
        // The stream that is open ends with a line that has none, as a proxy may do it.
        let end = "x".repeat(80 << 20);
        lab.docker.send_raw(&end);
        lab.daemon.wait_for_log("lost Docker's events", SOON).await;
        lab.registered("late").await;
        assert!(lab.docker.inspections(&format!("{:064x}", 1)) > inspections);
        let peak = lab.daemon.memory_kib("VmHWM");
        let took = lab.stop(&format!("{way:?}")).await;
        println!("{way:?}: {before} KiB before, {peak} KiB at the most, SIGTERM {took:?}");
        assert!(peak < before + MORE, "{way:?}: {peak} KiB");
        assert_eq!(lab.consul.ids().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_waits_for_its_first_answer_obeys_sigterm() {
    for (path, way) in [
        ("/version", Way::Hang),
        ("/version", Way::Drip("{")),
        ("/version", Way::Head),
        ("/info", Way::Hang),
        ("/containers/json", Way::Drip("[")),
        ("/events", Way::Hang),
    ] {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        docker.misbehave(path, Some(way));
        let host = docker.host();
        let words = ["--hostname", "testhost", "-ip", "192.0.2.1", "memory://"];
        let mut daemon = Daemon::start(&words, &[("DOCKER_HOST", &host)]);
        daemon.wait_for_log("Using memory adapter", SOON).await;
        let began = Instant::now();
        daemon.terminate().await;
        let took = began.elapsed();
        println!("{path} {way:?}: SIGTERM {took:?}");
        assert!(took < GRACE, "{path} {way:?}: {took:?}");
    }
}
