//! Guarantee: what is printed for people is what it was: plans, reviews of a
//! policy, explanations and replays of recorded containers, on wide terminals and
//! narrow ones; and the documents show what the tool prints.
//!
//! `UPDATE_EXPECT=1` writes the expected texts anew.

use std::{path::Path, time::Duration};

use crate::common::{daemon::Daemon, plugin, root};
use expect_test::{ExpectFile, expect_file};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(120);
const HOST: &[&str] = &["--hostname", "web1", "--ip", "192.0.2.10"];
const CONTAINERS: &str = "tests/fixtures/fleet/containers.json";
const POLICY: &str = "tests/fixtures/fleet/policy.toml";

/// The exit code of a command line in the repository's root, and what it prints.
async fn run(line: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    plugin("convention");
    let in_root = |word: &&str| match word.starts_with("tests/") {
        true => root().join(word).to_str().expect("a path").to_string(),
        false => (*word).to_string(),
    };
    let words: Vec<_> = line.iter().map(in_root).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut child = Daemon::start(&words, env);
    let status = child.wait(SOON).await;
    let stdout = child.stdout().replace(&format!("{}/", root().display()), "");
    (status.code(), without_digests(&stdout), child.stderr())
}

/// The text without digests of code, which another compiler changes.
fn without_digests(text: &str) -> String {
    let digest = regex::Regex::new("(sha256:)[0-9a-f]{12}\\b").expect("an expression");
    digest.replace_all(text, "${1}0123456789ab").into_owned()
}

async fn check(line: &[&str], columns: &str, code: i32, expected: ExpectFile) {
    let words: Vec<_> = line.iter().chain(HOST).copied().collect();
    let (status, stdout, stderr) = run(&words, &[("COLUMNS", columns)]).await;
    assert_eq!(status, Some(code), "{line:?}: {stdout}{stderr}");
    assert!(!stdout.contains('\u{1b}'), "a pipe has no colours: {stdout:?}");
    expected.assert_eq(&stdout);
}

#[tokio::test]
async fn a_plan_is_a_tree_wide_and_narrow() {
    let line = ["plan", "--containers", CONTAINERS, "--config", POLICY];
    check(&line, "100", 2, expect_file!["../fixtures/fleet/plan.100.txt"]).await;
    check(&line, "44", 2, expect_file!["../fixtures/fleet/plan.44.txt"]).await;
    let all = ["plan", "--containers", CONTAINERS, "--all"];
    check(&all, "100", 2, expect_file!["../fixtures/fleet/plan-all.100.txt"]).await;
}

#[tokio::test]
async fn a_review_shows_what_another_pipeline_would_change() {
    let line = ["plan", "--containers", CONTAINERS, "--pipeline", POLICY];
    check(&line, "100", 2, expect_file!["../fixtures/fleet/review.100.txt"]).await;
    check(&line, "44", 2, expect_file!["../fixtures/fleet/review.44.txt"]).await;
    let same = ["plan", "--containers", CONTAINERS, "--config", POLICY, "--pipeline", POLICY];
    check(&same, "100", 0, expect_file!["../fixtures/fleet/review-same.100.txt"]).await;
}

#[tokio::test]
async fn explanations_are_trees_wide_and_narrow() {
    let line = ["explain", "web", "--containers", CONTAINERS, "--config", POLICY];
    check(&line, "100", 0, expect_file!["../fixtures/fleet/explain-web.100.txt"]).await;
    check(&line, "44", 0, expect_file!["../fixtures/fleet/explain-web.44.txt"]).await;
    let vetoed = ["explain", "web1:batch:9000", "--containers", CONTAINERS, "--config", POLICY];
    check(&vetoed, "100", 0, expect_file!["../fixtures/fleet/explain-batch.100.txt"]).await;
}

#[tokio::test]
async fn a_pipe_has_colours_only_if_they_are_asked_for() {
    let plan = ["plan", "--containers", CONTAINERS, "--hostname", "web1", "--ip", "192.0.2.10"];
    for (when, env, coloured) in [
        ("auto", ("COLUMNS", "100"), false),
        ("always", ("NO_COLOR", "1"), true),
        ("never", ("CLICOLOR_FORCE", "1"), false),
    ] {
        let line: Vec<_> = plan.into_iter().chain(["--color", when]).collect();
        let (_, stdout, _) = run(&line, &[env]).await;
        assert_eq!(stdout.contains("\u{1b}["), coloured, "{when}: {stdout:?}");
    }
}

#[tokio::test]
async fn the_json_of_a_plan_has_all_of_it() {
    let line = ["plan", "--containers", CONTAINERS, "--config", POLICY, "--output", "json"];
    let words: Vec<_> = line.iter().chain(HOST).copied().collect();
    let (code, stdout, stderr) = run(&words, &[]).await;
    assert_eq!(code, Some(2), "{stderr}");
    let plan: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(plan["summary"]["register"], 4, "{plan:#}");
    assert_eq!(plan["summary"]["vetoed"], 1);
    let containers = plan["plan"]["containers"].as_array().expect("containers");
    let web = containers.iter().find(|one| one["container"]["name"] == "web").expect("web");
    assert_eq!(web["writes"][0]["body"]["Name"], "shop-web");
    assert_eq!(web["outcome"]["trace"][1]["changes"][0][1]["changed"][0]["field"], "name");
    let findings = plan["plan"]["findings"].as_array().expect("findings");
    let kinds: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("port-clash"), Some("dns-name")]);
}

