//! The figures of a stage: how often it was called, what came of it, how long
//! it took and how much memory it used.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use hdrhistogram::Histogram;

use crate::pipeline::{Stats, Times};
use crate::stages::plugin::Limits;

/// Where the figures of a stage are kept.
pub(super) struct Figures(Mutex<Inner>);

struct Inner {
    outcomes: BTreeMap<&'static str, u64>,
    /// In microseconds.
    times: Histogram<u32>,
    peak_memory: u64,
    dropped_messages: u64,
    messages: Window,
}

/// The figures of one call.
pub(super) struct Call {
    pub(super) outcome: &'static str,
    pub(super) time: Duration,
    pub(super) memory: usize,
}

impl Figures {
    pub(super) fn new() -> Self {
        let most = 2 * u64::try_from(Limits::TIMEOUT.end().as_micros()).unwrap_or(u64::MAX / 2);
        let times = Histogram::new_with_bounds(1, most, 2)
            .expect("two digits are fewer than five, and the most is more than twice the least");
        Self(Mutex::new(Inner {
            outcomes: BTreeMap::new(),
            times,
            peak_memory: 0,
            dropped_messages: 0,
            messages: Window { began: Instant::now(), used: 0, told: false },
        }))
    }

    pub(super) fn record(&self, call: &Call) {
        let mut inner = self.lock();
        *inner.outcomes.entry(call.outcome).or_default() += 1;
        inner.times.saturating_record(u64::try_from(call.time.as_micros()).unwrap_or(u64::MAX));
        inner.peak_memory = inner.peak_memory.max(call.memory as u64);
    }

    /// How many of `wanted` messages may be written now, if `rate` may be in a
    /// second; and whether this is the first time in this second that some may
    /// not.
    pub(super) fn admit_messages(&self, wanted: usize, rate: u32) -> (usize, bool) {
        self.lock().messages.admit(Instant::now(), wanted, rate)
    }

    pub(super) fn drop_messages(&self, count: usize) {
        self.lock().dropped_messages += count as u64;
    }

    pub(super) fn stats(&self) -> Stats {
        let inner = self.lock();
        let time = |micros| Duration::from_micros(micros);
        let quantile = |quantile| time(inner.times.value_at_quantile(quantile));
        Stats {
            calls: inner.outcomes.values().sum(),
            outcomes: inner.outcomes.iter().map(|(kind, n)| (kind.to_string(), *n)).collect(),
            time: Times {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                max: time(inner.times.max()),
            },
            peak_memory: ByteSize(inner.peak_memory),
            dropped_messages: inner.dropped_messages,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is whole; a panic elsewhere does not spoil the figures.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A second in which so many messages were written.
struct Window {
    began: Instant,
    used: usize,
    told: bool,
}

impl Window {
    fn admit(&mut self, now: Instant, wanted: usize, rate: u32) -> (usize, bool) {
        if now.duration_since(self.began) >= Duration::from_secs(1) {
            *self = Self { began: now, used: 0, told: false };
        }
        let admitted = wanted.min((rate as usize).saturating_sub(self.used));
        self.used += admitted;
        let first = admitted < wanted && !self.told;
        self.told |= first;
        (admitted, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_outcome() {
        let figures = Figures::new();
        for millis in 1..=100 {
            let outcome = if millis == 100 { "timeout" } else { "ok" };
            let time = Duration::from_millis(millis);
            figures.record(&Call { outcome, time, memory: 1000 * millis as usize });
        }
        let stats = figures.stats();
        assert_eq!(stats.calls, 100);
        let counted = [("ok".to_string(), 99), ("timeout".to_string(), 1)];
        assert_eq!(stats.outcomes, BTreeMap::from(counted));
        assert_eq!(stats.peak_memory, ByteSize(100_000));
        for (found, expected) in [(stats.time.p50, 50), (stats.time.p90, 90), (stats.time.max, 100)]
        {
            let off = found.as_secs_f64() / Duration::from_millis(expected).as_secs_f64();
            assert!((0.99..1.02).contains(&off), "{found:?} is not {expected} ms");
        }
    }

    #[test]
    fn messages_are_admitted_up_to_the_rate_and_the_excess_is_told_once_a_second() {
        let began = Instant::now();
        let mut window = Window { began, used: 0, told: false };
        let at = |millis| began + Duration::from_millis(millis);
        assert_eq!(window.admit(at(0), 6, 10), (6, false));
        assert_eq!(window.admit(at(1), 6, 10), (4, true));
        assert_eq!(window.admit(at(2), 6, 10), (0, false));
        assert_eq!(window.admit(at(999), 1, 10), (0, false));
        assert_eq!(window.admit(at(1000), 6, 10), (6, false));
        assert_eq!(window.admit(at(1001), 6, 10), (4, true));
    }
}
