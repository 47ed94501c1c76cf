//! `[registrator]`: the flags of registrator's that have no better place, under their own
//! names.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// registrator's flags. The command line's win.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Registrator {
    /// Offer the containers' own addresses and ports.
    pub internal: Option<bool>,
    /// Offer only containers that set `SERVICE_NAME`.
    pub explicit: Option<bool>,
    /// Tags for all services; a Go template.
    pub tags: Option<String>,
    /// Let the template of `tags` call out with `httpGet`.
    pub allow_http_get: Option<bool>,
    /// The label that holds a container's address.
    #[serde(alias = "useIpFromLabel")]
    pub use_ip_from_label: Option<String>,
    /// What becomes of the services of a container that has failed.
    pub deregister: Option<When>,
    /// Remove what registrator left behind on this host.
    pub cleanup: Option<bool>,
    /// The time between two resyncs; none if it is 0.
    #[serde(deserialize_with = "seconds", serialize_with = "humantime_serde::serialize")]
    #[cfg_attr(test, schemars(with = "Option<Time>", extend("x-unit" = "seconds")))]
    pub resync: Option<Duration>,
    /// Attempts to reach the registry at start, after the first; -1 for no end.
    #[cfg_attr(test, schemars(range(min = -1)))]
    pub retry_attempts: Option<i64>,
    /// The time between them.
    #[serde(deserialize_with = "milliseconds", serialize_with = "humantime_serde::serialize")]
    #[cfg_attr(test, schemars(with = "Option<Time>", extend("x-unit" = "milliseconds")))]
    pub retry_interval: Option<Duration>,
    /// The TTL of services without a check, with `lifecycle.heartbeat`.
    #[serde(deserialize_with = "seconds", serialize_with = "humantime_serde::serialize")]
    #[cfg_attr(test, schemars(with = "Option<Time>", extend("x-unit" = "seconds")))]
    pub ttl: Option<Duration>,
    /// The time between two reports to it.
    #[serde(deserialize_with = "seconds", serialize_with = "humantime_serde::serialize")]
    #[cfg_attr(test, schemars(with = "Option<Time>", extend("x-unit" = "seconds")))]
    pub ttl_refresh: Option<Duration>,
}

/// When the services of a container that has ended go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Whenever it has ended.
    Always,
    /// If it has not failed.
    OnSuccess,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::OnSuccess => "on-success",
        })
    }
}

impl Registrator {
    /// What makes no sense, with its key. What bears on the pair of TTLs is judged where
    /// the flags are known.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.retry_attempts.is_some_and(|attempts| attempts < -1) {
            faults.push("registrator.retry-attempts: it must be -1, for no end, or greater".into());
        }
        if self.retry_interval.is_some_and(|interval| interval.is_zero()) {
            faults.push("registrator.retry-interval: it must be greater than 0".into());
        }
        faults
    }
}

/// A time with its unit, or the number that the flag takes.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "a time such as \"60s\", or the number that the flag takes")]
enum Time {
    Number(u64),
    Text(String),
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let time = time(from, Duration::from_secs)?;
    match time.subsec_nanos() {
        0 => Ok(Some(time)),
        _ => Err(D::Error::custom("it is counted in whole seconds")),
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    time(from, Duration::from_millis).map(Some)
}

fn time<'de, D: Deserializer<'de>>(
    from: D,
    of: impl Fn(u64) -> Duration,
) -> Result<Duration, D::Error> {
    match Time::deserialize(from)? {
        Time::Number(number) => Ok(of(number)),
        Time::Text(text) => humantime::parse_duration(&text)
            .map_err(|fault| D::Error::custom(format!("{text:?} is no time: {fault}"))),
    }
}
