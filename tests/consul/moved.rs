//! Guarantee: a changed file changes the host's own layer below its policy, and where the policy is
//! taken from; one that is wrong changes neither, and what is in force stays so.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use wharfinger::policy::{Bundle, archive};

use crate::common::{
    bundles::Bundles,
    consul::{Consul, Options},
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    looker::start,
    plugin,
    wait::{holds, until},
};

const SOON: Duration = Duration::from_secs(120);

struct Host {
    bundles: Bundles,
    consul: Consul,
    docker: FakeDocker,
}

impl Host {
    async fn new() -> Self {
        let docker = FakeDocker::start(Activity::default());
        for n in 0..4 {
            start(&docker, &format!("c{n}"), n + 1, &[("owner", "ann")]);
        }
        let consul = Consul::start(Options::default()).await;
        Self { bundles: Bundles::new(), consul, docker }
    }

    /// The host's file, with stages of its own.
    fn file(&self, source: &str, own: &str) -> String {
        self.bundles.host(source, own, "")
    }

    fn daemon(&self, file: &str) -> Daemon {
        let uri = format!("consul://{}", self.consul.addr());
        let args = ["run", "--config", file, "--ip", "192.0.2.10", "--hostname", "testhost", &uri];
        let docker = self.docker.host();
        let cache = self.bundles.at("cache").display().to_string();
        Daemon::start(&args, &[("DOCKER_HOST", &docker), ("WHARFINGER_CACHE_DIR", &cache)])
    }

    /// A bundle is what the document of a key asks for.
    async fn say(&self, key: &str, bundle: &Bundle) {
        let path = self.bundles.at(&format!("{}.bundle", bundle.digest.hex()));
        fs::write(&path, archive::write(bundle)).expect("written");
        let document = json!({
            "version": 1,
            "bundle": { "digest": bundle.digest, "from": format!("file://{}", path.display()) },
            "rollout": {
                "id": bundle.digest, "waves": "100%", "pause": "0s", "halt-when": "refused > 0",
                "state": "running", "started": "2026-01-01T00:00:00Z", "by": "ann",
            },
        });
        self.consul.put(&format!("/v1/kv/{key}"), &document).await;
    }

    /// All containers have a service with exactly these tags, in some order.
    async fn state(&self, tags: &[&str]) -> Result<(), String> {
        let services = self.consul.services().await;
        let ours = services.values().filter(|one| one["Meta"]["wharfinger-host"].is_string());
        let found: Vec<Vec<_>> = ours
            .map(|one| {
                let tags = one["Tags"].as_array().into_iter().flatten();
                let mut tags: Vec<_> = tags.filter_map(Value::as_str).collect();
                tags.sort_unstable();
                tags
            })
            .collect();
        let right = found.len() == 4 && found.iter().all(|found| found == tags);
        if right { Ok(()) } else { Err(format!("{found:?}")) }
    }

    async fn tagged(&self, tags: &[&str]) {
        until(SOON, format!("all have {tags:?}"), async || self.state(tags).await).await;
    }

    async fn stays(&self, tags: &[&str]) {
        let time = Duration::from_secs(3);
        holds(time, "what is in force stays", async || self.state(tags).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_keeps_the_policy_above_it_and_says_where_it_comes_from() {
    let host = Host::new().await;
    let all: Vec<_> = (1..=6).map(|n| host.bundles.version(n)).collect();
    let [one, two, three, four, five, six] = &all[..] else { panic!("six") };
    host.say("wharfinger/prod", one).await;
    host.say("wharfinger/next", two).await;
    let file = host.file("consul-kv://wharfinger/prod", "");
    let mut daemon = host.daemon(&file);
    host.tagged(&["v1"]).await;

    // Another stage of the host's own, below the policy, which stays.
    let own = format!(
        "[[pipeline]]\nname = 'own'\nfile = {:?}\nsettings = {{ tag = 'own' }}\n",
        plugin("convention")
    );
    host.file("consul-kv://wharfinger/prod", &own);
    daemon.signal("HUP");
    host.tagged(&["own", "v1"]).await;
    assert!(!daemon.log().contains("needs a restart"), "{}", daemon.log());

    // Elsewhere, with the host's own stage as it is.
    host.file("consul-kv://wharfinger/next", &own);
    daemon.signal("HUP");
    host.tagged(&["own", "v2"]).await;
    let moved = "the policy is taken from consul-kv://wharfinger/next from now on";
    daemon.wait_for_log(moved, SOON).await;
    // Nobody asks the former place any more, and what the new one says counts.
    host.say("wharfinger/prod", three).await;
    host.stays(&["own", "v2"]).await;
    host.say("wharfinger/next", four).await;
    host.tagged(&["own", "v4"]).await;

    // What makes no sense, or cannot be read, is not in force: the former place still counts.
    let mut newest = five;
    for (source, key, said) in [
        ("nonsense://wharfinger/next", "ops.pub", "policy.source"),
        ("consul-kv://", "ops.pub", "policy.source"),
        ("oci://registry/UPPER", "ops.pub", "policy.source"),
        ("consul-kv://wharfinger/prod", "nosuch.pub", "policy.trust.keys"),
    ] {
        let seen = daemon.lines();
        let text = format!(
            "{own}[policy]\nsource = {source:?}\nstore = 'store'\npoll = '1s'\n[policy.trust]\nkeys = \
             [{{ name = 'ops', file = '{key}' }}]\n"
        );
        host.bundles.write(&text);
        daemon.signal("HUP");
        let line = daemon.wait_for_log_after(seen, "not reloaded", SOON).await;
        assert!(line.contains(said), "{source}: {line}");
        let (_, asked) = (host.stays(&["own", "v4"]).await, daemon.log());
        assert!(!asked.contains("is taken from nonsense"), "{asked}");
    }
    host.say("wharfinger/next", newest).await;
    host.tagged(&["own", "v5"]).await;
    newest = six;

    // A place where nothing is yet: what is in force stays, and is told of.
    let seen = daemon.lines();
    host.file("consul-kv://wharfinger/later", &own);
    daemon.signal("HUP");
    daemon.wait_for_log_after(seen, "the policy's source cannot be read", SOON).await;
    host.stays(&["own", "v5"]).await;
    host.say("wharfinger/later", newest).await;
    host.tagged(&["own", "v6"]).await;
    // A file, which is no newer; nothing older comes back by another place.
    host.bundles.offer_bundle(one);
    let seen = daemon.lines();
    host.file(&format!("file://{}", host.bundles.at("prod.bundle").display()), &own);
    daemon.wait_for_log_after(seen, "sequence 1 is older than 6", SOON).await;
    host.stays(&["own", "v6"]).await;
    // Without a source it is the next start that counts, and the place goes on to be followed.
    let seen = daemon.lines();
    host.bundles.write(&own);
    daemon.signal("HUP");
    daemon.wait_for_log_after(seen, "needs a restart to take effect", SOON).await;
    host.stays(&["own", "v6"]).await;
    assert!(daemon.terminate().await.success());

    // The next start has all of it.
    host.file("consul-kv://wharfinger/later", &own);
    let daemon = host.daemon(&file);
    daemon.wait_for_log("the policy prod 6 is in force", SOON).await;
    host.tagged(&["own", "v6"]).await;
}
