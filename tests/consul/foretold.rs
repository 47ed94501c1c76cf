//! Guarantee: what a policy would change is told by every host that listens before any of it is done;
//! a host is told the digest alone, fetches from nowhere but its own source, and does nothing of it.

use std::{fs, net::TcpListener, path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};
use wharfinger::policy::{Bundle, archive};

use crate::common::{
    bundles::{Bundles, document},
    consul::{Consul, Options},
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    image_registry::ImageRegistry,
    looker::{address, get, start},
    wait::until,
};

const SOON: Duration = Duration::from_secs(120);
const KEY: &str = "wharfinger/prod";
const TOKEN: &str = "correct-horse-battery-staple";

/// A fleet on one agent, in which each host has containers and a store of its own.
struct Fleet {
    consul: Consul,
    bundles: Bundles,
    hosts: Vec<Host>,
}

struct Host {
    name: &'static str,
    folder: PathBuf,
    daemon: Daemon,
    _docker: FakeDocker,
}

impl Fleet {
    async fn new() -> Self {
        let consul = Consul::start(Options::default()).await;
        Self { consul, bundles: Bundles::new(), hosts: Vec::new() }
    }

    /// A host with so many containers that have an owner, of which the first few are approved, too. Without a
    /// source it takes no policy.
    fn host(&mut self, name: &'static str, source: &str, more: &str, [all, approved]: [usize; 2]) {
        let docker = FakeDocker::start(Activity::default());
        docker.identify(name);
        for n in 0..all {
            let labels = [("owner", "ann"), ("approved", "yes")];
            let labels = &labels[..if n < approved { 2 } else { 1 }];
            start(&docker, &format!("c{n}"), n + 1, labels);
        }
        let folder = self.bundles.at(name);
        fs::create_dir(&folder).expect("a folder");
        let policy = format!(
            "[policy]\nsource = {source:?}\nstore = 'store'\npoll = '1s'\nplain-http = {}\n\
             [policy.trust]\nkeys = [{{ name = 'ops', file = {:?} }}]\n",
            source.starts_with("oci://"),
            self.bundles.at("ops.pub")
        );
        let own = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n".to_string();
        let policy = if source.is_empty() { own } else { policy };
        let text = format!("[fleet]\nregister = true\n{more}\n{policy}");
        let file = folder.join("wharfinger.toml").display().to_string();
        fs::write(&file, text).expect("it is written");
        let uri = format!("consul://{}", self.consul.addr());
        let args = ["run", "-ip", "192.0.2.10", "--hostname", name, "--config", &file, &uri];
        let cache = self.bundles.at("cache").display().to_string();
        let env = [("DOCKER_HOST", docker.host()), ("WHARFINGER_CACHE_DIR", cache)];
        let env = env.each_ref().map(|(key, value)| (*key, value.as_str()));
        let daemon = Daemon::start(&args, &env);
        self.hosts.push(Host { name, folder, daemon, _docker: docker });
    }

    /// Put a bundle where a rollout's start puts it.
    async fn put(&self, key: &str, bundle: &Bundle) -> String {
        let key = format!("{key}/bundles/{}", bundle.digest.hex());
        let url = format!("http://{}/v1/kv/{key}", self.consul.addr());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let put = client.put(url).body(archive::write(bundle)).send().await.expect("answered");
        assert!(put.status().is_success(), "{}", put.status());
        format!("consul-kv://{key}")
    }

    async fn say(&self, key: &str, bundle: &Bundle, from: &str) {
        let document = json!({
            "version": 1,
            "bundle": { "digest": bundle.digest, "from": from },
            "rollout": {
                "id": bundle.digest, "waves": "100%", "pause": "0s", "halt-when": "refused > 100",
                "state": "running", "started": "2026-01-01T00:00:00Z", "by": "ann",
            },
        });
        self.consul.put(&format!("/v1/kv/{key}"), &document).await;
    }

