//! Guarantee: a proxy, a gateway and a service of the mesh are registered with a real agent as what
//! they are, and are no difference afterwards, whatever the agent adds to them. What this agent is
//! too old for is left out and not missed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    common::{plugin, wait::until},
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_mesh_is_registered_as_that_and_rests() {
    let lab = Lab::new().await;
    let all = ["proxy", "gateway", "native", "ports,locality,socket-path,native,definition"];
    for (number, fields) in all.iter().enumerate() {
        lab.start_on(
            80 + u16::try_from(number).expect("few"),
            &format!("c{number}"),
            number,
            &[("fields", *fields)],
        );
    }
    let config = format!(
        "[limits]\ntimeout = '10s'\n[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'facts'\nfile = {:?}\n",
        plugin("facts")
    );
    let daemon = lab.daemon(&["--resync", "1"], Some(&config));
    let ids: Vec<_> = (0..all.len()).map(|number| format!("h:c{number}:{}", 80 + number)).collect();
    lab.has(&ids, SOON).await;
    let services = lab.consul.services().await;
    let of = |number: usize| &services[&ids[number]];
    assert_eq!(of(0)["Kind"], "connect-proxy", "{}", of(0));
    assert_eq!(of(0)["Proxy"]["DestinationServiceName"], "shop", "{}", of(0));
    assert_eq!(of(0)["Proxy"]["Upstreams"][0]["LocalBindPort"], 5432, "{}", of(0));
    assert_eq!(of(0)["Proxy"]["Config"], json!({ "protocol": "http", "limit": 1.5 }), "{}", of(0));
    assert_eq!(of(1)["Kind"], "mesh-gateway", "{}", of(1));
    for number in [2, 3] {
        assert_eq!(of(number)["Connect"]["Native"], true, "{}", of(number));
    }
    assert_eq!(of(3)["Port"], 83, "the default of its ports: {}", of(3));
    daemon.wait_for_log("FutureField", SOON).await;
    let log = daemon.log();
    for field in ["ports", "locality", "socket-path"] {
        assert!(log.contains(field), "{field}: {log}");
    }
    // Nobody writes again: neither this daemon, whatever the agent has made of it, nor the next one.
    let writes = lab.proxy.count();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(lab.proxy.count(), writes, "{}", daemon.log());
    drop(daemon);
    let next = lab.daemon(&["--resync", "1"], Some(&config));
    next.wait_for_log("Listening for Docker events", SOON).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(lab.proxy.count(), writes, "{}", next.log());
    // What somebody else made of the proxy is put right.
    let mut other: Value = services[&ids[0]].clone();
    other["Name"] = other["Service"].take();
    other["Proxy"]["LocalServicePort"] = json!(1);
    let body: Value = ["ID", "Name", "Port", "Address", "Kind", "Proxy", "Meta", "Tags"]
        .iter()
        .map(|key| (key.to_string(), other[*key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    lab.register(&body).await;
    until(SOON, "it is put right", async || {
        let port = lab.consul.services().await[&ids[0]]["Proxy"]["LocalServicePort"].clone();
        if port == 8080 { Ok(()) } else { Err(port.to_string()) }
    })
    .await;
}
