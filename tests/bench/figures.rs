//! `make bench`: what the daemon takes, and beside it what the same work takes at the least, measured in
//! the same run. The daemon is the real program as it is shipped, in a process of its own; Docker and
//! Consul are stood in for by servers that answer with bytes made before (`docker`, `consul`), and the
//! limit is a bare client of them (`bare`), or the engine alone (`calls`). A few containers are looked at
//! with a real Docker and a real Consul as well (`real`), where these can be had.
//!
//! `QUICK=1` leaves out what takes long; `LOADS=3000x5,10x0` measures only the start of so many containers
//! with so many stages, for a profile, `LOADS=calls` only calls, and `LOADS=real` only what is measured with
//! a real Docker. The table goes to the standard output, all figures as JSON and the plots to the folder `WHARFINGER_BENCH_DIR`, or else `target/bench`.

#[path = "../common/mod.rs"]
mod common;

mod bare;
mod calls;
mod consul;
mod daemon;
mod docker;
mod engine;
mod hosted;
mod http;
mod real;
mod relay;
mod report;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bare::Bare;
use calls::{Alone, Manner};
use consul::Consul;
use daemon::{Program, STAGES, binary, component, examples};
use docker::Docker;
use hosted::Hosted;
use report::{Figure, Growth, Spread};

/// One load: so many containers, so many stages.
type Load = (usize, usize);

/// What is measured, and how often.
struct Plan {
    loads: Vec<Load>,
    repeats: usize,
    singles: usize,
    calls: usize,
    idle: Duration,
    real: real::Extent,
}

impl Plan {
    fn of_environment() -> Self {
        let quick = env::var_os("QUICK").is_some_and(|value| !value.is_empty());
        let counts: &[usize] = if quick { &[10, 100, 1_000] } else { &[10, 100, 1_000, 10_000] };
        let stages: &[usize] = if quick { &[0, 5] } else { &[0, 1, 5, 20] };
        let loads = counts.iter().flat_map(|n| stages.iter().map(|stages| (*n, *stages)));
        Self {
            loads: loads.collect(),
            repeats: if quick { 3 } else { 5 },
            singles: if quick { 100 } else { 300 },
            calls: if quick { 2_000 } else { 10_000 },
            // Docker's list is read every eleven seconds, the checks every ten.
            idle: Duration::from_secs(if quick { 33 } else { 99 }),
            real: match quick {
                true => real::Extent { rounds: 2, lives: 3, loads: &[10], starts: 2 },
                false => real::Extent { rounds: 3, lives: 30, loads: &[10, 100], starts: 5 },
            },
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plan = Plan::of_environment();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(loads) = env::var_os("LOADS").filter(|loads| !loads.is_empty()) {
        for load in loads.to_string_lossy().split(',') {
            if load == "real" {
                real::measure(&plan.real, &mut Vec::new())?;
                continue;
            }
            if load == "calls" {
                stage_calls(&plan, &runtime, &mut Vec::new())?;
                continue;
            }
            let (n, stages) =
                load.split_once('x').ok_or("LOADS is a list of COUNTxSTAGES, calls or real")?;
            start(&plan, (n.parse()?, stages.parse()?), 0.0, &mut Vec::new());
        }
        return Ok(());
    }
    let mut figures = Vec::new();
    let engine = stage_calls(&plan, &runtime, &mut figures)?;
    let mut growth = Vec::new();
    for stages in plan.stages() {
        let mut lines = [("wall", Vec::new()), ("processor", Vec::new())];
        for n in plan.counts() {
            let [wall, processor] = start(&plan, (n, stages), engine, &mut figures);
            lines[0].1.push((n as f64, wall));
            lines[1].1.push((n as f64, processor));
        }
        let line = |(what, points)| Growth { name: format!("{what}, {stages} stages"), points };
        growth.extend(lines.map(line));
    }
    for stages in [0, 5] {
        one_at_a_time(&plan, stages, &mut figures);
    }
    steady(&plan, &mut figures);
    let real = real::measure(&plan.real, &mut figures);

    let folder = env::var_os("WHARFINGER_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    let exponents: Vec<_> = growth.iter().map(|it| (&it.name, it.exponent(), &it.points)).collect();
    let all = serde_json::json!({ "figures": figures, "growth": exponents });
    fs::write(folder.join("figures.json"), format!("{all:#}\n"))?;
    report::plot(&folder.join("growth.svg"), "From start to all registered", "seconds", &growth)?;
    let table = report::table(&figures);
    fs::write(folder.join("figures.md"), &table)?;
    println!("{table}");
    for line in &growth {
        println!("{}: grows with the power {:.2} of the containers", line.name, line.exponent());
    }
    println!("JSON, table and plot: {}", folder.display());
    Ok(real?)
}

impl Plan {
    fn counts(&self) -> Vec<usize> {
        let mut counts: Vec<_> = self.loads.iter().map(|load| load.0).collect();
        counts.dedup();
        counts
    }

    fn stages(&self) -> Vec<usize> {
        let mut stages: Vec<_> = self.loads.iter().map(|load| load.1).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }
}

/// The fake Docker and the null Consul, and the program before them.
struct World {
    docker: Arc<Docker>,
    consul: Arc<Consul>,
    bare: Bare,
    program: Program,
    /// It serves until it is dropped.
    _servers: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("wf-").tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let mut servers = tokio::runtime::Builder::new_multi_thread();
        let servers = servers.worker_threads(1).enable_all().build().expect("a thread");
        let (docker, consul) = (Docker::new(), Consul::new());
        let address = servers.block_on(async {
            docker.listen(&socket);
            consul.listen().await
        });
        let program = Program {
            file: binary(),
            docker: format!("unix://{}", socket.display()),
            consul: format!("consul://{address}"),
            // Compiled code is found again by the next world.
            folder: cache_folder(),
        };
        let bare = Bare::new(&socket, address);
        Self { docker, consul, bare, program, _servers: servers, _folder: folder }
    }
}

fn cache_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&folder).expect("Cargo's own folder");
    folder
}

