//! What a daemon tells of itself in Consul, for people and for programs.

use serde::Serialize;

use crate::{
    policy::{Digest, rollout::Member},
    registry::consul::members::Instance,
    render::{Text, Tone, Tree},
};

/// A daemon.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Host {
    /// The host's name.
    pub(super) host: String,
    node: String,
    datacenter: String,
    version: String,
    /// The policy's name.
    policy: Option<String>,
    sequence: Option<u64>,
    pub(super) bundle: Option<Digest>,
    /// Its wave, if there is a rollout to ask.
    wave: Option<usize>,
    refused: Option<Digest>,
    reason: Option<String>,
    /// How many changes its guard holds.
    held: u32,
    unhealthy: Vec<String>,
    waits: Option<String>,
    monitored: bool,
    /// Where it looks for its policy; none if it takes none.
    source: Option<String>,
    source_failing: Option<String>,
    containers: Option<u64>,
    services: Option<u64>,
    /// Where it answers HTTP.
    pub(super) listens: Option<String>,
    pub(super) lost: bool,
}

impl Host {
    /// The daemon that has registered itself so.
    pub(super) fn of(instance: &Instance, wave: impl Fn(&str) -> Option<usize>) -> Self {
        let text = |key: &str| instance.meta.get(key).cloned();
        let number = |key: &str| instance.meta.get(key)?.parse::<u64>().ok();
        let member = Member::of(&instance.meta, instance.critical);
        let host = instance.host().unwrap_or_default().to_string();
        let unhealthy = text("unhealthy").unwrap_or_default();
        let unhealthy = unhealthy.split(',').filter(|stage| !stage.is_empty());
        let address = match &instance.address {
            address if address.contains(':') => format!("[{address}]:{}", instance.port),
            address => format!("{address}:{}", instance.port),
        };
        Self {
            wave: wave(&host),
            host,
            node: instance.node.clone(),
            datacenter: instance.datacenter.clone(),
            version: text("version").unwrap_or_default(),
            policy: text("policy"),
            sequence: number("sequence"),
            bundle: member.bundle,
            refused: member.refused,
            reason: text("reason"),
            held: member.held,
            unhealthy: unhealthy.map(String::from).collect(),
            waits: text("waits"),
            monitored: instance.meta.contains_key("monitored"),
            source: text("source"),
            source_failing: text("source-failing"),
            containers: number("containers"),
            services: number("services"),
            listens: (instance.port != 0).then_some(address),
            lost: member.lost,
        }
    }

    /// Whether somebody should look at it.
    pub(super) fn wants_a_look(&self) -> bool {
        self.lost
            || self.refused.is_some()
            || self.held > 0
            || !self.unhealthy.is_empty()
            || self.source_failing.is_some()
            // Until it has a policy nothing is decided there.
            || (self.bundle.is_none() && self.waits.is_some())
    }

    /// Why it does not follow the policy of this name, if that is known.
    pub(super) fn elsewhere(&self, policy: Option<&str>) -> Option<String> {
        match (&self.policy, policy) {
            (Some(own), Some(policy)) if own != policy => Some(format!("it has the policy {own}")),
            (None, _) if self.source.is_none() => Some("it takes no policy".into()),
            _ => None,
        }
    }

    /// Its bundle in a few words.
    pub(super) fn policy(&self) -> String {
        let Some(bundle) = &self.bundle else { return "no bundle".into() };
        let name = self.policy.as_deref().unwrap_or("policy");
        let sequence = self.sequence.map(|number| format!(" {number}")).unwrap_or_default();
        format!("{name}{sequence} {}", short(bundle))
    }

    /// Its line, with what somebody should look at below.
    pub(super) fn tree(&self) -> Tree {
        let mut line = Text::of(if self.lost { Tone::Warning } else { Tone::Strong }, &self.host)
            .then(self.policy());
        if let Some(wave) = self.wave {
            line = line.then(format!("wave {wave}"));
        }
        let counted = self.containers.zip(self.services);
        let counts = counted.map(|(containers, services)| {
            format!(", {containers} containers, {services} services")
        });
        let counts = counts.unwrap_or_default();
        line = line.and(Tone::Faint, format!("  node {}, {}{counts}", self.node, self.version));
        let mut tree = Tree::new(line);
        if self.lost {
            tree.push(Text::of(Tone::Warning, "lost: Consul has not heard of it in time"));
        }
        if let Some(refused) = &self.refused {
            let reason = self.reason.as_deref().unwrap_or("no reason was told");
            let words = format!("refused {}:", short(refused));
            tree.push(Text::of(Tone::Removed, words).then(reason));
        }
        if self.held > 0 {
            tree.push(Text::of(Tone::Warning, format!("its guard holds {} changes", self.held)));
        }
        if !self.unhealthy.is_empty() {
            let words = format!("unhealthy: {}", self.unhealthy.join(", "));
            tree.push(Text::of(Tone::Removed, words));
        }
        if let Some(reason) = &self.source_failing {
            tree.push(Text::of(Tone::Warning, "its policy's source cannot be read:").then(reason));
        }
        if let Some(waits) = &self.waits {
            tree.push(Text::of(Tone::Faint, "waits:").then(waits));
        }
        if self.monitored {
            tree.push("its stages are monitored only");
        }
        tree
    }
}

/// A digest as people can tell it from others.
pub(super) fn short(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("sha256:{}", hex.get(..12).unwrap_or(&hex))
}
