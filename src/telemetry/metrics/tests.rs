use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use super::*;
use crate::{
    model::{container::Container, host::Host, service::Service},
    pipeline::{Called, Made, Pipeline, Stage, StageError, Step},
    policy::{Digest, standing::InForce},
    reconcile::{Commits, Counts, Load, Overview},
};

/// A stage that has said everything that is counted.
struct Busy;

#[async_trait::async_trait]
impl Stage for Busy {
    fn name(&self) -> &str {
        "busy \"stage\"\\\n"
    }

    fn stats(&self) -> Option<Stats> {
        Some(Stats { outcomes: [("ok".to_string(), 3)].into(), ..Stats::default() })
    }

    async fn process(&self, _: &Container, _: &Host, _: &[Service]) -> Called {
        Called { result: Err(StageError::Guest("no".into())), messages: Vec::new() }
    }
}

fn standing() -> Standing {
    let digest = Digest::of(b"bundle");
    let in_force = InForce { digest, name: "prod".into(), sequence: 7, key: "ops".into() };
    Standing { in_force: Some(in_force), ..Standing::default() }
}

async fn figures() -> Figures {
    let made = Made { plugin: "p".into(), version: "1".into(), ..Made::default() };
    let pipeline = Pipeline::of(vec![Step::new(Arc::new(Busy)).made_of(made)]);
    let (container, host) = (crate::pipeline::tests::container(), crate::pipeline::tests::host());
    assert!(pipeline.evaluate(&container, &host).await.is_err());
    let time = UNIX_EPOCH + Duration::from_millis(1_500);
    let (at, up) = (Some(time), Connection { up: true, since: time, error: None });
    let overview = Overview {
        started: at,
        full_cycle: at,
        docker: Some(up.clone()),
        registry: Some(Connection { up: false, ..up }),
        services: 4,
        containers: [(Became::Registered, 3)].into(),
        troubles: BTreeMap::new(),
    };
    let mut commits = Commits { sum: Duration::from_millis(1_250), ..Commits::default() };
    commits.buckets[3] = 2;
    commits.buckets[COMMIT_BOUNDS.len()] = 1;
    let counts = Counts {
        writes: [((Operation::Register, Answered::Ok), 7)].into(),
        commits,
        retries: 2,
        drift: 1,
        reloads: [(Reloaded::Refused, 1)].into(),
    };
    let load = Load { due: 1, later: 2, running: 3, failing: 4 };
    let (held, mut stages, digest) = (None, pipeline.health(), pipeline.digest());
    stages[0].figures.veto_codes.insert("privileged".into(), 9);
    let seen = Seen {
        overview,
        held,
        stages,
        pipeline: digest,
        counts,
        load,
        containers: Vec::new(),
        revision: 1,
    };
    Figures {
        seen,
        decisions_dropped: 5,
        spans_dropped: 4,
        policy: Some(standing()),
        connections: 6,
        refused: [("host", 8)].into(),
        process: Process::now(),
    }
}

#[tokio::test]
async fn every_metric_is_exported_once_and_well_formed() {
    let page = page(figures().await, Form::Prometheus);
    for line in [
        "wharfinger_writes_total{operation=\"register\",result=\"ok\"} 7",
        "wharfinger_containers{outcome=\"registered\"} 3",
        "wharfinger_containers{outcome=\"vetoed\"} 0",
        "wharfinger_connection_up{peer=\"registry\"} 0",
        "wharfinger_full_cycle_timestamp_seconds 1.5",
        "wharfinger_commit_duration_seconds_bucket{le=\"0.05\"} 2",
        "wharfinger_commit_duration_seconds_bucket{le=\"+Inf\"} 3",
        "wharfinger_commit_duration_seconds_count 3",
        "wharfinger_commit_duration_seconds_sum 1.25",
        "wharfinger_stage_failures_total{stage=\"busy \\\"stage\\\"\\\\\\\\n\",kind=\"guest\"} 1",
        "wharfinger_stage_veto_codes_total{stage=\"busy \\\"stage\\\"\\\\\\\\n\",code=\"privileged\"} 9",
        "wharfinger_listener_refused_total{reason=\"host\"} 8",
        "# TYPE wharfinger_writes_total counter",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    let described: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let expected: Vec<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(described, expected);
    for metric in names::ALL {
        let sampled = page.lines().any(|line| {
            let rest = line.strip_prefix(metric.name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{', '_']))
        });
        assert!(sampled, "{} has no sample", metric.name);
    }
}

#[tokio::test]
async fn openmetrics_names_a_counter_without_its_ending() {
    assert_eq!(Form::accepted("application/openmetrics-text;version=1.0.0"), Form::OpenMetrics);
    assert_eq!(Form::accepted("text/plain;version=0.0.4"), Form::Prometheus);
    let page = page(figures().await, Form::OpenMetrics);
    assert!(page.ends_with("# EOF\n") && page.contains("# TYPE wharfinger_writes counter\n"));
    assert!(page.contains("\nwharfinger_writes_total{"), "{page}");
}

#[test]
fn names_follow_prometheus_rules() {
    let mut names = BTreeSet::new();
    for metric in names::ALL {
        let name = metric.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with("wharfinger_") || name.starts_with("process_"), "{name}");
        let counts = metric.kind == Kind::Counter;
        assert_eq!(name.ends_with("_total"), counts, "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '|']), "{name}");
        for label in metric.labels {
            assert!(!["container", "id", "service", "reason_text"].contains(label), "{name}");
        }
    }
}

/// With WHARFINGER_WRITE_REFERENCE in the environment it writes the table instead.
#[test]
fn the_document_has_every_metric_and_no_other() {
    const MARK: &str = "<!-- metrics -->\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = std::fs::read_to_string(&file).expect("it is there");
    let [head, table, rest] = text.split(MARK).collect::<Vec<_>>()[..] else {
        panic!("docs/metrics.md has not two marks");
    };
    let mut expected =
        "| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n".to_string();
    for metric in names::ALL {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit) = (metric.name, metric.kind.word(), metric.unit());
        let (labels, help) = (labels.join(", "), metric.help);
        expected += &format!("| `{name}` | {kind} | {unit} | {labels} | {help} |\n");
    }
    if std::env::var_os("WHARFINGER_WRITE_REFERENCE").is_some() {
        std::fs::write(&file, format!("{head}{MARK}{expected}{MARK}{rest}"))
            .expect("it is written");
        return;
    }
    assert!(table == expected, "docs/metrics.md is behind the code; it should have\n{expected}");
    // What else the document speaks of is there, too.
    let words = [head, rest].concat();
    let named = words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    for name in named.filter(|name| name.starts_with("wharfinger_") || name.starts_with("process_"))
    {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = |one: &&Metric| one.name == name || Some(one.name) == bare;
        assert!(names::ALL.iter().any(|one| known(&one)), "{name} is no metric");
    }
}
