//! Guarantee: what a service has by version 0.2.0 of the contract is sent to an agent that knows it. What the
//! agent is too old for is left out with a warning that names it, whether it says how old it is
//! or not; the service is registered all the same, and not again and again. A stage of 0.1.0, which
//! is shown none of these fields, hands them on.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::common::{
    corpus, daemon::Daemon, fake_docker::FakeDocker, http::Activity, plugin,
    recording_consul::RecordingConsul, wait::until,
};

const SOON: Duration = Duration::from_secs(60);
const ID: &str = "testhost:web:80";

/// A container that has its services given these fields.
fn container(fields: &str) -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut one = case.expect("the case is part of the corpus").inspected().remove(0);
    one["Name"] = json!("/web");
    one["Config"]["Labels"] = json!({ "fields": fields });
    one
}

/// A daemon with the stage that gives the fields between others.
struct Lab {
    folder: tempfile::TempDir,
    docker: FakeDocker,
    consul: RecordingConsul,
}

impl Lab {
    async fn of(fields: &str, version: Option<&str>, unknown: &[&str]) -> Self {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        docker.set("web", Some(container(fields)));
        let consul = RecordingConsul::start(activity, Vec::new()).await;
        consul.be(version, unknown);
        Self { folder: tempfile::tempdir().expect("a folder"), docker, consul }
    }

    fn daemon(&self) -> Daemon {
        let stages: [(&str, &Path); 3] = [
            ("first", &plugin("facts")),
            ("older", &plugin("minimal")),
            ("last", &plugin("facts")),
        ];
        let mut text = "[limits]\ntimeout = '10s'\n[[pipeline]]\nname = 'registrator'\n\
            builtin = 'registrator'\n"
            .to_string();
        for (name, file) in stages {
            text += &format!("[[pipeline]]\nname = '{name}'\nfile = {file:?}\n");
        }
        let file = self.folder.path().join("wharfinger.toml");
        fs::write(&file, text).expect("it is written");
        let (path, uri) = (file.to_str().expect("a path"), self.consul.uri());
        let args = [
            "run",
            "--config",
            path,
            "--ip",
            "192.0.2.10",
            "--hostname",
            "testhost",
            "--resync",
            "1",
            &uri,
        ];
        let docker = self.docker.host();
        Daemon::start(&args, &[("DOCKER_HOST", &docker), ("WHARFINGER_CONTROL", "none")])
    }

    async fn service(&self, daemon: &Daemon) -> Value {
        until(SOON, "the service is there", async || {
            self.consul.services().get(ID).cloned().ok_or_else(|| daemon.log())
        })
        .await
    }

