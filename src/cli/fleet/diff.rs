//! `wharfinger fleet diff`: what a bundle would change on the hosts of a fleet, each by its own word.
//!
//! The hosts are told the bundle's digest and nothing else; each finds the bundle where it finds its
//! policies, and forecasts it as if it were to take it now.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::{
    asker::{AT_ONCE, Asker, AskerArgs},
    host::{Host, short},
};
use crate::{
    cli::{CHANGES, Printed, output::width, policy::title, rollout::ConsulArgs},
    daemon::policy::Foretold,
    policy::{Digest, archive},
    reconcile::{Becomes, Beyond, What},
    registry::consul::members,
    render::{Text, Tone, Tree},
    text,
};

/// Of how many services of a host it is shown what becomes of each, without `--all`.
const SHOWN: usize = 5;

/// The flags of `fleet diff`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
A host looks for the bundle in its own store and at its own policy's source: in the repository of an \
oci:// source, or at what the document of its key names and what is beside it, under KEY/bundles/. \
Whatever is signed by none of its keys, or may not follow what it has, it says that it would refuse.

A host that has a policy of another name, or takes none, is named and not counted among these.

Keys of --json: bundle, total (registered, changed, deregistered, vetoed: by stage, failing, hosts, \
take, refuse, held, elsewhere, unasked) and hosts (host; elsewhere: why the bundle is nothing to it, \
or null; unasked: why it is not known, or null; forecast: host, bundle, policy, sequence, in-force, \
refused, held, changes).")]
pub(super) struct DiffArgs {
    /// The bundle: its file, or its digest, sha256:…
    #[arg(value_name = "BUNDLE")]
    bundle: String,

    #[command(flatten)]
    consul: ConsulArgs,

    #[command(flatten)]
    asker: AskerArgs,

    /// Show what becomes of every service.
    #[arg(long)]
    all: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a host says.
#[derive(Debug, Serialize)]
struct Told {
    host: String,
    /// Why the bundle is nothing to it, whatever it answers.
    elsewhere: Option<String>,
    /// Why it is not known.
    unasked: Option<String>,
    forecast: Option<Foretold>,
}

/// What all hosts that have answered say together.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Total {
    /// The hosts.
    hosts: usize,
    /// Those that would take it.
    take: usize,
    /// Those that would refuse it.
    refuse: usize,
    /// Those of them whose guard would hold it.
    held: usize,
    /// Those that do not follow this policy.
    elsewhere: usize,
    /// Those of which it is not known.
    unasked: usize,
    registered: usize,
    changed: usize,
    deregistered: usize,
    vetoed: BTreeMap<String, usize>,
    failing: usize,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    bundle: Digest,
    total: Total,
    hosts: &'a [Told],
}

/// The forecasts. The exit code is 2 if a host would refuse the bundle, or if one is not known.
pub(super) async fn diff(args: &DiffArgs) -> anyhow::Result<Printed> {
    let Meant { digest, policy, title } = bundle(&args.bundle)?;
    let consul = args.consul.open()?;
    let mut daemons = members::daemons(&consul, args.consul.service()).await?;
    daemons.sort_by(|one, other| one.host().cmp(&other.host()));
    let asker = args.asker.open()?;
    let hosts: Vec<_> = daemons.iter().map(|one| Host::of(one, |_| None)).collect();
    let answers = stream::iter(&hosts).map(|host| of_host(host, &asker, digest));
    let answers: Vec<_> = answers.buffered(AT_ONCE).collect().await;
    let heard = answers.iter().flatten().map(|forecast| forecast.policy.clone()).next();
    let policy = policy.or(heard);
    let told = hosts.iter().zip(answers);
    let told = told.map(|(host, answer)| Told::of(host, answer, policy.as_deref()));
    let told: Vec<_> = told.collect();
    let total = Total::of(&told);
    let code = if total.refuse + total.unasked > 0 { CHANGES } else { 0 };
    let text = match args.json {
        true => {
            let all = Shown { bundle: digest, total, hosts: &told };
            text::json(&serde_json::to_string_pretty(&all)?).into_owned() + "\n"
        }
        false => {
            let shown = if args.all { usize::MAX } else { SHOWN };
            let tree = Tree::new(Text::of(Tone::Strong, title)).with([total.tree()]);
            tree.with(told.iter().map(|one| one.tree(shown))).render(width())
        }
    };
    Ok(Printed { text, code })
}

/// The bundle that is meant.
struct Meant {
    digest: Digest,
    /// The policy's name, as far as it is known before a host was asked.
    policy: Option<String>,
    title: String,
}

