//! The recorded behaviour of gliderlabs/registrator: one file per case in
//! `tests/fixtures/registrator`, whose README says what they hold.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;
use wharfinger::{
    docker::{Inspected, Tags, container},
    model::{
        container::Container,
        host::{Compat, Host},
    },
};

/// One recorded case.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub value: Value,
}

/// All cases, sorted by name; those of another folder if `WHARFINGER_CORPUS`
/// names one.
pub fn cases() -> Vec<Case> {
    let folder = std::env::var_os("WHARFINGER_CORPUS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| super::root().join("tests/fixtures/registrator"));
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the fixtures are part of the repository")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let case = |path: &PathBuf| {
        let text = fs::read(path).expect("a fixture can be read");
        let value: Value = serde_json::from_slice(&text).expect("a fixture is JSON");
        Case { name: value["case"].as_str().expect("a case has a name").into(), value }
    };
    files.iter().map(case).collect()
}

/// The cases of `tests/fixtures/field` with what a stage is shown of them: containers and a host.
pub fn field() -> Vec<Case> {
    let files = fs::read_dir(super::root().join("tests/fixtures/field")).expect("the cases");
    let mut files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let case = |file: &PathBuf| {
        let text = fs::read(file).expect("a case can be read");
        let value: Value = serde_json::from_slice(&text).expect("a case is JSON");
        let containers = value["containers"].as_array().into_iter().flatten().enumerate();
        let inspected: serde_json::Map<_, _> =
            containers.map(|(place, one)| (place.to_string(), one.clone())).collect();
        let registrator = serde_json::json!({ "hostname": "h", "flags": ["-ip", "192.0.2.10"] });
        Case {
            name: value["case"].as_str().expect("a case has a name").into(),
            value: serde_json::json!({ "registrator": registrator, "docker_inspect": inspected }),
        }
    };
    files.iter().map(case).collect()
}

impl Case {
    pub fn area(&self) -> &str {
        self.value["area"].as_str().unwrap_or_default()
    }

    pub fn is_deterministic(&self) -> bool {
        self.value["deterministic"].as_bool().unwrap_or(true)
    }

    pub fn flags(&self) -> Vec<&str> {
        self.value["registrator"]["flags"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(Value::as_str)
            .collect()
    }

    /// The value of a flag.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let flags = self.flags();
        let at = flags.iter().position(|flag| *flag == name)?;
        Some(flags.get(at + 1).copied().unwrap_or("true"))
    }

    /// What `docker inspect` printed for each container, when first seen.
    pub fn inspected(&self) -> Vec<Value> {
        self.value["docker_inspect"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.values().cloned())
            .collect()
    }

    /// The host's facts of the recording.
    pub fn host(&self, compat: Compat) -> Host {
        let registrator = &self.value["registrator"];
        let hostname = registrator["hostname"].as_str().unwrap_or("testhost").to_string();
        let resolved = registrator["hosts"][&hostname].as_str().map(String::from);
        let mut flags = BTreeMap::from([("compat".to_string(), compat.to_string())]);
        if self.flag("-explicit").is_some() {
            flags.insert("explicit".into(), "true".into());
        }
        Host {
            hostname,
            forced_address: self.flag("-ip").map(String::from),
            resolved_address: resolved,
            internal: self.flag("-internal").is_some(),
            explicit: self.flag("-explicit").is_some(),
            address_label: self.flag("-useIpFromLabel").map(String::from),
            compat,
            flags,
            agent: None,
            engine: None,
        }
    }

    /// The containers as the source would read them.
    pub fn containers(&self) -> Vec<Container> {
        let read = |value: &Value| -> Inspected {
            serde_json::from_value(value.clone()).expect("what Docker printed can be read")
        };
        let all = self.inspected();
        let peer = |value: &Value| {
            let id = value["HostConfig"]["NetworkMode"].as_str()?.strip_prefix("container:")?;
            all.iter().find(|other| other["Id"] == id).map(read)
        };
        let tags = Tags::default();
        let read = |value| container(&read(value), peer(value).as_ref(), &tags);
        all.iter().map(|value| read(value).expect("a container")).collect()
    }
}
