//! The profile of a run, which the seed decides before the first step: how the loop
//! is run, and which faults there are. Each run has only some of them, so that one
//! fault does not hide what another would show.

use std::time::Duration;

use crate::reconcile::{
    Deregister, DrainBy, GuardLimits, Healthcheck, Lifecycle, OnExit, Options, Rename,
};

/// The set-up of a run.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) provenance: bool,
    pub(super) on_success: bool,
    pub(super) resync: Option<Duration>,
    pub(super) cleanup: bool,
    pub(super) internal: bool,
    pub(super) concurrency: usize,
    pub(super) grace: Duration,
    pub(super) steps: usize,
    pub(super) faults: Faults,
    pub(super) choices: Choices,
}

/// The operator's choices beyond the ordinary.
#[derive(Debug, Clone, Default)]
pub(super) struct Choices {
    /// The share and the least number of the bulk guard; it lets all through if none.
    pub(super) guard: Option<(u8, usize)>,
    pub(super) healthcheck: Healthcheck,
    pub(super) rename: Rename,
    /// How likely it is at each step that the pipeline is replaced.
    pub(super) replacement: f64,
    pub(super) drain: Option<(Duration, DrainBy)>,
    pub(super) on_exit: OnExit,
    /// How likely it is at each step that the source is another engine.
    pub(super) other_engine: f64,
    /// Docker shows the ports of a container only some time after its start.
    pub(super) late_ports: bool,
    /// Containers share the networks of others.
    pub(super) sharing: bool,
    /// How likely it is at each step that the agent takes out one service by itself.
    pub(super) reaping: f64,
    /// Docker's events tell of deaths what they are.
    pub(super) deaths: bool,
    /// Docker's lists show what there is to see of a container.
    pub(super) summaries: bool,
    /// How likely it is at each start of the daemon that this host has another name.
    pub(super) other_name: f64,
    /// A second daemon serves another engine under this host's name.
    pub(super) peer: bool,
}

impl Choices {
    /// The same worlds without what was added to them since they were first drawn.
    pub(super) fn of_old(self) -> Self {
        Self { sharing: false, reaping: 0.0, ..self.before_deaths() }
    }

    /// The same worlds without what was added to them before the last time.
    pub(super) fn before_deaths(self) -> Self {
        Self { deaths: false, summaries: false, ..self.before_neighbours() }
    }

    /// The same worlds without what was added to them last.
    pub(super) fn before_neighbours(self) -> Self {
        Self { other_name: 0.0, peer: false, ..self }
    }

    /// Drawn by lot of their own, so that the worlds that were found without them
    /// stay what they were.
    pub(super) fn draw(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed.rotate_left(32) ^ 0x5eed);
        let healthcheck = match rng.u8(..4) {
            0 => Healthcheck::Gate,
            1 => Healthcheck::Check,
            _ => Healthcheck::Ignore,
        };
        Self {
            guard: rng.bool().then(|| (rng.u8(20..70), rng.usize(1..5))),
            healthcheck,
            rename: match rng.bool() {
                true => Rename::Overlap(Duration::from_secs(rng.u64(2..40))),
                false => Rename::Swap,
            },
            replacement: if rng.bool() { rng.f64() * 0.15 } else { 0.0 },
            drain: rng.bool().then(|| {
                let by = if rng.bool() { DrainBy::Maintenance } else { DrainBy::Deregister };
                (Duration::from_millis(rng.u64(50..20_000)), by)
            }),
            on_exit: match rng.u8(..6) {
                0 => OnExit::Maintenance,
                1 => OnExit::Deregister,
                _ => OnExit::Leave,
            },
            other_engine: if rng.u8(..4) == 0 { rng.f64() * 0.1 } else { 0.0 },
            late_ports: rng.u8(..4) == 0,
            sharing: rng.u8(..3) == 0,
            reaping: if rng.u8(..4) == 0 { rng.f64() * 0.1 } else { 0.0 },
            deaths: rng.u8(..4) > 0,
            summaries: rng.u8(..4) > 0,
            other_name: if rng.u8(..4) == 0 { rng.f64() } else { 0.0 },
            peer: rng.u8(..5) == 0,
        }
    }
}

