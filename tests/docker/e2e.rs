//! The daemon on a real dockerd and a real Consul agent.
//!
//! Each test has daemons of its own, so that they can run at the same time.

use crate::common::{
    consul,
    daemon::Daemon,
    lab::{HOST, IP, Lab, SOON, after_registrator},
    ports,
    wait::until,
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_registered_and_removed() {
    let lab = Lab::new().await;
    let mut daemon = lab.daemon(&["-resync", "60"]);
    daemon.wait_for_log("Syncing services on 0 containers", SOON).await;
    let order = [
        "Starting wharfinger v",
        &format!("Forcing host IP to {IP}"),
        "consul: current leader",
        "Using consul adapter: consul://",
        "Listening for Docker events",
        "Syncing services on 0 containers",
    ];
    let log = daemon.log();
    let places: Vec<_> = order.iter().map(|part| log.find(part).unwrap_or(usize::MAX)).collect();
    assert!(places.is_sorted() && places[5] != usize::MAX, "{log}");

    lab.start("files", &["-e", "SERVICE_NAME=files", "-p", "28000:80"]);
    let service = lab.service("testhost:files:80").await;
    assert_eq!(service["Service"], "files");
    assert_eq!(service["Address"], IP);
    assert_eq!(service["Port"], 28000);
    assert_eq!(service["Meta"]["wharfinger-host"], HOST);
    let catalog = lab.consul.catalog_service("files").await;
    assert_eq!(catalog[0]["ServiceAddress"], IP);
    assert_eq!(catalog[0]["ServicePort"], 28000);

    let [port] = ports::free::<1>();
    let publish = format!("{port}:80");
    let image = "mycorp.com/myteam/myimage:0.5";
    lab.docker.run(&["run", "-d", "--name", "plain", "-p", &publish, image]);
    assert_eq!(lab.service("testhost:plain:80").await["Service"], "myimage");

    let hidden = lab.start("hidden", &["-e", "SERVICE_IGNORE=true", "-P"]);
    daemon.wait_for_log(&format!("ignored: {} service on port 80", &hidden[..12]), SOON).await;
    lab.docker.run(&["rename", "files", "renamed"]);
    lab.ids(&["testhost:plain:80", "testhost:renamed:80"]).await;
    lab.docker.run(&["rm", "-f", "renamed"]);
    lab.ids(&["testhost:plain:80"]).await;
    assert!(daemon.terminate().await.success());
    lab.ids(&["testhost:plain:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_come_from_the_environment() {
    let lab = Lab::new().await;
    let daemon = lab.daemon(&[]);
    let check = |name: &'static str, variables: &[&str]| {
        let mut args = vec!["-P"];
        for variable in variables {
            args.extend(["-e", variable]);
        }
        lab.start(name, &args);
    };
    check("script", &["SERVICE_CHECK_SCRIPT=test $SERVICE_PORT -gt 0 && echo reached"]);
    check(
        "http",
        &[
            "SERVICE_CHECK_HTTP=/index.html",
            "SERVICE_CHECK_INTERVAL=15s",
            "SERVICE_CHECK_TIMEOUT=1s",
        ],
    );
    check("ttl", &["SERVICE_CHECK_TTL=30s", "SERVICE_CHECK_INITIAL_STATUS=passing"]);
    check(
        "both",
        &[r#"SERVICE_CHECKS=[{"TCP":"$SERVICE_IP:$SERVICE_PORT","Interval":"5s"},{"TTL":"20s"}]"#],
    );
    check("bad", &[r#"SERVICE_80_CHECKS=[{"TTL": }]"#, "SERVICE_NAME=bad"]);
    let ids = ["script", "http", "ttl", "both", "bad"].map(|name| format!("testhost:{name}:80"));
    lab.ids(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let types = until(SOON, "the script has run", async || {
        let checks = lab.consul.checks().await;
        let find = |service: &str| {
            let of = |check: &&Value| check["ServiceID"] == format!("testhost:{service}:80");
            checks.values().filter(of).cloned().collect::<Vec<_>>()
        };
        let script = find("script");
        if script.len() == 1
            && script[0]["Output"] == "reached\n"
            && script[0]["Status"] == "passing"
        {
            Ok([find("script"), find("http"), find("ttl"), find("both"), find("bad")])
        } else {
            Err(format!("{script:?}"))
        }
    })
    .await
    .map(|checks| {
        let mut types: Vec<_> = checks
            .iter()
            .map(|check| check["Type"].as_str().unwrap_or_default().to_string())
            .collect();
        types.sort();
        types
    });
    assert_eq!(types[0], ["script"]);
    assert_eq!(types[1], ["http"]);
    assert_eq!(types[2], ["ttl"]);
    assert_eq!(types[3], ["tcp", "ttl"]);
    assert_eq!(types[4], [""; 0]);
    let line = daemon.wait_for_log("SERVICE_80_CHECKS", SOON).await;
    assert!(line.contains("name=\"bad\"") || line.contains("name=bad"), "{line}");
    assert!(line.contains("line 1 column 10") && line.contains("without that check"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_leaves_exactly_the_running_containers() {
    let lab = Lab::new().await;
    let _daemon = lab.daemon(&[]);
    let names: Vec<_> = (0..30).map(|n| format!("c{n}")).collect();
    std::thread::scope(|scope| {
        for chunk in names.chunks(8) {
            let lab = &lab;
            scope.spawn(move || {
                for name in chunk {
                    lab.start(name, &["-P"]);
                }
            });
        }
    });
    let id = |name: &String| format!("testhost:{name}:80");
    let ids: Vec<_> = names.iter().map(id).collect();
    lab.ids(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;

    std::thread::scope(|scope| {
        for chunk in names[..20].chunks(5) {
            let lab = &lab;
            scope.spawn(move || {
                for name in chunk {
                    lab.docker.run(&["rm", "-f", name]);
                    if name.ends_with('5') {
                        lab.start(name, &["-P"]);
                    }
                }
            });
        }
    });
    let running: Vec<_> = lab
        .docker
        .run(&["ps", "--format", "{{.Names}}"])
        .lines()
        .map(|name| format!("testhost:{name}:80"))
        .collect();
    assert_eq!(running.len(), 12);
    lab.ids(&running.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_the_catalog_is_right_again() {
    let lab = Lab::new().await;
    let foreign = [
        json!({"ID": "manual", "Name": "manual", "Port": 1}),
        json!({"ID": "testhost:byhand:80", "Name": "byhand", "Port": 80}),
        json!({"ID": "otherhost:x:80", "Name": "x", "Meta": {"wharfinger-host": "otherhost", "wharfinger-container": "0"}}),
    ];
    for service in &foreign {
        lab.consul.register_foreign(service).await;
    }
    let mut daemon = lab.daemon(&[]);
    for name in ["stays", "goes", "moves"] {
        lab.start(name, &["-P"]);
    }
    let theirs = ["manual", "testhost:byhand:80", "otherhost:x:80"];
    let with = |ours: &[&'static str]| [&theirs[..], ours].concat();
    lab.ids(&with(&["testhost:stays:80", "testhost:goes:80", "testhost:moves:80"])).await;
    daemon.kill9();
    drop(daemon);

    lab.docker.run(&["rm", "-f", "goes"]);
    lab.docker.run(&["rename", "moves", "moved"]);
    lab.start("new", &["-P"]);
    let before = lab.service("manual").await;
    let _daemon = lab.daemon(&[]);
    lab.ids(&with(&["testhost:stays:80", "testhost:moved:80", "testhost:new:80"])).await;
    assert_eq!(lab.service("manual").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_plugin_renames_tags_and_vetoes() {
    let lab = Lab::new().await;
    let settings = r#"settings = { owner-label = "owner", team-label = "team", tag = "blessed" }"#;
    let config = after_registrator("convention", "convention", settings);
    let (daemon, _folder) = lab.configured(&config);
    lab.start("mine", &["-P", "-l", "owner=ann", "-l", "team=shop", "-e", "SERVICE_NAME=cart"]);
    let orphan = lab.start("orphan", &["-P", "-l", "team=shop"]);
    let service = lab.service("testhost:mine:80").await;
    assert_eq!(service["Service"], "shop-cart");
    assert_eq!(service["Tags"], json!(["blessed"]));
    let veto = format!(
        "vetoed: {} testhost:orphan:80 by convention: the container has no label owner",
        &orphan[..12]
    );
    daemon.wait_for_log(&veto, SOON).await;
    lab.ids(&["testhost:mine:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_plugin_costs_nobody_anything() {
    let lab = Lab::new().await;
    let limits = "timeout = '100ms'\nmemory = '16MiB'";
    let config = after_registrator("suspect", "hostile", limits);
    let (mut daemon, _folder) = lab.configured(&config);
    for (how, message) in [
        ("loop", "exceeded its deadline of 100ms"),
        ("trap", "trapped: wasm `unreachable` instruction executed: panicked at"),
        ("memory", "exceeded its memory limit of 16.0 MiB"),
        ("error", "could not decide: this container is beyond me"),
        ("newline", "returned an invalid result"),
    ] {
        let label = format!("hostile={how}");
        lab.start(how, &["-P", "-l", &label]);
        let line = daemon.wait_for_log(&format!("({how}): {message}"), SOON).await;
        assert!(line.contains("stage suspect failed"), "{line}");
    }
    daemon.wait_for_log("a panic of the guest", SOON).await;
    lab.start("good", &["-P"]);
    lab.ids(&["testhost:good:80"]).await;
    assert!(daemon.is_running());

    let (text, code) = status(&daemon, &[]);
    let line = text
        .lines()
        .find(|line| line.starts_with("suspect ") && line.contains("enforce"))
        .expect(&text);
    assert!(line.contains("unhealthy") && code == Some(2), "{code:?} {text}");
    assert!(text.contains("suspect: failed last"), "{text}");
    let (json, _) = status(&daemon, &["--json"]);
    let status: Value = serde_json::from_str(&json).expect("JSON");
    let suspect = &status["stages"][1];
    assert_eq!((&suspect["stage"], &suspect["healthy"]), (&json!("suspect"), &json!(false)));
    for kind in ["timeout", "trap", "memory", "guest", "invalid"] {
        assert!(suspect["figures"]["failures"][kind].as_u64() >= Some(1), "{kind}: {json}");
    }
}

/// What `wharfinger status` prints, and its exit code.
fn status(daemon: &Daemon, flags: &[&str]) -> (String, Option<i32>) {
    let mut command = std::process::Command::new(Daemon::binary());
    command.arg("status").args(flags).env("WHARFINGER_CONTROL", daemon.dir().join("control.sock"));
    let output = command.output().expect("the program runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_host_is_not_written_to() {
    let lab = Lab::new().await;
    let daemon = lab.daemon(&["-resync", "1"]);
    lab.start("one", &["-P", "-e", "SERVICE_CHECK_TTL=60s"]);
    let before = lab.service("testhost:one:80").await;
    let index = lab.consul.catalog_service(before["Service"].as_str().expect("a name")).await[0]["ModifyIndex"].clone();
    // The daemon says so a moment after it is done.
    daemon.wait_for_log("added: ", SOON).await;
    let seen = daemon.lines();
    for _ in 0..3 {
        let seen = daemon.lines();
        daemon.wait_for_log_after(seen, "Syncing services on 1 containers", SOON).await;
    }
    let log = daemon.log().lines().skip(seen).collect::<Vec<_>>().join("\n");
    assert!(!log.contains("changed") && !log.contains("added"), "{log}");
    let after = lab.consul.catalog_service(before["Service"].as_str().expect("a name")).await[0]["ModifyIndex"].clone();
    assert_eq!(index, after);

    // What somebody else changed is repaired.
    lab.consul.deregister("testhost:one:80").await;
    lab.service("testhost:one:80").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_the_agent_refuses_or_that_goes_costs_nothing_else() {
    let options = consul::Options { script_checks: false, ..consul::Options::default() };
    let lab = Lab::with(options).await;
    let daemon = lab.daemon(&[]);
    lab.start("script", &["-P", "-e", "SERVICE_CHECK_SCRIPT=true"]);
    lab.ids(&["testhost:script:80"]).await;
    daemon.wait_for_log("registered without its script check", SOON).await;
    assert!(lab.consul.checks().await.is_empty());

    // The container's successor has its ID, and no check any more.
    lab.start("web", &["-P", "-e", "SERVICE_CHECK_TTL=60s"]);
    lab.ids(&["testhost:script:80", "testhost:web:80"]).await;
    assert_eq!(lab.consul.checks().await.len(), 1);
    lab.docker.run(&["rm", "-f", "web"]);
    lab.start("web", &["-P"]);
    until(SOON, "the service without the check", async || {
        let (services, checks) = (lab.consul.services().await, lab.consul.checks().await);
        let there = services.contains_key("testhost:web:80");
        if there && checks.is_empty() { Ok(()) } else { Err(format!("{services:?} {checks:?}")) }
    })
    .await;
}