/// A stage's call; the time that the engine alone needs for one of the library, in seconds.
fn stage_calls(
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
    figures: &mut Vec<Figure>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut sum = 0.0;
    for (name, _, settings) in STAGES {
        sum += calls_of(plan, plan.calls, runtime, figures, (name, &component(name), settings))?;
    }
    let examples = examples();
    if examples.is_empty() {
        eprintln!("No example of a language is built, and none is measured: make plugins");
    }
    for (language, file) in examples {
        let name = format!("the example in {language}");
        // Those that bring an interpreter are a hundred times slower.
        calls_of(plan, plan.calls / 10, runtime, figures, (&name, &file, "{}"))?;
    }
    Ok(sum / STAGES.len() as f64)
}

/// So many calls of a component, by its name, file and settings; the time that the engine alone needs for
/// one, in seconds.
fn calls_of(
    plan: &Plan,
    calls: usize,
    runtime: &tokio::runtime::Runtime,
    figures: &mut Vec<Figure>,
    (name, file, settings): (&str, &Path, &str),
) -> Result<f64, Box<dyn std::error::Error>> {
    let [fastest, held] = [Manner::Fastest, Manner::Held].map(|it| Alone::load(file, settings, it));
    let (fastest, held) = (fastest?, held?);
    let hosted = runtime.block_on(Hosted::load(file, settings));
    fastest.times(calls / 20);
    held.times(calls / 20);
    runtime.block_on(hosted.times(calls / 20));
    // One after the other and in bulk, each beside the engine as fast as it can be and as guests must be held.
    let mut found: [Vec<(f64, f64)>; 4] = Default::default();
    for _ in 0..plan.repeats {
        let single = micros(median(runtime.block_on(hosted.times(calls))));
        let began = daemon::own_processor();
        runtime.block_on(hosted.bulk(calls));
        let bulk = micros((daemon::own_processor() - began) / u32::try_from(calls / 8 * 8)?);
        for (at, engine) in [&fastest, &held].into_iter().enumerate() {
            found[at].push((single, micros(median(engine.times(calls)))));
            found[2 + at].push((bulk, micros(engine.bulk(calls))));
        }
    }
    let limit = Spread::of(found[0].iter().map(|pair| pair.1)).median / 1e6;
    let ways = [format!("a call of {name}, p50"), format!("a call of {name} in bulk, processor")];
    let beside = ["the engine alone", "the engine that holds its guests"];
    for (at, pairs) in found.iter().enumerate() {
        figures.push(Figure::paired(ways[at / 2].clone(), "µs", pairs, beside[at % 2]));
    }
    eprintln!("{}", report::table(&figures[figures.len() - found.len()..]));
    Ok(limit)
}

/// From the start of the daemon until all containers are registered; wall and processor time in seconds.
fn start(plan: &Plan, load: Load, engine: f64, figures: &mut Vec<Figure>) -> [f64; 2] {
    let (n, stages) = load;
    let world = World::new();
    let ids = world.docker.add(n);
    let (mut walls, mut processor, mut peak, mut resident) = (vec![], vec![], vec![], vec![]);
    // The first one fills the cache of compiled code.
    for turn in 0..=plan.repeats {
        let (limit, _) = world.bare.best(&ids);
        let limit = limit.as_secs_f64() + n as f64 * stages as f64 * engine;
        world.consul.reset();
        let daemon = world.program.start(stages, &[]);
        let wall = world.consul.wait(n).duration_since(daemon.began).as_secs_f64();
        let (taken, memory) = (daemon.processor().as_secs_f64(), daemon.memory());
        drop(daemon);
        world.consul.reset();
        if turn > 0 {
            walls.push((wall, limit));
            processor.push(taken);
            peak.push(memory.peak as f64 / 1e6);
            resident.push(memory.resident as f64 / 1e6);
        }
    }
    let name = format!("{n} containers, {stages} stages");
    let beside = if stages == 0 { "a bare client" } else { "a bare client and the engine alone" };
    let found = [
        Figure::paired(format!("{name}: start to all registered"), "s", &walls, beside),
        Figure::alone(format!("{name}: processor"), "s", &processor),
        Figure::alone(format!("{name}: most memory"), "MB", &peak),
        Figure::alone(format!("{name}: memory then"), "MB", &resident),
    ];
    eprintln!("{}", report::table(&found));
    let values = [found[0].value.median, found[1].value.median];
    figures.extend(found);
    values
}

