//! Guarantee: what an operator types is understood or refused with the next step, and what
//! commands say is so. Each test is a short story: the command typed, and what it prints.

use std::{fs, path::Path, time::Duration};

use crate::common::{
    author::inspected, daemon::Daemon, fake_docker::FakeDocker, http::Activity, plugin, wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(120);

/// The exit code of a command line, and what it prints.
async fn typed(line: &str, folder: &Path) -> (Option<i32>, String, String) {
    typed_with(line, folder, &[]).await
}

/// The same with further variables. `@` stands for the folder.
async fn typed_with(
    line: &str,
    folder: &Path,
    env: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let line = line.replace('@', &folder.display().to_string());
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = Daemon::start(&words, env);
    let status = child.wait(SOON).await;
    (status.code(), child.stdout(), child.stderr())
}

/// A folder with a recorded container with one published port.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "containers.json", &inspected(&[]));
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the file is written");
}

const SAME: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

#[tokio::test]
async fn the_daemons_line_is_put_behind_plan() {
    let folder = folder();
    let line = "-ip 192.0.2.1 -resync 60 -cleanup -retry-attempts 3 -retry-interval 500 \
                -deregister always -ttl 30 -ttl-refresh 10 --log-format json --confirm \
                --hostname h --containers @/containers.json memory://";
    let (code, stdout, stderr) = typed(&format!("plan {line}"), folder.path()).await;
    assert_eq!(code, Some(2), "{stdout}{stderr}");
    assert!(stdout.contains("192.0.2.1:") && stdout.contains("Plan: 1 to register"), "{stdout}");
    let (code, _, stderr) = typed(&format!("record --out @/out.jsonl {line}"), folder.path()).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("recorded 1 container: "), "{stderr}");
    let lines = fs::read_to_string(folder.path().join("out.jsonl")).expect("the file");
    let name: Value = serde_json::from_str(&lines).expect("a line");
    let name = name["container"]["name"].as_str().expect("a name");
    let (code, stdout, stderr) = typed(&format!("explain {name} {line}"), folder.path()).await;
    assert!(code == Some(0) && stdout.contains("192.0.2.1:"), "{stdout}{stderr}");
}

#[tokio::test]
async fn a_slip_is_asked_about_and_is_no_change() {
    let folder = folder();
    for (line, code, words) in [
        ("plan --pipline new.toml memory://", 64, "was --pipeline meant?"),
        ("plan -resinc 60 memory://", 64, "was -resync meant?"),
        ("plan", 64, "next: name it at the end of the line"),
        ("plan -ip 1.2.3 --containers @/containers.json memory://", 64, "-ip: \"1.2.3\": it is"),
        ("plan -deregister never memory://", 64, "-deregister must be"),
        ("replay", 64, "required arguments"),
        ("replay x.jsonl --pipeline y.toml --sumary", 64, "was --summary meant?"),
        ("apply --confrm", 64, "was --confirm meant?"),
        ("status --jsn", 64, "was --json meant?"),
        ("explain", 64, "required arguments"),
        ("check --jnuit x", 64, "was --junit meant?"),
        ("pln -ip 192.0.2.1 memory://", 64, "next: wharfinger plan -ip 192.0.2.1 memory://"),
        ("-resinc 60 memory://", 2, "was -resync meant?"),
        ("-ip 1.2.3 memory://", 2, "-ip: \"1.2.3\": it is"),
    ] {
        let (found, stdout, stderr) = typed(line, folder.path()).await;
        assert_eq!(found, Some(code), "{line}: {stdout}{stderr}");
        assert!(stderr.contains(words), "{line}: {words:?} is not in {stderr}");
        assert!(stderr.lines().count() < 16, "{line}: {stderr}");
        assert!(code == 2 || stderr.starts_with("error: "), "{line}: {stderr}");
    }
}

