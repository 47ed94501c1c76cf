//! Guarantee: no redirect, header, size or byte of a hostile registry costs more than the pull: so
//! much is read as was announced, what is pulled is what was named, and no login goes to a host
//! that it is not for.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use wharfinger::policy::Digest;

use crate::{
    common::strange_registry::{Asked, Body, Reply, StrangeRegistry},
    policy::{Desk, P256},
};

/// A signed bundle as a registry has it: what stands behind each of its targets.
#[derive(Clone)]
struct Held {
    manifest: Digest,
    targets: BTreeMap<String, Vec<u8>>,
}

impl Held {
    /// The parts of a bundle's file.
    fn of(desk: &Desk, file: &str) -> Self {
        let mut archive = tar::Archive::new(fs::File::open(desk.at(file)).expect("built"));
        let (mut targets, mut index) = (BTreeMap::new(), Value::Null);
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("whole");
            if name == "index.json" {
                index = serde_json::from_slice(&bytes).expect("JSON");
            } else if let Some(hex) = name.strip_prefix("blobs/sha256/") {
                targets.insert(format!("sha256:{hex}"), bytes);
            }
        }
        let mut manifest = None;
        for one in index["manifests"].as_array().expect("manifests") {
            let digest = one["digest"].as_str().expect("a digest").to_string();
            let tag = one["annotations"]["org.opencontainers.image.ref.name"].as_str();
            targets.insert(tag.expect("a tag").to_string(), targets[&digest].clone());
            manifest = manifest.or(Some(digest.parse().expect("a digest")));
        }
        Self { manifest: manifest.expect("a bundle"), targets }
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let target = asked.target.split('?').next().and_then(|path| path.rsplit('/').next());
        match self.targets.get(target.unwrap_or_default()) {
            Some(bytes) if !asked.target.contains("/referrers/") => Reply::of(200, bytes.clone()),
            _ => Reply::of(404, ""),
        }
    }

    /// The bundle with its manifest changed.
    fn changed(&self, change: impl Fn(&mut Value)) -> Self {
        let mut held = self.clone();
        let mut manifest: Value = serde_json::from_slice(&self.targets["prod"]).expect("JSON");
        change(&mut manifest);
        held.targets.insert("prod".into(), manifest.to_string().into_bytes());
        held
    }
}

fn desk() -> (Desk, Held) {
    let desk = Desk::new();
    desk.key("ours", &P256);
    desk.build("b.tar", "1");
    desk.good(&["sign", "b.tar", "--key", "ours.key"]);
    let held = Held::of(&desk, "b.tar");
    (desk, held)
}

fn pull(desk: &Desk, registry: &StrangeRegistry, target: &str) -> (Option<i32>, String) {
    let place = format!("oci://{}/prod{target}", registry.address());
    desk.run(&["pull", &place, "--plain-http", "--output", "pulled.tar"])
}

