//! Guarantee: whatever a container says, what comes out of the pipeline can be registered,
//! can be removed again, and is nobody else's; and everything that is sound is there.
//!
//! `WHARFINGER_GATE_CONTAINERS` says how many containers are made up, and
//! `WHARFINGER_GATE_SECONDS` for how long; `WHARFINGER_GATE_SEED` makes others: `make fuzz-gate`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use crate::common::hostile_labels::{Hostile, inspected};
use regex::Regex;
use serde_json::{Value, json};
use wharfinger::{
    docker::{Tags, container},
    model::{
        container::Container,
        host::{Compat, Host},
        service::Service,
    },
    pipeline::{Bounds, Outcome, Pipeline},
    registry::body,
    stages::builtin::Builtin,
};

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn host(compat: Compat) -> Host {
    Host {
        hostname: "testhost".into(),
        forced_address: Some("192.0.2.1".into()),
        resolved_address: None,
        internal: false,
        explicit: false,
        address_label: None,
        compat,
        flags: BTreeMap::from([("compat".into(), compat.to_string())]),
        agent: None,
        engine: None,
    }
}

fn pipeline() -> Pipeline {
    let stage = Builtin::new("registrator", "registrator", "{}").expect("a stage");
    Pipeline::new(vec![Arc::new(stage)])
}

fn read(inspected: Value) -> Container {
    let response = serde_json::from_value(inspected).expect("as Docker prints it");
    container(&response, None, &Tags::default()).expect("a container")
}

/// Whether nobody is deceived by the text: the rule in other words.
fn is_plain(text: &str) -> bool {
    static ODD: LazyLock<Regex> = LazyLock::new(|| {
        let odd = r"[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u{200B}\u{FEFF}]";
        Regex::new(odd).expect("a pattern")
    });
    !ODD.is_match(text)
}

/// What Go's server makes of a path of these bytes.
fn comes_back(id: &str) -> bool {
    let mut url =
        reqwest::Url::parse("http://127.0.0.1/v1/agent/service/deregister/").expect("a URL");
    url.path_segments_mut().expect("it has a path").pop_if_empty().push(id);
    let path = url.path().strip_prefix("/v1/agent/service/deregister/");
    let Some(path) = path else { return false };
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let clean = decoded.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let printed = id.chars().all(|c| c == ' ' || !c.is_whitespace() && c != '\u{200d}');
    decoded == id && clean && printed && id.trim() == id && !id.is_empty() && id.len() <= 512
}

fn is_consuls(id: &str) -> bool {
    id == "serfHealth"
        || ["_node_maintenance", "_service_maintenance", "service:"]
            .iter()
            .any(|it| id.starts_with(it))
}

/// What is wrong with a service of the container `name`.
fn fault(name: &str, service: &Service, compat: Compat) -> Option<String> {
    let Service { id, tags, meta, checks, .. } = service;
    let own = format!("testhost:{name}:");
    static OF_FORM: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^.+:[A-Za-z0-9_.-]+:[0-9]+(:udp)?$").expect("a pattern"));
    let sound = compat == Compat::None;
    if !comes_back(id) || !is_plain(id) {
        return Some("its ID cannot be addressed".into());
    }
    if id == "consul" || is_consuls(&format!("{id}:")) {
        return Some("its ID is Consul's".into());
    }
    if sound && OF_FORM.is_match(id) && !id.starts_with(&own) {
        return Some("its ID is another's".into());
    }
    if !is_plain(&service.name) || service.name.trim().is_empty() {
        return Some("its name".into());
    }
    if sound && service.name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("its name in a path".into());
    }
    if tags.len() > 256 || !tags.iter().all(|tag| is_plain(tag) && !tag.trim().is_empty()) {
        return Some("its tags".into());
    }
    if meta.keys().any(|key| key.starts_with("wharfinger-") || sound && key.starts_with("consul-"))
        || sound && meta.values().any(|value| value.len() > 512)
        || sound && meta.len() > 64
    {
        return Some("its metadata".into());
    }
    let mut ids = BTreeSet::new();
    for (n, check) in checks.iter().enumerate() {
        match &check.id {
            // What Consul makes of it.
            None if id.rsplit_once(':').is_some_and(|(_, end)| end.parse::<u64>().is_ok())
                && !id.starts_with(&own) =>
            {
                return Some(format!("check {n} has an ambiguous ID"));
            }
            None => {}
            Some(given) => {
                let rest = given.strip_prefix(&format!("{id}:"));
                if rest.is_none_or(|rest| rest.contains(':')) || is_consuls(given) {
                    return Some(format!("check {n} has the ID {given:?}"));
                }
                if !comes_back(given) || !is_plain(given) || !ids.insert(given) {
                    return Some(format!("check {n} has the ID {given:?}"));
                }
            }
        }
    }
    let body = body::register(service).to_string();
    if body.len() > 2 << 20 {
        return Some(format!("{} bytes", body.len()));
    }
    for check in body::register(service)["Checks"].as_array().into_iter().flatten() {
        let others =
            ["ServiceID", "service_id", "Node", "Namespace", "Partition", "check_id", "ID"];
        if sound && others.iter().any(|key| !check[*key].is_null()) {
            return Some(format!("its check {check}"));
        }
    }
    None
}

