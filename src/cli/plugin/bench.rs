//! `wharfinger plugin bench`: how long calls take and what memory they need, held
//! against what a stage may use.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Report,
    failure::Failure,
    input::{ContainerArgs, StageArgs},
    render,
    trial::Start,
    workbench::Workbench,
};
use crate::{
    model::{container::Container, host::Host, service::Service},
    pipeline::Stage as _,
    stages::plugin::{ComponentStage, Limits, Stats},
};

/// Calls before those that count, for the processor's and the allocator's caches.
const WARM_UP: u64 = 20;

/// Measure a plugin: calls per second, how long a call takes, and how much memory,
/// against the limits of a stage.
///
/// Each call is what the daemon does for a container: a new instance, the call,
/// and the reading of the answer. The limits are the daemon's defaults unless
/// --timeout and --memory say otherwise.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Exit code: 1 if a call failed.

Keys of --json: file, calls, seconds, calls_per_second, concurrency, outcomes (ok, or the kind of a
failure, with the number of calls), time_us (p50, p90, p99, max), peak_memory, limits (timeout_us,
memory), share (time: that of p99, memory), load_us, compiled.")]
pub(super) struct BenchArgs {
    /// The component.
    file: PathBuf,

    #[command(flatten)]
    container: ContainerArgs,

    /// What the stage is handed.
    #[arg(long, value_name = "WHAT", default_value = "registrator")]
    start: Start,

    /// How many calls.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seconds")]
    calls: u64,

    /// For how long, in the place of a number of calls.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,

    /// How many calls at once.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    concurrency: u64,

    #[command(flatten)]
    stage: StageArgs,
}

/// What a call is made with.
struct Input {
    container: Container,
    host: Host,
    services: Vec<Service>,
}

/// When to stop.
#[derive(Clone, Copy)]
enum End {
    After(u64),
    At(Instant),
}

/// What came of it.
struct Measured {
    stats: Stats,
    wall: Duration,
    load: Duration,
    compiled: bool,
}

pub(super) async fn bench(args: &BenchArgs, cache: Option<&Path>) -> Result<Report, Failure> {
    let told = args.stage.told()?;
    let limits = args.stage.limits.limits(Limits::DEFAULT.timeout)?;
    let container = args.container.host.container(&args.container.container)?;
    let host = args.container.host.host();
    let (services, _) = args.start.propose(&container, &host).await?;
    let input = Arc::new(Input { container, host, services });
    let concurrency = usize::try_from(args.concurrency).unwrap_or(1);
    let bench = Workbench::new(cache, concurrency, limits, args.stage.registry.as_deref())?;
    let began = Instant::now();
    let warm = bench.load_told(&args.file, &told).await?;
    let (load, compiled) = (began.elapsed(), bench.compilations() > 0);
    repeat(&warm, &input, End::After(WARM_UP), concurrency).await;
    // The same once more, since the figures of a stage begin with its loading.
    let stage = bench.load_told(&args.file, &told).await?;
    let end = match args.seconds {
        Some(seconds) => End::At(Instant::now() + Duration::from_secs(seconds)),
        None => End::After(args.calls),
    };
    let began = Instant::now();
    repeat(&stage, &input, end, concurrency).await;
    let measured = Measured { stats: stage.stats(), wall: began.elapsed(), load, compiled };
    Ok(report(args, &measured, bench.limits()))
}

/// Call again and again, from so many tasks.
async fn repeat(stage: &Arc<ComponentStage>, input: &Arc<Input>, end: End, tasks: usize) {
    let begun = Arc::new(AtomicU64::new(0));
    let task = |_| {
        let (stage, input, begun) = (stage.clone(), input.clone(), begun.clone());
        tokio::spawn(async move {
            loop {
                let nth = begun.fetch_add(1, Ordering::Relaxed);
                match end {
                    End::After(count) if nth >= count => break,
                    End::At(moment) if Instant::now() >= moment => break,
                    _ => {}
                }
                // What came of it is in the stage's figures.
                stage.process(&input.container, &input.host, &input.services).await;
            }
        })
    };
    futures_util::future::join_all((0..tasks).map(task)).await;
}

fn report(args: &BenchArgs, measured: &Measured, limits: &Limits) -> Report {
    let stats = &measured.stats;
    let failed = stats.calls - stats.outcomes.get("ok").copied().unwrap_or_default();
    Report {
        text: text(args, measured, limits),
        json: as_json(args, measured, limits),
        code: u8::from(failed > 0),
    }
}

fn time_share(stats: &Stats, limits: &Limits) -> f64 {
    stats.time.p99.as_secs_f64() / limits.timeout.as_secs_f64()
}

fn memory_share(stats: &Stats, limits: &Limits) -> f64 {
    stats.peak_memory.as_u64() as f64 / limits.memory.as_u64() as f64
}

fn per_second(measured: &Measured) -> f64 {
    measured.stats.calls as f64 / measured.wall.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn text(args: &BenchArgs, measured: &Measured, limits: &Limits) -> String {
    let Measured { stats, wall, load, compiled } = measured;
    let outcomes: Vec<_> =
        stats.outcomes.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let times = stats.time;
    let timeout = humantime::format_duration(limits.timeout);
    let rows = [
        (
            "calls",
            format!("{} in {}, {} at once", stats.calls, render::time(*wall), args.concurrency),
        ),
        ("outcomes", outcomes.join(", ")),
        ("rate", format!("{:.0} calls per second", per_second(measured))),
        ("p50", render::time(times.p50)),
        ("p90", render::time(times.p90)),
        (
            "p99",
            format!(
                "{}, {} of the deadline of {timeout}",
                render::time(times.p99),
                render::share(time_share(stats, limits))
            ),
        ),
        ("max", render::time(times.max)),
        (
            "memory",
            format!(
                "{}, {} of the limit of {}",
                stats.peak_memory,
                render::share(memory_share(stats, limits)),
                limits.memory
            ),
        ),
        (
            "load",
            format!(
                "{}, {}",
                render::time(*load),
                if *compiled { "compiled" } else { "its code was in the cache" }
            ),
        ),
    ];
    let mut text = format!("{}\n{}", args.file.display(), render::table("  ", &rows));
    if time_share(stats, limits) > 0.5 || memory_share(stats, limits) > 0.5 {
        text += "\nIt uses more than half of what it may: on a busier machine, or for a larger \
                 container, that may not do.\n";
    }
    text
}

fn as_json(args: &BenchArgs, measured: &Measured, limits: &Limits) -> Value {
    let stats = &measured.stats;
    let micros = |time: Duration| time.as_micros() as u64;
    json!({
        "file": args.file.display().to_string(),
        "calls": stats.calls,
        "seconds": measured.wall.as_secs_f64(),
        "calls_per_second": per_second(measured),
        "concurrency": args.concurrency,
        "outcomes": stats.outcomes,
        "time_us": {
            "p50": micros(stats.time.p50),
            "p90": micros(stats.time.p90),
            "p99": micros(stats.time.p99),
            "max": micros(stats.time.max),
        },
        "peak_memory": stats.peak_memory.as_u64(),
        "limits": { "timeout_us": micros(limits.timeout), "memory": limits.memory.as_u64() },
        "share": { "time": time_share(stats, limits), "memory": memory_share(stats, limits) },
        "load_us": micros(measured.load),
        "compiled": measured.compiled,
    })
}
