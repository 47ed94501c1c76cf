//! Guarantee: a stage says which facts it wants beyond a container, and what no stage of the pipeline wants
//! costs no request. What it does not want it is not shown, so that its answers, and those that are
//! remembered of it, do not depend on what the other stages want; and of a container of which nobody knows
//! how it was set up only those stages do not decide that want to know.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::common::{
    author::{arg, wharfinger},
    corpus,
    daemon::Daemon,
    fake_docker::FakeDocker,
    guest::{self, FACTS, KEEP},
    http::Activity,
    plugin,
    recording_consul::RecordingConsul,
    wait::until,
};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);
const CONTAINERS: usize = 3;

/// Requests for an image, for what the engine is, and for what the agent is.
#[derive(Debug, PartialEq)]
struct Asked {
    images: usize,
    engine: usize,
    agent: usize,
}

fn base() -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    case.expect("the case is part of the corpus").inspected().remove(0)
}

/// What a daemon asks for until the containers of a host are registered by these stages.
async fn asked(stages: &[Vec<u8>]) -> Asked {
    let activity = Activity::default();
    let docker = FakeDocker::start(activity.clone());
    let consul = RecordingConsul::start(activity, Vec::new()).await;
    consul.be(Some("1.8.7"), &[]);
    for n in 0..CONTAINERS {
        let mut one = base();
        one["Id"] = json!(format!("{:064x}", n + 1));
        one["Name"] = json!(format!("/c{n}"));
        docker.set(&format!("c{n}"), Some(one));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = "[limits]\ntimeout = '10s'\n[[pipeline]]\nname = 'registrator'\n\
                    builtin = 'registrator'\n"
        .to_string();
    for (n, bytes) in stages.iter().enumerate() {
        let file = folder.path().join(format!("{n}.wasm"));
        fs::write(&file, bytes).expect("it is written");
        text += &format!("[[pipeline]]\nname = 's{n}'\nfile = {file:?}\n");
    }
    let config = folder.path().join("wharfinger.toml");
    fs::write(&config, text).expect("it is written");
    let uri = consul.uri();
    let args =
        ["run", "--config", arg(&config), "--ip", "192.0.2.10", "--hostname", "testhost", &uri];
    let docker_host = docker.host();
    let _daemon =
        Daemon::start(&args, &[("DOCKER_HOST", &docker_host), ("WHARFINGER_CONTROL", "none")]);
    until(SOON, "all are registered", async || {
        let count = consul.services().len();
        (count == CONTAINERS).then_some(()).ok_or(format!("{count} services"))
    })
    .await;
    Asked {
        images: docker.requests("/images/"),
        engine: docker.requests("/version"),
        agent: consul.introductions(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_stage_wants_is_asked_for() {
    let old = asked(&[guest::stage("", KEEP)]).await;
    let plain = asked(&[guest::stage_wanting(&[], KEEP), guest::stage_wanting(&[], KEEP)]).await;
    assert_eq!(plain, old, "stages of 0.2.0 that want nothing, beside one of 0.1.0");
    assert_eq!(old.images, 0);
    for fact in FACTS {
        let found =
            asked(&[guest::stage_wanting(&[], KEEP), guest::stage_wanting(&[fact], KEEP)]).await;
        // The image is asked for at each look, agent and engine seldom.
        assert_eq!(found.images >= CONTAINERS, fact == "image", "{fact}: {found:?}, {old:?}");
        assert_eq!(found.images == 0, fact != "image", "{fact}: {found:?}, {old:?}");
        assert_eq!(found.agent > old.agent, fact == "agent", "{fact}: {found:?}, {old:?}");
        assert_eq!(found.engine > old.engine, fact == "engine", "{fact}: {found:?}, {old:?}");
    }
}

/// In one run each stage is shown the variables that it is granted, whatever was shown before and after it.
#[test]
fn of_several_stages_each_sees_its_own_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut one = base();
    one["Config"]["Env"] = json!(["COLOUR=red", "SIZE=xl", "SERVICE_NAME=web"]);
    let containers = folder.path().join("containers.json");
    fs::write(&containers, json!([one]).to_string()).expect("it is written");
    let (naming, config) = (plugin("naming"), folder.path().join("wharfinger.toml"));
    let mut text = "[limits]\ntimeout = '10s'\n[[pipeline]]\nname = 'registrator'\n\
                    builtin = 'registrator'\n"
        .to_string();
    for (n, granted) in [&[][..], &["COLOUR"], &[], &["SIZE", "COLOUR"], &["SIZE"], &["COLOUR"]]
        .into_iter()
        .enumerate()
    {
        text += &format!(
            "[[pipeline]]\nname = 's{n}'\nfile = {naming:?}\ngrant.env = {granted:?}\n\
             settings.names = ['{{name}}-{n}{{env:COLOUR|default(-)}}{{env:SIZE|default(-)}}']\n"
        );
    }
    fs::write(&config, text).expect("it is written");
    let plan = ["plan", "--fresh", "--output", "json", "--hostname", "h", "--ip", "192.0.2.1"];
    let of = ["--config", arg(&config), "--containers", arg(&containers)];
    let said = wharfinger(folder.path(), &[&plan[..], &of].concat());
    let plan: Value = serde_json::from_str(&said.stdout).expect(&said.stderr);
    let name = &plan["plan"]["containers"][0]["writes"][0]["body"]["Name"];
    assert_eq!(name, "web-0---1red--2---3redxl-4-xl-5red-", "{plan:#}");
}

/// What `plugin inspect` says.
fn inspected(folder: &Path, file: &Path) -> (Value, String) {
    let json = wharfinger(folder, &["plugin", "inspect", arg(file), "--json"]).good().json();
    let text = wharfinger(folder, &["plugin", "inspect", arg(file)]).good().stdout.clone();
    (json, text)
}

#[test]
fn what_a_stage_wants_can_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    for wants in [&[][..], &["image"], &["setup", "engine"], &FACTS] {
        let file = folder.path().join("stage.wasm");
        fs::write(&file, guest::stage_wanting(wants, KEEP)).expect("it is written");
        let (json, text) = inspected(folder.path(), &file);
        assert_eq!(json["wants"], json!(wants));
        let words = match wants {
            [] => "nothing beyond a container and its services".into(),
            some => some.join(", "),
        };
        assert!(text.contains(&words), "{wants:?}: {text}");
    }
    let (json, _) = inspected(folder.path(), &plugin("minimal"));
    assert_eq!(json["wants"], json!([]), "there was no such word in 0.1.0");
}

#[test]
fn who_does_not_ask_how_a_container_was_set_up_decides_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut odd = base();
    odd["HostConfig"]["Privileged"] = json!("perhaps");
    let container = folder.path().join("container.json");
    fs::write(&container, json!([odd]).to_string()).expect("it is written");
    for fact in FACTS {
        let file = folder.path().join("stage.wasm");
        fs::write(&file, guest::stage_wanting(&[fact], KEEP)).expect("it is written");
        let said = wharfinger(
            folder.path(),
            &["plugin", "run", arg(&file), "--container", arg(&container), "--settings", "{}"],
        );
        let text = format!("{}{}", said.stdout, said.stderr);
        let refused = text.contains("it is not known how the container was set up");
        assert_eq!(refused, fact == "setup", "{fact}: {text}");
        assert_eq!(said.code == Some(0), fact != "setup", "{fact}: {text}");
    }
}
