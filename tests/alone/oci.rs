//! Guarantee: a policy and a component go to a registry of images and come back as they were, with
//! and without login and TLS, and other tools read and write the same.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    common::{
        image_registry::{ImageRegistry, PASSWORD, USER},
        plugin, tool,
    },
    policy::{Desk, P256},
};

/// A desk with a signed bundle, and what is said of it.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.key("ours", &P256);
    desk.build("b.tar", "1");
    desk.good(&["sign", "b.tar", "--key", "ours.key"]);
    let shown: Value =
        serde_json::from_str(&desk.good(&["show", "b.tar", "--json"])).expect("JSON");
    let digest = shown["digest"].as_str().expect("a digest").to_string();
    (desk, digest)
}

/// Run a tool that is not ours, which has to succeed.
fn other(desk: &Desk, name: &str, words: &[&str]) -> String {
    let output = Command::new(tool(name, "policy"))
        .args(words)
        .current_dir(desk.at(""))
        .env("HOME", desk.at(""))
        .env("COSIGN_PASSWORD", PASSWORD)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name} {words:?}: {text}");
    text
}

#[test]
fn a_policy_comes_back_as_it_went() {
    let (desk, digest) = desk();
    let registry = ImageRegistry::open();
    let place = format!("oci://{}/team/prod", registry.address());
    let tagged = format!("{place}:v1");
    let pushed = desk.good(&["push", "b.tar", &tagged, "--plain-http"]);
    let pinned = format!("{place}@{digest}");
    assert!(pushed.contains(&pinned), "{pushed}");
    for from in [&tagged, &pinned] {
        desk.good(&["pull", from, "--plain-http", "--output", "c.tar"]);
        let read = |name: &str| fs::read(desk.at(name)).expect("written");
        assert_eq!(read("b.tar"), read("c.tar"), "{from}");
    }
    // Another one signs what is there, and pushes what it has.
    desk.key("edwards", &["-algorithm", "ED25519"]);
    desk.build("d.tar", "1");
    desk.good(&["sign", "d.tar", "--key", "edwards.key"]);
    desk.good(&["push", "d.tar", &pinned, "--plain-http"]);
    desk.good(&["pull", &tagged, "--plain-http", "--output", "c.tar"]);
    for key in ["ours.pub", "edwards.pub"] {
        desk.good(&["verify", "c.tar", "--key", key]);
    }
    // A tag moves, and a digest stays.
    desk.build("next.tar", "2");
    desk.good(&["push", "next.tar", &tagged, "--plain-http"]);
    let said = desk.good(&["pull", &tagged, "--plain-http", "--output", "c.tar"]);
    assert!(said.contains("prod 2 ") && said.contains("0 signatures"), "{said}");
    let said = desk.good(&["pull", &pinned, "--plain-http", "--output", "c.tar"]);
    assert!(said.contains("prod 1 ") && said.contains("2 signatures"), "{said}");

    for (words, fault) in [
        (vec!["pull", &format!("{place}:none"), "--plain-http"], "there is none"),
        (vec!["pull", &tagged], "https://"),
        (vec!["push", "next.tar", &pinned, "--plain-http"], "is not that of what is pushed"),
        (vec!["push", "none.tar", &tagged, "--plain-http"], "none.tar"),
    ] {
        let output = ["--output", "x.tar"];
        let more: &[&str] = if words[0] == "pull" { &output } else { &[] };
        let (code, said) = desk.run(&[&words, more].concat());
        assert!(code == Some(1) && said.contains(fault), "{words:?}: {said}");
        assert!(!desk.at("x.tar").exists());
    }
    assert_eq!(desk.run(&["push", "b.tar", "127.0.0.1/prod"]).0, Some(64));
}

