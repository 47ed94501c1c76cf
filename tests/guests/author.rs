//! Guarantee: the commands for authors of plugins say what a component is, what
//! it does to a container and whether its cases are as expected; and when they
//! cannot, what to do next. With real components, by the program itself.

use std::{fs, path::Path};

use crate::common::{
    author::{arg, inspected, recorded, wharfinger, wharfinger_reading},
    guest, plugin,
};
use serde_json::{Value, json};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn inspect_says_what_a_component_is_and_what_it_needs() {
    let file = plugin("convention");
    let said = wharfinger(Path::new("/"), &["plugin", "inspect", arg(&file)]);
    for part in [
        "convention 0.1.0",
        "wharfinger:pipeline/stage-component@0.2.0",
        "nothing beyond a container and its services",
        "sha256:",
        "wharfinger:pipeline/logging@0.2.0  part of the contract",
        "[[pipeline]]",
    ] {
        assert!(said.good().stdout.contains(part), "{part:?} is not in {}", said.stdout);
    }
    let json =
        wharfinger(Path::new("/"), &["plugin", "inspect", arg(&file), "--json"]).good().json();
    assert_eq!(json["plugin"]["name"], "convention");
    assert_eq!(json["contract"], "0.2.0");
    assert_eq!(json["wants"], serde_json::json!([]));
    assert_eq!(json["size"], fs::metadata(&file).expect("it is there").len());
    let digest = json["digest"].as_str().expect("a digest");
    assert_eq!(digest.len(), "sha256:".len() + 64);
}

#[test]
fn inspect_names_the_grant_that_each_import_needs() {
    for (name, expected) in [
        (
            "granted",
            [
                ("wharfinger:host/kv@", "needs-grant", "grant.kv"),
                ("wasi:http/outgoing-handler@", "needs-grant", "grant.http"),
            ],
        ),
        (
            "wasi_probe",
            [
                ("wasi:clocks/", "inert-unless-granted", "grant.clock = true"),
                ("wasi:cli/environment@", "inert", ""),
            ],
        ),
    ] {
        let file = plugin(name);
        let said = wharfinger(Path::new("/"), &["plugin", "inspect", "--json", arg(&file)]);
        let json = said.good().json();
        for (import, meaning, grant) in expected {
            let imports = json["imports"].as_array().expect("imports");
            let found = imports
                .iter()
                .find(|one| one["name"].as_str().is_some_and(|name| name.starts_with(import)))
                .unwrap_or_else(|| panic!("{import} is not in {json:#}"));
            assert_eq!(found["meaning"], meaning, "{found}");
            assert!(found["grant"].as_str().unwrap_or_default().starts_with(grant), "{found}");
            let configuration = json["configuration"].as_str().expect("a text");
            assert_eq!(
                meaning == "needs-grant",
                !grant.is_empty() && configuration.contains(grant)
            );
        }
    }
}

