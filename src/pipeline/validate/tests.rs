//! The rules for what a stage may write, one by one, and that nothing invalid gets
//! past all of them together.

use std::{cell::RefCell, collections::BTreeMap};

use proptest::{collection::vec, prelude::*, sample::select};
use regex::Regex;

use super::*;
use crate::model::{
    container::Protocol,
    service::{CheckKind, Weights},
};

const HOST: &str = "h";

fn service() -> Service {
    Service {
        id: "h:app:80".into(),
        name: "app".into(),
        address: "10.0.0.1".into(),
        port: 80,
        protocol: Protocol::Tcp,
        tags: vec!["a".into()],
        meta: Default::default(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: Default::default(),
        origin: None,
        further: Default::default(),
        attributes: Default::default(),
    }
}

fn tcp(address: &str) -> Check {
    Check {
        id: None,
        name: None,
        notes: None,
        kind: CheckKind::Tcp { address: address.into() },
        interval: Some("10s".into()),
        timeout: None,
        initial_status: None,
        deregister_after: None,
        success_before_passing: None,
        failures_before_critical: None,
        attributes: Default::default(),
    }
}

fn of_kind(kind: CheckKind) -> Check {
    Check { kind, ..tcp("") }
}

fn http(url: &str) -> Check {
    of_kind(CheckKind::Http {
        url: url.into(),
        method: None,
        headers: Vec::new(),
        body: String::new(),
        tls_skip_verify: false,
        tls_server_name: None,
    })
}

/// The fault of the service after this change of it, if it has one.
fn fault(change: impl FnOnce(&mut Service)) -> Option<String> {
    let before = service();
    let mut after = before.clone();
    change(&mut after);
    let said = replaced(HOST, &Bounds::DEFAULT, &before, &after).err();
    assert_eq!(
        said.is_some(),
        added(HOST, &Bounds::DEFAULT, &after).is_err(),
        "replaced or added, it is the same"
    );
    if let Some(said) = &said {
        assert!(said.starts_with(&format!("service {:?}: ", shown(&after.id))), "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
    said
}

/// That the field is refused, for this reason.
fn refused(change: impl FnOnce(&mut Service), field: &str, reason: &str) {
    let said = fault(change).unwrap_or_else(|| panic!("{field}: {reason}: it is not refused"));
    assert!(said.contains(&format!(": {field}: ")) && said.contains(reason), "{said}");
}

fn checked(check: Check) -> Option<String> {
    fault(|service| service.checks.push(check))
}

#[test]
fn an_id_can_be_removed_again_and_is_nobody_elses() {
    for (id, reason) in [
        ("", "it is empty"),
        (" ", "it is empty"),
        ("a ", "ends with a space"),
        ("a\nb", "control character"),
        ("a\0", "control character"),
        (&"x".repeat(513), "longer than 512"),
        ("/a", "gets lost"),
        ("a//b", "gets lost"),
        ("a/", "gets lost"),
        (".", "gets lost"),
        ("a/../b", "gets lost"),
        ("a%2fb", "gets lost"),
        ("a\\b", "gets lost"),
        ("consul", "Consul's servers"),
        ("other:app:80", "the host \"other\""),
        ("other:app:53:udp", "the host \"other\""),
    ] {
        refused(|service| service.id = id.into(), "id", reason);
    }
    for id in ["a/b", "h:app:81", "h:app:53:udp", "team:app", "web-1", "ü", "a?b#c", "x:y:z"] {
        assert_eq!(fault(|service| service.id = id.into()), None, "{id}");
    }
}

#[test]
fn names_tags_and_addresses_are_of_use() {
    refused(|service| service.name = "\t".into(), "name", "empty");
    refused(|service| service.name = "a\u{7f}".into(), "name", "control");
    refused(|service| service.name = "x".repeat(600), "name", "longer");
    refused(|service| service.tags.push(String::new()), "tags", "empty");
    refused(|service| service.tags.push("a\nb".into()), "tags", "control");
    refused(|service| service.tags.push("x".repeat(5_000)), "tags", "longer");
    refused(|service| service.tags = vec!["a".into(); 257], "tags", "257 tags");
    for address in ["0.0.0.0", "::", "a b", "10.0.0.256", "[::1]", "host:80", "x/y", "-\n"] {
        refused(|service| service.address = address.into(), "address", "it ");
    }
    for address in ["", "10.0.0.2", "fd00::1", "web.example.com", "my_host"] {
        assert_eq!(fault(|service| service.address = address.into()), None, "{address}");
    }
    let tagged = |tag: &str, at: &str| {
        let entry = (tag.to_string(), (at.to_string(), 80));
        move |service: &mut Service| service.tagged_addresses.extend([entry])
    };
    refused(tagged("", "10.0.0.1"), "tagged-addresses", "empty");
    refused(tagged("lan", ""), "tagged-addresses", "neither");
    refused(tagged("lan", "0.0.0.0"), "tagged-addresses", "any address");
    let weights = |passing, warning| {
        move |service: &mut Service| service.weights = Some(Weights { passing, warning })
    };
    refused(weights(0, 1), "weights", "passing");
    refused(weights(1, 70_000), "weights", "warning");
    assert_eq!(fault(weights(1, 0)), None);
}

#[test]
fn metadata_is_within_consuls_limits_and_forges_no_mark() {
    let pair = |key: &str, value: &str| {
        let pair = (key.to_string(), value.to_string());
        move |service: &mut Service| service.meta.extend([pair])
    };
    refused(pair("", "x"), "meta", "1 to 128");
    refused(pair("a.b", "x"), "meta", "1 to 128");
    refused(pair(&"k".repeat(129), "x"), "meta", "1 to 128");
    refused(pair("k", &"v".repeat(513)), "meta", "longer than 512");
    for key in ["wharfinger-host", "wharfinger-container", "wharfinger-x", "consul-version"] {
        refused(pair(key, "x"), "meta", "reserved");
    }
    assert_eq!(fault(pair(&"k".repeat(128), &"v".repeat(512))), None);
    let many = |n: usize| {
        move |service: &mut Service| {
            service.meta.extend((0..n).map(|n| (format!("k{n}"), String::new())));
        }
    };
    refused(many(65), "meta", "65 pairs");
    assert_eq!(fault(many(64)), None);
    let note = |service: &mut Service| {
        service.attributes.insert("wharfinger-note".into(), "x".into());
    };
    refused(note, "attributes", "reserved");
}

#[test]
fn checks_are_such_that_consul_takes_them() {
    let says = |check: Check, part: &str| {
        let said = checked(check.clone()).unwrap_or_else(|| panic!("{check:?} is not refused"));
        assert!(said.contains("checks: number 1: ") && said.contains(part), "{said}");
    };
    for at in ["", "app", "app:", "app:0", "app:65536", "app:+80", "fd00::1:80", "[x]:80", ":80"] {
        says(tcp(at), "address: ");
    }
    for url in [
        "",
        "app/health",
        "ftp://a/",
        "http:a",
        "http://",
        "http:///a",
        "http://a b/",
        "http://a:0/",
    ] {
        says(http(url), "url: ");
    }
    says(Check { interval: None, ..tcp("a:1") }, "interval: Consul needs one");
    for interval in ["10", "ten", "-1s", "0s", ""] {
        says(Check { interval: Some(interval.into()), ..tcp("a:1") }, "interval: ");
    }
    says(Check { timeout: Some("x".into()), ..tcp("a:1") }, "timeout: ");
    says(Check { deregister_after: Some("x".into()), ..tcp("a:1") }, "deregister-after: ");
    says(of_kind(CheckKind::Ttl { ttl: "10s".into() }), "beside a time to live");
    let ttl = |ttl: &str| Check { interval: None, ..of_kind(CheckKind::Ttl { ttl: ttl.into() }) };
    says(ttl("soon"), "ttl: ");
    says(of_kind(CheckKind::Script { args: vec![] }), "no program");
    says(of_kind(CheckKind::Script { args: vec!["a\0".into()] }), "null");
    says(of_kind(CheckKind::Alias { node: None, service: None }), "neither");
    says(of_kind(CheckKind::OsService { name: String::new() }), "empty");
    for id in ["", "serfHealth", "_node_maintenance", "_service_maintenance:x", "a//b"] {
        says(Check { id: Some(id.into()), ..tcp("a:1") }, "id: ");
    }
    for key in ["CheckID", "check_id", "ServiceID", "Interval", "a b", "successBeforePassing"] {
        let attributes = BTreeMap::from([(key.to_string(), "1".to_string())]);
        says(Check { attributes, ..tcp("a:1") }, "attributes: ");
    }
    let attributes = BTreeMap::from([("OutputMaxSize".to_string(), "{".to_string())]);
    says(Check { attributes, ..tcp("a:1") }, "no JSON");

    for check in [
        tcp("app:80"),
        tcp("[fd00::1]:80"),
        http("https://app:8443/health?x=1"),
        ttl("1m30s"),
        of_kind(CheckKind::Grpc {
            target: "10.0.0.1:50051/my.Service".into(),
            use_tls: false,
            tls_skip_verify: false,
            tls_server_name: None,
        }),
        Check {
            attributes: BTreeMap::from([("OutputMaxSize".into(), "4096".into())]),
            ..tcp("a:1")
        },
    ] {
        assert_eq!(checked(check.clone()), None, "{check:?}");
    }
    let twice = |service: &mut Service| {
        let check = Check { id: Some("x".into()), ..tcp("a:1") };
        service.checks.extend([check.clone(), check]);
    };
    refused(twice, "checks", "two of them");
}

#[test]
fn what_a_stage_hands_on_is_not_held_against_it() {
    let mut before = service();
    before.id = "other:app:80".into();
    before.name = "a\nb".into();
    before.tags = vec![String::new()];
    before.meta = (0..70).map(|n| (format!("k {n}"), String::new())).collect();
    before.checks = vec![tcp("")];
    let after = Service { port: 81, ..before.clone() };
    assert_eq!(replaced(HOST, &Bounds::DEFAULT, &before, &after), Ok(()));
    let mut marked = service();
    marked.meta.insert("wharfinger-note".into(), "x".into());
    assert!(
        replaced(HOST, &Bounds::DEFAULT, &marked, &service()).is_err(),
        "a mark is not taken away"
    );
}

/// Texts among which some are harmful anywhere.
fn word() -> impl Strategy<Value = String> {
    let parts = select(vec![
        "a",
        "web",
        "h",
        ":",
        "80",
        "udp",
        "/",
        "..",
        "%2f",
        "\n",
        "\0",
        " ",
        "wharfinger-",
        "consul",
        "host",
        "é",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "http://",
        "s",
        "10",
        "serfHealth",
    ]);
    vec(parts, 0..5).prop_map(|parts| parts.concat())
}

/// One of these, or any text.
fn often(good: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![4 => select(good).prop_map(String::from), 1 => word()]
}

fn any_check() -> impl Strategy<Value = Check> {
    let target = often(&["app:80", "http://app/", "https://10.0.0.1:8443/x"]);
    let interval = proptest::option::weighted(0.9, often(&["10s", "1m"]));
    (target, interval, proptest::option::of(often(&["a", "b"]))).prop_map(
        |(target, interval, id)| {
            let base = if target.contains("//") { http(&target) } else { tcp(&target) };
            Check { interval, id, ..base }
        },
    )
}

fn any_service() -> impl Strategy<Value = Service> {
    let address = || often(&["10.0.0.1", "fd00::1", "web"]);
    let key = || often(&["k", "lan"]);
    (
        often(&["h:app:80", "web-1", "a/b"]),
        often(&["web", "shop"]),
        address(),
        vec(often(&["a", "b"]), 0..3),
        vec((key(), word()), 0..3),
        vec(any_check(), 0..2),
        vec((key(), (address(), any::<u16>())), 0..2),
    )
        .prop_map(|(id, name, address, tags, meta, checks, tagged)| Service {
            id,
            name,
            address,
            tags,
            meta: meta.into_iter().collect(),
            checks,
            tagged_addresses: tagged.into_iter().collect(),
            ..service()
        })
}

thread_local! {
    static PATTERNS: RefCell<BTreeMap<&'static str, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

fn matches(pattern: &'static str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        let compile = || Regex::new(pattern).expect("a pattern");
        patterns.entry(pattern).or_insert_with(compile).is_match(text)
    })
}

/// The same rules once more, in other words.
fn is_sound(service: &Service) -> bool {
    let line = |text: &str| matches(r"^[^\x00-\x1f\x7f-\x9f]{1,512}$", text);
    let removable = |id: &str| line(id) && !matches(r"%|\\|(^|/)(\.{0,2})(/|$)", id);
    let elsewhere = matches(r"^.+:[A-Za-z0-9_.-]+:[0-9]+(:udp)?$", &service.id)
        && !service.id.starts_with("h:");
    let at = |text: &str| matches(r"^[A-Za-z0-9_.:-]+$", text) && !matches(r"^[0.:]+$", text);
    let meta = |(key, value): (&String, &String)| {
        matches("^[A-Za-z0-9_-]{1,128}$", key)
            && !matches("^(wharfinger|consul)-", key)
            && value.len() <= 512
    };
    let check = |check: &Check| {
        let target = match &check.kind {
            CheckKind::Http { url, .. } => matches(r"^https?://[^\s/]+", url),
            CheckKind::Tcp { address } => matches(r"^.+:[0-9]+$", address) && line(address),
            _ => false,
        };
        let interval = check.interval.as_deref().unwrap_or_default();
        let id = check.id.as_deref().unwrap_or("x");
        target && matches(r"^([0-9.]+[a-z]+)+$", interval) && removable(id) && id != "serfHealth"
    };
    removable(&service.id)
        && service.id != "consul"
        && !elsewhere
        && line(&service.name)
        && (service.address.is_empty() || at(&service.address))
        && service.tags.iter().all(|tag| line(tag))
        && service.meta.iter().all(meta)
        && service.checks.iter().all(check)
        && service.tagged_addresses.iter().all(|(tag, (address, _))| line(tag) && at(address))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn no_unsound_service_passes(service in any_service(), before in any_service()) {
        if added(HOST, &Bounds::DEFAULT, &service).is_ok() {
            prop_assert!(is_sound(&service), "{service:?}");
        }
        // Each field that was taken over from a sound service is sound, too.
        if is_sound(&before) && replaced(HOST, &Bounds::DEFAULT, &before, &service).is_ok() {
            prop_assert!(is_sound(&service), "{service:?}");
        }
    }
}

#[test]
fn the_generator_makes_both_kinds() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut sound = || is_sound(&any_service().new_tree(&mut runner).expect("a value").current());
    let count = (0..1_000).filter(|_| sound()).count();
    assert!((50..950).contains(&count), "{count} of 1000 are sound");
}
