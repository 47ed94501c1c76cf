//! `wharfinger plan`: what would be registered for recorded containers, without
//! Docker and without Consul.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bollard::models::ContainerInspectResponse;
use clap::Args;
use serde_json::Value;
use tracing::warn;

use super::OfferArgs;
use crate::{
    app,
    container::Container,
    docker::{Tags, container},
    reconcile::Provenance,
    registry::body,
};

/// The flags of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub offer: OfferArgs,

    /// A file with what `docker inspect` prints. Can be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    pub containers: Vec<PathBuf>,

    /// consul-json: the bodies that would be sent to Consul, sorted by ID.
    #[arg(long, value_name = "FORM", default_value = "consul-json")]
    pub output: Output,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A JSON array of bodies of `PUT /v1/agent/service/register`.
    ConsulJson,
}

/// What would be registered, as text for the standard output.
///
/// # Errors
///
/// A file cannot be read or is not what `docker inspect` prints, the
/// configuration cannot be used, or a stage fails.
pub async fn plan(args: &PlanArgs) -> anyhow::Result<String> {
    let config = app::config(&args.offer)?;
    let host = app::host(&args.offer, config.compat).await?;
    let pipeline = app::pipeline(&config).await?;
    let provenance = Provenance { host: host.hostname.clone(), enabled: !args.offer.no_provenance };
    let tags = app::tags(&args.offer)?;
    let mut bodies = Vec::new();
    for container in containers(&args.containers, &tags)? {
        if !container.state.is_running() {
            continue;
        }
        let outcome = pipeline.evaluate(&container, &host).await?;
        for warning in &outcome.warnings {
            warn!(container = container.name, "{warning}");
        }
        for trace in &outcome.trace {
            for message in &trace.messages {
                warn!(container = container.name, stage = trace.stage, "{}", message.text);
            }
        }
        for service in outcome.services {
            let service = provenance.stamp(&container.id, service);
            bodies.push((service.id.clone(), body::register(&service)));
        }
    }
    bodies.sort_by(|(a, _), (b, _)| a.cmp(b));
    let bodies: Vec<Value> = bodies.into_iter().map(|(_, body)| body).collect();
    let Output::ConsulJson = args.output;
    Ok(serde_json::to_string_pretty(&bodies)?)
}

/// The containers of these files. One that shares another's network finds it in
/// any of them.
fn containers(files: &[PathBuf], tags: &Tags) -> anyhow::Result<Vec<Container>> {
    let mut recorded = Vec::new();
    for file in files {
        for (index, value) in read(file)?.into_iter().enumerate() {
            let response: ContainerInspectResponse = serde_json::from_value(value)
                .with_context(|| format!("{}: entry {}", file.display(), index + 1))?;
            recorded.push(response);
        }
    }
    let by_id: HashMap<_, _> =
        recorded.iter().filter_map(|response| Some((response.id.as_deref()?, response))).collect();
    let one = |response: &ContainerInspectResponse| {
        let mode = response.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
        let peer = mode.and_then(|mode| mode.strip_prefix("container:"));
        let peer = peer.and_then(|peer| by_id.get(peer).copied());
        let name = response.name.clone().unwrap_or_default();
        container(response, peer, tags).with_context(|| format!("container {name}"))
    };
    recorded.iter().map(one).collect()
}

fn read(file: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value: Value =
        serde_json::from_slice(&text).with_context(|| format!("{}: not JSON", file.display()))?;
    match value {
        Value::Array(list) => Ok(list),
        _ => bail!("{}: not a JSON array, which is what docker inspect prints", file.display()),
    }
}