#[test]
fn what_is_no_stage_is_told_with_the_next_step() {
    let folder = folder();
    let write = |name: &str, content: &[u8]| {
        fs::write(folder.path().join(name), content).expect("the file is written");
    };
    let wat = |text: &str| wat::parse_str(text).expect("it is WebAssembly");
    let exporting = |imports: &str, stage: &str| {
        let instances = imports.matches("(import").count();
        wat(&format!(
            r#"(component {imports} (instance) (export "{stage}" (instance {instances})))"#
        ))
    };
    let whole = fs::read(plugin("convention")).expect("a component");
    write("core.wasm", &wat("(module)"));
    write("text.wasm", b"hello");
    write("empty.wasm", b"");
    write("cut.wasm", &whole[..whole.len() / 2]);
    write("world.wasm", &exporting("", "wasi:cli/run@0.2.0"));
    write("future.wasm", &exporting("", "wharfinger:pipeline/stage@0.3.0"));
    let socket = r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#;
    write("socket.wasm", &exporting(socket, "wharfinger:pipeline/stage@0.1.0"));
    write("loop.wasm", &guest::stage("(start $s) (func $s (loop $l (br $l)))", guest::KEEP));
    for (name, parts) in [
        ("core.wasm", ["a core module", "component new"]),
        ("text.wasm", ["not a WebAssembly file", "plugin new"]),
        ("empty.wasm", ["an empty file", "build or fetch it again"]),
        ("cut.wasm", ["a damaged component", "build or fetch it again"]),
        ("world.wasm", ["exports wasi:cli/run@0.2.0", "plugin new"]),
        ("future.wasm", ["version 0.3.0", "this program knows 0.1.0"]),
        ("socket.wasm", ["wasi:sockets/tcp@0.2.0: no stage", "build it without"]),
        ("none.wasm", ["cannot read none.wasm", "plugin build"]),
    ] {
        for command in ["inspect", "check"] {
            let said = wharfinger(folder.path(), &["plugin", command, name, "--json"]);
            let error = said.error();
            let all = parts.iter().all(|part| error.contains(part));
            assert!(all || command == "check", "{name}: {parts:?} are not in {error}");
            assert!(
                error.contains(parts[0].split(": ").next().expect("a part")),
                "{name}: {error}"
            );
            assert_eq!(said.stderr, "", "{name}");
        }
        let said = wharfinger(folder.path(), &["plugin", "inspect", name]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{name}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains("\nnext: "), "{said:?}");
    }
    let said =
        wharfinger(folder.path(), &["plugin", "check", "loop.wasm", "--timeout", "50ms", "--json"]);
    let error = said.error();
    assert!(error.contains("deadline of 50ms") && error.contains("--timeout"), "{error}");
}

