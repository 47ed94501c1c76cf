//! Guarantee: the log has fields and no riddles. Whatever the daemon does, a program finds by the
//! event's name and the documented fields; what lasts is told once; and the text says the same.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use serde_json::Value;
use wharfinger::telemetry::event::ALL;

use crate::{
    common::{daemon::Daemon, plugin, proxy::Mode, wait::until},
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(30);
const REGISTRATOR: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

fn policy(file: &Path, mode: &str) -> String {
    format!(
        "{REGISTRATOR}[[pipeline]]\nname = 'policy'\nmode = '{mode}'\nfile = {file:?}\n\
         settings = {{ tag = 'team' }}\n"
    )
}

fn ids(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| format!("h:c{number}:80")).collect()
}

/// The lines of the log, of which each is one object.
fn entries(daemon: &Daemon) -> Vec<Value> {
    let log = daemon.stderr();
    let entry = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    log.lines().map(entry).collect()
}

/// The last line of an event, as soon as there is one with this in the field.
async fn told(daemon: &Daemon, event: &str, field: &str, part: &str) -> Value {
    let what = format!("{event} with {field} = {part}");
    until(SOON, what, async || {
        let mut found = entries(daemon);
        found.retain(|entry| {
            let value =
                entry[field].as_str().map_or_else(|| entry[field].to_string(), String::from);
            entry["event"] == event && value.contains(part)
        });
        found.pop().ok_or_else(|| daemon.log())
    })
    .await
}

