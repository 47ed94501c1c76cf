//! From an example to a project of another name, which stands on its own: a
//! pure function from files to files.

pub(super) mod part;
pub(super) mod stamp;

use serde_json::Value;

use super::embedded::{self, File};
use crate::tables;
use part::Part;

/// The name of every example.
const EXAMPLE: &str = "team-naming";
/// Where a Rust project has its copy of the SDK.
const VENDORED: &str = "vendor/wharfinger-plugin";
/// The longest name.
const MAX_NAME: usize = 40;
/// The longest purpose.
const MAX_PURPOSE: usize = 120;
/// What the examples are for, as they say it.
const EXAMPLE_PURPOSE: &str = "Names services <team>-<app>.";
/// What a plugin does that is nothing yet.
const BLANK_PURPOSE: &str = "Keeps every service as it is.";
/// How the README of an example begins.
const EXAMPLE_BEGINNING: &str = "A stage for Wharfinger in ";

/// Words that one of the languages, or one of their tools, keeps to itself.
const RESERVED: &str = "abstract alloc and as assert async await become box break case catch chan char class \
    const continue contract core crate debugger def default defer del delete do double dyn \
    elif else enum except export extends extern fallthrough false final finally float fn for \
    from func function global go goto if impl import in instanceof int interface is lambda \
    let long loop macro main map match mod move mut new none nonlocal not null or override \
    package pass plugin priv private protected pub public raise range ref register return \
    select self short signed sizeof static std struct super switch target test this throw \
    trait true try type typedef typeof union unsafe unsigned unsized use var vendor virtual \
    void volatile wharfinger-plugin where while with yield";

/// The name of a plugin: lowercase letters, digits and single hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Read a name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fault = |fault: &str| {
            Err(format!(
                "{text:?} is no name for a plugin: {fault}; lowercase letters, digits and hyphens \
                 make one, such as {EXAMPLE}"
            ))
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match text {
            "" => fault("it is empty"),
            _ if text.len() > MAX_NAME => fault("it has more than 40 characters"),
            _ if !text.chars().all(plain) => fault("it has other characters"),
            _ if !text.starts_with(|c: char| c.is_ascii_lowercase()) => {
                fault("it does not begin with a letter")
            }
            _ if text.ends_with('-') || text.contains("--") => {
                fault("a hyphen stands between letters or digits")
            }
            _ if RESERVED.split_whitespace().any(|word| word == text) => {
                fault("a language keeps that word to itself")
            }
            _ => Ok(Self(text.to_string())),
        }
    }

    /// As it is.
    pub(super) fn kebab(&self) -> &str {
        &self.0
    }

    /// With underscores.
    pub(super) fn snake(&self) -> String {
        self.0.replace('-', "_")
    }

    /// `TeamNaming`.
    fn pascal(&self) -> String {
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        self.0.split('-').map(capital).collect()
    }

    /// `teamNaming`.
    fn camel(&self) -> String {
        let pascal = self.pascal();
        pascal[..1].to_ascii_lowercase() + &pascal[1..]
    }

    /// A text of this plugin without its name, as of every other plugin made from the same example; for
    /// comparing. A name that is a word of the example's own makes another text of it.
    pub(super) fn without(&self, text: &str) -> String {
        [self.kebab(), &self.snake(), &self.pascal(), &self.camel()]
            .iter()
            .fold(text.to_string(), |text, form| text.replace(*form, "\0"))
    }

    /// A text of the example as one of this plugin.
    fn replace(&self, text: &str) -> String {
        let example = Self(EXAMPLE.into());
        text.replace(EXAMPLE, self.kebab())
            .replace(&example.snake(), &self.snake())
            .replace(&example.pascal(), &self.pascal())
            .replace(&example.camel(), &self.camel())
    }
}

/// What a plugin is for, in a line that can stand in a text of each language as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purpose(String);

