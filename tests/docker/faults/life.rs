//! The life of a container: after each thing that can happen to it, the catalog
//! is right.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::lab::{IP, Lab, SOON, ids, none};
use crate::common::{ports, wait::until};

/// How long the catalog is watched where nothing is to happen.
const WHILE: Duration = Duration::from_secs(1);

/// Lives until somebody makes the file /end, and then fails with this code.
const MORTAL: &str = "rm -f /end; while [ ! -e /end ]; do sleep 0.05; done; exit 3";

fn one(name: &str) -> BTreeSet<String> {
    ids([&name.to_string()])
}

impl Lab {
    /// Run a mortal container with a published port, and return the port.
    fn mortal(&self, name: &str, args: &[&str]) -> u16 {
        let [port] = ports::free::<1>();
        let publish = format!("{port}:80");
        let words = ["run", "-d", "--stop-signal=KILL", "--name", name, "-p", &publish];
        self.docker.run(&[&words, args, &["web:1", "sh", "-c", MORTAL]].concat());
        port
    }

    /// Run `docker` with these words; then exactly these are registered.
    async fn then(&self, words: &[&str], right: &BTreeSet<String>) {
        self.docker.run(words);
        self.sink.exactly(right, SOON).await;
        self.sink.stays(right, WHILE).await;
    }

