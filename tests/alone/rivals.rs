//! Guarantee: where two containers want one service ID, one has it and keeps it,
//! and the other one keeps what it had; nothing goes back and forth.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::common::{
    corpus,
    wait::{holds, until},
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio_util::sync::CancellationToken;
use wharfinger::{
    docker::{Event, Moment, Source, SourceError},
    model::{
        container::{Container, ContainerId},
        host::{Compat, Host},
        marks::META_CONTAINER,
        registered::Registered,
        service::Service,
    },
    pipeline::{Called, Decision, Pipeline, Stage, Verdict},
    reconcile::{Options, Reconciler},
    registry::{Memory, Registry},
};

const SOON: Duration = Duration::from_secs(20);

/// Containers that stay as they are.
struct Fixed(Vec<Container>);

#[async_trait::async_trait]
impl Source for Fixed {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        Ok(self.0.iter().map(|container| container.id.clone()).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        Ok(self.0.iter().find(|container| container.id == *id).cloned())
    }

    fn events(&self, _: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>> {
        stream::pending().boxed()
    }
}

/// A stage that gives all services the same ID, or leaves them alone.
struct Ids(Option<&'static str>);

#[async_trait::async_trait]
impl Stage for Ids {
    fn name(&self) -> &str {
        "ids"
    }

    async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
        let verdict = |service: &Service| match self.0 {
            None => Verdict::Keep,
            Some(id) => Verdict::Replace(Box::new(Service { id: id.into(), ..service.clone() })),
        };
        let verdicts = services.iter().map(verdict).collect();
        Called {
            result: Ok(Decision { verdicts, added: Vec::new(), remarks: Vec::new() }),
            messages: Vec::new(),
        }
    }
}

fn pipeline(id: Option<&'static str>) -> Pipeline {
    Pipeline::new(vec![Arc::new(Ids(id))])
}

fn containers() -> (Vec<Container>, Host) {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let case = case.expect("the case is part of the corpus");
    let one = case.containers().remove(0);
    let container = |n: usize| Container {
        id: ContainerId(format!("{n:064}").into()),
        name: format!("c{n}"),
        ..one.clone()
    };
    ((0..3).map(container).collect(), case.host(Compat::None))
}

async fn read(registry: &Memory) -> BTreeMap<String, Registered> {
    registry.read().await.expect("memory can be read")
}

/// The containers that have a service.
fn served(services: &BTreeMap<String, Registered>) -> BTreeSet<&str> {
    services
        .values()
        .filter_map(|service| service.meta.get(META_CONTAINER))
        .map(|id| &**id)
        .collect()
}

#[tokio::test]
async fn a_stage_that_gives_three_containers_one_id_takes_nothing_away() {
    let (containers, host) = containers();
    let registry = Arc::new(Memory::default());
    let options = Options { resync: Some(Duration::from_millis(200)), ..Options::default() };
    let reconciler = Reconciler::new(
        Arc::new(Fixed(containers)),
        registry.clone(),
        pipeline(None),
        host,
        options,
    );
    let (handle, stop) = (reconciler.handle(), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { reconciler.run(stop).await }
    });
    let own = ["testhost:c0:80", "testhost:c1:80", "testhost:c2:80"];
    let exactly = async |ids: &[&str]| {
        until(SOON, format!("{ids:?}"), async || {
            let services = read(&registry).await;
            let found: Vec<_> = services.keys().map(String::as_str).collect();
            if found == ids { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    };
    exactly(&own).await;

    handle.replace_pipeline(pipeline(Some("same"))).await.expect("it runs");
    until(SOON, "one of them has the ID", async || {
        let services = read(&registry).await;
        if services.contains_key("same") && services.len() == 3 {
            Ok(())
        } else {
            Err(format!("{:?}", services.keys()))
        }
    })
    .await;
    let settled = read(&registry).await;
    holds(Duration::from_secs(3), "nobody loses anything", async || {
        let now = read(&registry).await;
        if now == settled && served(&now).len() == 3 { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;

    handle.replace_pipeline(pipeline(None)).await.expect("it runs");
    exactly(&own).await;
    stop.cancel();
    running.await.expect("the loop ends");
}
