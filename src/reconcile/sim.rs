//! A deterministic simulation of the whole loop on simulated time.
//!
//! One seed makes one world: containers that come, change, share networks and go, a
//! Docker and an agent with faults, other writers, a second daemon, and a daemon that is killed
//! and started again, perhaps under another name of the host. After some time the faults cease, and the catalog must become what
//! the running containers offer. Each write is judged when it is sent. The same
//! seed gives the same run to the letter:
//!
//! ```text
//! make sim SEEDS=100000     many seeds
//! make sim SEED=17          one seed, with everything that happened
//! PLAIN=1 make sim SEED=17  the same world, with nothing chosen by the operator
//! ```

mod agent;
mod judge;
mod oracle;
mod peer;
mod probe;
mod profile;
mod run;
mod saboteur;
mod source;
mod stages;
mod world;

use std::{
    collections::VecDeque,
    env, fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{docker::Event, model::host::Host};

use agent::{Agent, Write};
use judge::Judge;
use profile::{Choices, Profile};
use run::{Daemon, run, run_plain, run_with};
use saboteur::Sabotage;
pub(super) use saboteur::{believes_any_death, believes_any_list, removes_what_is_foreign, spoil};
use source::Stream;
use world::World;

/// Everything there is in a run.
struct Sim {
    ground: Weak<Mutex<Sim>>,
    rng: fastrand::Rng,
    profile: Profile,
    /// No fault happens any more.
    quiet: bool,
    start: Instant,
    trace: Vec<String>,
    violation: Option<String>,
    world: World,
    /// Which of two container engines answers, and what the other one has.
    engine: u8,
    other_world: World,
    agent: Agent,
    /// The host's name.
    host: &'static str,
    judge: Judge,
    daemon: Option<Daemon>,
    /// Counts the lives of the daemon.
    incarnation: u32,
    streams: Vec<Stream>,
    /// Streams that are open and on which nothing comes.
    silent: Vec<Stream>,
    /// How many events there have been, and the last of them.
    events: u64,
    happened: VecDeque<Event>,
    /// Something happened that nobody told the daemon.
    needs_resync: bool,
    /// Which rules the pipeline has.
    rules: u8,
    /// The writes of daemons since the last forecast, and how many forecasts were compared.
    written: Vec<Write>,
    forecasts: u32,
}

/// The run, shared by all who take part in it.
#[derive(Clone)]
struct Ground(Arc<Mutex<Sim>>);

impl Ground {
    fn new(seed: u64, choices: Choices) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let profile = Profile::draw(&mut rng).choosing(choices);
        let agent = Agent::inherited(&mut rng);
        let trace = vec![format!("seed {seed}: {profile:?}")];
        let needs_resync = profile.cleanup;
        let world = World::new(profile.choices.sharing);
        let other_world = World::new(profile.choices.sharing);
        Self(Arc::new_cyclic(|ground| {
            Mutex::new(Sim {
                ground: ground.clone(),
                rng,
                profile,
                quiet: false,
                start: Instant::now(),
                trace,
                violation: None,
                world,
                engine: 0,
                other_world,
                agent,
                host: world::HOSTS[0],
                judge: Judge::default(),
                daemon: None,
                incarnation: 0,
                streams: Vec::new(),
                events: 0,
                silent: Vec::new(),
                happened: VecDeque::new(),
                needs_resync,
                rules: 0,
                written: Vec::new(),
                forecasts: 0,
            })
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Sim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One way of a message between the daemon and somebody else. A daemon that
    /// is dead by then gets no further.
    async fn travel(&self, incarnation: u32) {
        let latency = self.lock().latency();
        sleep(latency).await;
        let alive = self.lock().is_alive(incarnation);
        if !alive {
            std::future::pending().await
        }
    }
}

impl Sim {
    fn ground(&self) -> Ground {
        Ground(self.ground.upgrade().expect("whoever calls holds it"))
    }

    /// The host as the pipeline is shown it.
    fn shown_host(&self) -> Host {
        stages::host(self.host, self.profile.internal)
    }

    fn is_alive(&self, incarnation: u32) -> bool {
        self.daemon.is_some() && self.incarnation == incarnation
    }

    /// Whether a fault of this likelihood happens now.
    fn fault(&mut self, likely: f64) -> bool {
        !self.quiet && likely > 0.0 && self.rng.f64() < likely
    }

    /// A few milliseconds; at times seconds.
    fn latency(&mut self) -> Duration {
        let slow = self.profile.faults.slow;
        if self.fault(slow) { Duration::from_millis(self.rng.u64(..15_000)) } else { self.blink() }
    }

    fn blink(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(..8))
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        let at = self.start.elapsed().as_millis();
        self.trace.push(format!("{at:>8} [{}] {what}", self.incarnation));
    }

    fn violate(&mut self, what: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION: {what}"));
        self.violation.get_or_insert_with(|| what.to_string());
    }
}

/// The seeds to run: `SEED` and, from it or 0 on, `SEEDS`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| {
        env::var(name).ok().filter(|text| !text.is_empty()).map(|text| {
            text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}"))
        })
    };
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), None) => seed..seed + 1,
        (seed, seeds) => {
            let first = seed.unwrap_or_default();
            first..first + seeds.unwrap_or(default)
        }
    }
}