/// One container's start until it is visible, and its death until it is gone.
fn one_at_a_time(plan: &Plan, stages: usize, figures: &mut Vec<Figure>) {
    let world = World::new();
    world.docker.add(1);
    let daemon = world.program.start(stages, &[]);
    world.consul.wait(1);
    // The events are listened to, and what runs at the start is over.
    thread::sleep(Duration::from_secs(1));
    let (mut starts, mut deaths) = (Vec::new(), Vec::new());
    let before = daemon.processor();
    for _ in 0..plan.singles {
        let id = world.docker.add(1).remove(0);
        let began = Instant::now();
        world.docker.started(&id);
        starts.push(world.consul.wait(2) - began);
        let began = Instant::now();
        world.docker.died(&id);
        deaths.push(world.consul.wait(1) - began);
    }
    let each = (daemon.processor() - before).as_secs_f64() * 1e3 / plan.singles as f64;
    let memory = daemon.memory();
    drop(daemon);
    let id = world.docker.add(1).remove(0);
    let (one, removal) = (world.bare.one(&id, plan.singles), world.bare.removal(plan.singles));
    let paired = |name: &str, times: &[Duration], limits: &[Duration], beside| {
        let pairs: Vec<_> =
            times.iter().zip(limits).map(|(time, limit)| (millis(*time), millis(*limit))).collect();
        let middle = |of: fn(&(f64, f64)) -> f64| Spread::of(pairs.iter().map(of)).median;
        let pair = (middle(|pair| pair.0), middle(|pair| pair.1));
        let mut figure =
            Figure::paired(format!("{name}, {stages} stages, p50"), "ms", &[pair], beside);
        figure.value = Spread::of(pairs.iter().map(|pair| pair.0));
        figure
    };
    let found = [
        paired("a container's start to visible", &starts, &one, "inspection and write alone"),
        paired("a container's death to gone", &deaths, &removal, "a write alone"),
        Figure::alone(format!("a start and a death, {stages} stages: processor"), "ms", &[each]),
        Figure::alone(
            format!("1 container, {stages} stages: memory"),
            "MB",
            &[memory.resident as f64 / 1e6],
        ),
    ];
    eprintln!("{}", report::table(&found));
    figures.extend(found);
}

/// What a host costs on which nothing happens: idle, and at resyncs.
fn steady(plan: &Plan, figures: &mut Vec<Figure>) {
    const SERVICES: usize = 1_000;
    let world = World::new();
    world.docker.add(SERVICES);
    let taken = |more: &[&str], settle: u64, period: Duration| {
        world.consul.reset();
        let daemon = world.program.start(0, more);
        world.consul.wait(SERVICES);
        thread::sleep(Duration::from_secs(settle));
        let (before, requests) = (daemon.processor(), world.docker.requests());
        let (writes, reads) = world.consul.counts();
        thread::sleep(period);
        let share = (daemon.processor() - before).as_secs_f64() / period.as_secs_f64();
        let after = (world.docker.requests(), world.consul.counts());
        let inspects = after.0.inspects - requests.inspects;
        let counts = [inspects, after.1.0 - writes, after.1.1 - reads];
        (share, counts.map(|count| count as f64))
    };
    let resyncs = Duration::from_secs(5);
    // The last lists follow the last change.
    let (idle, asked) = taken(&[], 15, plan.idle);
    let (busy, counts) = taken(&["-resync", "1"], 3, resyncs);
    let seconds = resyncs.as_secs_f64();
    let each = |count: f64| count / seconds;
    let found = [
        // Or seconds of the processor in a hundred.
        Figure::alone(
            "idle, 1000 services with failing checks: share of a core",
            "%",
            &[idle * 100.0],
        ),
        Figure::alone("idle: inspections, writes", "", &[asked[0] + asked[1]]),
        Figure::alone("resync of 1000 unchanged: processor", "ms", &[(busy - idle) * 1e3]),
        Figure::alone("resync of 1000 unchanged: inspections", "", &[each(counts[0])]),
        Figure::alone("resync of 1000 unchanged: writes", "", &[each(counts[1])]),
        Figure::alone("resync of 1000 unchanged: reads of all services", "", &[each(counts[2])]),
    ];
    eprintln!("{}", report::table(&found));
    figures.extend(found);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
