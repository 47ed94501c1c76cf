//! `make bench`, after the figures: small parts of the work for one container, each alone and again and
//! again, so that a change of one of them is seen before it drowns in the whole.
//!
//! `cargo bench --bench micro digest` measures those of which the name has that in it.

#[allow(dead_code)]
mod daemon;
#[allow(dead_code)]
mod hosted;

use std::{path::Path, sync::Arc};

use divan::Bencher;
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Runtime;
use wharfinger::{
    docker::{self, Event, Inspected, Moment, Source, SourceError, Tags},
    model::{
        container::{Container, ContainerId},
        host::Host,
        service::Service,
    },
    pipeline::{Called, Decision, Made, Pipeline, Stage, Step, Verdict},
    reconcile::{Options, Rehearsal},
};

use daemon::{STAGES, component};
use hosted::{Hosted, facts};

/// What `docker inspect` prints of a container, with words in the place of what differs.
const INSPECT: &str = include_str!("inspect.json");

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    divan::main();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A stage's call, in an instance of its own.
#[divan::bench(args = STAGES.map(|(name, ..)| name))]
fn call(bencher: Bencher<'_, '_>, name: &str) {
    let runtime = runtime();
    let settings = STAGES.iter().find(|stage| stage.0 == name).expect("one of them").2;
    let hosted = runtime.block_on(Hosted::load(Path::new(&component(name)), settings));
    bencher.bench_local(|| runtime.block_on(hosted.call()));
}

/// A stage that keeps everything.
struct Keep(String);

#[async_trait::async_trait]
impl Stage for Keep {
    fn name(&self) -> &str {
        &self.0
    }

    async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
        let verdicts = services.iter().map(|_| Verdict::Keep).collect();
        let decision = Decision { verdicts, added: Vec::new(), remarks: Vec::new() };
        Called { result: Ok(decision), messages: Vec::new() }
    }
}

fn pipeline(stages: usize, remembered: bool) -> Pipeline {
    let step = |n: usize| {
        let name = format!("stage-{n}");
        let step = Step::new(Arc::new(Keep(name.clone())));
        if remembered { step.made_of(Made { plugin: name, ..Made::default() }) } else { step }
    };
    Pipeline::of((0..stages).map(step).collect())
}

/// A run through stages of which all answers are remembered: the digests of the facts and of the services.
#[divan::bench(args = [0, 1, 5])]
fn digest(bencher: Bencher<'_, '_>, stages: usize) {
    let (runtime, pipeline, (container, host)) = (runtime(), pipeline(stages, true), facts());
    bencher.bench_local(|| runtime.block_on(pipeline.evaluate(&container, &host)).is_ok());
}

/// The same where none is.
#[divan::bench(args = [1, 5])]
fn run(bencher: Bencher<'_, '_>, stages: usize) {
    let (runtime, pipeline, (container, host)) = (runtime(), pipeline(stages, false), facts());
    bencher.bench_local(|| runtime.block_on(pipeline.evaluate(&container, &host)).is_ok());
}

/// From Docker's answer to a container.
#[divan::bench]
fn inspection(bencher: Bencher<'_, '_>) {
    let text = INSPECT.replace("@PORT@", "20080").replace("@IP@", "172.17.0.2");
    let tags = Tags::default();
    bencher.bench_local(|| {
        let response: Inspected = serde_json::from_str(&text).expect("as Docker prints it");
        docker::container(&response, None, &tags).expect("a container")
    });
}

/// A source of so many containers that are as they are.
struct Still(Vec<Container>);

impl Still {
    fn of(count: usize) -> Self {
        let (base, _) = facts();
        let one = |n: usize| {
            let mut one = base.clone();
            one.id = ContainerId(format!("{n:064x}").into());
            one.name = format!("web-{n}");
            one.published_ports[0].host_port = u16::try_from(n).expect("a port");
            one
        };
        Self((1..=count).map(one).collect())
    }
}

#[async_trait::async_trait]
impl Source for Still {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        Ok(self.0.iter().map(|one| one.id.clone()).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        let at = self.0.binary_search_by(|one| one.id.0.cmp(&id.0));
        Ok(at.ok().map(|at| self.0[at].clone()))
    }

    fn events(&self, _: Option<Moment>) -> stream::BoxStream<'static, Result<Event, SourceError>> {
        stream::pending().boxed()
    }
}

/// The whole plan for so many containers of which nothing is registered, without a stage.
#[divan::bench(args = [1_000, 10_000], sample_count = 5, sample_size = 1)]
fn plan(bencher: Bencher<'_, '_>, containers: usize) {
    let runtime = runtime();
    let (source, (_, host)) = (Arc::new(Still::of(containers)), facts());
    bencher.bench_local(|| {
        let (pipeline, options) = (pipeline(0, false), Options::default());
        let rehearsal = Rehearsal::new(source.clone(), None, pipeline, host.clone(), &options);
        let forecast = runtime.block_on(rehearsal.forecast());
        assert_eq!(forecast.expect("nothing fails").containers.len(), containers);
    });
}
