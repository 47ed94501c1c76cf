//! Containers that were recorded with `docker inspect`, in the place of Docker.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use bollard::models::ContainerInspectResponse;
use futures_util::{StreamExt as _, stream, stream::BoxStream};

use super::{Event, InspectFault, Moment, Source, SourceError, Tags, container, inspect::peer};
use crate::container::{Container, ContainerId};

/// Recorded containers, which never change.
#[derive(Debug, Clone)]
pub struct Recorded {
    containers: BTreeMap<ContainerId, Container>,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// The file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is not what `docker inspect` prints.
    #[error("{} is not a JSON array as docker inspect prints it", .0.display())]
    Parse(PathBuf, #[source] serde_json::Error),
    /// There is no container in it.
    #[error("{} has no container in it", .0.display())]
    Empty(PathBuf),
    /// An entry makes no sense.
    #[error("container {0}")]
    Container(String, #[source] InspectFault),
}

impl Recorded {
    /// Read files with what `docker inspect` prints. A container that shares
    /// another's network finds it in any of them.
    ///
    /// # Errors
    ///
    /// See [`RecordedError`].
    pub fn read(files: &[PathBuf], tags: &Tags) -> Result<Self, RecordedError> {
        let mut responses = Vec::new();
        for file in files {
            responses.extend(parse(file)?);
        }
        let by_id: HashMap<_, _> =
            responses.iter().filter_map(|one| Some((one.id.as_deref()?, one))).collect();
        let mut containers = BTreeMap::new();
        for response in &responses {
            let peer = peer(response).and_then(|id| by_id.get(id).copied());
            let container = container(response, peer, tags).map_err(|fault| {
                RecordedError::Container(response.name.clone().unwrap_or_default(), fault)
            })?;
            containers.insert(container.id.clone(), container);
        }
        Ok(Self { containers })
    }

    /// The first container of a text that `docker inspect` has printed, which
    /// may also be one container without the array around it. The others are
    /// there for one whose network the first one shares. `file` is the text's
    /// name for errors.
    ///
    /// # Errors
    ///
    /// See [`RecordedError`].
    pub fn first(text: &[u8], file: &Path, tags: &Tags) -> Result<Container, RecordedError> {
        let wrong = |error| RecordedError::Parse(file.into(), error);
        let all: Vec<ContainerInspectResponse> = match text.trim_ascii_start().first() {
            Some(b'{') => vec![serde_json::from_slice(text).map_err(wrong)?],
            _ => serde_json::from_slice(text).map_err(wrong)?,
        };
        let first = all.first().ok_or_else(|| RecordedError::Empty(file.into()))?;
        let peer = peer(first).and_then(|id| all.iter().find(|one| one.id.as_deref() == Some(id)));
        container(first, peer, tags).map_err(|fault| {
            RecordedError::Container(first.name.clone().unwrap_or_default(), fault)
        })
    }

    /// The containers, sorted by identifier.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }
}

fn parse(file: &Path) -> Result<Vec<ContainerInspectResponse>, RecordedError> {
    let text = fs::read(file).map_err(|error| RecordedError::Read(file.into(), error))?;
    serde_json::from_slice(&text).map_err(|error| RecordedError::Parse(file.into(), error))
}

#[async_trait::async_trait]
impl Source for Recorded {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        let running = self.containers().filter(|container| container.state.is_running());
        Ok(running.map(|container| container.id.clone()).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        Ok(self.containers.get(id).cloned())
    }

    fn events(&self, _: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>> {
        stream::pending().boxed()
    }
}