/// The seeds of which the runs go wrong, in two threads.
fn violations(seeds: std::ops::Range<u64>, sabotage: Sabotage) -> Vec<(u64, String)> {
    let half = |odd: u64| {
        let seeds = seeds.clone().filter(move |seed| seed % 2 == odd);
        move || -> Vec<_> {
            seeds.filter_map(|seed| Some((seed, run(seed, sabotage).violation?))).collect()
        }
    };
    let mut found = std::thread::scope(|scope| {
        let halves = [scope.spawn(half(0)), scope.spawn(half(1))];
        halves.map(|half| half.join().expect("a run does not panic")).concat()
    });
    found.sort();
    found
}

#[test]
fn every_seed_ends_well() {
    let seeds = seeds(2000);
    let verbose = seeds.end - seeds.start == 1;
    let found = violations(seeds.clone(), Sabotage::None);
    if let Some(seed) = found.first().map(|(seed, _)| *seed).or(verbose.then_some(seeds.start)) {
        println!("{}", run(seed, Sabotage::None).trace.join("\n"));
    }
    for (seed, violation) in found.iter().take(40) {
        println!("seed {seed}: {violation:.200}");
    }
    println!("{} of the seeds {seeds:?} went wrong", found.len());
    assert!(found.is_empty(), "replay with make sim SEED={}", found[0].0);
}

/// Each of these seeds has shown a fault: a clean-up that took the daemon's own for
/// what registrator left, or that one failing container held up; a plan that was
/// carried out although a read had shown meanwhile that the ID was foreign; a
/// service that went before the one that was to take its place, by the hand of a
/// container that had once wanted its ID.
#[test]
fn seeds_that_went_wrong_once_end_well() {
    for seed in [
        1199, 2437, 3497, 3603, 4501, 4936, 6825, 7861, 10889, 11154, 11575, 13796, 14848, 15989,
        17800, 18558, 20402, 21761, 31587, 32599, 33256, 35450, 36144, 43293, 47236, 48306, 49621,
        51145, 10668, 20488, 21033, 47912, 56755, 64334, 71864, 73899, 76394, 86130, 87860,
    ] {
        let violation = run_plain(seed).violation;
        assert_eq!(violation, None, "seed {seed}");
    }
}

