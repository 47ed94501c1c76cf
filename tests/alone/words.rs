//! Guarantee: what a container, a component or a file says is shown to people as what it
//! is, costs nobody else an answer, and nothing is read that is no file.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::common::{
    corpus, daemon::Daemon, fake_docker::FakeDocker, guest, http::Activity,
    recording_consul::RecordingConsul, wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const FORGERY: &str = "x\n2026-11-26T00:00:00.000000Z  INFO gone: all\u{85}\u{2028}\u{202e}\u{2066}\u{200b}\u{1b}[2J\r\u{9b}H\u{7f}";

fn inspected(number: usize, name: &str, labels: &Value) -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut value = case.expect("the case is part of the corpus").inspected().remove(0);
    value["Id"] = json!(format!("{number:064x}"));
    value["Name"] = json!(format!("/{name}"));
    value["State"]["Running"] = json!(true);
    value["Config"]["Labels"] = labels.clone();
    value
}

/// A container that tries every label that is spoken of somewhere.
fn forger(number: usize, name: &str) -> Value {
    let port = "SERVICE_80_".to_string();
    inspected(
        number,
        name,
        &json!({
            format!("SERVICE_{FORGERY}"): FORGERY,
            format!("{port}CHECK_{FORGERY}"): FORGERY,
            "SERVICE_TAGS": format!("{FORGERY},b"),
            "SERVICE_CHECK_INTERVAL": FORGERY,
            "SERVICE_CHECK_TTL": FORGERY,
            "SERVICE_CHECKS": FORGERY,
            "SERVICE_PASSWORD": FORGERY,
            format!("wharfinger.{FORGERY}"): FORGERY,
            "wharfinger.port": FORGERY,
            "wharfinger.network": FORGERY,
        }),
    )
}

/// Nothing but visible characters and line breaks, and each line of the log one of its own.
fn is_clean(text: &str, what: &str) {
    for line in text.lines() {
        let bad = line.chars().find(|c| {
            c.is_control() || matches!(c, '\u{2028}' | '\u{202e}' | '\u{2066}' | '\u{200b}')
        });
        assert_eq!(bad, None, "{what}: {}", line.escape_debug());
    }
}

async fn run(words: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut child = Daemon::start(words, env);
    let status = child.wait(SOON).await;
    (status.code(), child.stdout(), child.stderr())
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let file = folder.join(name);
    fs::write(&file, content).expect("the file is written");
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_forges_no_line_of_the_log() {
    for form in ["text", "json"] {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = RecordingConsul::start(activity, Vec::new()).await;
        for n in 0..3 {
            let name = format!("forger-{n}");
            docker.set(&name, Some(forger(n + 1, &name)));
        }
        docker.set("good", Some(inspected(9, "good", &json!({}))));
        let host = docker.host();
        let uri = consul.uri();
        let words = ["--hostname", "h", "-ip", "192.0.2.1", "--log-format", form, &uri];
        let env = [("DOCKER_HOST", &*host), ("WHARFINGER_LOG", "debug")];
        let mut daemon = Daemon::start(&words, &env);
        wait::until(SOON, "the good one is registered", async || {
            let ids = consul.ids();
            if ids.iter().any(|id| id.contains(":good:")) {
                Ok(())
            } else {
                Err(format!("{ids:?}"))
            }
        })
        .await;
        daemon.wait_for_log("forger-2", SOON).await;
        daemon.terminate().await;
        let log = daemon.stderr();
        is_clean(&log, form);
        let (mut lines, mut shown) = (0, 0);
        for line in log.lines() {
            lines += 1;
            shown += usize::from(line.contains("2026-11-26T00:00:00.000000Z"));
            assert!(!line.starts_with("2026-11-26T00:00:00.000000Z"), "{line}");
            if form == "json" {
                let entry: Value = serde_json::from_str(line).expect("each line is JSON");
                assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
                let texts = entry.as_object().expect("an object").values();
                texts.filter_map(Value::as_str).for_each(|text| is_clean(text, line));
            }
        }
        println!("{form}: {lines} lines, {shown} of them with the forged one inside");
        assert!(shown > 0, "the attempt was not spoken of: {log}");
    }
}

#[tokio::test]
async fn what_commands_print_is_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = json!([forger(1, "forger"), inspected(2, "good", &json!({}))]);
    let containers = write(folder.path(), "containers.json", all.to_string());
    let host = ["--hostname", "h", "--ip", "192.0.2.1", "--containers", &containers];
    let forger = format!("{:064x}", 1);
    for (command, output) in [
        (vec!["plan", "--all"], "text"),
        (vec!["plan", "--all"], "json"),
        (vec!["plan"], "consul-json"),
        (vec!["explain", &*forger], "text"),
        (vec!["explain", &*forger], "json"),
    ] {
        let line = [&command[..], &host, &["--output", output]].concat();
        let (_, stdout, stderr) = run(&line, &[]).await;
        is_clean(&stdout, &format!("{command:?} {output}"));
        is_clean(&stderr, &format!("{command:?} {output}"));
        assert!(stdout.contains("good") || stdout.contains("forger"), "{stdout}{stderr}");
        assert!(!stdout.lines().any(|line| line.starts_with("2026-11-26")), "{stdout}");
    }
}

