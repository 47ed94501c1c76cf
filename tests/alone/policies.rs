//! Guarantee: every policy of the library passes its cases as a component, tells
//! what it can be set to, and is configured as its README says; and the naming
//! conventions that the READMEs describe are settings.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use crate::common::{corpus, daemon::Daemon, plugin, root, stages};
use serde_json::{Value, json};
use wharfinger::{
    error::error_chain,
    model::{
        container::{Container, Protocol},
        host::{Compat, Host},
        service::Service,
    },
    pipeline::{AddressRules, Outcome, Pipeline, Stage, Verdict, candidates},
    stages::builtin::Builtin,
};

const POLICIES: [&str; 11] = [
    "allow",
    "checks",
    "connect",
    "dns-safe",
    "environment",
    "expire",
    "hardened",
    "naming",
    "require",
    "tags",
    "traefik",
];

fn folder(policy: &str) -> PathBuf {
    root().join("plugins").join(policy)
}

fn component(policy: &str) -> PathBuf {
    plugin(&policy.replace('-', "_"))
}

/// What the program prints, which has to be JSON.
fn wharfinger(arguments: &[&str]) -> Value {
    let output =
        Command::new(Daemon::binary()).args(arguments).output().expect("the program starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

#[test]
fn every_case_is_as_expected() {
    for policy in POLICIES {
        let (folder, component) = (folder(policy), component(policy));
        let cases = fs::read_dir(folder.join("cases")).expect("the cases").count();
        assert!(cases >= 7, "{policy}: {cases} cases");
        let (folder, component) = (folder.display().to_string(), component.display().to_string());
        let report = wharfinger(&["plugin", "test", &folder, "--component", &component, "--json"]);
        assert_eq!(report["passed"], json!(cases), "{policy}: {report:#}");
        assert_eq!(report["failed"], json!(0), "{policy}: {report:#}");
    }
}

#[test]
fn every_policy_tells_its_settings() {
    for policy in POLICIES {
        let component = component(policy).display().to_string();
        let report = wharfinger(&["plugin", "inspect", &component, "--json"]);
        assert_eq!(report["plugin"]["name"], json!(policy));
        // The schema is handed on as the object that it is, or as its text.
        let schema = match &report["settings_schema"] {
            Value::String(text) => serde_json::from_str(text).expect("a schema is JSON"),
            other => other.clone(),
        };
        let properties = schema["properties"].as_object().expect("settings have keys");
        for (key, property) in properties {
            let said = property["description"].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{policy}: {key}: {property}");
        }
        assert_eq!(schema["additionalProperties"], json!(false), "{policy}");
    }
}

#[tokio::test]
async fn the_configuration_of_each_readme_is_valid() {
    for policy in POLICIES {
        let readme = fs::read_to_string(folder(policy).join("README.md")).expect("a README");
        let block = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let document: toml::Table = block.expect("a block of TOML").parse().expect("it is TOML");
        let name = format!("wharfinger_{}.wasm", policy.replace('-', "_"));
        let pipeline = document["pipeline"].as_array().expect("stages");
        let found = pipeline
            .iter()
            .find(|stage| stage.get("file").and_then(toml::Value::as_str) == Some(name.as_str()));
        let stage = found.unwrap_or_else(|| panic!("{policy}: no stage of {name}"));
        let settings = serde_json::to_string(&stage["settings"]).expect("settings are JSON");
        let mut spec = stages::spec(component(policy), &settings, stages::AMPLE);
        let clock = stage.get("grant").and_then(|grant| grant.get("clock"));
        spec.grants.clock = clock.and_then(toml::Value::as_bool).unwrap_or_default();
        let loaded = stages::plugin_host().load(spec).await;
        loaded.unwrap_or_else(|error| panic!("{policy}: {}", error_chain(&error)));
    }
}

/// The conventions of the README of `naming`.
fn conventions() -> Vec<(String, Value, String)> {
    conventions_of(&folder("naming").join("README.md"), "## Five conventions")
}

/// The conventions in a section of a file: what they are called, the setting
/// `names` and the name that it makes.
fn conventions_of(file: &Path, heading: &str) -> Vec<(String, Value, String)> {
    let readme = fs::read_to_string(file).expect("a README");
    let section = readme.split(heading).nth(1).expect("the section");
    let section = section.split("\n#").next().expect("its text");
    let code = |cell: &str| cell.split('`').nth(1).expect("code").to_string();
    let row = |line: &str| {
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<String> =
            line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
        let names = serde_json::from_str(&code(&cells[2])).expect("a list of templates");
        (cells[1].clone(), names, code(&cells[3]))
    };
    section.lines().filter(|line| line.starts_with("| ")).skip(1).map(row).collect()
}

async fn naming(names: &Value) -> Arc<dyn Stage> {
    let settings = json!({ "names": names }).to_string();
    Arc::new(stages::load("naming", &settings, stages::AMPLE).await)
}

#[tokio::test]
async fn five_conventions_are_settings() {
    let (mut container, host, _) = stages::container(&[
        ("team", "shop"),
        ("env", "staging"),
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.service", "web"),
    ]);
    container.image = "registry.example.com/shop/front/web:1.2".into();
    let conventions = conventions();
    let of_main = conventions_of(&root().join("docs/policies.md"), "### Naming conventions");
    assert_eq!((conventions.len(), of_main.len()), (5, 5));
    for (convention, names, expected) in conventions.into_iter().chain(of_main) {
        let registrator = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
        let pipeline = Pipeline::new(vec![Arc::new(registrator), naming(&names).await]);
        let Outcome { services, .. } =
            pipeline.evaluate(&container, &host).await.expect("the stages answer");
        let found: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(found, [expected], "{convention}");
    }
}

/// The names that a stage gives to the services of each port, of those that it is shown.
async fn named(
    stage: &dyn Stage,
    container: &Container,
    host: &Host,
    shown: impl Fn(&(u16, Protocol)) -> bool,
) -> BTreeMap<(u16, Protocol), String> {
    let mut found = candidates(container, host, &AddressRules::default()).expect("no labels");
    found.services.retain(|service| {
        let origin = service.origin.as_ref().expect("a candidate has one");
        shown(&(origin.container_port, origin.protocol))
    });
    let decision = stage.process(container, host, &found.services).await.result;
    let verdicts = decision.expect("the stage answers").verdicts;
    let name = |(verdict, before): (Verdict, Service)| {
        let origin = before.origin.clone().expect("a candidate has one");
        let key = (origin.container_port, origin.protocol);
        match verdict {
            Verdict::Keep => Some((key, before.name)),
            Verdict::Replace(after) => Some((key, after.name)),
            Verdict::Veto(_) => None,
        }
    };
    verdicts.into_iter().zip(found.services).filter_map(name).collect()
}

#[tokio::test]
async fn registrators_own_names_are_settings_for_every_recorded_container() {
    let conventions = conventions();
    let (_, names, _) =
        conventions.iter().find(|(name, ..)| name.contains("registrator")).expect("the last one");
    let naming = naming(names).await;
    let registrator = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
    let (mut compared, mut differences) = (0, Vec::new());
    for case in corpus::cases() {
        let host = case.host(Compat::None);
        for container in case.containers() {
            let theirs = named(&registrator, &container, &host, |_| true).await;
            // What a stage vetoed no later one sees.
            let shown = |port: &_| theirs.contains_key(port);
            let ours = named(&*naming, &container, &host, shown).await;
            compared += theirs.len();
            let differs = theirs.iter().filter(|(port, name)| ours.get(port) != Some(name));
            differences.extend(differs.map(|(port, name)| {
                format!("{}: {port:?}: {name}, not {:?}", case.name, ours.get(port))
            }));
        }
    }
    assert_eq!(differences, [""; 0]);
    assert!(compared > 150, "{compared}");
}
