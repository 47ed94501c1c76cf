//! A host as a whole: the daemon dies on it, nothing changes on it, or all
//! names do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use url::Url;
use wharfinger::{
    cli::{self, Invocation},
    config::Config,
    daemon::app,
    docker::{Docker, Tags},
    reconcile::{Options, Reconciler},
    registry::{Consul, ConsulConfig},
};

use super::{
    fake::{FakeSink, container_id, inspected},
    lab::{HOST, IP, Lab, SOON, Watcher, ids, names},
};
use crate::common::{fake_docker::FakeDocker, http::Activity, wait::until};

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_ten_that_went_and_ten_that_came_are_told_apart() {
    let lab = Lab::new().await;
    let [stay, go, come] = ["stay", "go", "come"].map(|prefix| names(prefix, 10));
    lab.start(&stay, &[]);
    lab.start(&go, &[]);
    let mut daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(stay.iter().chain(&go)), SOON).await;
    daemon.kill9();
    drop(daemon);
    lab.remove(&go);
    lab.start(&come, &[]);
    let written = lab.sink.proxy.count();
    let _daemon = lab.daemon(&[]).await;
    let right = ids(stay.iter().chain(&come));
    lab.sink.exactly(&right, SOON).await;
    lab.sink.stays(&right, Duration::from_secs(2)).await;
    lab.sink.assert_written_once(written, &ids(&come), &ids(&go));
    lab.sink.assert_foreign_untouched().await;
}

/// Docker and Consul are fakes, and the loop runs in the test itself, as the
/// flag `-resync` counts in seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_resyncs_of_a_thousand_services_write_nothing() {
    const RESYNCS: usize = 100;
    let ports = [80, 81, 82, 83, 84];
    let docker = FakeDocker::start(Activity::default());
    let containers = names("c", 200);
    for (number, name) in containers.iter().enumerate() {
        docker.set(name, Some(inspected(name, number, &ports)));
    }
    let of = |name| ports.map(|port| format!("{HOST}:{name}:{port}"));
    let services: BTreeSet<_> = containers.iter().flat_map(of).collect();
    assert_eq!(services.len(), 1_000);
    let sink = FakeSink::start().await;
    let stop = CancellationToken::new();
    let options = Options { resync: Some(Duration::from_millis(20)), ..Options::default() };
    let reconciler = reconciler(&docker.host(), &sink.consul.uri(), options).await;
    let stopped = stop.clone();
    let task = tokio::spawn(async move { reconciler.run(stopped).await });
    sink.exactly(&services, SOON).await;

    let (reads, lists) = (sink.consul.reads(), docker.lists());
    let looks = |number: usize| docker.inspections(&container_id(number));
    let before: Vec<_> = (0..containers.len()).map(looks).collect();
    until(Duration::from_secs(120), "a hundred resyncs", async || {
        let (reads, lists) = (sink.consul.reads() - reads, docker.lists() - lists);
        let looked = before.iter().enumerate().map(|(n, before)| looks(n) - before).min();
        let fewest = reads.min(lists).min(looked.unwrap_or_default());
        if fewest >= RESYNCS { Ok(()) } else { Err(format!("{fewest} of each container")) }
    })
    .await;
    sink.assert_registered_once(&services);
    stop.cancel();
    task.await.expect("the loop ends");
}

/// The loop as the program builds it, but for the options.
async fn reconciler(docker_host: &str, uri: &str, options: Options) -> Reconciler {
    // As the program does at its start; another test may have been quicker.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let words = ["wharfinger", "-ip", IP, "-hostname", HOST, uri].map(Into::into);
    let Ok(Invocation::Run(args)) = cli::parse(words) else { panic!("a command line") };
    let host = app::host(&args.offer).await.expect("the host");
    let pipeline = app::pipeline(&Config::default()).await.expect("the pipeline");
    let source = Docker::connect(Some(docker_host), Tags::default()).await.expect("Docker");
    let url = Url::parse(uri).expect("a URL");
    let config = ConsulConfig::new(&url, |_| None).expect("a configuration");
    let registry = Consul::new(config).expect("a client");
    Reconciler::new(Arc::new(source), Arc::new(registry), pipeline, host, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_containers_are_renamed_and_there_are_never_fewer_services() {
    let lab = Lab::new().await;
    let [old, new] = ["old", "new"].map(|prefix| names(prefix, 50));
    lab.start(&old, &[]);
    let _daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(&old), SOON).await;
    let written = lab.sink.proxy.count();
    let strangers = lab.sink.consul.services().await.len() - 50;
    let watcher = Watcher::start(&lab.sink.consul, move |services| {
        let count = services.len() - strangers;
        if count >= 50 { Ok(()) } else { Err(format!("{count} services")) }
    });
    for (old, new) in old.iter().zip(&new) {
        lab.docker.run(&["rename", old, new]);
    }
    lab.sink.exactly(&ids(&new), SOON).await;
    lab.sink.stays(&ids(&new), Duration::from_secs(2)).await;
    watcher.held(50).await;
    lab.sink.assert_written_once(written, &ids(&new), &ids(&old));
    lab.sink.assert_foreign_untouched().await;
}
