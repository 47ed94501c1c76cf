//! `wharfinger rollout start`: a bundle is verified, put where hosts can fetch it, and asked for.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{
    ByArgs, fleet, now,
    place::{PlaceArgs, SCHEME, read_document, write},
};
use crate::{
    cli::{BadUsage, Printed, oci::OciArgs, policy},
    policy::{
        Digest, archive,
        halt::HaltWhen,
        oci::{self, Limits, Reference},
        rollout::{Document, Named, Rollout, State, operate::Unfit},
        wave::Waves,
    },
    registry::{Consul, consul::key::MOST},
    text,
};

/// The flags of `rollout start`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
A number of HALT-WHEN is one of: hosts, done (they have the bundle), refused (they have refused
it), held (changes that guards hold, of all hosts together), unhealthy (a stage is, on so many
hosts), lost (Consul has not heard of so many in time).

Keys of --json: those of the document, see docs/rollout.md.")]
pub(super) struct StartArgs {
    /// The bundle: a file, or oci://REGISTRY/REPOSITORY@sha256:…
    #[arg(value_name = "BUNDLE")]
    bundle: String,

    #[command(flatten)]
    place: PlaceArgs,

    /// The waves: so many hosts, or so much of the fleet, each more than the one before.
    #[arg(long, value_name = "WAVES", default_value = "1,10%,50%,100%")]
    waves: Waves,

    /// The time between the end of a wave and the beginning of the next.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pause: Duration,

    /// The rollout stops while this holds of the fleet.
    #[arg(
        long,
        value_name = "EXPRESSION",
        default_value = "refused > 0 || unhealthy > 0 || held * 50 > hosts"
    )]
    halt_when: HaltWhen,

    /// Only monitor the stages of the bundle in a first pass.
    #[arg(long)]
    monitor: bool,

    /// Where hosts fetch the bundle: oci://…, file:///… or consul-kv://…; without it, it is put
    /// into Consul's KV store if it is small enough.
    #[arg(long, value_name = "URI")]
    from: Option<String>,

    /// A public key by which the bundle must be signed, in PEM; several times for several.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,

    #[command(flatten)]
    images: OciArgs,

    /// Take the place of a rollout that is not over.
    #[arg(long)]
    replace: bool,

    /// Print the document that was written, as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    by: ByArgs,
}

/// What is to be brought to the hosts.
struct Asked {
    digest: Digest,
    title: String,
    /// The bytes of its file, if it is one.
    file: Option<Vec<u8>>,
}

pub(super) async fn start(args: &StartArgs) -> anyhow::Result<Printed> {
    let asked = asked(args).await?;
    let from = from(args, &asked)?;
    let consul = args.place.consul.open()?;
    let key = args.place.key();
    let current = read_document(&consul, key).await?;
    let fleet = fleet(&consul, args.place.consul.service()).await.ok();
    let rollout = Rollout {
        id: id(),
        waves: args.waves.clone(),
        pause: args.pause,
        halt_when: args.halt_when.clone(),
        monitor: args.monitor,
        state: State::Running,
        wave: 0,
        started: now(),
        by: args.by.name(),
        last: None,
    };
    let named = Named { digest: asked.digest, from: from.uri.clone() };
    let (index, current) = current.map_or((0, None), |(document, index)| (index, Some(document)));
    let document =
        Document::succeeded(current.as_ref(), fleet.as_ref(), args.replace, named, rollout)
            .map_err(|unfit: Unfit| anyhow::anyhow!("{key}: {unfit}"))?;
    if let (Some(to), Some(bytes)) = (&from.put, asked.file) {
        put(&consul, to, bytes).await?;
    }
    write(&consul, key, &document, index).await?;
    if args.json {
        let json = serde_json::to_string_pretty(&document)?;
        return Ok(Printed { text: text::json(&json).into_owned() + "\n", code: 0 });
    }
    let Rollout { waves, pause, halt_when, monitor, .. } = &document.rollout;
    let pause = humantime::format_duration(*pause);
    let mut words = format!(
        "started the rollout of {}\nhosts fetch it from {}\nwaves {}, {pause} apart; it stops while \
         {halt_when}\n",
        asked.title,
        text::without_secrets(&from.uri),
        serde_json::to_value(waves)?.as_str().unwrap_or_default(),
    );
    if *monitor {
        words.push_str("its stages are monitored only in the first pass\n");
    }
    if let Some(before) = &document.before {
        words.push_str(&format!("the bundle before it is {}\n", before.digest));
    }
    Ok(Printed { text: text::lines(&words), code: 0 })
}

