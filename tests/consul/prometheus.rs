//! Guarantee: Prometheus scrapes every metric, with the token and in both of its forms, its own tool
//! finds nothing to complain of, and what happens on a host shows in the figures.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use wharfinger::telemetry::metrics::names;

use crate::{
    common::{
        guard::Guard,
        looker::{address, get_with},
        ports, root, tool,
        wait::until,
    },
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "correct-horse-battery-staple";

/// A Prometheus that scrapes one daemon twice a second.
struct Prometheus {
    child: Child,
    at: SocketAddr,
    _guard: Guard,
}

impl Prometheus {
    fn start(daemon: SocketAddr) -> Self {
        let guard = Guard::new();
        let [port] = ports::free();
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        fs::write(guard.dir().join("token"), TOKEN).expect("it is written");
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\n\
             scrape_configs:\n\
             - job_name: wharfinger\n  authorization: {{ credentials_file: token }}\n  \
             static_configs: [{{ targets: ['{daemon}'] }}]\n"
        );
        let file = guard.dir().join("prometheus.yml");
        fs::write(&file, config).expect("it is written");
        let mut command = Command::new(tool("prometheus", "prometheus"));
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", guard.dir().join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = guard.mark(&mut command).spawn().expect("it can be run");
        Self { child, at, _guard: guard }
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{path}", self.at);
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().expect("a client");
        let answer =
            client.get(url).query(query).send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        Ok(answer["data"].clone())
    }

    /// Waits until a query has a result.
    async fn shows(&self, query: &str) {
        until(SOON, format!("{query} shows something"), async || {
            let data = self.ask("query", &[("query", query)]).await?;
            let found = data["result"].as_array().is_some_and(|all| !all.is_empty());
            if found { Ok(()) } else { Err(data.to_string()) }
        })
        .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `promtool check metrics` has to say.
fn complaints(metrics: &str) -> String {
    let mut child = Command::new(tool("promtool", "prometheus"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(metrics.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

fn packaged(file: &str) -> String {
    fs::read_to_string(root().join("packaging").join(file)).expect("a file of the packaging")
}

/// The queries of the dashboard, as Grafana sends them.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&packaged("grafana/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.map(|target| target["expr"].as_str().expect("a query"));
    let queries: Vec<_> = queries
        .map(|query| query.replace("$job", "wharfinger").replace("$instance", ".*"))
        .map(|query| query.replace("[5m]", "[10s]"))
        .collect();
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// Each rule can be loaded, fires in the story that it is for and not before, is about metrics that
/// there are, and is explained.
#[test]
fn the_alerts_fire_when_they_are_to() {
    let folder = root().join("packaging/prometheus");
    for args in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let mut command = Command::new(tool("promtool", "prometheus"));
        let output = command.args(args).current_dir(&folder).output().expect("it can be run");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    }
    let (rules, stories) =
        (packaged("prometheus/alerts.yml"), packaged("prometheus/alerts_test.yml"));
    let operations = fs::read_to_string(root().join("docs/operations.md")).expect("it is there");
    let mut alerts = 0;
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        alerts += 1;
        assert!(stories.contains(&format!("alertname: {alert}")), "{alert} has no story");
        assert!(operations.contains(&format!("`{alert}`")), "{alert} is not explained");
    }
    assert!(alerts > 5, "{alerts}");
    for text in [rules, packaged("grafana/dashboard.json")] {
        for word in text.split(|c: char| !(c == '_' || c.is_ascii_alphanumeric())) {
            let ours = word.starts_with("wharfinger_") || word.starts_with("process_");
            let bare = word.strip_suffix("_bucket").unwrap_or(word);
            let known = names::ALL.iter().any(|one| one.name == bare);
            assert!(!ours || known, "there is no metric {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_sees_what_happens() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).expect("it is written");
    let plugin = |name: &str| {
        root().join(format!("plugins/dist/wharfinger_{name}.wasm")).display().to_string()
    };
    let config = format!(
        "[listen]\naddress = '127.0.0.1:0'\ntoken-file = '{}'\n\
         [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'owner'\nfile = '{}'\n\
         settings = {{ owner-label = 'owner', team-label = 'team', tag = 'managed' }}\n\
         [[pipeline]]\nname = 'watching'\nfile = '{}'\nmode = 'monitor'\n\
         settings = {{ owner-label = 'other', team-label = 'team', tag = 'x' }}\n",
        token.display(),
        plugin("convention"),
        plugin("convention"),
    );
    lab.start("web", 1, &[("owner", "ann")]);
    lab.start("stray", 2, &[]);
    let daemon = lab.daemon(&[], Some(&config));
    let at = address(&daemon).await;
    lab.has(&["h:web:80".into()], SOON).await;
    let prometheus = Prometheus::start(at);
    prometheus.shows("up{job='wharfinger'} == 1").await;
    prometheus.shows("wharfinger_ready == 1").await;
    for query in [
        "wharfinger_containers{outcome='registered'} == 1",
        "wharfinger_containers{outcome='vetoed'} == 1",
        "wharfinger_services == 1",
        "wharfinger_connection_up{peer='registry'} == 1",
        "wharfinger_connection_up{peer='docker'} == 1",
        "wharfinger_writes_total{operation='register',result='ok'} >= 1",
        "wharfinger_stage_vetoes_total{stage='owner'} >= 1",
        "wharfinger_stage_would_be_vetoes_total{stage='watching'} >= 1",
        "wharfinger_stage_info{stage='owner',mode='enforce',digest=~'[0-9a-f]{64}'} == 1",
        "wharfinger_stage_peak_memory_bytes{stage='owner'} > 0",
        "time() - wharfinger_full_cycle_timestamp_seconds < 60",
        "time() - process_start_time_seconds < 600",
        "process_resident_memory_bytes > 1e6",
    ] {
        prometheus.shows(query).await;
    }
    // A container that starts is measured from its event on.
    lab.start("late", 3, &[("owner", "ann")]);
    lab.event(3, "start");
    prometheus.shows("wharfinger_commit_duration_seconds_count == 1").await;
    prometheus
        .shows("histogram_quantile(0.99, wharfinger_commit_duration_seconds_bucket) < 10")
        .await;
    // Somebody else takes a service out.
    lab.remove("/v1/agent/service/deregister/h:web:80").await;
    prometheus.shows("wharfinger_drift_repaired_total >= 1").await;
    lab.has(&["h:web:80".into()], SOON).await;

    // What the dashboard asks for is there; what did not happen here has no samples.
    for query in dashboard() {
        if !query.contains(names::STAGE_FAILURES.name) {
            prometheus.shows(&query).await;
        }
    }

    let names = prometheus.ask("label/__name__/values", &[]).await.expect("the names");
    let scraped: Vec<&str> =
        names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // What did not happen here has no samples.
    let silent = [
        names::STAGE_FAILURES.name,
        names::STAGE_VETO_CODES.name,
        names::POLICY.name,
        names::POLICY_REFUSED.name,
    ];
    for metric in names::ALL.iter().filter(|metric| !silent.contains(&metric.name)) {
        let bucket = format!("{}_bucket", metric.name);
        assert!(scraped.contains(&metric.name) || scraped.contains(&&*bucket), "{}", metric.name);
    }
    let ours = scraped.iter().filter(|name| name.starts_with("wharfinger_"));
    for name in ours {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = names::ALL.iter().any(|one| one.name == *name || Some(one.name) == bare);
        assert!(known, "{name}");
    }
    let metadata = prometheus.ask("metadata", &[]).await.expect("what the names mean");
    assert_eq!(metadata["wharfinger_services"][0]["type"], json!("gauge"), "{metadata}");

    let bearer = format!("Authorization: Bearer {TOKEN}");
    let page = get_with(at, "/metrics", &bearer).await;
    assert_eq!(page.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(complaints(&page.body), "", "{}", page.body);
    let accept = format!("{bearer}\r\nAccept: application/openmetrics-text;version=1.0.0");
    let page = get_with(at, "/metrics", &accept).await;
    assert!(page.body.ends_with("# EOF\n"), "{page:?}");
}