/// What is wrong, and what is said of it. Of no case anything is written.
#[test]
fn what_is_not_what_it_says_is_refused() {
    let (desk, held) = desk();
    let component = {
        let manifest: Value = serde_json::from_slice(&held.targets["prod"]).expect("JSON");
        manifest["layers"][1]["digest"].as_str().expect("a digest").to_string()
    };
    type Answer = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;
    let of_component = |reply: fn(Vec<u8>) -> Reply| -> (Held, Answer) {
        let (component, bytes) = (component.clone(), held.targets[&component].clone());
        let answer =
            move |asked: &Asked| asked.target.ends_with(&component).then(|| reply(bytes.clone()));
        (held.clone(), Box::new(answer))
    };
    let of_all = |part: &'static str, reply: fn() -> Reply| -> (Held, Answer) {
        (held.clone(), Box::new(move |asked: &Asked| asked.target.contains(part).then(reply)))
    };
    let of_manifest = |change: fn(&mut Value)| -> (Held, Answer) {
        (held.changed(change), Box::new(|_: &Asked| None))
    };
    let cases: Vec<(&str, (Held, Answer), &str)> = vec![
        ("giant", of_manifest(|it| it["layers"][1]["size"] = json!(10u64 << 30)), "10737418240"),
        (
            "many giants",
            of_manifest(|it| {
                let layer = it["layers"][1].clone();
                let giant = |size: u64| {
                    let mut one = layer.clone();
                    one["size"] = json!(size);
                    one
                };
                for _ in 0..20 {
                    it["layers"].as_array_mut().expect("layers").push(giant(200 << 20));
                }
            }),
            "the whole of it",
        ),
        ("negative", of_manifest(|it| it["layers"][1]["size"] = json!(-1)), "the manifest"),
        (
            "odd digest",
            of_manifest(|it| it["layers"][1]["digest"] = json!("../../x")),
            "is no digest",
        ),
        ("config", of_manifest(|it| it["config"]["size"] = json!(1u64 << 40)), "the config"),
        ("other kind", of_manifest(|it| it["artifactType"] = json!("x/y")), "it is of the type"),
        ("index", of_manifest(|it| *it = json!({ "manifests": [] })), "the manifest"),
        ("endless manifest", of_all("/manifests/prod", || Reply::endless(200)), "more than the"),
        ("endless blob", of_component(|_| Reply::endless(200)), "more than the"),
        ("endless refusal", of_all("/manifests/prod", || Reply::endless(403)), "answers 403"),
        (
            "long blob",
            of_component(|bytes| Reply::of(200, [bytes, vec![0]].concat())),
            "more than the",
        ),
        ("short blob", of_component(|bytes| Reply::of(200, &bytes[1..])), "damaged"),
        (
            "cut blob",
            of_component(|bytes| Reply {
                status: 200,
                headers: Vec::new(),
                body: Body::Announced(bytes.len() as u64, bytes[..9].to_vec()),
            }),
            "/blobs/",
        ),
        (
            "other blob",
            of_component(|mut bytes| {
                bytes[100] ^= 1;
                Reply::of(200, bytes)
            }),
            "damaged",
        ),
        ("no blob", of_component(|_| Reply::of(404, "")), "answers 404"),
        ("error page", of_all("/manifests/prod", || Reply::of(200, "<html>")), "the manifest"),
        ("nowhere", of_all("/manifests/prod", || Reply::of(307, "")), "names no place"),
        (
            "round and round",
            of_all("/manifests/prod", || {
                Reply::of(307, "").with("Location", "/v2/prod/manifests/prod")
            }),
            "more than 5 redirects",
        ),
        (
            "a file",
            of_all("/manifests/prod", || Reply::of(307, "").with("Location", "file:///etc/passwd")),
            "not https",
        ),
        (
            "a login in a place",
            of_all("/manifests/prod", || {
                Reply::of(307, "").with("Location", "http://u:p@127.0.0.1/")
            }),
            "a login in it",
        ),
        (
            "colours",
            of_all("/manifests/prod", || Reply::of(400, "\u{1b}[2Jno\nerror: forged")),
            "answers 400",
        ),
        ("no kind of login", of_all("/v2/", || Reply::of(401, "")), "login at 127.0.0.1"),
        (
            "an odd realm",
            of_all("/v2/", || Reply::of(401, "").with("WWW-Authenticate", "Bearer realm=\"x\"")),
            "no URL",
        ),
    ];
    for (name, (held, answer), fault) in cases {
        let registry = StrangeRegistry::start(move |asked| {
            answer(asked).unwrap_or_else(|| held.answer(asked))
        });
        let (code, said) = pull(&desk, &registry, ":prod");
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.contains(fault), "{name}: {said}");
        assert!(!said.contains('\u{1b}') && !said.contains("\nerror: forged"), "{name}: {said}");
        assert!(!desk.at("pulled.tar").exists(), "{name}");
        if name.contains("giant") {
            let blobs = registry.asked().iter().any(|one| one.target.contains("/blobs/"));
            assert!(!blobs, "{name}: sizes are judged before anything is fetched");
        }
    }
    // By digest nothing else is taken, were it as good as that.
    let digest = held.manifest;
    let other = held.changed(|it| it["annotations"] = json!({ "a": "b" }));
    let mut other = other.clone();
    other.targets.insert(digest.to_string(), other.targets["prod"].clone());
    let registry = StrangeRegistry::start(move |asked| other.answer(asked));
    let (code, said) = pull(&desk, &registry, &format!("@{digest}"));
    assert!(
        code == Some(1) && said.contains("damaged") && said.contains(&digest.to_string()),
        "{said}"
    );
}

