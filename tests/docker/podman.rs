//! Guarantee: with Podman in Docker's place the catalog is as true. The life of
//! a container, its networks, and the restart of Podman's service are those of
//! `tests/docker/e2e.rs`; what Podman says in other words than Docker is in
//! `src/docker/podman.rs`.

use std::{fs, process::Stdio, time::Duration};

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    podman::Podman,
    wait::{holds, until},
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);
const WHILE: Duration = Duration::from_millis(1500);
const IP: &str = "192.0.2.10";

struct Lab {
    podman: Podman,
    consul: Consul,
}

impl Lab {
    async fn new() -> Self {
        let podman = Podman::start().await;
        let serve = "CMD [\"httpd\",\"-f\",\"-p\",\"80\",\"-h\",\"/www\"]";
        podman.import_busybox("web:1", &[serve, "EXPOSE 80"]);
        Self { podman, consul: Consul::start(consul::Options::default()).await }
    }

    fn daemon(&self, flags: &[&str]) -> Daemon {
        let uri = format!("consul://{}", self.consul.addr());
        let mut args = vec!["-ip", IP, "-hostname", "testhost"];
        args.extend(flags);
        args.push(&uri);
        Daemon::start(&args, &[("DOCKER_HOST", &self.podman.host())])
    }

    fn start(&self, name: &str, args: &[&str]) {
        self.run(name, &[args, &["web:1"]].concat());
    }

