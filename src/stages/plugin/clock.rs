//! The clock that interrupts guests. It ticks for as long as calls run, and
//! rests while there are none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

/// The time between two moments at which a guest can be interrupted. It must be
/// much finer than the shortest deadline that a stage can have: at each tick a
/// guest also lets others use its thread, so one that is over its deadline is
/// seen to be when the others had their turns.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call after which the clock rests. To wake it takes a system
/// call, which a call of microseconds should not often have to make.
const IDLE_TICKS: u32 = 200;

/// Ends its thread when it is dropped.
pub(super) struct Clock {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    running: AtomicUsize,
    resting: AtomicBool,
    stopped: AtomicBool,
}

/// Keeps the clock ticking.
pub(super) struct Ticking(Arc<Shared>);

impl Clock {
    /// A clock of this engine.
    ///
    /// # Errors
    ///
    /// Its thread cannot be started.
    pub(super) fn start(engine: wasmtime::Engine) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            running: AtomicUsize::new(0),
            resting: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let seen = shared.clone();
        let handle = thread::Builder::new()
            .name("guest-clock".into())
            .spawn(move || seen.tick(|| engine.increment_epoch()))
            .map_err(|error| format!("cannot start the guests' clock: {error}"))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Tick until the value is dropped.
    pub(super) fn run(&self) -> Ticking {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.resting.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(self.shared.clone())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn tick(&self, mut tick: impl FnMut()) {
        // On a busy machine a late tick is a late deadline. Who may not be more
        // urgent than others is as urgent; this is about the thread only.
        let _ = rustix::process::nice(-10);
        let mut idle = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            idle = if self.running.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.rest();
                idle = 0;
            } else {
                thread::sleep(TICK);
            }
            tick();
        }
    }

    /// Wait for a call. A call that comes before the clock says that it rests
    /// is seen here; one that comes after wakes it.
    fn rest(&self) {
        self.resting.store(true, Ordering::SeqCst);
        while self.resting.load(Ordering::SeqCst)
            && self.running.load(Ordering::SeqCst) == 0
            && !self.stopped.load(Ordering::SeqCst)
        {
            thread::park();
        }
        self.resting.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_rests_while_nothing_runs_and_wakes_for_a_call() {
        let engine = wasmtime::Engine::default();
        let clock = Clock::start(engine).expect("a thread");
        let wait = |what: &str, done: &dyn Fn() -> bool| {
            let began = Instant::now();
            while !done() {
                assert!(began.elapsed() < Duration::from_secs(10), "{what}");
                thread::yield_now();
            }
        };
        let resting = || clock.shared.resting.load(Ordering::SeqCst);
        wait("the clock rests", &resting);
        let ticking = clock.run();
        wait("the clock wakes", &|| !resting());
        assert!(!resting());
        drop(ticking);
        wait("the clock rests again", &resting);
    }
}