    async fn service(&self, id: &str) -> Value {
        self.sink.consul.services().await[id].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_follows_a_container_through_its_life() {
    let lab = Lab::new().await;
    let _daemon = lab.daemon(&[]).await;
    let [port] = ports::free::<1>();
    let publish = format!("{port}:80");
    let create = ["create", "--stop-signal=KILL", "--name", "web", "-p", &publish];
    lab.then(&[&create[..], &["web:1", "sh", "-c", MORTAL]].concat(), &none()).await;
    let web = one("web");
    lab.then(&["start", "web"], &web).await;
    let registered = lab.service("testhost:web:80").await;
    assert_eq!((&registered["Address"], &registered["Port"]), (&IP.into(), &port.into()));
    // A paused container has its port, and comes back as if nothing had been.
    lab.then(&["pause", "web"], &web).await;
    lab.then(&["unpause", "web"], &web).await;
    assert_eq!(lab.sink.proxy.count(), 1);

    lab.then(&["restart", "-t", "0", "web"], &web).await;
    lab.then(&["kill", "web"], &none()).await;
    lab.then(&["start", "web"], &web).await;
    lab.then(&["stop", "web"], &none()).await;
    lab.then(&["start", "web"], &web).await;
    // It dies by itself, and with an error.
    lab.then(&["exec", "web", "touch", "/end"], &none()).await;
    lab.then(&["start", "web"], &web).await;
    lab.then(&["rename", "web", "named"], &one("named")).await;
    lab.then(&["stop", "named"], &none()).await;
    lab.then(&["rename", "named", "again"], &none()).await;
    lab.then(&["start", "again"], &one("again")).await;
    assert_eq!(lab.service("testhost:again:80").await["Port"], port);
    // Destroyed while it runs, and after it has ended.
    lab.then(&["rm", "-f", "again"], &none()).await;
    lab.mortal("second", &[]);
    lab.sink.exactly(&one("second"), SOON).await;
    lab.then(&["stop", "second"], &none()).await;
    lab.then(&["rm", "second"], &none()).await;

    // Removed by Docker as soon as it ends.
    lab.mortal("brief", &["--rm"]);
    lab.sink.exactly(&one("brief"), SOON).await;
    lab.then(&["exec", "brief", "touch", "/end"], &none()).await;
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_that_docker_sees_takes_nothing_out() {
    let lab = Lab::new().await;
    let _daemon = lab.daemon(&[]).await;
    let health = ["--health-cmd=test ! -e /ill", "--health-interval=200ms", "--health-retries=1"];
    lab.mortal("web", &health);
    for (words, status) in [
        (&["exec", "web", "true"][..], "healthy"),
        (&["exec", "web", "touch", "/ill"], "unhealthy"),
        (&["exec", "web", "rm", "/ill"], "healthy"),
    ] {
        lab.docker.run(words);
        until(SOON, status, async || {
            let inspected = lab.docker.inspect("web");
            let found = &inspected["State"]["Health"]["Status"];
            if found == status { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
        lab.sink.exactly(&one("web"), SOON).await;
        lab.sink.stays(&one("web"), WHILE).await;
    }
    let (registered, deregistered) = lab.sink.written(0);
    assert!(deregistered.is_empty(), "{deregistered:?}");
    // Bound: no more than one write for each status it has had.
    assert!(registered.len() <= 4, "{registered:?}");
    lab.sink.assert_foreign_untouched().await;
}

/// With `-internal`, a service has the address that its container has.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_changes_networks_is_registered_where_it_is() {
    let lab = Lab::new().await;
    let _daemon = lab.daemon(&["-internal"]).await;
    for network in ["first", "second"] {
        lab.docker.run(&["network", "create", network]);
    }
    lab.mortal("web", &["--network=first"]);
    lab.sink.exactly(&one("web"), SOON).await;
    let address = |network: &str| {
        let networks = lab.docker.inspect("web")["NetworkSettings"]["Networks"].clone();
        networks[network]["IPAddress"].as_str().unwrap_or_default().to_string()
    };
    let at = async |network: &str| {
        let address = address(network);
        assert!(!address.is_empty(), "no address in {network}");
        until(SOON, format!("registered at {address}"), async || {
            let found = lab.sink.consul.services().await["testhost:web:80"]["Address"].clone();
            if found == address.as_str() { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
    };
    at("first").await;
    lab.docker.run(&["network", "connect", "second", "web"]);
    lab.docker.run(&["network", "disconnect", "first", "web"]);
    at("second").await;
    lab.docker.run(&["network", "connect", "first", "web"]);
    lab.docker.run(&["network", "disconnect", "second", "web"]);
    at("first").await;
    // In no network it has no address, and nothing can be reached.
    lab.then(&["network", "disconnect", "first", "web"], &none()).await;
    lab.docker.run(&["network", "connect", "second", "web"]);
    lab.sink.exactly(&one("web"), SOON).await;
    at("second").await;
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_registered_while_it_runs_and_never_else() {
    let lab = Lab::new().await;
    let daemon = lab.daemon(&[]).await;
    // Dies three times, and lives.
    let recovers = "echo >> /lives; [ $(wc -l < /lives) -gt 3 ] || exit 1; exec sleep 1000000";
    let run = |name: &str, script: &str| {
        let words = ["run", "-d", "--network=host", "--restart=always", "--stop-signal=KILL"];
        lab.docker.run(&[&words[..], &["--name", name, "web:1", "sh", "-c", script]].concat());
    };
    let restarts = |name: &str| lab.docker.inspect(name)["RestartCount"].as_u64().expect("a count");
    run("recovers", recovers);
    until(SOON, "it has recovered", async || match restarts("recovers") {
        3 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    lab.sink.exactly(&one("recovers"), SOON).await;
    lab.sink.stays(&one("recovers"), WHILE).await;

    // Never lives long; between two lives it is not registered.
    run("crashes", "sleep 0.2; exit 1");
    until(SOON, "it has crashed often", async || match restarts("crashes") {
        5.. => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    // Docker's pause is more than three seconds by now.
    until(SOON, "it is down", async || {
        let status = lab.docker.inspect("crashes")["State"]["Status"].clone();
        if status == "restarting" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    lab.sink.exactly(&one("recovers"), Duration::from_secs(2)).await;
    let lives = usize::try_from(restarts("crashes") + 1).expect("few");
    lab.docker.run(&["stop", "crashes"]);
    lab.sink.exactly(&one("recovers"), SOON).await;
    lab.docker.run(&["rm", "crashes"]);
    lab.docker.run(&["rm", "-f", "recovers"]);
    lab.sink.exactly(&none(), SOON).await;
    lab.sink.stays(&none(), WHILE).await;

    // Bound: a life is one registration and one deregistration at most.
    let (registered, deregistered) = lab.sink.written(0);
    assert!(registered.len() <= 4 + lives + 1, "{registered:?}\n{}", daemon.log());
    assert!(deregistered.len() <= registered.len(), "{deregistered:?}");
    lab.sink.assert_foreign_untouched().await;
}
