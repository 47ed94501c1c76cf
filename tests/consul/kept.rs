//! Guarantee: what Consul's KV store has no place for is said before anything is written, and is
//! written to it nonetheless as far as there is one.

use std::time::Duration;

use crate::common::{
    author::{arg, recorded},
    consul::{Consul, Options},
    daemon::Daemon,
};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_of_a_service_is_not_kept() {
    let consul = Consul::start(Options::default()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let labels = [("SERVICE_TAGS", "a,b"), ("SERVICE_CHECK_TTL", "10s")];
    let container = recorded(folder.path(), &labels);
    let look = ["-ip", "192.0.2.1", "--hostname", "testhost", "--containers", arg(&container)];
    let agent = format!("consul://{}", consul.addr());
    let keys = format!("consulkv://{}/services", consul.addr());
    let lost = "it is registered without its tags, checks";
    for (uri, said) in [(&agent, false), (&keys, true)] {
        let wide = [("COLUMNS", "160")];
        let mut daemon = Daemon::start(&[&["plan"], &look[..], &[uri]].concat(), &wide);
        assert_eq!(daemon.wait(SOON).await.code(), Some(2), "{}", daemon.log());
        assert_eq!(daemon.stdout().contains(lost), said, "{uri}: {}", daemon.stdout());

        let explain = [&["explain", "app"], &look[..], &["--output", "json", uri]].concat();
        let mut daemon = Daemon::start(&explain, &[]);
        assert!(daemon.wait(SOON).await.success(), "{}", daemon.log());
        let all: serde_json::Value = serde_json::from_str(&daemon.stdout()).expect("JSON");
        let service = &all[0]["services"][0];
        assert_eq!(service["dropped"].is_array(), said, "{uri}: {service:#}");
        assert_eq!(service["body"]["Tags"].is_null(), said, "{uri}: {service:#}");
    }
    // What a daemon that only can do less has to say of its file, it says with the agent there, too.
    let file = folder.path().join("wharfinger.toml");
    std::fs::write(&file, "[lifecycle]\nheartbeat = true\n").expect("the file is written");
    let run = ["run", "--deregister", "on-success", "--config", arg(&file)];
    let mut daemon = Daemon::start(&[&run[..], &look[..], &[&keys]].concat(), &[]);
    daemon.wait_for_log("lifecycle.heartbeat: the registry consulkv", SOON).await;
    daemon.wait_for_log("--deregister on-success: the registry consulkv", SOON).await;
    daemon.wait_for_log("added", SOON).await;
    daemon.terminate().await;
}
