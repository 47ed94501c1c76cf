//! Guarantee: a daemon that is to register itself is seen in Consul as it is, comes and goes with
//! its process, takes out nobody else, and writes nothing while nothing changes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    looker::{address, start},
    proxy::{Kind, Mode, Proxy},
    wait::{holds, until},
};

pub(crate) const SOON: Duration = Duration::from_secs(60);
const SERVICE: &str = "wharfinger";
pub(crate) const REGISTER: &str = "[fleet]\nregister = true\n";

/// A host of the fleet: its own containers, and a daemon of that name on the agent.
pub(crate) struct Host {
    pub(crate) docker: FakeDocker,
    pub(crate) daemon: Daemon,
}

impl Host {
    pub(crate) fn start(consul: &Consul, name: &str, config: &str) -> Self {
        Self::with_token(consul, name, config, "")
    }

    pub(crate) fn with_token(consul: &Consul, name: &str, config: &str, token: &str) -> Self {
        let docker = FakeDocker::start(Activity::default());
        // Two names of one engine would be one host that was renamed.
        docker.identify(name);
        let daemon = daemon(&docker, consul, name, config, token);
        Self { docker, daemon }
    }
}

fn daemon(docker: &FakeDocker, consul: &Consul, name: &str, config: &str, token: &str) -> Daemon {
    daemon_at(docker, &consul.addr(), name, config, token)
}

fn daemon_at(docker: &FakeDocker, agent: &str, name: &str, config: &str, token: &str) -> Daemon {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let file = folder.join("wharfinger.toml").display().to_string();
    std::fs::write(&file, config).expect("the file is written");
    let uri = format!("consul://{agent}");
    let args = ["run", "-ip", "192.0.2.10", "--hostname", name, "--config", &file, &uri];
    Daemon::start(&args, &[("DOCKER_HOST", &docker.host()), ("CONSUL_HTTP_TOKEN", token)])
}

async fn agent() -> Consul {
    Consul::start(consul::Options::default()).await
}

/// Waits until the daemons are these, by their IDs, and each as it is wanted.
async fn daemons(consul: &Consul, ids: &[&str], is_so: impl Fn(&Value) -> bool) -> Vec<Value> {
    until(SOON, format!("{ids:?} are as they should be"), async || {
        let mut all = consul.health(SERVICE).await;
        all.sort_by_key(|one| one["Service"]["ID"].to_string());
        let found: Vec<_> = all.iter().filter_map(|one| one["Service"]["ID"].as_str()).collect();
        let fits = found == ids && all.iter().all(&is_so);
        if fits { Ok(all) } else { Err(format!("{all:?}")) }
    })
    .await
}

