//! Every metric that is exported: its name, its kind, its labels, and what it means. docs/metrics.md
//! is written from this.

/// A kind of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the daemon is started anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of what was measured, by upper bounds.
    Histogram,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its whole name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its meaning, for people.
    pub help: &'static str,
}

impl Metric {
    /// Its unit, which its name ends with; a number of things if none.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        let units = ["seconds", "bytes"].into_iter();
        units.into_iter().find(|unit| name.ends_with(unit)).unwrap_or("")
    }
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All of them, in the order in which they are exported.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD = Gauge "wharfinger_build_info" ["version"]
        "Always 1; the label says which version runs.";
    READY = Gauge "wharfinger_ready" []
        "Whether every container was looked at once and nothing was left to do (1), or not yet (0).";
    FULL_CYCLE = Gauge "wharfinger_full_cycle_timestamp_seconds" []
        "When every container had been looked at and nothing was left to do, the last time; 0 before the first.";
    CONNECTION = Gauge "wharfinger_connection_up" ["peer"]
        "Whether the other end answers (1) or not (0): docker, the container engine, or registry.";
    CONNECTION_SINCE = Gauge "wharfinger_connection_since_timestamp_seconds" ["peer"]
        "Since when the connection has been as wharfinger_connection_up says.";
    CONTAINERS = Gauge "wharfinger_containers" ["outcome"]
        "Containers by what became of them: registered, ignored, vetoed, unselected, failed, held or ended.";
    SERVICES = Gauge "wharfinger_services" []
        "Services of this host that are registered.";
    HELD = Gauge "wharfinger_held_services" []
        "Services that a change would take out and that the bulk guard holds until somebody confirms it.";
    WRITES = Counter "wharfinger_writes_total" ["operation", "result"]
        "Writes to the registry: register, deregister or maintenance; ok, refused, or lost (not answered, and made again).";
    COMMITS = Histogram "wharfinger_commit_duration_seconds" []
        "Time from an event of a container to the answer to the last write that follows from it.";
    QUEUE = Gauge "wharfinger_queue_jobs" ["state"]
        "Jobs of the loop: due (waiting for a turn), later (waiting for their time) or running.";
    FAILING = Gauge "wharfinger_failing_jobs" []
        "Jobs of the loop that failed the last time and are tried again.";
    RETRIES = Counter "wharfinger_retries_total" []
        "Jobs of the loop that failed and were put off to be tried again.";
    DRIFT = Counter "wharfinger_drift_repaired_total" []
        "Services that somebody else had changed or removed, and that were put right.";
    TROUBLE = Gauge "wharfinger_trouble" ["kind"]
        "Whether somebody should mend something (1): reload, a changed configuration that was refused; policy, one that was refused or whose source does not answer; restart, one that waits for a restart.";
    RELOADS = Counter "wharfinger_reloads_total" ["result"]
        "Configurations that were read again: ok, unchanged or refused.";
    POLICY = Gauge "wharfinger_policy_info" ["name", "digest", "sequence"]
        "Always 1; the labels say which policy is in force. There is none where none is.";
    POLICY_REFUSED = Gauge "wharfinger_policy_refused" []
        "Whether the policy that is asked for was refused (1) or not (0); only where there is to be one.";
    DECISIONS_DROPPED = Counter "wharfinger_decisions_dropped_total" []
        "Decisions that are not in the decision log, because its queue was full or it could not be written.";
    SPANS_DROPPED = Counter "wharfinger_spans_dropped_total" []
        "Spans of traces that were not sent, because their queue was full or the collector did not take them.";
    STAGE = Gauge "wharfinger_stage_info" ["stage", "plugin", "version", "digest", "mode"]
        "Always 1; the labels say what each stage of the pipeline in force is made of, and whether its word counts (enforce or monitor).";
    STAGE_HEALTHY = Gauge "wharfinger_stage_healthy" ["stage"]
        "Whether the stage is loaded and does not fail on most of the containers that it is called for (1).";
    STAGE_CALLS = Counter "wharfinger_stage_calls_total" ["stage"]
        "Calls of the stage.";
    STAGE_FAILURES = Counter "wharfinger_stage_failures_total" ["stage", "kind"]
        "Failures of the stage by their kind, such as trap, timeout, memory or guest.";
    STAGE_OUTCOMES = Counter "wharfinger_stage_outcomes_total" ["stage", "outcome"]
        "Calls of a component since it was loaded by what came of them: ok, or the kind of the failure.";
    STAGE_TIME = Counter "wharfinger_stage_call_seconds_total" ["stage"]
        "Time of all calls of the stage together, the wait for a turn included.";
    STAGE_P50 = Gauge "wharfinger_stage_call_p50_seconds" ["stage"]
        "Half of the calls of a component since it was loaded took no longer, without the wait for a turn.";
    STAGE_P99 = Gauge "wharfinger_stage_call_p99_seconds" ["stage"]
        "99 of 100 calls of a component since it was loaded took no longer, without the wait for a turn.";
    STAGE_MEMORY = Gauge "wharfinger_stage_peak_memory_bytes" ["stage"]
        "The most memory that a call of a component has used since it was loaded.";
    STAGE_REMEMBERED = Counter "wharfinger_stage_remembered_total" ["stage"]
        "Answers of the stage that were remembered, so that it was not called.";
    STAGE_VETOES = Counter "wharfinger_stage_vetoes_total" ["stage"]
        "Services that the stage vetoed.";
    STAGE_VETO_CODES = Counter "wharfinger_stage_veto_codes_total" ["stage", "code"]
        "Services that the stage vetoed with a code, by the code; beyond 20 codes of a stage, other.";
    STAGE_CHANGES = Counter "wharfinger_stage_changes_total" ["stage"]
        "Services that the stage changed.";
    STAGE_ADDITIONS = Counter "wharfinger_stage_additions_total" ["stage"]
        "Services that the stage added.";
    STAGE_WOULD_VETO = Counter "wharfinger_stage_would_be_vetoes_total" ["stage"]
        "Services that the monitored stage would have vetoed.";
    STAGE_WOULD_CHANGE = Counter "wharfinger_stage_would_be_changes_total" ["stage"]
        "Services that the monitored stage would have changed.";
    STAGE_WOULD_ADD = Counter "wharfinger_stage_would_be_additions_total" ["stage"]
        "Services that the monitored stage would have added.";
    STAGE_MESSAGES = Counter "wharfinger_stage_dropped_messages_total" ["stage"]
        "Messages of a component that were dropped since it was loaded, because there were too many.";
    LISTENER_CONNECTIONS = Gauge "wharfinger_listener_connections" []
        "Connections to the listener that are open.";
    LISTENER_REFUSED = Counter "wharfinger_listener_refused_total" ["reason"]
        "Requests that the listener refused: connections (too many are open), host (for a name that is not its own), token (without the token), method, busy (too much of it is under way).";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Processor time that the daemon has used, in user and in system mode.";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" []
        "Memory of the daemon that is in use.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Addresses that the daemon has reserved, most of which hold nothing.";
    PROCESS_FDS = Gauge "process_open_fds" []
        "File descriptors that the daemon has open.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "File descriptors that the daemon may have open.";
    PROCESS_THREADS = Gauge "process_threads" []
        "Threads of the daemon.";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "When the daemon was started.";
}
