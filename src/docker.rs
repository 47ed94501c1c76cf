//! The source of containers: Docker, or whatever speaks its API.
//!
//! The source only says which containers there are, what one of them looks like
//! now, and that one of them is to be looked at again. Which event it was matters
//! for a signal, which is seen nowhere else, and for a death: an engine does not
//! answer for a dead container before it has taken its network down.

mod client;
mod connect;
mod inspect;
mod inspected;
mod life;
mod odd;
mod podman;
mod ports;
mod recorded;
mod signal;
mod template;

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    errors::Error,
    models::{EventMessage, EventMessageTypeEnum},
    query_parameters::{
        EventsOptionsBuilder, InspectContainerOptionsBuilder, ListContainersOptionsBuilder,
    },
};
use futures_util::{StreamExt as _, future, stream::BoxStream};

use crate::model::{
    container::{Container, ContainerId},
    summary::Listed,
};
use podman::Removal;

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

    /// What tells this container engine from others and stays the same over its
    /// restarts; none if it has no such thing.
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
    /// What happened, as far as that matters.
    pub kind: EventKind,
    /// When it happened.
    pub at: Option<Moment>,
}

/// What happened to a container.
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
    /// Docker took longer than anyone can wait.
    #[error("cannot {attempt}: no answer within {}", humantime::format_duration(*.limit))]
    Silent {
        /// What was attempted.
        attempt: String,
        /// How long it was waited.
        limit: Duration,
    },
    /// Docker said something in the stream of events that makes no sense. The stream
    /// goes on; what happened is not known.
    #[error("cannot understand an event: {0}")]
    Event(String),
    /// An answer is larger than anything that makes sense.
    #[error("cannot {attempt}")]
    TooLarge {
        /// What was attempted.
        attempt: String,
        /// How large it may be.
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
    client: client::Client,
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

    async fn listed(&self, summaries: bool) -> Result<Vec<Listed>, SourceError> {
        // Docker lists paused ones by itself, Podman only if it is asked to.
        let states = ["running", "paused"].map(String::from).to_vec();
        let options = ListContainersOptionsBuilder::new()
            .all(false)
            .filters(&HashMap::from([("status".to_string(), states)]))
            .build();
        let list = || self.client.list_containers(Some(options.clone()), summaries);
        match self.ask("", || "list containers".into(), list).await {
            Err(SourceError::Docker { attempt, source }) => {
                let plain = |id| Listed { id, summary: None };
                let odd = contents(&source).and_then(odd::listed);
                let odd = odd.map(|ids| ids.into_iter().map(plain).collect());
                odd.ok_or(SourceError::Docker { attempt, source })
            }
            answer => answer,
        }
    }

    async fn raw(&self, id: &str) -> Result<Option<Inspected>, SourceError> {
        let options = InspectContainerOptionsBuilder::new().size(false).build();
        let whole = self.tags.may_block();
        let inspect = || self.client.inspect_container(id, Some(options.clone()), whole);
        let answer = self.ask(id, || format!("inspect container {id}"), inspect).await;
        let (attempt, source) = match answer {
            Ok(response) => return Ok(Some(response)),
            Err(SourceError::Docker { attempt, source }) => (attempt, source),
            Err(error) => return Err(error),
        };
        if let Some(answer) = contents(&source).and_then(|text| serde_json::from_str(text).ok()) {
            let fault = |fault| SourceError::Inspect(ContainerId(id.into()), fault);
            return odd::inspected(answer, whole).map(Some).map_err(fault);
        }
        let missing = matches!(source, Error::DockerResponseServerError { status_code: 404, .. });
        if missing || self.removal(&source, id).await == Some(Removal::Gone) {
            return Ok(None);
        }
        Err(SourceError::Docker { attempt, source })
    }

    /// The answer to a call, within the limit; it is made again where Podman has
    /// stumbled over the removal of a container other than `id`.
    async fn ask<T, F>(
        &self,
        id: &str,
        attempt: impl Fn() -> String,
        call: impl Fn() -> F,
    ) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut pauses = podman::PAUSES.into_iter();
        loop {
            let answer = within(LIMIT, &attempt, call()).await;
            let Err(SourceError::Docker { source, .. }) = &answer else { return answer };
            if self.removal(source, id).await != Some(Removal::UnderWay) {
                return answer;
            }
            let Some(pause) = pauses.next() else { return answer };
            tokio::time::sleep(pause).await;
        }
    }

    /// What an error says of the removal of a container, where it is Podman's. Which
    /// engine answers is asked only then, since another one may by now.
    async fn removal(&self, error: &Error, id: &str) -> Option<Removal> {
        let Error::DockerResponseServerError { status_code: 500, message } = error else {
            return None;
        };
        let removal = podman::removal(message, id)?;
        let version = self.client.version();
        let version = within(PING_LIMIT, || "ask Docker for its version".into(), version).await;
        version.is_ok_and(|version| podman::made(&version)).then_some(removal)
    }

    /// The container whose network one shares, and those by way of which it does; none if
    /// it shares none, or there is none at the end of the way.
    async fn owner(
        &self,
        from: &Inspected,
    ) -> Result<Option<(Inspected, Vec<ContainerId>)>, SourceError> {
        let mut through = Vec::new();
        let Some(mut what) = inspect::peer(from).map(String::from) else { return Ok(None) };
        loop {
            let found = if what.is_empty() { None } else { self.raw(&what).await? };
            let Some(found) = found else { return Ok(None) };
            if !inspect::is_on_the_way(from, &through, &found) {
                return Ok(None);
            }
            match inspect::peer(&found).map(String::from) {
                Some(next) => what = next,
                None => return Ok(Some((found, through))),
            }
            through.extend(found.id.map(ContainerId));
        }
    }

    /// The identity that it gives in an answer, and where it stores its containers:
    /// before Docker 23 all engines of one machine give the same identity.
    async fn identity(&self) -> Result<Option<(String, String)>, SourceError> {
        let attempt = || "ask Docker for its identity".into();
        let known = |(id, root): (Option<String>, String)| {
            id.filter(|id| !id.is_empty()).map(|id| (id, root))
        };
        match self.ask("", attempt, || self.client.info()).await {
            Ok(info) => Ok(known((info.id, info.docker_root_dir.unwrap_or_default()))),
            Err(SourceError::Docker { attempt, source }) if contents(&source).is_some() => {
                let said = contents(&source).and_then(odd::identity);
                said.map(known).ok_or(SourceError::Docker { attempt, source })
            }
            // A proxy in front of the socket may not let this pass.
            Err(SourceError::Docker {
                source: Error::DockerResponseServerError { status_code: 400..500, .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The answer that an error is about, if it is one that has not the types of the API.
fn contents(error: &Error) -> Option<&str> {
    match error {
        Error::JsonDataError { contents, .. } => Some(contents),
        _ => None,
    }
}

/// The time for an answer to a call. A daemon under load takes seconds.
const LIMIT: Duration = Duration::from_secs(20);
/// The time for an answer that takes no work.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// The answer to a call, if it comes within the limit.
async fn within<T>(
    limit: Duration,
    attempt: impl Fn() -> String,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|source| match client::is_too_large(&source) {
            true => SourceError::TooLarge { attempt: attempt(), source },
            false => SourceError::Docker { attempt: attempt(), source },
        }),
        Err(_) => Err(SourceError::Silent { attempt: attempt(), limit }),
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

/// The container that an event is about. Only the action and the actor are
/// read: newer Docker daemons send nothing else.
fn concerned(event: EventMessage) -> Option<Event> {
    let at = event.time_nano.and_then(|time| u64::try_from(time).ok());
    let at = at.map(|time| Moment(Duration::from_nanos(time)));
    let actor = event.actor?;
    let attribute = |name| actor.attributes.as_ref()?.get(name).cloned();
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => {
            // What is run inside a container changes nothing about it; neither
            // does what Podman notes down when it has looked at it.
            let inside =
                ["exec", "top", "attach", "resize", "copy", "export", "archive-path", "sync"];
            let action = event.action?;
            if inside.iter().any(|prefix| action.starts_with(prefix)) {
                return None;
            }
            let number = |name| attribute(name).and_then(|number: String| number.parse().ok());
            let kind = match &*action {
                "start" => Some(EventKind::Start),
                "kill" => number("signal").map(EventKind::Signal),
                // The second of the words and of the attributes is Podman's.
                "die" | "died" => number("exitCode")
                    .or_else(|| number("containerExitCode"))
                    .map(|exit_code| EventKind::Death { exit_code }),
                _ => None,
            };
            let kind = kind.unwrap_or(EventKind::Change);
            Some(Event { container: ContainerId(actor.id?), kind, at })
        }
        EventMessageTypeEnum::NETWORK => {
            let podmans = || {
                let attributes = actor.attributes.as_ref()?;
                actor.id.clone().filter(|_| podman::is_about_container(attributes))
            };
            let container = attribute("container").or_else(podmans)?;
            Some(Event { container: ContainerId(container), kind: EventKind::Change, at })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(event: Value, expected: Option<&str>) {
        let message = serde_json::from_value(event.clone()).expect("an event");
        let container = concerned(message).map(|event| event.container.0);
        assert_eq!(container.as_deref(), expected, "{event}");
    }

    #[test]
    fn an_event_is_about_a_container() {
        let container =
            |action: &str| json!({ "Type": "container", "Action": action, "Actor": { "ID": "c" } });
        for action in ["start", "die", "died", "remove", "health_status: healthy", "rename"] {
            check(container(action), Some("c"));
        }
        for action in ["exec_create: sh", "exec_die", "exec", "exec_died", "top", "sync"] {
            check(container(action), None);
        }
        let network = |attributes: Value| {
            let actor = json!({ "ID": "n", "Attributes": attributes });
            json!({ "Type": "network", "Action": "connect", "Actor": actor })
        };
        check(network(json!({ "container": "c", "name": "shop", "type": "bridge" })), Some("c"));
        check(network(json!({ "name": "shop", "type": "bridge" })), None);
        // Podman's: the actor is the container, of which the name is.
        check(network(json!({ "containerExitCode": "0", "name": "web", "podId": "" })), Some("n"));
        check(json!({ "Type": "image", "Action": "pull", "Actor": { "ID": "i" } }), None);
    }

    #[test]
    fn signals_and_deaths_are_told_apart_from_the_rest() {
        let kind = |action: &str, attributes: Value| {
            let actor = json!({ "ID": "c", "Attributes": attributes });
            let event = json!({ "Type": "container", "Action": action, "Actor": actor });
            let message = serde_json::from_value(event).expect("an event");
            concerned(message).expect("it is about a container").kind
        };
        let death = |exit_code| EventKind::Death { exit_code };
        for (action, attributes, expected) in [
            ("kill", json!({ "signal": "15" }), EventKind::Signal(15)),
            ("kill", json!({ "signal": "TERM" }), EventKind::Change),
            ("kill", json!({}), EventKind::Change),
            ("die", json!({ "exitCode": "0" }), death(0)),
            ("die", json!({ "exitCode": "137", "signal": "9" }), death(137)),
            ("died", json!({ "containerExitCode": "3" }), death(3)),
            ("die", json!({ "containerExitCode": "3" }), death(3)),
            // Without the code it is not known what becomes of its services.
            ("die", json!({}), EventKind::Change),
            ("die", json!({ "exitCode": "none" }), EventKind::Change),
            ("stop", json!({ "exitCode": "0" }), EventKind::Change),
            ("destroy", json!({ "exitCode": "0" }), EventKind::Change),
            ("start", json!({ "signal": "15", "exitCode": "0" }), EventKind::Start),
            ("restart", json!({ "exitCode": "0" }), EventKind::Change),
        ] {
            assert_eq!(kind(action, attributes.clone()), expected, "{action} {attributes}");
        }
    }
}
