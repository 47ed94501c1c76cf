//! One run: a time of changes and faults, a time of quiet, and a time in which
//! nothing may be written.

use std::{sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Ground, Sim,
    agent::Client,
    oracle,
    probe::Probe,
    profile::Choices,
    saboteur::{Sabotage, Saboteur, sabotage_plans},
    source::Source,
    stages,
    world::{self, Change},
};
use crate::{
    docker::EventKind,
    reconcile::{Handle, Held, Reconciler},
};

/// The longest time that it takes until what failed is tried again and done.
pub(super) const SETTLED: Duration = Duration::from_secs(150);

/// A daemon that runs, or is about to end.
pub(super) struct Daemon {
    abort: AbortHandle,
    stop: CancellationToken,
    pub(super) stopping: bool,
    handle: Handle,
    pub(super) probe: Arc<Probe>,
}

/// The outcome of a run.
pub(super) struct Outcome {
    pub(super) trace: Vec<String>,
    pub(super) violation: Option<String>,
}

/// Run the loop in the world of this seed.
pub(super) fn run(seed: u64, sabotage: Sabotage) -> Outcome {
    let plain = std::env::var_os("PLAIN").is_some_and(|value| !value.is_empty());
    run_with(seed, sabotage, if plain { Choices::default() } else { Choices::draw(seed) })
}

/// Run the loop in the world of this seed, with nothing chosen.
pub(super) fn run_plain(seed: u64) -> Outcome {
    run_with(seed, Sabotage::None, Choices::default())
}

/// Run the loop in the world of this seed, with these choices.
pub(super) fn run_with(seed: u64, sabotage: Sabotage, choices: Choices) -> Outcome {
    // The jitter of the loop's pauses is drawn from the thread's generator.
    fastrand::seed(seed);
    sabotage_plans(sabotage);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let ground = runtime.block_on(async {
        let ground = Ground::new(seed, choices);
        live(&ground, sabotage).await;
        ground
    });
    drop(runtime);
    sabotage_plans(Sabotage::None);
    let mut sim = ground.lock();
    Outcome { trace: std::mem::take(&mut sim.trace), violation: sim.violation.take() }
}

async fn live(ground: &Ground, sabotage: Sabotage) {
    let steps = ground.lock().profile.steps;
    for _ in 0..steps {
        step(ground, sabotage);
        let pause = ground.lock().pause();
        sleep(pause).await;
        if ground.lock().violation.is_some() {
            return;
        }
    }
    settle(ground, sabotage).await;
    confirm(ground).await;
    ground.lock().judge_catalog();
    rest(ground).await;
    change_all(ground).await;
    oracle::ask(ground, sabotage).await;
}

/// One thing happens.
fn step(ground: &Ground, sabotage: Sabotage) {
    let mut sim = ground.lock();
    let faults = sim.profile.faults.clone();
    if sim.daemon.is_none() {
        if sim.incarnation == 0 || sim.rng.bool() {
            drop(sim);
            start(ground, sabotage);
            return;
        }
    } else if sim.fault(faults.crash) {
        return sim.crash();
    } else if sim.fault(faults.stop) {
        drop(sim);
        return stop(ground);
    }
    let (replacement, engine) = (sim.profile.choices.replacement, sim.profile.choices.other_engine);
    if sim.fault(replacement) {
        let rules = sim.other_rules();
        drop(sim);
        return replace(ground, rules);
    }
    if sim.fault(engine) {
        return sim.change_engine();
    }
    let reaping = sim.profile.choices.reaping;
    if sim.fault(reaping) {
        return sim.reap();
    }
    if sim.profile.choices.peer && sim.rng.u8(..4) == 0 {
        return sim.peer_acts();
    }
    if sim.profile.choices.drain.is_some() && sim.rng.u8(..8) == 0 {
        return sim.signal();
    }
    for (likely, fault) in [
        (faults.disconnect, Sim::disconnect as fn(&mut Sim)),
        (faults.silence, Sim::silence),
        (faults.amnesia, Sim::forget),
        (faults.meddling, Sim::meddle),
        (faults.blind, Sim::cover),
    ] {
        if sim.fault(likely) {
            return fault(&mut sim);
        }
    }
    sim.befall();
}