/// The bundle, verified as far as it can be.
async fn asked(args: &StartArgs) -> anyhow::Result<Asked> {
    if let Some(rest) = args.bundle.strip_prefix("oci://") {
        let digest = rest.rsplit_once('@').and_then(|(_, digest)| digest.parse::<Digest>().ok());
        let Some(digest) = digest else {
            let words = format!(
                "{} is no bundle by its digest\nnext: name it as oci://REGISTRY/REPOSITORY@sha256:…",
                args.bundle
            );
            return Err(BadUsage(words).into());
        };
        if !args.key.is_empty() {
            let place: Reference = args.bundle.parse().map_err(|error| {
                BadUsage(format!("{}: {error}", text::without_secrets(&args.bundle)))
            })?;
            let pulled = oci::pull(&place, &args.images.options(), Limits::default()).await;
            let bundle = pulled.with_context(|| format!("cannot pull {place}"))?;
            let trust = policy::trust(&args.key)?;
            trust.verify(&bundle, SystemTime::now()).with_context(|| place.to_string())?;
            return Ok(Asked { digest, title: policy::title(&bundle), file: None });
        }
        return Ok(Asked { digest, title: digest.to_string(), file: None });
    }
    let bundle = archive::read(Path::new(&args.bundle))?;
    if !args.key.is_empty() {
        let trust = policy::trust(&args.key)?;
        trust.verify(&bundle, SystemTime::now()).with_context(|| args.bundle.clone())?;
    }
    let title = policy::title(&bundle);
    Ok(Asked { digest: bundle.digest, title, file: Some(archive::write(&bundle)) })
}

/// Where hosts fetch the bundle, and the key that it is put under for them.
struct Source {
    uri: String,
    put: Option<String>,
}

fn from(args: &StartArgs, asked: &Asked) -> anyhow::Result<Source> {
    if let Some(uri) = &args.from {
        if !["oci://", "file:///", SCHEME].iter().any(|scheme| uri.starts_with(scheme)) {
            let uri = text::without_secrets(uri);
            let words = format!("--from: {uri} is neither oci://…, file:///… nor {SCHEME}…");
            return Err(BadUsage(words).into());
        }
        return Ok(Source { uri: uri.clone(), put: None });
    }
    let Some(bytes) = &asked.file else {
        return Ok(Source { uri: args.bundle.clone(), put: None });
    };
    if bytes.len() > MOST {
        let words = format!(
            "{}: it has {} bytes, and Consul's KV store takes {MOST} at most\nnext: push it to a \
             registry, and say with --from where hosts fetch it",
            args.bundle,
            bytes.len()
        );
        return Err(BadUsage(words).into());
    }
    let put = format!("{}/bundles/{}", args.place.key(), asked.digest.hex());
    Ok(Source { uri: format!("{SCHEME}{put}"), put: Some(put) })
}

/// Put the bytes of a bundle under a key, unless they are there.
async fn put(consul: &Consul, key: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
    let there = consul.value(key).await?;
    if there.as_ref().is_some_and(|there| there.bytes == bytes) {
        return Ok(());
    }
    if !consul.replace_value(key, bytes, there.map_or(0, |there| there.index)).await? {
        bail!("{key}: somebody else writes it at the same time; nothing was started");
    }
    Ok(())
}

/// What tells this rollout from all others.
fn id() -> String {
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{number:016x}")
}