    /// That for some resyncs nothing is written.
    async fn rests(&self, daemon: &Daemon) {
        let (writes, reads) = (self.consul.count(), self.consul.reads());
        until(SOON, "it is read again", async || match self.consul.reads() {
            now if now >= reads + 4 => Ok(()),
            _ => Err(daemon.log()),
        })
        .await;
        assert_eq!(self.consul.writes(writes), [], "{}", daemon.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_knows_them_has_all_of_them() {
    let lab = Lab::of("ports,locality,socket-path,native,definition", Some("2.0.1"), &[]).await;
    let daemon = lab.daemon();
    let found = lab.service(&daemon).await;
    let port = found["Ports"][0]["Port"].clone();
    assert!(port.as_u64().is_some_and(|port| port > 0), "{found}");
    assert_eq!(found["Port"], 0, "not one port and several: {found}");
    let expected = json!([
        { "Name": "http", "Port": port, "Default": true }, { "Name": "admin", "Port": 9091 },
    ]);
    assert_eq!(found["Ports"], expected, "{found}");
    assert_eq!(found["Locality"], json!({ "Region": "eu", "Zone": "eu-1" }), "{found}");
    assert_eq!(found["SocketPath"], "/run/web.sock", "{found}");
    assert_eq!(found["Connect"], json!({ "Native": true }), "{found}");
    // The stage of 0.1.0 between the two handed them on.
    let tags = found["Tags"].to_string();
    let sees = "sees=ports+locality+socket-path+connect-native+definition";
    assert!(tags.contains(sees) && tags.contains("contract-0.1.0"), "{tags}");
    let sent = format!("{:?}", lab.consul.writes(0));
    assert!(sent.contains("FutureField"), "{sent}");
    lab.rests(&daemon).await;
    // What others change is put right.
    let mut other = found.clone();
    other["Name"] = json!("web");
    other["Locality"] = json!({ "Region": "us" });
    lab.consul.put(&other);
    until(SOON, "it is put right", async || {
        let now = lab.consul.services()[ID]["Locality"].clone();
        if now["Region"] == "eu" { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    lab.rests(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_sent_as_one_and_read_back() {
    let lab = Lab::of("proxy", Some("1.8.7"), &["FutureField"]).await;
    let daemon = lab.daemon();
    let found = lab.service(&daemon).await;
    assert_eq!(found["Kind"], "connect-proxy", "{found}");
    let expected = json!({
        "DestinationServiceName": "shop",
        "LocalServiceAddress": "192.0.2.7",
        "LocalServicePort": 8080,
        "Config": { "protocol": "http", "limit": 1.5 },
        "Upstreams": [{
            "DestinationName": "db", "LocalBindPort": 5432, "MeshGateway": { "Mode": "local" },
        }],
    });
    assert_eq!(found["Proxy"], expected, "{found}");
    lab.rests(&daemon).await;
}

/// What each agent is given, and what a warning names.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_is_too_old_for_is_left_out_with_a_warning() {
    let all = "ports,locality,socket-path,native,definition";
    let newer = ["Ports", "Locality", "SocketPath", "FutureField"];
    for (version, unknown, left_out, there) in [
        (
            Some("1.8.7"),
            &newer[..],
            &["ports", "locality", "socket-path", "FutureField"][..],
            &[][..],
        ),
        (Some("1.18.2"), &["Ports", "FutureField"], &["ports", "FutureField"], &["SocketPath"]),
        (None, &newer, &["ports", "locality", "socket-path", "FutureField"], &[]),
        // Nothing is taken from it that it knows.
        (Some("1.22.0"), &["FutureField"], &["FutureField"], &["Ports", "SocketPath"]),
    ] {
        let lab = Lab::of(all, version, unknown).await;
        let daemon = lab.daemon();
        let found = lab.service(&daemon).await;
        for field in left_out {
            daemon.wait_for_log(field, SOON).await;
        }
        let log = daemon.log();
        if version == Some("1.8.7") {
            assert!(log.contains("agent=\"1.8\""), "{log}");
        }
        for field in there {
            assert!(found.get(*field).is_some(), "{version:?} {field}: {found}");
        }
        for field in unknown {
            assert!(found.get(*field).is_none(), "{version:?} {field}: {found}");
        }
        let has_ports = there.contains(&"Ports");
        assert_eq!(found["Port"] == 0, has_ports, "{version:?}: it has a port: {found}");
        assert_eq!(found["Connect"], json!({ "Native": true }), "{version:?}: {found}");
        lab.rests(&daemon).await;
        // Nor does the next daemon write, which knows nothing of how it was taken.
        drop(daemon);
        let writes = lab.consul.count();
        let next = lab.daemon();
        next.wait_for_log("Listening for Docker events", SOON).await;
        lab.rests(&next).await;
        assert_eq!(lab.consul.writes(writes), [], "{version:?}: {}", next.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_says_more_than_it_may_is_the_stages_failure() {
    let lab = Lab::of("token", Some("1.8.7"), &[]).await;
    let daemon = lab.daemon();
    let log = daemon.wait_for_log("it is not for a definition to say", SOON).await;
    assert!(log.contains("Token") && log.contains("first"), "{log}");
    assert_eq!(lab.consul.ids(), [""; 0], "{log}");
}
