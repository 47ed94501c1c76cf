//! The source of containers: Docker, or whatever speaks its API.
//!
//! The source only says which containers there are, what one of them looks like
//! now, and that one of them is to be looked at again. Which event it was does
//! not matter to anyone.

mod connect;
mod inspect;
mod recorded;
mod template;

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use bollard::{
    errors::Error,
    models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum},
    query_parameters::{
        EventsOptionsBuilder, InspectContainerOptionsBuilder, ListContainersOptionsBuilder,
    },
};
use futures_util::{StreamExt as _, future, stream::BoxStream};

use crate::container::{Container, ContainerId};

pub use connect::ConnectError;
pub use inspect::{InspectFault, Tags, container};
pub use recorded::{Recorded, RecordedError};
pub use template::{Fault, TemplateError};

/// Where containers are read from. A seam: tests put their own in its place.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    /// The running containers.
    ///
    /// # Errors
    ///
    /// The list could not be read whole; it is never taken as empty.
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError>;

    /// A container as it is now; none if there is no such container.
    ///
    /// # Errors
    ///
    /// It is not known whether there is such a container, or what it is like.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError>;

    /// Containers to be looked at again, from the moment of the call on. The
    /// stream ends when the connection does; what happened until the next call
    /// is not in it.
    fn events(&self) -> BoxStream<'static, Result<ContainerId, SourceError>>;
}

/// What was attempted in vain.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading from Docker.
    #[error("cannot {attempt}")]
    Docker {
        /// What was attempted, such as `list containers`.
        attempt: String,
        /// What Docker or the connection said.
        #[source]
        source: Error,
    },
    /// What Docker said of a container makes no sense.
    #[error("container {}", .0.short())]
    Inspect(ContainerId, #[source] InspectFault),
}

/// Docker's API.
#[derive(Debug, Clone)]
pub struct Docker {
    client: bollard::Docker,
    tags: Tags,
}

impl Docker {
    /// Connect to `host`, a URL such as `unix:///var/run/docker.sock`; without
    /// one, to the first of the two usual sockets that is there. `tags` is the
    /// run's `-tags`.
    ///
    /// # Errors
    ///
    /// There is nothing to connect to, or it does not answer.
    pub async fn connect(host: Option<&str>, tags: Tags) -> Result<Self, ConnectError> {
        Ok(Self { client: connect::connect(host).await?, tags })
    }

    async fn raw(&self, id: &str) -> Result<Option<ContainerInspectResponse>, SourceError> {
        let options = InspectContainerOptionsBuilder::new().size(false).build();
        match self.client.inspect_container(id, Some(options)).await {
            Ok(response) => Ok(Some(response)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(source) => Err(failed(format!("inspect container {id}"))(source)),
        }
    }
}

#[async_trait::async_trait]
impl Source for Docker {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        let options = ListContainersOptionsBuilder::new().all(false).build();
        let list = self
            .client
            .list_containers(Some(options))
            .await
            .map_err(failed("list containers".into()))?;
        Ok(list.into_iter().filter_map(|summary| summary.id).map(ContainerId).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        let Some(response) = self.raw(&id.0).await? else { return Ok(None) };
        let peer = match inspect::peer(&response) {
            Some(peer) => self.raw(peer).await?,
            None => None,
        };
        let container = if self.tags.may_block() {
            let tags = self.tags.clone();
            tokio::task::spawn_blocking(move || container(&response, peer.as_ref(), &tags))
                .await
                .unwrap_or(Err(InspectFault::Missing("end: the template of -tags panicked")))
        } else {
            container(&response, peer.as_ref(), &self.tags)
        };
        container.map(Some).map_err(|fault| SourceError::Inspect(id.clone(), fault))
    }

    fn events(&self) -> BoxStream<'static, Result<ContainerId, SourceError>> {
        // The request goes out when the stream is first polled. Docker repeats
        // what happened since the call, so that nothing falls between.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kinds = ["container", "network"].map(String::from).to_vec();
        let options = EventsOptionsBuilder::new()
            .since(&format!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
            .filters(&HashMap::from([("type".to_string(), kinds)]))
            .build();
        self.client
            .events(Some(options))
            .filter_map(|event| {
                future::ready(match event {
                    Ok(event) => concerned(event).map(Ok),
                    Err(source) => Some(Err(failed("read Docker's events".into())(source))),
                })
            })
            .boxed()
    }
}

fn failed(attempt: String) -> impl FnOnce(Error) -> SourceError {
    move |source| SourceError::Docker { attempt, source }
}

/// The container that an event is about. Only the action and the actor are
/// read: newer Docker daemons send nothing else.
fn concerned(event: EventMessage) -> Option<ContainerId> {
    let actor = event.actor?;
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => {
            // What is run inside a container changes nothing about it.
            let inside = ["exec_", "top", "attach", "resize", "copy", "export", "archive-path"];
            let action = event.action?;
            let inside = inside.iter().any(|prefix| action.starts_with(prefix));
            actor.id.filter(|_| !inside).map(ContainerId)
        }
        EventMessageTypeEnum::NETWORK => actor.attributes?.remove("container").map(ContainerId),
        _ => None,
    }
}
