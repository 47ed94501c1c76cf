//! Guarantee: the reference in plugins/README.md is what the contract says. With
//! WHARFINGER_WRITE_REFERENCE set, it is written anew.
//!
//! The contract is read line by line, as it is formatted; a line of another form
//! fails the test.

use std::{fs, path::PathBuf};

const BEGIN: &str = "<!-- reference: begin -->\n";
const END: &str = "<!-- reference: end -->";
const WIDTH: usize = 120;

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_reference_is_what_the_contract_says() {
    let readme = file("plugins/README.md");
    let text = fs::read_to_string(&readme).expect("the page");
    let (before, rest) = text.split_once(BEGIN).expect("the mark of its begin");
    let (found, after) = rest.split_once(END).expect("the mark of its end");
    let wit = fs::read_to_string(file("wit/v0.2.0/pipeline.wit")).expect("the contract");
    let expected = reference(&wit);
    assert!(expected.len() > 10_000, "{expected}");
    if std::env::var_os("WHARFINGER_WRITE_REFERENCE").is_some() {
        let whole = format!("{before}{BEGIN}{expected}{END}{after}");
        fs::write(&readme, whole).expect("the page is written");
        return;
    }
    assert!(found == expected, "plugins/README.md is behind the contract: run `make reference`");
}

#[test]
fn a_contract_becomes_headings_and_tables() {
    let wit = "/// All of it.\npackage a:b@1.0.0;\n\n/// Values.\ninterface types {\n    /// A thing.\n    \
               record thing {\n        /// How\n        /// many.\n        count: u32,\n        name: \
               option<string>,\n    }\n    variant v {\n        none,\n        some(thing),\n    }\n    type \
               t = string;\n    /// Do it.\n    run: func(it: thing) -> t;\n}\nworld w {\n    export types;\n}\n";
    let expected = "\nPackage `a:b@1.0.0`.\n\nAll of it.\n\n### Interface `types`\n\nValues.\n\n\
                    #### Record `thing`\n\nA thing.\n\n| | type | |\n|---|---|---|\n\
                    | `count` | `u32` | How many. |\n| `name` | `option<string>` | |\n\n\
                    #### Variant `v`\n\n| | type | |\n|---|---|---|\n| `none` | | |\n| `some` | `thing` | |\n\n\
                    #### Type `t`\n\nIt is a `string`.\n\n#### Function `run`\n\n\
                    `func(it: thing) -> t`\n\nDo it.\n\n### World `w`\n\nIt exports `types`.\n\n";
    assert_eq!(reference(wit), expected);
}

/// The contract in Markdown.
fn reference(wit: &str) -> String {
    let mut text = String::new();
    let mut docs: Vec<&str> = Vec::new();
    // What the line is within, the outermost first.
    let mut within: Vec<&str> = Vec::new();
    for line in wit.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            docs.push(comment.trim());
            continue;
        }
        let words: Vec<&str> = line.trim_end_matches([';', '{']).split_whitespace().collect();
        let last = within.last().copied().unwrap_or_default();
        match (last, words.as_slice()) {
            (_, []) | ("interface", ["use", ..]) => {}
            (_, ["}"]) => {
                within.pop();
            }
            ("", ["package", name]) => {
                text += &format!("\nPackage `{name}`.\n{}", paragraphs(&docs));
            }
            ("", [kind @ ("interface" | "world"), name]) => {
                within.push(kind);
                text += &format!("\n### {} `{name}`\n{}", capital(kind), paragraphs(&docs));
            }
            ("world", [kind @ ("import" | "export"), name]) => {
                text += &format!("\nIt {kind}s `{name}`.\n");
            }
            ("interface", [kind @ ("record" | "variant" | "enum" | "flags"), name]) => {
                within.push(kind);
                text += &format!("\n#### {} `{name}`\n{}", capital(kind), paragraphs(&docs));
                text += if matches!(*kind, "enum" | "flags") {
                    "\n| | |\n|---|---|\n"
                } else {
                    "\n| | type | |\n|---|---|---|\n"
                };
            }
            ("interface", ["type", name, "=", ty]) => {
                text += &format!("\n#### Type `{name}`\n{}\nIt is a `{ty}`.\n", paragraphs(&docs));
            }
            ("interface", [name, signature @ ..]) if name.ends_with(':') => {
                let name = name.trim_end_matches(':');
                let signature = signature.join(" ");
                text +=
                    &format!("\n#### Function `{name}`\n\n`{signature}`\n{}", paragraphs(&docs));
            }
            ("record" | "variant" | "enum" | "flags", _) => text += &row(last, line, &docs),
            (within, _) => panic!("the reference knows no such line in {within:?}: {line}"),
        }
        docs.clear();
    }
    text + "\n"
}

/// A field or a case as a row of its type's table.
fn row(kind: &str, line: &str, docs: &[&str]) -> String {
    let part = line.strip_suffix(',').unwrap_or_else(|| panic!("no field or case: {line}"));
    let (name, ty) = match kind {
        "record" => part.split_once(": ").unwrap_or_else(|| panic!("no field: {line}")),
        _ => part.split_once('(').unwrap_or((part, "")),
    };
    let ty = if kind == "variant" { ty.trim_end_matches(')') } else { ty };
    let cell = |text: String| if text.is_empty() { " |".into() } else { format!(" {text} |") };
    let ty = match (kind, ty) {
        ("enum" | "flags", _) => String::new(),
        (_, "") => cell(String::new()),
        (_, ty) => cell(format!("`{ty}`")),
    };
    // A percent sign is how WIT writes a name that is one of its own words.
    let name = name.trim_start_matches('%');
    format!("| `{name}` |{ty}{}\n", cell(docs.join(" ").replace('|', "\\|")))
}

fn capital(word: &str) -> String {
    word[..1].to_ascii_uppercase() + &word[1..]
}

/// Comments as paragraphs in lines of an even length, with a blank line before each.
fn paragraphs(docs: &[&str]) -> String {
    let mut text = String::new();
    for paragraph in docs.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()) {
        let mut line = String::new();
        text.push('\n');
        for word in paragraph.iter().flat_map(|line| line.split_whitespace()) {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                text += &line;
                text.push('\n');
                line.clear();
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        text += &line;
        text.push('\n');
    }
    text
}
