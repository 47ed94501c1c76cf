//! What every row of the fault matrix has: a Consul agent with services of
//! others, a proxy before it that counts writes, and the daemon.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    dockerd::{self, Dockerd},
    proxy::{Kind, Proxy},
    wait::{INTERVAL, holds, until},
};

/// For what has no limit of its own; the machine may be busy.
pub(super) const SOON: Duration = Duration::from_secs(60);
pub(super) const HOST: &str = "testhost";
pub(super) const IP: &str = "192.0.2.10";

/// A Consul agent behind a proxy, and on it services that are not the daemon's.
pub(super) struct Sink {
    pub(super) consul: Consul,
    pub(super) proxy: Proxy,
    foreign: Map<String, Value>,
}

/// Services of others: one with the same prefix of the ID as the daemon's own
/// have and nothing else, one with a check, and one of another host's daemon.
pub(super) fn strangers() -> [Value; 3] {
    [
        json!({"ID": "testhost:byhand:80", "Name": "byhand", "Port": 80, "Tags": ["theirs"]}),
        json!({"ID": "manual", "Name": "manual", "Port": 1,
            "Check": {"CheckID": "manual", "TTL": "24h", "Status": "passing"}}),
        json!({"ID": "otherhost:web:80", "Name": "other", "Address": IP, "Port": 80,
            "Meta": {"wharfinger-host": "otherhost", "wharfinger-container": "0"}}),
    ]
}

impl Sink {
    pub(super) async fn start() -> Self {
        Self::with(Consul::start(consul::Options::default()).await).await
    }

    pub(super) async fn with(consul: Consul) -> Self {
        let proxy = Proxy::start(&consul.addr()).await;
        let mut sink = Self { consul, proxy, foreign: Map::new() };
        sink.register_foreign().await;
        sink
    }

    /// Register the services of others, as they do again by themselves on an
    /// agent that has lost all.
    pub(super) async fn register_foreign(&mut self) {
        for service in strangers() {
            self.consul.register_foreign(&service).await;
        }
        self.foreign = until(SOON, "the strangers in the catalog", async || {
            let found = self.strangers().await;
            let complete = found.values().all(|entry| entry["index"].is_u64());
            if complete { Ok(found) } else { Err(format!("{found:?}")) }
        })
        .await;
    }

    /// The services of others by ID, as the agent has them and with the index of
    /// the last change in the catalog.
    async fn strangers(&self) -> Map<String, Value> {
        let (services, checks) = (self.consul.services().await, self.consul.checks().await);
        let mut found = Map::new();
        for stranger in strangers() {
            let [id, name] = ["ID", "Name"].map(|key| stranger[key].as_str().expect("a string"));
            let instances = self.consul.catalog_service(name).await;
            let instance = instances.iter().find(|instance| instance["ServiceID"] == id);
            let of = |check: &&Value| check["ServiceID"] == id;
            let entry = json!({
                "service": services.get(id),
                "checks": checks.values().filter(of).collect::<Vec<_>>(),
                "index": instance.map(|instance| instance["ModifyIndex"].clone()),
            });
            found.insert(id.to_string(), entry);
        }
        found
    }

    /// Nobody touched the services of others: neither did a write arrive, nor
    /// have they changed.
    pub(super) async fn assert_foreign_untouched(&self) {
        for write in self.proxy.writes(0) {
            let touches = |id: &String| match &write.kind {
                Kind::Register(written) | Kind::Deregister(written) => written == id,
                Kind::Other(path) => path.contains(id.as_str()),
            };
            assert!(!self.foreign.keys().any(touches), "{write:?}");
        }
        assert_eq!(self.strangers().await, self.foreign);
    }

    /// The IDs on the agent but those of others, which are all there.
    pub(super) async fn ours(&self) -> BTreeSet<String> {
        let ids = self.consul.services().await.into_iter().map(|(id, _)| id);
        ids.filter(|id| !self.foreign.contains_key(id)).collect()
    }

    /// Wait until exactly these are registered, beside those of others.
    pub(super) async fn exactly(&self, expected: &BTreeSet<String>, limit: Duration) {
        let what = format!("exactly {} services: {expected:?}", expected.len());
        until(limit, what, async || same(&self.ours().await, expected)).await;
    }

    /// Exactly these stay registered.
    pub(super) async fn stays(&self, expected: &BTreeSet<String>, period: Duration) {
        holds(period, "the catalog", async || same(&self.ours().await, expected)).await;
    }

    /// The IDs that were registered and those that were deregistered after the
    /// first `skip` writes: in order, and as often as it was done.
    pub(super) fn written(&self, skip: usize) -> (Vec<String>, Vec<String>) {
        let (mut registered, mut deregistered) = (Vec::new(), Vec::new());
        for write in self.proxy.writes(skip) {
            match write.kind {
                Kind::Register(id) => registered.push(id),
                Kind::Deregister(id) => deregistered.push(id),
                Kind::Other(_) => {}
            }
        }
        registered.sort();
        deregistered.sort();
        (registered, deregistered)
    }

