//! The images of the recorded containers, made anew from what `docker inspect`
//! printed of them: what a container has and was not told with `docker run`, it
//! has of its image.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::corpus::Case;
use super::dockerd::Dockerd;

/// What is known of an image.
#[derive(Debug, Default)]
struct Image {
    names: BTreeSet<String>,
    /// Ports that every container of it exposes.
    ports: Option<BTreeSet<String>>,
    env: Vec<String>,
    labels: BTreeMap<String, String>,
    command: Option<Value>,
    entrypoint: Option<Value>,
}

/// The images of all cases in a Docker daemon.
#[derive(Debug, Default)]
pub struct Images {
    /// The identifiers here by those of the recording, with `sha256:`.
    identifiers: BTreeMap<String, String>,
}

impl Images {
    /// Makes the images that these cases need.
    pub fn make(dockerd: &Dockerd, cases: &[Case]) -> Self {
        let mut images = Self::default();
        for (recorded, image) in known(cases) {
            let names: Vec<_> =
                image.names.iter().filter(|name| !is_identifier(name, &recorded)).collect();
            let Some((first, others)) = names.split_first() else { continue };
            let changes = image.changes();
            let changes: Vec<_> = changes.iter().map(String::as_str).collect();
            let made = dockerd.import_busybox(first, &changes);
            for other in others {
                dockerd.run(&["tag", first, other]);
            }
            images.identifiers.insert(recorded, made);
        }
        images
    }

    /// The image's name here: one that is given by an identifier has another.
    pub fn here(&self, name: &str) -> String {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let known = self.identifiers.iter().find(|(recorded, _)| is_identifier(name, recorded));
        known.map_or_else(
            || name.into(),
            |(_, made)| {
                let digits = made.strip_prefix("sha256:").unwrap_or(made);
                name.replace(hex, &digits[..hex.len()])
            },
        )
    }

    /// The identifiers of the recording with those here.
    pub fn identifiers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.identifiers.iter().map(|(recorded, made)| (recorded.as_str(), made.as_str()))
    }
}

/// Whether a name is an image's identifier, or the beginning of one.
fn is_identifier(name: &str, identifier: &str) -> bool {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    hex.len() >= 12 && identifier.strip_prefix("sha256:").is_some_and(|it| it.starts_with(hex))
}

/// The images by their recorded identifiers.
fn known(cases: &[Case]) -> BTreeMap<String, Image> {
    let mut images: BTreeMap<String, Image> = BTreeMap::new();
    for case in cases {
        for container in case.value["containers"].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            let inspected = &case.value["docker_inspect"][name];
            if let Some(identifier) = inspected["Image"].as_str() {
                images.entry(identifier.into()).or_default().learn(container, inspected);
            }
        }
    }
    images
}

impl Image {
    fn learn(&mut self, container: &Value, inspected: &Value) {
        let config = &inspected["Config"];
        self.names.insert(config["Image"].as_str().unwrap_or_default().into());
        let ports: BTreeSet<_> =
            config["ExposedPorts"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
        self.ports = Some(match self.ports.take() {
            Some(before) => before.intersection(&ports).cloned().collect(),
            None => ports,
        });
        let args: Vec<_> = container["run_args"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(container["docker_argv"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        let told = |flags: &[&str], key: &str| {
            args.windows(2)
                .any(|pair| flags.contains(&pair[0]) && pair[1].split('=').next() == Some(key))
        };
        for entry in config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let key = entry.split('=').next().unwrap_or_default();
            if !told(&["-e", "--env"], key) && !self.env.iter().any(|known| known == entry) {
                self.env.push(entry.into());
            }
        }
        for (key, value) in config["Labels"].as_object().into_iter().flatten() {
            if !told(&["-l", "--label"], key) {
                self.labels.insert(key.clone(), value.as_str().unwrap_or_default().into());
            }
        }
        let told_command = container["cmd"].as_array().is_some_and(|cmd| !cmd.is_empty());
        if !told_command && config["Cmd"].is_array() {
            self.command = Some(config["Cmd"].clone());
        }
        if config["Entrypoint"].is_array() && !args.contains(&"--entrypoint") {
            self.entrypoint = Some(config["Entrypoint"].clone());
        }
    }

    /// As instructions of a Dockerfile.
    fn changes(&self) -> Vec<String> {
        let quoted = |text: &str| Value::from(text.replace('$', "\\$")).to_string();
        let mut changes = Vec::new();
        for port in self.ports.iter().flatten() {
            changes.push(format!("EXPOSE {port}"));
        }
        for entry in &self.env {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            changes.push(format!("ENV {key}={}", quoted(value)));
        }
        for (key, value) in &self.labels {
            changes.push(format!("LABEL {}={}", quoted(key), quoted(value)));
        }
        let asleep = || serde_json::json!(["sleep", "1000000"]);
        changes.push(format!("CMD {}", self.command.clone().unwrap_or_else(asleep)));
        changes.extend(self.entrypoint.iter().map(|entrypoint| format!("ENTRYPOINT {entrypoint}")));
        changes
    }
}