#[tokio::test]
async fn a_command_that_fails_says_so_as_programs_do() {
    let folder = folder();
    for (line, start) in [
        ("status", "error: no daemon was found; looked at "),
        ("apply", "error: no daemon was found; looked at "),
        ("explain web", "error: the running daemon cannot be asked"),
        ("replay @/none --pipeline @/none", "error: the configuration cannot be used: cannot read"),
        ("plan --config @/none memory://", "error: the configuration cannot be used"),
        (
            "plan -ip 192.0.2.1 consl://127.0.0.1:1",
            "error: unrecognized adapter: consl://127.0.0.1:1",
        ),
    ] {
        let (code, stdout, stderr) = typed(line, folder.path()).await;
        assert!(matches!(code, Some(1 | 78)), "{line}: {code:?} {stderr}");
        assert!(stdout.is_empty() && stderr.starts_with(start), "{line}: {stdout}{stderr}");
        assert!(!stderr.contains("ERROR"), "{line}: {stderr}");
    }
    let none = folder.path().join("none").display().to_string();
    let env = [("WHARFINGER_CONTROL", &*none)];
    let (_, _, stderr) = typed_with("status", folder.path(), &env).await;
    assert!(stderr.contains(&none), "it says where it looked: {stderr}");
}

#[tokio::test]
async fn what_flags_say_the_file_can_say_and_the_flag_wins() {
    let folder = folder();
    let file = format!(
        "[host]\nname = 'of-the-file'\naddress = '192.0.2.7'\n\
         [registrator]\ntags = 'a,b'\nresync = '1m'\n{SAME}"
    );
    write(folder.path(), "w.toml", &file);
    let line = "plan --config @/w.toml --containers @/containers.json";
    let (code, stdout, stderr) = typed(line, folder.path()).await;
    assert_eq!(code, Some(2), "{stderr}");
    for part in ["host of-the-file", "192.0.2.7:", "[a, b]"] {
        assert!(stdout.contains(part), "{part} is not in {stdout}");
    }
    let flags = "-ip 192.0.2.8 --hostname of-the-flag -tags c";
    let (_, stdout, stderr) = typed(&format!("{line} {flags}"), folder.path()).await;
    for part in ["host of-the-flag", "192.0.2.8:", "[c]"] {
        assert!(stdout.contains(part), "{part} is not in {stdout}{stderr}");
    }

    // The daemon, whose log has the form that the file asks for.
    let docker = FakeDocker::start(Activity::default());
    let file = format!("[daemon]\nlog-format = 'json'\ncontrol = 'control.sock'\n{file}");
    write(folder.path(), "w.toml", &file);
    let (config, host) = (folder.path().join("w.toml").display().to_string(), docker.host());
    let env = [("DOCKER_HOST", &*host)];
    let args = ["run", "--config", &config, "memory://"];
    // The tests' own place for the socket would win.
    let mut daemon = Daemon::start_without_control(&args, &env);
    let line = daemon.wait_for_log("Listening for commands", SOON).await;
    let entry: Value = serde_json::from_str(&line).expect("a line of JSON");
    let socket = folder.path().join("control.sock").display().to_string();
    assert!(entry["message"].as_str().is_some_and(|said| said.contains(&socket)), "{line}");
    for line in ["status", "apply"] {
        let mut child = Daemon::start_without_control(&[line, "--config", &config], &[]);
        assert_eq!(child.wait(SOON).await.code(), Some(0), "{line}: {}", child.log());
    }
    daemon.terminate().await;
}

