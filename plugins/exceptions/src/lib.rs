//! A list of exceptions from a policy: for containers with a value of a label, until a date, with
//! who allowed it and why.
//!
//! ```toml
//! [[pipeline.settings.exceptions]]
//! label = "app"
//! value = "billing-v1"
//! until = "2027-03-31"
//! who = "ann@example.com"
//! why = "it is switched off at the end of March"
//! ```
//!
//! The date needs the real time (`grant.clock = true`). Where there is none, a stage with
//! exceptions is refused at its start: nobody would see that they never end.

mod clock;
mod date;

use schemars::JsonSchema;
use serde::Deserialize;

pub use clock::now;
pub use date::Date;

/// The list, as it stands in the settings of a policy.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Exceptions(Vec<Exception>);

/// One exception.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exception {
    /// The label of the containers that it is for.
    pub label: String,
    /// The value of the label.
    pub value: String,
    /// The last day on which it counts, in UTC: `2027-03-31`.
    pub until: Date,
    /// Who allowed it.
    pub who: String,
    /// Why it was allowed.
    pub why: String,
}

/// A moment before which no host's clock can be right: what a clock that stands still says.
const NO_TIME: u64 = 1_600_000_000;

impl Exceptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Exception> {
        self.0.iter()
    }

    /// What is wrong with the list, a line each, at a time in seconds since 1970.
    pub fn faults(&self, now: u64) -> Vec<String> {
        let mut faults = Vec::new();
        for (n, one) in self.0.iter().enumerate() {
            for (key, text) in
                [("label", &one.label), ("value", &one.value), ("who", &one.who), ("why", &one.why)]
            {
                if text.trim().is_empty() {
                    faults.push(format!("exceptions, number {}, {key}: it is empty", n + 1));
                }
            }
        }
        if !self.is_empty() && now < NO_TIME {
            let fault = "exceptions: they end at a date, and the stage has no clock: it needs \
                grant.clock = true";
            faults.push(fault.into());
        }
        faults
    }

    /// The exceptions that are for a container, whose labels `label` looks up.
    pub fn of<'a>(
        &'a self,
        label: impl Fn(&str) -> Option<&'a str> + 'a,
    ) -> impl Iterator<Item = &'a Exception> + 'a {
        self.0.iter().filter(move |one| label(&one.label) == Some(one.value.as_str()))
    }

    /// The exception that counts for a container at this time.
    ///
    /// # Errors
    ///
    /// There is one, and the time is not known: then nothing can be said.
    pub fn lifting<'a>(
        &'a self,
        now: u64,
        label: impl Fn(&str) -> Option<&'a str> + 'a,
    ) -> Result<Option<&'a Exception>, String> {
        let mut ours = self.of(label).peekable();
        if ours.peek().is_some() && now < NO_TIME {
            return Err(
                "an exception is for this container, and what time it is is not known: the \
                stage needs grant.clock = true"
                    .into(),
            );
        }
        Ok(ours.find(|one| one.until.lasts_at(now)))
    }
}

impl Exception {
    /// That it lifts a veto, for people.
    pub fn note(&self, reason: &str) -> String {
        let Self { label, value, until, who, why } = self;
        format!("{reason}: lifted for {label}={value} until {until} by {who}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn list(until: &str) -> Exceptions {
        Exceptions(vec![Exception {
            label: "app".into(),
            value: "old".into(),
            until: Date::parse(until).expect("a date"),
            who: "ann".into(),
            why: "soon gone".into(),
        }])
    }

    #[test]
    fn an_exception_counts_up_to_the_end_of_its_day() {
        let exceptions = list("2027-03-31");
        let end = Date::parse("2027-04-01").expect("a date").begins();
        let lifts = |now, value: &'static str| {
            exceptions.lifting(now, move |_| Some(value)).expect("it is known").is_some()
        };
        assert!(lifts(end - 1, "old") && lifts(end - DAY, "old"));
        assert!(!lifts(end, "old"));
        assert!(!lifts(end - 1, "other"));
    }

    #[test]
    fn without_a_clock_nothing_is_lifted_and_nothing_decided() {
        let exceptions = list("2027-03-31");
        assert!(exceptions.lifting(0, |_| Some("old")).is_err());
        assert!(exceptions.lifting(0, |_| None).expect("none is for it").is_none());
        assert!(exceptions.faults(0)[0].contains("grant.clock"));
        assert!(exceptions.faults(NO_TIME).is_empty());
        assert!(Exceptions::default().faults(0).is_empty());
    }

    #[test]
    fn who_and_why_are_said() {
        let mut exceptions = list("2027-03-31");
        exceptions.0[0].who = " ".into();
        assert_eq!(exceptions.faults(NO_TIME), ["exceptions, number 1, who: it is empty"]);
    }
}
