//! docs/configuration.md is the schema with the flags and variables that say the same.

use std::{fmt::Write as _, fs, path::Path};

use clap::{Arg, Command, CommandFactory as _};
use serde_json::Value;

use super::{Cli, KEYS, SCHEMA};

const MARK: &str = "<!-- keys -->\n";

/// With WHARFINGER_WRITE_REFERENCE in the environment it writes the tables instead.
#[test]
fn the_document_has_every_key_with_its_default_and_its_flag() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&file).expect("it is there");
    let [head, tables, rest] = text.split(MARK).collect::<Vec<_>>()[..] else {
        panic!("docs/configuration.md has not two marks");
    };
    let schema: Value = serde_json::from_slice(SCHEMA.as_bytes()).expect("it is JSON");
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("the command");
    let mut page = Page { run, text: String::new() };
    page.table("", &schema);
    if std::env::var_os("WHARFINGER_WRITE_REFERENCE").is_some() {
        let text = format!("{head}{MARK}{}{MARK}{rest}", page.text);
        return fs::write(&file, text).expect("it is written");
    }
    let behind = "docs/configuration.md is behind; make reference writes it";
    assert!(tables == page.text, "{behind}:\n{}", page.text);
    // A key with a flag that the page does not have would have been renamed in the schema alone.
    for (flag, key) in KEYS {
        let key = key.rsplit('.').next().unwrap_or_default();
        assert!(tables.contains(&format!("| `{key}` |")), "{flag}: {key}");
    }
}

struct Page<'a> {
    run: &'a Command,
    text: String,
}

impl Page<'_> {
    /// The keys of a table, and then its tables.
    fn table(&mut self, at: &str, schema: &Value) {
        let Some(properties) = schema["properties"].as_object() else { return };
        let inner = |one: &Value| match &one["items"]["properties"] {
            Value::Object(_) => Some((one["items"].clone(), true)),
            _ if one["properties"].is_object() => Some((one.clone(), false)),
            _ => None,
        };
        let keys =
            properties.iter().filter(|(key, one)| inner(one).is_none() && *key != "useIpFromLabel");
        let mut head = true;
        for (key, one) in keys {
            if std::mem::take(&mut head) {
                self.text += "\n| key | type | default | flag, variable | meaning |\n";
                self.text += "|---|---|---|---|---|\n";
            }
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            self.row(key, &path, one, schema);
        }
        for (key, one) in properties {
            let Some((inner, many)) = inner(one) else { continue };
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            let (open, close) = if many { ("[[", "]]") } else { ("[", "]") };
            let about = one["description"].as_str().unwrap_or_default();
            let _ = write!(self.text, "\n## `{open}{path}{close}`\n\n{}\n", cell(about));
            self.table(&path, &inner);
        }
    }

    fn row(&mut self, key: &str, path: &str, one: &Value, table: &Value) {
        let flag = self.flag(path);
        let required = table["required"].as_array().into_iter().flatten().any(|one| one == key);
        let default = match &one["default"] {
            _ if required => "required".into(),
            Value::Null => flag.and_then(|flag| said_default(flag, path)).unwrap_or_default(),
            Value::Array(all) if all.is_empty() => String::new(),
            value => code(&value.to_string().replace(".0 ", " ")),
        };
        let said = match flag {
            Some(flag) => said_flag(flag, path),
            None => String::new(),
        };
        let about = cell(one["description"].as_str().unwrap_or_default());
        let words = words(one);
        let about = if words.is_empty() { about } else { format!("{about} {words}") };
        let kind = kind(one);
        let _ = writeln!(self.text, "| `{key}` | {kind} | {default} | {said} | {about} |");
    }

    /// The flag that says the same.
    fn flag(&self, path: &str) -> Option<&Arg> {
        let (id, _) = KEYS.iter().find(|(_, key)| *key == path)?;
        self.run.get_arguments().find(|flag| flag.get_id() == id)
    }
}

/// What the flag's help says of its default; one that is on or off is off.
fn said_default(flag: &Arg, path: &str) -> Option<String> {
    if flag.get_default_values().is_empty() && flag.get_num_args()?.min_values() == 0 {
        // This one says the opposite.
        return Some(code(&(path == "registry.provenance").to_string()));
    }
    let help = flag.get_help()?.to_string();
    let (_, rest) = help.split_once("[default: ")?;
    Some(rest.split(']').next()?.to_string())
}

fn said_flag(flag: &Arg, path: &str) -> String {
    let long = match flag.get_long() {
        Some(long) => format!("`--{long}`"),
        None => "the registry's URI".into(),
    };
    let long = match path {
        // It says the opposite.
        "registry.provenance" => format!("{long} for `false`"),
        _ => long,
    };
    match flag.get_env() {
        Some(variable) => format!("{long}, `{}`", variable.to_string_lossy()),
        None => long,
    }
}

/// The words that a key may have, with what each means.
fn words(one: &Value) -> String {
    let all = one["oneOf"].as_array().into_iter().flatten();
    let said = all.filter_map(|word| {
        let about = word["description"].as_str()?;
        Some(format!("{}: {}", word["const"].as_str().map(code)?, cell(about)))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// What a value is, in a word or two.
fn kind(one: &Value) -> String {
    let unit = one["x-unit"].as_str().unwrap_or_default();
    if one["oneOf"].is_array() || one["enum"].is_array() {
        return "word".into();
    }
    match (unit, one["type"].as_str()) {
        ("time", _) => "time".into(),
        ("seconds" | "milliseconds", _) => format!("time, or {unit}"),
        ("size", _) => "size".into(),
        ("moment", _) => "moment".into(),
        ("percent", _) => "percent".into(),
        (_, Some("string")) => "text".into(),
        (_, Some("boolean")) => "true or false".into(),
        (_, Some("integer")) => "number".into(),
        (_, Some("array")) => "array of texts".into(),
        (_, Some("object")) => "table".into(),
        _ => match one["oneOf"].is_null() && one["enum"].is_null() {
            true => panic!("what is {one}?"),
            false => "word".into(),
        },
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