fn passes(one: &Value) -> bool {
    let all = one["Checks"].as_array().into_iter().flatten();
    all.clone().count() == 2 && all.clone().all(|check| check["Status"] == "passing")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_daemon_is_there_as_it_is_and_goes_when_it_is_told_to_end() {
    let consul = agent().await;
    let listening = format!("{REGISTER}[listen]\naddress = '127.0.0.1:0'\n");
    let mut a = Host::start(&consul, "host-a", &listening);
    let mut b = Host::start(&consul, "host-b", REGISTER);
    let silent = Host::start(&consul, "host-c", "");
    let all = daemons(&consul, &["wharfinger-host-a", "wharfinger-host-b"], passes).await;
    let at = address(&a.daemon).await;
    for (one, host) in all.iter().zip(["host-a", "host-b"]) {
        let meta = one["Service"]["Meta"].as_object().expect("metadata");
        assert_eq!(meta["wharfinger-member"], host);
        assert_eq!(meta["version"], env!("CARGO_PKG_VERSION"));
        for absent in ["held", "unhealthy", "refused", "wharfinger-host"] {
            assert!(!meta.contains_key(absent), "{absent}: {meta:?}");
        }
    }
    // The port is known a moment later than the daemon.
    let listens = |one: &Value| {
        one["Service"]["ID"] != "wharfinger-host-a"
            || (one["Service"]["Port"] == at.port() && one["Service"]["Address"] == "127.0.0.1")
    };
    let all = daemons(&consul, &["wharfinger-host-a", "wharfinger-host-b"], listens).await;
    assert_eq!(all[1]["Service"]["Port"], 0);

    // Containers make no difference, and a daemon's own cleanup leaves it alone.
    start(&a.docker, "web", 1, &[]);
    until(SOON, "the container's service", async || {
        let all = consul.services().await;
        if all.contains_key("host-a:web:80") { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    assert!(a.daemon.terminate().await.success());
    daemons(&consul, &["wharfinger-host-b"], passes).await;
    assert!(consul.services().await.contains_key("host-a:web:80"));
    assert!(a.daemon.log().contains("the daemon has deregistered itself"), "{}", a.daemon.log());
    b.daemon.kill9();
    // Nobody has taken it out; its TTL will run out.
    daemons(&consul, &["wharfinger-host-b"], |_| true).await;
    let critical = |one: &Value| one["Checks"][1]["Status"] == "critical";
    daemons(&consul, &["wharfinger-host-b"], critical).await;
    // The next one of this host takes its place.
    let _b = Host::start(&consul, "host-b", REGISTER);
    daemons(&consul, &["wharfinger-host-b"], passes).await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_is_lost_and_one_that_goes_on_is_there_again() {
    let consul = agent().await;
    let mut host = Host::start(&consul, "h", REGISTER);
    daemons(&consul, &["wharfinger-h"], passes).await;
    host.daemon.signal("STOP");
    daemons(&consul, &["wharfinger-h"], |one| one["Checks"][1]["Status"] == "critical").await;
    host.daemon.signal("CONT");
    daemons(&consul, &["wharfinger-h"], passes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_has_lost_it_gets_it_again_and_what_is_changed_is_put_right() {
    let mut consul = agent().await;
    let _host = Host::start(&consul, "h", REGISTER);
    daemons(&consul, &["wharfinger-h"], passes).await;
    consul.restart_empty().await;
    daemons(&consul, &["wharfinger-h"], passes).await;
    consul.deregister("wharfinger-h").await;
    daemons(&consul, &["wharfinger-h"], passes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_of_one_name_do_not_take_out_each_other() {
    let consul = agent().await;
    let mut one = Host::start(&consul, "h", REGISTER);
    daemons(&consul, &["wharfinger-h"], passes).await;
    let first = consul.services().await["wharfinger-h"]["Meta"]["instance"].clone();
    let mut other = Host::start(&consul, "h", REGISTER);
    let own = format!("wharfinger-h-{}", first.as_str().expect("a number"));
    let patient = Duration::from_secs(120);
    until(patient, "both are there", async || {
        let all = consul.services().await;
        let both = all.contains_key("wharfinger-h") && all.contains_key(&own);
        if both { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    assert!(one.daemon.log().contains("somebody else has the ID"), "{}", one.daemon.log());
    assert!(other.daemon.terminate().await.success());
    daemons(&consul, &[&own], passes).await;
    assert!(one.daemon.terminate().await.success());
    daemons(&consul, &[], |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_no_containers_service_and_takes_the_place_of_none() {
    let consul = agent().await;
    // Somebody has the ID already; nobody else's service is overwritten.
    let foreign = json!({ "ID": "wharfinger-h", "Name": "other", "Port": 1 });
    consul.register_foreign(&foreign).await;
    let host = Host::start(&consul, "h", &format!("{REGISTER}[registrator]\ncleanup = true\n"));
    let id = until(SOON, "the daemon under another ID", async || {
        let all = consul.services().await;
        let own = all.keys().find(|id| id.starts_with("wharfinger-h-")).cloned();
        own.ok_or_else(|| format!("{all:?}"))
    })
    .await;
    assert_eq!(consul.services().await["wharfinger-h"]["Service"], "other");
    // A container that asks for a daemon's ID and mark gets neither.
    let labels =
        [("SERVICE_NAME", SERVICE), ("SERVICE_ID", &*id), ("SERVICE_WHARFINGER-MEMBER", "forged")];
    let thief = FakeDocker::start(Activity::default());
    start(&thief, "thief", 1, &labels);
    let other = daemon(&thief, &consul, "other", "", "");
    let line = other.wait_for_log("which registers itself", SOON).await;
    assert!(line.contains(&id), "{line}");
    start(&host.docker, "forger", 2, &[("SERVICE_NAME", SERVICE), labels[2]]);
    until(SOON, "the container's service", async || {
        let all = consul.services().await;
        if all.contains_key("h:forger:80") { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    let all = consul.services().await;
    assert_eq!(all["h:forger:80"]["Meta"]["wharfinger-member"], Value::Null);
    assert_eq!(all[&id]["Meta"]["wharfinger-member"], "h");
}

/// A write of a container's that was decided before the daemon was seen, and arrives after it has
/// registered itself, under its very ID.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_writes_the_daemons_id_a_moment_too_early_costs_nobody_anything() {
    let consul = agent().await;
    let proxy = Proxy::start(&consul.addr()).await;
    let thief = FakeDocker::start(Activity::default());
    thief.identify("thief");
    let labels =
        [("SERVICE_NAME", SERVICE), ("SERVICE_ID", "wharfinger-h"), ("SERVICE_TAGS", "theirs")];
    start(&thief, "web", 1, &labels);
    start(&thief, "other", 2, &[("SERVICE_NAME", "other")]);
    // Its writes take their time.
    proxy.set(Mode::Slow(Duration::from_secs(4)));
    let mut other = daemon_at(&thief, &proxy.addr(), "thief", "", "");
    let write = Kind::Register("wharfinger-h".into());
    until(SOON, "the write is under way", async || {
        let writes = proxy.writes(0);
        if writes.iter().any(|one| one.kind == write) { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await;
    let mut host = Host::start(&consul, "h", REGISTER);
    start(&host.docker, "web", 1, &[("SERVICE_NAME", "web")]);
    until(SOON, "the write has come through", async || {
        let writes = proxy.writes(0);
        let done = writes.iter().any(|one| one.kind == write && one.status == Some(200));
        if done { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await;
    proxy.set(Mode::Pass);
    let patient = Duration::from_secs(180);
    let own =
        until(patient, "the daemon under an ID of its own, and the container's", async || {
            let all = consul.services().await;
            let is_ours = |one: &&Value| one["Meta"]["wharfinger-member"] == "h";
            let ours: Vec<_> = all.values().filter(is_ours).collect();
            let stays = all.get("wharfinger-h").is_some_and(|one| one["Tags"] == json!(["theirs"]));
            let rest = ["thief:other:80", "h:web:80"].iter().all(|id| all.contains_key(*id));
            match (&ours[..], stays && rest) {
                ([one], true) => Ok(one["ID"].as_str().expect("an ID").to_string()),
                _ => Err(format!("{all:?}")),
            }
        })
        .await;
    assert!(own.starts_with("wharfinger-h-"), "{own}");
    // Neither takes out the other's from then on, nor at its end.
    let both = async || {
        let all = consul.services().await;
        let there = ["wharfinger-h", &own, "thief:other:80", "h:web:80"];
        let missing: Vec<_> = there.iter().filter(|id| !all.contains_key(**id)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    };
    holds(Duration::from_secs(15), "all of them stay", both).await;
    assert!(host.daemon.terminate().await.success());
    let all = consul.services().await;
    assert!(all.contains_key("wharfinger-h") && !all.contains_key(&own), "{all:?}");
    assert!(other.terminate().await.success());
    assert!(consul.services().await.contains_key("thief:other:80"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_changes_nothing_is_written() {
    let consul = agent().await;
    let _host = Host::start(&consul, "h", REGISTER);
    daemons(&consul, &["wharfinger-h"], |one| {
        passes(one) && one["Service"]["Meta"]["containers"] == "0"
    })
    .await;
    let indices = async || {
        let of = |value: &Value, path: &str| value.pointer(path).cloned().unwrap_or_default();
        let all = consul.health(SERVICE).await;
        let one = all.first().cloned().unwrap_or_default();
        [of(&one, "/Service/ModifyIndex"), of(&one, "/Checks/1/ModifyIndex")]
    };
    let before = indices().await;
    // More than half of a TTL, and so several reports that all is well.
    holds(Duration::from_secs(20), "no write", async || {
        let now = indices().await;
        if now == before { Ok(()) } else { Err(format!("{before:?} and then {now:?}")) }
    })
    .await;
    daemons(&consul, &["wharfinger-h"], passes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consul_that_is_away_holds_up_nothing() {
    let mut consul = agent().await;
    let mut host = Host::start(&consul, "h", REGISTER);
    daemons(&consul, &["wharfinger-h"], passes).await;
    consul.suspend();
    host.daemon.wait_for_log("cannot be registered or told of", SOON).await;
    assert!(host.daemon.terminate().await.success());
    consul.unsuspend();
}
