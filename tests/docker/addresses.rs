//! Guarantee: a container is registered under the address that the
//! configuration and its labels choose, and only if it is selected; what cannot
//! be decided leaves what is registered as it is. On a real dockerd and a real
//! Consul agent.

use std::{fs, time::Duration};

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    dockerd::Dockerd,
    ports,
    wait::{holds, until},
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const WHILE: Duration = Duration::from_millis(1500);
const IP: &str = "192.0.2.10";

struct Lab {
    docker: Dockerd,
    consul: Consul,
}

impl Lab {
    async fn new() -> Self {
        let docker = Dockerd::start().await;
        docker.import_busybox("web:1", &["CMD [\"sleep\",\"100000\"]", "EXPOSE 80"]);
        Self { docker, consul: Consul::start(consul::Options::default()).await }
    }

    /// The daemon with this configuration file and these flags.
    fn daemon(&self, config: &str, flags: &[&str]) -> Daemon {
        let file = self.docker.socket().with_file_name("wharfinger.toml");
        fs::write(&file, config).expect("the file is written");
        let (file, uri) = (file.display().to_string(), format!("consul://{}", self.consul.addr()));
        let mut args = vec!["-config", &file, "-ip", IP, "-hostname", "h"];
        args.extend(flags);
        args.push(&uri);
        Daemon::start(&args, &[("DOCKER_HOST", &self.docker.host())])
    }

    /// A network with IPv4 and IPv6. Its IPv6 subnet is as private as the IPv4
    /// one of the daemon's bridge.
    fn dual_network(&self, name: &str) -> String {
        let [_, x, y, _] = self.docker.bridge_ip().octets();
        let subnet = format!("fd00:{x:x}:{y:x}::/64");
        self.docker.run(&["network", "create", "--ipv6", "--subnet", &subnet, name]);
        subnet
    }

    fn start(&self, name: &str, args: &[&str]) -> String {
        let mut line = vec!["run", "-d", "--stop-signal=KILL", "--name", name];
        line.extend(args);
        line.push("web:1");
        self.docker.run(&line)
    }

    /// The container's address in a network, as Docker says it.
    fn address(&self, name: &str, network: &str, field: &str) -> Value {
        let endpoint = &self.docker.inspect(name)["NetworkSettings"]["Networks"][network];
        let address = endpoint[field].clone();
        assert!(address.as_str().is_some_and(|ip| !ip.is_empty()), "{field} in {endpoint}");
        address
    }

    /// Wait until the catalog has this instance of a service, and return it.
    async fn at(&self, name: &str, address: &Value, port: u16) -> Value {
        until(SOON, format!("{name} at {address} {port}"), async || {
            let instances = self.consul.catalog_service(name).await;
            let found = instances.iter().find(|instance| {
                instance["ServiceAddress"] == *address && instance["ServicePort"] == port
            });
            found.cloned().ok_or(format!("{instances:?}"))
        })
        .await
    }

