//! Guarantee: in each language a plugin is made, built, tested and used by a real
//! daemon on a real dockerd and a real Consul agent, and an author types nothing
//! but the commands: whatever else is needed the project itself has or gets.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::common::{
    author::{arg, wharfinger},
    lab::{Lab, SOON},
};

const NAME: &str = "dns-labels";

fn examples() -> PathBuf {
    crate::common::root().join("plugins/examples")
}

/// The languages that have an example, sorted.
fn languages() -> Vec<String> {
    let folders = fs::read_dir(examples()).expect("the examples").flatten();
    let built = folders.filter(|entry| entry.path().join("build.sh").is_file());
    let mut names: Vec<_> =
        built.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn in_each_language_a_plugin_is_made_built_tested_and_used() {
    let lab = Lab::new().await;
    let languages = languages();
    assert!(!languages.is_empty());
    for language in &languages {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = make(language, folder.path());
        serve(&lab, language, &configuration).await;
    }
}

/// Make, build, test and look at a plugin, and say what the daemon's
/// configuration has to have for it.
fn make(language: &str, folder: &Path) -> String {
    let began = std::time::Instant::now();
    let plugin = |args: &[&str]| {
        let said = wharfinger(folder, &[&["plugin"], args].concat());
        assert_eq!(said.code, Some(0), "{language}: {args:?}:\n{}\n{}", said.stdout, said.stderr);
        said
    };
    plugin(&["new", NAME, "--lang", language]);
    let built = plugin(&["build", NAME, "--json"]).json();
    let file = built["file"].as_str().expect("a file").to_string();
    assert_eq!(built["plugin"]["name"], NAME, "{language}: {built:#}");
    let tested = plugin(&["test", NAME, "--json"]).json();
    assert!(tested["passed"].as_u64().is_some_and(|passed| passed > 0), "{tested:#}");
    let inspected = plugin(&["inspect", &file, "--json"]).json();
    println!(
        "{language}: {} KB, {} cases, {:.0?}",
        built["size"].as_u64().unwrap_or_default() / 1000,
        tested["passed"],
        began.elapsed()
    );
    inspected["configuration"].as_str().expect("a text").to_string()
}

/// The daemon with the plugin names a container's service by its team.
async fn serve(lab: &Lab, language: &str, configuration: &str) {
    let text =
        format!("[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\n{configuration}");
    // What the commands have compiled the daemon need not.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author-code");
    let (mut daemon, folder) = lab.configured_with(&text, &["--cache-dir", arg(&cache)]);
    daemon.wait_for_log("Syncing services on 0 containers", 3 * SOON).await;
    let (name, team) = (format!("in-{language}"), format!("team={language}"));
    lab.start(&name, &["-l", &team, "-P"]);
    let service = lab.service(&format!("testhost:{name}:80")).await;
    assert_eq!(service["Service"], format!("{language}-web"), "{}", daemon.log());
    lab.docker.run(&["rm", "-f", &name]);
    lab.ids(&[]).await;
    assert!(daemon.terminate().await.success(), "{}", daemon.log());
    fs::remove_dir_all(folder).expect("the configuration goes with the test");
}

/// The files of an example's cases, by their paths.
fn cases(language: &str) -> BTreeMap<PathBuf, String> {
    let root = examples().join(language).join("cases");
    let mut files = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of cases").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("a case's file is text");
                files.insert(path.strip_prefix(&root).expect("below").into(), text);
            }
        }
    }
    files
}

#[test]
fn the_cases_are_the_same_in_each_language() {
    let languages = languages();
    let first = cases(&languages[0]);
    assert!(first.len() >= 3, "{first:?}");
    for language in &languages[1..] {
        let own = cases(language);
        let paths = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(&own), paths(&first), "{language} and {}", languages[0]);
        for (path, text) in &own {
            assert_eq!(text, &first[path], "{language}: {}", path.display());
        }
    }
}