/// Others may put beside a signature what they like.
#[test]
fn rubbish_beside_a_signature_costs_it_nothing() {
    let (desk, held) = desk();
    let list =
        |entries: Vec<Value>| json!({ "schemaVersion": 2, "manifests": entries }).to_string();
    let entry = |digest: String| json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 9 });
    let many = (0..2000).map(|n: u32| entry(Digest::of(&n.to_le_bytes()).to_string())).collect();
    let own = format!("sha256-{}.sig", held.manifest.hex());
    let sound = held.targets[&own].clone();
    let referrer = Digest::of(&sound).to_string();
    let foul = {
        let mut manifest: Value = serde_json::from_slice(&sound).expect("JSON");
        let layers = manifest["layers"].as_array_mut().expect("layers");
        let mut damaged = layers[0].clone();
        damaged["digest"] = json!(Digest::of(b"of nothing"));
        let mut giant = layers[0].clone();
        giant["size"] = json!(10u64 << 30);
        layers.insert(0, damaged);
        layers.insert(0, giant);
        manifest.to_string()
    };
    let cases: Vec<(&str, Reply, Option<String>)> = vec![
        ("no list", Reply::of(404, ""), None),
        ("a refusal", Reply::of(400, "what?"), None),
        ("no JSON", Reply::of(200, "<html>"), None),
        ("many", Reply::of(200, list(many)), None),
        ("foul layers", Reply::of(404, ""), Some(foul)),
        // Under the tag is nothing that is understood; the list has it.
        ("the list", Reply::of(200, list(vec![entry(referrer.clone())])), Some("{}".into())),
    ];
    for (name, referrers, tagged) in cases {
        let (mut held, referrers) = (held.clone(), Mutex::new(Some(referrers)));
        held.targets.insert(referrer.clone(), sound.clone());
        if let Some(tagged) = tagged {
            held.targets.insert(own.clone(), tagged.into_bytes());
        }
        let registry = StrangeRegistry::start(move |asked| {
            let once = || referrers.lock().expect("a reply").take();
            match asked.target.contains("/referrers/") {
                true => once().unwrap_or_else(|| Reply::of(404, "")),
                false => held.answer(asked),
            }
        });
        let (code, said) = pull(&desk, &registry, ":prod");
        assert!(code == Some(0) && said.contains("with 1 signature"), "{name}: {said}");
        desk.good(&["verify", "pulled.tar", "--key", "ours.pub"]);
        assert!(registry.asked().len() < 150, "{name}: {}", registry.asked().len());
    }
}

fn authorized(registry: &StrangeRegistry) -> Vec<String> {
    registry.asked().into_iter().filter_map(|one| one.authorization).collect()
}

/// `config.json` with a login for each of these hosts.
fn logins(desk: &Desk, hosts: &[&str]) {
    let auths: serde_json::Map<String, Value> =
        // ann:secret
        hosts.iter().map(|host| (host.to_string(), json!({ "auth": "YW5uOnNlY3JldA==" }))).collect();
    fs::write(desk.at("config.json"), json!({ "auths": auths }).to_string()).expect("written");
}

#[test]
fn a_redirect_takes_no_login_along() {
    let (desk, held) = desk();
    let elsewhere = {
        let held = held.clone();
        StrangeRegistry::start(move |asked| held.answer(asked))
    };
    let other = elsewhere.address().to_string();
    let registry = StrangeRegistry::start(move |asked| match &asked.authorization {
        None => Reply::of(401, "").with("WWW-Authenticate", "Basic realm=\"r\""),
        Some(_) if asked.target.contains("/blobs/") => {
            Reply::of(307, "").with("Location", format!("http://{other}{}?secret=1", asked.target))
        }
        Some(_) => held.answer(asked),
    });
    let (code, said) = pull(&desk, &registry, ":prod");
    assert!(code == Some(1) && said.contains("config.json has none"), "{said}");
    logins(&desk, &[registry.address()]);
    let (code, said) = pull(&desk, &registry, ":prod");
    assert_eq!(code, Some(0), "{said}");
    desk.good(&["verify", "pulled.tar", "--key", "ours.pub"]);
    assert!(!authorized(&registry).is_empty() && elsewhere.asked().len() >= 3);
    assert_eq!(authorized(&elsewhere), [""; 0]);
}