    /// Wait until exactly these service IDs are registered.
    async fn ids(&self, expected: &[&str]) {
        until(SOON, format!("exactly {expected:?} in Consul"), async || {
            let mut ids: Vec<_> = self.consul.services().await.keys().cloned().collect();
            ids.sort();
            if ids == expected { Ok(()) } else { Err(format!("{ids:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_address_follows_the_networks() {
    let lab = Lab::new().await;
    let _six = lab.dual_network("six");
    lab.docker.run(&["network", "create", "back"]);
    let config = "[address]\nnetworks = ['si*', 'back']\nfamily = 'dual'\n";
    let daemon = lab.daemon(config, &["-internal"]);

    lab.start("web", &["--network", "back", "-e", "SERVICE_NAME=web"]);
    let back = lab.address("web", "back", "IPAddress");
    lab.at("web", &back, 80).await;
    lab.docker.run(&["network", "connect", "six", "web"]);
    let (ipv4, ipv6) =
        (lab.address("web", "six", "IPAddress"), lab.address("web", "six", "GlobalIPv6Address"));
    let tagged = lab.at("web", &ipv4, 80).await["ServiceTaggedAddresses"].clone();
    assert_eq!(tagged["lan_ipv4"], json!({ "Address": ipv4, "Port": 80 }), "{tagged}");
    assert_eq!(tagged["lan_ipv6"], json!({ "Address": ipv6, "Port": 80 }), "{tagged}");
    lab.docker.run(&["network", "disconnect", "six", "web"]);
    let tagged = lab.at("web", &back, 80).await["ServiceTaggedAddresses"].clone();
    assert_eq!(tagged["lan_ipv6"], Value::Null, "{tagged}");

    // A label wins, and waits for the network that it names.
    lab.docker.run(&["network", "create", "late"]);
    let label = ["--network", "back", "-l", "wharfinger.network=late"];
    let id = lab.start("waits", &[&label[..], &["-e", "SERVICE_NAME=waits"]].concat());
    let line = daemon.wait_for_log("label wharfinger.network: the container is not", SOON).await;
    assert!(line.contains(&id[..12]) && line.contains("it keeps what it has"), "{line}");
    lab.ids(&["h:web:80"]).await;
    lab.docker.run(&["network", "connect", "late", "waits"]);
    lab.at("waits", &lab.address("waits", "late", "IPAddress"), 80).await;
    // What it has stays when the label can no longer be followed.
    let seen = daemon.lines();
    lab.docker.run(&["network", "disconnect", "late", "waits"]);
    daemon.wait_for_log_after(seen, "the container is not attached", SOON).await;
    lab.ids(&["h:waits:80", "h:web:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_address_is_chosen_by_subnet_and_family() {
    let lab = Lab::new().await;
    let subnet = lab.dual_network("six");
    let mut daemon = lab.daemon(&format!("[address]\nsubnets = [{subnet:?}]\n"), &["-internal"]);
    lab.start("web", &["--network", "six", "-e", "SERVICE_NAME=web"]);
    let plain = lab.start("plain", &[]);
    lab.at("web", &lab.address("web", "six", "GlobalIPv6Address"), 80).await;
    let ignored = format!("ignored: {} the container has no address in a subnet of", &plain[..12]);
    daemon.wait_for_log(&ignored, SOON).await;
    lab.ids(&["h:web:80"]).await;
    assert!(daemon.terminate().await.success());

    let mut daemon = lab.daemon("[address]\nfamily = 'ipv4'\n", &["-internal"]);
    lab.at("web", &lab.address("web", "six", "IPAddress"), 80).await;
    lab.ids(&["h:plain:80", "h:web:80"]).await;
    assert!(daemon.terminate().await.success());
    let _daemon = lab.daemon("[address]\nfamily = 'ipv6'\n", &["-internal"]);
    lab.at("web", &lab.address("web", "six", "GlobalIPv6Address"), 80).await;
    lab.ids(&["h:web:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn published_ports_have_both_addresses_and_some_services_no_port() {
    let lab = Lab::new().await;
    lab.docker.run(&["network", "create", "lan"]);
    let config = "[address]\nfamily = 'dual'\nhost-ipv6 = '2001:db8::10'\n\
                  direct-networks = ['lan']\n";
    let daemon = lab.daemon(config, &[]);
    let [port, other] = ports::free::<2>();
    let everywhere = format!("{port}:80");
    lab.start("web", &["-e", "SERVICE_NAME=web", "-p", &everywhere]);
    let tagged = lab.at("web", &IP.into(), port).await["ServiceTaggedAddresses"].clone();
    assert_eq!(tagged["lan_ipv4"], json!({ "Address": IP, "Port": port }), "{tagged}");
    assert_eq!(tagged["lan_ipv6"], json!({ "Address": "2001:db8::10", "Port": port }), "{tagged}");

    let six = format!("[::1]:{other}:80");
    lab.start("six", &["-e", "SERVICE_NAME=six", "-p", &six]);
    let tagged = lab.at("six", &json!("::1"), other).await["ServiceTaggedAddresses"].clone();
    assert_eq!(tagged["lan_ipv6"], json!({ "Address": "::1", "Port": other }), "{tagged}");

    lab.start("direct", &["-e", "SERVICE_NAME=direct", "--network", "lan"]);
    lab.at("direct", &lab.address("direct", "lan", "IPAddress"), 80).await;
    let label = ["--network", "host", "-l", "wharfinger.port=8080"];
    lab.start("open", &[&label[..], &["-e", "SERVICE_8080_NAME=open"]].concat());
    lab.at("open", &IP.into(), 8080).await;

    let portless = ["-l", "wharfinger.portless=true", "-l", "SERVICE_NAME=worker"];
    lab.start("worker", &portless);
    let worker = lab.at("worker", &IP.into(), 0).await;
    assert_eq!(worker["ServiceID"], "h:worker:0");
    lab.start("unnamed", &["-l", "wharfinger.portless=true"]);
    daemon.wait_for_log("label wharfinger.portless: it needs SERVICE_NAME", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_selects_containers() {
    let lab = Lab::new().await;
    let [one, two] = ports::free::<2>().map(|port| format!("{port}:80"));
    lab.start("in", &["-l", "tier=front", "-p", &one]);
    let out = lab.start("out", &["-p", &two]);
    let mut daemon = lab.daemon("", &[]);
    lab.ids(&["h:in:80", "h:out:80"]).await;
    assert!(daemon.terminate().await.success());

    // It has no answer for a container without the label, which keeps all.
    let mut daemon = lab.daemon("[containers]\nselect = 'labels.tier == \"front\"'\n", &[]);
    let line = daemon.wait_for_log("could not decide: there is no", SOON).await;
    assert!(line.contains("containers.select") && line.contains(&out[..12]), "{line}");
    holds(WHILE, "both services stay", async || {
        let services = lab.consul.services().await;
        if services.len() == 2 { Ok(()) } else { Err(format!("{services:?}")) }
    })
    .await;
    assert!(daemon.terminate().await.success());

    let select = "[containers]\nselect = '\"tier\" in labels && labels.tier == \"front\"'\n";
    let daemon = lab.daemon(select, &[]);
    let ignored = format!("ignored: {} not selected by containers.select", &out[..12]);
    daemon.wait_for_log(&ignored, SOON).await;
    lab.ids(&["h:in:80"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_the_file_is_said_at_the_start() {
    let lab = Lab::new().await;
    let config = "[containers]\nselect = 'label.tier == \"front\"'\n\
                  [address]\nsubnets = ['10.1.2.3/16']\nnetworks = ['[']\n";
    let mut daemon = lab.daemon(config, &[]);
    let status = daemon.wait(SOON).await;
    assert_eq!(status.code(), Some(78));
    let log = daemon.log();
    for part in [
        "containers.select: there is no variable \"label\"; there are labels, env, image",
        "address.subnets: \"10.1.2.3/16\" is no subnet; 10.1.0.0/16 is",
        "address.networks: error parsing glob '['",
    ] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
}
