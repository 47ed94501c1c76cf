//! Guarantee: docs/migrating.md's way from registrator to here is the way. Its commands are taken from the
//! text and typed one after the other on a real Docker and a real Consul; only the places of the
//! socket and of Consul are this test's own.

use std::{fs, process::Command, time::Duration};

use serde_json::json;

use super::image;
use crate::common::{
    consul::{self, Consul},
    dockerd::Dockerd,
    ports, root,
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);
const EXTERNAL: &str = "192.0.2.10";

/// The commands of the page's section, a line each, without their comments.
fn commands() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/migrating.md")).expect("the page");
    let section = page.split("\n## In registrator's place\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let block = section.split("```").nth(1).expect("its commands");
    let joined = block.replace("\\\n", " ");
    let plain = joined.lines().map(|line| line.split(" # ").next().unwrap_or_default());
    let plain = plain.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    plain.filter(|line| !line.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_registrators_command_line_to_an_empty_plan() {
    let docker = Dockerd::start().await;
    let bridge = docker.bridge_ip().to_string();
    let options = consul::Options { addresses: vec![bridge.clone()], ..consul::Options::default() };
    let consul = Consul::start(options).await;
    image::build(&docker);
    docker.run(&["tag", image::IMAGE, "wharfinger"]);
    docker.import_busybox("web:1", &["CMD [\"sleep\",\"100000\"]", "EXPOSE 80"]);
    // What registrator does is told by what it leaves in Consul.
    docker.import_busybox(
        "gliderlabs/registrator",
        &["ENTRYPOINT [\"/bin/sh\",\"-c\",\"sleep 100000\"]"],
    );
    let hostname = Command::new("hostname").output().expect("the machine's name").stdout;
    let host = format!("{}-reg", String::from_utf8_lossy(&hostname).trim());
    let published = ports::free::<3>();
    for (n, port) in published.iter().enumerate() {
        let (name, publish) = (format!("c{n}"), format!("{port}:80"));
        docker.run(&["run", "-d", "--name", &name, "-p", &publish, "web:1"]);
        let id = format!("{host}:{name}:80");
        consul
            .register_foreign(&json!({
                "ID": id, "Name": "web", "Address": EXTERNAL, "Port": port, "Tags": [], "Meta": {},
            }))
            .await;
    }
    let type_in = |line: &str| {
        let line =
            line.replace("/var/run/docker.sock:", &format!("{}:", docker.socket().display()));
        let line = line.replace(":8500", &format!(":{}", consul.port()));
        let output = Command::new("sh")
            .args(["-c", &line])
            .env("DOCKER_HOST", docker.host())
            .env("EXTIP", EXTERNAL)
            .env("BRIDGEIP", &bridge)
            .output()
            .expect("a shell");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        println!("$ {line}\n{text}");
        (output.status.code(), text)
    };

    let commands = commands();
    let [original, image, plan, remove, start, again] = &commands[..] else {
        panic!("{commands:#?}");
    };
    assert_eq!(image, "make image");
    let flags = |line: &str, image: &str| {
        line.split_once(image).map(|(_, flags)| flags.trim().to_string()).unwrap_or_default()
    };
    let wanted = flags(original, "gliderlabs/registrator");
    assert_eq!(flags(plan, "wharfinger plan"), wanted, "the same flags");
    assert_eq!(flags(start, " wharfinger "), wanted, "the same flags");

    assert_eq!(type_in(original).0, Some(0));
    let before = consul.services().await;
    let (code, text) = type_in(plan);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("Plan: 3 to adopt"), "{text}");
    assert_eq!(consul.services().await, before, "a plan writes nothing");
    assert_eq!(type_in(remove).0, Some(0));
    let (code, text) = type_in(start);
    assert_eq!(code, Some(0), "{text}");
    until(SOON, "all carry the mark", async || {
        let services = consul.services().await;
        let marked =
            services.values().filter(|one| one["Meta"]["wharfinger-host"] == host.as_str()).count();
        if marked == 3 && services.len() == before.len() {
            Ok(())
        } else {
            Err(format!("{services:?}"))
        }
    })
    .await;
    until(SOON, "there is nothing to do", async || match type_in(again) {
        (Some(0), text) if text.contains("Nothing to do") => Ok(()),
        (code, text) => Err(format!("{code:?}: {text}")),
    })
    .await;
}