pub(super) fn start(ground: &Ground, sabotage: Sabotage) {
    let mut sim = ground.lock();
    sim.incarnation += 1;
    let incarnation = sim.incarnation;
    sim.judge = Default::default();
    let other_name = sim.profile.choices.other_name;
    if sim.fault(other_name) {
        sim.host = world::HOSTS[usize::from(sim.host == world::HOSTS[0])];
    }
    let host = sim.host;
    sim.note(format_args!("the daemon starts on {host}"));
    let source = Arc::new(Source { ground: ground.clone(), incarnation });
    let client = Arc::new(Client { ground: ground.clone(), incarnation });
    let reconciler = Reconciler::new(
        source,
        Saboteur::wrap(client, sabotage),
        stages::pipeline(ground, incarnation, sim.rules),
        sim.shown_host(),
        sim.profile.options(),
    );
    let stop = CancellationToken::new();
    let (token, handle) = (stop.clone(), reconciler.handle());
    let probe = Arc::new(Probe::of(reconciler.shared.clone()));
    let task = tokio::spawn(async move { reconciler.run(token).await });
    let abort = task.abort_handle();
    sim.daemon = Some(Daemon { abort, stop, stopping: false, handle, probe });
    // Its end is seen by whoever comes first.
    let ground = ground.clone();
    tokio::spawn(async move {
        let panicked = task.await.is_err_and(|error| error.is_panic());
        let mut sim = ground.lock();
        if panicked {
            sim.violate(format_args!("the loop panicked"));
        }
        if sim.incarnation == incarnation && sim.daemon.take().is_some_and(|one| !one.stopping) {
            sim.violate(format_args!("the loop ended unasked"));
        }
    });
}

/// The pipeline gets other rules.
fn replace(ground: &Ground, rules: u8) {
    let mut sim = ground.lock();
    sim.rules = rules;
    sim.note(format_args!("the pipeline has rules {rules}"));
    let Some(handle) = sim.daemon.as_ref().map(|daemon| daemon.handle.clone()) else { return };
    let pipeline = stages::pipeline(ground, sim.incarnation, rules);
    // A daemon that is stopping takes no orders.
    tokio::spawn(async move { drop(handle.replace_pipeline(pipeline).await) });
}

/// Confirm the changes that the bulk guard holds. Until then everything else must be
/// as it is to be.
pub(super) async fn confirm(ground: &Ground) {
    let Some(held) = held(ground).await else { return };
    if ground.lock().profile.choices.peer {
        // Somebody looks and finds that the other engine is well.
        return;
    }
    let handle = ground.lock().daemon.as_ref().map(|daemon| daemon.handle.clone());
    {
        let mut sim = ground.lock();
        sim.note(format_args!("held: {held}: {:?}", held.services));
        sim.judge_catalog();
    }
    drop(handle.expect("it runs").confirm().await);
    sleep(SETTLED).await;
}

/// The changes that the daemon's bulk guard holds.
pub(super) async fn held(ground: &Ground) -> Option<Held> {
    let handle = ground.lock().daemon.as_ref().map(|daemon| daemon.handle.clone())?;
    handle.held().await.ok().flatten()
}

/// All services get other names or IDs: that is held if it is too much, and done if
/// it is not or is confirmed.
async fn change_all(ground: &Ground) {
    if ground.lock().violation.is_some() || ground.lock().profile.choices.guard.is_none() {
        return;
    }
    let before = ground.lock().agent.entries.clone();
    let rules = ground.lock().other_rules();
    let foreseen = oracle::foresee(ground, rules).await;
    replace(ground, rules);
    let expected = ground.lock().is_held();
    sleep(SETTLED).await;
    let held = held(ground).await;
    {
        let mut sim = ground.lock();
        if let Some(foreseen) = foreseen {
            sim.compare(&foreseen, held.as_ref());
        }
        if expected.is_some_and(|expected| expected != held.is_some()) {
            sim.violate(format_args!("{expected:?} is to be held, and is: {held:?}"));
        }
        for id in held.iter().flat_map(|held| &held.services) {
            if sim.agent.entries.get(id) != before.get(id) {
                sim.violate(format_args!("{id} is held and has changed"));
            }
        }
    }
    confirm(ground).await;
    ground.lock().judge_catalog();
}

/// The daemon is told to stop. It must end within its time.
fn stop(ground: &Ground) {
    let mut sim = ground.lock();
    let Some(daemon) = sim.daemon.as_mut().filter(|daemon| !daemon.stopping) else { return };
    daemon.stopping = true;
    daemon.stop.cancel();
    sim.note(format_args!("the daemon is told to stop"));
    let (incarnation, grace) = (sim.incarnation, sim.profile.longest_end());
    let ground = ground.clone();
    tokio::spawn(async move {
        sleep(grace).await;
        let mut sim = ground.lock();
        if sim.incarnation == incarnation && sim.daemon.is_some() {
            sim.violate(format_args!("the daemon does not stop"));
        }
    });
}

