//! `wharfinger fleet explain`: whose the instances of a service are, all over the datacenter.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::json;

use super::{
    asker::{AT_ONCE, Asker, AskerArgs},
    host::{Host, short},
};
use crate::{
    cli::{Printed, output::width, rollout::ConsulArgs},
    model::marks::{META_CONTAINER, META_HOST},
    policy::Digest,
    reconcile::Explanation,
    registry::consul::members::{self, Instance},
    render::{Text, Tone, Tree},
    text,
};

/// The flags of `fleet explain`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: instances (id, node, datacenter, address, port, critical, host, container, bundle,
stage: the one that made the name, or null; unasked: why the stage is not known).")]
pub(super) struct ExplainArgs {
    /// The service's name.
    #[arg(value_name = "SERVICE")]
    name: String,

    #[command(flatten)]
    consul: ConsulArgs,

    #[command(flatten)]
    asker: AskerArgs,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An instance of the service.
#[derive(Debug, Serialize)]
struct Explained {
    id: String,
    node: String,
    datacenter: String,
    address: String,
    port: u16,
    critical: bool,
    /// The host whose daemon has registered it; none if it was no daemon.
    host: Option<String>,
    container: Option<String>,
    /// The bundle in force there.
    bundle: Option<Digest>,
    /// The stage that made the name.
    stage: Option<String>,
    /// Why that is not known.
    unasked: Option<String>,
}

pub(super) async fn explain(args: &ExplainArgs) -> anyhow::Result<Printed> {
    let consul = args.consul.open()?;
    let instances = members::instances(&consul, &args.name).await?;
    if instances.is_empty() {
        bail!(
            "no instance of {:?} is to be seen: there is none, or the token may not read it",
            args.name
        );
    }
    // Without the daemons all is known but the bundles and the stages.
    let daemons = members::daemons(&consul, args.consul.service()).await.unwrap_or_default();
    let hosts = daemons.iter().filter(|one| !one.critical).map(|one| Host::of(one, |_| None));
    let hosts: BTreeMap<_, _> = hosts.map(|host| (host.host.clone(), host)).collect();
    let asker = args.asker.open()?;
    let all = stream::iter(&instances).map(|one| explained(one, &hosts, &asker));
    let all: Vec<_> = all.buffered(AT_ONCE).collect().await;
    let text = match args.json {
        true => {
            let json = serde_json::to_string_pretty(&json!({ "instances": all }))?;
            text::json(&json).into_owned() + "\n"
        }
        false => tree(&args.name, &all).render(width()),
    };
    Ok(Printed { text, code: 0 })
}

async fn explained(
    instance: &Instance,
    hosts: &BTreeMap<String, Host>,
    asker: &Asker,
) -> Explained {
    let host = instance.meta.get(META_HOST).cloned();
    let daemon = host.as_ref().and_then(|host| hosts.get(host));
    let stage = match (&host, daemon) {
        (None, _) => Err("no daemon has registered it".to_string()),
        (_, None) => Err("its daemon is not registered itself, or is lost".to_string()),
        (_, Some(daemon)) => match &daemon.listens {
            None => Err("its daemon does not listen".into()),
            Some(at) => stage(asker, at, &instance.id).await,
        },
    };
    let (stage, unasked) = match stage {
        Ok(stage) => (stage, None),
        Err(words) => (None, Some(words)),
    };
    Explained {
        id: instance.id.clone(),
        node: instance.node.clone(),
        datacenter: instance.datacenter.clone(),
        address: instance.address.clone(),
        port: instance.port,
        critical: instance.critical,
        container: instance.meta.get(META_CONTAINER).cloned(),
        bundle: daemon.and_then(|daemon| daemon.bundle),
        host,
        stage,
        unasked,
    }
}

/// The stage that made a service's name; none if no stage did.
async fn stage(asker: &Asker, at: &str, id: &str) -> Result<Option<String>, String> {
    let bytes = asker.get(at, &["explain", id], &[]).await?;
    let all: Vec<Explanation> = serde_json::from_slice(&bytes)
        .map_err(|_| "its daemon's answer cannot be understood".to_string())?;
    let outcomes = all.iter().filter_map(|one| one.outcome.as_ref());
    let blame = outcomes.filter_map(|outcome| outcome.blame().remove(id)).next();
    let blame = blame.ok_or("its daemon does not know of it")?;
    Ok(blame.of("name").map(String::from))
}

fn tree(name: &str, all: &[Explained]) -> Tree {
    let count = text::counted(all.len(), "instance", "instances");
    let lines = all.iter().map(|one| {
        let mut line = Text::of(Tone::Strong, &one.id)
            .then(format!("{}:{}", one.address, one.port))
            .and(Tone::Faint, format!("  node {}, {}", one.node, one.datacenter));
        if one.critical {
            line = line.and(Tone::Warning, " critical");
        }
        let mut tree = Tree::new(line);
        match (&one.host, &one.container) {
            (Some(host), Some(container)) => {
                let short: String = container.chars().take(12).collect();
                tree.push(format!("container {short} on host {host}"));
            }
            (Some(host), None) => tree.push(format!("host {host}")),
            (None, _) => {}
        }
        if let Some(bundle) = &one.bundle {
            tree.push(format!("bundle {}", short(bundle)));
        }
        tree.push(match (&one.stage, &one.unasked) {
            (Some(stage), _) => Text::of(Tone::Plain, "its name was made by stage").then(stage),
            (None, None) => Text::of(Tone::Plain, "no stage made its name"),
            (None, Some(words)) => {
                Text::of(Tone::Faint, "which stage made its name is not known:").then(words)
            }
        });
        tree
    });
    Tree::new(Text::of(Tone::Strong, name).then(count)).with(lines)
}
