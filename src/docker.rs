//! The source of containers: Docker, or whatever speaks its API.
//!
//! The source only says which containers there are, what one of them looks like
//! now, and that one of them is to be looked at again. Which event it was matters
//! for a signal, which is seen nowhere else, and for a death: an engine does not
//! answer for a dead container before it has taken its network down.

mod about;
mod calls;
mod client;
mod connect;
mod inspect;
mod inspected;
mod life;
mod odd;
mod podman;
mod ports;
mod recorded;
mod setup;
mod signal;
mod template;

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{errors::Error, query_parameters::EventsOptionsBuilder};
use futures_util::{StreamExt as _, future, stream::BoxStream};

use crate::{
    fresh::Fresh,
    model::{
        container::{Container, ContainerId},
        host::Engine,
        setup::ImageFacts,
        summary::Listed,
    },
};
use about::concerned;
use calls::{PING_LIMIT, within};

pub use connect::ConnectError;
pub use inspect::{InspectFault, Tags, container};
pub use inspected::Inspected;
pub use recorded::{Recorded, RecordedError};
pub use template::{Fault, HttpGet, TemplateError};

/// Where containers are read from. A seam: tests put their own in its place.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    /// The running containers.
    ///
    /// # Errors
    ///
    /// The list could not be read whole; it is never taken as empty.
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError>;

    /// The running containers, with what a list shows of them.
    ///
    /// # Errors
    ///
    /// As for [`Source::list`].
    async fn survey(&self) -> Result<Vec<Listed>, SourceError> {
        let plain = |id| Listed { id, summary: None };
        Ok(self.list().await?.into_iter().map(plain).collect())
    }

    /// A container as it is now; none if there is no such container.
    ///
    /// # Errors
    ///
    /// It is not known whether there is such a container, or what it is like.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError>;

    /// The facts of an image, by its identifier; none if the engine does not have it, or may not
    /// be asked for it.
    ///
    /// # Errors
    ///
    /// It could not be asked.
    async fn image(&self, id: &str) -> Result<Option<ImageFacts>, SourceError> {
        let _ = id;
        Ok(None)
    }

    /// The engine's kind and version; none if there is no engine. The answer may be a minute old.
    ///
    /// # Errors
    ///
    /// It could not be asked, and never was.
    async fn about(&self) -> Result<Option<Engine>, SourceError> {
        Ok(None)
    }

    /// Containers to be looked at again, from `since` on, or from the moment of
    /// the call on. The stream ends when the connection does. It may go silent
    /// without an end; see [`Source::ping`].
    fn events(&self, since: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>>;

    /// The moment that it is now by the source's clock, as far as that is known.
    fn now(&self) -> Moment {
        Moment::now()
    }

    /// Whether the source answers at all.
    ///
    /// # Errors
    ///
    /// It does not.
    async fn ping(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// An identity that tells this container engine from others and stays the same over
    /// its restarts; none if it has none.
    ///
    /// # Errors
    ///
    /// It could not be asked.
    async fn engine(&self) -> Result<Option<String>, SourceError> {
        Ok(None)
    }
}

/// That something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The container.
    pub container: ContainerId,
    /// The kind of the event, as far as it matters.
    pub kind: EventKind,
    /// When it happened.
    pub at: Option<Moment>,
}

/// The kind of an event, by what happened to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Something that only a look at it tells.
    Change,
    /// It was started.
    Start,
    /// A signal of this number was sent to it.
    Signal(i64),
    /// Its main process has ended.
    Death {
        /// With this code.
        exit_code: i64,
    },
}

/// A moment by the source's clock, as the time since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// This moment, as far as the clocks agree.
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// The least moment that comes after this one.
    pub fn next(self) -> Self {
        Self(self.0 + Duration::from_nanos(1))
    }
}

/// In seconds, as Docker's API wants it.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())
    }
}