#[tokio::test]
async fn check_refuses_what_the_daemon_would() {
    let folder = folder();
    let naming = plugin("naming");
    let stage = |settings: &str| {
        format!("{SAME}[[pipeline]]\nname = 'n'\nfile = {naming:?}\nsettings = {{ {settings} }}\n")
    };
    for (file, words) in [
        (format!("[registry]\nuri = 'consl://127.0.0.1:8500'\n{SAME}"), "was consul:// meant?"),
        (format!("[registry]\nuri = 'consul://1.2.3:8500'\n{SAME}"), "\"1.2.3\" is no IP address"),
        (format!("[registry]\nuri = '127.0.0.1:8500'\n{SAME}"), "bad adapter uri"),
        (format!("[registry]\nuri = 'consulkv://h:8500'\n{SAME}"), "has no path"),
        (format!("[host]\naddress = '1.2.3'\n{SAME}"), "host.address: \"1.2.3\""),
        (format!("[host]\naddress = '0.0.0.0'\n{SAME}"), "it stands for any address"),
        (
            format!("[address]\nfamily = 'dual'\nhost-ipv4 = '0.0.0.0'\n{SAME}"),
            "address.host-ipv4: \"0.0.0.0\"",
        ),
        (format!("[registry]\nuri = 'consul-unix://'\n{SAME}"), "names no socket"),
        (format!("[registry]\nuri = 'consul://h:99999'\n{SAME}"), "invalid port"),
        (format!("[registrator]\nretry-attempts = -2\n{SAME}"), "retry-attempts"),
        (format!("[host]\nresolve = {{ h = '1.2.3' }}\n{SAME}"), "invalid IP address"),
        (format!("[host]\nname = ''\n{SAME}"), "host.name"),
        (format!("[registrator]\ntags = '{{{{.Name'\n{SAME}"), "-tags"),
        (format!("[registrator]\nttl = '10s'\n{SAME}"), "-ttl-refresh must be specified"),
        (format!("[registrator]\nresync = '10'\n{SAME}"), "is no time"),
        (format!("[registrator]\nretry-interval = 0\n{SAME}"), "greater than 0"),
        (format!("[registrator]\nderegister = 'never'\n{SAME}"), "never"),
        (
            format!("[registry]\nuri = 'memory://'\n[lifecycle]\non-exit = 'maintenance'\n{SAME}"),
            "lifecycle.on-exit",
        ),
        (
            format!(
                "[registry]\nuri = 'consul://h'\nprovenance = false\n\
                 [lifecycle]\nrename = 'overlap 5m'\n{SAME}"
            ),
            "lifecycle.rename",
        ),
        (stage("names = ['{label:team-{image.name}']"), "without its }"),
        (stage("names = ['{label:team']"), "without its }"),
        (stage("names = ['a'], ids = ['{host}-{nmae}']"), "nmae"),
    ] {
        write(folder.path(), "w.toml", &file);
        let (code, stdout, stderr) = typed("check --config @/w.toml", folder.path()).await;
        assert_eq!(code, Some(78), "{file}\n{stdout}{stderr}");
        assert!(stderr.contains(words), "{words:?} is not in {stderr}\n{file}");
        assert!(!stderr.contains("warning"), "another host is not looked up: {stderr}");
        let (code, stdout, _) = typed("check --json --config @/w.toml", folder.path()).await;
        let found: Value = serde_json::from_str(&stdout).expect("JSON");
        assert_eq!((code, &found["usable"]), (Some(78), &Value::Bool(false)), "{stdout}");
        assert!(found["faults"].to_string().contains(&words.replace('"', "\\\"")), "{stdout}");
    }
    for (file, words) in [("none.toml", "cannot read"), ("w.toml", "line 1")] {
        write(folder.path(), "w.toml", "hots = 1\n");
        let line = format!("check --config @/{file} --json --junit @/junit.xml");
        let (code, stdout, stderr) = typed(&line, folder.path()).await;
        assert_eq!(code, Some(78), "{stderr}");
        let found: Value = serde_json::from_str(&stdout).expect("JSON");
        assert!(found["faults"].to_string().contains(words), "{stdout}");
        let junit = fs::read_to_string(folder.path().join("junit.xml")).expect("the file");
        assert!(junit.contains("failures=\"1\"") && junit.contains(words), "{junit}");
    }
    let (code, _, stderr) = typed("check -ip 1.2.3 consl://h", folder.path()).await;
    assert_eq!(code, Some(78));
    assert!(stderr.contains("\"1.2.3\"") && stderr.contains("2 faults"), "{stderr}");
}