/// The same, of worlds with all that an operator may choose: what a read showed counts
/// before it is known whether the rest is gone; a write that is answered after the agent
/// has lost everything; an ID that two containers may have; a container that has failed
/// and stays in the way of others with what it never got; what is held or drained and
/// then lost, renamed, or left in maintenance; an engine that changes while it is asked
/// who it is.
#[test]
fn seeds_with_choices_that_went_wrong_once_end_well() {
    for seed in [
        534, 702, 1053, 1135, 1387, 1563, 2207, 3018, 4486, 5347, 6910, 7633, 8262, 8497, 9808,
        10432, 10482, 10626, 11097, 12185, 13246, 14104, 15332, 16558, 16679, 16871, 19118, 19336,
        22055, 22218, 23952, 24759, 28950, 30206, 30308, 34511, 35500, 51439, 53171, 58204, 69334,
        70100, 75067, 80783, 82206, 83664, 84459, 85120, 87250, 88625, 100764, 103347, 136949,
        143164, 158529, 165049, 180940, 25185, 48789, 63133, 67543, 78229, 81795, 88081, 92207,
        99186, 152116, 167072,
    ] {
        let choices = Choices::draw(seed).of_old();
        let violation = run_with(seed, Sabotage::None, choices).violation;
        assert_eq!(violation, None, "seed {seed}");
    }
}

/// The same, where containers share networks: by way of one that does not run, of which
/// the others were not told.
#[test]
fn seeds_with_shared_networks_that_went_wrong_once_end_well() {
    for seed in [601, 1599, 5434, 11062, 15607] {
        let choices = Choices::draw(seed).before_deaths();
        let violation = run_with(seed, Sabotage::None, choices).violation;
        assert_eq!(violation, None, "seed {seed}");
    }
}

/// The same, where two containers that wait for the guard want the IDs of each other: they were
/// looked at in turn, and no time passed any more. And where a pipeline comes while a resync
/// names only what has changed: nothing else was ever judged by it. And where what becomes of a
/// container depended on whether those were looked at before it that it leaves something to.
#[test]
fn seeds_with_lists_that_went_wrong_once_end_well() {
    for seed in [33243, 33271, 56820, 7060, 56162, 70540, 82180, 98169] {
        let choices = Choices::draw(seed).before_neighbours();
        let violation = run_with(seed, Sabotage::None, choices).violation;
        assert_eq!(violation, None, "seed {seed}");
    }
}

/// The same, where the host has another name at a start: a removal under the former one, of which no
/// answer came, was taken for a second daemon's word; a service kept a former name for good, since
/// another host's had the ID under which that was to stay (74159). In the others the judge was wrong: it took services
/// for this daemon's, or maintenance for held (99772).
#[test]
fn seeds_with_other_names_that_went_wrong_once_end_well() {
    for seed in
        [640, 1004, 2255, 4376, 7334, 17867, 20842, 28537, 31353, 31372, 36524, 74159, 80303, 99772]
    {
        let violation = run(seed, Sabotage::None).violation;
        assert_eq!(violation, None, "seed {seed}");
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..100 {
        let (one, other) = (run(seed, Sabotage::None), run(seed, Sabotage::None));
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}

/// A broken loop is found out, and for what is broken.
#[test]
fn sabotage_is_found_out() {
    for (sabotage, words) in [
        (Sabotage::OldBeforeNew, "goes before"),
        (Sabotage::Omits, "is missing"),
        (Sabotage::Keeps, "is too much"),
        (Sabotage::Neighbour, "is offered and is deregistered"),
        (Sabotage::Prefix, "is foreign and is written to"),
        (Sabotage::Rewrites, "writes although nothing happened"),
        (Sabotage::KeepsChecks, "not one of"),
        (Sabotage::KeepsMaintenance, "is in maintenance"),
        (Sabotage::PlansRemovalsFirst, "goes before"),
        (Sabotage::PlansForeignRemovals, "is foreign and is written to"),
        (Sabotage::ForecastsUnguarded, "foreseen"),
        (Sabotage::BelievesAnyDeath, "is offered and is deregistered"),
        (Sabotage::BelievesAnyList, "in the end"),
    ] {
        let told = |seed| run(seed, sabotage).violation.is_some_and(|what| what.contains(words));
        let seed = (0..300).find(|seed| told(*seed));
        assert!(seed.is_some(), "{sabotage:?} is not found out");
    }
}
