//! Guarantee: a collector of logs gets the records that the decision log's file has, with the fields that
//! it asks for, which nobody else sees; and whatever it does costs no registration.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::common::{
    collector::{Collector, Manner},
    daemon::Daemon,
    fake_host::{FakeHost, owned},
    looker::{self, address, start},
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "Bearer a-token-that-nobody-sees";

/// A command with a configuration that has it listen, with a stage that vetoes what has no owner.
fn run(host: &FakeHost, command: &[&str], top: &str, env: &[(&str, &str)]) -> Daemon {
    let text = format!("{top}\n[listen]\naddress = '127.0.0.1:0'\n{}", owned());
    host.run(command, &text, &[], env)
}

/// The bodies of the records so far, as soon as there is one of this container.
async fn of(collector: &Collector, name: &str) -> Vec<String> {
    until(SOON, format!("a record of {name}"), async || {
        let records = collector.records();
        let is_it = |(_, own): &(Value, Value)| own["container.name"] == name;
        if !records.iter().any(is_it) {
            return Err(format!("{records:?}"));
        }
        let text = |record: &Value| record["body"]["stringValue"].as_str().map(String::from);
        Ok(records.iter().map(|(record, _)| text(record).expect("a body")).collect())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_what_the_file_has_with_the_fields_that_it_asks_for() {
    let host = FakeHost::new();
    let collector = Collector::start(Manner::Takes).await;
    let headers = host.folder().join("headers");
    fs::write(&headers, format!("# for the collector\nAuthorization: {TOKEN}\n")).expect("written");
    let top = format!(
        "[decisions]\nfile = 'decisions.jsonl'\notlp = true\n\
         [telemetry]\notlp = '{}'\nheaders-file = 'headers'\n",
        collector.url()
    );
    let env = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=wrong,x-scope=a%20team")];
    let mut daemon = run(&host, &["run"], &top, &env);
    start(&host.docker, "web", 1, &[("owner", "ann"), ("SERVICE_PASSWORD", "hunter2")]);
    start(&host.docker, "stray", 2, &[]);
    of(&collector, "web").await;
    of(&collector, "stray").await;
    daemon.wait_for_log("Sending decisions to http://", SOON).await;
    // Both have the same, to the letter.
    let log = host.folder().join("decisions.jsonl");
    until(SOON, "the file and the collector have the same", async || {
        let file = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = file.lines().map(String::from).collect();
        let bodies = of(&collector, "web").await;
        if lines == bodies { Ok(()) } else { Err(format!("{lines:#?}\n{bodies:#?}")) }
    })
    .await;
    let records = collector.records();
    let stray = records.iter().find(|(_, own)| own["container.name"] == "stray").expect("a record");
    let (record, own) = stray;
    assert_eq!(own["wharfinger.outcome"], "vetoed", "{stray:?}");
    assert_eq!(own["container.id"], format!("{:064x}", 2));
    assert_eq!(record["eventName"], "wharfinger.decision");
    assert_eq!((&record["severityText"], &record["severityNumber"]), (&"INFO".into(), &9.into()));
    let body: Value = serde_json::from_str(record["body"]["stringValue"].as_str().expect("a body"))
        .expect("it is JSON");
    assert!(body["stages"].to_string().contains("the container has no label owner"), "{body}");
    // Each request of both kinds has the fields; those of the file win.
    for path in ["/v1/logs", "/v1/traces"] {
        let heads = until(SOON, format!("requests to {path}"), async || {
            let heads = collector.heads(path);
            if heads.is_empty() { Err(String::new()) } else { Ok(heads) }
        })
        .await;
        for head in heads {
            assert!(head.contains(&format!("authorization: {TOKEN}")), "{head}");
            assert!(head.contains("x-scope: a team") && !head.contains("wrong"), "{head}");
        }
    }
    assert!(daemon.terminate().await.success());
    let said = daemon.log();
    let mut show = run(&host, &["config", "show"], &top, &env);
    assert!(show.wait(SOON).await.success(), "{}", show.log());
    assert!(show.log().contains("headers-file"), "{}", show.log());
    for text in [said, show.log(), collector.text()] {
        assert!(!text.contains("a-token-that") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_refuses_costs_no_registration() {
    let host = FakeHost::new();
    let collector = Collector::start(Manner::Hangs).await;
    let top = format!("[decisions]\notlp = true\n[telemetry]\notlp = '{}'\n", collector.url());
    let mut daemon = run(&host, &["run"], &top, &[]);
    let at = address(&daemon).await;
    for n in 1..=20 {
        start(&host.docker, &format!("c{n}"), n, &[("owner", "ann")]);
    }
    let registered = async |count: usize| {
        until(SOON, "all are registered", async || {
            let seen = looker::get(at, "/api/v1/status").await;
            if seen.json()["services"] == count { Ok(()) } else { Err(seen.body) }
        })
        .await;
    };
    registered(20).await;
    collector.be(Manner::Refuses(400));
    start(&host.docker, "late", 21, &[("owner", "ann")]);
    registered(21).await;
    daemon.wait_for_log("decisions cannot be sent", SOON).await;
    // What is lost is counted where the decision log's losses are.
    until(SOON, "the lost ones are counted", async || {
        let page = looker::get(at, "/metrics").await.body;
        let name = "wharfinger_decisions_dropped_total ";
        let count = page.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok());
        if count.is_some_and(|count| count > 0.0) { Ok(()) } else { Err(format!("{count:?}")) }
    })
    .await;
    collector.be(Manner::Takes);
    start(&host.docker, "again", 22, &[("owner", "ann")]);
    of(&collector, "again").await;
    daemon.wait_for_log("Sending decisions to http://", SOON).await;
    // At the end it is not waited for long.
    collector.be(Manner::Hangs);
    start(&host.docker, "last", 23, &[("owner", "ann")]);
    registered(23).await;
    assert!(daemon.terminate().await.success(), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_at_the_start_without_a_secret() {
    let host = FakeHost::new();
    fs::write(host.folder().join("bad"), "Authorization Bearer s3cr3t\n").expect("written");
    let none = "[decisions]\notlp = true\n";
    let file =
        |name: &str| format!("[telemetry]\notlp = 'http://127.0.0.1:1'\nheaders-file = '{name}'\n");
    let variable = [("OTEL_EXPORTER_OTLP_HEADERS", "s3cr3t")];
    for (top, env, part) in [
        (none.to_string(), &[][..], "decisions.otlp: no collector is named (telemetry.otlp)"),
        (file("bad"), &[], "telemetry.headers-file: "),
        (file("nosuch"), &[], "telemetry.headers-file: "),
        (file(""), &[], "telemetry.headers-file: it is empty"),
        (
            "[telemetry]\notlp = 'http://127.0.0.1:1'\n".into(),
            &variable,
            "OTEL_EXPORTER_OTLP_HEADERS: part 1",
        ),
    ] {
        let mut daemon = run(&host, &["run"], &top, env);
        let status = daemon.wait(SOON).await;
        let log = daemon.log();
        assert!(!status.success() && log.contains(part), "{top}: {log}");
        assert!(!log.contains("s3cr3t"), "{log}");
    }
}
