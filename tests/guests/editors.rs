//! Guarantee: editors find every configuration that is documented right, and name the key that is none: by
//! taplo, which is what checks and completes TOML in editors, and the committed schema.

use std::{
    fs,
    process::{Command, Output},
};

use crate::common::{documented::documented, root, tool};

/// What taplo says of files with these texts, by the schema.
fn lint(texts: &[&str]) -> Output {
    let taplo = root().join("tests/page/node_modules/@taplo/cli/dist/cli.js");
    assert!(taplo.is_file(), "taplo is missing: run tests/env/install.sh page");
    let folder = tempfile::tempdir().expect("a folder");
    for (n, text) in texts.iter().enumerate() {
        fs::write(folder.path().join(format!("{n}.toml")), text).expect("it is written");
    }
    let schema = root().join("docs/wharfinger.schema.json");
    let mut command = Command::new(tool("node", "page"));
    command.arg(taplo).args(["lint", "--schema", &format!("file://{}", schema.display())]);
    let files = (0..texts.len()).map(|n| format!("{n}.toml"));
    command.args(files).current_dir(folder.path()).env("NO_COLOR", "1");
    command.output().expect("node can be run")
}

#[test]
fn an_editor_finds_right_what_is_documented_and_names_what_is_wrong() {
    let all = documented();
    assert!(all.len() >= 25, "{}", all.len());
    let texts: Vec<_> = all.iter().map(|(_, text)| text.as_str()).collect();
    let said = lint(&texts);
    let words = String::from_utf8_lossy(&said.stderr);
    let names: Vec<_> =
        all.iter().enumerate().map(|(n, (name, _))| format!("{n}: {name}")).collect();
    assert!(said.status.success(), "{words}\n{names:#?}");
    assert!(words.contains(&format!("total={}", texts.len())), "{words}");

    let wrong = [
        ("[listen]\nadress = '127.0.0.1:8700'\n", "adress"),
        ("[listen]\naddress = 8700\n", "8700"),
        ("[[pipeline]]\nname = 'a'\nbuiltin = 'registrator'\nmode = 'watch'\n", "watch"),
        ("[guard]\nshare = 0.5\nshares = 0.5\n", "shares"),
    ];
    let said = lint(&wrong.map(|(text, _)| text));
    let words = String::from_utf8_lossy(&said.stderr);
    for (n, (text, part)) in wrong.iter().enumerate() {
        let file = format!("{n}.toml");
        let fault = |line: &&str| line.contains("invalid file") && line.contains(&file);
        assert!(words.lines().any(|line| fault(&line)), "{text}: {words}");
        assert!(words.contains(part), "{text}: {words}");
    }
    assert!(!said.status.success(), "{words}");
}

/// The example of the packages names its schema where the packages put it, in the words that editors read.
#[test]
fn the_example_of_the_packages_names_the_schema_that_they_bring() {
    let example =
        fs::read_to_string(root().join("packaging/wharfinger.toml")).expect("the example");
    let line = example.lines().next().expect("a line");
    let place = line.strip_prefix("#:schema file://").expect("a schema");
    let cargo = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let (folder, name) = place.rsplit_once('/').expect("a path");
    let deb = format!("[\"docs/{name}\", \"{}/\", \"644\"]", folder.trim_start_matches('/'));
    let rpm = format!("{{ source = \"docs/{name}\", dest = \"{place}\", mode = \"644\" }}");
    assert!(cargo.contains(&deb) && cargo.contains(&rpm), "{deb} {rpm}");
}
