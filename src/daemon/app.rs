//! The daemon, built from its parts.

mod fits;
mod parts;
mod registries;
mod signals;
mod whereabouts;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    cli::flags::{BadUsage, OfferArgs, RunArgs},
    config::{Config, ConfigError, Listen},
    daemon::{
        beside::Beside,
        collector::{self, Endpoint},
        control::{Control, Facts},
        decisions::Log,
        hosting::Hosting,
        listen,
        member::Member,
        peers::Members,
        policy::Policy,
        reload::{self, Reload, Watched},
        supervisor,
        traces::Traces,
    },
    docker::{Docker, HttpGet, Recorded, Source, Tags},
    model::host::{Compat, Host},
    pipeline::{Pipeline, host_address},
    policy::peers::{Alone, Peers},
    policy::standing::Standing,
    reconcile::{Deregister, GuardLimits, Lifecycle, OnExit, Options, Reconciler},
    telemetry::event,
    text,
};

use crate::stages::loader as stages;
pub(crate) use crate::stages::loader::cache;
pub use crate::stages::loader::{BadConfig, Loaded, StageFault, Stages, choosing};
pub use fits::Asked;
pub use parts::Parts;
pub use registries::start_faults;
use registries::{agent, reach, registry};
use signals::stop_on_signal;

