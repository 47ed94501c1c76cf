//! A container's setup: its rights, and the image it was made of. Registering a service
//! takes none of it; policies ask about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A container's rights, limits and files, as its engine tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Setup {
    /// The user that its processes begin as; empty for root.
    pub user: String,
    /// It has every capability and the devices of the host.
    pub privileged: bool,
    /// Capabilities beyond the engine's own choice, sorted, in capitals and without `CAP_`.
    pub added_capabilities: Vec<String>,
    /// Capabilities that were taken from it, in the same form.
    pub dropped_capabilities: Vec<String>,
    /// It cannot write to the files of its image.
    pub read_only_root: bool,
    /// Sorted by target.
    pub mounts: Vec<Mount>,
    /// When the engine starts it again by itself.
    pub restart_policy: RestartPolicy,
    /// The resources it may use.
    pub limits: ResourceLimits,
    /// None if it has no health check.
    pub health_check: Option<HealthCheck>,
}

/// Something of the host or of the engine that a container sees as a part of its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs` or another word of the engine's.
    pub kind: String,
    /// Where it is on the host; for a volume its name. Empty for a `tmpfs`.
    pub source: String,
    /// Where the container has it.
    pub target: String,
    /// The container may write to it.
    pub writable: bool,
}

/// When an engine starts a container again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    pub name: String,
    /// The most restarts after failures in a row; 0 for no limit.
    pub retries: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { name: "no".into(), retries: 0 }
    }
}

/// The resources that a container may use; none where it has no limit of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceLimits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processors in thousandths.
    pub processors: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// The health check that a container was given. Durations are in nanoseconds, none for the
/// engine's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// `CMD` and a program with its arguments, or `CMD-SHELL` and a line for a shell.
    pub test: Vec<String>,
    /// The time between two runs.
    pub interval: Option<u64>,
    /// The time that a run may take.
    pub timeout: Option<u64>,
    /// The time after the start in which failures do not count.
    pub start_period: Option<u64>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
}

/// The facts of the image that a container was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageFacts {
    /// By which names and digests registries have it, sorted.
    pub digests: Vec<String>,
    /// The labels that the image itself has.
    pub labels: BTreeMap<String, String>,
}

/// A time in nanoseconds in the syntax of Consul, in whole numbers of one unit.
pub fn duration(nanoseconds: u64) -> String {
    for (unit, size) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)] {
        if nanoseconds > 0 && nanoseconds.is_multiple_of(size) {
            return format!("{}{unit}", nanoseconds / size);
        }
    }
    match nanoseconds % 1_000_000 {
        0 => format!("{}ms", nanoseconds / 1_000_000),
        _ => format!("{nanoseconds}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_one_unit() {
        for (nanoseconds, expected) in [
            (30_000_000_000, "30s"),
            (90_000_000_000, "90s"),
            (120_000_000_000, "2m"),
            (7_200_000_000_000, "2h"),
            (1_500_000_000, "1500ms"),
            (1_000_001, "1000001ns"),
            (0, "0ms"),
        ] {
            assert_eq!(duration(nanoseconds), expected);
        }
    }
}
