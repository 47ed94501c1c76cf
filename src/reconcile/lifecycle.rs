//! The signs of a container's life in its services, beyond that they are there while it runs: its
//! health, the time before it ends, and reports to TTL checks.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::model::{
    container::{Container, Health, State},
    service::{Check, CheckKind, CheckStatus, Service, duration},
};

/// How a container's life shows in its services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Lifecycle {
    /// What Docker's `HEALTHCHECK` means for the services.
    pub healthcheck: Healthcheck,
    /// For how long a container counts as ending after it was told to end. None:
    /// its services stay until it has ended.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(test, schemars(with = "Option<String>", extend("x-unit" = "time")))]
    pub drain: Option<Duration>,
    /// What becomes of the services of a container that is ending.
    pub drain_by: DrainBy,
    /// What becomes of all services when the daemon ends.
    pub on_exit: OnExit,
    /// What becomes of a service's old ID and name when the pipeline gives it
    /// others.
    #[cfg_attr(test, schemars(extend("pattern" = "^(swap|overlap .+)$")))]
    pub rename: Rename,
    /// Whether the daemon reports to the services' TTL checks.
    pub heartbeat: bool,
    /// The TTL that services without a check get, and the time between two
    /// reports (`-ttl` and `-ttl-refresh`).
    #[serde(skip)]
    pub ttl: Option<(Duration, Duration)>,
}

/// What becomes of a service's old ID and name when a running container's service
/// gets others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub enum Rename {
    /// The old one goes as soon as the new one is registered.
    #[default]
    Swap,
    /// Both are registered for this long.
    Overlap(Duration),
}

impl From<Rename> for String {
    fn from(rename: Rename) -> Self {
        match rename {
            Rename::Swap => "swap".into(),
            Rename::Overlap(time) => format!("overlap {}", humantime::format_duration(time)),
        }
    }
}

impl TryFrom<String> for Rename {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "swap" {
            return Ok(Self::Swap);
        }
        let time = text.strip_prefix("overlap ").map(humantime::parse_duration);
        match time {
            Some(Ok(time)) => Ok(Self::Overlap(time)),
            Some(Err(error)) => Err(format!("{text:?}: {error}")),
            None => Err(format!("{text:?} is neither \"swap\" nor such as \"overlap 5m\"")),
        }
    }
}

/// What Docker's `HEALTHCHECK` means for a container's services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Healthcheck {
    /// Nothing.
    #[default]
    Ignore,
    /// They are registered only while the container is healthy.
    Gate,
    /// They get a TTL check that says what Docker says.
    Check,
}

/// What becomes of the services of a container that is ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DrainBy {
    /// They are put into Consul's maintenance.
    #[default]
    Maintenance,
    /// They are deregistered at once.
    Deregister,
}

/// What becomes of all services when the daemon ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnExit {
    /// They stay as they are.
    #[default]
    Leave,
    /// They are put into Consul's maintenance; the next start takes them out.
    Maintenance,
    /// They are deregistered.
    Deregister,
}

/// The reason that Consul shows for a maintenance of ours begins so.
pub(super) const MAINTENANCE: &str = "wharfinger: ";

/// The name of the check that says what Docker says.
const HEALTH_CHECK: &str = "Docker's health check";
/// The time for which Consul believes the last report of Docker's health.
const HEALTH_TTL: Duration = Duration::from_secs(30);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

impl Lifecycle {
    /// The faults in it, with the keys' names.
    pub fn faults(&self) -> Vec<String> {
        let too_long = |limit: &Duration| limit.is_zero() || *limit > LONGEST_INTERVAL;
        let drain = self.drain.filter(too_long).map(|drain| {
            let drain = humantime::format_duration(drain);
            format!("lifecycle.drain: {drain} is not between 1ms and 1h")
        });
        let rename = match self.rename {
            Rename::Overlap(time) if time.as_secs() == 0 || time > LONGEST_OVERLAP => {
                let time = humantime::format_duration(time);
                Some(format!("lifecycle.rename: an overlap of {time} is not between 1s and 30days"))
            }
            _ => None,
        };
        drain.into_iter().chain(rename).collect()
    }

    /// Whether services are put into maintenance.
    pub(super) fn maintains(&self) -> bool {
        let drains = self.drain.is_some() && self.drain_by == DrainBy::Maintenance;
        drains || self.on_exit == OnExit::Maintenance
    }

    /// Why a container does not offer its services for its health's sake.
    pub(super) fn gate(&self, container: &Container) -> Option<String> {
        let words = match (self.healthcheck, container.health) {
            (Healthcheck::Gate, Health::Starting) => "its health check has not passed yet",
            (Healthcheck::Gate, Health::Unhealthy) => "its health check fails",
            _ => return None,
        };
        Some(words.to_string())
    }

