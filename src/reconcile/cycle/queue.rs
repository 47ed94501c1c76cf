//! A queue of keys by the times when they are due, in which equal keys are one.
//!
//! A key that is added again while it waits keeps the earlier time. A key that
//! is added while it is being worked on waits until that is done. So one key is
//! never worked on twice at once, and no wish is lost.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
};

use tokio::time::Instant;

#[derive(Debug)]
pub(in crate::reconcile) struct Queue<K> {
    due: BTreeSet<(Instant, K)>,
    waiting: HashMap<K, Instant>,
    active: HashSet<K>,
    /// Keys that were added while they were being worked on.
    again: HashMap<K, Instant>,
}

impl<K: Clone + Ord + Hash> Queue<K> {
    pub(in crate::reconcile) fn new() -> Self {
        Self {
            due: BTreeSet::new(),
            waiting: HashMap::new(),
            active: HashSet::new(),
            again: HashMap::new(),
        }
    }

    /// Work on `key` at `at` or earlier.
    pub(in crate::reconcile) fn add(&mut self, key: K, at: Instant) {
        if self.active.contains(&key) {
            let due = self.again.entry(key).or_insert(at);
            *due = at.min(*due);
            return;
        }
        if let Some(due) = self.waiting.get(&key) {
            if *due <= at {
                return;
            }
            self.due.remove(&(*due, key.clone()));
        }
        self.waiting.insert(key.clone(), at);
        self.due.insert((at, key));
    }

    /// The key that has been due the longest, of those that `admit` lets
    /// through. It is active until [`Queue::done`].
    pub(in crate::reconcile) fn pop(
        &mut self,
        now: Instant,
        admit: impl Fn(&K) -> bool,
    ) -> Option<K> {
        let (at, key) =
            self.due.iter().take_while(|(at, _)| *at <= now).find(|(_, key)| admit(key))?.clone();
        self.due.remove(&(at, key.clone()));
        self.waiting.remove(&key);
        self.active.insert(key.clone());
        Some(key)
    }

    /// The number of keys that are due, and of those that wait for their time.
    pub(in crate::reconcile) fn depth(&self, now: Instant) -> (usize, usize) {
        let due = self.due.iter().take_while(|(at, _)| *at <= now).count();
        (due, self.due.len() - due)
    }

    /// Whether `key` waits or is being worked on.
    pub(in crate::reconcile) fn has(&self, key: &K) -> bool {
        self.waiting.contains_key(key) || self.active.contains(key)
    }

    /// Whether `key` is being worked on.
    pub(in crate::reconcile) fn is_active(&self, key: &K) -> bool {
        self.active.contains(key)
    }

    /// The work on `key` has ended, well or badly.
    pub(in crate::reconcile) fn done(&mut self, key: &K) {
        self.active.remove(key);
        if let Some((key, at)) = self.again.remove_entry(key) {
            self.add(key, at);
        }
    }

    /// Whether a key waits of which this holds, and of the time it is due.
    pub(in crate::reconcile) fn waits(&self, holds: impl Fn(&K, Instant) -> bool) -> bool {
        self.waiting.iter().chain(&self.again).any(|(key, due)| holds(key, *due))
    }

    /// Whether `key` waits and its time has come.
    pub(in crate::reconcile) fn is_due(&self, key: &K, now: Instant) -> bool {
        self.waiting.get(key).is_some_and(|due| *due <= now)
    }

    /// When the next key is due, of those that `admit` lets through.
    pub(in crate::reconcile) fn next_due(&self, admit: impl Fn(&K) -> bool) -> Option<Instant> {
        self.due.iter().find(|(_, key)| admit(key)).map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn any(_: &u8) -> bool {
        true
    }

    #[test]
    fn equal_keys_are_one_and_the_earlier_time_counts() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        let mut queue = Queue::new();
        queue.add(1, later);
        assert_eq!(queue.pop(now, any), None);
        queue.add(1, now);
        queue.add(1, later);
        assert_eq!(queue.pop(now, any), Some(1));
        assert_eq!(queue.pop(later, any), None);
    }

    #[test]
    fn a_key_is_not_worked_on_twice_at_once() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.add(1, now);
        assert_eq!(queue.pop(now, any), Some(1));
        queue.add(1, now);
        queue.add(1, now);
        assert_eq!(queue.pop(now, any), None);
        queue.done(&1);
        assert_eq!(queue.pop(now, any), Some(1));
        queue.done(&1);
        assert_eq!(queue.pop(now, any), None);
    }

    #[test]
    fn what_is_not_admitted_holds_up_nothing() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.add(1, now);
        queue.add(2, now);
        assert_eq!(queue.pop(now, |key| *key == 2), Some(2));
        assert_eq!(queue.next_due(|key| *key == 2), None);
        assert_eq!(queue.next_due(any), Some(now));
    }
}
