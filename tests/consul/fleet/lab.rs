//! A fleet: three servers of Consul, agents, and many hosts with a daemon each, whose containers are
//! made up; and an operator.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wharfinger::policy::{Bundle, archive, wave::Waves};

use crate::common::{
    bundles::{Bundles, document},
    cluster::Cluster,
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    image_registry::ImageRegistry,
    looker::serving,
    proxy::Proxy,
    wait::until,
};

/// The time for one thing to come about in all of the fleet, on a machine that is busy.
pub(super) const SOON: Duration = Duration::from_secs(400);
/// Containers of each host.
const CONTAINERS: usize = 3;
/// The service of all containers, by the convention.
const WEB: &str = "fleet-web";
pub(super) const SOURCE: &str = "consul-kv://wharfinger/prod";
/// The waves of all rollouts here.
pub(super) const WAVES: &str = "1,4,60%,100%";

/// A host.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) docker: FakeDocker,
    pub(super) daemon: Daemon,
    agent: String,
    file: String,
    env: Vec<(String, String)>,
}

pub(super) struct Fleet {
    pub(super) cluster: Arc<tokio::sync::RwLock<Cluster>>,
    pub(super) bundles: Bundles,
    pub(super) registry: ImageRegistry,
    /// What stands before the registry.
    pub(super) road: Proxy,
    pub(super) hosts: Vec<Host>,
    /// Services that were missing in the catalog at some moment.
    lost: Arc<Mutex<BTreeSet<String>>>,
    /// Hosts that had a bundle before those of the waves before theirs.
    early: Arc<Mutex<BTreeSet<String>>>,
    watching: Option<JoinHandle<()>>,
}

/// How many hosts a fleet has: a variable says how many more than usual.
pub(super) fn size() -> usize {
    let said = std::env::var("WHARFINGER_FLEET_HOSTS").ok();
    said.map_or(12, |said| said.parse().expect("WHARFINGER_FLEET_HOSTS is a number"))
}

impl Fleet {
    /// A fleet whose hosts all have the first bundle in force. A host is `odd` by its name: what it
    /// runs nobody has approved.
    pub(super) async fn start(
        hosts: usize,
        odd: impl Fn(&str) -> bool,
        env: impl Fn(usize) -> Vec<(String, String)>,
    ) -> Self {
        let agents = if hosts > 24 { 12 } else { 4 };
        let cluster = Cluster::start(agents).await;
        let registry = ImageRegistry::open();
        let road = Proxy::start(&registry.address()).await;
        let mut fleet = Self {
            cluster: Arc::new(tokio::sync::RwLock::new(cluster)),
            bundles: Bundles::new(),
            registry,
            road,
            hosts: Vec::new(),
            lost: Arc::default(),
            early: Arc::default(),
            watching: None,
        };
        let first = fleet.bundle(1, "owner");
        fleet.begin(&first, "100%", &[]).await;
        for n in 0..hosts {
            let host = fleet.host(n, &odd, env(n)).await;
            fleet.hosts.push(host);
            if n == 0 {
                // The component is compiled once, for all.
                fleet.all_have(&first).await;
            }
        }
        fleet.all_have(&first).await;
        fleet.tagged("v1").await;
        fleet.watch().await;
        fleet
    }

    async fn host(&self, n: usize, odd: impl Fn(&str) -> bool, env: Vec<(String, String)>) -> Host {
        let name = format!("host-{n:03}");
        let docker = FakeDocker::start(Activity::default());
        docker.identify(&name);
        for number in 1..=CONTAINERS {
            let mut labels = vec![("owner", "ann"), ("team", "fleet")];
            labels.extend((!odd(&name)).then_some(("approved", "yes")));
            let container = format!("c{number}");
            let mut one = serving(&container, number, &labels);
            one["Config"]["ExposedPorts"] = json!({ format!("{}/tcp", 8000 + number): {} });
            docker.set(&container, Some(one));
        }
        let folder = self.bundles.at(&name);
        std::fs::create_dir(&folder).expect("a folder");
        let key = self.bundles.at("ops.pub");
        let text = format!(
            "[policy]\nsource = {SOURCE:?}\nstore = 'store'\nplain-http = true\n\
             [listen]\naddress = '127.0.0.1:0'\n\
             [policy.trust]\nkeys = [{{ name = 'ops', file = {key:?} }}]\n"
        );
        let file = folder.join("wharfinger.toml");
        std::fs::write(&file, text).expect("the host's file");
        let file = file.display().to_string();
        let agent = self.cluster.read().await.agent(n);
        let daemon = daemon(&self.bundles, &name, &docker, &file, &agent, &env);
        Host { name, docker, daemon, agent, file, env }
    }

    /// Kill a host's daemon, as a crash would, and start it again.
    pub(super) fn crash(&mut self, n: usize) {
        let Self { bundles, hosts, .. } = self;
        let host = &mut hosts[n];
        host.daemon.kill9();
        let Host { name, docker, file, agent, env, .. } = &*host;
        host.daemon = daemon(bundles, name, docker, file, agent, env);
    }