#[test]
fn a_login_and_tls_are_as_docker_has_them() {
    let (desk, _) = desk();
    let registry = ImageRegistry::closed();
    let place = format!("oci://{}/prod:v1", registry.address());
    let authority = registry.authority().display().to_string();
    let push = |more: &[&str]| desk.run(&[&["push", "b.tar", &place], more].concat());
    let with_ca = ["--ca-file", authority.as_str()];
    let (code, said) = push(&[]);
    assert!(code == Some(1) && said.contains("certificate"), "{said}");
    let (code, said) = push(&with_ca);
    assert!(code == Some(1) && said.contains("config.json has none"), "{said}");
    let (code, said) = push(&["--ca-file", "b.tar"]);
    assert!(code == Some(1) && said.contains("b.tar"), "{said}");

    let pair = |password: &str| json!({ "username": USER, "password": password });
    let config =
        |value: Value| fs::write(desk.at("config.json"), value.to_string()).expect("written");
    config(json!({ "auths": { (registry.address()): pair("wrong") } }));
    let (code, said) = push(&with_ca);
    assert!(code == Some(1) && said.contains("answers 401") && !said.contains("wrong"), "{said}");
    config(json!({ "auths": { (registry.address()): pair(PASSWORD) } }));
    let (code, said) = push(&with_ca);
    assert_eq!(code, Some(0), "{said}");

    // A helper of Docker's, which says what it was asked for.
    let helper = desk.at("docker-credential-of-tests");
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {}' ] || exit 1\n\
         echo '{{\"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'\n",
        registry.address()
    );
    fs::write(&helper, script).expect("written");
    let made = Command::new("chmod").arg("755").arg(&helper).status();
    assert!(made.is_ok_and(|status| status.success()));
    for store in [
        json!({ "credsStore": "of-tests" }),
        json!({ "credsStore": "none", "credHelpers": { (registry.address()): "of-tests" } }),
    ] {
        config(store.clone());
        let words = ["pull", &place, "--output", "c.tar", "--ca-file", &authority];
        let (code, said) = desk.run(&words);
        assert_eq!(code, Some(0), "{store}: {said}");
        desk.good(&["verify", "c.tar", "--key", "ours.pub"]);
        fs::remove_file(desk.at("c.tar")).expect("pulled");
    }
}

#[test]
fn a_component_goes_and_comes_as_others_have_it() {
    let (desk, _) = desk();
    let registry = ImageRegistry::open();
    let file = plugin("convention").display().to_string();
    let place = format!("oci://{}/plugins/convention:1", registry.address());
    let run = |words: &[&str]| desk.wharfinger(&[&["plugin", "--json"], words].concat());
    let (code, said) = run(&["push", &file, &place, "--plain-http"]);
    let pushed: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(0), "{said}");
    let pinned = pushed["pinned"].as_str().expect("a place").to_string();
    let (code, said) = run(&["pull", &pinned, "--plain-http", "--output", "c.wasm"]);
    let pulled: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &pulled["component"]), (Some(0), &pushed["component"]), "{said}");
    let sound = fs::read(&file).expect("built");
    assert_eq!(fs::read(desk.at("c.wasm")).expect("pulled"), sound);

    // What skopeo makes of it, and of what it copies.
    let (ours, theirs) =
        (place.replace("oci:", "docker:"), place.replace("oci:", "docker:") + "-copy");
    let raw = other(&desk, "skopeo", &["inspect", "--tls-verify=false", "--raw", &ours]);
    let manifest: Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    other(&desk, "skopeo", &["copy", "-q", "--src-tls-verify=false", &ours, "dir:copy"]);
    other(&desk, "skopeo", &["copy", "-q", "--dest-tls-verify=false", "dir:copy", &theirs]);
    let copied = theirs.replace("docker:", "oci:");
    let (code, said) = run(&["pull", &copied, "--plain-http", "--output", "d.wasm"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read(desk.at("d.wasm")).expect("pulled"), sound);

    // An error ends with the next step.
    let words = ["plugin", "pull", &place, "--output", "e.wasm"];
    let (code, said) = desk.wharfinger(&words);
    assert!(code == Some(1) && said.contains("next: ") && said.contains("--plain-http"), "{said}");

    // A policy is no plugin, and the other way round; what is no component is not pushed.
    let policy = format!("oci://{}/prod:1", registry.address());
    desk.good(&["push", "b.tar", &policy, "--plain-http"]);
    let (code, said) = run(&["pull", &policy, "--plain-http", "--output", "e.wasm"]);
    assert!(code == Some(1) && said.contains("a component is one layer"), "{said}");
    let (code, said) = desk.run(&["pull", &place, "--plain-http", "--output", "e.wasm"]);
    assert!(code == Some(1) && said.contains("a bundle is"), "{said}");
    let (code, said) = run(&["push", "b.tar", &place, "--plain-http"]);
    assert!(code == Some(1) && said.contains("b.tar"), "{said}");
}

