//! The metrics: what the loop and its stages count, in Prometheus' two text forms.
//!
//! A page is made of one snapshot, so that its numbers belong together. No label is a container's
//! identifier or a text that a container chose: what labels there are comes from the configuration.

pub mod names;
mod process;

use std::{
    collections::BTreeMap,
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text as openmetrics},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use crate::{
    pipeline::{StageHealth, Stats},
    policy::standing::Standing,
    reconcile::{
        Answered, Became, COMMIT_BOUNDS, Connection, Operation, Reloaded, Seen, TroubleKind,
    },
    text,
};
use names::{Kind, Metric};
pub use process::Process;

/// The figures that are exported.
#[derive(Debug)]
pub struct Figures {
    /// The snapshot of the loop.
    pub seen: Seen,
    /// Decisions that were dropped.
    pub decisions_dropped: u64,
    /// Spans of traces that were dropped.
    pub spans_dropped: u64,
    /// How the host stands to its policy, if it is to have one.
    pub policy: Option<Standing>,
    /// Connections to the listener.
    pub connections: usize,
    /// Requests that the listener refused, by the reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// The kernel's figures of this process.
    pub process: Process,
}

/// The metrics in one text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Form {
    /// The form for a request that accepts this.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Its name in the head of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The figures as text.
pub fn page(figures: Figures, form: Form) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(figures));
    let mut page = String::new();
    openmetrics::encode(&mut page, &registry).expect("a text takes whatever is written");
    match form {
        Form::OpenMetrics => page,
        Form::Prometheus => classic(&page),
    }
}

