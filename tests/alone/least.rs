//! Guarantee: a registry that can do the least is kept true all the same; it is asked for nothing
//! that it cannot do, and every command says what of its flags and file cannot be done there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use wharfinger::{
    config::Config,
    daemon::app::Asked,
    docker::{Recorded, Tags},
    model::{
        host::Compat,
        registered::Registered,
        service::{CheckStatus, Service},
    },
    pipeline::Pipeline,
    reconcile::{Deregister, Options, Reconciler},
    registry::{Capabilities, Part, Registry, RegistryError},
    stages::builtin::Builtin,
};

use crate::common::{
    author::{arg, inspected, recorded},
    corpus,
    daemon::Daemon,
    wait::{holds, until},
};

const SOON: Duration = Duration::from_secs(60);

/// Names, addresses and ports by IDs, as something else wrote them down or this one did.
#[derive(Default)]
struct Least {
    entries: Mutex<BTreeMap<String, Registered>>,
    writes: Mutex<Vec<String>>,
    /// What was asked of it that it cannot do.
    asked: Mutex<BTreeSet<&'static str>>,
}

impl Least {
    fn ask(&self, what: &'static str) {
        self.asked.lock().expect("a set").insert(what);
    }

    fn ids(&self) -> Vec<String> {
        self.entries.lock().expect("a map").keys().cloned().collect()
    }

    fn writes(&self) -> Vec<String> {
        self.writes.lock().expect("a list").clone()
    }
}

#[async_trait::async_trait]
impl Registry for Least {
    fn capabilities(&self) -> Capabilities {
        Capabilities::LEAST
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        Ok("least".into())
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        Ok(self.entries.lock().expect("a map").clone())
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        self.writes.lock().expect("a list").push(format!("+{}", service.id));
        self.entries.lock().expect("a map").insert(service.id.clone(), service.into());
        Ok(())
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        self.writes.lock().expect("a list").push(format!("-{id}"));
        self.entries.lock().expect("a map").remove(id);
        Ok(())
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        self.ask("a lookup");
        Ok(self.entries.lock().expect("a map").contains_key(id))
    }

    async fn version(&self, _: Part) -> Option<u64> {
        self.ask("a version");
        None
    }

    async fn lacking_checks(&self, _: &[Arc<Service>]) -> Result<BTreeSet<String>, RegistryError> {
        self.ask("checks");
        Ok(BTreeSet::new())
    }

    async fn neighbours(
        &self,
        _: &str,
        _: Option<&str>,
    ) -> Result<BTreeMap<String, Registered>, RegistryError> {
        self.ask("neighbours");
        Ok(BTreeMap::new())
    }

    async fn set_maintenance(&self, id: &str, _: Option<&str>) -> Result<(), RegistryError> {
        self.ask("maintenance");
        let attempt = format!("put service {id} into maintenance");
        Err(RegistryError::Impossible { attempt, message: "there is none".into() })
    }

    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        self.ask("maintenance");
        Ok(BTreeMap::new())
    }

    async fn beat(
        &self,
        _: &Service,
        _: &[usize],
        _: CheckStatus,
        _: &str,
    ) -> Result<(), RegistryError> {
        self.ask("a report");
        Ok(())
    }
}

/// All that can be asked of a registry without maintenance and metadata.
const GREEDY: &str = "[lifecycle]\nheartbeat = true\nhealthcheck = \"check\"\ndrain = \"5s\"\n\
    drain-by = \"deregister\"\non-exit = \"leave\"\n";

