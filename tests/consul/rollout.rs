//! Guarantee: a rollout is what one operator says and no two at once, its state and the fleet's
//! are told as Consul has them, and each role needs the rights that the documents list, and no less
//! does.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    common::{
        consul::{self, Consul},
        daemon::Daemon,
        image_registry::ImageRegistry,
        looker::start,
        root,
        wait::until,
    },
    member::{Host, REGISTER, SOON},
};

const SOURCE: &str = "consul-kv://wharfinger/prod";
const KEY: &str = "wharfinger/prod";
const MASTER: &str = "5b7a3a2e-0000-4000-8000-000000000001";

/// An operator's machine: bundles in a folder, and a Consul.
struct Desk {
    folder: tempfile::TempDir,
    consul: Consul,
    token: String,
}

impl Desk {
    async fn new() -> Self {
        Self::with(consul::Options::default(), "").await
    }

    async fn with(options: consul::Options, token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let consul = Consul::start(options).await;
        Self { folder, consul, token: token.into() }
    }

    /// A Consul that denies what no token allows.
    async fn guarded() -> Self {
        let acl = json!({"acl": {
            "enabled": true, "default_policy": "deny",
            "tokens": {"master": MASTER, "agent": MASTER},
        }});
        let options = consul::Options {
            config: vec![("acl.json".into(), acl.to_string())],
            token: Some(MASTER.into()),
            ..Default::default()
        };
        let desk = Self::with(options, MASTER).await;
        // The token is there a little later than the leader.
        until(SOON, "the token", async || {
            desk.consul.send(reqwest::Method::GET, "/v1/acl/policies", &Value::Null).await
        })
        .await;
        desk
    }

    /// A token with this policy.
    async fn token(&self, name: &str, rules: &str) -> String {
        let policy = json!({"Name": name, "Rules": rules});
        self.consul.put("/v1/acl/policy", &policy).await;
        let token = json!({"Policies": [{"Name": name}]});
        let token = self.consul.put("/v1/acl/token", &token).await;
        token["SecretID"].as_str().expect("a token").to_string()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bundle of this number, and its digest.
    fn bundle(&self, number: u32) -> String {
        let policy = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
        fs::write(self.at("w.toml"), policy).expect("it is written");
        let (file, number) = (format!("{number}.tar"), number.to_string());
        let words = ["policy", "build", "w.toml", "--output", &file, "--name", "prod"];
        self.good(&[&words[..], &["--sequence", &number]].concat());
        let shown = self.good(&["policy", "show", &file, "--json"]);
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        shown["digest"].as_str().expect("a digest").to_string()
    }

    /// The exit code of the program with these words, and what it prints.
    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        self.run_as(&self.token, words)
    }

    fn run_as(&self, token: &str, words: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(Daemon::binary())
            .args(words)
            .current_dir(self.folder.path())
            .env("CONSUL_HTTP_ADDR", self.consul.addr())
            .env("CONSUL_HTTP_TOKEN", token)
            .env("COLUMNS", "160")
            .env("WHARFINGER_CACHE_DIR", self.at("cache"))
            .output()
            .expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    }

    #[track_caller]
    fn good(&self, words: &[&str]) -> String {
        let (code, text) = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {text}");
        text
    }

    #[track_caller]
    fn bad(&self, words: &[&str], code: i32, part: &str) {
        let (found, text) = self.run(words);
        assert_eq!(found, Some(code), "{words:?}: {text}");
        assert!(text.replace('\\', "").contains(part), "{words:?}: {part} is not in {text}");
    }

