//! Keys and values, and what is remembered of them.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::*;
use crate::model::{container::Protocol, marks::META_HOST};

const HOST: &str = "h";

fn store(uri: &str) -> Result<ConsulKv, ConsulKvError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ConsulKv::new(&Url::parse(uri).expect("a URI"), |_| None, HOST)
}

fn service(id: &str, name: &str, address: &str) -> Service {
    Service {
        id: id.into(),
        name: name.into(),
        address: address.into(),
        port: 80,
        protocol: Protocol::Tcp,
        tags: vec!["a".into()],
        meta: crate::model::few::Pairs::from([(META_HOST.into(), HOST.into())]),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: Default::default(),
        origin: None,
        further: Default::default(),
        attributes: Default::default(),
    }
}

fn pair(key: &str, flags: u64, value: &str) -> Pair {
    Pair { key: key.into(), flags, value: Some(BASE64.encode(value)) }
}

#[test]
fn the_uri_names_agent_and_prefix() {
    for (uri, agent, folder) in [
        (
            "consulkv://10.0.0.1:8501/services/prod",
            "consulkv://10.0.0.1:8501/services/prod",
            "services/prod/",
        ),
        ("consulkv:///a", "consulkv:///a", "a/"),
        ("consulkv://h/", "consulkv://h/", ""),
        ("consulkv://h/a//b%20c/", "consulkv://h/a//b%20c/", "a/b c/"),
        ("consulkv-unix:///run/c.sock:/a/b", "consulkv-unix:///run/c.sock", "a/b/"),
        ("consulkv-unix:///run/c.sock:/", "consulkv-unix:///run/c.sock", ""),
    ] {
        assert_eq!(store(uri).expect(uri).folder(), folder, "{uri}");
        let (url, _) = split(&Url::parse(uri).expect("a URI")).expect(uri);
        assert_eq!(url.as_str(), agent, "{uri}");
    }
    for uri in ["consulkv://h:8500", "consulkv-unix:///run/c.sock", "consulkv-unix:///run/c.sock:"]
    {
        let error = store(uri).expect_err(uri).to_string();
        assert!(error.starts_with(&format!("{uri} has no path")), "{error}");
    }
    let error = store("consulkv://h/a/%ff").expect_err("no UTF-8").to_string();
    assert_eq!(error, "consulkv://h/a/%ff: \"%ff\" cannot be a part of a key");
}

#[test]
fn keys_and_values_are_read_as_they_are_written() {
    let store = store("consulkv://h/p").expect("a store");
    for (id, name, address, key, text) in [
        ("h:app:80", "web", "10.0.0.1", "p/web/h:app:80", "10.0.0.1:80"),
        ("my id", "team/x y", "db.local", "p/team/x y/my id", "db.local:80"),
        ("h:app:80", "web", "2001:db8::1", "p/web/h:app:80", "[2001:db8::1]:80"),
    ] {
        let service = service(id, name, address);
        assert_eq!((store.key(&service).as_str(), value(&service).as_str()), (key, text));
        let pair = pair(key, 0, text);
        let read = pair.service("p/").expect("a service");
        assert_eq!(read, (name, id, address.to_string(), 80));
    }
    for (key, text) in
        [("p/web/x", "text"), ("p/x", "a:1"), ("p/web/", "a:1"), ("p/a/x", "a:70000")]
    {
        assert_eq!(pair(key, 0, text).service("p/"), None, "{key} = {text}");
    }
}

#[test]
fn the_flags_say_whose_a_key_is() {
    let (ours, theirs) = (number(HOST), number("other"));
    assert!(ours != theirs && ours < 1 << 53);
    for (flags, host, writable) in [
        (ours, Some(HOST.to_string()), true),
        (0, None, true),
        (theirs, Some(format!("with the flags {theirs}")), false),
    ] {
        let mut known = Known::default();
        let read = known.take(vec![pair("p/web/x", flags, "a:80")], "p/", HOST, 0);
        assert_eq!(read["x"].meta.get(META_HOST), host.as_ref());
        assert_eq!(known.of("x").len(), usize::from(writable));
    }
}

#[test]
fn what_was_written_is_remembered_while_nobody_changes_it() {
    let service = service("x", "web", "a");
    let mut known = Known::default();
    known.begin("p/web/x", "x");
    known.end("p/web/x", &service);
    let mut read =
        |flags, value| known.take(vec![pair("p/web/x", flags, value)], "p/", HOST, 1)["x"].clone();
    assert_eq!(read(number(HOST), "a:80"), Registered::from(&service));
    assert_eq!(read(number(HOST), "a:80"), Registered::from(&service));
    assert_eq!(read(number(HOST), "a:81").tags, [""; 0]);
    assert_eq!(read(number(HOST), "a:80").tags, [""; 0]);
}

#[test]
fn a_read_does_not_forget_what_was_written_meanwhile() {
    let mut known = Known::default();
    known.begin("p/web/old", "old");
    let since = known.writes;
    known.begin("p/web/new", "new");
    known.take(Vec::new(), "p/", HOST, since);
    assert_eq!((known.of("old").len(), known.of("new").len()), (0, 1));
}

#[test]
fn all_names_of_an_id_are_known() {
    let mut known = Known::default();
    let ours = number(HOST);
    let pairs = [("p/a/x", 0), ("p/b/x", ours), ("p/c/x", ours), ("p/d/x", 7)];
    let pairs = pairs.map(|(key, flags)| pair(key, flags, "a:1")).into();
    let read = known.take(pairs, "p/", HOST, 0);
    assert_eq!(read["x"].name, "b");
    let mut keys = known.of("x");
    keys.sort();
    assert_eq!(keys, ["p/b/x", "p/c/x"]);
}

#[tokio::test]
async fn what_a_key_has_no_place_for_is_named() {
    let store = store("consulkv://h/a").expect("a store");
    let mut service = service("h:web:80", "web", "10.0.0.1");
    service.tags.clear();
    assert_eq!(store.as_sent(&service).await, None, "the mark is the key's number");

    service.tags.push("a".into());
    service.meta.insert("owner".into(), "ann".into());
    service.weights = Some(crate::model::service::Weights { passing: 2, warning: 1 });
    let sent = store.as_sent(&service).await.expect("less is sent");
    let words = sent.dropped.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(words.ends_with("it is registered without its tags, meta, weights"), "{words}");
    assert_eq!(store.as_sent(&sent.service).await, None);
    assert_eq!((sent.service.id, sent.service.port), (service.id, service.port));
}
