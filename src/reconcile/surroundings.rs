//! The facts beyond a container itself that stages need to decide on it: of its image, the
//! registry's agent and the engine. Nobody is asked for what no stage of the pipeline wants.

use std::borrow::Cow;

use super::job::JobError;
use crate::{
    docker::{Source, SourceError},
    error::error_chain,
    model::{container::Container, host::Host},
    pipeline::Pipeline,
    registry::{Registry, RegistryError},
};

/// Why it is not known what a container is surrounded by.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// Its image, or the engine.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The agent.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<Unknown> for JobError {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Source(error) => error.into(),
            Unknown::Registry(error) => error.into(),
        }
    }
}

impl Unknown {
    /// In words for people.
    pub fn words(&self) -> String {
        error_chain(self)
    }
}

/// The host's facts for a container, and in the container what is known of its image, as far as
/// the pipeline's stages are shown that.
///
/// # Errors
///
/// A fact could not be read. The word of a stage without it is not to be believed.
pub async fn surroundings<'a>(
    source: &dyn Source,
    registry: Option<&dyn Registry>,
    pipeline: &Pipeline,
    host: &'a Host,
    container: &mut Container,
) -> Result<Cow<'a, Host>, Unknown> {
    let wants = pipeline.wants();
    if !wants.asks() || !container.state.is_running() {
        return Ok(Cow::Borrowed(host));
    }
    if wants.image && container.image_facts.is_none() {
        container.image_facts = source.image(&container.image_id).await?;
    }
    let engine = if wants.engine { source.about().await? } else { None };
    let agent = match registry.filter(|_| wants.agent) {
        Some(registry) => registry.agent().await?,
        None => None,
    };
    if engine.is_none() && agent.is_none() {
        return Ok(Cow::Borrowed(host));
    }
    let engine = engine.or_else(|| host.engine.clone());
    let agent = agent.or_else(|| host.agent.clone());
    Ok(Cow::Owned(Host { agent, engine, ..host.clone() }))
}
