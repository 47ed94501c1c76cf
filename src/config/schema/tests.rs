//! The committed schema is that of the types, and says of a file what the daemon says of it.

use std::{fs, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value};

use super::{SCHEMA, shape::derived};
use crate::config::Config;
use documented::documented;

#[path = "../../../tests/common/documented.rs"]
#[allow(unreachable_pub)] // Other programs of tests have it in a module that all share.
mod documented;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The committed schema, ready to judge.
struct Judge {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let schema = serde_json::from_str(SCHEMA).expect("it is JSON");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("wharfinger.schema.json", schema).expect("it is a schema");
        let compiled = compiler.compile("wharfinger.schema.json", &mut schemas);
        let index = compiled.unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    /// What is wrong with a file by the schema.
    fn fault(&self, text: &str) -> Option<String> {
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        let value = serde_json::to_value(table).expect("it is written");
        self.schemas.validate(&value, self.index).err().map(|error| format!("{error:#}"))
    }
}

/// Whether the daemon can read it; what makes no sense in it is another matter.
fn is_read(text: &str) -> bool {
    Config::parse_with_faults(text, Path::new("w.toml"), Path::new("")).is_ok()
}

/// With WHARFINGER_WRITE_REFERENCE in the environment it writes the file instead.
#[test]
fn the_committed_schema_is_that_of_the_types() {
    let expected = format!("{:#}\n", derived());
    if std::env::var_os("WHARFINGER_WRITE_REFERENCE").is_some() {
        let file = root().join("docs/wharfinger.schema.json");
        return fs::write(file, expected).expect("it is written");
    }
    assert!(SCHEMA == expected, "docs/wharfinger.schema.json is behind; make reference writes it");
}

/// The keys of a table as the schema has them, with what holds where nothing is said.
fn keys(schema: &Value, at: &str, found: &mut Map<String, Value>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, one) in properties.iter().filter(|(key, _)| *key != "useIpFromLabel") {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match one["properties"].is_object() {
            true => keys(one, &path, found),
            false => drop(found.insert(path, one["default"].clone())),
        }
    }
}

/// The same of a value that was written.
fn written(value: &Value, at: &str, found: &mut Map<String, Value>) {
    for (key, one) in value.as_object().into_iter().flatten() {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match one.is_object() && !["resolve", "settings"].contains(&key.as_str()) {
            true => written(one, &path, found),
            false => drop(found.insert(path, one.clone())),
        }
    }
}

#[test]
fn the_schema_has_the_keys_and_defaults_that_are_read() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("it is JSON");
    let (mut said, mut held) = (Map::new(), Map::new());
    keys(&schema, "", &mut said);
    let config = serde_json::to_value(Config::default()).expect("it is written");
    written(&config, "", &mut held);
    let names = |map: &Map<String, Value>| {
        let mut names: Vec<_> = map.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&said), names(&held));
    assert!(said.len() > 50, "{}", said.len());
    for (key, default) in &said {
        // A stage and the names that are resolved are tables.
        let none = held[key].is_object() || key == "pipeline";
        assert_eq!(*default, if none { Value::Null } else { held[key].clone() }, "{key}");
    }
    let (mut said, mut held) = (Map::new(), Map::new());
    keys(&schema["properties"]["pipeline"]["items"], "", &mut said);
    written(&config["pipeline"][0], "", &mut held);
    assert_eq!(names(&said), names(&held));
}

#[test]
fn what_is_documented_is_right_by_the_schema_and_is_read() {
    let judge = Judge::new();
    let documented = documented();
    assert!(documented.len() >= 25, "{}", documented.len());
    for (name, text) in &documented {
        assert_eq!(judge.fault(text), None, "{name}");
        assert!(is_read(text), "{name}");
        // A key that nobody knows is none, in whichever table it is.
        for (table, _) in text.match_indices("\n[").filter(|_| !text.contains("pipeline.settings"))
        {
            let end = table + 1 + text[table + 1..].find('\n').unwrap_or(0);
            let with = format!("{}\nno-such-key = 1{}", &text[..end], &text[end..]);
            assert!(judge.fault(&with).is_some(), "{name}: {with}");
            assert!(!is_read(&with), "{name}: {with}");
        }
    }
}

