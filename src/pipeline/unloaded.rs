//! The stand-in for a stage that could not be loaded: it fails on every container, so
//! that the stage's own rules say what becomes of them.

use super::{Called, Stage, StageError};
use crate::model::{container::Container, host::Host, service::Service};

/// A stage that could not be loaded.
#[derive(Debug)]
pub struct Unloaded {
    name: String,
    reason: String,
}

impl Unloaded {
    /// The stage of this name, which could not be loaded for this reason.
    pub fn new(name: &str, reason: &str) -> Self {
        Self { name: name.to_string(), reason: reason.to_string() }
    }
}

#[async_trait::async_trait]
impl Stage for Unloaded {
    fn name(&self) -> &str {
        &self.name
    }

    fn unloaded(&self) -> Option<&str> {
        Some(&self.reason)
    }

    async fn process(&self, _: &Container, _: &Host, _: &[Service]) -> Called {
        let error = StageError::Unloaded(self.reason.clone());
        Called { result: Err(error), messages: Vec::new() }
    }
}
