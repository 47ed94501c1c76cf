//! Guarantee: what users of tools of this kind reported is right here. Each case of
//! `tests/fixtures/field`, whose README says what they hold, is planned by the program.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use crate::common::{daemon::Daemon, root};

/// What stands at a path such as `Check.Header` of a body.
fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(body, |value, part| value.get(part).unwrap_or(&Value::Null))
}

fn sorted(value: &Value) -> Vec<String> {
    let mut texts: Vec<_> = value.as_array().into_iter().flatten().map(Value::to_string).collect();
    texts.sort();
    texts
}

/// What is wrong with one service of a case.
fn faults_of(id: &str, body: &Value, expected: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, wanted) in expected.as_object().into_iter().flatten() {
        let right = match path.as_str() {
            "Meta!" => {
                let keys = wanted.as_array().into_iter().flatten().flat_map(Value::as_str);
                keys.into_iter().all(|key| at(body, "Meta").get(key).is_none())
            }
            path if path.ends_with('~') => {
                sorted(at(body, path.trim_end_matches('~'))) == sorted(wanted)
            }
            path => at(body, path) == wanted,
        };
        if !right {
            faults.push(format!("{id}: {path} is not {wanted} in {body}"));
        }
    }
    faults
}

/// What is wrong with a case; nothing if it is right.
fn faults(case: &Value) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let containers = folder.path().join("containers.json");
    fs::write(&containers, case["containers"].to_string()).expect("the file is written");
    let mut command = Command::new(Daemon::binary());
    command.args(["plan", "--output", "consul-json", "--no-provenance", "--containers"]);
    command.arg(&containers);
    command.args(case["flags"].as_array().into_iter().flatten().flat_map(Value::as_str));
    if let Some(text) = case["config"].as_str() {
        let config = folder.path().join("wharfinger.toml");
        fs::write(&config, text).expect("the file is written");
        command.arg("--config").arg(config);
    }
    let output = command.output().expect("the program starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = format!("{}{printed}", String::from_utf8_lossy(&output.stderr));
    let Ok(bodies) = serde_json::from_str::<Vec<Value>>(&printed) else {
        return vec![format!("no bodies: {said}")];
    };
    let bodies: BTreeMap<String, Value> = bodies
        .into_iter()
        .map(|mut body| {
            if let Some([one]) = body["Checks"].as_array().map(Vec::as_slice) {
                body["Check"] = one.clone();
            }
            (body["ID"].as_str().unwrap_or_default().to_string(), body)
        })
        .collect();
    let expected = case["expect"].as_object().expect("a case expects something");
    let mut faults = Vec::new();
    if !bodies.keys().eq(expected.keys().collect::<std::collections::BTreeSet<_>>()) {
        let wanted: Vec<_> = expected.keys().collect();
        faults.push(format!("services {:?} and not {wanted:?}", bodies.keys().collect::<Vec<_>>()));
    }
    for (id, wanted) in expected {
        faults.extend(bodies.get(id).map(|body| faults_of(id, body, wanted)).unwrap_or_default());
    }
    if let Some(word) = case["says"].as_str()
        && !said.to_lowercase().contains(&word.to_lowercase())
    {
        faults.push(format!("nothing is said of {word:?}: {said}"));
    }
    faults
}

#[test]
fn every_case_of_the_field_is_right() {
    let folder = fs::read_dir(root().join("tests/fixtures/field")).expect("the cases");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let text = fs::read(file).expect("a case can be read");
        let case: Value = serde_json::from_slice(&text).expect("a case is JSON");
        let name = case["case"].as_str().expect("a case has a name");
        wrong.extend(faults(&case).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    let failed: std::collections::BTreeSet<_> =
        wrong.iter().filter_map(|fault| fault.split(':').next()).collect();
    println!("{} of {} cases of the field right", files.len() - failed.len(), files.len());
    assert!(files.len() >= 38, "{}", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