/// A failed attempt to read from the source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading from Docker.
    #[error("cannot {attempt}")]
    Docker {
        /// The attempt, such as `list containers`.
        attempt: String,
        /// The error of Docker or the connection.
        #[source]
        source: Error,
    },
    /// Docker took longer than anyone can wait.
    #[error("cannot {attempt}: no answer within {}", humantime::format_duration(*.limit))]
    Silent {
        /// The attempt.
        attempt: String,
        /// The time that was waited.
        limit: Duration,
    },
    /// Docker said something in the stream of events that makes no sense. The stream
    /// goes on; what happened is not known.
    #[error("cannot understand an event: {0}")]
    Event(String),
    /// An answer is larger than anything that makes sense.
    #[error("cannot {attempt}")]
    TooLarge {
        /// The attempt.
        attempt: String,
        /// The error, which says how large it may be.
        #[source]
        source: Error,
    },
    /// Docker's answer about a container makes no sense.
    #[error("container {}", .0.short())]
    Inspect(ContainerId, #[source] InspectFault),
}

/// Docker's API.
#[derive(Debug, Clone)]
pub struct Docker {
    client: client::Client,
    tags: Tags,
    /// The engine's kind and version.
    known: Fresh<Option<Engine>>,
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
        let client = connect::connect(host).await?;
        Ok(Self { client, tags, known: Fresh::default() })
    }
}

#[async_trait::async_trait]
impl Source for Docker {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        Ok(self.listed(false).await?.into_iter().map(|listed| listed.id).collect())
    }

    async fn survey(&self) -> Result<Vec<Listed>, SourceError> {
        self.listed(true).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        let Some(response) = self.raw(&id.0).await? else { return Ok(None) };
        let (peer, through) = self.owner(&response).await?.unzip();
        let container = if self.tags.may_block() {
            let tags = self.tags.clone();
            tokio::task::spawn_blocking(move || container(&response, peer.as_ref(), &tags))
                .await
                .unwrap_or(Err(InspectFault::Missing("end: the template of -tags panicked")))
        } else {
            container(&response, peer.as_ref(), &self.tags)
        };
        let mut container = container.map_err(|fault| SourceError::Inspect(id.clone(), fault))?;
        if let (Some(peer), Some(through)) = (&mut container.network_peer, through) {
            peer.through = through;
        }
        Ok(Some(container))
    }

    async fn image(&self, id: &str) -> Result<Option<ImageFacts>, SourceError> {
        self.image_facts(id).await
    }

    async fn about(&self) -> Result<Option<Engine>, SourceError> {
        self.known.get(async { self.engine_facts().await.map(Some) }).await
    }

    fn events(&self, since: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>> {
        // The request goes out when the stream is first polled. Docker repeats
        // what happened since the moment, so that nothing falls between.
        let kinds = ["container", "network"].map(String::from).to_vec();
        let options = EventsOptionsBuilder::new()
            .since(&since.unwrap_or_else(Moment::now).to_string())
            .filters(&HashMap::from([("type".to_string(), kinds)]))
            .build();
        self.client
            .events(Some(options))
            .filter_map(|event| {
                future::ready(match event {
                    Ok(event) => concerned(event).map(Ok),
                    Err(Error::DockerStreamError { error }) => Some(Err(SourceError::Event(error))),
                    Err(source) => {
                        let attempt = "read Docker's events".into();
                        Some(Err(SourceError::Docker { attempt, source }))
                    }
                })
            })
            .boxed()
    }

    async fn ping(&self) -> Result<(), SourceError> {
        within(PING_LIMIT, || "ping Docker".into(), self.client.ping()).await.map(drop)
    }

    async fn engine(&self) -> Result<Option<String>, SourceError> {
        // Podman makes up another identity for each answer. Its data folder tells it
        // from others on the machine.
        self.renew()?;
        let (first, second) = (self.identity().await?, self.identity().await?);
        Ok(match (first, second) {
            (Some((id, root)), Some(other)) if id == other.0 && root == other.1 => {
                Some(format!("{id} {root}"))
            }
            (Some((_, root)), Some((_, other))) if root == other && !root.is_empty() => {
                Some(format!("by folder {root}"))
            }
            _ => None,
        })
    }
}