#[tokio::test]
async fn a_registry_that_can_do_the_least_is_kept_true_and_asked_for_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = [("SERVICE_CHECK_TTL", "1s"), ("SERVICE_TAGS", "a,b"), ("SERVICE_META", "x")];
    let file = folder.path().join("container.json");
    fs::write(&file, inspected(&labels)).expect("the file is written");
    let source = Recorded::read(&[file], &Tags::default()).expect("a container");
    let config = Config::parse(GREEDY, Path::new("w.toml"), Path::new("")).expect("a file");
    let options = Options {
        resync: Some(Duration::from_millis(100)),
        watch: Duration::from_millis(100),
        deregister: Deregister::OnSuccess,
        lifecycle: config.lifecycle.clone(),
        ..Options::default()
    };
    let asked = Asked::of(&options, &config, Compat::None);
    assert_eq!(asked.faults("least", Capabilities::LEAST), [""; 0]);
    let stage = Builtin::new("registrator", "registrator", "{}").expect("a stage");
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let host = case.expect("the case is part of the corpus").host(Compat::None);
    let registry = Arc::new(Least::default());
    let gone = "testhost:gone:80";
    let theirs = Registered {
        id: gone.into(),
        name: "theirs".into(),
        address: "192.0.2.9".into(),
        port: 1,
        tags: Vec::new(),
        meta: Default::default(),
        weights: wharfinger::model::service::Weights::DEFAULT,
        enable_tag_override: false,
        tagged_addresses: Default::default(),
        further: Default::default(),
        lacks: Default::default(),
    };
    registry.entries.lock().expect("a map").insert(gone.into(), theirs);
    let pipeline = Pipeline::new(vec![Arc::new(stage)]);
    let reconciler = Reconciler::new(Arc::new(source), registry.clone(), pipeline, host, options);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { reconciler.run(stop).await }
    });
    until(SOON, "the service is registered", async || match registry.ids().len() {
        2 => Ok(()),
        _ => Err(format!("{:?}", registry.ids())),
    })
    .await;
    let own: Vec<_> = registry.ids().into_iter().filter(|id| id != gone).collect();
    let once = vec![format!("+{}", own[0])];
    holds(Duration::from_secs(2), "it is written once, and what is theirs stays", async || match (
        registry.writes(),
        registry.ids().len(),
    ) {
        (writes, 2) if writes == once => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // Somebody takes it out.
    registry.entries.lock().expect("a map").remove(&own[0]);
    until(SOON, "it is registered again", async || match registry.ids().len() {
        2 => Ok(()),
        _ => Err(format!("{:?}", registry.ids())),
    })
    .await;
    stop.cancel();
    running.await.expect("the loop ends");
    assert_eq!(registry.ids().len(), 2, "{:?}", registry.writes());
    let asked = registry.asked.lock().expect("a set").clone();
    assert_eq!(asked, BTreeSet::new());
}

/// Registries of the program that lack something; nothing answers there.
const KV: &str = "consulkv://127.0.0.1:1/services";
const KV_UNIX: &str = "consulkv-unix:///none.sock:/services";
const MEMORY: &str = "memory://";

#[tokio::test]
async fn every_command_refuses_what_a_registry_cannot_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let container = recorded(folder.path(), &[]);
    let file = folder.path().join("wharfinger.toml");
    let cases = [
        ("on-exit = 'maintenance'", &[KV, KV_UNIX, MEMORY][..], "lifecycle.on-exit"),
        ("drain = '5s'", &[KV, KV_UNIX, MEMORY], "lifecycle.drain-by"),
        ("rename = 'overlap 5m'", &[KV, KV_UNIX], "lifecycle.rename"),
    ];
    for (line, uris, key) in cases {
        for uri in uris {
            let adapter = uri.split_once("://").expect("a URI").0;
            let text = format!("[registry]\nuri = '{uri}'\n[lifecycle]\n{line}\n");
            fs::write(&file, text).expect("the file is written");
            let config = ["--config", arg(&file)];
            let look = ["--containers", arg(&container), uri];
            for words in [
                [&["run"], &config[..], &look].concat(),
                [&["plan"], &config[..], &look].concat(),
                [&["plan"], &config[..], &look[..2]].concat(),
                [&["explain", "app"], &config[..], &look].concat(),
                [&["check"], &config[..]].concat(),
            ] {
                let mut daemon = Daemon::start(&words, &[]);
                let code = daemon.wait(SOON).await.code();
                let log = daemon.log();
                assert_eq!(code, Some(78), "{words:?}: {log}");
                let said = log.lines().any(|said| said.contains(key) && said.contains(adapter));
                assert!(said, "{words:?}: {log}");
            }
        }
    }
}

#[tokio::test]
async fn every_command_says_what_stays_without_effect() {
    let folder = tempfile::tempdir().expect("a folder");
    let container = recorded(folder.path(), &[]);
    let file = folder.path().join("wharfinger.toml");
    for (line, key) in [
        ("heartbeat = true", "lifecycle.heartbeat: the registry memory"),
        ("healthcheck = 'check'", "lifecycle.healthcheck: the registry memory"),
    ] {
        let text = format!("[registry]\nuri = '{MEMORY}'\n[lifecycle]\n{line}\n");
        fs::write(&file, text).expect("the file is written");
        let look = ["--config", arg(&file), "--containers", arg(&container), MEMORY];
        let mut daemon = Daemon::start(&[&["run"], &look[..]].concat(), &[]);
        daemon.wait_for_log(key, SOON).await;
        daemon.wait_for_log("added", SOON).await;
        daemon.terminate().await;
        for words in [[&["plan"], &look[..]].concat(), vec!["check", "--config", arg(&file)]] {
            let mut daemon = Daemon::start(&words, &[]);
            let code = daemon.wait(SOON).await.code();
            assert!(matches!(code, Some(0 | 2)), "{}", daemon.log());
            assert!(daemon.stderr().contains(key), "{words:?}: {}", daemon.log());
        }
    }
}

#[tokio::test]
async fn a_registry_that_is_none_is_a_fault_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    for (uri, fault) in [
        ("etcd://127.0.0.1", "registry.uri: unrecognized adapter: etcd://127.0.0.1"),
        ("consul", "registry.uri: bad adapter uri: consul"),
    ] {
        fs::write(&file, format!("[registry]\nuri = '{uri}'\n")).expect("the file is written");
        let mut daemon = Daemon::start(&["check", "--config", arg(&file)], &[]);
        let code = daemon.wait(SOON).await.code();
        assert_eq!(code, Some(78), "{}", daemon.log());
        assert!(daemon.log().contains(fault), "{}", daemon.log());
    }
}
