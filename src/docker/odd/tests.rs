use serde_json::json;

use super::*;
use crate::{
    docker::{Tags, container},
    model::container::{Container, Health, State},
};

/// A container as Docker 20.10 prints it, as far as it is read.
fn usual() -> Value {
    json!({
        "Id": "c".repeat(64),
        "Created": "2026-01-01T00:00:00Z",
        "Name": "/web",
        "Image": "sha256:1",
        "State": {
            "Status": "running", "Running": true, "ExitCode": 0, "Pid": 7,
            "StartedAt": "2026-01-01T00:00:01Z",
            "Health": { "Status": "healthy", "FailingStreak": 0, "Log": [] }
        },
        "Config": {
            "Image": "web:1", "Hostname": "web", "Env": ["A=1", "B=2"],
            "Labels": { "x": "1", "y": "2" },
            "ExposedPorts": { "80/tcp": {}, "81/tcp": {} },
            "Healthcheck": { "Test": ["CMD", "true"], "Interval": 1_000_000_000 }
        },
        "HostConfig": { "NetworkMode": "bridge", "PortBindings": {} },
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8000" }],
                "81/tcp": [{ "HostIp": "::", "HostPort": "8001" }]
            },
            "Networks": {
                "bridge": { "NetworkID": "n", "IPAddress": "172.17.0.2", "IPPrefixLen": 16 },
                "shop": { "NetworkID": "m", "IPAddress": "172.18.0.2" }
            }
        }
    })
}

/// The usual container with a value at a pointer.
fn with(pointer: &str, value: &Value) -> Value {
    let mut answer = usual();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/");
    let parent = answer.pointer_mut(parent).expect("its parent");
    match parent {
        Value::Array(elements) => elements.push(value.clone()),
        parent => parent[&key] = value.clone(),
    }
    answer
}

fn read(answer: Value) -> Result<Container, InspectFault> {
    container(&inspected(answer, false)?, None, &Tags::default())
}

/// Check that an odd value at a pointer costs no more than what `change` takes
/// from the usual container.
#[track_caller]
fn costs(pointer: &str, value: Value, change: impl FnOnce(&mut Container)) {
    let mut expected = read(usual()).expect("the usual container");
    change(&mut expected);
    let found = read(with(pointer, &value));
    assert_eq!(found.as_ref(), Ok(&expected), "{pointer}: {value}");
}

#[test]
fn a_value_of_another_type_costs_its_field() {
    let nothing = |_: &mut Container| {};
    // What a policy asks about is known whole or not at all.
    let setup = |c: &mut Container| c.setup = None;
    costs("/Created", json!(1_767_225_600), |c| c.created_at = "1767225600".into());
    costs("/Image", json!({}), |c| c.image_id.clear());
    costs("/RestartCount", json!("many"), nothing);
    costs("/SizeRw", json!("1 GB"), nothing);
    costs("/Mounts", json!("none"), setup);
    costs("/GraphDriver", json!({ "Name": null, "Data": 1 }), nothing);
    costs("/State/Pid", json!("x"), nothing);
    costs("/State/ExitCode", json!("0"), nothing);
    costs("/State/ExitCode", json!("137"), |c| c.exit_code = 137);
    costs("/State/Health/Log", json!("x"), nothing);
    costs("/State/Health/FailingStreak", json!("3"), nothing);
    costs("/State/Health", json!([]), |c| c.health = Health::None);
    costs("/State/Health/Status", json!("levitating"), |c| c.health = Health::None);
    costs("/Config/Healthcheck/Interval", json!("30s"), setup);
    costs("/Config/Hostname", json!(7), |c| c.hostname = "7".into());
    costs("/Config/Env/2", json!(null), nothing);
    costs("/Config/Env/2", json!({ "C": 3 }), nothing);
    costs("/Config/Labels/x", json!(8080), |c| drop(c.labels.insert("x".into(), "8080".into())));
    costs("/Config/Labels/x", json!(null), |c| drop(c.labels.remove("x")));
    costs("/Config/Labels/x", json!(["1"]), |c| drop(c.labels.remove("x")));
    costs("/Config/ExposedPorts/80~1tcp", json!(null), nothing);
    costs("/HostConfig/Memory", json!("lots"), setup);
    costs("/HostConfig/Privileged", json!("perhaps"), setup);
    costs("/HostConfig/CapAdd", json!([null, "NET_ADMIN"]), setup);
    costs("/HostConfig/PortBindings", json!(0), nothing);
    costs("/NetworkSettings/SandboxID", json!(1), nothing);
}

