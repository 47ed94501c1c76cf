//! Values of which every change is counted, and what was worked out of them, which stands for as
//! long as nothing has changed: what is asked again and again on a host on which nothing happens
//! is then worked out once.

use std::ops::{Deref, DerefMut};

/// A value that counts how often it was, or may have been, changed: whoever takes it to change it
/// counts, so that no change can be forgotten.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Counted<T> {
    value: T,
    changes: u64,
}

impl<T> Counted<T> {
    /// The number of its changes. It never becomes less, so that a sum of several such numbers is
    /// the same only if nothing of all has changed.
    pub(in crate::reconcile) fn changes(&self) -> u64 {
        self.changes
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Counted<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changes += 1;
        &mut self.value
    }
}

/// A result, with the number of changes at which it was worked out.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Known<T>(Option<(u64, T)>);

impl<T: Clone> Known<T> {
    /// The result after so many changes: worked out only if there were some since the last time.
    pub(in crate::reconcile) fn after(&mut self, changes: u64, work_out: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some((then, known)) if *then == changes => known.clone(),
            _ => self.0.insert((changes, work_out())).1.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_stands_until_something_may_have_changed() {
        let mut numbers = Counted::<Vec<u8>>::default();
        let (mut sum, mut worked) = (Known::default(), 0);
        let mut ask = |numbers: &Counted<Vec<u8>>| {
            sum.after(numbers.changes(), || {
                worked += 1;
                (numbers.iter().sum::<u8>(), worked)
            })
        };
        assert_eq!([ask(&numbers), ask(&numbers)], [(0, 1), (0, 1)]);
        numbers.push(3);
        assert_eq!([ask(&numbers), ask(&numbers)], [(3, 2), (3, 2)]);
        assert_eq!(numbers.len(), 1);
        assert_eq!(ask(&numbers), (3, 2), "to read it changes nothing");
        numbers.retain(|_| true);
        assert_eq!(ask(&numbers), (3, 3), "it may have been changed");
    }
}
