//! `wharfinger plan`: what would be registered for recorded containers, without
//! Docker and without Consul.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use tracing::warn;

use super::OfferArgs;
use crate::{app, docker::Recorded, reconcile::Provenance, registry::body};

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
    let provenance = Provenance::new(&host.hostname, !args.offer.no_provenance);
    let tags = app::tags(&args.offer, host.compat)?;
    let mut bodies = Vec::new();
    let recorded = Recorded::read(&args.containers, &tags)?;
    for container in recorded.containers().filter(|container| container.state.is_running()) {
        let outcome = pipeline.evaluate(container, &host).await?;
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
