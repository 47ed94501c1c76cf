//! `wharfinger fleet decisions`: the decision logs of all hosts that listen, as one.

use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    asker::{AT_ONCE, Asker, AskerArgs},
    host::Host,
};
use crate::{
    cli::{CHANGES, Printed, decisions::FilterArgs, output::width, rollout::ConsulArgs},
    reconcile::Decision,
    registry::consul::members,
    render::{self, Text, Tone, Tree},
    text,
};

/// The flags of `fleet decisions`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
A host keeps them in the file of decisions.file, of which it tells the last 4 MiB; what it moved away \
before is not told.

Keys of --json: decisions (as the lines of the decision log, the oldest first) and hosts (host; \
unasked: why its decisions are not known, or null; complete: whether those are all of that time).")]
pub(super) struct DecisionsArgs {
    #[command(flatten)]
    consul: ConsulArgs,

    #[command(flatten)]
    asker: AskerArgs,

    #[command(flatten)]
    filter: FilterArgs,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a daemon answers.
#[derive(Debug, Deserialize)]
struct Answer {
    decisions: Vec<Decision>,
    complete: bool,
}

/// What became of the question to a host.
#[derive(Debug, Serialize)]
struct Asked {
    host: String,
    unasked: Option<String>,
    complete: bool,
}

/// The decisions. The exit code is 2 if those of a host are not known, or not all of them.
pub(super) async fn decisions(args: &DecisionsArgs) -> anyhow::Result<Printed> {
    let consul = args.consul.open()?;
    let mut daemons = members::daemons(&consul, args.consul.service()).await?;
    daemons.sort_by(|one, other| one.host().cmp(&other.host()));
    let asker = args.asker.open()?;
    let filter = &args.filter;
    let hosts: Vec<_> = daemons.iter().map(|one| Host::of(one, |_| None)).collect();
    let since = filter.since();
    let answers = stream::iter(&hosts).map(|host| of_host(host, &asker, filter));
    let answers: Vec<_> = answers.buffered(AT_ONCE).collect().await;
    let (mut all, mut asked) = (Vec::new(), Vec::new());
    for (Host { host, .. }, answer) in hosts.iter().zip(answers) {
        let host = host.clone();
        match answer {
            Ok(Answer { decisions, complete }) => {
                // An older daemon's clock may differ from this one's; what it tells is what is meant.
                all.extend(decisions.into_iter().filter(|one| filter.means(since, one)));
                asked.push(Asked { host, unasked: None, complete });
            }
            Err(words) => asked.push(Asked { host, unasked: Some(words), complete: false }),
        }
    }
    all.sort_by(|one, other| (one.at, &one.host).cmp(&(other.at, &other.host)));
    let code = if asked.iter().all(|one| one.complete) { 0 } else { CHANGES };
    let text = match args.json {
        true => {
            let json = json!({ "decisions": all, "hosts": asked });
            text::json(&serde_json::to_string_pretty(&json)?).into_owned() + "\n"
        }
        false => {
            let shown = all.iter().map(|one| render::decision(one).render(width()));
            shown.collect::<String>() + &left_out(&asked)
        }
    };
    Ok(Printed { text, code })
}

async fn of_host(host: &Host, asker: &Asker, filter: &FilterArgs) -> Result<Answer, String> {
    let at = match (&host.listens, host.lost) {
        (_, true) => return Err("it is lost".into()),
        (None, _) => return Err("its daemon does not listen".into()),
        (Some(at), false) => at,
    };
    let since = filter.since.map(|since| humantime::format_duration(since).to_string());
    let query: Vec<_> = since.iter().map(|since| ("since", since.as_str())).collect();
    let bytes = asker.get(at, &["decisions"], &query).await?;
    serde_json::from_slice(&bytes).map_err(|_| "its daemon's answer cannot be understood".into())
}

/// The hosts of which something is not known; nothing if there is none.
fn left_out(asked: &[Asked]) -> String {
    let lines: Vec<_> = asked
        .iter()
        .filter(|one| !one.complete)
        .map(|one| {
            let words = one.unasked.as_deref().unwrap_or("it has more of that time than it tells");
            Tree::new(Text::of(Tone::Strong, &one.host).then(words))
        })
        .collect();
    match lines.is_empty() {
        true => String::new(),
        false => Tree::new(Text::of(Tone::Warning, "not known:")).with(lines).render(width()),
    }
}
