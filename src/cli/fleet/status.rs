//! `wharfinger fleet status`: the hosts of a fleet, and how each stands to its policy.

use clap::Args;
use serde_json::json;

use super::host::Host;
use crate::{
    cli::{
        CHANGES, Printed,
        output::width,
        rollout::{ConsulArgs, Key, key, read_document},
    },
    policy::rollout::Fleet,
    registry::consul::members,
    render::{Text, Tone, Tree},
    text,
};

/// The flags of `fleet status`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: hosts (host, node, datacenter, version, policy, sequence, bundle, wave, refused,
reason, held, unhealthy, waits, monitored, source, source-failing, containers, services, listens, lost).")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    consul: ConsulArgs,

    /// The key that the hosts follow, such as consul-kv://wharfinger/prod, to show their waves.
    #[arg(long, value_name = "URI", value_parser = key)]
    source: Option<Key>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: &StatusArgs) -> anyhow::Result<Printed> {
    let consul = args.consul.open()?;
    let daemons = members::daemons(&consul, args.consul.service()).await?;
    let document = match &args.source {
        Some(key) => read_document(&consul, key.name()).await?,
        None => None,
    };
    let fleet: Fleet = members::fleet(&daemons);
    let waves = document
        .as_ref()
        .map(|(document, _)| document.rollout.waves.of_all(fleet.keys().map(String::as_str)));
    let wave = |host: &str| waves.as_ref()?.get(host).copied();
    let mut hosts: Vec<_> = daemons.iter().map(|one| Host::of(one, wave)).collect();
    hosts.sort_by(|one, other| one.host.cmp(&other.host));
    let wanting = hosts.iter().filter(|host| host.wants_a_look()).count();
    let text = match args.json {
        true => {
            let all = serde_json::to_string_pretty(&json!({ "hosts": hosts }))?;
            text::json(&all).into_owned() + "\n"
        }
        false => {
            let head = text::counted(fleet.len(), "host", "hosts");
            let head = match wanting {
                0 => Text::of(Tone::Strong, head),
                some => Text::of(Tone::Strong, head)
                    .and(Tone::Warning, format!(", {some} of which want a look")),
            };
            Tree::new(head).with(hosts.iter().map(Host::tree)).render(width())
        }
    };
    Ok(Printed { text, code: if wanting > 0 { CHANGES } else { 0 } })
}