#[test]
fn examples_name_the_schema_in_their_first_line() {
    let mut checked = 0;
    for (name, text) in documented().iter().filter(|(name, _)| name.starts_with("packaging/")) {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("#:schema "), "{name}: {first}");
        assert!(first.ends_with("wharfinger.schema.json"), "{name}: {first}");
        checked += 1;
    }
    assert!(checked > 0);
}

#[test]
fn the_schema_refuses_what_is_not_read_and_the_other_way_round() {
    let judge = Judge::new();
    for (text, right) in [
        ("", true),
        ("compat = 'none'", true),
        ("compat = 'registrators'", false),
        ("strict-start = true", true),
        ("strict_start = true", false),
        ("[registry]\nprovenance = false", true),
        ("[host]\nresolve = { a = '192.0.2.1' }", true),
        ("[host]\nresolve = { a = 1 }", false),
        ("[registrator]\nresync = 60\nretry-interval = '2s'\nretry-attempts = -1", true),
        ("[registrator]\nuseIpFromLabel = 'ip'", true),
        ("[registrator]\nresync = 'soon'", false),
        ("[registrator]\nresync = -1", false),
        ("[registrator]\nderegister = 'on-success'", true),
        ("[registrator]\nderegister = 'never'", false),
        ("[daemon]\nlog-format = 'json'", true),
        ("[daemon]\nlog-format = 'JSON'", false),
        ("[limits]\ntimeout = '1s 500ms'\nmemory = '32MiB'\nlog-lines = 7", true),
        ("[limits]\ntimeout = '200'", false),
        ("[limits]\ntimeout = 200", false),
        ("[limits]\nmemory = 33554432", true),
        ("[limits]\nmemory = '1.5GiB'", true),
        ("[limits]\nmemory = '32 apples'", false),
        ("[limits]\nlog-lines = 'many'", false),
        ("[limits]\nlog-lines = -1", false),
        ("[lifecycle]\nrename = 'overlap 5m'\ndrain = '10s'", true),
        ("[lifecycle]\nrename = 'sometimes'", false),
        ("[guard]\nshare = 50\nleast = 0", true),
        ("[guard]\nshare = -1", false),
        ("[address]\nfamily = 'dual'\nhost-ipv4 = '192.0.2.1'", true),
        ("[address]\nfamily = 'ipv5'", false),
        ("[cache]\nsize = '2MiB'", true),
        ("[cache]\nsize = true", false),
        ("[policy]\npoll = '5s'", true),
        ("[policy]\npoll = 5", false),
        ("[policy.trust]\nkeys = [{ name = 'a' }]", true),
        ("[policy.trust]\nkeys = [{ file = 'a' }]", false),
        ("[policy.trust]\nkeys = [{ name = 'a', secret = 'b' }]", false),
        ("[listen]\nhosts = ['a']", true),
        ("[listen]\nhosts = 'a'", false),
        (
            "[[pipeline]]\nname = 'a'\nfile = 'a.wasm'\nsettings = { anything = [1, { a = 2 }] }",
            true,
        ),
        ("[[pipeline]]\nfile = 'a.wasm'", false),
        ("[[pipeline]]\nname = 'a'\nmode = 'watch'", false),
        ("[[pipeline]]\nname = 'a'\non-error = 'veto'\nvalidate-only = true", true),
        ("[[pipeline]]\nname = 'a'\ntimeout = '20ms'\nlimits = { output = '64KiB' }", true),
        ("[[pipeline]]\nname = 'a'\nlimits = { timeout = '20ms' }", false),
        ("[[pipeline]]\nname = 'a'\ngrant.env = ['A']\ngrant.kv = 'a'\ngrant.clock = true", true),
        ("[[pipeline]]\nname = 'a'\ngrant.disk = true", false),
        ("[pipeline]\nname = 'a'", false),
    ] {
        assert_eq!(is_read(text), right, "{text}");
        let fault = judge.fault(text);
        assert_eq!(fault.is_none(), right, "{text}: {fault:?}");
    }
}
