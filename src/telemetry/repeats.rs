//! Warnings that repeat: the same event about the same subject for the same reason is told once,
//! then counted, and told again with the count at pauses that grow up to an hour, until it is
//! over.
//!
//! Its invariant: so many warnings are remembered and no more, whatever is said.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The pause after which a lasting warning is told again, at first and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// So many warnings are remembered.
const MOST: usize = 4096;

/// The key of a warning: digests of its subject and of its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Of the event and of its subject.
    pub(super) about: u64,
    /// Of the reason, numbers aside.
    pub(super) reason: u64,
}

#[derive(Debug)]
struct Told {
    /// When it was told, and when it was last meant to be.
    told: Instant,
    last: Instant,
    pause: Duration,
    /// How often it was meant to be since it was told.
    untold: u64,
}

/// The warnings that were told.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<Key, Told>>);

impl Repeats {
    /// Whether a warning is told now; and if it was meant to be since it was told last, how
    /// often, this time among them.
    pub(super) fn note(&self, key: Key, now: Instant) -> Option<Option<u64>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = all.get_mut(&key) else {
            if all.len() >= MOST {
                let oldest = all.iter().min_by_key(|(_, told)| told.last).map(|(key, _)| *key);
                if let Some(oldest) = oldest {
                    all.remove(&oldest);
                }
            }
            all.insert(key, Told { told: now, last: now, pause: FIRST_PAUSE, untold: 0 });
            return Some(None);
        };
        // A warning that has not been for so long is another incident.
        let again = now.duration_since(told.last) >= FIRST_PAUSE;
        told.last = now;
        if !again && now.duration_since(told.told) < told.pause {
            told.untold += 1;
            return None;
        }
        let count = (told.untold > 0).then_some(told.untold + 1);
        told.pause = if again { FIRST_PAUSE } else { (told.pause * 2).min(LONGEST_PAUSE) };
        (told.told, told.untold) = (now, 0);
        Some(count)
    }

    /// Note that the warnings about this are over.
    pub(super) fn end(&self, about: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, _| key.about != about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_then_with_its_count_until_it_is_over() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let key = Key { about: 1, reason: 1 };
        let mut told = Vec::new();
        // Every ten seconds for four hours.
        for n in 0..4 * 360 {
            let now = start + Duration::from_secs(10 * n);
            if let Some(count) = repeats.note(key, now) {
                told.push((10 * n / 60, count));
            }
        }
        let expected = [(0, None), (5, Some(30)), (15, Some(60)), (35, Some(120)), (75, Some(240))];
        assert_eq!(told[..5], expected);
        assert_eq!(told[5..], [(135, Some(360)), (195, Some(360))]);

        let later = start + Duration::from_secs(4 * 3600);
        assert_eq!(repeats.note(key, later), None);
        // For another reason, or about something else, it is another one.
        assert_eq!(repeats.note(Key { about: 1, reason: 2 }, later), Some(None));
        assert_eq!(repeats.note(Key { about: 2, reason: 1 }, later), Some(None));
        repeats.end(1);
        assert_eq!(repeats.note(key, later), Some(None));
        assert_eq!(repeats.note(Key { about: 2, reason: 1 }, later), None);
        // After a long silence as well.
        let much_later = later + FIRST_PAUSE;
        assert_eq!(repeats.note(key, much_later), Some(None));
    }

    #[test]
    fn no_more_are_remembered_than_so_many_and_the_oldest_goes() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let key = |n: usize| Key { about: n as u64, reason: 0 };
        for n in 0..=MOST {
            let now = start + Duration::from_millis(n as u64);
            assert_eq!(repeats.note(key(n), now), Some(None));
        }
        let now = start + Duration::from_secs(10);
        assert_eq!(repeats.note(key(1), now), None);
        assert_eq!(repeats.note(key(0), now), Some(None));
        assert_eq!(repeats.0.lock().expect("it is whole").len(), MOST);
    }
}