#[test]
fn skopeo_copies_a_policy_from_file_to_registry_and_back() {
    let (desk, digest) = desk();
    let registry = ImageRegistry::open();
    let at = |name: &str| format!("docker://{}/{name}", registry.address());
    let copy = |from: &str, to: &str| {
        let words = ["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to];
        other(&desk, "skopeo", &words)
    };
    copy("oci-archive:b.tar:prod", &at("theirs:1"));
    let place = format!("oci://{}/theirs:1", registry.address());
    let said = desk.good(&["pull", &place, "--plain-http", "--output", "c.tar"]);
    assert!(said.contains(&digest), "{said}");

    let place = format!("oci://{}/ours:1", registry.address());
    desk.good(&["push", "b.tar", &place, "--plain-http"]);
    copy(&at("ours:1"), "oci-archive:d.tar:prod");
    let shown: Value =
        serde_json::from_str(&desk.good(&["show", "d.tar", "--json"])).expect("JSON");
    assert_eq!(shown["digest"], digest);
}

/// Both places of signatures, both tools, in both orders, with either's keys.
#[test]
fn cosign_and_wharfinger_read_each_others_signatures() {
    let (desk, digest) = desk();
    let registry = ImageRegistry::open();
    let place = format!("oci://{}/prod:1", registry.address());
    let image = format!("{}/prod@{digest}", registry.address());
    let cosign = |words: &[&str]| {
        other(&desk, "cosign", &[words, &["--allow-http-registry", &image]].concat())
    };
    let verified = |key: &str, more: &[&str]| {
        let words = ["verify", "--key", key, "--insecure-ignore-tlog"];
        let said = cosign(&[&words, more].concat());
        assert!(said.contains(&digest), "{said}");
    };
    desk.good(&["push", "b.tar", &place, "--plain-http"]);
    verified("ours.pub", &[]);
    verified("ours.pub", &["--experimental-oci11"]);

    other(&desk, "cosign", &["generate-key-pair"]);
    cosign(&["sign", "--key", "cosign.key", "--tlog-upload=false", "-y"]);
    desk.good(&["pull", &place, "--plain-http", "--output", "c.tar"]);
    for key in ["ours.pub", "cosign.pub"] {
        desk.good(&["verify", "c.tar", "--key", key]);
        verified(key, &[]);
    }
    // cosign's own key, sealed by a password, signs here, too.
    desk.build("own.tar", "2");
    let sign = ["policy", "sign", "own.tar", "--key", "cosign.key"];
    for (password, fault) in
        [(None, "COSIGN_PASSWORD has to say"), (Some("wrong"), "does not open it")]
    {
        let (code, said) = desk.with("COSIGN_PASSWORD", password, &sign);
        assert!(code == Some(1) && said.contains("cosign.key") && said.contains(fault), "{said}");
    }
    let (code, said) = desk.with("COSIGN_PASSWORD", Some(PASSWORD), &sign);
    assert_eq!(code, Some(0), "{said}");
    desk.good(&["verify", "own.tar", "--key", "cosign.pub"]);
    // Another signature of ours loses none of theirs.
    desk.key("edwards", &["-algorithm", "ED25519"]);
    desk.good(&["sign", "b.tar", "--key", "edwards.key"]);
    desk.good(&["push", "b.tar", &place, "--plain-http"]);
    for key in ["ours.pub", "cosign.pub", "edwards.pub"] {
        verified(key, &[]);
    }
}

/// A stage as a policy writes it.
fn stage(rest: &str) -> String {
    format!("[[pipeline]]\nname = 'naming'\nsettings = {{ owner-label = 'team' }}\n{rest}\n")
}

#[test]
fn a_component_is_fetched_once_and_pinned() {
    let desk = Desk::new();
    let registry = ImageRegistry::secure();
    let authority = registry.authority().display().to_string();
    let place = format!("oci://{}/plugins/naming", registry.address());
    let push = |name: &str, tag: &str| {
        let (file, to) = (plugin(name).display().to_string(), format!("{place}:{tag}"));
        let words = ["plugin", "--json", "push", &file, &to, "--ca-file", &authority];
        let (code, said) = desk.wharfinger(&words);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str::<Value>(&said).expect("JSON")
    };
    let build = |text: &str, more: &[&str]| {
        fs::write(desk.at("p.toml"), text).expect("written");
        let words = ["build", "p.toml", "--output", "p.tar", "--ca-file", &authority];
        desk.run(&[&words, more].concat())
    };
    let component = || {
        let shown = desk.good(&["show", "p.tar", "--json"]);
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        shown["components"][0]["digest"].clone()
    };
    let pushed = push("convention", "1");
    let tagged = stage(&format!("file = '{place}:1'"));

    // A tag has to be pinned, is asked once, and stays what it was.
    let (code, said) = build(&tagged, &["--locked"]);
    assert!(
        code == Some(78) && said.contains("is not pinned") && said.contains("naming"),
        "{said}"
    );
    let (code, said) = build(&tagged, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(component(), pushed["component"]);
    let lock = fs::read_to_string(desk.at("wharfinger.lock")).expect("a lock file");
    let (at, manifest) = (format!("\"{place}:1\""), pushed["pinned"].as_str().expect("a place"));
    let manifest = manifest.split_once('@').expect("by digest").1;
    assert!(lock.contains(&format!("{at} = \"{manifest}\"")), "{lock}");
    let next = push("dns_safe", "1");
    let plain = tagged.replace("settings = { owner-label = 'team' }", "");
    for more in [&["--locked"][..], &[]] {
        let (code, said) = build(&tagged, more);
        assert_eq!((code, component()), (Some(0), pushed["component"].clone()), "{said}");
    }

    // What is named by digest needs no lock, whatever the tag beside it is.
    let pinned = stage(&format!("file = '{}'", pushed["pinned"].as_str().expect("a place")));
    fs::remove_file(desk.at("wharfinger.lock")).expect("there");
    let (code, said) = build(&pinned, &["--locked"]);
    assert_eq!((code, component()), (Some(0), pushed["component"].clone()), "{said}");
    assert!(!desk.at("wharfinger.lock").exists());

    // By https, with a digest.
    let digest = pushed["component"].as_str().expect("a digest");
    let url = format!("https://{}/v2/plugins/naming/blobs/{digest}", registry.address());
    let by_url = stage(&format!("file = '{url}'\nsha256 = '{digest}'"));
    fs::remove_dir_all(desk.at("cache/components")).expect("what was fetched");
    let (code, said) = build(&by_url, &["--locked"]);
    assert_eq!((code, component()), (Some(0), pushed["component"].clone()), "{said}");

    let zeros = "0".repeat(64);
    for (text, fault) in [
        (stage(&format!("file = '{place}:none'")), "there is none"),
        (stage(&format!("file = '{place}@sha256:{zeros}'")), "there is none"),
        (stage(&format!("file = '{place}:1'\nsha256 = '{zeros}'")), "has the digest"),
        (stage(&format!("file = '{url}'\nsha256 = '{zeros}'")), "is damaged"),
        (
            stage(&format!("file = 'https://u:p@{}/x'\nsha256 = '{zeros}'", registry.address())),
            "a login in it",
        ),
        (stage("file = 'oci://A'"), "no place in a registry"),
        (stage("file = 'ftp://a/b'"), "a component is a file"),
    ] {
        let (code, said) = build(&text, &[]);
        assert!(
            code == Some(78) && said.contains(fault) && said.contains("naming"),
            "{text}: {said}"
        );
    }

    // Asked again, the tag is what it has become; and then the registry goes.
    let (code, said) = build(&tagged, &[]);
    assert_eq!(code, Some(78), "the other plugin takes no such settings: {said}");
    let (code, said) = build(&plain, &["--update"]);
    assert_eq!((code, component()), (Some(0), next["component"].clone()), "{said}");
    drop(registry);
    fs::remove_file(&authority).ok();
    fs::remove_file(desk.at("p.tar")).expect("built");
    let words = ["build", "p.toml", "--output", "p.tar", "--locked"];
    let (code, said) = desk.run(&words);
    assert_eq!((code, component()), (Some(0), next["component"].clone()), "{said}");
    // What was kept is verified when it is used.
    for entry in fs::read_dir(desk.at("cache/components")).expect("what was fetched") {
        let path = entry.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("a file");
        bytes[0] ^= 1;
        fs::write(&path, bytes).expect("damaged");
    }
    let (code, said) = desk.run(&words);
    assert!(code == Some(78) && said.contains("cannot fetch"), "{said}");
    fs::write(desk.at("wharfinger.lock"), "version = 2\n").expect("written");
    let (code, said) = desk.run(&words);
    assert!(code == Some(78) && said.contains("wharfinger.lock: it is of version 2"), "{said}");
}

/// A daemon does not depend on a registry: its own file names files.
#[test]
fn a_hosts_own_file_names_files() {
    let desk = Desk::new();
    for place in ["oci://r.invalid/a:1", "https://r.invalid/a.wasm", "http://r.invalid/a.wasm"] {
        fs::write(desk.at("host.toml"), stage(&format!("file = '{place}'"))).expect("written");
        let (code, said) = desk.wharfinger(&["check", "--config", "host.toml"]);
        let hint = "`wharfinger plugin pull` fetches one";
        assert!(code == Some(78) && said.contains(hint) && said.contains("naming"), "{said}");
    }
}
