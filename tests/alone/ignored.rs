//! Guarantee: what a container says of itself is ignored and not vetoed, in the log, in a plan
//! and in an explanation alike, whether the stage `registrator` is linked in or loaded.

use std::{fs, time::Duration};

use crate::common::{
    author::{arg, recorded},
    daemon::Daemon,
    plugin,
};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_container_that_wants_to_be_ignored_is_no_news_whichever_way_that_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let container = recorded(folder.path(), &[("SERVICE_IGNORE", "true")]);
    let file = folder.path().join("wharfinger.toml");
    for stage in ["builtin = 'registrator'".into(), format!("file = {:?}", plugin("registrator"))] {
        // The operator may name the stage as they like.
        fs::write(&file, format!("[[pipeline]]\nname = 'reads'\n{stage}\n")).expect("a file");
        let look = ["--config", arg(&file), "--containers", arg(&container), "memory://"];

        let mut daemon = Daemon::start(&[&["run"], &look[..]].concat(), &[]);
        daemon.wait_for_log("ignored: ", SOON).await;
        daemon.terminate().await;
        assert!(!daemon.log().contains("vetoed: "), "{stage}: {}", daemon.log());

        let explain = [&["explain", "app"], &look[..], &["--output", "json"]].concat();
        let mut daemon = Daemon::start(&explain, &[]);
        assert!(daemon.wait(SOON).await.success(), "{stage}: {}", daemon.log());
        let all: serde_json::Value = serde_json::from_str(&daemon.stdout()).expect("JSON");
        let kinds: Vec<_> = all[0]["absences"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|absence| absence["kind"].as_str().expect("a word"))
            .collect();
        assert!(kinds.contains(&"ignored") && !kinds.contains(&"vetoed"), "{stage}: {kinds:?}");

        let plan = [&["plan", "--all"], &look[..]].concat();
        let mut daemon = Daemon::start(&plan, &[]);
        assert!(daemon.wait(SOON).await.success(), "{stage}: {}", daemon.log());
        let text = daemon.stdout();
        assert!(text.contains("ignored: ") && !text.contains("vetoed"), "{stage}: {text}");
    }
}
