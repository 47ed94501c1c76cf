//! A component is missing when the daemon starts.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use super::lab::{HOST, IP, Lab, SOON, ids, names};
use crate::common::{daemon::Daemon, plugin};

/// A pipeline with a component in this folder for what has an owner.
fn configuration(further: &str) -> String {
    format!(
        "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'convention'\nfile = 'stage.wasm'\nselect = '\"owner\" in labels'\n\
         settings = {{ tag = 'managed' }}\n{further}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_component_keeps_all_true_that_does_not_need_it() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let [file, component] = ["wharfinger.toml", "stage.wasm"].map(|name| folder.path().join(name));
    let write = |text: &str| fs::write(&file, text).expect("the file is written");
    let daemon = || {
        let (file, uri) = (file.to_str().expect("a path"), lab.sink.uri());
        let args = ["run", "--config", file, "--ip", IP, "--hostname", HOST, &uri];
        Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())])
    };
    write(&configuration(""));
    fs::copy(plugin("convention"), &component).expect("the component is copied");
    let [plain, owned, late] = [names("plain", 2), names("owned", 2), names("late", 1)];
    lab.start(&plain, &[]);
    lab.start(&owned, &["-l", "owner=ann"]);
    let mut first = daemon();
    lab.sink.exactly(&ids(plain.iter().chain(&owned)), SOON).await;
    assert!(first.terminate().await.success());

    // As after a reboot with a disk that is not there yet.
    fs::remove_file(&component).expect("it was there");
    let written = lab.sink.proxy.count();
    let mut second = daemon();
    let line = second.wait_for_log("a stage cannot be loaded", SOON).await;
    for part in ["ERROR", "convention", "stage.wasm", "cannot read", "hold"] {
        assert!(line.contains(part), "{line}");
    }
    let new = names("new", 1);
    lab.start(&new, &[]);
    lab.start(&late, &["-l", "owner=ann"]);
    lab.remove(&plain[..1]);
    // What has ended goes also where the stage would have had a say.
    lab.remove(&owned[..1]);
    let meanwhile = ids(plain[1..].iter().chain(&owned[1..]).chain(&new));
    lab.sink.exactly(&meanwhile, SOON).await;
    lab.sink.stays(&meanwhile, Duration::from_secs(2)).await;
    let gone: BTreeSet<_> = ids(plain[..1].iter().chain(&owned[..1]));
    lab.sink.assert_written_once(written, &ids(&new), &gone);
    let status = Command::new(Daemon::binary())
        .arg("status")
        .env("WHARFINGER_CONTROL", second.dir().join("control.sock"))
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(
        text.contains("unhealthy") && text.contains("convention: could not be loaded"),
        "{text}"
    );
    assert_eq!(status.status.code(), Some(2));

    // Something else than a component is no news, and does not end it.
    fs::write(&component, "no component").expect("it is written");
    lab.sink.stays(&meanwhile, Duration::from_secs(3)).await;
    fs::copy(plugin("convention"), &component).expect("the component is copied");
    second.wait_for_log("the stage is whole again", SOON).await;
    let whole = meanwhile.union(&ids(&late)).cloned().collect();
    lab.sink.exactly(&whole, SOON).await;
    lab.sink.assert_written_once(written, &ids(new.iter().chain(&late)), &gone);
    assert!(second.terminate().await.success());
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_missing_component_is_for_its_rules_to_say() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    let owned = names("owned", 1);
    lab.start(&owned, &["-l", "owner=ann"]);
    let daemon = |text: &str| {
        fs::write(&file, text).expect("the file is written");
        let (file, uri) = (file.to_str().expect("a path"), lab.sink.uri());
        let args = ["run", "--config", file, "--ip", IP, "--hostname", HOST, &uri];
        Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())])
    };
    for (rule, there) in [
        ("mode = 'monitor'", true),
        ("on-error = 'skip'", true),
        ("on-error = 'veto'", false),
        ("mode = 'monitor'\non-error = 'veto'", true),
    ] {
        let mut running = daemon(&configuration(rule));
        running.wait_for_log("a stage cannot be loaded", SOON).await;
        let expected = if there { ids(&owned) } else { BTreeSet::new() };
        lab.sink.exactly(&expected, SOON).await;
        assert!(running.terminate().await.success(), "{rule}");
    }
    let mut strict = daemon(&format!("strict-start = true\n{}", configuration("")));
    assert_eq!(strict.wait(SOON).await.code(), Some(78));
    assert!(strict.log().contains("cannot read"), "{}", strict.log());
    // A fault of the file itself is one of everybody's.
    let mut wrong = daemon(&configuration("on-eror = 'skip'"));
    assert_eq!(wrong.wait(SOON).await.code(), Some(78));
    let mut wrong = daemon("[[pipeline]]\nname = 'registrator'\nbuiltin = 'registratr'\n");
    assert_eq!(wrong.wait(SOON).await.code(), Some(78));
}
