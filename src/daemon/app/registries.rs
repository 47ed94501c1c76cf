//! The registry that a URI names, and what is asked of it that it cannot do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tracing::{info, warn};

use crate::daemon::app::{Asked, BadConfig, options, tags};
use crate::{
    cli::flags::RunArgs,
    config::Config,
    error::error_chain,
    model::host::{Compat, Host},
    pipeline::host_address,
    registry::{Consul, Place, PlaceError, Registry},
    telemetry::event,
};

/// Why a daemon with these settled flags would not start, as far as the flags, the file and
/// the environment tell.
pub fn start_faults(args: &RunArgs, config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    let compat = args.offer.compat.unwrap_or_default();
    faults.extend(tags(&args.offer, compat).err().map(said));
    let ip = args.offer.ip.as_ref().filter(|ip| !ip.is_empty() && compat == Compat::None);
    // The file's own is judged with the file.
    if let Some(ip) = ip.filter(|ip| config.host.address.as_ref() != Some(*ip)) {
        faults.extend(host_address(ip).err().map(|fault| format!("-ip: {fault}")));
    }
    // Which host this is has no bearing, and is not to be looked up: it may be another one.
    let host = Host {
        hostname: args.offer.hostname.clone().unwrap_or_else(|| "localhost".into()),
        forced_address: None,
        resolved_address: None,
        internal: false,
        explicit: false,
        address_label: None,
        compat,
        flags: BTreeMap::new(),
        agent: None,
        engine: None,
    };
    // So is the file's own address.
    let listen = args.listen.as_deref();
    let listen = listen.filter(|listen| config.listen.address.as_deref() != Some(*listen));
    faults.extend(config.listen.settled(listen).err().into_iter().flatten());
    let Some(uri) = args.uri.as_ref().or(config.registry.uri.as_ref()) else { return faults };
    let place = if args.uri.is_some() { "" } else { "registry.uri: " };
    match registry(uri, &host) {
        Err(error) => faults.push(format!("{place}{}", said(error))),
        Ok((place, registry)) => {
            let options = options(args, config);
            let asked = Asked::of(&options, config, compat);
            for remark in asked.remarks(place.adapter(), registry.capabilities()) {
                warn!(event = event::WITHOUT_EFFECT, reason = remark, "{remark}");
            }
            faults.extend(asked.faults(place.adapter(), registry.capabilities()));
        }
    }
    faults
}

/// An error's words, without those that only say that it is one of the configuration.
fn said(error: anyhow::Error) -> String {
    match error.downcast::<BadConfig>() {
        Ok(BadConfig(error)) => format!("{error:#}"),
        Err(error) => format!("{error:#}"),
    }
}

/// The registry of a URI, and where it is. A prefix of keys that is none is a fault of the
/// configuration; for the others the exit code is registrator's.
pub(super) fn registry(uri: &str, host: &Host) -> anyhow::Result<(Place, Arc<dyn Registry>)> {
    let with_code = |error| match error {
        PlaceError::Kv(error) => BadConfig(error.into()).into(),
        error => anyhow::Error::from(error),
    };
    let place = Place::parse(uri).map_err(with_code)?;
    let original = host.compat == Compat::Registrator;
    let env = |name: &str| std::env::var(name).ok();
    let registry = place.open(env, &host.hostname, original).map_err(with_code)?;
    Ok((place, registry))
}

/// The Consul agent of a registry, for the daemon itself.
pub(super) fn agent(place: &Place) -> anyhow::Result<Option<Consul>> {
    Ok(place.agent(|name| std::env::var(name).ok())?)
}

/// Wait until the registry is there, as often as the flags say.
pub(super) async fn reach(
    registry: &dyn Registry,
    args: &RunArgs,
    compat: Compat,
) -> anyhow::Result<String> {
    let original = compat == Compat::Registrator;
    let attempts = args.retry_attempts.unwrap_or(if original { 0 } else { -1 });
    let interval = Duration::from_millis(args.retry_interval.unwrap_or(2000).unsigned_abs());
    let mut attempt = 0;
    loop {
        if original || attempt > 0 {
            info!(
                event = event::REGISTRY_AWAITED,
                attempt, "Connecting to backend ({attempt}/{attempts})"
            );
        }
        match registry.probe().await {
            Ok(words) => return Ok(words),
            Err(error) if attempt == attempts => return Err(error.into()),
            Err(error) => warn!(
                event = event::REGISTRY_AWAITED,
                reason = error_chain(&error),
                "the registry is not there yet"
            ),
        }
        tokio::time::sleep(interval).await;
        attempt += 1;
    }
}
