//! Guarantee: a host takes the policy that its source offers if it is right in every way, keeps
//! what it has otherwise, and nothing that a host says drops or weakens a stage of it.

mod layers;
mod registry;
mod start;

use std::{collections::BTreeMap, fs, process::Command, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use wharfinger::policy::archive;

use crate::common::{
    bundles::{Bundles, document, replace},
    corpus,
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    plugin,
    recording_consul::RecordingConsul,
    wait::{holds, until},
};

const SOON: Duration = Duration::from_secs(90);
/// Services of containers with an owner.
const COUNT: usize = 6;

/// A host with containers that have an owner, and one that has none, which the policy vetoes.
struct Host {
    bundles: Bundles,
    docker: FakeDocker,
    consul: Arc<RecordingConsul>,
}

impl Host {
    async fn new() -> Self {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = Arc::new(RecordingConsul::start(activity, Vec::new()).await);
        let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
        let base = case.expect("the case is part of the corpus").inspected().remove(0);
        for n in 0..=COUNT {
            let (mut one, name) = (base.clone(), format!("c{n}"));
            one["Id"] = json!(format!("{n:064}"));
            one["Name"] = json!(format!("/{name}"));
            let owner = if n == COUNT { json!({}) } else { json!({"owner": "ann"}) };
            one["Config"]["Labels"] = owner;
            docker.set(&name, Some(one));
        }
        Self { bundles: Bundles::new(), docker, consul }
    }

    fn daemon(&self, file: &str, flags: &[&str], env: &[(&str, &str)]) -> Daemon {
        let uri = self.consul.uri();
        let args = ["run", "--config", file, "--ip", "192.0.2.10", "--hostname", "testhost"];
        let docker = self.docker.host();
        let cache = self.bundles.at("cache").display().to_string();
        let own = [("DOCKER_HOST", docker.as_str()), ("WHARFINGER_CACHE_DIR", cache.as_str())];
        Daemon::start(&[&args[..], flags, &[&uri]].concat(), &[&own[..], env].concat())
    }

    /// What is registered for containers: the daemon registers itself, too.
    fn services(&self) -> BTreeMap<String, Value> {
        let mut services = self.consul.services();
        services.remove("wharfinger-testhost");
        services
    }

    /// The tag of every service, if exactly those are there that have an owner.
    fn tags(&self) -> Result<Value, String> {
        let services = self.services();
        let ids: Vec<_> = services.keys().cloned().collect();
        let wanted: Vec<_> = (0..COUNT).map(|n| format!("testhost:c{n}:80")).collect();
        if ids != wanted {
            return Err(format!("{ids:?}"));
        }
        let mut tags = services.values().map(|service| service["Tags"].clone());
        let first = tags.next().unwrap_or_default();
        match tags.all(|tag| tag == first) {
            true => Ok(first),
            false => Err("they have different tags".into()),
        }
    }

    async fn tagged(&self, tags: &[&str]) {
        until(
            SOON,
            format!("all have the tags {tags:?} and the vetoed one is not there"),
            async || match self.tags()? {
                found if found == json!(tags) => Ok(()),
                found => Err(format!("{found}")),
            },
        )
        .await;
    }

    /// Nothing is changed for a while.
    async fn stays(&self, tags: &[&str]) {
        holds(Duration::from_secs(2), "what is in force stays", async || match self.tags()? {
            found if found == json!(tags) => Ok(()),
            found => Err(format!("{found}")),
        })
        .await;
    }

    /// Whether the vetoed one was ever registered.
    fn was_vetoed_for_ever(&self) {
        let vetoed = format!("testhost:c{COUNT}:80");
        let writes = self.consul.writes(0);
        let found: Vec<_> = writes
            .iter()
            .filter(|write| write.to_string() == format!("register {vetoed}"))
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// What `wharfinger` prints and its exit code.
fn run(words: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(Daemon::binary()).args(words).envs(env.iter().copied()).output();
    let output = output.expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn status(daemon: &Daemon, more: &[&str]) -> (Option<i32>, String) {
    let socket = daemon.dir().join("control.sock").display().to_string();
    run(&[&["status", "--control", &socket], more].concat(), &[])
}

/// An archive with one entry that has a name and says a size.
fn tar(name: &str, size: u64, bytes: &[u8]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    // As the writer would refuse it.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_cksum();
    tar.append(&header, bytes).expect("appended");
    tar.into_inner().expect("whole")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_taken_over_and_each_bad_one_is_refused_by_name() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    let mut odd = host.docker.inspected("c3").expect("it is there");
    odd["Config"]["Labels"]["hostile"] = json!("trap");
    host.docker.set("c3", Some(odd));
    bundles.offer_bundle(&bundles.version(7));
    let keys = "[policy.trust]\nkeys = [{ name = 'ops', file = 'ops.pub' }, { name = 'old', file = \
                'stranger.pub', until = '2020-01-01T00:00:00Z' }]\n";
    let source = bundles.at("prod.bundle").display().to_string();
    let text =
        format!("[policy]\nsource = 'file://{source}'\nstore = 'store'\npoll = '1s'\n{keys}");
    bundles.write(&text);
    let file = bundles.at("wharfinger.toml").display().to_string();
    let mut daemon = host.daemon(&file, &[], &[]);
    daemon.wait_for_log("the policy prod 7 is in force", SOON).await;
    host.tagged(&["v7"]).await;

    let whole = archive::write(&bundles.version(8));
    let middle = whole.len() / 2;
    let mut bit = whole.clone();
    bit[middle] ^= 1;
    let of = |sequence, settings: &str, key| {
        archive::write(&bundles.make("prod", sequence, &document(settings), key))
    };
    let mut transplanted = bundles.make("prod", 8, &document("tag = 'v8'"), None);
    transplanted.signatures = bundles.version(7).signatures;
    let hostile = format!(
        "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'hostile'\nfile = {:?}\n",
        plugin("hostile")
    );
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("unsigned", of(8, "tag = 'v8'", None), "it is not signed"),
        ("an ended key", of(8, "tag = 'v8'", Some("stranger")), "ended at 2020-01-01"),
        ("another bundle's signature", archive::write(&transplanted), "is not this bundle"),
        ("one bit", bit, "is damaged"),
        ("cut short", whole[..middle].to_vec(), "cut short"),
        ("a giant", tar(&format!("blobs/sha256/{}", "0".repeat(64)), 10 << 30, b""), "10737418240"),
        ("a way out", tar("../../etc/cron.d/x", 1, b"x"), "leads out of the archive"),
        ("no bundle", b"[[pipeline]]\n".repeat(100), "it is no bundle"),
        ("replayed", archive::write(&bundles.version(6)), "sequence 6 is older than 7"),
        ("of the same number", of(7, "tag = 'other'", Some("ops")), "sequence 7 is that of"),
        (
            "another policy",
            archive::write(&bundles.make("lab", 9, &document(""), Some("ops"))),
            "and this host has",
        ),
        ("a stage that does not load", of(8, "tagg = 'v8'", Some("ops")), "tagg"),
        (
            "one that fails here",
            archive::write(&bundles.make("prod", 8, &hostile, Some("ops"))),
            "fails on 1 of",
        ),
        ("one that takes all out", of(8, "owner-label = 'none'", Some("ops")), "bulk guard"),
    ];
    for (name, bytes, fault) in cases {
        let seen = daemon.lines();
        bundles.offer(&bytes);
        let line = daemon.wait_for_log_after(seen, "a policy is refused", SOON).await;
        assert!(line.contains(fault), "{name}: {line}");
        let (code, said) = status(&daemon, &[]);
        assert!(
            code == Some(2) && said.contains("prod 7") && said.contains(fault),
            "{name}: {said}"
        );
        host.stays(&["v7"]).await;
    }
    host.was_vetoed_for_ever();
    let (_, said) = status(&daemon, &["--json"]);
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(shown["policy"]["in_force"]["sequence"], 7, "{shown:#}");
    assert!(shown["policy"]["refused"]["reason"].is_string(), "{shown:#}");

    // The next good one is taken over, and all is well again.
    bundles.offer(&whole);
    daemon.wait_for_log("the policy prod 8 is in force", SOON).await;
    host.tagged(&["v8"]).await;
    until(SOON, "nothing is to be mended", async || match status(&daemon, &[]) {
        (Some(0), _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let gone: Vec<_> = host
        .consul
        .writes(0)
        .iter()
        .map(ToString::to_string)
        .filter(|w| w.starts_with("dereg"))
        .collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert!(daemon.terminate().await.success());
}

/// Whoever can write to the disk exchanges what the store has, while it runs and while it does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_is_what_was_signed_whatever_the_files_are() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    bundles.offer_bundle(&bundles.version(7));
    // A stage of the host's own, which keeps everything as it is.
    let own = format!("[[pipeline]]\nname = 'own'\nfile = {:?}\n", plugin("hostile"));
    let file = bundles.host_of_file("", &own);
    let mut daemon = host.daemon(&file, &[], &[]);
    host.tagged(&["v7"]).await;
    let components = bundles.at("store/components");
    let exchange = || {
        let all = fs::read_dir(&components).expect("the components");
        let all: Vec<_> = all.map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        replace(&all[0], &fs::read(plugin("hostile")).expect("a plugin"));
        all[0].clone()
    };
    let signed = fs::read(plugin("convention")).expect("a plugin");
    let at = exchange();
    until(SOON, "what was signed is there again", async || {
        if fs::read(&at).is_ok_and(|bytes| bytes == signed) {
            Ok(())
        } else {
            Err("not yet".into())
        }
    })
    .await;
    host.stays(&["v7"]).await;
    assert!(daemon.terminate().await.success());

    let at = exchange();
    // Compiled code of another component in the place of this one's.
    let mut codes: Vec<_> = fs::read_dir(bundles.at("cache"))
        .expect("the cache")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "code"))
        .collect();
    codes.sort();
    assert_eq!(codes.len(), 2, "{codes:?}");
    let bytes: Vec<_> = codes.iter().map(|path| fs::read(path).expect("code")).collect();
    fs::write(&codes[0], &bytes[1]).expect("written");
    fs::write(&codes[1], &bytes[0]).expect("written");
    fs::remove_file(bundles.at("prod.bundle")).expect("removed");
    let mut daemon = host.daemon(&file, &[], &[]);
    daemon.wait_for_log("the policy prod 7 is in force", SOON).await;
    daemon.wait_for_log("Listening for Docker events", SOON).await;
    host.stays(&["v7"]).await;
    assert_eq!(fs::read(&at).expect("a component"), signed);
    host.was_vetoed_for_ever();
    assert!(daemon.terminate().await.success());
}