/// Run the daemon until it is told to stop.
///
/// # Errors
///
/// It cannot be started: the configuration is wrong ([`BadConfig`]), or the
/// registry or Docker cannot be reached. Once it runs, it does not give up.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
    let mut watched = Watched::default();
    args.offer.config.iter().for_each(|file| watched.add(file));
    let config = config(&args.offer)?;
    let cache_dir = args.offer.cache_dir.clone();
    let args = settled(args, &config)?;
    let listen = listen_at(&args, &config)?;
    let collector = collector(&args, &config)?;
    if let Some(ip) = &args.offer.ip {
        info!(event = event::HOST_ADDRESS, address = ip, "Forcing host IP to {ip}");
    }
    let compat = args.offer.compat.unwrap_or_default();
    let tags = tags(&args.offer, compat)?;
    let uri = args.uri.clone().or_else(|| config.registry.uri.clone()).ok_or_else(|| {
        BadConfig(anyhow!("neither the command line nor the file names a registry"))
    })?;
    // Neither a name server, a compiler nor Docker keeps a daemon that is to stop.
    let Some(host) = unless(&stop, host(&args.offer)).await? else {
        return Ok(());
    };
    let options = options(&args, &config);
    let (place, registry) = registry(&uri, &host)?;
    let adapter = place.adapter();
    Asked::of(&options, &config, compat).hold_against(adapter, registry.capabilities())?;
    let (policy, hosting) = match Policy::of(&config, &uri, compat)? {
        Some((policy, hosting)) => (Some(policy), hosting),
        None => (None, Hosting::Own),
    };
    let layered = hosting.over(&config);
    watched.add_plugins(&layered.config);
    let mut stages = Stages::with_registry(&uri).compiled_by_children();
    let loaded = async {
        let loaded = hosting.load(&mut stages, &layered).await?;
        if config.strict_start {
            return loaded.whole();
        }
        let Loaded { pipeline, broken } = loaded;
        stages::say_broken(&pipeline, &broken);
        Ok(pipeline)
    };
    let Some(pipeline) = unless(&stop, loaded).await? else { return Ok(()) };
    stages::announce(&pipeline);

    let using = || {
        let uri = text::without_secrets(&uri).to_string();
        info!(event = event::REGISTRY, adapter, uri, "Using {adapter} adapter: {uri}");
    };
    if compat == Compat::Registrator {
        using();
    }
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        reached = reach(&*registry, &args, compat) => {
            let words = reached?;
            info!(event = event::REGISTRY_REACHED, reason = words, "{words}");
        }
    }
    if compat != Compat::Registrator {
        using();
    }
    let source: Arc<dyn Source> = if args.containers.is_empty() {
        let address = std::env::var("DOCKER_HOST").ok();
        match unless(&stop, Docker::connect(address.as_deref(), tags)).await? {
            Some(docker) => Arc::new(docker),
            None => return Ok(()),
        }
    } else {
        Arc::new(Recorded::read(&args.containers, &tags)?)
    };
    let on_exit = config.lifecycle.on_exit;
    let hostname = host.hostname.clone();
    // A policy is rolled out by what the hosts tell of themselves.
    let agent = if config.fleet.registers(policy.is_some()) { agent(&place)? } else { None };
    let standing = policy.as_ref().map(|policy| watch::channel(policy.standing()));
    let (standing, stands) = standing.unzip();
    // Without a policy there is nothing to stand to.
    let stance = stands.clone().unwrap_or_else(|| watch::channel(Standing::default()).1);
    let decided = config.decisions.file.clone();
    let facts = Facts { uri, host: hostname.clone(), policy: stands, decisions: decided };
    let told = collector.as_ref().map(|collector| (collector, hostname.clone()));
    let beside = Beside::start()?;
    let (log, traces) = {
        let _beside = beside.enter();
        let traces = collector.as_ref().map(|one| Traces::start(one, hostname.clone()));
        (Log::start(&config.decisions, told, &stop)?, traces.transpose()?)
    };
    let decisions = log.as_ref().map(Log::decisions);
    let reconciler = Reconciler::new(source, registry, pipeline.clone(), host, options);
    let ways = traces.as_ref().map(Traces::ways);
    let reconciler = reconciler.telling(decisions.clone()).tracing(ways.clone());
    let control =
        control(args.control.as_deref(), &reconciler, facts.clone(), &stop, &beside).await;
    let handle = reconciler.handle();
    let (bound_at, listens_at) = watch::channel(None);
    let (asking, asks) = mpsc::channel(1);
    let foreteller = policy.as_ref().map(|policy| policy.foreteller(hostname.clone(), asking));
    let told = listen::Told { decisions, ways, foreteller };
    let (handle_of_listener, stop_listening) = (handle.clone(), stop.clone());
    let listening = listen.map(|listen| {
        let handle = handle_of_listener;
        beside.spawn(listen::serve(listen, handle, facts, told, bound_at, stop_listening))
    });
    let peers: Box<dyn Peers> = match &agent {
        Some(agent) => {
            let service = config.fleet.service.clone();
            Box::new(Members { consul: agent.clone(), service, host: hostname.clone() })
        }
        None => Box::new(Alone),
    };
    let member = agent.map(|agent| {
        let names = (hostname.clone(), config.fleet.service.clone());
        let member = Member::new(agent, names, handle.clone(), listens_at, stance);
        beside.spawn(member.run(stop.clone()))
    });
    let supervised = supervisor::is_there();
    let told = supervised.then(|| tokio::spawn(supervisor::report(handle.clone(), stop.clone())));
    let (sender, takes) = mpsc::channel(1);
    let means = policy.as_ref().map(|policy| (policy.means(), place.capabilities().key_values));
    let following = policy.zip(standing).map(|(policy, standing)| {
        let (handle, stop) = (handle.clone(), stop.clone());
        beside.spawn(policy.follow(hostname, peers, standing, sender, handle, stop))
    });
    let reload = args.offer.config.map(|path| Reload {
        path,
        cache_dir,
        config,
        hosting,
        takes,
        asks,
        means,
        pipeline,
        stages,
        watched,
        handle,
    });
    let reloading = beside.spawn(reload::run(reload, hangup, stop.clone()));
    // As a task it is woken without a round through the kernel, which what the runtime waits for takes each time.
    let running = tokio::spawn(async move { reconciler.run(stop).await });
    if let Err(error) = running.await {
        std::panic::resume_unwind(error.into_panic());
    }
    // It says no more than that it stops, and cannot fail.
    drop(unless_none(told).await);
    if let Some(Err(error)) = unless_none(following).await {
        let reason = error.to_string();
        error!(event = event::ENDED_BADLY, reason, "the policy is not followed any more");
    }
    drop(unless_none(member).await);
    if let Err(error) = reloading.await {
        let reason = error.to_string();
        error!(event = event::ENDED_BADLY, reason, "the configuration is not watched any more");
    }
    if let Some(Err(error)) = unless_none(listening).await {
        let reason = error.to_string();
        error!(event = event::ENDED_BADLY, reason, "nothing is answered over HTTP any more");
    }
    if let Some(log) = log {
        log.end().await;
    }
    if let Some(traces) = traces {
        traces.end().await;
    }
    if let Some(control) = control {
        control.await.context("the control socket has failed")?;
    }
    match on_exit {
        OnExit::Leave => {
            let reason = "services stay registered";
            info!(event = event::STOPPED, reason, "Stopped; services stay registered");
        }
        OnExit::Maintenance | OnExit::Deregister => info!(event = event::STOPPED, "Stopped"),
    }
    Ok(())
}