/// In the older form a counter's name has its ending everywhere, and there is no mark of the end.
fn classic(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let counters: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    for line in page.lines().filter(|line| *line != "# EOF") {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|head| {
            let (name, rest) = line.strip_prefix(head)?.split_once(' ')?;
            counters.contains(&name).then(|| format!("{head}{name}_total {rest}"))
        });
        text.push_str(described.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

/// A sample's labels, by their values in the order of their names.
type Labels<'a> = Vec<&'a str>;

/// A sample's value.
#[derive(Debug, Clone, Copy)]
enum Value {
    Whole(u64),
    Part(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Part(value)
    }
}

impl From<Option<SystemTime>> for Value {
    fn from(value: Option<SystemTime>) -> Self {
        let since = value.and_then(|value| value.duration_since(UNIX_EPOCH).ok());
        Self::Part(since.unwrap_or_default().as_secs_f64())
    }
}

fn put(sample: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    let none = None::<&Exemplar<[(&str, &str); 0], f64>>;
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => sample.encode_counter(&value, none),
        (Kind::Counter, Value::Part(value)) => sample.encode_counter(&value, none),
        (_, Value::Whole(value)) => sample.encode_gauge(&value),
        (_, Value::Part(value)) => sample.encode_gauge(&value),
    }
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    /// Samples of a metric; the metric is described also where there are none.
    fn all<'b, V: Into<Value>>(
        &mut self,
        metric: Metric,
        samples: impl IntoIterator<Item = (Labels<'b>, V)>,
    ) -> fmt::Result {
        let (name, kind) = match metric.kind {
            Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
            Kind::Gauge => (metric.name, MetricType::Gauge),
            Kind::Histogram => (metric.name, MetricType::Histogram),
        };
        let mut encoder = self.0.encode_descriptor(name, metric.help, None, kind)?;
        for (values, value) in samples {
            debug_assert_eq!(values.len(), metric.labels.len(), "{}", metric.name);
            let shown = values.into_iter().map(|value| text::shown_within(value, 200).into_owned());
            let labels: Vec<(&str, String)> = metric.labels.iter().copied().zip(shown).collect();
            match labels.is_empty() {
                true => put(&mut encoder, metric.kind, value.into())?,
                false => put(&mut encoder.encode_family(&labels)?, metric.kind, value.into())?,
            }
        }
        Ok(())
    }

    fn one(&mut self, metric: Metric, value: impl Into<Value>) -> fmt::Result {
        self.all(metric, [(Vec::new(), value)])
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Writer(encoder);
        self.daemon(&mut to)?;
        self.stages(&mut to)?;
        to.one(names::LISTENER_CONNECTIONS, self.connections)?;
        let refused = self.refused.iter().map(|(reason, count)| (vec![*reason], *count));
        to.all(names::LISTENER_REFUSED, refused)?;
        let process = &self.process;
        to.one(names::PROCESS_CPU, process.cpu)?;
        to.one(names::PROCESS_MEMORY, process.resident)?;
        to.one(names::PROCESS_VIRTUAL, process.virtual_memory)?;
        to.one(names::PROCESS_FDS, process.fds)?;
        to.one(names::PROCESS_MAX_FDS, process.max_fds)?;
        to.one(names::PROCESS_THREADS, process.threads)?;
        to.one(names::PROCESS_START, process.start)
    }
}

impl Figures {
    fn daemon(&self, to: &mut Writer<'_>) -> fmt::Result {
        let Seen { overview, held, counts, load, .. } = &self.seen;
        to.all(names::BUILD, [(vec![env!("CARGO_PKG_VERSION")], true)])?;
        to.one(names::READY, overview.full_cycle.is_some())?;
        to.one(names::FULL_CYCLE, overview.full_cycle)?;
        let peers = [("docker", &overview.docker), ("registry", &overview.registry)];
        let known = || peers.iter().filter_map(|(peer, known)| Some((*peer, known.as_ref()?)));
        to.all(names::CONNECTION, known().map(|(peer, known)| (vec![peer], known.up)))?;
        let since = |(peer, known): (&'static str, &Connection)| (vec![peer], Some(known.since));
        to.all(names::CONNECTION_SINCE, known().map(since))?;
        let containers = Became::ALL.into_iter().map(|became| {
            let count = overview.containers.get(&became).copied().unwrap_or_default();
            (vec![became.word()], count)
        });
        to.all(names::CONTAINERS, containers)?;
        to.one(names::SERVICES, overview.services)?;
        to.one(names::HELD, held.as_ref().map_or(0, |held| held.services.len()))?;
        let operations = [
            (Operation::Register, "register"),
            (Operation::Deregister, "deregister"),
            (Operation::Maintenance, "maintenance"),
        ];
        let answers =
            [(Answered::Ok, "ok"), (Answered::Refused, "refused"), (Answered::Lost, "lost")];
        let writes = operations.iter().flat_map(|(operation, word)| {
            answers.iter().map(move |(answer, answered)| {
                let count = counts.writes.get(&(*operation, *answer)).copied();
                (vec![*word, *answered], count.unwrap_or_default())
            })
        });
        to.all(names::WRITES, writes)?;
        self.commits(to)?;
        let queue = [("due", load.due), ("later", load.later), ("running", load.running)];
        to.all(names::QUEUE, queue.map(|(state, count)| (vec![state], count)))?;
        to.one(names::FAILING, load.failing)?;
        to.one(names::RETRIES, counts.retries)?;
        to.one(names::DRIFT, counts.drift)?;
        let troubles = [
            (TroubleKind::Reload, "reload"),
            (TroubleKind::Policy, "policy"),
            (TroubleKind::Restart, "restart"),
        ];
        let there = |(kind, word)| (vec![word], overview.troubles.contains_key(&kind));
        to.all(names::TROUBLE, troubles.map(there))?;
        let reloads = [
            (Reloaded::Ok, "ok"),
            (Reloaded::Unchanged, "unchanged"),
            (Reloaded::Refused, "refused"),
        ];
        let count =
            |(became, word)| (vec![word], counts.reloads.get(&became).copied().unwrap_or_default());
        to.all(names::RELOADS, reloads.map(count))?;
        self.policy(to)?;
        to.one(names::DECISIONS_DROPPED, self.decisions_dropped)?;
        to.one(names::SPANS_DROPPED, self.spans_dropped)
    }

    /// Where there is to be a policy.
    fn policy(&self, to: &mut Writer<'_>) -> fmt::Result {
        let in_force = self.policy.as_ref().and_then(|policy| policy.in_force.as_ref());
        let words = in_force.map(|one| (one.digest.to_string(), one.sequence.to_string(), one));
        let labels = words.iter().map(|(digest, sequence, one)| {
            (vec![one.name.as_str(), digest.as_str(), sequence.as_str()], true)
        });
        to.all(names::POLICY, labels)?;
        let refused = self.policy.iter().map(|policy| (Vec::new(), policy.refused.is_some()));
        to.all(names::POLICY_REFUSED, refused)
    }

    fn commits(&self, to: &mut Writer<'_>) -> fmt::Result {
        let commits = &self.seen.counts.commits;
        let bounds = COMMIT_BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(commits.buckets).collect();
        let (sum, count) = (commits.sum.as_secs_f64(), commits.buckets.iter().sum());
        let Metric { name, help, .. } = names::COMMITS;
        let mut encoder = to.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)
    }

    fn stages(&self, to: &mut Writer<'_>) -> fmt::Result {
        let stages = &self.seen.stages;
        let made = |stage: &StageHealth| {
            let made = stage.made.clone().unwrap_or_default();
            (stage.stage.clone(), made.plugin, made.version, made.digest, stage.mode.to_string())
        };
        let made: Vec<_> = stages.iter().map(made).collect();
        let labels = made.iter().map(|(stage, plugin, version, digest, mode)| {
            (vec![&**stage, plugin, version, digest, mode], true)
        });
        to.all(names::STAGE, labels)?;
        let healthy = stages.iter().map(|stage| (vec![&*stage.stage], stage.healthy));
        to.all(names::STAGE_HEALTHY, healthy)?;
        let failures = stages.iter().flat_map(|stage| {
            let kinds = stage.figures.failures.iter();
            kinds.map(|(kind, count)| (vec![&*stage.stage, kind], *count))
        });
        let figures = |of: fn(&StageHealth) -> u64| {
            stages.iter().map(move |stage| (vec![&*stage.stage], of(stage)))
        };
        to.all(names::STAGE_CALLS, figures(|stage| stage.figures.calls))?;
        to.all(names::STAGE_FAILURES, failures)?;
        let measured = || stages.iter().filter_map(|one| Some((&*one.stage, one.stats.as_ref()?)));
        let outcomes = measured().flat_map(|(stage, stats)| {
            stats.outcomes.iter().map(move |(outcome, count)| (vec![stage, outcome], *count))
        });
        to.all(names::STAGE_OUTCOMES, outcomes)?;
        let time = stages.iter().map(|one| (vec![&*one.stage], one.figures.time.as_secs_f64()));
        to.all(names::STAGE_TIME, time)?;
        let of = |part: fn(&Stats) -> Value| {
            measured().map(move |(stage, stats)| (vec![stage], part(stats)))
        };
        to.all(names::STAGE_P50, of(|stats| stats.time.p50.as_secs_f64().into()))?;
        to.all(names::STAGE_P99, of(|stats| stats.time.p99.as_secs_f64().into()))?;
        to.all(names::STAGE_MEMORY, of(|stats| stats.peak_memory.as_u64().into()))?;
        to.all(names::STAGE_REMEMBERED, figures(|stage| stage.figures.hits))?;
        to.all(names::STAGE_VETOES, figures(|stage| stage.figures.vetoes))?;
        let codes = stages.iter().flat_map(|stage| {
            let codes = stage.figures.veto_codes.iter();
            codes.map(|(code, count)| (vec![&*stage.stage, code], *count))
        });
        to.all(names::STAGE_VETO_CODES, codes)?;
        to.all(names::STAGE_CHANGES, figures(|stage| stage.figures.changes))?;
        to.all(names::STAGE_ADDITIONS, figures(|stage| stage.figures.additions))?;
        to.all(names::STAGE_WOULD_VETO, figures(|stage| stage.figures.would_be_vetoes))?;
        to.all(names::STAGE_WOULD_CHANGE, figures(|stage| stage.figures.would_be_changes))?;
        to.all(names::STAGE_WOULD_ADD, figures(|stage| stage.figures.would_be_additions))?;
        to.all(names::STAGE_MESSAGES, of(|stats| stats.dropped_messages.into()))
    }
}

#[cfg(test)]
mod tests;
