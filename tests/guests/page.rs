//! Guarantee: the page shows an operator in a real browser what there is, as it happens; what containers say is
//! text there, nobody else's page sees or changes anything, and it can be read on every screen and without
//! seeing it. The checks are tests/page, which has the browser; here are the daemons and the host.
//!
//! With `PAGE_PICTURES` naming a folder (`make pictures`) the pictures for the documents are made as well;
//! `PAGE_CHECK` names a part of the checks to run.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::common::{
    daemon::Daemon,
    fake_docker::FakeDocker,
    guard::Guard,
    http::Activity,
    looker::{address, event, serving},
    plugin, ports, root, tool,
};

const TOKEN: &str = "correct-horse-battery-staple";
/// All checks together, on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// The host as it is at first: name, image, port, labels.
type Row = (&'static str, &'static str, u16, &'static [(&'static str, &'static str)]);
const HOST: [Row; 12] = [
    (
        "shop-front-1",
        "registry.local/shop/front:2.4.1",
        8080,
        &[("owner", "ann"), ("team", "shop")],
    ),
    (
        "shop-front-2",
        "registry.local/shop/front:2.4.1",
        8081,
        &[("owner", "ann"), ("team", "shop")],
    ),
    ("shop-cart-1", "registry.local/shop/cart:1.9", 8090, &[("owner", "ann"), ("team", "shop")]),
    ("search", "registry.local/search/api:0.7", 9200, &[("owner", "bo"), ("team", "search")]),
    ("cache", "redis:7", 6379, &[("owner", "bo"), ("SERVICE_NAME", "my_cache")]),
    ("db", "postgres:16", 5432, &[("owner", "cy"), ("team", "data")]),
    ("mail", "registry.local/ops/mail:3", 25, &[("owner", "cy"), ("team", "ops")]),
    ("metrics", "prom/node-exporter:v1", 9100, &[("owner", "cy"), ("team", "ops")]),
    ("proxy", "traefik:3", 443, &[("owner", "cy"), ("team", "ops")]),
    ("batch", "registry.local/batch:9", 9000, &[]),
    ("quiet", "busybox:1", 7000, &[("owner", "ann"), ("SERVICE_IGNORE", "true")]),
    ("legacy", "registry.local/legacy:1", 8000, &[("owner", "bo"), ("hostile", "error")]),
];

fn container(name: &str, number: usize, image: &str, port: u16, labels: &[(&str, &str)]) -> Value {
    let mut inspected = serving(name, number, labels);
    inspected["Config"]["Image"] = json!(image);
    inspected["Config"]["ExposedPorts"] = json!({ format!("{port}/tcp"): {} });
    inspected
}

/// A stage that watches, one that vetoes, and one that fails on a container.
fn pipeline() -> String {
    let [require, hostile, dns] =
        ["require", "hostile", "dns_safe"].map(|name| plugin(name).display().to_string());
    format!(
        "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'owner'\nfile = '{require}'\nsettings = {{ labels = {{ owner = {{}} }} }}\n\
         [[pipeline]]\nname = 'quota'\nfile = '{hostile}'\nselect = '\"hostile\" in labels'\n\
         [[pipeline]]\nname = 'dns'\nfile = '{dns}'\nmode = 'monitor'\n"
    )
}

fn daemon(docker: &FakeDocker, folder: &tempfile::TempDir, port: u16, listen: &str) -> Daemon {
    let file = folder.path().join("wharfinger.toml");
    let text = format!("[listen]\naddress = '127.0.0.1:{port}'\n{listen}\n{}", pipeline());
    fs::write(&file, text).expect("it is written");
    let file = file.display().to_string();
    let args = ["run", "--config", &file, "-ip", "192.0.2.10", "--hostname", "web1", "memory://"];
    Daemon::start(&args, &[("DOCKER_HOST", &docker.host())])
}

/// What `plan` prints in colours: the review of the documents.
fn plan() -> String {
    let fleet = root().join("tests/fixtures/fleet");
    let files = ["containers.json", "policy.toml"].map(|name| fleet.join(name));
    let output = Command::new(Daemon::binary())
        .env_clear()
        .env("COLUMNS", "100")
        .args(["plan", "--color", "always", "--containers"])
        .arg(&files[0])
        .arg("--pipeline")
        .arg(&files[1])
        .args(["--hostname", "web1", "--ip", "192.0.2.10"])
        .output()
        .expect("the program can be run");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

/// The folder of the checks, with what they are made of.
fn checks() -> PathBuf {
    let folder = root().join("tests/page");
    let missing = ["axe-core", "playwright-core"]
        .into_iter()
        .find(|name| !folder.join("node_modules").join(name).is_dir());
    if let Some(name) = missing {
        panic!("the library {name} is missing: run tests/env/install.sh page");
    }
    folder
}

/// What a check says happens to the host's containers.
fn happen(docker: &FakeDocker, said: &Value) {
    let text = |key: &str| said[key].as_str().expect("a text").to_string();
    let number = said["number"].as_u64().expect("a number") as usize;
    let name = text("name");
    match said["do"].as_str() {
        Some("start") => {
            let labels = said["labels"].as_object().expect("labels");
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str().expect("a text")))
                .collect();
            docker.set(&name, Some(container(&name, number, &text("image"), 80, &labels)));
            event(docker, number, "start");
        }
        Some("remove") => {
            docker.set(&name, None);
            event(docker, number, "die");
            event(docker, number, "destroy");
        }
        other => panic!("{other:?} is no such thing"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_in_a_browser() {
    let (node, chromium) = (tool("node", "page"), tool("chromium", "page"));
    let checks = checks();
    let docker = FakeDocker::start(Activity::default());
    for (number, (name, image, port, labels)) in HOST.iter().enumerate() {
        docker.set(name, Some(container(name, number + 1, image, *port, labels)));
    }
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    fs::write(folders[1].path().join("token"), TOKEN).expect("it is written");
    let open = daemon(&docker, &folders[0], 0, "");
    let closed = daemon(&docker, &folders[1], 0, "token-file = 'token'");
    let [port] = ports::free();
    let begin = || daemon(&docker, &folders[2], port, "");
    let mut away = Some(begin());
    let (open_at, closed_at) = (address(&open).await, address(&closed).await);

    let guard = Guard::new();
    let mut command = Command::new(node);
    command
        .arg("run.js")
        .args(std::env::var_os("PAGE_CHECK"))
        .current_dir(checks)
        .env("HOME", guard.dir())
        .env("PAGE_CHROMIUM", chromium)
        .env("PAGE_AT", format!("http://{open_at}"))
        .env("PAGE_TOKEN_AT", format!("http://{closed_at}"))
        .env("PAGE_AWAY_AT", format!("http://127.0.0.1:{port}"))
        .env("PAGE_TOKEN", TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(pictures) = std::env::var_os("PAGE_PICTURES") {
        command.env("PAGE_PICTURES", root().join(pictures)).env("PAGE_PLAN", plan());
    }
    let mut child = guard.mark(&mut command).spawn().expect("node can be run");
    let mut answers = child.stdin.take().expect("its input");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let (said, mut lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if said.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let story = async {
        while let Some(line) = lines.recv().await {
            let said: Value = serde_json::from_str(&line).expect("a line of JSON");
            match said["do"].as_str() {
                Some("end") => drop(away.take()),
                Some("begin") => away = Some(begin()),
                _ => happen(&docker, &said),
            }
            // It may have ended meanwhile, which its exit code tells.
            let _ = answers.write_all(b"{}\n");
        }
    };
    let ended = tokio::time::timeout(LIMIT, story).await;
    if ended.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().expect("its end");
    assert!(ended.is_ok() && status.success(), "the checks of tests/page failed: see above");
}
