//! A host whose policy is in a registry of images: with TLS by an authority of its own, with and
//! without a login, and when the registry is gone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use wharfinger::policy::{
    Bundle,
    oci::{self, Options, Reference},
};

use super::*;
use crate::common::image_registry::{ImageRegistry, PASSWORD, USER};

/// How a host and an operator reach a registry: keys of `[policy]`, and options.
struct Reach {
    keys: String,
    options: Options,
}

impl Reach {
    fn of(registry: &ImageRegistry, bundles: &Bundles, tls: bool, login: bool) -> Self {
        let (mut keys, mut options) = (String::new(), Options::default());
        if tls {
            // Beside the host's file, by a name that is relative to it.
            fs::copy(registry.authority(), bundles.at("ca.pem")).expect("copied");
            keys += "ca-file = 'ca.pem'\n";
            options.ca_file = Some(bundles.at("ca.pem"));
        } else {
            keys += "plain-http = true\n";
            options.plain_http = true;
        }
        if login {
            let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
            let logins = json!({"auths": { registry.address(): { "auth": auth } }});
            fs::write(bundles.at("logins.json"), logins.to_string()).expect("written");
            keys += "login-file = 'logins.json'\n";
            options.login_file = Some(bundles.at("logins.json"));
        }
        Self { keys, options }
    }
}

async fn push(bundle: &Bundle, place: &str, options: &Options) {
    let place: Reference = place.parse().expect("a place");
    oci::push(bundle, &place, options).await.expect("pushed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_comes_from_a_registry_and_stays_when_that_is_gone() {
    for (registry, tls, login) in [
        (ImageRegistry::open(), false, false),
        (ImageRegistry::secure(), true, false),
        (ImageRegistry::closed(), true, true),
    ] {
        let host = Host::new().await;
        let bundles = &host.bundles;
        let reach = Reach::of(&registry, bundles, tls, login);
        let place = format!("oci://{}/policies/prod:live", registry.address());
        let file = bundles.host(&place, "", &reach.keys);
        // Nothing is there yet.
        let mut daemon = host.daemon(&file, &[], &[]);
        daemon.wait_for_log("there is none", SOON).await;
        push(&bundles.version(7), &place, &reach.options).await;
        host.tagged(&["v7"]).await;
        daemon.wait_for_log("source answers again", SOON).await;

        // What is in force is asked for by its manifest alone.
        let before = registry.asked().len();
        let asked = until(SOON, "several looks", async || {
            let asked = registry.asked().split_off(before);
            if asked.len() >= 8 { Ok(asked) } else { Err(format!("{asked:?}")) }
        })
        .await;
        let look = |line: &String| line.starts_with("GET") && line.contains("/manifests/live");
        assert!(asked.iter().all(look), "{asked:#?}");

        push(&bundles.version(8), &place, &reach.options).await;
        host.tagged(&["v8"]).await;
        daemon.kill9();
        drop(registry);
        let mut daemon = host.daemon(&file, &[], &[]);
        daemon.wait_for_log("the policy prod 8 is in force", SOON).await;
        daemon.wait_for_log("the policy's source cannot be read", SOON).await;
        host.stays(&["v8"]).await;
        assert!(!daemon.log().contains("containers keep what they have"), "{}", daemon.log());
        assert!(daemon.terminate().await.success());
        host.was_vetoed_for_ever();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_ask_keeps_what_is_in_force_and_is_told_why() {
    let registry = ImageRegistry::closed();
    let host = Host::new().await;
    let bundles = &host.bundles;
    let reach = Reach::of(&registry, bundles, true, true);
    let place = format!("oci://{}/prod:live", registry.address());
    push(&bundles.version(7), &place, &reach.options).await;
    let file = bundles.host(&place, "", &reach.keys);
    let mut daemon = host.daemon(&file, &[], &[]);
    host.tagged(&["v7"]).await;
    assert!(daemon.terminate().await.success());
    for (key, words) in [
        ("login-file = 'logins.json'\n", "the registry wants one"),
        ("ca-file = 'ca.pem'\n", "certificate"),
    ] {
        bundles.host(&place, "", &reach.keys.replace(key, ""));
        let mut daemon = host.daemon(&file, &[], &[]);
        let line = daemon.wait_for_log("the policy's source cannot be read", SOON).await;
        assert!(line.to_lowercase().contains(words) && !line.contains(PASSWORD), "{line}");
        host.stays(&["v7"]).await;
        assert!(daemon.terminate().await.success());
    }
    // What cannot be meant is said at the start, and by `check`.
    fs::write(bundles.at("empty.pem"), "").expect("written");
    fs::write(bundles.at("bad.json"), "{").expect("written");
    for (keys, words) in [
        ("ca-file = 'none.pem'", "none.pem"),
        ("ca-file = 'empty.pem'", "empty.pem"),
        ("login-file = 'none.json'", "none.json"),
        ("login-file = 'bad.json'", "bad.json"),
    ] {
        bundles.host(&place, "", keys);
        for command in ["check", "run"] {
            let uri = host.consul.uri();
            let more: &[&str] = if command == "run" { &[&uri] } else { &[] };
            let (code, said) = run(&[&[command, "--config", &file], more].concat(), &[]);
            assert_eq!(code, Some(78), "{command} {keys}: {said}");
            assert!(said.contains(words), "{command} {keys}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_looks_at_once_wherever_the_policy_is() {
    let registry = ImageRegistry::open();
    let place = format!("oci://{}/prod:live", registry.address());
    let options = Options { plain_http: true, ..Options::default() };
    for of_registry in [true, false] {
        let host = Host::new().await;
        let bundles = &host.bundles;
        let offer = async |bundle: Bundle| match of_registry {
            true => push(&bundle, &place, &options).await,
            false => bundles.offer_bundle(&bundle),
        };
        offer(bundles.version(7)).await;
        let file = match of_registry {
            true => bundles.host(&place, "", "plain-http = true"),
            false => bundles.host_of_file("", ""),
        };
        let text = fs::read_to_string(&file).expect("the file");
        bundles.write(&text.replace("poll = '1s'", "poll = '1d'"));
        let mut daemon = host.daemon(&file, &[], &[]);
        host.tagged(&["v7"]).await;
        offer(bundles.version(8)).await;
        host.stays(&["v7"]).await;
        daemon.signal("HUP");
        host.tagged(&["v8"]).await;
        daemon.wait_for_log("SIGHUP: the policy's source is looked at", SOON).await;
        assert!(daemon.terminate().await.success());
    }
}
