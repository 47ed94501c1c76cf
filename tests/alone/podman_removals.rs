//! Guarantee: what Podman says of a container that it is removing is taken for what
//! it means, and nothing else is taken for it: a container that is there never
//! counts as gone.

use std::time::Duration;

use crate::common::{
    corpus, daemon::Daemon, fake_docker::FakeDocker, http::Activity,
    recording_consul::RecordingConsul, wait::until,
};
use serde_json::{Value, json};
use wharfinger::{
    docker::{Docker, Source, Tags},
    model::container::ContainerId,
};

const SOON: Duration = Duration::from_secs(60);
const PODMAN: &str = "Podman Engine";

/// The identifier of the container in these tests.
fn id() -> String {
    "a".repeat(64)
}

/// What `docker inspect` prints of it.
fn inspected() -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut one = case.expect("the case is part of the corpus").inspected().remove(0);
    one["Id"] = json!(id());
    one["Name"] = json!("/web");
    one
}

/// What becomes of an inspection that is answered with these errors first.
async fn inspect(engine: &str, there: bool, faults: &[(u16, &str)]) -> String {
    let fake = FakeDocker::start(Activity::default());
    fake.be(engine);
    fake.set("web", there.then(inspected));
    let docker = Docker::connect(Some(&fake.host()), Tags::default()).await.expect("it answers");
    for (status, message) in faults {
        fake.fail(&id(), *status, &message.replace("{}", &id()));
    }
    match docker.inspect(&ContainerId(id().into())).await {
        Ok(Some(_)) => "there".into(),
        Ok(None) => format!("gone after {}", fake.inspections(&id())),
        Err(_) => format!("unknown after {}", fake.inspections(&id())),
    }
}

#[tokio::test]
async fn a_removal_is_a_404_in_other_words() {
    let gone = (500, "no container with ID {} found in database: no such container");
    let invalid = (500, "container {} is not valid: container has already been removed");
    let removed = (500, "container has already been removed");
    let layer = (500, "getting graph driver info \"{}\": layer not known");
    let other = (500, "container bbbbbbbbbbbb not found in DB: no such container");
    let locked = (500, "database is locked");
    for (engine, there, faults, expected) in [
        // It is asked once, and once only.
        (PODMAN, true, vec![gone], "gone after 1"),
        (PODMAN, true, vec![invalid], "gone after 1"),
        // It is not said of which container, so it is asked again.
        (PODMAN, false, vec![removed], "gone after 2"),
        (PODMAN, true, vec![removed], "there"),
        (PODMAN, false, vec![layer, layer], "gone after 3"),
        (PODMAN, true, vec![other], "there"),
        (PODMAN, true, vec![other; 9], "unknown after 4"),
        // Everything else stays a fault.
        (PODMAN, true, vec![locked], "unknown after 1"),
        (PODMAN, true, vec![(503, gone.1)], "unknown after 1"),
        (PODMAN, true, vec![(400, gone.1)], "unknown after 1"),
        ("Engine", true, vec![gone], "unknown after 1"),
        ("Engine", true, vec![removed], "unknown after 1"),
        ("Engine", false, vec![], "gone after 1"),
    ] {
        assert_eq!(inspect(engine, there, &faults).await, expected, "{engine} {there} {faults:?}");
    }
}

#[tokio::test]
async fn a_list_is_read_again_where_a_container_went_meanwhile() {
    let fake = FakeDocker::start(Activity::default());
    fake.set("web", Some(inspected()));
    let docker = Docker::connect(Some(&fake.host()), Tags::default()).await.expect("it answers");
    let removed = "container has already been removed";
    fake.fail_list(500, removed);
    docker.list().await.expect_err("it is no Podman");
    fake.be(PODMAN);
    fake.fail_list(500, removed);
    assert_eq!(docker.list().await.expect("the second list"), [ContainerId(id().into())]);
    assert_eq!(fake.lists(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_container_costs_no_warning() {
    let activity = Activity::default();
    let fake = FakeDocker::start(activity.clone());
    fake.be(PODMAN);
    fake.set("web", Some(inspected()));
    let consul = RecordingConsul::start(activity, Vec::new()).await;
    let (docker, uri) = (fake.host(), consul.uri());
    let mut daemon = Daemon::start(&["--ip", "192.0.2.10", &uri], &[("DOCKER_HOST", &docker)]);
    let registered = async |count: usize| {
        until(SOON, format!("{count} services"), async || match consul.ids().len() {
            found if found == count => Ok(()),
            found => Err(format!("{found} are registered")),
        })
        .await;
    };
    registered(1).await;
    // Its database has it no more, while its list still has.
    let words = "no container with ID {} found in database: no such container";
    for _ in 0..20 {
        fake.fail(&id(), 500, &words.replace("{}", &id()));
    }
    fake.send(&json!({
        "Type": "container", "Action": "remove", "Actor": { "ID": id(), "Attributes": {} },
    }));
    registered(0).await;
    assert!(daemon.terminate().await.success());
    let log = daemon.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}