/// A login is shown to the registry itself. The realm of its challenge gets it if that is the same
/// host; any other host gets the login that is kept for it, or none.
#[test]
fn a_realm_elsewhere_gets_no_login_that_is_not_for_it() {
    let (desk, held) = desk();
    let guarded = move |realm: Option<String>| {
        let held = held.clone();
        StrangeRegistry::start(move |asked| match &asked.authorization {
            _ if asked.target.starts_with("/token") => match &asked.authorization {
                Some(_) => Reply::of(200, "{\"token\": \"t\"}"),
                None => Reply::of(401, ""),
            },
            Some(token) if token == "Bearer t" => held.answer(asked),
            _ => {
                let realm = realm.clone().unwrap_or_else(|| asked.host.clone());
                let challenge = format!("Bearer realm=\"http://{realm}/token\",service=\"s\"");
                Reply::of(401, "").with("WWW-Authenticate", challenge)
            }
        })
    };
    let own = guarded(None);
    logins(&desk, &[own.address()]);
    let (code, said) = pull(&desk, &own, ":prod");
    assert_eq!(code, Some(0), "{said}");
    let asked = own.asked();
    let token = asked.iter().find(|one| one.target.starts_with("/token")).expect("a token");
    assert!(token.target.contains("scope=repository%3Aprod%3Apull&service=s"), "{}", token.target);

    let realm = guarded(None);
    let hostile = guarded(Some(realm.address().into()));
    logins(&desk, &[hostile.address()]);
    let (code, said) = pull(&desk, &hostile, ":prod");
    assert!(code == Some(1) && said.contains("another host than the registry"), "{said}");
    assert!(!realm.asked().is_empty() && authorized(&realm).is_empty(), "{:?}", realm.asked());
    assert_eq!(authorized(&hostile), [""; 0]);

    logins(&desk, &[hostile.address(), realm.address()]);
    let (code, said) = pull(&desk, &hostile, ":prod");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(authorized(&realm), ["Basic YW5uOnNlY3JldA=="]);
}

/// A token that stands for a login is sent to no place but the realm, and in no URL.
#[test]
fn an_identity_token_is_exchanged_and_not_shown() {
    let (desk, held) = desk();
    let registry = StrangeRegistry::start(move |asked| match &asked.authorization {
        _ if asked.target.starts_with("/token") => match asked.method.as_str() {
            "POST" => Reply::of(200, "{\"access_token\": \"t\"}"),
            _ => Reply::of(401, ""),
        },
        Some(token) if token == "Bearer t" => held.answer(asked),
        _ => {
            let challenge = format!("Bearer realm=\"http://{}/token\",service=\"s\"", asked.host);
            Reply::of(401, "").with("WWW-Authenticate", challenge)
        }
    });
    let auths = json!({ "auths": { (registry.address()): { "identitytoken": "hush" } } });
    fs::write(desk.at("config.json"), auths.to_string()).expect("written");
    let (code, said) = pull(&desk, &registry, ":prod");
    assert_eq!(code, Some(0), "{said}");
    assert!(registry.asked().iter().all(|one| !one.target.contains("hush")));
    assert!(authorized(&registry).iter().all(|header| header == "Bearer t"));
}