/// How likely each fault is, at each occasion for it; 0 for never.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// A call takes seconds rather than milliseconds.
    pub(super) slow: f64,
    /// An event comes twice, or late and so perhaps after a younger one.
    pub(super) duplicate: f64,
    pub(super) delay: f64,
    /// The stream of events ends, or stays open and says no more.
    pub(super) disconnect: f64,
    pub(super) silence: f64,
    pub(super) list: f64,
    pub(super) inspect: f64,
    /// The registry cannot be read.
    pub(super) read: f64,
    /// A write is answered with an error and was not carried out; was; is later.
    pub(super) lost: f64,
    pub(super) half: f64,
    pub(super) late: f64,
    /// A write is refused for its content, or for the token.
    pub(super) refused: f64,
    pub(super) forbidden: f64,
    /// The agent loses everything.
    pub(super) amnesia: f64,
    /// Somebody else changes or takes out what this daemon registered.
    pub(super) meddling: f64,
    /// The token can read nothing, which reads as if nothing were there.
    pub(super) blind: f64,
    /// The daemon is killed at some time, or in the middle of a write.
    pub(super) crash: f64,
    pub(super) crash_in_write: f64,
    /// The daemon is told to stop, and started again later.
    pub(super) stop: f64,
    pub(super) stage: f64,
    pub(super) slow_stage: f64,
}

impl Profile {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let provenance = rng.u8(..8) > 0;
        let resync = rng.bool().then(|| Duration::from_secs(rng.u64(5..100)));
        Self {
            provenance,
            on_success: rng.u8(..4) == 0,
            resync,
            cleanup: rng.u8(..4) == 0,
            internal: rng.u8(..4) == 0,
            concurrency: *rng.choice(&[1, 2, 16]).expect("there are some"),
            grace: Duration::from_millis(rng.u64(0..6000)),
            steps: rng.usize(10..70),
            faults: Faults::draw(rng, provenance),
            choices: Choices::default(),
        }
    }

    pub(super) fn choosing(mut self, choices: Choices) -> Self {
        self.choices = choices;
        if !self.provenance {
            // It needs the marks; and without them a daemon knows nothing of what
            // another one has done.
            self.choices.rename = Rename::Swap;
            self.choices.other_engine = 0.0;
            self.choices.other_name = 0.0;
            self.choices.peer = false;
        }
        if self.choices.peer {
            // What it has is held until somebody confirms that its engine is no more, which
            // nobody does while it lives.
            self.choices.guard = None;
            self.choices.other_engine = 0.0;
        }
        self
    }

    /// The longest time from the word to stop to the end.
    pub(super) fn longest_end(&self) -> Duration {
        let leaving = if self.choices.on_exit == OnExit::Leave { 1 } else { 2 };
        self.grace * leaving + Duration::from_millis(1)
    }

    pub(super) fn lifecycle(&self) -> Lifecycle {
        let Choices { healthcheck, rename, drain, on_exit, .. } = self.choices;
        let (drain, drain_by) =
            drain.map_or_else(Default::default, |(drain, by)| (Some(drain), by));
        Lifecycle { healthcheck, rename, drain, drain_by, on_exit, ..Lifecycle::default() }
    }

    pub(super) fn options(&self) -> Options {
        Options {
            deregister: if self.on_success { Deregister::OnSuccess } else { Deregister::Always },
            resync: self.resync,
            cleanup: self.cleanup,
            concurrency: self.concurrency,
            provenance: self.provenance,
            grace: self.grace,
            guard: match self.choices.guard {
                Some((share, least)) => GuardLimits { share, least, ..GuardLimits::default() },
                None => GuardLimits { least: usize::MAX, ..GuardLimits::default() },
            },
            lifecycle: self.lifecycle(),
            ..Options::default()
        }
    }
}

impl Faults {
    fn draw(rng: &mut fastrand::Rng, provenance: bool) -> Self {
        let mut some = |most: f64| if rng.u8(..3) == 0 { rng.f64() * most } else { 0.0 };
        let faults = Self {
            slow: some(0.3),
            duplicate: some(0.5),
            delay: some(0.5),
            disconnect: some(0.1),
            silence: some(0.05),
            list: some(0.5),
            inspect: some(0.5),
            read: some(0.5),
            lost: some(0.4),
            half: some(0.4),
            late: some(0.2),
            refused: some(0.3),
            forbidden: some(0.3),
            amnesia: some(0.05),
            meddling: some(0.2),
            blind: some(0.05),
            crash: some(0.1),
            crash_in_write: some(0.1),
            stop: some(0.1),
            stage: some(0.4),
            slow_stage: some(0.4),
        };
        if provenance {
            return faults;
        }
        // Without marks a daemon knows its own by memory only: what somebody else
        // wrote, or a daemon before it, or what came of a write that it had given
        // up, is not its own any more.
        Self {
            meddling: 0.0,
            crash: 0.0,
            crash_in_write: 0.0,
            stop: 0.0,
            late: 0.0,
            blind: 0.0,
            ..faults
        }
    }
}