    /// A bundle of this number that vetoes what has no such label.
    pub(super) fn bundle(&self, number: u64, label: &str) -> Bundle {
        let settings = format!("tag = 'v{number}', owner-label = '{label}'");
        let bundle = self.bundles.make("prod", number, &document(&settings), Some("ops"));
        std::fs::write(self.file_of(&bundle), archive::write(&bundle)).expect("written");
        bundle
    }

    fn file_of(&self, bundle: &Bundle) -> std::path::PathBuf {
        self.bundles.at(&format!("{}.bundle", bundle.digest.hex()))
    }

    /// Push a bundle to the registry, and begin to bring it to all hosts from there.
    pub(super) async fn begin(&self, bundle: &Bundle, waves: &str, more: &[&str]) {
        let file = self.file_of(bundle).display().to_string();
        let place = |at: &str| format!("oci://{at}/policies/prod");
        let to = place(&self.registry.address());
        self.good(&["policy", "push", &file, &format!("{to}:v"), "--plain-http"]).await;
        let from = format!("{}@{}", place(&self.road.addr()), bundle.digest);
        let start = ["rollout", "start", &file, "--source", SOURCE, "--from", &from];
        let how = ["--waves", waves, "--pause", "1s"];
        self.good(&[&start[..], &how, more].concat()).await;
    }

    /// The exit code of a command that an operator gives, and what it prints.
    pub(super) async fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let cluster = self.cluster.read().await;
        let at = cluster.agent(0);
        drop(cluster);
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        let cache = self.bundles.at("cache");
        let run = move || {
            let mut command = Command::new(Daemon::binary());
            command.args(words).env("CONSUL_HTTP_ADDR", at).env("WHARFINGER_CACHE_DIR", cache);
            command.env("COLUMNS", "160").output().expect("the program runs")
        };
        let output = tokio::task::spawn_blocking(run).await.expect("it ran");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(super) async fn good(&self, words: &[&str]) -> String {
        // An agent may have no leader for a while.
        until(SOON, format!("{words:?}"), async || match self.run(words).await {
            (Some(0), text) => Ok(text),
            (code, text) => Err(format!("{code:?}: {text}")),
        })
        .await
    }

    pub(super) async fn rollout(&self, command: &str) -> (Option<i32>, String) {
        self.run(&["rollout", command, "--source", SOURCE]).await
    }

    /// The hosts as Consul tells of them: each with its bundle.
    pub(super) async fn bundles_in_force(&self) -> Result<BTreeMap<String, String>, String> {
        in_force(&*self.cluster.read().await).await
    }

    pub(super) async fn all_have(&self, bundle: &Bundle) {
        let wanted = bundle.digest.to_string();
        until(SOON, format!("all hosts have {} {wanted}", bundle.sequence), async || {
            let all = self.bundles_in_force().await?;
            let have = all.values().filter(|one| **one == wanted).count();
            match have == self.hosts.len().max(1) && have == all.len() {
                true => Ok(()),
                false => Err(format!("{have}: {all:?}")),
            }
        })
        .await;
    }

    /// All services of all hosts are there, with this tag.
    pub(super) async fn tagged(&self, tag: &str) {
        until(SOON, format!("all have the tag {tag}"), async || {
            let all = services(&*self.cluster.read().await).await?;
            let wrong: Vec<_> = all.iter().filter(|(_, tags)| **tags != json!([tag])).collect();
            match all.len() == self.hosts.len() * CONTAINERS && wrong.is_empty() {
                true => Ok(()),
                false => Err(format!("{} services; {wrong:?}", all.len())),
            }
        })
        .await;
    }

    pub(super) fn waves(&self) -> BTreeMap<String, usize> {
        let names: Vec<_> = self.hosts.iter().map(|host| host.name.clone()).collect();
        waves_of(&names)
    }

