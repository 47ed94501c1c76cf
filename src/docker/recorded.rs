//! Containers that were recorded with `docker inspect`, in the place of Docker.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::{Map, Value};

use super::{
    Event, InspectFault, Moment, Source, SourceError, Tags, container,
    inspect::owner,
    inspected::{Inspected, InspectedImage},
    odd, setup,
};
use crate::{
    files, json,
    model::{
        container::{Container, ContainerId},
        setup::ImageFacts,
    },
};

/// Recorded containers, which never change.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// A template of `-tags` that fails on one concerns that one, as with Docker's own.
    containers: BTreeMap<ContainerId, Result<Container, InspectFault>>,
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
    /// another's network finds it in any of them, and so it does its image, which
    /// `docker inspect` prints as well.
    ///
    /// # Errors
    ///
    /// See [`RecordedError`].
    pub fn read(files: &[PathBuf], tags: &Tags) -> Result<Self, RecordedError> {
        let (mut responses, mut images) = (Vec::new(), Images::new());
        for file in files {
            let read = parse(file)?;
            images.extend(read.images);
            for one in read.containers {
                responses.push(inspected(one, tags)?);
            }
        }
        let mut containers = BTreeMap::new();
        for response in &responses {
            let name = || response.name.clone().unwrap_or_default();
            let running = response.state.as_ref().and_then(|state| state.running);
            match (read(response, &responses, &images, tags), &response.id) {
                (Ok(container), _) => {
                    containers.insert(container.id.clone(), Ok(container));
                }
                (Err(fault @ InspectFault::Tags(_)), Some(id)) if running == Some(true) => {
                    containers.insert(ContainerId(id.as_str().into()), Err(fault));
                }
                (Err(InspectFault::Tags(_)), Some(_)) => {}
                (Err(fault), _) => return Err(RecordedError::Container(name(), fault)),
            }
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
        let all: Vec<Map<String, Value>> = match text.trim_ascii_start().first() {
            Some(b'{') => vec![serde_json::from_slice(text).map_err(wrong)?],
            _ => serde_json::from_slice(text).map_err(wrong)?,
        };
        let Entries { containers, images } = Entries::of(all);
        let all = containers.into_iter().map(|one| inspected(one, tags));
        let all: Vec<_> = all.collect::<Result<_, _>>()?;
        let first = all.first().ok_or_else(|| RecordedError::Empty(file.into()))?;
        read(first, &all, &images, tags).map_err(|fault| {
            RecordedError::Container(first.name.clone().unwrap_or_default(), fault)
        })
    }

    /// The containers, sorted by identifier, but for those in [`Recorded::faults`].
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().filter_map(|container| container.as_ref().ok())
    }

    /// The faults of running ones that the template of `-tags` fails on.
    pub fn faults(&self) -> impl Iterator<Item = SourceError> {
        self.containers.iter().filter_map(|(id, container)| {
            let fault = container.as_ref().err()?.clone();
            Some(SourceError::Inspect(id.clone(), fault))
        })
    }
}

/// Images by their identifiers.
type Images = BTreeMap<String, ImageFacts>;

/// The containers and images in a recording.
struct Entries {
    containers: Vec<Map<String, Value>>,
    images: Images,
}

impl Entries {
    /// `docker inspect` prints containers and images into one list. Of an image that cannot be
    /// read nothing is known.
    fn of(all: Vec<Map<String, Value>>) -> Self {
        let is_image = |one: &Map<String, Value>| {
            one.contains_key("RepoDigests") && !one.contains_key("State")
        };
        let (images, containers): (Vec<_>, Vec<_>) = all.into_iter().partition(is_image);
        let image = |one| {
            let image: InspectedImage = json::from_value(&Value::Object(one)).ok()?;
            Some((image.id.clone()?, setup::image(image)))
        };
        Self { containers, images: images.into_iter().filter_map(image).collect() }
    }
}

/// Read a container; the one whose network it shares is among all.
fn read(
    response: &Inspected,
    all: &[Inspected],
    images: &Images,
    tags: &Tags,
) -> Result<Container, InspectFault> {
    let (peer, through) = owner(response, all).unzip();
    let mut container = container(response, peer, tags)?;
    if let (Some(peer), Some(through)) = (&mut container.network_peer, through) {
        peer.through = through;
    }
    container.image_facts = images.get(&container.image_id).cloned();
    Ok(container)
}

fn parse(file: &Path) -> Result<Entries, RecordedError> {
    let text = files::read(file, files::RECORDED)
        .map_err(|error| RecordedError::Read(file.into(), error))?;
    let all: Result<Vec<Map<String, Value>>, _> = serde_json::from_slice(&text);
    Ok(Entries::of(all.map_err(|error| RecordedError::Parse(file.into(), error))?))
}

/// One container of a recording.
fn inspected(answer: Map<String, Value>, tags: &Tags) -> Result<Inspected, RecordedError> {
    let name = answer.get("Name").and_then(Value::as_str).unwrap_or_default().to_string();
    odd::inspected(Value::Object(answer), tags.may_block())
        .map_err(|fault| RecordedError::Container(name, fault))
}

#[async_trait::async_trait]
impl Source for Recorded {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        let listed = self.containers.iter().filter(|(_, container)| match container {
            Ok(container) => container.state.is_running(),
            Err(_) => true,
        });
        Ok(listed.map(|(id, _)| id.clone()).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        let found = self.containers.get(id).cloned().transpose();
        found.map_err(|fault| SourceError::Inspect(id.clone(), fault))
    }

    fn events(&self, _: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>> {
        stream::pending().boxed()
    }
}