impl Sim {
    /// Others than the rules in force.
    fn other_rules(&mut self) -> u8 {
        (self.rules + 1 + self.rng.u8(..stages::RULES - 1)) % stages::RULES
    }

    /// The daemon is killed.
    pub(super) fn crash(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            self.note(format_args!("the daemon is killed"));
            daemon.abort.abort();
            // Its listener is a task of its own.
            daemon.stop.cancel();
            self.streams.clear();
            self.silent.clear();
        }
    }

    /// Something happens to a container, and Docker says so.
    fn befall(&mut self) {
        let turn = !self.world.looping.is_empty() && self.rng.bool();
        let now = self.now();
        let change = match turn {
            true => self.world.turn(&mut self.rng, now),
            false => self.world.change(&mut self.rng, now),
        };
        if let Some(Change { id, what, kind }) = change {
            self.note(format_args!("{} {what}", id.short()));
            let starts = what.starts_with("create") || what == "start";
            if starts && self.profile.choices.late_ports {
                let hidden = Duration::from_millis(self.rng.u64(..5000));
                self.world.hide_ports(&id, hidden);
            }
            self.announce_life(&id, kind);
            // A container that is removed has ended before.
            if what == "remove" && self.profile.choices.deaths {
                self.announce(&id);
            }
        }
    }

    /// A container is sent a signal. It may end of it after a while.
    fn signal(&mut self) {
        let running: Vec<_> = self.world.running().map(|one| one.id.clone()).collect();
        let Some(id) = self.rng.choice(running) else { return };
        let signal = *self.rng.choice(&[15, 15, 15, 1]).expect("there are some");
        self.note(format_args!("{} is sent signal {signal}", id.short()));
        self.announce_signal(&id, signal);
        if self.rng.bool() {
            return;
        }
        let (ground, after) = (self.ground(), Duration::from_millis(self.rng.u64(..15_000)));
        tokio::spawn(async move {
            sleep(after).await;
            let mut sim = ground.lock();
            let sim = &mut *sim;
            if sim.quiet {
                return;
            }
            let container = sim.world.containers.get_mut(&id);
            if let Some(container) = container.filter(|one| one.state.is_running()) {
                let what = world::die(container, &mut sim.rng);
                let exit_code = container.exit_code;
                sim.note(format_args!("{} {what} of a signal", id.short()));
                sim.announce_life(&id, EventKind::Death { exit_code });
            }
        });
    }

    /// The time until the next step.
    fn pause(&mut self) -> Duration {
        Duration::from_micros(match self.rng.u8(..20) {
            0..8 => 0,
            8..14 => self.rng.u64(..50_000),
            14..19 => self.rng.u64(..3_000_000),
            _ => self.rng.u64(..60_000_000),
        })
    }
}

/// The faults cease, and the loop gets the time it needs; one resync where it
/// cannot know otherwise what has happened.
async fn settle(ground: &Ground, sabotage: Sabotage) {
    let running = {
        let mut sim = ground.lock();
        sim.quiet = true;
        sim.agent.blind = None;
        sim.note(format_args!("quiet"));
        sim.daemon.as_ref().map(|daemon| daemon.stopping)
    };
    if running == Some(true) {
        // It ends by itself.
        let grace = ground.lock().profile.longest_end() + Duration::from_secs(1);
        sleep(grace).await;
    }
    if ground.lock().daemon.is_none() {
        start(ground, sabotage);
    }
    sleep(SETTLED).await;
    {
        let mut sim = ground.lock();
        if sim.needs_resync && sim.profile.resync.is_none() {
            sim.disconnect();
        }
    }
    sleep(SETTLED).await;
}

/// Nothing happens, and events and resyncs change nothing.
async fn rest(ground: &Ground) {
    let before = ground.lock().agent.writes;
    for _ in 0..3 {
        {
            let mut sim = ground.lock();
            let all: Vec<_> = sim.world.containers.keys().cloned().collect();
            all.iter().for_each(|id| sim.announce(id));
        }
        sleep(Duration::from_secs(20)).await;
        ground.lock().disconnect();
        sleep(Duration::from_secs(20)).await;
    }
    let mut sim = ground.lock();
    let writes = sim.agent.writes - before;
    if writes > 0 {
        sim.violate(format_args!("{writes} writes although nothing happened"));
    }
    sim.judge_catalog();
}