#[tokio::test]
async fn one_container_that_cannot_be_judged_costs_the_others_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bad, good) = (
        inspected(1, "bad", &json!({ "fail": "yes" })),
        inspected(2, "good", &json!({ "fail": "no", "pick": "yes" })),
    );
    let containers = write(folder.path(), "containers.json", json!([bad, good]).to_string());
    let select = write(
        folder.path(),
        "select.toml",
        "[containers]\nselect = 'labels[\"pick\"] == \"yes\"'\n",
    );
    let template = r#"{{if eq (index .Config.Labels "fail") "yes"}}{{index .Args 99}}{{end}}t"#;
    let host = ["--hostname", "h", "--ip", "192.0.2.1", "--containers", &containers];
    for (more, named) in
        [(["-tags", template], format!("{:012x}", 0)), (["--config", &select], "bad".to_string())]
    {
        let line = [&["plan"][..], &host, &more, &["--output", "consul-json"]].concat();
        let (code, stdout, stderr) = run(&line, &[]).await;
        let bodies: Value =
            serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        let names: Vec<_> = bodies.as_array().expect("an array").iter().collect();
        assert_eq!(names.len(), 1, "{more:?}: {stdout}{stderr}");
        assert_eq!(names[0]["ID"].as_str().map(|id| id.contains(":good:")), Some(true));
        assert_eq!(code, Some(1), "{more:?}: {stderr}");
        assert!(stderr.contains(&named) && stderr.contains("could not be judged"), "{stderr}");
    }
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let pipe = pipe.display().to_string();
    let began = Instant::now();
    for file in ["/proc/kmsg", "/dev/zero", "/dev/tty", "/proc/self/environ", &pipe, "/"] {
        let stage = format!("[[pipeline]]\nname = 'x'\nfile = '{file}'\n");
        let config = write(folder.path(), "wharfinger.toml", stage);
        let component = crate::common::plugin("convention").display().to_string();
        for line in [
            vec!["check", "--config", &*config],
            vec!["check", "--config", file],
            vec!["plugin", "inspect", file],
            vec!["plugin", "check", &*component, "--settings", file],
            vec!["plan", "--containers", file],
            vec!["replay", file, "--pipeline", file],
        ] {
            let (code, _, stderr) = run(&line, &[]).await;
            assert!(matches!(code, Some(1 | 2 | 78)), "{line:?}: {code:?} {stderr}");
            assert!(stderr.contains(file), "{line:?}: {stderr}");
        }
        let env = [("CONSUL_HTTP_TOKEN_FILE", file)];
        let line = ["plan", "consul://127.0.0.1:9", "--containers", &*config];
        let (code, _, stderr) = run(&line, &env).await;
        assert!(matches!(code, Some(1 | 78)), "{file}: {stderr}");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_component_that_never_begins_or_is_made_of_itself_is_refused_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = "(func $init (loop $more (br $more))) (start $init)";
    let endless = write(folder.path(), "endless.wasm", guest::stage(start, guest::KEEP));
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_string();
    for n in 1..=60 {
        text += &format!(
            "(component $c{n} (alias outer $root $c{} (component $x))
                (instance (instantiate $x)) (instance (instantiate $x)))",
            n - 1
        );
    }
    let text = format!(
        "(component $root {text} (instance (instantiate $c60)) (instance $i)
            (export \"wharfinger:pipeline/stage@0.1.0\" (instance $i)))"
    );
    let doubled = write(folder.path(), "doubled.wasm", wat::parse_str(&text).expect("a component"));
    for (file, words) in [(&endless, "deadline"), (&doubled, "instances of components")] {
        let began = Instant::now();
        for line in [
            vec!["plugin", "inspect", &**file],
            vec!["plugin", "inspect", &**file, "--timeout", "200ms"],
            vec!["plugin", "check", &**file],
            vec!["plugin", "bench", &**file, "--calls", "1"],
        ] {
            let (code, _, stderr) = run(&line, &[]).await;
            assert!(matches!(code, Some(1 | 2)), "{line:?}: {code:?} {stderr}");
            assert!(stderr.contains(words) || line[1] == "bench", "{line:?}: {stderr}");
        }
        println!("{file}: {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(40), "{file}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_file_at_the_sockets_path_stays_and_secrets_are_not_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let precious = write(folder.path(), "precious", "precious");
    let docker = FakeDocker::start(Activity::default());
    let host = docker.host();
    let uri = "memory://user:s3cret@host/?token=s3cret";
    let words = ["--hostname", "h", "-ip", "192.0.2.1", "--control", &precious, uri];
    let mut daemon = Daemon::start(&words, &[("DOCKER_HOST", &host)]);
    daemon.wait_for_log("no socket, and it stays", SOON).await;
    daemon.wait_for_log("Using memory adapter: memory://***@host/?token=***", SOON).await;
    daemon.terminate().await;
    assert_eq!(fs::read_to_string(&precious).expect("it is there"), "precious");
    assert!(!daemon.log().contains("s3cret"), "{}", daemon.log());
    for uri in ["bad://u:s3cret@h", "nonsense:s3cret@h", "consul://u:s3/cret@h"] {
        let (_, stdout, stderr) = run(&["plan", uri], &[("DOCKER_HOST", &host)]).await;
        assert!(!(stdout + &stderr).contains("cret@"), "{uri}: {stderr}");
    }
}

#[tokio::test]
async fn commands_believe_root_and_whom_root_has_given_the_folder() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    const NOBODY: u32 = 65534;
    // Only root can be somebody else.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    };
    chmod(folder.path(), 0o755);
    let containers = write(folder.path(), "containers.json", "[]");
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("a folder");
    std::os::unix::fs::chown(&inner, Some(NOBODY), Some(NOBODY)).expect("an owner");
    let socket = inner.join("control.sock");
    let program = folder.path().join("wharfinger");
    fs::copy(Daemon::binary(), &program).expect("a program that everybody may run");
    let mut daemon = Command::new(&program)
        .args(["--hostname", "h", "-ip", "192.0.2.1", "--cache-dir", ""])
        .args(["--containers", &containers, "--control"])
        .arg(&socket)
        .arg("memory://")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    wait::until(SOON, "it listens", async || match socket.exists() {
        true => Ok(()),
        false => Err("there is no socket yet".to_string()),
    })
    .await;
    let path = socket.display().to_string();
    let line = ["status", "--control", &path];
    let (code, stdout, stderr) = run(&line, &[]).await;
    assert_eq!(code, Some(0), "root gave it the folder: {stdout}{stderr}");
    // Anybody could have made the folder.
    chmod(folder.path(), 0o777);
    let (code, _, stderr) = run(&line, &[]).await;
    chmod(folder.path(), 0o755);
    let ended = (daemon.kill(), daemon.wait());
    assert!(ended.0.is_ok() && ended.1.is_ok());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("belongs to user 65534") && stderr.contains("not believed"),
        "{stderr}"
    );
}
