//! Guarantee: the example in each language is one and the same plugin: it has the
//! same cases, passes them as a component, and runs beside the others.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

use crate::common::author::{arg, wharfinger};

/// The languages: the folders with a build script.
fn languages() -> Vec<String> {
    let folders = fs::read_dir(crate::common::root().join("plugins/examples")).expect("a folder");
    let folders = folders.map(|entry| entry.expect("an entry").path());
    let found = folders.filter(|folder| folder.join("build.sh").is_file());
    let name = |folder: PathBuf| folder.file_name()?.to_str().map(String::from);
    let mut found: Vec<_> = found.filter_map(name).collect();
    found.sort();
    assert!(found.len() >= 6, "{found:?}");
    found
}

fn example(language: &str) -> PathBuf {
    crate::common::root().join("plugins/examples").join(language)
}

/// The file of an example's component. All of them are compiled once, and not by each test that happens to run
/// beside another one.
fn component(language: &str) -> PathBuf {
    static COMPILED: Once = Once::new();
    COMPILED.call_once(|| {
        for language in &languages() {
            let file = built(language);
            wharfinger(Path::new("/"), &["plugin", "inspect", arg(&file), "--json"]).good();
        }
    });
    built(language)
}

fn built(language: &str) -> PathBuf {
    let file = crate::common::root().join("plugins/dist").join(format!("example_{language}.wasm"));
    assert!(file.is_file(), "{} is missing: run `make plugins`", file.display());
    file
}

/// Every file below a folder, by its path within it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("a path below it").to_path_buf();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn all_have_the_same_cases() {
    let expected = files(&example(&languages()[0]).join("cases"));
    assert!(expected.len() > 20, "{:?}", expected.keys());
    for language in &languages() {
        assert!(files(&example(language).join("cases")) == expected, "{language}");
    }
}

#[test]
fn each_passes_the_cases() {
    for language in &languages() {
        let (folder, component) = (example(language), component(language));
        let args = ["plugin", "test", arg(&folder), "--component", arg(&component), "--json"];
        let tested = wharfinger(Path::new("/"), &args).good().json();
        assert_eq!(tested["failed"], 0, "{language}: {tested:#}");
        assert!(tested["passed"].as_u64().is_some_and(|passed| passed >= 10), "{tested:#}");
    }
}

#[test]
fn none_imports_more_than_the_contract() {
    for language in &languages() {
        let component = component(language);
        let inspected =
            wharfinger(Path::new("/"), &["plugin", "inspect", arg(&component), "--json"]);
        let inspected = inspected.good().json();
        let imports = inspected["imports"].as_array().expect("a list").clone();
        assert!(!imports.is_empty(), "{language}");
        for import in imports {
            let name = import["name"].as_str().expect("a name");
            assert!(name.starts_with("wharfinger:pipeline/"), "{language}: {name}");
        }
    }
}

/// Five stages in a row, each with a separator of its own: what comes out has the
/// mark of each.
#[test]
fn all_run_beside_each_other_in_one_pipeline() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::from("[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n");
    let mut expected = String::from("web");
    for (language, separator) in languages().iter().zip([".", "-", "..", "--", ".-"]) {
        let file = component(language);
        let _ = write!(
            text,
            "[[pipeline]]\nname = '{language}'\nfile = '{}'\ntimeout = '10s'\n\
             settings = {{ separator = '{separator}' }}\n",
            file.display()
        );
        if !expected.starts_with(&format!("shop{separator}")) {
            expected = format!("shop{separator}{expected}");
        }
    }
    let configuration = folder.path().join("wharfinger.toml");
    fs::write(&configuration, text).expect("the file is written");
    let container = example("c").join("cases/label/container.json");
    let planned = wharfinger(
        folder.path(),
        &[
            "plan",
            "--output",
            "consul-json",
            "--config",
            arg(&configuration),
            "--containers",
            arg(&container),
            "--ip",
            "192.0.2.1",
        ],
    );
    let planned = planned.good().json();
    assert_eq!(planned[0]["Name"], expected.as_str(), "{planned:#}");
}
