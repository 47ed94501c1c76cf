//! The identity of the container engine.

/// The engine's identity, and the number of connections to it so far.
#[derive(Debug, Clone)]
pub(in crate::reconcile) struct Engine {
    identity: Option<String>,
    connections: u64,
    /// The connection on which it was asked last.
    identified: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self { identity: None, connections: 1, identified: 0 }
    }
}

impl Engine {
    /// The connection was lost: it may be another engine now.
    pub(in crate::reconcile) fn lose(&mut self) {
        self.connections += 1;
    }

    /// The number of the present connection.
    pub(in crate::reconcile) fn connection(&self) -> u64 {
        self.connections
    }

    /// Whether it is known which engine this is.
    pub(in crate::reconcile) fn is_known(&self) -> bool {
        self.identified == self.connections
    }

    /// The engine's identity, if it tells one.
    pub(in crate::reconcile) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Note the identity that the engine told on this connection, and return the one before, if
    /// that was another one.
    pub(super) fn note(
        &mut self,
        identity: Option<String>,
        connection: u64,
    ) -> Option<Option<String>> {
        self.identified = connection;
        let before = std::mem::replace(&mut self.identity, identity);
        (before != self.identity).then_some(before)
    }
}
