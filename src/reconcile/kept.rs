//! The memory that is kept of each container, by owner: the loop looks at many containers, and then each
//! part of what it knows is dropped by itself, with an allocator that counts what is given back.

use std::{any::Any, collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};

use super::{cycle::Shared, job::Job, options::Options};
use crate::{
    allocated::freed,
    docker::{self, Event, Inspected, Moment, Source, SourceError, Tags},
    model::{
        container::{Container, ContainerId},
        host::Host,
        registered::Registered,
        service::Service,
    },
    pipeline::{Called, Decision, Made, Pipeline, Stage, Step, Verdict, tests::host},
    registry::{Capabilities, Memory, Registry, RegistryError},
    stages::builtin::Builtin,
};

/// A part of what is kept, by whose it is.
pub(super) type Part = (&'static str, Box<dyn Any>);

/// As full as tables are with 10,000, which double their size at the same share of a power of two.
const CONTAINERS: usize = 2_500;

/// Containers like those of the measurements.
struct Still(BTreeMap<ContainerId, Container>);

impl Still {
    fn new() -> Self {
        let template = include_str!("../../tests/bench/inspect.json");
        let one = |n: usize| {
            let id = format!("{:012x}{:052x}", n + 1, n + 1);
            let text = template
                .replace("@ID@", &id)
                .replace("@SHORT@", &id[..12])
                .replace("@NAME@", &format!("clone-{n:05}"))
                .replace("@IP@", &format!("10.100.{}.{}", n / 250, n % 250 + 2))
                .replace("@PORT@", &(10_000 + n).to_string());
            let inspected: Inspected =
                serde_json::from_slice(text.as_bytes()).expect("the template is JSON");
            let container = docker::container(&inspected, None, &Tags::default());
            (ContainerId(id.into()), container.expect("a container"))
        };
        Self((0..CONTAINERS).map(one).collect())
    }
}

#[async_trait::async_trait]
impl Source for Still {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        Ok(self.0.keys().cloned().collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        Ok(self.0.get(id).cloned())
    }

    fn events(&self, _: Option<Moment>) -> stream::BoxStream<'static, Result<Event, SourceError>> {
        stream::pending().boxed()
    }
}

/// A registry that takes everything and keeps nothing.
struct Nothing;

#[async_trait::async_trait]
impl Registry for Nothing {
    fn capabilities(&self) -> Capabilities {
        Memory::CAPABILITIES
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        Ok(String::new())
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        Ok(BTreeMap::new())
    }

    async fn register(&self, _: &Service) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn deregister(&self, _: &str) -> Result<(), RegistryError> {
        Ok(())
    }
}

/// A stage that adds a tag, and of which the answers are remembered.
struct Tag(String);

#[async_trait::async_trait]
impl Stage for Tag {
    fn name(&self) -> &str {
        &self.0
    }

    async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
        let tagged = |service: &Service| {
            let mut service = service.clone();
            service.tags.push(self.0.clone());
            Verdict::Replace(Box::new(service))
        };
        let verdicts = services.iter().map(tagged).collect();
        let decision = Decision { verdicts, added: Vec::new(), remarks: Vec::new() };
        Called { result: Ok(decision), messages: Vec::new() }
    }
}

fn pipeline(stages: usize) -> Pipeline {
    let registrator = Builtin::new("registrator", "registrator", "{}").expect("there is one");
    let more = (0..stages).map(|n| {
        let name = format!("stage-{n}");
        let made = Made { plugin: name.clone(), ..Made::default() };
        Step::new(Arc::new(Tag(name))).made_of(made)
    });
    Pipeline::of([Step::new(Arc::new(registrator))].into_iter().chain(more).collect())
}

/// The bytes that are kept of each container, by part.
async fn each(stages: usize) -> Vec<(&'static str, i64)> {
    let source = Arc::new(Still::new());
    let shared = Shared::new(
        source.clone(),
        Arc::new(Nothing),
        pipeline(stages),
        host(),
        &Options::default(),
    );
    let mut due = shared.work(&Job::Sync).await.expect("nothing fails");
    while let Some((job, pause)) = due.pop() {
        if pause == Duration::ZERO {
            due.extend(shared.work(&job).await.expect("nothing fails"));
        }
    }
    let (state, rest) = shared.dismantled();
    assert_eq!(state.catalog.services().count(), CONTAINERS);
    let parts = state.parts().into_iter().chain(rest);
    let each = |(name, part): Part| (name, freed(part) / CONTAINERS as i64);
    parts.map(each).collect()
}

/// The most bytes of a container, without a stage beside the stage `registrator` and with five.
const MOST: [(usize, i64); 2] = [(0, 3_050), (5, 4_150)];

#[tokio::test]
async fn what_is_kept_of_a_container_is_known_by_its_owner() {
    for (stages, most) in MOST {
        let parts = each(stages).await;
        let all: i64 = parts.iter().map(|(_, bytes)| bytes).sum();
        println!("{stages} stages: {all} bytes are kept of a container");
        for (name, bytes) in &parts {
            println!("{bytes:>6} {name}");
        }
        assert!(all <= most, "{all} bytes are kept of a container, and not {most} at the most");
        // A part of which something is kept elsewhere, so that dropping it gives back less, is seen.
        assert!(all >= most - most / 10, "{all} are far less than {most}: note it here");
    }
}