/// That the outcome is sound, and that nothing is lost of it but what was said.
fn judge(name: &str, outcome: &Outcome, compat: Compat) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for service in &outcome.services {
        if let Some(fault) = fault(name, service, compat) {
            return Err(format!("{fault}: {service:#?}"));
        }
        if compat == Compat::None && !ids.insert(&service.id) {
            return Err(format!("two services have the ID {:?}", service.id));
        }
    }
    if outcome.services.len() + outcome.vetoed.len() != outcome.candidates.len() {
        return Err("a service is lost".into());
    }
    let said = |reason: &str| reason.contains("SERVICE_IGNORE") || reason.contains(": ID: ");
    if let Some(veto) = outcome.vetoed.iter().find(|veto| !said(&veto.reason)) {
        return Err(format!("it is vetoed: {}", veto.reason));
    }
    match outcome.warnings.iter().find(|warning| !is_plain(warning)) {
        Some(warning) => Err(format!("it is said so: {warning:?}")),
        None if outcome.warnings.len() > 50 => Err(format!("{} warnings", outcome.warnings.len())),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_container_says_what_is_registered_is_sound_and_its_own() {
    let (seconds, count) =
        (setting("WHARFINGER_GATE_SECONDS"), setting("WHARFINGER_GATE_CONTAINERS"));
    let seed = setting("WHARFINGER_GATE_SEED").unwrap_or(20_260_801);
    println!("seed {seed}");
    let (mut hostile, pipeline) = (Hostile::new(seed), pipeline());
    let (mut tried, mut kinds) = (0_u64, BTreeMap::<&str, u64>::new());
    let began = Instant::now();
    let more = |tried| match seconds {
        Some(seconds) => began.elapsed() < Duration::from_secs(seconds),
        None => tried < count.unwrap_or(3_000),
    };
    let good = json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "80" }] });
    let good = read(inspected("good", &"f".repeat(64), &json!({}), &json!([]), &good));
    while more(tried) {
        let name = format!("c{}", tried % 1_000);
        let container = read(hostile.inspected(&name, &format!("{:064x}", tried % 1_000)));
        let compat = if tried % 4 == 0 { Compat::Registrator } else { Compat::None };
        let kind = match pipeline.evaluate(&container, &host(compat)).await {
            Ok(outcome) => {
                if let Err(fault) = judge(&name, &outcome, compat) {
                    panic!(
                        "container {tried} of seed {seed}, {compat}: {fault}\n{:#?}",
                        container.labels
                    );
                }
                match (outcome.services.is_empty(), outcome.warnings.is_empty()) {
                    (true, _) => "vetoed",
                    (false, true) => "as it is",
                    (false, false) => "mended",
                }
            }
            Err(error) => error.source.kind(),
        };
        *kinds.entry(kind).or_default() += 1;
        tried += 1;
        if tried % 500 == 0 {
            let outcome = pipeline.evaluate(&good, &host(Compat::None)).await.expect("it is good");
            assert_eq!(outcome.services[0].id, "testhost:good:80");
        }
    }
    println!("{tried} containers in {:?}: {kinds:?}", began.elapsed());
    let known = ["vetoed", "as it is", "mended", "bound", "label"];
    assert!(kinds.keys().all(|kind| known.contains(kind)), "{kinds:?}");
    assert!(kinds.contains_key("mended") && kinds.contains_key("as it is"), "{kinds:?}");
    assert!(kinds.contains_key("bound"), "{kinds:?}");
}

/// Containers that ask for all there is leave the others what they need.
#[tokio::test]
async fn a_greedy_host_leaves_a_small_container_its_part() {
    let bounds = Bounds { all_services: 500, ..Bounds::DEFAULT };
    let pipeline = pipeline().bounded(bounds);
    let ports = json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "80" }] });
    let ask = async |n: usize, ports_too: usize| {
        let more: Vec<_> = (1_000..1_000 + ports_too).map(|port| port.to_string()).collect();
        let labels = json!({ "wharfinger.port": more.join(",") , "wharfinger.network": "bridge" });
        let name = format!("c{n}");
        let container = read(inspected(&name, &format!("{n:064}"), &labels, &json!([]), &ports));
        let outcome = pipeline.evaluate(&container, &host(Compat::None)).await;
        outcome.map(|outcome| outcome.services.len()).map_err(|error| error.source.to_string())
    };
    for n in 0..2 {
        assert_eq!(ask(n, 240).await, Ok(241));
    }
    let refused = ask(2, 240).await.expect_err("there is nothing left");
    assert!(refused.contains("723 services with those of all; 500 are allowed"), "{refused}");
    assert_eq!(ask(3, 1).await, Ok(2), "a small one gets its part");
}
