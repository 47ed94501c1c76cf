//! Guarantee: a host takes its policy by a document in Consul's KV, keeps what it has while there is
//! no Consul, no leader or no sensible document, and loses nothing from the catalog when it is
//! killed while it takes one over; and nobody who can only write to KV brings an old policy back.

use std::{process::Command, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use wharfinger::policy::{Bundle, archive};

use crate::common::{
    bundles::Bundles,
    consul::{Consul, Options},
    corpus,
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    wait::{holds, until},
};

const SOON: Duration = Duration::from_secs(120);
const COUNT: usize = 6;
const KEY: &str = "wharfinger/prod";

/// A host with containers that have an owner, and one that has none, which the policy vetoes.
struct Host {
    bundles: Bundles,
    docker: FakeDocker,
    consul: Consul,
    file: String,
}

impl Host {
    async fn new() -> Self {
        let docker = FakeDocker::start(Activity::default());
        let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
        let base = case.expect("the case is part of the corpus").inspected().remove(0);
        for n in 0..=COUNT {
            let (mut one, name) = (base.clone(), format!("c{n}"));
            one["Id"] = json!(format!("{n:064}"));
            one["Name"] = json!(format!("/{name}"));
            let owner = if n == COUNT { json!({}) } else { json!({"owner": "ann"}) };
            one["Config"]["Labels"] = owner;
            docker.set(&name, Some(one));
        }
        let bundles = Bundles::new();
        let file = bundles.host(&format!("consul-kv://{KEY}"), "", "");
        Self { bundles, docker, consul: Consul::start(Options::default()).await, file }
    }

    fn daemon(&self) -> Daemon {
        let uri = format!("consul://{}", self.consul.addr());
        let args = ["run", "--config", &self.file, "--ip", "192.0.2.10", "--hostname", "testhost"];
        let docker = self.docker.host();
        let cache = self.bundles.at("cache").display().to_string();
        let env = [("DOCKER_HOST", docker.as_str()), ("WHARFINGER_CACHE_DIR", cache.as_str())];
        Daemon::start(&[&args[..], &[&uri]].concat(), &env)
    }

    /// Put a bundle into a file, and tell where it is.
    fn in_file(&self, bundle: &Bundle) -> Value {
        let path = self.bundles.at(&format!("{}.bundle", bundle.digest.hex()));
        std::fs::write(&path, archive::write(bundle)).expect("written");
        json!({ "digest": bundle.digest, "from": format!("file://{}", path.display()) })
    }

    /// Put a bundle into KV, and tell where it is.
    async fn in_kv(&self, bundle: &Bundle) -> Value {
        let key = format!("wharfinger/bundles/{}", bundle.digest.hex());
        let url = format!("http://{}/v1/kv/{key}", self.consul.addr());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let put = client.put(url).body(archive::write(bundle)).send().await.expect("answered");
        assert!(put.status().is_success(), "{}", put.status());
        json!({ "digest": bundle.digest, "from": format!("consul-kv://{key}") })
    }

    async fn say(&self, state: &str, bundle: &Value, before: Option<&Value>) {
        self.put(state, bundle, before, false).await;
    }

    async fn shadow(&self, bundle: &Value, before: &Value) {
        self.put("running", bundle, Some(before), true).await;
    }

    async fn put(&self, state: &str, bundle: &Value, before: Option<&Value>, monitor: bool) {
        let mut document = json!({
            "version": 1,
            "bundle": bundle,
            "rollout": {
                "id": format!("{state} {}", bundle["digest"]),
                "waves": "100%", "pause": "0s", "halt-when": "refused > 0", "state": state,
                "monitor": monitor,
                "started": "2026-01-01T00:00:00Z", "by": "ann",
            },
        });
        if let Some(before) = before {
            document["before"] = before.clone();
        }
        self.consul.put(&format!("/v1/kv/{KEY}"), &document).await;
    }

    /// Whether exactly the services that are to be there are, all with this tag.
    async fn state(&self, tag: Option<&str>) -> Result<(), String> {
        let services = self.consul.send(Method::GET, "/v1/agent/services", &Value::Null).await?;
        let mut services = services.as_object().cloned().unwrap_or_default();
        // The daemon registers itself, too.
        services.remove("wharfinger-testhost");
        let mut ids: Vec<_> = services.keys().cloned().collect();
        ids.sort();
        let wanted: Vec<_> = (0..COUNT).map(|n| format!("testhost:c{n}:80")).collect();
        if ids != wanted {
            return Err(format!("{ids:?}"));
        }
        let wrong =
            services.values().find(|one| tag.is_some_and(|tag| one["Tags"] != json!([tag])));
        wrong.map_or(Ok(()), |one| Err(format!("{}", one["Tags"])))
    }

    async fn tagged(&self, tag: &str) {
        until(SOON, format!("all have the tag {tag}"), async || self.state(Some(tag)).await).await;
    }

    async fn stays(&self, tag: &str) {
        let time = Duration::from_secs(2);
        holds(time, "what is in force stays", async || self.state(Some(tag)).await).await;
    }
}

/// What `wharfinger status` prints.
fn status(daemon: &Daemon) -> String {
    let socket = daemon.dir().join("control.sock");
    let mut command = Command::new(Daemon::binary());
    let output = command.arg("status").arg("--control").arg(socket).output();
    String::from_utf8_lossy(&output.expect("the program runs").stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_brings_a_policy_and_takes_it_back_and_no_older_one() {
    let host = Host::new().await;
    let [five, six, seven, eight] = [5, 6, 7, 8].map(|n| host.bundles.version(n));
    let mut daemon = host.daemon();
    daemon.wait_for_log("containers keep what they have", SOON).await;
    daemon.wait_for_log("there is no key", SOON).await;
    let of_six = host.in_kv(&six).await;
    host.say("running", &of_six, None).await;
    host.tagged("v6").await;
    let of_seven = host.in_file(&seven);
    host.say("running", &of_seven, Some(&of_six)).await;
    host.tagged("v7").await;

    // What is no document, a bundle that is another one or is nowhere, an older one.
    let of_five = host.in_file(&five);
    let swapped = json!({ "digest": eight.digest, "from": of_five["from"] });
    let nowhere = json!({ "digest": eight.digest, "from": "consul-kv://wharfinger/none" });
    let elsewhere = json!({ "digest": eight.digest, "from": "https://example.test/x" });
    for (document, said) in [
        (json!("nonsense"), "it is no rollout's document"),
        (json!({ "version": 2 }), "it is of version 2"),
        (swapped, "which is not what was asked for"),
        (nowhere, "there is no such key"),
        (elsewhere, "is neither file:///"),
        (of_six.clone(), "sequence 6 is older than 7"),
        (of_five.clone(), "sequence 5 is older than 7"),
    ] {
        let seen = daemon.lines();
        match document["digest"].is_string() {
            true => host.say("running", &document, None).await,
            false => drop(host.consul.put(&format!("/v1/kv/{KEY}"), &document).await),
        }
        daemon.wait_for_log_after(seen, said, SOON).await;
        host.stays("v7").await;
    }
    // A key that is deleted, and halted ones, change nothing either.
    let seen = daemon.lines();
    let path = format!("/v1/kv/{KEY}");
    host.consul.send(Method::DELETE, &path, &Value::Null).await.expect("deleted");
    daemon.wait_for_log_after(seen, "there is no key", SOON).await;
    host.stays("v7").await;
    let of_eight = host.in_file(&eight);
    host.say("halted", &of_eight, Some(&of_seven)).await;
    daemon.wait_for_log_after(seen, "the rollout is halted", SOON).await;
    host.stays("v7").await;

    // By abortion only the one before comes back, and one step alone.
    let seen = daemon.lines();
    host.say("aborted", &of_seven, Some(&of_five)).await;
    daemon.wait_for_log_after(seen, "not what this host had before", SOON).await;
    host.stays("v7").await;
    host.say("aborted", &of_seven, Some(&of_six)).await;
    host.tagged("v6").await;
    let seen = daemon.lines();
    host.say("aborted", &of_six, Some(&of_five)).await;
    daemon.wait_for_log_after(seen, "not what this host had before", SOON).await;
    host.stays("v6").await;
    // A shadow is tried out and told of, and nothing more.
    host.shadow(&of_eight, &of_six).await;
    until(SOON, "it is tried out", async || {
        let said = status(&daemon);
        if said.contains("was tried out and would do") { Ok(()) } else { Err(said) }
    })
    .await;
    host.stays("v6").await;
    host.say("running", &of_eight, Some(&of_six)).await;
    host.tagged("v8").await;
    assert!(daemon.terminate().await.success());
}

/// Whatever was rolled out or taken back meanwhile, it has by its return what the others have, in one step.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_away_comes_back_to_what_holds_by_then() {
    let host = Host::new().await;
    let [six, seven, eight, nine, ten] = [6, 7, 8, 9, 10].map(|n| host.bundles.version(n));
    let [six, seven, eight, nine, ten] = [six, seven, eight, nine, ten].map(|n| host.in_file(&n));
    host.say("running", &six, None).await;
    let mut daemon = host.daemon();
    host.tagged("v6").await;
    for (documents, before, tag, never) in [
        // Two rollouts later.
        (&[("running", &seven, &six), ("running", &eight, &seven)][..], 6, "v8", 7),
        // One was begun, and taken back.
        (&[("running", &nine, &eight), ("aborted", &nine, &eight)], 8, "v8", 9),
        // One was whole, and the next one taken back to it.
        (&[("running", &nine, &eight), ("aborted", &ten, &nine)], 8, "v9", 10),
    ] {
        daemon.kill9();
        for (state, bundle, to) in documents {
            host.say(state, bundle, Some(to)).await;
        }
        // What it had registered is there while it is away.
        host.stays(&format!("v{before}")).await;
        daemon = host.daemon();
        daemon.wait_for_log(&format!("the policy prod {before} is in force"), SOON).await;
        host.tagged(tag).await;
        host.stays(tag).await;
        let log = daemon.log();
        assert!(!log.contains(&format!("the policy prod {never} is in force")), "{log}");
    }
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_consul_the_last_good_policy_is_in_force() {
    let mut host = Host::new().await;
    let [seven, eight] = [7, 8].map(|n| host.bundles.version(n));
    let of_seven = host.in_file(&seven);
    host.say("running", &of_seven, None).await;
    let mut daemon = host.daemon();
    host.tagged("v7").await;

    // The agent goes, and comes back with an index that begins anew and without a document.
    host.consul.restart_empty().await;
    daemon.wait_for_log("the policy's source cannot be read", SOON).await;
    host.tagged("v7").await;
    let of_eight = host.in_kv(&eight).await;
    host.say("running", &of_eight, Some(&of_seven)).await;
    host.tagged("v8").await;

    // A start without it.
    daemon.kill9();
    host.consul.stop().await;
    let mut daemon = host.daemon();
    daemon.wait_for_log("the policy prod 8 is in force", SOON).await;
    host.consul.restart_empty().await;
    host.tagged("v8").await;
    assert!(!daemon.log().contains("containers keep what they have"), "{}", daemon.log());
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_while_it_takes_a_policy_over_loses_nothing() {
    let host = Host::new().await;
    let mut before = host.in_file(&host.bundles.version(1));
    host.say("running", &before, None).await;
    let mut daemon = host.daemon();
    host.tagged("v1").await;
    for round in 0..12_u64 {
        let next = host.in_file(&host.bundles.version(round + 2));
        host.say("running", &next, Some(&before)).await;
        // Somewhere in the middle of it, another place each time.
        tokio::time::sleep(Duration::from_millis(round * 23)).await;
        daemon.kill9();
        host.state(None).await.unwrap_or_else(|state| panic!("round {round}: {state}"));
        daemon = host.daemon();
        daemon.wait_for_log("is in force", SOON).await;
        before = next;
    }
    host.tagged("v13").await;
    assert!(daemon.terminate().await.success());
}