/// The loop's options, by the flags and the file.
fn options(args: &RunArgs, config: &Config) -> Options {
    let seconds =
        |seconds: Option<u64>| seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    Options {
        deregister: match args.deregister.as_deref() {
            Some("on-success") => Deregister::OnSuccess,
            _ => Deregister::Always,
        },
        resync: seconds(args.resync),
        cleanup: args.cleanup.unwrap_or(false),
        provenance: !args.offer.no_provenance.unwrap_or(false),
        lifecycle: Lifecycle {
            ttl: seconds(args.ttl).zip(seconds(args.ttl_refresh)),
            ..config.lifecycle.clone()
        },
        guard: GuardLimits { confirmed: args.confirm, ..config.guard },
        ..Options::default()
    }
}

/// The outcome of a task, if there is one.
async fn unless_none<T>(task: Option<JoinHandle<T>>) -> Option<Result<T, tokio::task::JoinError>> {
    Some(task?.await)
}

/// Where the daemon is looked at over HTTP, by flags that are settled.
///
/// # Errors
///
/// It cannot be used ([`BadConfig`]).
fn listen_at(args: &RunArgs, config: &Config) -> anyhow::Result<Option<Listen>> {
    // Faults of the file are told with its name.
    let flag = args.listen.as_deref();
    let flag = flag.filter(|flag| config.listen.address.as_deref() != Some(*flag));
    let faults = match config.listen.settled(flag) {
        Ok(listen) => return Ok(listen),
        Err(faults) => faults.join("; "),
    };
    let file = args.offer.config.as_ref().map(|file| format!("{}: ", file.display()));
    Err(BadConfig(anyhow!("{}{faults}", file.unwrap_or_default())).into())
}

/// Where traces and decisions are sent, by flags that are settled.
///
/// # Errors
///
/// It cannot be used ([`BadConfig`]).
fn collector(args: &RunArgs, config: &Config) -> anyhow::Result<Option<Endpoint>> {
    // The file's value was judged with the file.
    let flag = args.otlp.as_deref();
    let flag = flag.filter(|flag| config.telemetry.otlp.as_deref() != Some(*flag));
    let url = config.telemetry.settled(flag).map_err(|fault| BadConfig(anyhow!(fault)))?;
    let Some(url) = url else {
        if config.decisions.otlp {
            let words = "decisions.otlp: no collector is named (telemetry.otlp)";
            return Err(BadConfig(anyhow!(words)).into());
        }
        return Ok(None);
    };
    let variable = std::env::var(collector::VARIABLE).ok();
    let endpoint =
        Endpoint::new(url, config.telemetry.headers_file.as_deref(), variable.as_deref());
    Ok(Some(endpoint.map_err(|fault| BadConfig(anyhow!(fault)))?))
}

/// Listen for other commands until `stop`, where that is possible. The daemon
/// does its work without it, too.
async fn control(
    path: Option<&Path>,
    reconciler: &Reconciler,
    facts: Facts,
    stop: &CancellationToken,
    beside: &Beside,
) -> Option<JoinHandle<()>> {
    if path.is_some_and(|path| path == Path::new("none")) {
        return None;
    }
    match Control::listen(path).await {
        Ok(control) => {
            let address = control.path().display().to_string();
            info!(event = event::CONTROL_LISTENING, address, "Listening for commands at {address}");
            Some(beside.spawn(control.serve(reconciler.handle(), facts, stop.clone())))
        }
        Err(error) => {
            let mount = Control::mount(Path::new("/run/wharfinger"));
            warn!(
                event = event::CONTROL_MISSING,
                reason = %error,
                "no control socket: status, apply and explain cannot reach this daemon. Name a \
                 place with --control; a container with a read-only root takes {mount}"
            );
            None
        }
    }
}

