//! What `plan` says is held is what the daemon holds, also where the same change adds much.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    common::{daemon::Daemon, proxy::Mode, wait::until},
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(30);

const PIPELINE: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("h:c{number}:80")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_is_counted_against_what_was_there_and_not_against_what_comes() {
    let lab = Lab::new().await;
    for number in 0..6 {
        lab.start(&format!("c{number}"), number, &[("tier", "old")]);
    }
    let mut first = lab.daemon(&[], Some(PIPELINE));
    lab.has(&ids(0..6), SOON).await;
    assert!(first.terminate().await.success());

    for number in 6..60 {
        lab.start(&format!("c{number}"), number, &[("tier", "new")]);
    }
    let changed = format!("[containers]\nselect = \"labels['tier'] != 'old'\"\n{PIPELINE}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    std::fs::write(&file, &changed).expect("it is written");
    let uri = format!("consul://{}", lab.consul.addr());
    let file = file.to_str().expect("a path");
    let host = ["-ip", "192.0.2.10", "--hostname", "h"];
    let plan = std::process::Command::new(Daemon::binary())
        .arg("plan")
        .args(host)
        .args(["--output", "json", "--config", file, &uri])
        .env("DOCKER_HOST", lab.docker.host())
        .output()
        .expect("the program can be run");
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let foreseen: Vec<String> =
        serde_json::from_value(plan["plan"]["held"]["services"].clone()).expect("what is held");
    assert_eq!((foreseen, &plan["plan"]["held"]["of"]), (ids(0..6), &Value::from(6)), "{plan:#}");

    let daemon = lab.daemon(&[], Some(&changed));
    daemon.wait_for_log("held: 6 of 6 services would be deregistered or renamed", SOON).await;
    // All the rest comes, and what is held stays.
    lab.has(&ids(0..60), SOON).await;
    until(SOON, "nothing else is there", async || {
        let there = lab.consul.services().await.len();
        if there == 60 { Ok(()) } else { Err(format!("{there} services")) }
    })
    .await;
}

/// Containers whose names were passed on while no daemon ran: what one gives up another one takes over,
/// so that nobody loses a service but the one whose name has no heir.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_passed_on_are_no_loss() {
    let config = format!("guard = {{ share = 20, least = 1 }}\n{PIPELINE}");
    for (story, of) in [("a circle", 6), ("a chain", 7)] {
        let lab = Lab::new().await;
        let tagged = |name: usize, number: usize| {
            let tag = format!("t{number}");
            lab.start(&format!("c{name}"), number, &[("SERVICE_TAGS", &tag)]);
        };
        (0..6).for_each(|number| tagged(number, number));
        let mut first = lab.daemon(&[], Some(&config));
        lab.has(&ids(0..6), SOON).await;
        assert!(first.terminate().await.success());

        if of == 7 {
            lab.docker.set("c0", None);
        }
        (0..6).for_each(|number| tagged((number + 1) % of, number));
        let daemon = lab.daemon(&[], Some(&config));
        until(SOON, format!("the names' new owners, after {story}"), async || {
            let there = lab.consul.services().await;
            let named = (0..6).map(|number| (format!("h:c{}:80", (number + 1) % of), number));
            let wrong: Vec<_> = named
                .filter(|(id, number)| {
                    there.get(id).is_none_or(|one| one["Tags"] != json!([format!("t{number}")]))
                })
                .collect();
            match (wrong.is_empty(), there.len()) {
                (true, 6) => Ok(()),
                (_, count) => Err(format!("{count} services, wrong: {wrong:?}")),
            }
        })
        .await;
        assert!(!daemon.log().contains("held:"), "{story}: {}", daemon.log());
    }
}

/// What was read before the services were renamed is no second daemon's word.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_makes_no_second_daemon_of_the_hosts_former_name() {
    let lab = Lab::new().await;
    (0..3).for_each(|number| lab.start(&format!("c{number}"), number, &[]));
    lab.start("mine", 3, &[("SERVICE_ID", "mine")]);
    let mut first = lab.daemon(&[], Some(PIPELINE));
    lab.has(&[ids(0..3), vec!["mine".into()]].concat(), SOON).await;
    assert!(first.terminate().await.success());

    lab.proxy.set(Mode::Late(Duration::from_secs(2)));
    let uri = format!("consul://{}", lab.proxy.addr());
    let line = ["run", "-ip", "192.0.2.10", "--hostname", "renamed", &uri];
    let second = Daemon::start(&line, &[("DOCKER_HOST", &lab.docker.host())]);
    until(SOON, "all has the new name", async || {
        let there = lab.consul.services().await;
        let renamed =
            there.values().filter(|one| one["Meta"]["wharfinger-host"] == json!("renamed"));
        match (renamed.count(), there.len()) {
            (4, 4) => Ok(()),
            (renamed, there) => Err(format!("{renamed} of {there}")),
        }
    })
    .await;
    // The answers of before have come by then.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!second.log().contains("another daemon"), "{}", second.log());
}