    /// Look at the catalog from now on: nothing may be missing, at any moment.
    async fn watch(&mut self) {
        let (cluster, lost, early) = (self.cluster.clone(), self.lost.clone(), self.early.clone());
        let wanted: BTreeSet<String> =
            services(&*cluster.read().await).await.expect("they are there").into_keys().collect();
        let waves = self.waves();
        self.watching = Some(tokio::spawn(async move {
            loop {
                let cluster = cluster.read().await;
                // Without a server nobody is told anything.
                if let Ok(all) = services(&cluster).await {
                    let missing = wanted.iter().filter(|id| !all.contains_key(*id)).cloned();
                    lost.lock().expect("the lost").extend(missing);
                }
                if let Ok(all) = in_force(&cluster).await {
                    early.lock().expect("the early").extend(too_early(&all, &waves));
                }
                drop(cluster);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }));
    }

    /// While nothing changes, no host has anything written to Raft, of which each entry is a write to
    /// all servers' disks; what their checks are told stays with the agents. What registers a service
    /// again and again, as others do, has an entry for each time.
    pub(super) async fn writes_nothing_while_nothing_changes(&self) {
        let cluster = self.cluster.read().await;
        let leader = cluster.led().await;
        let entries = async || {
            let all = cluster.get(leader, "/v1/agent/self").await?;
            let index =
                all["Stats"]["raft"]["last_log_index"].as_str().and_then(|n| n.parse().ok());
            index.ok_or_else(|| format!("{}", all["Stats"]["raft"]))
        };
        // What has changed has come to rest by then.
        let time = Duration::from_secs(20);
        until(SOON, "nothing is written for a while", async || {
            let before: u64 = entries().await?;
            tokio::time::sleep(time).await;
            match entries().await? - before {
                0 => Ok(()),
                some => Err(format!("{some} entries in {time:?}")),
            }
        })
        .await;
        let (before, times) = (entries().await.expect("the index"), 5);
        for _ in 0..times {
            let body = json!({"ID": "again", "Name": "again", "Port": 1}).to_string();
            let path = "/v1/agent/service/register";
            // An agent that is no server, as on a host.
            cluster.send(4, Method::PUT, path, Some(body.into())).await.expect("registered");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let after = entries().await.expect("the index");
        eprintln!("{times} registrations of the same service: {} entries", after - before);
        assert!(after > before, "the measure sees no write");
    }

    /// Nothing was missing in the catalog at any moment, and no host had a bundle too early.
    #[track_caller]
    pub(super) fn lost_nothing(&self) {
        let watching = self.watching.as_ref().is_some_and(|task| !task.is_finished());
        assert!(watching, "nobody has looked");
        let lost = self.lost.lock().expect("the lost");
        assert!(lost.is_empty(), "these were missing: {lost:?}");
    }

    /// No host had a bundle before the waves before its own.
    #[track_caller]
    pub(super) fn none_was_early(&self) {
        let early = self.early.lock().expect("the early");
        assert!(early.is_empty(), "{early:?}");
    }

    pub(super) fn of_wave(&self, wave: usize) -> Vec<usize> {
        let waves = self.waves();
        (0..self.hosts.len()).filter(|n| waves[&self.hosts[*n].name] == wave).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
    }
}

/// The waves of hosts with these names.
pub(super) fn waves_of(names: &[String]) -> BTreeMap<String, usize> {
    let waves: Waves = WAVES.parse().expect("waves");
    let all = waves.of_all(names.iter().map(String::as_str));
    all.into_iter().map(|(name, wave)| (name.to_string(), wave)).collect()
}

fn daemon(
    bundles: &Bundles,
    name: &str,
    docker: &FakeDocker,
    file: &str,
    agent: &str,
    env: &[(String, String)],
) -> Daemon {
    let uri = format!("consul://{agent}");
    let args = ["run", "--config", file, "--ip", "192.0.2.10", "--hostname", name, &uri];
    let (docker, cache) = (docker.host(), bundles.at("cache").display().to_string());
    let mut all = vec![("DOCKER_HOST", &*docker), ("WHARFINGER_CACHE_DIR", &*cache)];
    all.extend(env.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    Daemon::start(&args, &all)
}

/// All services of containers with their tags, by one read.
async fn services(cluster: &Cluster) -> Result<BTreeMap<String, Value>, String> {
    let all = cluster.ask(&format!("/v1/catalog/service/{WEB}?stale")).await?;
    let all = all.as_array().cloned().unwrap_or_default();
    let id = |one: &Value| one["ServiceID"].as_str().unwrap_or_default().to_string();
    Ok(all.iter().map(|one| (id(one), one["ServiceTags"].clone())).collect())
}

async fn in_force(cluster: &Cluster) -> Result<BTreeMap<String, String>, String> {
    let all = cluster.ask("/v1/catalog/service/wharfinger?stale").await?;
    let all = all.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let of = |one: &Value| {
        let meta = &one["ServiceMeta"];
        (text(&meta["wharfinger-member"]), text(&meta["bundle"]))
    };
    Ok(all.iter().map(of).collect())
}

/// Hosts with another bundle than most hosts of a wave before theirs, where that is one that came
/// after it: told by one read, which shows one moment.
fn too_early(all: &BTreeMap<String, String>, waves: &BTreeMap<String, usize>) -> Vec<String> {
    // The first host of all takes a bundle first, and is the first one to go back.
    let first = waves.iter().find(|(_, wave)| **wave == 0).and_then(|(name, _)| all.get(name));
    let Some(newest) = first else { return Vec::new() };
    let undone = |wave: usize| {
        waves.iter().any(|(name, of)| *of < wave && all.get(name).is_some_and(|one| one != newest))
    };
    let has = |name: &String| all.get(name) == Some(newest);
    waves
        .iter()
        .filter(|(name, wave)| **wave > 0 && has(name) && undone(**wave))
        .map(|(name, wave)| format!("{name} of wave {wave}: {all:?}"))
        .collect()
}