fn bundle(word: &str) -> anyhow::Result<Meant> {
    if let Ok(digest) = word.parse::<Digest>() {
        return Ok(Meant { digest, policy: None, title: digest.to_string() });
    }
    let read = archive::read(Path::new(word));
    let bundle = read.with_context(|| format!("{word} is neither a digest nor a bundle's file"))?;
    Ok(Meant { digest: bundle.digest, title: title(&bundle), policy: Some(bundle.name) })
}

async fn of_host(host: &Host, asker: &Asker, digest: Digest) -> Result<Foretold, String> {
    let at = match (&host.listens, host.lost) {
        (_, true) => return Err("it is lost".into()),
        (None, _) => return Err("its daemon does not listen".into()),
        (Some(at), false) => at,
    };
    let digest = digest.to_string();
    let bytes = asker.worked_out(at, &["policy", "forecast"], &[("bundle", &digest)]).await?;
    serde_json::from_slice(&bytes).map_err(|_| "its daemon's answer cannot be understood".into())
}

impl Total {
    fn of(told: &[Told]) -> Self {
        let mut total = Self { hosts: told.len(), ..Self::default() };
        for one in told {
            if one.elsewhere.is_some() {
                total.elsewhere += 1;
                continue;
            }
            let Some(forecast) = &one.forecast else {
                total.unasked += 1;
                continue;
            };
            match forecast.refused {
                Some(_) => total.refuse += 1,
                None => total.take += 1,
            }
            total.held += usize::from(forecast.held.is_some());
            let Some(beyond) = &forecast.changes else { continue };
            total.registered += beyond.registered;
            total.changed += beyond.changed;
            total.deregistered += beyond.deregistered;
            total.failing += beyond.failing;
            for (stage, count) in &beyond.vetoed {
                *total.vetoed.entry(stage.clone()).or_default() += count;
            }
        }
        total
    }

    fn tree(&self) -> Tree {
        let Self { hosts, take, refuse, held, elsewhere, unasked, .. } = self;
        let mut line = Text::of(Tone::Plain, format!("{take} of "))
            .and(Tone::Plain, text::counted(*hosts, "host", "hosts"))
            .then("would take it");
        for (count, words) in [
            (refuse, "would refuse it"),
            (held, "would hold it by their guard"),
            (unasked, "are not known"),
        ] {
            if *count > 0 {
                line = line.and(Tone::Warning, format!(", {count} {words}"));
            }
        }
        if *elsewhere > 0 {
            line = line.and(Tone::Faint, format!(", {elsewhere} do not follow this policy"));
        }
        let counts =
            counts([self.registered, self.changed, self.deregistered, self.failing], &self.vetoed);
        Tree::new(line).with([Tree::new(counts)])
    }
}

/// Counts in a line.
fn counts(
    [registered, changed, deregistered, failing]: [usize; 4],
    vetoed: &BTreeMap<String, usize>,
) -> Text {
    let services = |count| text::counted(count, "service", "services");
    let fixed = [
        (Tone::Added, registered, "registered"),
        (Tone::Changed, changed, "changed"),
        (Tone::Removed, deregistered, "deregistered"),
    ];
    let fixed = fixed.into_iter().filter(|(_, count, _)| *count > 0);
    let mut parts: Vec<_> =
        fixed.map(|(tone, count, words)| (tone, format!("{} {words}", services(count)))).collect();
    let by = |(stage, count): (&String, &usize)| {
        (Tone::Removed, format!("{} vetoed by {stage}", services(*count)))
    };
    parts.extend(vetoed.iter().map(by));
    if failing > 0 {
        let on = text::counted(failing, "container", "containers");
        parts.push((Tone::Removed, format!("a stage fails on {on}")));
    }
    let mut parts = parts.into_iter();
    let Some((tone, first)) = parts.next() else {
        return Text::of(Tone::Faint, "nothing changes");
    };
    parts.fold(Text::of(tone, first), |line, (tone, words)| {
        line.and(Tone::Plain, ", ").and(tone, words)
    })
}

impl Told {
    fn of(host: &Host, answer: Result<Foretold, String>, policy: Option<&str>) -> Self {
        let (forecast, unasked) = match answer {
            Ok(forecast) => (Some(forecast), None),
            Err(words) => (None, Some(words)),
        };
        // Consul tells what a host said some seconds ago.
        let takes = forecast.as_ref().is_some_and(|forecast| forecast.refused.is_none());
        let elsewhere = host.elsewhere(policy).filter(|_| !takes);
        match elsewhere {
            Some(_) => Self { host: host.host.clone(), elsewhere, unasked: None, forecast: None },
            None => Self { host: host.host.clone(), elsewhere, unasked, forecast },
        }
    }