#[tokio::test]
async fn check_warns_of_what_does_nothing_and_tells_ci() {
    let folder = folder();
    let naming = plugin("naming");
    let stage = |settings: &str| {
        format!("{SAME}[[pipeline]]\nname = 'n'\nfile = {naming:?}\nsettings = {{ {settings} }}\n")
    };
    let line = "check --config @/w.toml --containers @/containers.json --hostname h -ip 192.0.2.1";
    for (settings, warned) in [
        ("names = ['{label:team}-{image.name}']", 2),
        ("names = ['{label:team}-{image.name}'], otherwise = 'keep'", 2),
        ("names = ['{label:team}-{image.name}'], otherwise = 'veto'", 0),
        ("names = ['x-{image.name}']", 0),
    ] {
        write(folder.path(), "w.toml", &stage(settings));
        let (code, stdout, stderr) = typed(line, folder.path()).await;
        assert_eq!(code, Some(0), "{settings}: {stdout}{stderr}");
        let found = stderr.lines().filter(|line| line.starts_with("warning: stage \"n\"")).count();
        assert_eq!(found, warned, "{settings}: {stderr}");
        assert!(stdout.contains("1 recorded container: nothing is wrong."), "{stdout}");
    }
    for (file, words) in [
        ("[host]\naddress = '127.0.0.1'\n", "a loopback address: nobody else reaches it"),
        ("[host]\nname = 'h'\nresolve = { x = '192.0.2.1' }\n", "of \"x\" is never used"),
    ] {
        write(folder.path(), "w.toml", &format!("{file}{SAME}"));
        let (code, _, stderr) = typed("check --config @/w.toml", folder.path()).await;
        assert_eq!(code, Some(0), "{file}: {stderr}");
        assert!(stderr.starts_with("warning: ") && stderr.contains(words), "{file}: {stderr}");
    }
    write(folder.path(), "w.toml", &stage("names = ['x-{image.name}']"));
    let bad = inspected(&[("wharfinger.port", "many")]);
    write(folder.path(), "containers.json", &bad);
    let (code, stdout, stderr) = typed(line, folder.path()).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("1 recorded container: 1 finding\n"), "{stdout}");
    let both = format!("{line} --json --junit @/junit.xml");
    let (code, stdout, stderr) = typed(&both, folder.path()).await;
    let found: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    assert_eq!((code, &found["usable"], &found["containers"]), (Some(1), &true.into(), &1.into()));
    assert!(found["findings"][0]["message"].as_str().is_some_and(|words| words.contains("many")));
    assert_eq!(found["stages"].as_array().map(Vec::len), Some(2), "{stdout}");
    let junit = fs::read_to_string(folder.path().join("junit.xml")).expect("the file");
    assert!(junit.contains("failures=\"1\"") && junit.contains("name=\"n\""), "{junit}");
}

#[tokio::test]
async fn root_finds_the_daemon_of_another_user_where_it_listens() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    // A user of the tests' own.
    const USER: u32 = 64_321;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).expect("a folder");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).expect("permissions");
    let program = folder.path().join("wharfinger");
    fs::copy(Daemon::binary(), &program).expect("a program that everybody may run");
    let log = fs::File::create(folder.path().join("log")).expect("a file");
    let mut daemon = std::process::Command::new(&program)
        .env_clear()
        .env("TMPDIR", &temporary)
        .args(["--hostname", "h", "-ip", "192.0.2.1", "--cache-dir", "", "--containers"])
        .arg(folder.path().join("containers.json"))
        .arg("memory://")
        .current_dir("/")
        .uid(USER)
        .gid(USER)
        .stderr(log)
        .spawn()
        .expect("it starts");
    // A place that cannot be had, and what a container needs to have one.
    let line = ["--control", "/proc/none/control.sock", "-ip", "192.0.2.1", "--containers"];
    let containers = folder.path().join("containers.json").display().to_string();
    let without = [&line[..], &[&*containers, "memory://"]].concat();
    let mut other = Daemon::start(&without, &[]);
    let said = other.wait_for_log("no control socket", SOON).await;
    assert!(said.contains("--tmpfs /run/wharfinger:uid=0,mode=0700"), "{said}");
    other.terminate().await;
    let path = temporary.join(format!("wharfinger-{USER}/control.sock")).display().to_string();
    wait::until(SOON, "it says where it listens", async || {
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let said = log.contains(&format!("Listening for commands at {path}"));
        if said { Ok(()) } else { Err(log) }
    })
    .await;
    let env = [("TMPDIR", temporary.to_str().expect("a path"))];
    let mut child = Daemon::start_without_control(&["status"], &env);
    let found = child.wait(SOON).await.code();
    let mut named = Daemon::start(&["status", "--control", &path], &env);
    let named_code = named.wait(SOON).await.code();
    let ended = (daemon.kill(), daemon.wait());
    assert!(ended.0.is_ok() && ended.1.is_ok());
    assert_eq!(found, Some(0), "{}", child.log());
    assert!(child.stderr().contains(&format!("asking the daemon of user {USER} at {path}")));
    assert_eq!(named_code, Some(0), "{}", named.log());

    let mut child = Daemon::start_without_control(&["status"], &env);
    assert_eq!(child.wait(SOON).await.code(), Some(1));
    for part in ["/run/wharfinger/control.sock", "/run/user/*/wharfinger/control.sock"] {
        assert!(child.stderr().contains(part), "{}", child.stderr());
    }
}