#[test]
fn check_asks_the_component_about_settings_and_grants() {
    let folder = folder();
    fs::write(folder.path().join("good.toml"), "tag = 'x'\n").expect("a file");
    let convention = plugin("convention");
    for settings in [r#"{"tag": "x"}"#, "good.toml"] {
        let args = ["plugin", "check", arg(&convention), "--settings", settings, "--json"];
        let json = wharfinger(folder.path(), &args).good().json();
        assert_eq!(json["settings"], json!({ "tag": "x" }));
        assert_eq!(json["capabilities"], json!([]));
    }
    for (settings, part) in [
        (r#"{"owner-lable": "x"}"#, "owner-lable"),
        (r#"{"team-label": " "}"#, "a label's name is needed"),
        ("{", "--settings"),
        ("none.toml", "cannot read none.toml"),
    ] {
        let args = ["plugin", "check", arg(&convention), "--settings", settings, "--json"];
        let error = wharfinger(folder.path(), &args).error();
        assert!(error.contains(part), "{settings}: {error}");
    }
    let granted = plugin("granted");
    let args = ["plugin", "check", arg(&granted), "--json"];
    let error = wharfinger(folder.path(), &args).error();
    assert!(error.contains("is not granted") && error.contains("--grant"), "{error}");
    let grant = r#"{"http": ["https://policy.example/"], "kv": "teams", "clock": true}"#;
    let args = ["plugin", "check", arg(&granted), "--grant", grant, "--json"];
    let capabilities = wharfinger(folder.path(), &args).good().json()["capabilities"].clone();
    assert!(
        capabilities.as_array().is_some_and(|all| all.contains(&json!("kv"))),
        "{capabilities}"
    );
}

#[test]
fn run_shows_what_changes_field_by_field() {
    let folder = folder();
    let file = recorded(folder.path(), &[("owner", "ann"), ("team", "shop")]);
    let convention = plugin("convention");
    let args = ["plugin", "run", arg(&convention), "--container", arg(&file)];
    let said = wharfinger(folder.path(), &args);
    for line in
        ["  host:app:80", r#"    name  "web" -> "shop-web""#, r#"    tags  [] -> ["convention"]"#]
    {
        assert!(
            said.good().stdout.lines().any(|one| one == line),
            "{line:?} is not in {}",
            said.stdout
        );
    }
    assert!(said.stdout.contains("1 to register, 0 vetoed; "), "{}", said.stdout);

    // The orphan comes by the standard input, to another host.
    let args = [&args[..4], &["-", "--hostname", "h", "--ip", "10.1.2.3", "--json"]].concat();
    let json = wharfinger_reading(folder.path(), &args, &inspected(&[])).good().json();
    assert_eq!(json["services"], json!([]));
    let veto = json!([{ "service": "h:app:80", "reason": "the container has no label owner" }]);
    assert_eq!(json["vetoes"], veto);
    assert_eq!(json["changes"][0]["vetoed"], "the container has no label owner");
    assert!(json["time_us"].as_u64().is_some_and(|time| time > 0), "{json:#}");
    assert!(json["peak_memory"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{json:#}");
}

#[test]
fn run_shows_how_a_plugin_fails() {
    let hostile = plugin("hostile");
    for (how, kind, part) in [
        ("trap", "trap", "a panic of the guest"),
        ("loop", "timeout", "deadline of 100ms"),
        ("memory", "memory", "memory limit of 16.0 MiB"),
        ("error", "guest", "this container is beyond me"),
        ("newline", "invalid", "name: it has a control character"),
    ] {
        let args = ["plugin", "run", arg(&hostile), "--container", "-", "--timeout", "100ms"];
        let args = [&args[..], &["--memory", "16MiB", "--json"]].concat();
        let said = wharfinger_reading(Path::new("/"), &args, &inspected(&[("hostile", how)]));
        assert_eq!(said.code, Some(1), "{how}: {said:?}");
        let error = &said.json()["error"];
        assert_eq!(error["kind"], kind, "{how}: {error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(part)), "{error}");
    }
}

/// A project with a case of this name for each container, and no component.
fn project(cases: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
    let folder = folder();
    for (name, labels) in cases {
        let case = folder.path().join("cases").join(name);
        fs::create_dir_all(&case).expect("a folder");
        recorded(&case, labels);
    }
    folder
}

fn test(project: &Path, further: &[&str]) -> crate::common::author::Said {
    let component = plugin("convention");
    wharfinger(project, &[&["plugin", "test", "--component", arg(&component)], further].concat())
}

#[test]
fn cases_are_recorded_pass_and_fail() {
    let project = project(&[("orphan", &[]), ("owned", &[("owner", "ann"), ("team", "shop")])]);
    let root = project.path();
    let said = test(root, &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("0 passed, 2 failed") && said.stdout.contains("--update"));

    assert!(test(root, &["--update"]).good().stdout.contains("2 written"));
    let expected = root.join("cases/owned/expected.json");
    let text = fs::read_to_string(&expected).expect("it was written");
    let recorded: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(recorded["services"][0]["Name"], "shop-web");
    assert_eq!(text, format!("{recorded:#}\n"), "two spaces, the given order, a line's end");
    assert!(test(root, &[]).good().stdout.ends_with("2 passed, 0 failed\n"));

    let wrong = text.replace("shop-web", "shop-wrong");
    fs::write(&expected, &wrong).expect("the file is written");
    let junit = root.join("junit.xml");
    let said = test(root, &["--junit", arg(&junit)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    for part in ["FAIL  owned", r#"services["host:app:80"].Name"#, r#"expected  "shop-wrong""#] {
        assert!(said.stdout.contains(part), "{part:?} is not in {}", said.stdout);
    }
    let xml = fs::read_to_string(&junit).expect("it was written");
    assert!(xml.contains(r#"failures="1""#) && xml.contains("<failure type=\"differs\""), "{xml}");
    let said = test(root, &["--json"]);
    let json = said.json();
    assert_eq!((said.code, &json["passed"], &json["failed"]), (Some(1), &json!(1), &json!(1)));
    let owned = &json["cases"][1];
    assert_eq!((&owned["name"], &owned["result"]), (&json!("owned"), &json!("differs")));
    assert_eq!(owned["differences"][0]["found"], "shop-web");

    // The one that is right is right by itself, and the wrong one is mended.
    assert!(test(root, &["--filter", "orph"]).good().stdout.starts_with("ok    orphan"));
    test(root, &["--update"]).good();
    assert_eq!(fs::read_to_string(&expected).expect("a file"), text);
}

#[test]
fn a_case_has_its_own_settings_and_host_and_can_be_about_refused_ones() {
    let labels: &[(&str, &str)] = &[("owner", "ann"), ("crew", "shop")];
    let project =
        project(&[("common", labels), ("own", labels), ("refused", labels), ("raw", labels)]);
    let root = project.path();
    let write = |name: &str, text: &str| {
        fs::write(root.join(name), text).expect("the file is written");
    };
    write("settings.toml", "team-label = 'crew'\n");
    write("cases/own/case.toml", "settings = { tag = 'mine' }\n[host]\nhostname = 'other'\n");
    write("cases/refused/case.toml", "settings = { colour = 'red' }\n");
    write("cases/raw/case.toml", "start = 'candidates'\n");
    test(root, &["--update"]).good();
    let expected = |case: &str| -> Value {
        let text = fs::read(root.join("cases").join(case).join("expected.json"));
        serde_json::from_slice(&text.expect("it was written")).expect("it is JSON")
    };
    assert_eq!(expected("common")["services"][0]["Name"], "shop-web");
    let own = &expected("own")["services"][0];
    assert_eq!(
        (&own["ID"], &own["Name"], &own["Tags"]),
        (&json!("other:app:80"), &json!("web"), &json!(["mine"]))
    );
    let refused = expected("refused");
    let error = refused["error"].as_str().expect("an error");
    assert!(error.starts_with("refuses its settings: ") && error.contains("colour"), "{error}");
    assert_eq!((&refused["services"], &refused["vetoes"]), (&json!([]), &json!([])));
    assert!(expected("raw")["services"][0]["ID"].is_string());
    test(root, &[]).good();
}

#[test]
fn a_case_that_cannot_be_tried_is_broken_and_the_others_are_tried() {
    let project = project(&[("a", &[]), ("b", &[]), ("c", &[])]);
    let root = project.path();
    fs::write(root.join("cases/a/case.toml"), "setings = {}\n").expect("a file");
    fs::write(root.join("cases/b/container.json"), "[]").expect("a file");
    let junit = root.join("junit.xml");
    let said = test(root, &["--update", "--json", "--junit", arg(&junit)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let json = said.json();
    let results: Vec<_> = (0..3).map(|n| json["cases"][n]["result"].clone()).collect();
    assert_eq!(results, ["broken", "broken", "updated"]);
    for (n, part) in [(0, "setings"), (1, "has no container")] {
        let error = json["cases"][n]["error"].as_str().unwrap_or_default();
        assert!(error.contains(part), "{error}");
    }
    let xml = fs::read_to_string(&junit).expect("it was written");
    assert!(xml.contains(r#"errors="2""#) && xml.contains("<error type=\"broken\""), "{xml}");
}

#[test]
fn without_cases_or_component_the_next_step_is_said() {
    let folder = folder();
    let said = wharfinger(folder.path(), &["plugin", "test", "--json"]);
    assert!(said.error().contains("wharfinger plugin build"), "{said:?}");
    assert!(test(folder.path(), &["--json"]).error().contains("docker inspect"));
    let project = project(&[("a", &[])]);
    assert!(test(project.path(), &["--filter", "zzz", "--json"]).error().contains("zzz"));
}

#[test]
fn bench_measures_and_holds_it_against_the_limits() {
    let convention = plugin("convention");
    let bench = |file: &Path, labels: &[(&str, &str)], further: &[&str]| {
        let args = ["plugin", "bench", arg(file), "--container", "-", "--json"];
        wharfinger_reading(Path::new("/"), &[&args, further].concat(), &inspected(labels))
    };
    let ample = ["--timeout", "20s", "--calls", "60", "--concurrency", "3"];
    let json = bench(&convention, &[("owner", "ann")], &ample).good().json();
    assert_eq!((&json["calls"], &json["outcomes"]), (&json!(60), &json!({ "ok": 60 })));
    let time = |key: &str| json["time_us"][key].as_u64().expect("a time");
    assert!(
        time("p50") > 0 && time("p50") <= time("p99") && time("p99") <= time("max"),
        "{json:#}"
    );
    assert_eq!(json["limits"]["timeout_us"], 20_000_000);
    let share = |key: &str| json["share"][key].as_f64().expect("a share");
    assert!((share("time") - time("p99") as f64 / 2e7).abs() < 1e-9, "{json:#}");
    assert!(share("memory") > 0.0 && share("memory") < 1.0, "{json:#}");

    let json = bench(&convention, &[("owner", "ann")], &["--seconds", "1", "--timeout", "20s"])
        .good()
        .json();
    assert!(
        json["seconds"].as_f64().is_some_and(|seconds| (1.0..20.0).contains(&seconds)),
        "{json:#}"
    );
    assert!(json["calls"].as_u64().is_some_and(|calls| calls > 10), "{json:#}");

    let said = bench(&plugin("hostile"), &[("hostile", "trap")], &["--calls", "5"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.json()["outcomes"], json!({ "trap": 5 }));
}

#[test]
fn build_runs_the_projects_script_and_takes_only_a_stage() {
    let folder = folder();
    let root = folder.path().join("my-plugin");
    fs::create_dir(&root).expect("a folder");
    let script = |text: &str| {
        fs::write(root.join("build.sh"), text).expect("the file is written");
    };
    let build = || wharfinger(&root, &["plugin", "build", "--json"]);
    assert!(build().error().contains("plugin new"));

    let convention = plugin("convention");
    script(&format!("echo working\ncp {} \"$1\"\n", arg(&convention)));
    let said = build();
    let json = said.good().json();
    let made = root.join("dist/my_plugin.wasm");
    assert_eq!(json["file"], arg(&fs::canonicalize(&made).expect("it was made")));
    assert_eq!(json["plugin"]["name"], "convention");
    assert!(said.stderr.contains("working"), "{said:?}");
    assert!(wharfinger(&root, &["plugin", "build"]).good().stdout.contains("sha256:"));

    for (text, parts) in [
        (
            "echo 'build.sh: npm is missing: install it' >&2\nexit 3\n",
            ["exit status: 3", "npm is missing"],
        ),
        ("true\n", ["made no", "first argument"]),
        ("printf '\\0asm\\1\\0\\0\\0' >\"$1\"\n", ["cannot be used", "a core module"]),
    ] {
        script(text);
        let error = build().error();
        assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} are not in {error}");
    }
    // What was good before is still there, and nothing else.
    let left: Vec<_> = fs::read_dir(root.join("dist")).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(fs::read(&made).expect("it is there"), fs::read(&convention).expect("a file"));
}

#[test]
fn watch_builds_again_what_was_changed_and_keeps_the_last_good_one() {
    let folder = folder();
    let root = folder.path().join("watched");
    fs::create_dir(&root).expect("a folder");
    let good = guest::stage("", guest::KEEP);
    fs::write(root.join("stage.bin"), &good).expect("a source");
    fs::write(root.join("build.sh"), "cp stage.bin \"$1\"\n").expect("the script");
    let errors = folder.path().join("errors");
    let output = |path: &Path| fs::File::create(path).expect("a file");
    let out = folder.path().join("out");
    let mut child = crate::common::author::command(&root)
        .args(["plugin", "build", "--watch"])
        .stdout(output(&out))
        .stderr(output(&errors))
        .spawn()
        .expect("the program can be run");
    let wait = |file: &Path, part: &str, times: usize| {
        let began = std::time::Instant::now();
        loop {
            let text = fs::read_to_string(file).expect("a file");
            if text.matches(part).count() >= times {
                return text;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(60), "{part}: {text}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    let made = root.join("dist/watched.wasm");
    wait(&out, "waiting for a source to change", 1);
    assert_eq!(fs::read(&made).expect("it was made"), good);
    // One that is none: it is told of, and the good one stays.
    fs::write(root.join("stage.bin"), "nothing").expect("a source");
    wait(&errors, "made a file that cannot be used", 1);
    wait(&out, "waiting for a source to change", 2);
    assert_eq!(fs::read(&made).expect("it is there"), good);
    let other = guest::stage_of("0.2.0", "", guest::KEEP);
    fs::write(root.join("stage.bin"), &other).expect("a source");
    wait(&out, "waiting for a source to change", 3);
    assert_eq!(fs::read(&made).expect("it is there"), other);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let args = ["plugin", "build", "--watch", "--json"];
    assert!(wharfinger(&root, &args).error().contains("--watch goes on and on"));
}

/// The folders with an example.
fn languages() -> Vec<String> {
    let examples =
        fs::read_dir(crate::common::root().join("plugins/examples")).expect("the examples");
    let mut names: Vec<_> = examples
        .flatten()
        .filter(|entry| entry.path().join("build.sh").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn new_makes_a_whole_project_in_every_language_and_overwrites_nothing() {
    let languages = languages();
    assert!(!languages.is_empty());
    let folder = folder();
    for language in &languages {
        let name = format!("dns-in-{language}");
        let args = ["plugin", "new", &name, "--lang", language, "--json"];
        let json = wharfinger(folder.path(), &args).good().json();
        assert_eq!((&json["lang"], &json["dir"]), (&json!(language), &json!(name)));
        let files: Vec<_> = json["files"]
            .as_array()
            .expect("files")
            .iter()
            .map(|f| f.as_str().expect("a path"))
            .collect();
        for file in &files {
            assert!(folder.path().join(&name).join(file).is_file(), "{file}");
        }
        // What the program has in itself is what the repository has.
        let example = crate::common::root().join("plugins/examples").join(language);
        for case in fs::read_dir(example.join("cases")).expect("cases").flatten() {
            let path = format!("cases/{}/container.json", case.file_name().to_string_lossy());
            assert!(files.contains(&path.as_str()), "{language} lacks {path}");
        }
        let script = fs::metadata(folder.path().join(&name).join("build.sh")).expect("a script");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&script.permissions()) & 0o111, 0o111);
        let error = wharfinger(folder.path(), &args).error();
        assert!(
            error.contains("is there already") && error.contains("nothing was written"),
            "{error}"
        );
    }
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("mine"), "precious").expect("a file");
    for (name, language, dir, part) in [
        ("Naming", languages[0].as_str(), "x", "lowercase letters, digits and hyphens"),
        ("a/../b", &languages[0], "x", "lowercase letters, digits and hyphens"),
        ("naming", "cobol", "x", &languages[0]),
        ("naming", &languages[0], "taken", "is there already"),
    ] {
        let args = ["plugin", "new", name, "--lang", language, "--dir", dir, "--json"];
        let error = wharfinger(folder.path(), &args).error();
        assert!(error.contains(part), "{error}");
        assert!(!folder.path().join("x").exists());
    }
    assert_eq!(fs::read_dir(&taken).expect("a folder").count(), 1);
}

#[test]
fn a_wrong_command_line_is_told_in_the_form_that_was_asked_for() {
    let file = plugin("convention");
    for args in [
        vec!["plugin", "nosuch"],
        vec!["plugin", "run", arg(&file)],
        vec!["plugin", "bench", arg(&file), "--container", "-", "--calls", "0"],
        vec!["plugin", "new", "x"],
        vec!["completions", "tcl"],
    ] {
        let said = wharfinger(Path::new("/"), &args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{args:?}: {said:?}");
        assert!(said.stderr.starts_with("error: "), "{said:?}");
        if args[0] == "plugin" {
            let said = wharfinger(Path::new("/"), &[&args[..], &["--json"]].concat());
            assert_eq!((said.code, said.stderr.as_str()), (Some(2), ""), "{args:?}: {said:?}");
            assert!(said.json()["error"]["message"].is_string(), "{said:?}");
        }
    }
    for args in [["plugin", "--help"], ["help", "plugin"]] {
        let said = wharfinger(Path::new("/"), &args);
        for command in ["new", "upgrade", "build", "inspect", "check", "run", "test", "bench"] {
            assert!(said.good().stdout.contains(&format!("  {command} ")), "{}", said.stdout);
        }
    }
}

#[test]
fn bash_takes_the_completions() {
    let script = wharfinger(Path::new("/"), &["completions", "bash"]);
    let folder = folder();
    let file = folder.path().join("wharfinger.bash");
    fs::write(&file, &script.good().stdout).expect("the file is written");
    let line = format!(
        ". {}; COMP_WORDS=(wharfinger plugin b); COMP_CWORD=2; _wharfinger wharfinger b plugin; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        arg(&file)
    );
    let said = std::process::Command::new("bash").args(["-c", &line]).output().expect("bash runs");
    let words = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["build", "bench"], "{said:?}");
}