    fn tree(&self, shown: usize) -> Tree {
        let name = Text::of(Tone::Strong, &self.host);
        if let Some(words) = &self.elsewhere {
            return Tree::new(name.and(Tone::Faint, " does not follow this policy:").then(words));
        }
        let Some(forecast) = &self.forecast else {
            let words = self.unasked.as_deref().unwrap_or_default();
            return Tree::new(name.and(Tone::Warning, " is not known:").then(words));
        };
        let mut tree = Tree::new(match forecast.in_force {
            Some(digest) if digest == forecast.bundle => name.then("has it in force"),
            Some(digest) => name.and(Tone::Faint, format!("  has {}", short(&digest))),
            None => name.and(Tone::Faint, "  has no bundle"),
        });
        if let Some(reason) = &forecast.refused {
            tree.push(Text::of(Tone::Removed, "would refuse it:").then(reason));
        }
        let Some(beyond) = &forecast.changes else { return tree };
        let Beyond { registered, changed, deregistered, failing, vetoed, services, .. } = beyond;
        tree.push(counts([*registered, *changed, *deregistered, *failing], vetoed));
        services.iter().take(shown).for_each(|one| tree.push(line(one)));
        let more = services.len().saturating_sub(shown) + beyond.more;
        if more > 0 {
            tree.push(Text::of(Tone::Faint, format!("and {more} more")));
        }
        tree
    }
}

/// What becomes of a service.
fn line(one: &Becomes) -> Text {
    let (tone, sign, words) = match &one.what {
        What::Registered => (Tone::Added, "+", "is registered".to_string()),
        What::Changed { fields } => (Tone::Changed, "~", format!("changes {}", fields.join(", "))),
        What::Deregistered => (Tone::Removed, "-", "is deregistered".into()),
        What::Vetoed { stage, reason } => {
            (Tone::Removed, "✗", format!("is vetoed by {stage}: {reason}"))
        }
    };
    Text::of(tone, sign).and(Tone::Plain, " ").and(Tone::Strong, &one.id).then(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(host: &str, refused: Option<&str>, beyond: Option<Beyond>) -> Told {
        let digest = Digest::of(b"it");
        let forecast = Foretold {
            host: host.into(),
            bundle: digest,
            policy: "prod".into(),
            sequence: 2,
            in_force: None,
            refused: refused.map(String::from),
            held: refused.map(|_| Default::default()),
            changes: beyond,
        };
        Told { host: host.into(), elsewhere: None, unasked: None, forecast: Some(forecast) }
    }

    #[test]
    fn what_hosts_say_is_added_up() {
        let beyond = |changed| Beyond {
            containers: 9,
            registered: 1,
            changed,
            deregistered: 2,
            vetoed: [("owner".to_string(), 2)].into(),
            services: vec![Becomes {
                container: "web".into(),
                id: "h:web:80".into(),
                name: "web".into(),
                what: What::Vetoed { stage: "owner".into(), reason: "no owner".into() },
            }],
            more: 3,
            ..Beyond::default()
        };
        let none = told("c", None, None);
        let unknown = Told { unasked: Some("it is lost".into()), forecast: None, ..none };
        let none = told("e", None, None);
        let other =
            Told { elsewhere: Some("it has the policy lab".into()), forecast: None, ..none };
        let all = [
            told("a", None, Some(beyond(4))),
            told("b", Some("the bulk guard would hold it"), Some(beyond(1))),
            told("d", Some("it is not signed"), None),
            unknown,
            other,
        ];
        let total = Total::of(&all);
        assert_eq!((total.hosts, total.take, total.refuse, total.unasked), (5, 1, 2, 1));
        assert_eq!(total.elsewhere, 1);
        assert_eq!((total.registered, total.changed, total.deregistered), (2, 5, 4));
        assert_eq!(total.vetoed, [("owner".to_string(), 4)].into());
        let shown: String = all.iter().map(|one| one.tree(SHOWN).render(160)).collect();
        let total = total.tree().render(160);
        for (text, part) in [
            (&total, "1 of 5 hosts would take it, 2 would refuse it"),
            (&total, "1 do not follow this policy"),
            (&total, "5 services changed"),
            (&total, "4 services vetoed by owner"),
            (&shown, "would refuse it: it is not signed"),
            (&shown, "h:web:80 is vetoed by owner: no owner"),
            (&shown, "and 3 more"),
            (&shown, "c is not known: it is lost"),
            (&shown, "e does not follow this policy: it has the policy lab"),
        ] {
            let plain = anstream::adapter::strip_str(text).to_string();
            assert!(plain.contains(part), "{part}: {plain}");
        }
    }
}