#[tokio::test]
async fn check_says_what_recorded_containers_show_to_be_wrong() {
    let line = ["check", "--containers", CONTAINERS, "--config", POLICY];
    let words: Vec<_> = line.iter().chain(HOST).copied().collect();
    let (code, stdout, stderr) = run(&words, &[]).await;
    assert_eq!(code, Some(1), "{stderr}");
    for part in ["192.0.2.10:9100/tcp is claimed by several", "\"my_cache\"", "2 findings"] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let line = ["check", "--containers", "tests/fixtures/fleet/one.json", "--config", POLICY];
    let words: Vec<_> = line.iter().chain(HOST).copied().collect();
    let (code, stdout, stderr) = run(&words, &[]).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.ends_with("1 recorded container: nothing is wrong.\n"), "{stdout}");
}

#[tokio::test]
async fn a_container_that_cannot_be_judged_is_an_error_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("w.toml");
    let file = plugin("hostile");
    let text = format!("[[pipeline]]\nname = 'h'\nfile = {file:?}\n");
    std::fs::write(&config, text).expect("the file is written");
    let containers = std::fs::read_to_string(root().join("tests/fixtures/fleet/one.json"));
    let containers = containers.expect("the fixture").replace("com.example.team", "hostile");
    let recorded = folder.path().join("c.json");
    std::fs::write(&recorded, containers.replace("\"shop\"", "\"error\"")).expect("a file");
    let path = |path: &Path| path.to_str().expect("a path").to_string();
    let (config, recorded) = (path(&config), path(&recorded));
    let line = ["plan", "--containers", &recorded, "--config", &config];
    let (code, stdout, _) = run(&line, &[]).await;
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("it keeps what it has: stage h failed"), "{stdout}");
    let (code, stdout, stderr) =
        run(&[&line[..], &["--output", "consul-json"]].concat(), &[]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
}

/// Containers as the fixture's one, with these names, and further variables.
fn named(names: &[String], variables: &str) -> String {
    let one = std::fs::read_to_string(root().join("tests/fixtures/fleet/one.json"));
    let one: Value = serde_json::from_str(&one.expect("the fixture")).expect("JSON");
    let like = |(n, name): (usize, &String)| {
        let port = format!("{}", 8100 + n);
        let text = one[0].to_string().replace("\"8080\"", &format!("{port:?}"));
        let text = text.replace("DB_PASSWORD=hunter2", variables);
        let mut one: Value = serde_json::from_str(&text).expect("JSON");
        one["Id"] = format!("{:064x}", n + 1).into();
        one["Name"] = format!("/{name}").into();
        one
    };
    Value::from_iter(names.iter().enumerate().map(like)).to_string()
}

#[tokio::test]
async fn what_the_guard_would_hold_and_whose_an_id_is_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("the file is written");
        file.to_str().expect("a path").to_string()
    };
    let names: Vec<_> = (0..8).map(|n| format!("c{n}")).collect();
    let containers = write("eight.json", &named(&names, "A=b"));
    let policy = std::fs::read_to_string(root().join(POLICY)).expect("the policy");
    let file = plugin("convention");
    let policy = policy.replace("com.example.owner", "com.example.nobody");
    let policy = policy.replace(
        "../../../plugins/dist/wharfinger_convention.wasm",
        file.to_str().expect("a path"),
    );
    let policy = write("policy.toml", &policy);
    let line = ["plan", "--containers", &containers, "--pipeline", &policy];
    let (code, stdout, stderr) = run(&line, &[]).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(stdout.matches("is deregistered  (held)").count(), 8, "{stdout}");
    let held = "the bulk guard would hold this: 8 of 8 services";
    assert!(stdout.contains(held) && stdout.contains("Plan: 8 held, 8 vetoed"), "{stdout}");

    let containers = write("two.json", &named(&names[..2], "SERVICE_ID=same"));
    let line = ["plan", "--containers", &containers, "--hostname", "web1", "--ip", "192.0.2.10"];
    let (code, stdout, stderr) = run(&line, &[("COLUMNS", "150")]).await;
    assert_eq!(code, Some(2), "{stderr}");
    for part in [
        "! same  is not registered: the ID is that of another container",
        "the service ID same is wanted several times: c0, c1",
        "Plan: 1 to register, 1 taken by others",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
}

/// The block of the page that begins with a command line is what that prints.
#[tokio::test]
async fn the_documents_show_what_the_tool_prints() {
    let page = root().join("docs/command-line.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, block) = page.split_once("```console\n$ wharfinger plan ").expect("the block");
    let (block, _) = block.split_once("```").expect("its end");
    let (line, shown) = block.split_once('\n').expect("a command line");
    let words: Vec<_> = ["plan"].into_iter().chain(line.split_whitespace()).collect();
    let (code, stdout, stderr) = run(&words, &[("COLUMNS", "100")]).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(shown, stdout, "the page has:\n{shown}\nand the tool prints:\n{stdout}");
}

#[tokio::test]
async fn the_first_pages_policy_is_sound() {
    let page = std::fs::read_to_string(root().join("README.md")).expect("the page");
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    let plugins = format!("\"{}/plugins/", root().display());
    let text = block.expect("a block").replace("\"plugins/", &plugins);
    std::fs::write(&file, text).expect("it is written");
    let file = file.display().to_string();
    let (code, stdout, stderr) = run(&["check", "--config", &file], &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("owner") && stdout.contains("monitor"), "{stdout}");
}