/// Each line has a documented event and documented fields.
fn hold_against_the_list(entries: &[Value]) {
    for entry in entries {
        let fields = entry.as_object().expect("an object");
        let event = entry["event"].as_str().unwrap_or_else(|| panic!("no event: {entry}"));
        let kind = ALL.iter().find(|kind| kind.name == event);
        let kind = kind.unwrap_or_else(|| panic!("{event} is not documented: {entry}"));
        assert!(entry["message"].as_str().is_some_and(|words| !words.is_empty()), "{entry}");
        for (name, value) in fields {
            let common = ["timestamp", "level", "event", "message"].contains(&name.as_str());
            let counted = name == "count" && entry["level"] != "INFO";
            let documented = kind.fields.contains(&name.as_str());
            assert!(common || counted || documented || event == "library", "{name}: {entry}");
            assert!(*value != Value::Null && *value != "", "{name}: {entry}");
        }
        if let Some(id) = entry["container.id"].as_str() {
            assert_eq!(id.len(), 64, "{entry}");
            assert!(entry["container.name"].is_string(), "{entry}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_story_has_a_documented_event_and_documented_fields() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("policy.wasm");
    fs::copy(plugin("convention"), &component).expect("a plugin");
    let file = folder.path().join("wharfinger.toml");
    fs::write(&file, policy(&component, "monitor")).expect("the file is written");
    lab.start("c0", 0, &[("owner", "ann")]);
    lab.start("c1", 1, &[]);
    lab.start("c2", 2, &[("SERVICE_IGNORE", "yes")]);
    lab.start("c3", 3, &[("owner", "bob"), ("SERVICE_CHECK_INTERVAL", "often")]);
    let config = file.display().to_string();
    let mut daemon = lab.daemon(&["--config", &config, "--log-format", "json"], None);
    lab.has(&ids(&[0, 1, 3]), SOON).await;

    let added = told(&daemon, "registered", "id", "h:c0:80").await;
    assert_eq!(
        (&added["reason"], &added["container.name"], &added["service"]),
        (&"added".into(), &"c0".into(), &"web".into())
    );
    told(&daemon, "ignored", "container.name", "c2").await;
    let would = told(&daemon, "monitored", "id", "h:c1:80").await;
    assert_eq!((&would["stage"], &would["container.name"]), (&"policy".into(), &"c1".into()));
    assert!(would["reason"].as_str().is_some_and(|why| why.contains("vetoed")), "{would}");

    // A mode that changes is told, and what comes of it.
    fs::write(&file, policy(&component, "enforce")).expect("the file is written");
    let mode = told(&daemon, "stage-mode", "stage", "policy").await;
    assert_eq!((&mode["old"], &mode["new"]), (&"monitor".into(), &"enforce".into()));
    let vetoed = told(&daemon, "vetoed", "id", "h:c1:80").await;
    assert_eq!((&vetoed["stage"], &vetoed["service"]), (&"policy".into(), &"web".into()));
    let gone = told(&daemon, "deregistered", "id", "h:c1:80").await;
    assert!(gone["reason"].as_str().is_some_and(|why| why.starts_with("vetoed by stage policy")));
    let changed = told(&daemon, "registered", "reason", "changed (tags").await;
    assert_eq!((&changed["old"], &changed["new"]), (&"tags []".into(), &"tags [\"team\"]".into()));

    // A file that cannot be used, and one that is mended.
    fs::write(&file, "[[pipeline]]\nnam = 'x'\n").expect("the file is written");
    let refused = told(&daemon, "not-reloaded", "reason", "nam").await;
    assert_eq!((&refused["level"], &refused["file"]), (&"ERROR".into(), &config.clone().into()));
    fs::write(&file, policy(&component, "enforce")).expect("the file is written");
    told(&daemon, "config-whole", "file", &config).await;

    // What lasts is told once, and so is its end.
    lab.proxy.set(Mode::Answer { status: 500, every: 1 });
    lab.start("c4", 4, &[("owner", "eve")]);
    lab.event(4, "start");
    told(&daemon, "container-failing", "container.name", "c4").await;
    told(&daemon, "registry-failing", "reason", "500").await;
    let attempts = lab.proxy.count();
    until(SOON, "more attempts", async || match lab.proxy.count() - attempts {
        more if more >= 8 => Ok(()),
        more => Err(format!("{more} more")),
    })
    .await;
    lab.proxy.set(Mode::Pass);
    let back = told(&daemon, "container-recovered", "container.name", "c4").await;
    assert!(back["count"].as_u64().is_some_and(|count| count >= 8), "{back}");
    told(&daemon, "registry-recovered", "count", "").await;
    let failing =
        |entry: &&Value| entry["event"] == "container-failing" && entry["container.name"] == "c4";
    let entries_so_far = entries(&daemon);
    let reasons: BTreeSet<_> =
        entries_so_far.iter().filter(failing).map(|entry| entry["reason"].to_string()).collect();
    assert_eq!(entries_so_far.iter().filter(failing).count(), reasons.len(), "{reasons:?}");

    lab.docker.set("c4", None);
    lab.event(4, "destroy");
    let gone = told(&daemon, "deregistered", "id", "h:c4:80").await;
    assert_eq!(
        (&gone["reason"], &gone["container.name"]),
        (&"its container is gone".into(), &"c4".into())
    );
    assert!(daemon.terminate().await.success());
    told(&daemon, "stopped", "reason", "services stay registered").await;
    let all = entries(&daemon);
    hold_against_the_list(&all);
    let events: BTreeSet<_> = all.iter().filter_map(|entry| entry["event"].as_str()).collect();
    assert!(events.len() >= 20, "{events:?}");
}

/// The same as text.
#[tokio::test(flavor = "multi_thread")]
async fn the_text_has_the_containers_name_beside_its_identifier() {
    let lab = Lab::new().await;
    lab.start("good", 0, &[]);
    lab.start("bad", 1, &[("SERVICE_CHECK_TTL", "often")]);
    lab.start("hidden", 2, &[("SERVICE_IGNORE", "yes")]);
    lab.start("held", 3, &[("wharfinger.port", "many")]);
    let mut daemon = lab.daemon(&[], Some(REGISTRATOR));
    for (part, name) in [
        ("added: 000000000000 h:good:80", "good"),
        ("SERVICE_CHECK_TTL", "bad"),
        ("ignored: 000000000000 ", "hidden"),
        ("it keeps what it has", "held"),
    ] {
        let line = daemon.wait_for_log(part, SOON).await;
        assert!(line.contains(&format!("container.name=\"{name}\"")), "{line}");
        assert!(line.contains("000000000000"), "{line}");
    }
    lab.docker.set("good", None);
    lab.event(0, "destroy");
    let line = daemon.wait_for_log("removed: 000000000000 h:good:80", SOON).await;
    assert!(line.contains("container.name=\"good\""), "{line}");
    assert!(daemon.terminate().await.success());
    assert!(!daemon.log().contains("event="), "{}", daemon.log());
}