    /// Run a container with these arguments, the image and a command included.
    fn run(&self, name: &str, args: &[&str]) {
        let line = self.podman.arguments(name, args);
        self.podman.run(&line.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Wait until exactly these containers' port 80 is registered.
    async fn containers(&self, names: &[&str]) {
        let mut expected: Vec<_> = names.iter().map(|name| format!("testhost:{name}:80")).collect();
        expected.sort();
        until(SOON, format!("exactly {expected:?} in Consul"), async || {
            let mut ids: Vec<_> = self.consul.services().await.keys().cloned().collect();
            ids.sort();
            if ids == expected { Ok(()) } else { Err(format!("{ids:?}")) }
        })
        .await;
    }

    async fn stays(&self, name: &str) {
        let id = format!("testhost:{name}:80");
        holds(WHILE, format!("{id} stays in Consul"), async || {
            let services = self.consul.services().await;
            if services.contains_key(&id) { Ok(()) } else { Err(format!("{services:?}")) }
        })
        .await;
    }

    async fn address(&self, name: &str, expected: &Value) {
        let id = format!("testhost:{name}:80");
        until(SOON, format!("{id} at {expected}"), async || {
            let services = self.consul.services().await;
            let address = services.get(&id).map(|service| service["Address"].clone());
            if address.as_ref() == Some(expected) { Ok(()) } else { Err(format!("{address:?}")) }
        })
        .await;
    }

    /// The container's address in a network, as Podman says it.
    fn address_in(&self, name: &str, network: &str) -> Value {
        let networks = &self.podman.inspect(name)["NetworkSettings"]["Networks"];
        let address = networks[network]["IPAddress"].clone();
        assert!(address.as_str().is_some_and(|ip| !ip.is_empty()), "{networks}");
        address
    }
}

/// What a run must not have said. While Podman removes a container it may answer
/// with an error of its own that there is none; it is asked again.
fn check_log(daemon: &Daemon) {
    let log = daemon.log();
    for line in log.lines().filter(|line| !line.contains("no such container")) {
        for part in ["cannot bring", "panicked", "ERROR"] {
            assert!(!line.contains(part), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_container() {
    let lab = Lab::new().await;
    let run = |args: &[&str]| lab.podman.run(args);
    let mut daemon = lab.daemon(&[]);
    let check = ["--health-cmd", "test -e /tmp/well", "--health-interval", "disable"];
    let publish = ["-e", "SERVICE_NAME=files", "-p", "28000:80"];
    lab.start("one", &[publish.as_slice(), &check].concat());
    lab.containers(&["one"]).await;
    let service = &lab.consul.services().await["testhost:one:80"];
    assert_eq!(service["Service"], "files");
    assert_eq!((&service["Address"], &service["Port"]), (&IP.into(), &28000.into()));

    assert!(lab.podman.try_run(&["healthcheck", "run", "one"]).is_err());
    run(&["exec", "one", "touch", "/tmp/well"]);
    run(&["healthcheck", "run", "one"]);
    lab.stays("one").await;

    run(&["pause", "one"]);
    lab.stays("one").await;
    // The next daemon finds the paused container, and leaves all as it is.
    assert!(daemon.terminate().await.success());
    daemon = lab.daemon(&[]);
    daemon.wait_for_log("Syncing services on 1 containers", SOON).await;
    lab.stays("one").await;
    run(&["unpause", "one"]);
    lab.stays("one").await;

    run(&["stop", "--time=0", "one"]);
    lab.containers(&[]).await;
    run(&["start", "one"]);
    lab.containers(&["one"]).await;
    // Whether it is seen as gone for a moment is a matter of chance.
    run(&["restart", "--time=0", "one"]);
    lab.containers(&["one"]).await;
    lab.stays("one").await;
    run(&["kill", "one"]);
    lab.containers(&[]).await;
    run(&["start", "one"]);
    lab.containers(&["one"]).await;
    run(&["rename", "one", "other"]);
    lab.containers(&["other"]).await;
    run(&["rm", "--force", "--time=0", "other"]);
    lab.containers(&[]).await;

    lab.start("brief", &["--rm", "-p", "28001:80"]);
    lab.containers(&["brief"]).await;
    run(&["stop", "--time=0", "brief"]);
    lab.containers(&[]).await;
    check_log(&daemon);
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_takes_its_time_to_stop_is_there_until_it_ends() {
    let lab = Lab::new().await;
    let daemon = lab.daemon(&["-resync", "1"]);
    // Its first process ignores SIGTERM.
    lab.run("slow", &["-p", "28000:80", "web:1", "sleep", "1000"]);
    lab.containers(&["slow"]).await;
    let mut stop = lab.podman.client(&["stop", "--time=6", "slow"]);
    let mut stop = stop.stdout(Stdio::null()).spawn().expect("podman can be run");
    until(SOON, "Podman stops the container", async || {
        let state = lab.podman.inspect("slow")["State"]["Status"].clone();
        if state == "stopping" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let seen = daemon.lines();
    daemon.wait_for_log_after(seen, "Syncing services on", SOON).await;
    lab.stays("slow").await;
    let state = lab.podman.inspect("slow")["State"]["Status"].clone();
    assert_eq!(state, "stopping", "it ended before the look");
    lab.containers(&[]).await;
    assert!(stop.wait().expect("podman ends").success());
    check_log(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_come_and_go() {
    let lab = Lab::new().await;
    let run = |args: &[&str]| lab.podman.run(args);
    let config = lab.config("[address]\nnetworks = ['late', 'early']\n");
    let daemon = lab.daemon(&["-internal", "-config", &config]);
    run(&["network", "create", "early"]);
    run(&["network", "create", "late"]);
    lab.start("web", &["--network", "early"]);
    lab.address("web", &lab.address_in("web", "early")).await;
    run(&["network", "connect", "late", "web"]);
    lab.address("web", &lab.address_in("web", "late")).await;
    run(&["network", "disconnect", "late", "web"]);
    lab.address("web", &lab.address_in("web", "early")).await;

    // Podman says nothing of the ports that its image exposes.
    let shared = ["--network", "container:web", "-l", "wharfinger.port=80"];
    lab.run("shares", &[&shared[..], &["web:1", "sleep", "1000"]].concat());
    lab.address("shares", &lab.address_in("web", "early")).await;
    lab.start("open", &["--network", "host", "-l", "wharfinger.port=80"]);
    lab.address("open", &IP.into()).await;
    lab.start("shut", &["--network", "none", "-l", "wharfinger.port=80"]);
    daemon.wait_for_log("port 80 cannot be reached: the container has no network", SOON).await;
    lab.containers(&["web", "shares", "open"]).await;

    // What shares a network goes where its owner goes.
    run(&["network", "connect", "late", "web"]);
    lab.address("shares", &lab.address_in("web", "late")).await;
    run(&["network", "disconnect", "late", "web"]);
    lab.address("shares", &lab.address_in("web", "early")).await;
    run(&["stop", "--time=0", "web"]);
    lab.containers(&["open"]).await;
    run(&["start", "web"]);
    lab.containers(&["web", "shares", "open"]).await;
    lab.address("shares", &lab.address_in("web", "early")).await;
    run(&["kill", "web"]);
    lab.containers(&["open"]).await;
    check_log(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_may_end_and_come_back() {
    let mut lab = Lab::new().await;
    let mut daemon = lab.daemon(&[]);
    lab.start("stays", &["-p", "28000:80"]);
    lab.start("goes", &["-p", "28001:80"]);
    lab.containers(&["stays", "goes"]).await;
    let seen = daemon.lines();
    lab.podman.stop().await;
    daemon.wait_for_log_after(seen, "connecting again", SOON).await;
    // Nothing can be read, and so nothing goes.
    lab.podman.run_locally(&["kill", "goes"]);
    let line = lab.podman.arguments("comes", &["-p", "28002:80", "web:1"]);
    lab.podman.run_locally(&line.iter().map(String::as_str).collect::<Vec<_>>());
    lab.stays("goes").await;
    lab.podman.resume().await;
    lab.containers(&["stays", "comes"]).await;
    lab.podman.run(&["stop", "--time=0", "stays"]);
    lab.containers(&["comes"]).await;
    assert!(daemon.is_running());
}

impl Lab {
    /// A configuration file, in a folder that lives as long as the lab.
    fn config(&self, text: &str) -> String {
        let file = self.podman.socket().with_file_name("wharfinger.toml");
        fs::write(&file, text).expect("the file is written");
        file.display().to_string()
    }
}
