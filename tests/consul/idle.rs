//! Guarantee: daemons that follow a policy and have nothing to do write nothing to Consul's Raft log, of
//! which each entry is a write to the disks of all servers, however often they look; what their checks
//! are told stays with the agents.

use std::{fs, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use wharfinger::policy::archive;

use crate::{
    common::{
        bundles::Bundles,
        consul::{Consul, Options},
        daemon::Daemon,
        fake_docker::FakeDocker,
        http::Activity,
        looker::start,
        wait::until,
    },
    member::SOON,
};

const HOSTS: usize = 8;
const CONTAINERS: usize = 3;
const KEY: &str = "wharfinger/prod";
/// The time between two resyncs here, where it is a minute on a host that follows `-resync 60`.
const RESYNC: &str = "1";
/// How long nobody does anything: longer than the TTL of the daemons' own checks, and of a report to
/// those of containers.
const IDLE: Duration = Duration::from_secs(45);

/// The number of the last entry of the log.
async fn entries(consul: &Consul) -> Result<u64, String> {
    let all = consul.send(Method::GET, "/v1/agent/self", &Value::Null).await?;
    let index = all["Stats"]["raft"]["last_log_index"].as_str().and_then(|n| n.parse().ok());
    index.ok_or_else(|| format!("{}", all["Stats"]["raft"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_daemons_with_a_policy_write_nothing_to_raft() {
    // Those of the agent itself, which has nothing to do with us.
    let config = json!({"disable_coordinates": true}).to_string();
    let options = Options { config: vec![("idle.json".into(), config)], ..Options::default() };
    let consul = Consul::start(options).await;
    let bundles = Bundles::new();
    let policy = bundles.version(1);
    let file = bundles.at("one.bundle");
    fs::write(&file, archive::write(&policy)).expect("it is written");
    let document = json!({
        "version": 1,
        "bundle": { "digest": policy.digest, "from": format!("file://{}", file.display()) },
        "rollout": {
            "id": "a", "waves": "1,100%", "pause": "0s", "halt-when": "refused > 0",
            "state": "running", "started": "2026-01-01T00:00:00Z", "by": "ann",
        },
    });
    consul.put(&format!("/v1/kv/{KEY}"), &document).await;
    let mut hosts = Vec::new();
    for n in 0..HOSTS {
        let name = format!("host-{n}");
        let docker = FakeDocker::start(Activity::default());
        docker.identify(&name);
        for number in 1..=CONTAINERS {
            let labels = [("owner", "ann"), ("SERVICE_CHECK_TTL", "30s")];
            start(&docker, &format!("c{number}"), number, &labels);
        }
        let folder = bundles.at(&name);
        fs::create_dir(&folder).expect("a folder");
        let text = format!(
            "[registrator]\nresync = '{RESYNC}s'\n[lifecycle]\nheartbeat = true\n\
             [policy]\nsource = 'consul-kv://{KEY}'\nstore = 'store'\npoll = '1s'\n\
             [policy.trust]\nkeys = [{{ name = 'ops', file = {:?} }}]\n",
            bundles.at("ops.pub")
        );
        let file = folder.join("wharfinger.toml").display().to_string();
        fs::write(&file, text).expect("it is written");
        let uri = format!("consul://{}", consul.addr());
        let args = ["run", "-ip", "192.0.2.10", "--hostname", &name, "--config", &file, &uri];
        let (at, cache) = (docker.host(), bundles.at("cache").display().to_string());
        let daemon =
            Daemon::start(&args, &[("DOCKER_HOST", &at), ("WHARFINGER_CACHE_DIR", &cache)]);
        hosts.push((docker, daemon));
    }
    // Everything is there and well: services with their tag, and all checks.
    let settled = async || {
        let services = consul.services().await;
        let ours = services.values().filter(|one| one["Tags"] == json!(["v1"])).count();
        let checks = consul.checks().await;
        let well = checks.values().filter(|check| check["Status"] == "passing").count();
        let daemons = consul.health("wharfinger").await;
        let have = daemons.iter().filter(|one| {
            one["Service"]["Meta"]["bundle"] == json!(policy.digest)
                && one["Service"]["Meta"]["services"] == json!(CONTAINERS.to_string())
        });
        let found = (ours, well, checks.len(), have.count());
        let all = HOSTS * CONTAINERS;
        match found == (all, all + HOSTS, all + HOSTS, HOSTS) {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    };
    until(SOON, "all hosts are settled", settled).await;
    let written = until(3 * SOON, "nothing is written while nobody does anything", async || {
        let before = entries(&consul).await?;
        tokio::time::sleep(IDLE).await;
        // Their checks have been reported to meanwhile, or they had run out.
        settled().await?;
        match entries(&consul).await? - before {
            0 => Ok(0),
            // What has changed has come to rest by the next time.
            some => Err(format!("{some} entries in {IDLE:?}")),
        }
    })
    .await;
    let resyncs = HOSTS as u64 * IDLE.as_secs();
    eprintln!("{HOSTS} hosts, {resyncs} resyncs, {IDLE:?}: {written} entries");
    for (_, daemon) in &mut hosts {
        assert!(daemon.is_running(), "{}", daemon.log());
    }

    // The same measure sees what is written again and again, as by others.
    let (before, times) = (entries(&consul).await.expect("the index"), 5);
    for _ in 0..times {
        let again = json!({"ID": "again", "Name": "again", "Port": 1});
        consul.register_foreign(&again).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let after = entries(&consul).await.expect("the index");
    eprintln!("{times} registrations of the same service: {} entries", after - before);
    assert!(after > before, "the measure sees no write");
}