impl Purpose {
    /// Read a purpose: a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fault = match text {
            "" => "it is empty",
            _ if text.chars().count() > MAX_PURPOSE => "it has more than 120 characters",
            _ if text.chars().any(char::is_control) => "it has more than one line",
            _ if text.contains(['"', '\\']) || text.contains("??") => {
                "it has a \", a \\ or ??, which languages read as something else"
            }
            _ if text.contains(EXAMPLE_BEGINNING.trim_end()) => "it is how an example begins",
            _ => return Ok(Self(text.trim_end_matches('.').to_string())),
        };
        Err(format!("{text:?} cannot be a plugin's purpose: {fault}"))
    }

    /// As a sentence.
    pub(super) fn sentence(&self) -> String {
        format!("{}.", self.0)
    }
}

/// What a project is made of.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// One of the examples' languages.
    pub(super) language: &'a str,
    pub(super) name: &'a Name,
    /// What the plugin is for; what the example says of itself if it is not told.
    pub(super) purpose: Option<&'a Purpose>,
    /// Without the example's rule.
    pub(super) blank: bool,
}

impl Wanted<'_> {
    /// A file of the example in the new project. What is no text stays as it is.
    fn renamed(&self, file: &File) -> Written {
        let path = self.name.replace(file.path);
        let Ok(text) = std::str::from_utf8(file.content) else {
            return Written { path, content: file.content.to_vec() };
        };
        let mut text = self.told(&at_home(&self.name.replace(text)));
        match file.path {
            "Cargo.toml" if !text.contains("[workspace]") => {
                text.push_str("\n# It is built by itself, wherever it lies.\n[workspace]\n");
            }
            "Cargo.lock" => text = sorted_lock(&text),
            _ => {}
        }
        Written { path, content: text.into_bytes() }
    }

    /// A text with the purpose of this plugin in the place of the example's. Manifests have it
    /// without a full stop.
    fn told(&self, text: &str) -> String {
        let purpose = match (self.purpose, self.blank) {
            (Some(purpose), _) => purpose.0.as_str(),
            (None, true) => BLANK_PURPOSE.trim_end_matches('.'),
            (None, false) => return text.to_string(),
        };
        let mut text = text.to_string();
        for known in [EXAMPLE_PURPOSE, BLANK_PURPOSE] {
            text = text.replace(known.trim_end_matches('.'), purpose);
        }
        if self.purpose.is_some() && text.starts_with("# ") {
            let own = format!("{purpose}.\n\nIt began as this: a stage for Wharfinger in ");
            let own = if self.blank { format!("{purpose}.\n\n{EXAMPLE_BEGINNING}") } else { own };
            text = text.replacen(EXAMPLE_BEGINNING, &own, 1);
        }
        text
    }
}

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Its path within the project.
    pub(super) path: String,
    pub(super) content: Vec<u8>,
}

impl Written {
    /// Whether it is a script that is run by its name.
    pub(super) fn is_script(&self) -> bool {
        self.content.starts_with(b"#!")
    }
}

