//! The services that this host's daemon has put into maintenance, as far as is known.

use std::collections::HashMap;

/// The services in maintenance by ID; false if that may have been undone since.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Maintained(HashMap<String, bool>);

impl Maintained {
    /// Note which services are in maintenance, and whether it is this host's daemon that
    /// has put them there, as a read shows. Of what it does not show it is not known
    /// whether it was put there since.
    pub(in crate::reconcile) fn see(&mut self, read: impl IntoIterator<Item = (String, bool)>) {
        self.0.values_mut().for_each(|sure| *sure = false);
        for (id, ours) in read {
            self.note(&id, ours.then_some(true));
        }
    }

    /// Note that a service is about to be put into maintenance or taken out of it, and return what
    /// was known of it.
    pub(in crate::reconcile) fn begin(&mut self, id: &str) -> Option<bool> {
        self.0.insert(id.to_string(), false)
    }

    /// Note what is known of a service's maintenance: whether that is sure of one that
    /// is, or may be, in it.
    pub(in crate::reconcile) fn note(&mut self, id: &str, maintained: Option<bool>) {
        match maintained {
            Some(sure) => self.0.insert(id.to_string(), sure),
            None => self.0.remove(id),
        };
    }

    /// Note that a service in maintenance may have been taken out of it.
    pub(super) fn doubt(&mut self, id: &str) {
        if let Some(sure) = self.0.get_mut(id) {
            *sure = false;
        }
    }

    /// There is no such service any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Whether a service has to be put into maintenance, or taken out of it, to
    /// be as it is wanted.
    pub(in crate::reconcile) fn differs(&self, id: &str, wanted: bool) -> bool {
        match self.0.get(id) {
            None => wanted,
            Some(sure) => !wanted || !sure,
        }
    }
}
