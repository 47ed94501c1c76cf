//! Guarantee: `explain` says what a word may mean instead of guessing, and prints what can be
//! copied; and a component that is taken away while the daemon runs is told until it is back.

use std::{fs, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    common::{daemon::Daemon, plugin, wait::until},
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(30);
const REGISTRATOR: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

/// What a command says on both streams, on a terminal of so many columns, and its exit code.
fn typed(daemon: &Daemon, args: &[&str], columns: &str) -> (String, String, i32) {
    let output = Command::new(Daemon::binary())
        .args(args)
        .env("WHARFINGER_CONTROL", daemon.dir().join("control.sock"))
        .env("COLUMNS", columns)
        .output()
        .expect("the program can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_a_word_lists_what_it_may_mean() {
    let lab = Lab::new().await;
    lab.start("shop-web", 0xa1, &[("SERVICE_NAME", "front")]);
    lab.start("shop-db", 0xa2, &[("SERVICE_NAME", "store"), ("SERVICE_ID", "fresh-1")]);
    lab.start("cache", 0xb1, &[]);
    lab.start("shop-web2", 0xb2, &[("SERVICE_NAME", "x")]);
    let daemon = lab.daemon(&[], Some(REGISTRATOR));
    let ids = ["h:shop-web:80", "fresh-1", "h:cache:80", "h:shop-web2:80"];
    lab.has(&ids.map(String::from), SOON).await;
    let short = &format!("{:064x}", 0xa1)[..12];
    for (word, expected) in [
        // Names of containers.
        ("shop", &["container shop-web  ", "container shop-db  ", "container shop-web2  "][..]),
        // Identifiers.
        (short, &["container shop-web  ", "container shop-db  ", "container cache  "]),
        // A service's name and another one's ID.
        ("fr", &["service h:shop-web:80  front, of container shop-web", "service fresh-1  store"]),
        // Services' IDs.
        ("h:", &["service h:cache:80  web, of container cache", "service h:shop-web2:80  x"]),
    ] {
        let (stdout, stderr, code) = typed(&daemon, &["explain", word], "80");
        assert_eq!((code, stdout.as_str()), (64, ""), "{word}: {stderr}");
        assert!(
            stderr.starts_with(&format!("error: \"{word}\" may be any of these:\n")),
            "{stderr}"
        );
        for part in expected {
            assert!(stderr.contains(&format!("\n  {part}")), "{word}: {part} is not in {stderr}");
        }
        assert!(stderr.ends_with("\nnext: name one of them\n"), "{stderr}");
    }
    // What it can only mean is explained, and a whole word means what it says.
    for (word, name) in [("cac", "cache"), ("stor", "shop-db"), ("shop-web", "shop-web")] {
        let (stdout, stderr, code) = typed(&daemon, &["explain", word], "80");
        assert!(code == 0 && stdout.starts_with(name), "{word}: {stdout}{stderr}");
    }
    let (_, stderr, code) = typed(&daemon, &["explain", "nosuch"], "80");
    assert!(code == 1 && stderr.contains("\"nosuch\""), "{stderr}");
    // Nor does the beginning of what is there stand for what is gone.
    lab.start("ca", 0xc1, &[]);
    lab.event(0xc1, "start");
    lab.has(&["h:ca:80".into()], SOON).await;
    lab.docker.set("ca", None);
    lab.event(0xc1, "destroy");
    daemon.wait_for_log("h:ca:80 reason=", SOON).await;
    let (stdout, ..) = typed(&daemon, &["explain", "ca"], "80");
    assert!(stdout.contains("deregistered h:ca:80") && !stdout.contains("cache"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_is_one_line_and_a_stage_that_changes_nothing_says_why() {
    let lab = Lab::new().await;
    let tags = "a-tag-that-is-longer-than-the-terminal-is-wide,".repeat(4);
    lab.start("c0", 0, &[("SERVICE_TAGS", &tags)]);
    let naming = plugin("naming");
    let config = format!(
        "{REGISTRATOR}[[pipeline]]\nname = 'naming'\nfile = {naming:?}\n\
         settings = {{ names = ['{{label:team}}'], otherwise = 'keep' }}\n"
    );
    let daemon = lab.daemon(&[], Some(&config));
    lab.has(&["h:c0:80".into()], SOON).await;
    for columns in ["20", "80", "400"] {
        let (stdout, stderr, code) = typed(&daemon, &["explain", "c0"], columns);
        assert_eq!(code, 0, "{stderr}");
        let body = stdout.lines().find_map(|line| line.split_once("body  ")).expect("a body").1;
        let body: Value = serde_json::from_str(body).expect("it is JSON, and whole");
        assert_eq!((&body["ID"], &body["Name"]), (&"h:c0:80".into(), &"web".into()));
        let words: Vec<_> = stdout.split_whitespace().collect();
        let words: Vec<_> = words.into_iter().filter(|word| !word.contains(['│', '─'])).collect();
        let text = words.join(" ");
        let why = "changes nothing says: h:c0:80 keeps its name: no name can be made without";
        assert!(columns == "20" || text.contains(why), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_vanishes_is_told_until_it_is_back() {
    let lab = Lab::new().await;
    lab.start("c0", 0, &[("owner", "ann")]);
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("policy.wasm");
    fs::copy(plugin("convention"), &component).expect("a plugin");
    let file = folder.path().join("wharfinger.toml");
    let config = format!(
        "{REGISTRATOR}[[pipeline]]\nname = 'policy'\nfile = 'policy.wasm'\nsettings = {{ tag = 't' }}\n"
    );
    fs::write(&file, config).expect("the file is written");
    let daemon = lab.daemon(&["--config", file.to_str().expect("a path")], None);
    lab.has(&["h:c0:80".into()], SOON).await;
    fs::remove_file(&component).expect("it is there");
    let line = daemon.wait_for_log("not reloaded", SOON).await;
    assert!(line.contains("policy.wasm") && line.contains("ERROR"), "{line}");
    until(SOON, "status tells of it", async || {
        let (stdout, _, code) = typed(&daemon, &["status"], "200");
        let told =
            ["is not in force", "policy.wasm", "since "].iter().all(|part| stdout.contains(part));
        if told && code == 2 { Ok(()) } else { Err(format!("{code}: {stdout}")) }
    })
    .await;
    // The service has what the stage in force gives it.
    let services = lab.consul.services().await;
    assert_eq!(services["h:c0:80"]["Tags"], serde_json::json!(["t"]));
    fs::copy(plugin("convention"), &component).expect("a plugin");
    daemon.wait_for_log("is whole again", SOON).await;
    let (stdout, _, code) = typed(&daemon, &["status"], "200");
    assert!(code == 0 && !stdout.contains("is not in force"), "{code}: {stdout}");
    let log = daemon.log();
    assert_eq!(log.matches("not reloaded").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_keeps_what_was_monitored_apart_from_what_is_enforced() {
    let lab = Lab::new().await;
    lab.start("c0", 0, &[("owner", "ann")]);
    lab.start("c1", 1, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    let config = |mode: &str| {
        format!(
            "{REGISTRATOR}[[pipeline]]\nname = 'policy'\nmode = '{mode}'\nfile = {:?}\n\
             settings = {{ tag = 't' }}\n",
            plugin("convention")
        )
    };
    fs::write(&file, config("monitor")).expect("the file is written");
    let daemon = lab.daemon(&["--config", file.to_str().expect("a path")], None);
    lab.has(&["h:c0:80".into(), "h:c1:80".into()], SOON).await;
    let tells = async |parts: &[&str]| {
        until(SOON, format!("status tells {parts:?}"), async || {
            let (stdout, _, code) = typed(&daemon, &["status"], "200");
            let line = stdout.lines().find(|line| line.starts_with("policy: "));
            let line = line.unwrap_or_default().to_string();
            let all = parts.iter().all(|part| line.contains(part));
            if all && code == 0 { Ok(line) } else { Err(format!("{code}: {stdout}")) }
        })
        .await
    };
    let line = tells(&["would have changed 1", "would have vetoed 1"]).await;
    assert!(!line.contains("policy: changed") && !line.contains(", vetoed"), "{line}");
    fs::write(&file, config("enforce")).expect("the file is written");
    daemon.wait_for_log("the mode of stage policy has changed from monitor to enforce", SOON).await;
    // The same answers, remembered, count for what they are now.
    tells(&["policy: changed ", ", vetoed ", "would have changed 1", "would have vetoed 1"]).await;
}
