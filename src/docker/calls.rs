//! The calls to the engine, each as often as it takes, and the meaning of their answers.

use std::{collections::HashMap, time::Duration};

use bollard::{
    errors::Error,
    query_parameters::{InspectContainerOptionsBuilder, ListContainersOptionsBuilder},
};

use super::{
    Docker, Inspected, SourceError, client, inspect, odd,
    podman::{self, Removal},
    setup,
};
use crate::model::{container::ContainerId, host::Engine, setup::ImageFacts, summary::Listed};

impl Docker {
    pub(super) async fn listed(&self, summaries: bool) -> Result<Vec<Listed>, SourceError> {
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

    pub(super) async fn raw(&self, id: &str) -> Result<Option<Inspected>, SourceError> {
        let options = InspectContainerOptionsBuilder::new().size(false).build();
        let whole = self.tags.may_block();
        let inspect = || self.client.inspect_container(id, Some(options.clone()), whole);
        let answer = self.ask(id, || format!("inspect container {id}"), inspect).await;
        let (attempt, source) = match answer {
            Ok(response) => return Ok(Some(response)),
            Err(SourceError::Docker { attempt, source }) => (attempt, source),
            Err(error) => return Err(error),
        };
        if let Some(answer) =
            contents(&source).and_then(|text| serde_json::from_slice(text.as_bytes()).ok())
        {
            let fault = |fault| SourceError::Inspect(ContainerId(id.into()), fault);
            return odd::inspected(answer, whole).map(Some).map_err(fault);
        }
        let missing = matches!(source, Error::DockerResponseServerError { status_code: 404, .. });
        if missing || self.removal(&source, id).await == Some(Removal::Gone) {
            return Ok(None);
        }
        Err(SourceError::Docker { attempt, source })
    }

    /// The facts of an image; none if the engine does not have it any more, or a proxy before it
    /// answers for containers only.
    pub(super) async fn image_facts(&self, id: &str) -> Result<Option<ImageFacts>, SourceError> {
        if id.is_empty() {
            return Ok(None);
        }
        let attempt = || format!("inspect image {id}");
        match self.ask("", attempt, || self.client.inspect_image(id)).await {
            Ok(image) => Ok(Some(setup::image(image))),
            Err(SourceError::Docker {
                source: Error::DockerResponseServerError { status_code: 401 | 403 | 404, .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The engine's kind and version.
    pub(super) async fn engine_facts(&self) -> Result<Engine, SourceError> {
        let version = self.client.version();
        let version = within(PING_LIMIT, || "ask Docker for its version".into(), version).await?;
        let kind = if podman::made(&version) { "podman" } else { "docker" };
        Ok(Engine { kind: kind.into(), version: version.version.unwrap_or_default() })
    }

    /// The answer to a call, within the limit; it is made again where Podman has
    /// stumbled over the removal of a container other than `id`.
    pub(super) async fn ask<T, F>(
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

    /// The removal of a container that an error tells of, where it is Podman's. The
    /// engine's kind is asked only then, since another one may answer by now.
    pub(super) async fn removal(&self, error: &Error, id: &str) -> Option<Removal> {
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
    pub(super) async fn owner(
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
            through.extend(found.id.map(|id| ContainerId(id.into())));
        }
    }

    /// Make new connections, so that later calls go to the engine that is there now.
    pub(super) fn renew(&self) -> Result<(), SourceError> {
        let attempt = || "connect to Docker".into();
        self.client.renew().map_err(|source| SourceError::Docker { attempt: attempt(), source })
    }

    /// The identity that it gives in an answer, and where it stores its containers:
    /// before Docker 23 all engines of one machine give the same identity.
    pub(super) async fn identity(&self) -> Result<Option<(String, String)>, SourceError> {
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
pub(super) const LIMIT: Duration = Duration::from_secs(20);
/// The time for an answer that takes no work.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(5);

/// The answer to a call, if it comes within the limit.
pub(super) async fn within<T>(
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