/// What is pushed goes to the registry that was named, whatever it says.
#[test]
fn an_upload_goes_nowhere_else() {
    let (desk, _) = desk();
    let elsewhere = StrangeRegistry::start(|_| Reply::of(201, ""));
    let other = elsewhere.address().to_string();
    let place: Arc<Mutex<String>> = Arc::default();
    let said_place = place.clone();
    let registry = StrangeRegistry::start(move |asked| match asked.method.as_str() {
        "POST" => match said_place.lock().expect("a place").as_str() {
            "" => Reply::of(202, ""),
            place => Reply::of(202, "").with("Location", place),
        },
        "PUT" => Reply::of(201, ""),
        _ => Reply::of(404, ""),
    });
    let target = format!("oci://{}/prod:1", registry.address());
    for (to, fault) in [
        (format!("http://{other}/upload?x=1"), "another host"),
        ("https://registry.invalid/upload".into(), "another host"),
        (String::new(), "where to push"),
    ] {
        *place.lock().expect("a place") = to.clone();
        let (code, said) = desk.run(&["push", "b.tar", &target, "--plain-http"]);
        assert!(code == Some(1) && said.contains(fault), "{to}: {said}");
        assert!(!registry.asked().iter().any(|one| one.method == "PUT"), "{to}");
    }
    assert!(elsewhere.asked().is_empty());
    *place.lock().expect("a place") = "/upload?state=1".into();
    desk.good(&["push", "b.tar", &target, "--plain-http"]);
    let puts = registry.asked().into_iter().filter(|one| one.method == "PUT");
    let targets: Vec<String> = puts.map(|one| one.target).collect();
    assert!(
        targets.iter().any(|one| one.starts_with("/upload?state=1&digest=sha256")),
        "{targets:?}"
    );
    // The tag is moved when the bundle and its signatures are there.
    assert_eq!(targets.last().map(String::as_str), Some("/v2/prod/manifests/1"), "{targets:?}");
    assert!(targets.iter().any(|one| one.ends_with(".sig")), "{targets:?}");
}

/// A registry that knows of what refers to a manifest says so, and keeps the list itself.
#[test]
fn a_registry_that_lists_referrers_gets_no_list() {
    let (desk, _) = desk();
    for knows in [true, false] {
        let registry = StrangeRegistry::start(move |asked| match asked.method.as_str() {
            "POST" => Reply::of(202, "").with("Location", "/upload"),
            "PUT" if knows => Reply::of(201, "").with("OCI-Subject", "sha256:00"),
            "PUT" => Reply::of(201, ""),
            _ => Reply::of(404, ""),
        });
        let target = format!("oci://{}/prod:1", registry.address());
        desk.good(&["push", "b.tar", &target, "--plain-http"]);
        let list = |one: &Asked| {
            let name = one.target.rsplit('/').next().unwrap_or_default();
            one.method == "PUT" && name.starts_with("sha256-") && !name.ends_with(".sig")
        };
        assert_eq!(registry.asked().iter().any(list), !knows);
    }
}

/// What refuses for a moment is asked again, and is not asked for ever; what it names as a pause has
/// a bound.
#[test]
fn what_may_pass_is_asked_again_and_counted() {
    let (desk, held) = desk();
    for (status, after, refusals, good) in [
        (429, "0", 2, true),
        (503, "0", 3, true),
        (502, "Sun, 06 Nov 1994 08:49:37 GMT", 2, true),
        (500, "0", 1000, false),
        (429, "3600", 1, false),
        (403, "0", 1, false),
    ] {
        let counts = Mutex::new(BTreeMap::<String, u32>::new());
        let answering = held.clone();
        let registry = StrangeRegistry::start(move |asked| {
            let mut counts = counts.lock().expect("the counts");
            let count = counts.entry(asked.target.clone()).or_default();
            *count += 1;
            match *count <= refusals {
                true => Reply::of(status, "wait").with("Retry-After", after),
                false => answering.answer(asked),
            }
        });
        let case = format!("{status} {after} {refusals}");
        let (code, text) = pull(&desk, &registry, ":prod");
        assert_eq!(code == Some(0), good, "{case}: {text}");
        let manifests =
            registry.asked().iter().filter(|one| one.target.ends_with("s/prod")).count();
        match good {
            true => assert!(text.contains("with 1 signature"), "{case}: {text}"),
            false => {
                assert!(text.contains(&status.to_string()), "{case}: {text}");
                let most = if refusals > 1 { 5 } else { 1 };
                assert_eq!(manifests, most, "{case}");
            }
        }
        let _ = fs::remove_file(desk.at("pulled.tar"));
    }
}