    /// Exactly these writes arrived after the first `skip`, each once.
    #[track_caller]
    pub(super) fn assert_written_once(
        &self,
        skip: usize,
        registered: &BTreeSet<String>,
        deregistered: &BTreeSet<String>,
    ) {
        let writes = self.written(skip);
        assert!(writes.0.iter().eq(registered), "registered: {:?}", writes.0);
        assert!(writes.1.iter().eq(deregistered), "deregistered: {:?}", writes.1);
    }

    /// The registry's URI.
    pub(super) fn uri(&self) -> String {
        format!("consul://{}", self.proxy.addr())
    }
}

/// The daemon on this Docker, with these flags before the registry's URI.
pub(super) fn daemon(docker_host: &str, flags: &[&str], uri: &str, env: &[(&str, &str)]) -> Daemon {
    let args = [&["-ip", IP, "-hostname", HOST], flags, &[uri]].concat();
    Daemon::start(&args, &[env, &[("DOCKER_HOST", docker_host)]].concat())
}

/// Looks at the agent's services again and again, until it is told to stop.
pub(super) struct Watcher {
    stop: CancellationToken,
    task: JoinHandle<Result<u32, String>>,
}

impl Watcher {
    /// Whatever is registered, `holds` must hold of its IDs.
    pub(super) fn start(
        consul: &Consul,
        holds: impl Fn(&BTreeSet<String>) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let (stopped, url) = (stop.clone(), format!("http://{}/v1/agent/services", consul.addr()));
        let task = tokio::spawn(async move {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let mut looks = 0;
            while !stopped.is_cancelled() {
                let answer = client.get(&url).send().await.map_err(|error| format!("{error:?}"))?;
                let services: Map<String, Value> =
                    answer.json().await.map_err(|error| format!("{error:?}"))?;
                looks += 1;
                holds(&services.into_iter().map(|(id, _)| id).collect())
                    .map_err(|error| format!("look {looks}: {error}"))?;
                tokio::time::sleep(INTERVAL).await;
            }
            Ok(looks)
        });
        Self { stop, task }
    }

    /// It held, at each of at least `looks` looks.
    pub(super) async fn held(self, looks: u32) {
        self.stop.cancel();
        let looked = self.task.await.expect("the watcher ends");
        assert!(looked.as_ref().is_ok_and(|looked| *looked >= looks), "{looked:?}");
    }
}

/// Whether both are the same; else how they differ.
pub(super) fn same(found: &BTreeSet<String>, expected: &BTreeSet<String>) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let [missing, surplus] = [(expected, found), (found, expected)]
        .map(|(these, those)| these.difference(those).collect::<Vec<_>>());
    Err(format!("{} are there; missing: {missing:?}; too many: {surplus:?}", found.len()))
}

/// A host with a real Docker, and a [`Sink`].
pub(super) struct Lab {
    pub(super) docker: Dockerd,
    pub(super) sink: Sink,
}

impl Lab {
    pub(super) async fn new() -> Self {
        Self::with(dockerd::Options::default()).await
    }

    pub(super) async fn with(options: dockerd::Options) -> Self {
        let docker = Dockerd::start_with(options).await;
        docker.import_busybox("web:1", &["CMD [\"sleep\",\"1000000\"]", "EXPOSE 80"]);
        Self { docker, sink: Sink::start().await }
    }

    /// The daemon, after its first look at the host.
    pub(super) async fn daemon(&self, flags: &[&str]) -> Daemon {
        let daemon = daemon(&self.docker.host(), flags, &self.sink.uri(), &[]);
        daemon.wait_for_log("Syncing services on", SOON).await;
        daemon
    }

    /// Run `docker` with these words before each name, several at a time.
    pub(super) fn each(&self, words: &[&str], names: &[String], after: &[&str]) {
        let at_once = 4;
        std::thread::scope(|scope| {
            for part in names.chunks(names.len().div_ceil(at_once).max(1)) {
                scope.spawn(move || {
                    for name in part {
                        self.docker.run(&[words, &[name], after].concat());
                    }
                });
            }
        });
    }

    /// Start a container for each name. They use the host's network, so that
    /// they need neither addresses nor ports of their own, and end at once when
    /// they are told to.
    pub(super) fn start(&self, names: &[String], args: &[&str]) {
        let words = [&["run", "-d", "--network=host", "--stop-signal=KILL"], args, &["--name"]];
        self.each(&words.concat(), names, &["web:1"]);
    }

    /// Remove containers.
    pub(super) fn remove(&self, names: &[String]) {
        self.each(&["rm", "-f"], names, &[]);
    }
}

/// `<prefix>0` and so on.
pub(super) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// The IDs of these containers' services.
pub(super) fn ids<'a>(names: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    names.into_iter().map(|name| format!("{HOST}:{name}:80")).collect()
}

/// No IDs.
pub(super) fn none() -> BTreeSet<String> {
    BTreeSet::new()
}