    /// Add the checks to which the daemon reports.
    pub(super) fn add_checks(&self, container: &Container, services: &mut [Service]) {
        let mirrored = self.healthcheck == Healthcheck::Check && container.health != Health::None;
        for service in services {
            if mirrored {
                let id = format!("wharfinger-health:{}", service.id);
                service.checks.push(ttl_check(Some(id), HEALTH_CHECK, HEALTH_TTL));
            }
            if let Some((ttl, _)) = self.ttl.filter(|_| self.heartbeat)
                && service.checks.is_empty()
            {
                // Where the container chose an ID such as `db:2`, Consul would name the check as the
                // second one of `db`.
                let chosen = !service.id.contains(&format!(":{}:", container.name));
                let end = service.id.rsplit_once(':').map_or("", |(_, end)| end);
                let numbered = !end.is_empty() && end.chars().all(|c| c.is_ascii_digit());
                let id = (chosen && numbered).then(|| format!("{}:ttl", service.id));
                service.checks.push(ttl_check(id, "The container runs", ttl));
            }
        }
    }

    /// The heartbeat to report for a container, if any.
    pub(super) fn heartbeat_of(
        &self,
        container: &Container,
        services: &[Arc<Service>],
    ) -> Option<Heartbeat> {
        let mirrored = self.healthcheck == Healthcheck::Check && container.health != Health::None;
        if !self.heartbeat && !mirrored {
            return None;
        }
        let mut shortest = None;
        let mut reported = Vec::new();
        for service in services {
            let checks = service.checks.iter().enumerate();
            let ttls: Vec<_> =
                checks.filter_map(|(at, check)| Some((at, self.reported(check)?))).collect();
            shortest = shortest.into_iter().chain(ttls.iter().map(|(_, ttl)| *ttl)).min();
            if !ttls.is_empty() {
                reported.push((service.clone(), ttls.into_iter().map(|(at, _)| at).collect()));
            }
        }
        let shortest = shortest?;
        let refresh = self.ttl.map_or(LONGEST_INTERVAL, |(_, refresh)| refresh);
        let every = (shortest / 3).min(refresh).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let (status, output) = state(container);
        Some(Heartbeat { services: reported, status, output, every })
    }

    /// The TTL of a check to which the daemon reports.
    fn reported(&self, check: &Check) -> Option<Duration> {
        let CheckKind::Ttl { ttl } = &check.kind else { return None };
        let mirror = check.name.as_deref() == Some(HEALTH_CHECK);
        duration(ttl).filter(|_| self.heartbeat || mirror)
    }
}

fn ttl_check(id: Option<String>, name: &str, ttl: Duration) -> Check {
    Check {
        id,
        name: Some(name.into()),
        notes: None,
        kind: CheckKind::Ttl { ttl: format!("{}s", ttl.as_secs()) },
        interval: None,
        timeout: None,
        deregister_after: None,
        initial_status: None,
        success_before_passing: None,
        failures_before_critical: None,
        attributes: Default::default(),
    }
}

/// A report to the TTL checks of a container's services.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heartbeat {
    /// The services, with the places of the checks among theirs.
    pub(super) services: Vec<(Arc<Service>, Vec<usize>)>,
    pub(super) status: CheckStatus,
    pub(super) output: String,
    /// The time between two reports.
    pub(super) every: Duration,
}

impl Heartbeat {
    /// The same report of what a container is like now.
    pub(super) fn now(&self, container: &Container) -> Self {
        let (status, output) = state(container);
        Self { status, output, ..self.clone() }
    }
}

/// The check status that a container's state means, and the words for it.
fn state(container: &Container) -> (CheckStatus, String) {
    let (status, words) = match (container.state, container.health) {
        (State::Paused, _) => (CheckStatus::Critical, "the container is paused"),
        (_, Health::Starting) => {
            (CheckStatus::Critical, "Docker's health check has not passed yet")
        }
        (_, Health::Unhealthy) => (CheckStatus::Critical, "Docker's health check fails"),
        (_, Health::Healthy) => (CheckStatus::Passing, "Docker's health check passes"),
        (_, Health::None) => (CheckStatus::Passing, "the container runs"),
    };
    (status, words.to_string())
}

/// A container that was told to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) signal: i64,
    pub(super) since: Instant,
}

impl Ending {
    /// For how much longer the container counts as ending; none if the signal
    /// was not the one that ends it, or it has outlived it.
    pub(super) fn left(
        &self,
        container: &Container,
        drain: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let left = drain.checked_sub(now.saturating_duration_since(self.since))?;
        (self.signal == container.stop_signal && !left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_is_a_swap_or_an_overlap_for_some_time() {
        for (text, expected) in [
            ("swap", Ok(Rename::Swap)),
            ("overlap 5m", Ok(Rename::Overlap(Duration::from_secs(300)))),
            ("overlap", Err("\"overlap\" is neither \"swap\" nor such as \"overlap 5m\"")),
            ("overlap 5", Err("\"overlap 5\": time unit needed, for example 5sec or 5ms")),
        ] {
            let rename = Rename::try_from(text.to_string());
            assert_eq!(rename, expected.map_err(String::from));
        }
        for (seconds, faults) in [(0, 1), (1, 0), (30 * 24 * 3600 + 1, 1)] {
            let rename = Rename::Overlap(Duration::from_secs(seconds));
            let lifecycle = Lifecycle { rename, ..Lifecycle::default() };
            assert_eq!(lifecycle.faults().len(), faults, "{seconds} s");
        }
    }
}