/// The files of a new project: the example under its own name, with the contract
/// and, for Rust, the SDK in it; and last the stamp by which it is brought up to date later.
pub(super) fn project(wanted: &Wanted<'_>) -> Vec<Written> {
    let mut files = unstamped(wanted);
    let stamp = stamp::Stamp::of(wanted, &files);
    files.push(stamp.written());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn unstamped(wanted: &Wanted<'_>) -> Vec<Written> {
    let mut example = embedded::example(wanted.language);
    if wanted.blank {
        example.retain(|file| Part::of(file.path) != Part::Author);
        example.extend(embedded::blank(wanted.language));
    }
    let needs_sdk = example.iter().any(|file| {
        file.path == "Cargo.toml" && String::from_utf8_lossy(file.content).contains("../../sdk")
    });
    let mut files: Vec<_> = example.iter().map(|file| wanted.renamed(file)).collect();
    let has_contract = example.iter().any(|file| file.path.starts_with("wit/"));
    if needs_sdk || !has_contract {
        files.extend(embedded::contract().iter().map(|file| copied("wit", file)));
    }
    if needs_sdk {
        files.extend(embedded::sdk().iter().map(|file| match file.path {
            "Cargo.toml" => Written {
                path: format!("{VENDORED}/Cargo.toml"),
                content: standalone(file.content, embedded::workspace()).into_bytes(),
            },
            _ => copied(VENDORED, file),
        }));
    }
    files
}

fn copied(folder: &str, file: &File) -> Written {
    Written { path: format!("{folder}/{}", file.path), content: file.content.to_vec() }
}

/// A text whose paths lead to what the project has in itself now, and not to
/// where the example has it in this repository.
fn at_home(text: &str) -> String {
    // From files of the project's folders, the innermost first.
    let mut text = text.to_string();
    for depth in (0..4).rev() {
        let up = "../".repeat(depth);
        text = text.replace(&format!("{up}../../../wit"), &format!("{up}wit"));
        text = text.replace(&format!("{up}../../sdk"), &format!("{up}{VENDORED}"));
    }
    text
}

/// Cargo's lock file with its packages in the order that Cargo wants, since the
/// new name may have another place in it.
pub(super) fn sorted_lock(text: &str) -> String {
    let mut parts = text.split("\n[[package]]\n");
    let head = parts.next().unwrap_or_default().to_string();
    let mut packages: Vec<_> = parts.map(str::trim_end).collect();
    packages.sort_by_key(|package| {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().trim_matches('"').to_string()
        };
        (value("name = "), value("version = "))
    });
    let packages: String =
        packages.iter().map(|package| format!("\n[[package]]\n{package}\n")).collect();
    head.trim_end().to_string() + "\n" + &packages
}

/// A manifest of a workspace's package as that of a package without one.
fn standalone(manifest: &[u8], workspace: &[u8]) -> String {
    let read = |bytes: &[u8]| -> toml::Table {
        let text = std::str::from_utf8(bytes).expect("a manifest is text");
        tables::read(text).expect("a manifest of this repository is TOML")
    };
    let (mut manifest, workspace) = (read(manifest), read(workspace));
    let shared = |part: &str| workspace["workspace"].get(part).cloned();
    manifest.remove("lints");
    for (part, from) in [
        ("package", "package"),
        ("dependencies", "dependencies"),
        ("dev-dependencies", "dependencies"),
        ("build-dependencies", "dependencies"),
    ] {
        let (Some(table), Some(shared)) =
            (manifest.get_mut(part).and_then(toml::Value::as_table_mut), shared(from))
        else {
            continue;
        };
        for (key, value) in table.iter_mut() {
            if value.get("workspace").is_some_and(|flag| flag.as_bool() == Some(true)) {
                inherit(value, &shared[key.as_str()]);
            }
        }
    }
    toml::to_string(&manifest).expect("what was read can be written")
}

/// What a package takes from its workspace, with what it says beside it.
fn inherit(value: &mut toml::Value, shared: &toml::Value) {
    let own = value.as_table_mut().map(std::mem::take).unwrap_or_default();
    *value = shared.clone();
    let more = own.into_iter().filter(|(key, _)| key != "workspace").collect::<Vec<_>>();
    if more.is_empty() {
        return;
    }
    if !value.is_table() {
        *value =
            toml::Value::Table([("version".to_string(), shared.clone())].into_iter().collect());
    }
    value.as_table_mut().into_iter().for_each(|table| table.extend(more.clone()));
}

/// What the author does next, a command each.
pub(super) fn next_steps(folder: &str, name: &Name) -> Vec<(String, String)> {
    let step = |command: &str, why: &str| (command.to_string(), why.to_string());
    vec![
        step(&format!("cd {folder}"), "the project"),
        step("wharfinger plugin build", &format!("makes dist/{}.wasm", name.snake())),
        step("wharfinger plugin test", "runs the cases in cases/"),
    ]
}

/// The steps for a program.
pub(super) fn steps_json(steps: &[(String, String)]) -> Value {
    steps.iter().map(|(command, _)| command.as_str()).collect()
}

#[cfg(test)]
mod tests;
