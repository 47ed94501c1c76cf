//! The servers of a network namespace that is a recorded host: Docker, Consul at
//! the recorded addresses, and the relays before them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::consul::{self, Consul};
use super::corpus::Case;
use super::dockerd::{self, Dockerd};
use super::http::Activity;
use super::images::Images;
use super::relay::{ConsulRelay, DockerRelay};
use super::volatile::Volatile;
use super::{info, namespace};

/// The recording's agent that runs no scripts.
const WITHOUT_SCRIPTS: &str = "127.0.0.1:8702";

/// The servers of a lane.
pub struct Lab {
    pub activity: Activity,
    pub docker: Dockerd,
    pub images: Images,
    /// The agents and the relays before them, by the address of the recording.
    pub agents: BTreeMap<String, (Consul, ConsulRelay)>,
    /// The relay before Docker's socket.
    pub socket: PathBuf,
    _docker_relay: DockerRelay,
}

impl Lab {
    pub async fn start(cases: &[Case]) -> Self {
        namespace::set_up();
        info::serve();
        let activity = Activity::default();
        let options = dockerd::Options { own_network: true, ..dockerd::Options::default() };
        let docker = Dockerd::start_with(options).await;
        let images = Images::make(&docker, cases);
        let mut agents = BTreeMap::new();
        for address in cases.iter().map(address).collect::<BTreeSet<_>>() {
            let consul = Consul::start(consul::Options {
                script_checks: address != WITHOUT_SCRIPTS,
                args: vec!["-node=testnode".into()],
                ..consul::Options::default()
            });
            let consul = consul.await;
            let relay = ConsulRelay::start(&address, consul.addr(), activity.clone()).await;
            agents.insert(address, (consul, relay));
        }
        let socket = docker.socket().with_file_name("relay.sock");
        let relay = DockerRelay::start(&socket, &docker.socket(), activity.clone());
        Self { activity, docker, images, agents, socket, _docker_relay: relay }
    }

    /// The containers that there are, running or not.
    pub fn containers(&self) -> Vec<String> {
        self.docker.run(&["ps", "-aq"]).lines().map(String::from).collect()
    }

    /// Removes all of them.
    pub fn remove_containers(&self) {
        let containers = self.containers();
        if !containers.is_empty() {
            let mut args = vec!["rm", "-f"];
            args.extend(containers.iter().map(String::as_str));
            self.docker.run(&args);
        }
    }

    /// Leave nothing to the next case.
    pub async fn tidy(&self) {
        self.remove_containers();
        self.docker.run(&["network", "prune", "-f"]);
        for (consul, _) in self.agents.values() {
            for id in consul.services().await.keys() {
                consul.deregister(&escaped(id)).await;
            }
            let cleared = consul.send(Method::DELETE, "/v1/kv/?recurse=true", &Value::Null).await;
            cleared.expect("the keys can be deleted");
        }
    }
}

/// Where Consul was reached in the recording.
pub fn address(case: &Case) -> String {
    let uri = case.value["registrator"]["uri"].as_str().expect("a URI");
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_string()
}

/// An ID as a segment of a path.
fn escaped(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// How services, checks and keys differ from the recorded ones, if those are.
/// `here` is what is volatile in what is found.
pub async fn difference(consul: &Consul, here: &Volatile, recorded: &Value) -> Option<String> {
    let found = json!({
        "services": consul.services().await,
        "checks": without_results(consul.checks().await),
        "kv": keys(consul).await,
    });
    let found = here.replace(&found);
    for key in ["services", "checks", "kv"] {
        let Some(expected) = recorded.get(key) else { continue };
        let expected = match expected {
            Value::Object(checks) if key == "checks" => without_results(checks.clone()),
            other => other.clone(),
        };
        if expected != found[key] {
            return Some(format!("{key}: expected {expected}, found {}", found[key]));
        }
    }
    None
}

/// Checks without what running them has shown.
fn without_results(checks: Map<String, Value>) -> Value {
    let strip = |(id, mut check): (String, Value)| {
        for result in ["Output", "Status"] {
            check.as_object_mut().expect("a check is an object").remove(result);
        }
        (id, check)
    };
    checks.into_iter().map(strip).collect()
}

/// The keys with their values.
async fn keys(consul: &Consul) -> Value {
    let mut pairs = Map::new();
    // Without a key, the answer is an error.
    let keys = consul.send(Method::GET, "/v1/kv/?keys=true", &Value::Null).await;
    for key in keys.unwrap_or_default().as_array().into_iter().flatten() {
        let key = key.as_str().expect("a key");
        let path: Vec<_> = key.split('/').map(escaped).collect();
        let value = consul.get(&format!("/v1/kv/{}?raw=true", path.join("/"))).await;
        pairs.insert(key.into(), value);
    }
    Value::Object(pairs)
}
