//! One run: a time of changes and faults, a time of quiet, and a time in which
//! nothing may be written.

use std::{sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Ground, Sim,
    agent::Client,
    saboteur::{Sabotage, Saboteur, sabotage_plans},
    source::Source,
    stages,
};
use crate::reconcile::Reconciler;

/// The longest time that it takes until what failed is tried again and done.
const SETTLED: Duration = Duration::from_secs(150);

/// A daemon that runs, or is about to end.
pub(super) struct Daemon {
    abort: AbortHandle,
    stop: CancellationToken,
    stopping: bool,
}

/// What came of a run.
pub(super) struct Outcome {
    pub(super) trace: Vec<String>,
    pub(super) violation: Option<String>,
}

/// Run the loop in the world of this seed.
pub(super) fn run(seed: u64, sabotage: Sabotage) -> Outcome {
    // The jitter of the loop's pauses is drawn from the thread's generator.
    fastrand::seed(seed);
    sabotage_plans(sabotage);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let ground = runtime.block_on(async {
        let ground = Ground::new(seed);
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
    ground.lock().judge_catalog();
    rest(ground).await;
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

fn start(ground: &Ground, sabotage: Sabotage) {
    let mut sim = ground.lock();
    sim.incarnation += 1;
    let incarnation = sim.incarnation;
    sim.judge = Default::default();
    sim.note(format_args!("the daemon starts"));
    let source = Arc::new(Source { ground: ground.clone(), incarnation });
    let client = Arc::new(Client { ground: ground.clone(), incarnation });
    let reconciler = Reconciler::new(
        source,
        Saboteur::wrap(client, sabotage),
        stages::pipeline(ground, incarnation),
        stages::host(sim.profile.internal),
        sim.profile.options(),
    );
    let stop = CancellationToken::new();
    let token = stop.clone();
    let task = tokio::spawn(async move { reconciler.run(token).await });
    sim.daemon = Some(Daemon { abort: task.abort_handle(), stop, stopping: false });
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

/// The daemon is told to stop. It must end within its time.
fn stop(ground: &Ground) {
    let mut sim = ground.lock();
    let Some(daemon) = sim.daemon.as_mut().filter(|daemon| !daemon.stopping) else { return };
    daemon.stopping = true;
    daemon.stop.cancel();
    sim.note(format_args!("the daemon is told to stop"));
    let (incarnation, grace) = (sim.incarnation, sim.profile.grace + Duration::from_millis(1));
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
        let change = match turn {
            true => self.world.turn(&mut self.rng),
            false => self.world.change(&mut self.rng),
        };
        if let Some((id, what)) = change {
            self.note(format_args!("{} {what}", id.short()));
            self.announce(&id);
        }
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
        let grace = ground.lock().profile.grace + Duration::from_secs(1);
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