    /// A command about the rollout.
    fn rollout<'a>(&self, command: &'a str, further: &[&'a str]) -> Vec<&'a str> {
        [&["rollout", command, "--source", SOURCE], further].concat()
    }

    fn start(&self, bundle: u32, further: &[&str]) -> (Option<i32>, String) {
        let file = format!("{bundle}.tar");
        self.run(&[&["rollout", "start", &file, "--source", SOURCE], further].concat())
    }

    #[track_caller]
    fn started(&self, bundle: u32, further: &[&str]) -> String {
        let (code, text) = self.start(bundle, further);
        assert_eq!(code, Some(0), "{text}");
        text
    }

    async fn document(&self) -> Value {
        self.consul.get(&format!("/v1/kv/{KEY}?raw")).await
    }

    /// Pretend that a host's daemon is registered and tells this of itself.
    async fn pretend(&self, host: &str, status: &str, told: Value) {
        let mut meta = told;
        meta["wharfinger-member"] = host.into();
        meta["version"] = "0.1.0".into();
        match meta["source"].as_str() {
            None => meta["source"] = SOURCE.into(),
            // It takes no policy, and so tells of no source.
            Some("") => drop(meta.as_object_mut().expect("metadata").remove("source")),
            Some(_) => {}
        }
        let body = json!({
            "ID": format!("wharfinger-{host}"), "Name": "wharfinger", "Meta": meta,
            "Check": {"TTL": "10m", "Status": status},
        });
        self.consul.register_foreign(&body).await;
        // A check that is there already keeps its state.
        let path = format!("/v1/agent/check/update/service:wharfinger-{host}");
        self.consul.put(&path, &json!({"Status": status})).await;
        until(SOON, format!("{host} is in the catalog"), async || {
            let all = self.consul.health("wharfinger").await;
            let is_so = |one: &&Value| {
                one["Service"]["Meta"] == body["Meta"]
                    && one["Checks"].as_array().is_some_and(|checks| {
                        checks
                            .iter()
                            .any(|check| check["Status"] == status && check["ServiceID"] != "")
                    })
            };
            if all.iter().any(|one| is_so(&one)) { Ok(()) } else { Err(format!("{all:?}")) }
        })
        .await;
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_started_shown_turned_and_said_by_whom() {
    let desk = Desk::new().await;
    let (one, two) = (desk.bundle(1), desk.bundle(2));
    desk.bad(&desk.rollout("status", &[]), 1, "there is no rollout");
    desk.bad(&desk.rollout("halt", &[]), 1, "there is no rollout");
    for host in ["a", "b", "c", "d"] {
        desk.pretend(host, "passing", json!({})).await;
    }
    let said = desk.started(1, &["--by", "ann", "--waves", "1,100%", "--pause", "5m"]);
    assert!(said.contains(&one) && said.contains("waves 1,100%, 5m apart"), "{said}");
    let document = desk.document().await;
    assert_eq!(document["bundle"]["digest"], *one);
    let hex = one.strip_prefix("sha256:").expect("a digest");
    assert_eq!(document["bundle"]["from"], format!("{SOURCE}/bundles/{hex}"));
    assert_eq!(document.get("before"), None);
    // What hosts fetch is the bundle, to the byte.
    let url = format!("http://{}/v1/kv/{KEY}/bundles/{hex}?raw", desk.consul.addr());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let bytes = client.get(url).send().await.expect("an answer").bytes().await.expect("bytes");
    assert_eq!(bytes, fs::read(desk.at("1.tar")).expect("the bundle"));

    // It is not over, so that nobody puts another one in its place unasked.
    let (code, text) = desk.start(2, &[]);
    assert_eq!(code, Some(1), "{text}");
    for part in ["0 of 4 hosts have the bundle", "started by ann at", "--replace"] {
        assert!(text.contains(part), "{text}");
    }
    let status = json_of(&desk.good(&desk.rollout("status", &["--json"])));
    assert_eq!(status["fleet"]["figures"]["hosts"], 4);
    assert_eq!(
        status["fleet"]["waves"][0],
        json!({
            "wave": 0, "hosts": 1, "done": 0, "refused": 0, "lost": 0,
        })
    );
    assert_eq!(status["hosts"].as_array().map(Vec::len), Some(4));

    desk.good(&desk.rollout("promote", &[]));
    assert_eq!(desk.document().await["rollout"]["wave"], 1);
    desk.bad(&desk.rollout("promote", &[]), 1, "the last wave, 1, has begun already");
    desk.bad(&desk.rollout("promote", &["--to", "7"]), 1, "there is no wave 7");
    desk.good(&desk.rollout("halt", &["--by", "bob"]));
    desk.bad(&desk.rollout("halt", &[]), 1, "halted already (halted by bob at");
    let (code, text) = desk.run(&desk.rollout("status", &[]));
    assert!(code == Some(2) && text.contains("halted by bob at"), "{text}");
    desk.good(&desk.rollout("resume", &[]));
    assert_eq!(desk.document().await["rollout"]["state"], "running");

    // All have it, so that the next one may begin, and this one is what is gone back to.
    for host in ["a", "b", "c", "d"] {
        desk.pretend(host, "passing", json!({"bundle": one})).await;
    }
    desk.started(2, &["--monitor", "--halt-when", "refused * 2 > hosts"]);
    let document = desk.document().await;
    assert_eq!(
        (&document["bundle"]["digest"], &document["before"]["digest"]),
        (&json!(two), &json!(one))
    );
    assert_eq!(document["rollout"]["monitor"], true);
    desk.pretend("a", "passing", json!({"bundle": one, "refused": two, "reason": "it fails"}))
        .await;
    desk.pretend("b", "critical", json!({"bundle": two})).await;
    let (code, text) = desk.run(&desk.rollout("status", &[]));
    assert_eq!(code, Some(2), "{text}");
    for part in ["running", "a has refused it", "b is lost", "1 of 4 hosts have it; 1 refused"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    desk.pretend("c", "passing", json!({"bundle": one, "refused": two})).await;
    desk.pretend("d", "passing", json!({"bundle": one, "refused": two})).await;
    let (_, text) = desk.run(&desk.rollout("status", &[]));
    assert!(text.contains("stopped by itself"), "{text}");
    let said = desk.good(&desk.rollout("abort", &[]));
    assert!(said.contains(&format!("hosts go back to {one}")), "{said}");
    desk.bad(&desk.rollout("resume", &[]), 1, "start one again");
    desk.started(1, &[]);
    assert_eq!(desk.document().await.get("before"), None, "there is no other way back than itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_rollout_waits_for_is_named_with_the_reason() {
    let desk = Desk::new().await;
    let one = desk.bundle(1);
    for host in ["a", "b", "c", "d"] {
        desk.pretend(host, "passing", json!({})).await;
    }
    desk.started(1, &["--waves", "1,3,100%"]);
    let status = || json_of(&desk.run(&desk.rollout("status", &["--json"])).1);
    let all = status();
    let of = |all: &Value, wave: u64| -> Vec<String> {
        let hosts = all["hosts"].as_array().into_iter().flatten();
        let mine = hosts.filter(|one| one["wave"] == wave);
        mine.map(|one| one["host"].as_str().expect("a name").to_string()).collect()
    };
    let why = |all: &Value, host: &str| {
        let mut hosts = all["hosts"].as_array().into_iter().flatten();
        hosts.find(|one| one["host"] == host).map(|one| one["why"].clone()).expect("the host")
    };
    let (first, second, last) = (of(&all, 0).remove(0), of(&all, 1), of(&all, 2).remove(0));
    // Only those are named whose turn it is.
    assert_eq!(why(&all, &first), "has not taken it yet");
    assert_eq!((why(&all, &second[0]), why(&all, &last)), (Value::Null, Value::Null));
    let failing = json!({"source-failing": "no answer\u{1b}[31m"});
    desk.pretend(&first, "passing", failing).await;
    let (code, text) = desk.run(&desk.rollout("status", &[]));
    assert!(code == Some(0) && !text.contains('\u{1b}'), "{text:?}");
    let words = format!("{first} cannot read its policy's source: no answer");
    assert!(text.contains(&words), "{text}");

    desk.pretend(&first, "passing", json!({"bundle": one})).await;
    let waits = json!({"waits": "the pause before wave 1 is not over"});
    desk.pretend(&second[0], "passing", waits).await;
    // One that has been away for long is lost, and waited for.
    desk.pretend(&second[1], "critical", json!({})).await;
    let (code, text) = desk.run(&desk.rollout("status", &[]));
    assert_eq!(code, Some(2), "{text}");
    for part in [
        format!("{} waits: the pause before wave 1 is not over", second[0]),
        format!("{} is lost", second[1]),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(!text.contains(&format!("{last} ")), "{text}");

    // One that never takes it is told whenever its turn is, and is a reason to look.
    for (host, told) in [(&second[1], json!({"bundle": one})), (&second[0], json!({"bundle": one}))]
    {
        desk.pretend(host, "passing", told).await;
    }
    desk.good(&desk.rollout("status", &[]));
    for (told, words) in [
        (json!({"source": "consul-kv://wharfinger/lab"}), "follows consul-kv://wharfinger/lab"),
        (json!({"source": ""}), "takes no policy"),
    ] {
        desk.pretend(&last, "passing", told).await;
        let (code, text) = desk.run(&desk.rollout("status", &[]));
        assert_eq!(code, Some(2), "{text}");
        let words = format!("{last} {words}, and so will never take it");
        assert!(text.contains(&words), "{words}: {text}");
    }
    desk.pretend(&second[0], "passing", json!({"source": "oci://registry/policy:v"})).await;
    assert_eq!(why(&status(), &second[0]), "follows oci://registry/policy:v");

    // Those of a wave that was begun by hand are waited for, too; in one that is aborted nobody is.
    desk.pretend(&last, "passing", json!({"monitored": "true"})).await;
    assert_eq!(why(&status(), &last), Value::Null);
    desk.good(&desk.rollout("promote", &["--to", "2"]));
    assert_eq!(why(&status(), &last), "only monitors it");
    for n in 0..30 {
        desk.pretend(&format!("more-{n:02}"), "passing", json!({})).await;
    }
    let (_, text) = desk.run(&desk.rollout("status", &[]));
    let named = text.matches("has not taken it yet").count();
    assert!((10..=25).contains(&named), "{named}: {text}");
    assert!(text.contains("more that have not taken it"), "{text}");
    desk.good(&desk.rollout("abort", &[]));
    let all = status();
    let hosts = all["hosts"].as_array().expect("hosts");
    assert!(hosts.len() == 34 && hosts.iter().all(|one| one["why"].is_null()), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_at_once_one_is_told_what_the_other_did() {
    let desk = Desk::new().await;
    for number in 1..=8 {
        desk.bundle(number);
    }
    let said: Vec<_> = std::thread::scope(|scope| {
        let desk = &desk;
        let one = |number: u32| {
            scope.spawn(move || desk.start(number, &["--by", &format!("operator-{number}")]))
        };
        let all: Vec<_> = (1..=8).map(one).collect();
        all.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    let good: Vec<_> = said.iter().filter(|(code, _)| *code == Some(0)).collect();
    assert_eq!(good.len(), 1, "{said:?}");
    let by = desk.document().await["rollout"]["by"].as_str().expect("a name").to_string();
    for (code, text) in said.iter().filter(|(code, _)| *code != Some(0)) {
        // Either it saw the other's, or it was a moment late.
        assert_eq!(*code, Some(1), "{text}");
        assert!(text.contains(&format!("started by {by} at")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rolled_out_is_refused_before_anything_is_written() {
    let desk = Desk::new().await;
    desk.bundle(1);
    fs::write(desk.at("cut.tar"), &fs::read(desk.at("1.tar")).expect("a bundle")[..700])
        .expect("it is written");
    let keys = [
        &["genpkey", "-out", "k.key", "-algorithm", "ed25519"][..],
        &["pkey", "-in", "k.key", "-pubout", "-out", "k.pub"],
    ];
    for words in keys {
        let made = Command::new("openssl").args(words).current_dir(desk.folder.path()).output();
        assert!(made.expect("openssl runs").status.success());
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let (tag, oci) = ("oci://registry/policy:7", format!("oci://registry/policy@{digest}"));
    let start = |bundle: &str, further: &[&str], code, part| {
        desk.bad(
            &[&["rollout", "start", bundle, "--source", SOURCE], further].concat(),
            code,
            part,
        );
    };
    start("none.tar", &[], 1, "none.tar");
    start("cut.tar", &[], 1, "cut.tar");
    start("1.tar", &["--key", "k.pub"], 1, "1.tar");
    start("1.tar", &["--from", "http://a/b"], 64, "--from");
    start("1.tar", &["--registry", "memory://"], 64, "--registry");
    start("1.tar", &["--waves", "10%,5%"], 64, "10%,5%");
    start("1.tar", &["--waves", "1,50%"], 64, "the last wave");
    start("1.tar", &["--halt-when", "refuse > 0"], 64, "refuse");
    start("1.tar", &["--pause", "10"], 64, "--pause");
    start(tag, &[], 64, "is no bundle by its digest");
    start("oci://registry/policy:7", &["--key", "k.pub"], 64, "is no bundle by its digest");
    let nobody = format!("oci://127.0.0.1:1/policy@{digest}");
    start(&nobody, &["--key", "k.pub", "--plain-http"], 1, "cannot pull oci://127.0.0.1:1/policy");
    desk.bad(&["rollout", "start", "1.tar", "--source", "wharfinger/prod"], 64, "--source");
    desk.bad(&["rollout", "start", "1.tar"], 64, "--source");
    let keys = desk.consul.send(reqwest::Method::GET, "/v1/kv/?keys", &Value::Null).await;
    assert_eq!(keys, Ok(json!([])));
    // What is signed by the key is taken, and a bundle in a registry by its digest.
    desk.good(&["policy", "sign", "1.tar", "--key", "k.key"]);
    desk.good(&["rollout", "start", "1.tar", "--source", SOURCE, "--key", "k.pub"]);
    desk.good(&["rollout", "start", &oci, "--source", SOURCE, "--replace"]);
    assert_eq!(desk.document().await["bundle"], json!({"digest": digest, "from": oci}));
    // With a key, what is in a registry is verified as what is here, and named as it is there.
    let registry = ImageRegistry::open();
    let place = format!("oci://{}/prod", registry.address());
    desk.bundle(2);
    for (number, signed) in [(2, false), (1, true)] {
        let (file, tag) = (format!("{number}.tar"), format!("{place}:{number}"));
        let pushed = desk.good(&["policy", "push", &file, &tag, "--plain-http"]);
        let pinned = pushed.lines().find_map(|line| line.strip_prefix(&format!("{place}@")));
        let pinned = format!("{place}@{}", pinned.expect("the place by digest"));
        let more = ["--source", SOURCE, "--plain-http", "--key", "k.pub", "--replace"];
        let words = [&["rollout", "start", &pinned], &more[..]].concat();
        match signed {
            true => assert!(desk.good(&words).contains("prod 1 sha256:")),
            false => desk.bad(&words, 1, "is not signed"),
        }
        let document = desk.document().await;
        assert_eq!(document["bundle"]["from"] == pinned, signed, "{document}");
    }
    // A document that is none of this program's is left alone.
    desk.consul.put(&format!("/v1/kv/{KEY}"), &json!({"version": 9})).await;
    desk.bad(&desk.rollout("halt", &[]), 1, "it is of version 9");
    start("1.tar", &["--replace"], 1, "it is of version 9");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_told_host_by_host_and_a_service_instance_by_instance() {
    let desk = Desk::new().await;
    desk.bad(&["fleet", "status"], 1, "no daemon is to be seen");
    let listening = format!(
        "{REGISTER}[listen]\naddress = '127.0.0.1:0'\n[decisions]\nfile = 'decisions.jsonl'\n"
    );
    let stages = format!(
        "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'naming'\nfile = {:?}\nsettings = {{ owner-label = 'team' }}\n",
        root().join("plugins/dist/wharfinger_convention.wasm")
    );
    let one = Host::start(&desk.consul, "one", &format!("{listening}{stages}"));
    let other = Host::start(&desk.consul, "other", REGISTER);
    for (host, number) in [(&one, 1), (&other, 2)] {
        start(&host.docker, "web", number, &[("SERVICE_NAME", "web"), ("team", "shop")]);
    }
    let hosts = until(SOON, "both hosts with what they have", async || {
        let (code, text) = desk.run(&["fleet", "status", "--json"]);
        let all: Value = serde_json::from_str(&text).unwrap_or_default();
        let full = |n: usize| all["hosts"][n]["version"] == env!("CARGO_PKG_VERSION");
        let fits = code == Some(0) && full(0) && full(1) && !all["hosts"][0]["listens"].is_null();
        if fits { Ok(all) } else { Err(text) }
    })
    .await;
    assert_eq!(hosts["hosts"][0]["host"], "one");
    assert_eq!(hosts["hosts"][1]["listens"], Value::Null);
    let text = desk.good(&["fleet", "status"]);
    assert!(text.starts_with("2 hosts") && text.contains("one no bundle"), "{text}");

    let name = until(SOON, "both instances", async || {
        let all = desk.consul.services().await;
        let mut names = all.values().filter(|one| one["Meta"]["wharfinger-host"].is_string());
        let named = names.clone().count();
        let first = names.next().and_then(|one| one["Service"].as_str().map(String::from));
        first.filter(|_| named == 2).ok_or_else(|| format!("{all:?}"))
    })
    .await;
    desk.consul.register_foreign(&json!({"ID": "foreign", "Name": name, "Port": 9})).await;
    let explained = until(SOON, "all instances are explained", async || {
        let (code, text) = desk.run(&["fleet", "explain", &name, "--json"]);
        let all: Value = serde_json::from_str(&text).unwrap_or_default();
        let all = all["instances"].as_array().cloned().unwrap_or_default();
        let known = all.iter().any(|one| one["host"] == "one" && one["unasked"].is_null());
        if code == Some(0) && known { Ok(all) } else { Err(text) }
    })
    .await;
    let of = |host: Value| explained.iter().find(|one| one["host"] == host).expect("an instance");
    assert_eq!(of("one".into())["container"], format!("{:064x}", 1));
    let foreign = of(Value::Null);
    assert_eq!(foreign["unasked"], "no daemon has registered it");
    if let Some(other) = explained.iter().find(|one| one["host"] == "other") {
        assert_eq!(other["unasked"], "its daemon does not listen");
    }
    let text = desk.good(&["fleet", "explain", &name]);
    assert!(text.contains("on host one"), "{text}");
    desk.bad(&["fleet", "explain", "nowhere"], 1, "no instance of");

    // The decisions of all that listen, as one log; who does not is named.
    start(&one.docker, "keyed", 9, &[("team", "shop"), ("SERVICE_PASSWORD", "hunter2")]);
    let decided = until(SOON, "what was decided of both", async || {
        let (code, text) = desk.run(&["fleet", "decisions", "--since", "1h", "--json"]);
        let all: Value = serde_json::from_str(&text).unwrap_or_default();
        let names = ["web", "keyed"];
        let there = |name: &&str| {
            let mut of = all["decisions"].as_array().into_iter().flatten();
            of.any(|one| one["container"]["name"] == **name && one["host"] == "one")
        };
        if code == Some(2) && names.iter().all(there) { Ok(all) } else { Err(text) }
    })
    .await;
    let times: Vec<_> = decided["decisions"]
        .as_array()
        .expect("decisions")
        .iter()
        .map(|one| one["at"].to_string())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(!decided.to_string().contains("hunter2"), "{decided}");
    assert_eq!(
        decided["hosts"],
        json!([
            {"host": "one", "unasked": null, "complete": true},
            {"host": "other", "unasked": "its daemon does not listen", "complete": false},
        ])
    );
    let (code, text) = desk.run(&["fleet", "decisions", "--container", "keyed"]);
    assert_eq!(code, Some(2), "{text}");
    for part in ["keyed", "not known:", "other its daemon does not listen"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");

    let digest = format!("sha256:{}", "1".repeat(64));
    let refused = json!({"refused": digest, "reason": "a stage\u{1b}[31m fails", "held": "3"});
    desk.pretend("third", "critical", refused).await;
    let (code, text) = desk.run(&["fleet", "status"]);
    assert_eq!(code, Some(2), "{text}");
    for part in ["1 of which want a look", "lost", "refused sha256:111111111111:", "3 changes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// The rules of the roles, least first, as docs/rollout.md has them.
const VIEWER: [&str; 3] = [
    r#"key "wharfinger/prod" { policy = "read" }"#,
    r#"service "wharfinger" { policy = "read" }"#,
    r#"node_prefix "" { policy = "read" }"#,
];
const OPERATOR: [&str; 4] = [
    r#"key "wharfinger/prod" { policy = "write" }"#,
    r#"key_prefix "wharfinger/prod/bundles/" { policy = "write" }"#,
    VIEWER[1],
    VIEWER[2],
];
const HOST: [&str; 2] =
    [r#"service_prefix "" { policy = "read" }"#, r#"service "wharfinger" { policy = "write" }"#];

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_suffice_and_less_does_not() {
    let page = fs::read_to_string(root().join("docs/rollout.md")).expect("the page");
    for rule in VIEWER.iter().chain(&OPERATOR).chain(&HOST[1..]) {
        assert!(page.contains(rule), "{rule} is not in docs/rollout.md");
    }
    let desk = Desk::guarded().await;
    desk.bundle(1);
    let without = |rules: &[&str], n: usize| {
        let left = rules.iter().enumerate().filter(|(place, _)| *place != n);
        left.map(|(_, rule)| *rule).collect::<Vec<_>>().join("\n")
    };
    // A host registers itself with these, and not without the last one.
    let poor = desk.token("poor-host", HOST[0]).await;
    let rich = desk.token("host", &HOST.join("\n")).await;
    let host = Host::with_token(&desk.consul, "p", REGISTER, &poor);
    let line = host.daemon.wait_for_log("cannot be registered or told of", SOON).await;
    assert!(
        line.replace('\\', "").contains(r#"service "wharfinger" { policy = "write" }"#),
        "{line}"
    );
    drop(host);
    let _host = Host::with_token(&desk.consul, "h", REGISTER, &rich);
    until(SOON, "the host is there", async || {
        let (code, text) = desk.run(&["fleet", "status"]);
        if code == Some(0) { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(desk.consul.health("wharfinger").await.len(), 1);

    let operator = desk.token("operator", &OPERATOR.join("\n")).await;
    let begin = ["rollout", "start", "1.tar", "--source", SOURCE];
    let change = |command| ["rollout", command, "--source", SOURCE];
    for (n, rule) in OPERATOR.iter().enumerate().take(2) {
        let token = desk.token(&format!("operator-{n}"), &without(&OPERATOR, n)).await;
        let (code, text) = desk.run_as(&token, &begin);
        assert_eq!(code, Some(1), "without {rule}: {text}");
        assert!(text.contains("the token lacks"), "without {rule}: {text}");
    }
    let keys = desk.consul.send(reqwest::Method::GET, "/v1/kv/wharfinger/prod", &Value::Null).await;
    assert!(keys.is_err(), "{keys:?}");
    let as_operator = |words: &[&str]| {
        let (code, text) = desk.run_as(&operator, words);
        assert_eq!(code, Some(0), "{words:?}: {text}");
    };
    as_operator(&begin);
    for command in ["promote", "halt", "resume"] {
        as_operator(&change(command));
    }
    // The host follows no document, which is told; so its fleet is to be seen.
    let sees = |token: &str| {
        let (code, text) = desk.run_as(token, &change("status"));
        assert_eq!(code, Some(2), "{text}");
        assert!(
            text.contains("0 of 1 hosts have it") && text.contains("takes no policy"),
            "{text}"
        );
    };
    sees(&operator);
    // Who does not see the fleet does not put a rollout in the place of another one, or promote.
    for n in [2, 3] {
        let token = desk.token(&format!("blind-{n}"), &without(&OPERATOR, n)).await;
        for words in [&begin[..], &change("promote")] {
            let (code, text) = desk.run_as(&token, words);
            assert_eq!(code, Some(1), "without {}: {text}", OPERATOR[n]);
        }
    }

    let viewer = desk.token("viewer", &VIEWER.join("\n")).await;
    sees(&viewer);
    let (code, text) = desk.run_as(&viewer, &["fleet", "status"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = desk.run_as(&viewer, &change("halt"));
    assert!(code == Some(1) && text.contains("the token lacks"), "{text}");
    for (n, rule) in VIEWER.iter().enumerate() {
        let token = desk.token(&format!("viewer-{n}"), &without(&VIEWER, n)).await;
        let (code, text) = desk.run_as(&token, &change("status"));
        // Without the fleet, the document is shown, and that there is more to see.
        let expected = if n == 0 { Some(1) } else { Some(2) };
        assert_eq!(code, expected, "without {rule}: {text}");
        assert_eq!(text.contains("the fleet cannot be seen"), n > 0, "without {rule}: {text}");
        if n > 0 {
            let (code, text) = desk.run_as(&token, &["fleet", "status"]);
            assert!(code == Some(1) && text.contains("no daemon is to be seen"), "{rule}: {text}");
        }
    }
    as_operator(&change("abort"));
}