    /// So many services have this tag, and no other.
    async fn tagged(&self, tag: &str, count: usize) -> Result<(), String> {
        let all = self.consul.services().await;
        let all: Vec<_> =
            all.values().filter(|one| one["Meta"]["wharfinger-host"].is_string()).collect();
        let right = all.iter().filter(|one| one["Tags"] == json!([tag])).count();
        match right == count && all.len() == count {
            true => Ok(()),
            false => Err(format!("{right} of {}", all.len())),
        }
    }

    /// What the command says of a bundle, and its exit code.
    fn diff(&self, bundle: &str, further: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(Daemon::binary())
            .args([&["fleet", "diff", bundle], further].concat())
            .env("CONSUL_HTTP_ADDR", self.consul.addr())
            .env("COLUMNS", "300")
            .output()
            .expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    }

    fn told(&self, bundle: &str, further: &[&str]) -> (Option<i32>, Value) {
        let (code, text) = self.diff(bundle, &[&["--json"], further].concat());
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// What `fleet status` says.
    fn status(&self) -> Value {
        let output = Command::new(Daemon::binary())
            .args(["fleet", "status", "--json"])
            .env("CONSUL_HTTP_ADDR", self.consul.addr())
            .output()
            .expect("the program runs");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Nothing of a bundle is left on a host.
    fn none_keeps(&self, bundle: &Bundle) {
        for host in &self.hosts {
            let names = fs::read_dir(host.folder.join("store")).expect("a store");
            let names = names.map(|one| one.expect("an entry").file_name().into_string());
            let names: Vec<_> = names.map(|name| name.expect("text")).collect();
            let ours = |name: &String| {
                name.contains(&bundle.digest.hex()) || name.starts_with(".forecast")
            };
            assert!(!names.iter().any(ours), "{}: {names:?}", host.name);
        }
    }
}

fn of<'a>(told: &'a Value, host: &str) -> &'a Value {
    let mut hosts = told["hosts"].as_array().into_iter().flatten();
    hosts.find(|one| one["host"] == host).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_that_listens_tells_what_a_policy_would_change() {
    let mut fleet = Fleet::new().await;
    let listens = "[listen]\naddress = '127.0.0.1:0'\n";
    let source = format!("consul-kv://{KEY}");
    let token = fleet.bundles.at("token");
    fs::write(&token, TOKEN).expect("it is written");
    let guarded = format!("{listens}token-file = {:?}\n", token.display().to_string());
    fleet.host("calm", &source, listens, [4, 4]);
    fleet.host("few", &source, listens, [4, 3]);
    fleet.host("harsh", &source, listens, [4, 0]);
    fleet.host("deaf", &source, "", [1, 1]);
    fleet.host("guarded", &source, &guarded, [1, 1]);
    let one = fleet.bundles.version(1);
    let from = fleet.put(KEY, &one).await;
    fleet.say(KEY, &one, &from).await;
    until(SOON, "all have the first one", async || fleet.tagged("v1", 14).await).await;
    let strict = document("tag = 'v2', owner-label = 'approved'");
    let two = fleet.bundles.make("prod", 2, &strict, Some("ops"));
    let unsigned = fleet.bundles.make("prod", 2, &strict, None);
    let old = fleet.bundles.make("prod", 1, &strict, Some("ops"));
    let file = fleet.bundles.at("two.bundle");
    fs::write(&file, archive::write(&two)).expect("it is written");
    let file = file.display().to_string();

    // Nobody has it yet, and each host says how it comes there.
    let (code, told) = until(SOON, "all hosts are listed with their listeners", async || {
        let (code, told) = fleet.told(&file, &[]);
        let listed = ["calm", "few", "harsh"].iter().all(|host| {
            let hosts = told["hosts"].as_array().into_iter().flatten();
            let mut words = hosts.filter(|one| one["host"] == *host).map(|one| &one["unasked"]);
            words.any(|words| words.as_str().is_some_and(|words| words.contains("404")))
        });
        if listed { Ok((code, told)) } else { Err(told.to_string()) }
    })
    .await;
    assert_eq!(code, Some(2));
    let words = of(&told, "calm")["unasked"].as_str().expect("words").to_string();
    let put = format!("consul kv put {KEY}/bundles/{} @FILE", two.digest.hex());
    for part in ["neither in this host's store nor at its policy's source", &source, &put] {
        assert!(words.contains(part), "{part}: {words}");
    }

    fleet.put(KEY, &two).await;
    let (code, told) = fleet.told(&file, &[]);
    assert_eq!(code, Some(2), "{told}");
    let counts = |host: &str| {
        let changes = &of(&told, host)["forecast"]["changes"];
        ["registered", "changed", "deregistered"].map(|key| changes[key].as_u64())
    };
    assert_eq!(counts("calm"), [Some(0), Some(4), Some(0)], "{told}");
    assert_eq!(counts("few"), [Some(0), Some(3), Some(1)], "{told}");
    assert_eq!(of(&told, "few")["forecast"]["changes"]["vetoed"], json!({"convention": 1}));
    assert_eq!(of(&told, "calm")["forecast"]["in-force"], json!(one.digest));
    let harsh = &of(&told, "harsh")["forecast"];
    assert!(harsh["refused"].as_str().is_some_and(|why| why.contains("guard.share")), "{harsh}");
    assert_eq!(harsh["held"]["services"].as_array().map(Vec::len), Some(4), "{harsh}");
    assert_eq!(of(&told, "deaf")["unasked"], "its daemon does not listen");
    let words = of(&told, "guarded")["unasked"].as_str().expect("words");
    assert!(words.contains("401"), "{words}");
    let total = &told["total"];
    let keys = ["hosts", "take", "refuse", "held", "unasked", "changed", "deregistered"];
    let total = keys.map(|key| total[key].as_u64().unwrap_or(99));
    assert_eq!(total, [5, 2, 1, 1, 2, 7, 5], "{told}");

    // The same by its digest, with the token, for people.
    let further = ["--token-file", &token.display().to_string()];
    let (code, text) = fleet.diff(&two.digest.to_string(), &further);
    assert_eq!(code, Some(2), "{text}");
    for part in [
        "3 of 5 hosts would take it, 1 would refuse it",
        "8 services changed",
        "5 services vetoed by convention",
        "harsh  has sha256:",
        "would refuse it: the bulk guard would hold it",
        "few:c3:80 is vetoed by convention",
        "deaf is not known: its daemon does not listen",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    fs::write(&token, "a-wrong-token-of-some-length").expect("it is written");
    let (_, told) = fleet.told(&two.digest.to_string(), &further);
    assert!(of(&told, "guarded")["unasked"].to_string().contains("401"), "{told}");

    // What would be refused for what it is changes nothing anywhere.
    for (bundle, part) in [(&unsigned, "is not signed"), (&old, "its sequence 1 is that of")] {
        fleet.consul.send(reqwest::Method::DELETE, &kv(&two), &Value::Null).await.expect("gone");
        fleet.put(KEY, bundle).await;
        // The last forecast is told again for a moment.
        until(SOON, format!("all refuse it: {part}"), async || {
            let (_, told) = fleet.told(&bundle.digest.to_string(), &[]);
            let refuses = |host: &&str| {
                let forecast = &of(&told, host)["forecast"];
                forecast["refused"].to_string().contains(part) && forecast["changes"].is_null()
            };
            match ["calm", "few", "harsh"].iter().all(refuses) {
                true => Ok(()),
                false => Err(told.to_string()),
            }
        })
        .await;
    }

    // Whatever is no digest makes a host fetch from nowhere.
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("it does not wait");
    let at = trap.local_addr().expect("an address");
    let calm = address(&fleet.hosts[0].daemon).await;
    for query in [
        format!("bundle=oci://{at}/prod:1"),
        format!("bundle=oci://{at}/prod@{}", two.digest),
        format!("bundle=http://{at}/prod.bundle"),
        format!("bundle={}&from=oci://{at}/prod:1", two.digest),
        "bundle=consul-kv://wharfinger/prod".into(),
        "bundle=file:///etc/passwd".into(),
        String::new(),
    ] {
        let seen = get(calm, &format!("/api/v1/policy/forecast?{query}")).await;
        assert_eq!(seen.status, 400, "{query}: {seen:?}");
    }
    assert!(trap.accept().is_err(), "somebody was asked");
    let (code, text) = fleet.diff("nonsense", &[]);
    assert!(code == Some(1) && text.contains("neither a digest nor a bundle's file"), "{text}");

    // Nothing was put into force by all that.
    fleet.tagged("v1", 14).await.expect("all is as it was");
    for bundle in [&two, &unsigned, &old] {
        fleet.none_keeps(bundle);
    }
}

fn kv(bundle: &Bundle) -> String {
    format!("/v1/kv/{KEY}/bundles/{}", bundle.digest.hex())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_finds_a_bundle_in_its_own_repository_file_or_store() {
    let mut fleet = Fleet::new().await;
    let registry = ImageRegistry::open();
    let place = format!("oci://{}/policies/prod", registry.address());
    let [one, two] = [1, 2].map(|n| fleet.bundles.version(n));
    let file = fleet.bundles.at("pushed.bundle");
    let push = |bundle: &Bundle, tag: &str| {
        fs::write(&file, archive::write(bundle)).expect("it is written");
        let words = ["policy", "push", &file.display().to_string(), &format!("{place}:{tag}")];
        let mut program = Command::new(Daemon::binary());
        let pushed = program.args(words).arg("--plain-http").output().expect("it runs");
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    };
    push(&one, "stable");
    fleet.bundles.offer_bundle(&one);
    let listens = "[listen]\naddress = '127.0.0.1:0'\n";
    let of_file = format!("file://{}", fleet.bundles.at("prod.bundle").display());
    fleet.host("images", &format!("{place}:stable"), listens, [2, 2]);
    fleet.host("file", &of_file, listens, [2, 2]);
    until(SOON, "both have the first one", async || fleet.tagged("v1", 4).await).await;
    let digest = two.digest.to_string();
    let unknown = |told: &Value, host: &str| of(told, host)["unasked"].as_str().map(String::from);
    let told = until(SOON, "both answer that they have it not", async || {
        let (_, told) = fleet.told(&digest, &[]);
        let hosts = ["images", "file"];
        let both = hosts.iter().all(|host| {
            unknown(&told, host).is_some_and(|words| words.contains("neither in this host's store"))
        });
        if both { Ok(told) } else { Err(told.to_string()) }
    })
    .await;
    let words = unknown(&told, "images").expect("words");
    assert!(words.contains(&format!("wharfinger policy push FILE {place}:TAG")), "{words}");

    // Beside what its tag names, in the same repository.
    push(&two, "next");
    let (_, told) = fleet.told(&digest, &[]);
    assert_eq!(of(&told, "images")["forecast"]["changes"]["changed"], 2, "{told}");
    assert!(unknown(&told, "file").is_some(), "{told}");
    // What is in force is in the store, and changes nothing.
    let (code, told) = fleet.told(&one.digest.to_string(), &[]);
    assert_eq!(code, Some(0), "{told}");
    let all =
        ["images", "file"].map(|host| of(&told, host)["forecast"]["changes"]["changed"].clone());
    assert_eq!(all, [json!(0), json!(0)], "{told}");
    fleet.tagged("v1", 4).await.expect("all is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_other_policies_are_named_and_others_are_judged_by_what_they_have() {
    let mut fleet = Fleet::new().await;
    let listens = "[listen]\naddress = '127.0.0.1:0'\n";
    let policy = |name: &str, number: u64| {
        let settings = format!("tag = 'v{number}', owner-label = 'owner'");
        fleet.bundles.make(name, number, &document(&settings), Some("ops"))
    };
    let [one, two, three] = [1, 2, 3].map(|number| policy("prod", number));
    let lab = policy("lab", 7);
    for (key, bundle) in
        [("wharfinger/slow", &one), ("wharfinger/quick", &two), ("wharfinger/lab", &lab)]
    {
        let from = fleet.put(key, bundle).await;
        fleet.say(key, bundle, &from).await;
        for next in [&one, &two, &three] {
            fleet.put(key, next).await;
        }
    }
    for (host, key) in [("slow", "slow"), ("quick", "quick"), ("lab", "lab")] {
        fleet.host(host, &format!("consul-kv://wharfinger/{key}"), listens, [2, 2]);
    }
    fleet.host("mere", "", listens, [1, 1]);
    fleet.host("silent", "", "", [1, 1]);
    let in_force = async || {
        let hosts = fleet.status();
        let has = |host: &str, bundle: &Bundle| of(&hosts, host)["bundle"] == json!(bundle.digest);
        let all = has("slow", &one) && has("quick", &two) && has("lab", &lab);
        let listen = ["slow", "quick", "lab", "mere"];
        let listen = listen.iter().all(|host| of(&hosts, host)["listens"].is_string());
        if all && listen { Ok(hosts) } else { Err(hosts.to_string()) }
    };
    let hosts = until(SOON, "each has its own", in_force).await;
    let told = |host: &str, key: &str| of(&hosts, host)[key].clone();
    assert_eq!(told("lab", "source"), "consul-kv://wharfinger/lab");
    assert_eq!(told("lab", "policy"), "lab");
    assert_eq!((told("mere", "source"), told("mere", "bundle")), (Value::Null, Value::Null));

    // By its file and by its digest alone.
    let file = fleet.bundles.at("three.bundle");
    fs::write(&file, archive::write(&three)).expect("it is written");
    for named in [file.display().to_string(), three.digest.to_string()] {
        let (code, told) = fleet.told(&named, &[]);
        assert_eq!(code, Some(0), "{told}");
        for (host, has) in [("slow", &one), ("quick", &two)] {
            let forecast = &of(&told, host)["forecast"];
            assert_eq!(forecast["in-force"], json!(has.digest), "{told}");
            assert_eq!(forecast["changes"]["changed"], 2, "{told}");
        }
        for (host, words) in [
            ("lab", "it has the policy lab"),
            ("mere", "it takes no policy"),
            ("silent", "it takes no policy"),
        ] {
            let one = of(&told, host);
            assert_eq!(one["elsewhere"], words, "{told}");
            assert_eq!((&one["forecast"], &one["unasked"]), (&Value::Null, &Value::Null), "{told}");
        }
        let keys = ["hosts", "take", "refuse", "elsewhere", "unasked", "changed"];
        assert_eq!(keys.map(|key| told["total"][key].as_u64()), [5, 2, 0, 3, 0, 4].map(Some));
    }
    let (code, text) = fleet.diff(&three.digest.to_string(), &[]);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "2 of 5 hosts would take it, 3 do not follow this policy",
        "lab does not follow this policy: it has the policy lab",
        "mere does not follow this policy: it takes no policy",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // What is in force on one is old to another, and new to a third.
    let (code, told) = fleet.told(&one.digest.to_string(), &[]);
    assert_eq!(code, Some(2), "{told}");
    assert_eq!(of(&told, "slow")["forecast"]["changes"]["changed"], 0, "{told}");
    let refused = of(&told, "quick")["forecast"]["refused"].to_string();
    assert!(refused.contains("its sequence 1 is older than 2"), "{told}");
    // And of the other policy, the two are elsewhere.
    let (code, told) = fleet.told(&lab.digest.to_string(), &[]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(of(&told, "quick")["elsewhere"], "it has the policy prod", "{told}");
    assert_eq!(of(&told, "lab")["forecast"]["changes"]["changed"], 0, "{told}");
    until(SOON, "all is as it was", in_force).await;
}
