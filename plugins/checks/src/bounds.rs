//! The bounds of a check's times.

use std::time::Duration;

use wharfinger_plugin::{Check, CheckKind, duration};

use super::Settings;

/// The timeout of a check that has none. Source: Consul's documentation of
/// check definitions.
const CONSULS_TIMEOUT: Duration = Duration::from_secs(10);
/// Consul takes no shorter time until it deregisters a service.
const CONSULS_SHORTEST: Duration = Duration::from_secs(60);

/// The bounds that are set.
#[derive(Debug)]
pub(crate) struct Bounds {
    interval: Span,
    timeout: Span,
    deregister_after: Option<String>,
}

/// The shortest and the longest time, as they are written and what they are.
#[derive(Debug, Default)]
struct Span {
    min: Option<(String, Duration)>,
    max: Option<(String, Duration)>,
}

impl Bounds {
    /// The bounds of the settings, or all that is wrong with them.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut read = |key: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            match duration::parse(text).filter(|duration| !duration.is_zero()) {
                Some(duration) => Some((text.clone(), duration)),
                None => {
                    faults.push(format!("{key}: {text:?} is not a duration such as 10s"));
                    None
                }
            }
        };
        let interval = Span {
            min: read("min-interval", &settings.min_interval),
            max: read("max-interval", &settings.max_interval),
        };
        let timeout = Span {
            min: read("min-timeout", &settings.min_timeout),
            max: read("max-timeout", &settings.max_timeout),
        };
        let after = read("deregister-after", &settings.deregister_after);
        if after.as_ref().is_some_and(|(_, after)| *after < CONSULS_SHORTEST) {
            faults.push("deregister-after: Consul's minimum is 1m".into());
        }
        for (name, span) in [("interval", &interval), ("timeout", &timeout)] {
            if let (Some(min), Some(max)) = (&span.min, &span.max)
                && min.1 > max.1
            {
                faults.push(format!("min-{name} {} is more than max-{name} {}", min.0, max.0));
            }
        }
        let deregister_after = after.map(|(text, _)| text);
        if faults.is_empty() {
            Ok(Self { interval, timeout, deregister_after })
        } else {
            Err(faults)
        }
    }

    /// Bring a check's times within the bounds. What is no duration is left to
    /// those who judge it.
    pub(crate) fn apply(&self, check: &mut Check) {
        let ttl = matches!(check.kind, CheckKind::Ttl(_));
        if !ttl && !matches!(check.kind, CheckKind::Alias(_)) {
            self.interval.bring(&mut check.interval, None);
            self.timeout.bring(&mut check.timeout, Some(CONSULS_TIMEOUT));
        }
        if check.deregister_after.is_none() {
            check.deregister_after.clone_from(&self.deregister_after);
        }
    }
}

impl Span {
    /// Bring a time within the bounds. One that is not said is `unsaid`, and
    /// stays so if that is within them.
    fn bring(&self, time: &mut Option<String>, unsaid: Option<Duration>) {
        let now = match time.as_deref() {
            Some(text) => duration::parse(text),
            None => unsaid,
        };
        let Some(now) = now else { return };
        let short = self.min.as_ref().filter(|(_, min)| now < *min);
        let long = self.max.as_ref().filter(|(_, max)| now > *max);
        if let Some((bound, _)) = short.or(long) {
            *time = Some(bound.clone());
        }
    }
}