/// A push goes on after a refusal, too: each blob's upload is begun anew.
#[test]
fn a_push_that_is_refused_for_a_moment_goes_on() {
    let (desk, _) = desk();
    let state = Mutex::new((BTreeMap::<String, u32>::new(), std::collections::BTreeSet::new()));
    let uploads = Arc::new(Mutex::new(0));
    let begun = uploads.clone();
    let registry = StrangeRegistry::start(move |asked| {
        let mut state = state.lock().expect("the state");
        let (counts, there) = &mut *state;
        let path = asked.target.split('?').next().unwrap_or_default().to_string();
        match asked.method.as_str() {
            "HEAD" => Reply::of(if there.contains(&path) { 200 } else { 404 }, ""),
            "POST" => {
                let mut number = begun.lock().expect("the uploads");
                *number += 1;
                Reply::of(202, "").with("Location", format!("/v2/prod/blobs/uploads/{number}"))
            }
            "PUT" => {
                let digest = asked.target.split_once("digest=").map(|(_, digest)| digest);
                let what = digest.map_or(path.clone(), |one| one.replace("%3A", ":"));
                let count = counts.entry(what.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    return Reply::of(503, "wait").with("Retry-After", "0");
                }
                there.insert(format!("/v2/prod/blobs/{what}"));
                Reply::of(201, "").with("OCI-Subject", "x")
            }
            _ => Reply::of(404, ""),
        }
    });
    let place = format!("oci://{}/prod:1", registry.address());
    desk.good(&["push", "b.tar", &place, "--plain-http"]);
    let asked = registry.asked();
    let puts: Vec<_> = asked.iter().filter(|one| one.method == "PUT").collect();
    let places: std::collections::BTreeSet<_> = puts.iter().map(|one| &one.target).collect();
    let blobs = puts.iter().filter(|one| one.target.contains("/uploads/"));
    assert_eq!(blobs.count(), *uploads.lock().expect("the uploads"), "each at a place of its own");
    assert!(puts.len() > places.len(), "manifests were sent again");
}

/// The list of referrers has pages, of which the signature is on a later one; a page elsewhere is
/// not gone to, and pages without an end are not read without an end.
#[test]
fn referrers_are_read_page_by_page() {
    let (desk, held) = desk();
    let tag = format!("sha256-{}.sig", held.manifest.to_string().trim_start_matches("sha256:"));
    let signatures = Digest::of(&held.targets[&tag]).to_string();
    let kind = "application/vnd.dev.cosign.artifact.sig.v1+json";
    for (case, pages, words, code) in [
        ("on the third page", 3, "with 1 signature", Some(0)),
        ("elsewhere", 0, "is at another host", Some(1)),
        ("without an end", usize::MAX, "with 0 signatures", Some(0)),
    ] {
        let (mut answering, own, signature) = (held.clone(), tag.clone(), signatures.clone());
        // Only what refers to the bundle has it.
        answering.targets.remove(&own);
        let registry = StrangeRegistry::start(move |asked| {
            if !asked.target.contains("/referrers/") {
                return answering.answer(asked);
            }
            let page = asked.target.split_once("page=").map_or("1", |(_, page)| page);
            let page: usize = page.parse().expect("a number");
            let entry = |digest: &str| {
                json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
                    "digest": digest, "artifactType": kind})
            };
            let other = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": 1, "digest": Digest::of(&page.to_be_bytes()), "artifactType": "other/kind"});
            let all = if page == pages { vec![entry(&signature)] } else { vec![other] };
            let list = json!({"schemaVersion": 2, "manifests": all}).to_string();
            let next = match (pages, page == pages) {
                (_, true) => None,
                (0, _) => Some("http://127.0.0.1:1/next".to_string()),
                _ => Some(format!("/v2/prod/referrers/x?page={}", page + 1)),
            };
            let reply = Reply::of(200, list);
            match next {
                Some(next) => reply.with("Link", format!("<{next}>; rel=\"next\"")),
                None => reply,
            }
        });
        let (found, text) = pull(&desk, &registry, ":prod");
        assert_eq!(found, code, "{case}: {text}");
        assert!(text.contains(words), "{case}: {text}");
        let read = registry.asked().iter().filter(|one| one.target.contains("referrers")).count();
        assert!(read <= 32, "{case}: {read} pages");
        let _ = fs::remove_file(desk.at("pulled.tar"));
    }
}