/// The run's `-tags`; its template is wrong at the start or never.
///
/// # Errors
///
/// The template is wrong ([`BadConfig`]).
pub fn tags(args: &OfferArgs, compat: Compat) -> anyhow::Result<Tags> {
    let http_get = match (args.allow_http_get.unwrap_or(false), compat) {
        (false, _) => HttpGet::Forbidden,
        (true, Compat::Registrator) => HttpGet::Original,
        (true, _) => HttpGet::Checked,
    };
    let tags = Tags::parse(args.tags.as_deref().unwrap_or_default(), http_get).context("-tags");
    Ok(tags.map_err(BadConfig)?)
}

/// The configuration file, or what holds without one.
///
/// # Errors
///
/// The file cannot be used ([`BadConfig`]).
pub fn config(args: &OfferArgs) -> anyhow::Result<Config> {
    let mut config = match &args.config {
        Some(path) => Config::read(path).map_err(|error: ConfigError| BadConfig(error.into()))?,
        None => Config::default(),
    };
    config.cache = config.cache.or_flag(args.cache_dir.as_deref());
    Ok(config)
}

/// The flags with what the file says where they do not.
///
/// # Errors
///
/// Together they cannot be used ([`BadConfig`]).
pub fn settled(args: RunArgs, config: &Config) -> anyhow::Result<RunArgs> {
    let args = args.filled(config);
    args.check().map_err(|words| BadConfig(anyhow!("{words} ([registrator] of the file)")))?;
    Ok(args)
}

/// The host's facts, by flags that are settled.
///
/// # Errors
///
/// The machine's name cannot be read, or `-ip` is no address ([`BadUsage`]).
pub async fn host(args: &OfferArgs) -> anyhow::Result<Host> {
    let hostname = match &args.hostname {
        Some(hostname) => hostname.clone(),
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("cannot read the machine's name")?
            .trim()
            .to_string(),
    };
    let compat = args.compat.unwrap_or_default();
    let (internal, ip) = (args.internal.unwrap_or(false), args.ip.clone());
    let ip = ip.filter(|ip| !ip.is_empty());
    if let Some(ip) = ip.as_deref().filter(|_| !internal && compat == Compat::None) {
        // Every service would be refused for it.
        host_address(ip).map_err(|fault| BadUsage(format!("-ip: {fault}")))?;
    }
    let fixed = args.resolve.iter().find(|(name, _)| *name == hostname);
    let addresses = match fixed {
        Some((_, address)) => vec![address.clone()],
        None => whereabouts::resolve(&hostname).await,
    };
    let forced = ip.is_some();
    let resolved_address = match compat {
        Compat::Registrator => addresses.into_iter().next(),
        Compat::None => whereabouts::of_host(&hostname, addresses, forced),
    };
    if resolved_address.is_none() && compat == Compat::Registrator && !forced {
        warn!(
            event = event::HOST_ADDRESS,
            host = hostname,
            reason = "it does not resolve",
            "the host's name {hostname} does not resolve; without -ip its address is not known"
        );
    }
    let mut flags = args.flags(compat);
    for (flag, variable) in [("namespace", "CONSUL_NAMESPACE"), ("partition", "CONSUL_PARTITION")] {
        // A container's own values are held against the daemon's.
        let own = std::env::var(variable).ok().filter(|own| !own.is_empty());
        flags.extend(own.map(|own| (flag.to_string(), own)));
    }
    Ok(Host {
        hostname,
        forced_address: ip,
        resolved_address,
        internal,
        explicit: args.explicit.unwrap_or(false),
        address_label: args.use_ip_from_label.clone().filter(|label| !label.is_empty()),
        compat,
        flags,
        agent: None,
        engine: None,
    })
}

/// The pipeline of the configuration, with every stage loaded and its settings
/// validated.
///
/// # Errors
///
/// [`BadConfig`] with every fault of every stage.
pub async fn pipeline(config: &Config) -> anyhow::Result<Pipeline> {
    let pipeline = Stages::default().compiled_by_children().load(config).await?;
    stages::announce(&pipeline);
    Ok(pipeline)
}

/// The result of this work; none if it is to stop before.
async fn unless<T, E>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, E>>,
) -> Result<Option<T>, E> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(None),
        done = work => done.map(Some),
    }
}