#[test]
fn a_binding_or_a_network_costs_itself() {
    let nothing = |_: &mut Container| {};
    let second = |c: &mut Container| drop(c.published_ports.remove(0));
    let bound = |value: Value| json!([{ "HostIp": "0.0.0.0", "HostPort": value }]);
    let at = "/NetworkSettings/Ports/80~1tcp";
    costs(at, bound(json!(8000)), nothing);
    costs(at, bound(json!("8000")), nothing);
    for none in [json!(null), json!(""), json!("0"), json!(0), json!({}), json!(true)] {
        costs(at, bound(none), second);
    }
    costs(at, json!([null, { "HostIp": "0.0.0.0", "HostPort": "8000" }]), nothing);
    costs(at, json!([7, { "HostIp": "0.0.0.0", "HostPort": "8000" }]), nothing);
    costs(at, json!([{ "HostIp": null, "HostPort": "8000" }]), |c| {
        c.published_ports[0].host_ip.clear();
    });
    costs(at, json!([{ "HostIp": 0, "HostPort": "8000" }]), |c| {
        c.published_ports[0].host_ip.clear();
    });
    costs("/NetworkSettings/Ports/http", json!("x"), nothing);
    costs("/NetworkSettings/Networks/shop/IPPrefixLen", json!("16"), nothing);
    costs("/NetworkSettings/Networks/shop/Aliases", json!("web"), nothing);
    let lost = |c: &mut Container| c.networks[1].ipv4 = None;
    for none in [json!(null), json!(""), json!("invalid IP"), json!("0.0.0.0"), json!([1])] {
        costs("/NetworkSettings/Networks/shop/IPAddress", none, lost);
    }
    costs("/NetworkSettings/Networks/shop", json!(null), |c| {
        c.networks[1].ipv4 = None;
        c.networks[1].id.clear();
    });
    costs("/NetworkSettings/Networks/shop", json!(true), |c| drop(c.networks.remove(1)));
}

#[test]
fn what_is_empty_in_another_form_is_empty() {
    for none in [json!(null), json!([]), json!(""), json!({})] {
        costs("/Config/Env", none.clone(), |c| c.env.clear());
        costs("/Config/Labels", none.clone(), |c| c.labels.clear());
        costs("/Config/ExposedPorts", none.clone(), |c| c.exposed_ports.clear());
        costs("/NetworkSettings/Ports", none.clone(), |c| c.published_ports.clear());
        costs("/NetworkSettings/Networks", none, |c| c.networks.clear());
    }
}

#[test]
fn what_a_container_is_nothing_without_is_an_error() {
    for place in WHOLE {
        // A number would do for the text that it is.
        let odd = if place == "/HostConfig/NetworkMode" { json!([7]) } else { json!(7) };
        assert_eq!(read(with(place, &odd)), Err(InspectFault::Unreadable(place)), "{place}");
    }
}

#[test]
fn a_state_that_nobody_knows_is_told_by_running() {
    costs("/State/Status", json!("levitating"), |_| {});
    costs("/State/Status", json!(["running"]), |_| {});
    let mut answer = with("/State/Running", &json!(false));
    answer["State"]["Status"] = json!("levitating");
    assert_eq!(read(answer).map(|container| container.state), Ok(State::Other));
    let mut answer = with("/State/Status", &json!("levitating"));
    answer["State"].as_object_mut().expect("an object").remove("Running");
    assert_eq!(read(answer), Err(InspectFault::Unreadable(STATUS)));
}

#[test]
fn a_list_is_read_by_its_identifiers() {
    let ids = |list: Value| {
        let ids = listed(&list.to_string())?;
        Some(ids.into_iter().map(|id| id.0).collect::<Vec<_>>().join(" "))
    };
    let odd = json!([{ "Id": "a", "State": "levitating" }, { "Id": "b", "Created": "x" }]);
    assert_eq!(ids(odd).as_deref(), Some("a b"));
    assert_eq!(ids(json!([])).as_deref(), Some(""));
    // A list in which one cannot be told is no list of the others.
    for none in [json!([{ "Id": "a" }, {}]), json!([{ "Id": 1 }]), json!({}), json!([null])] {
        assert_eq!(ids(none), None);
    }
    assert_eq!(listed("[{\"Id\": \"a\"}"), None);
}

#[test]
fn an_engine_is_known_by_two_texts_alone() {
    let said = |info: Value| identity(&info.to_string());
    let odd = json!({ "ID": "x", "DockerRootDir": "/d", "NCPU": "two", "Swarm": 7, "Labels": {} });
    assert_eq!(said(odd), Some((Some("x".into()), "/d".into())));
    assert_eq!(said(json!({ "ID": 5, "DockerRootDir": null })), Some((None, String::new())));
    assert_eq!(said(json!({})), Some((None, String::new())));
    assert_eq!(said(json!(["ID"])), None);
    assert_eq!(identity("{\"ID\": "), None);
}
