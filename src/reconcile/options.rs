//! The options of the loop.

use std::time::Duration;

use super::{lifecycle::Lifecycle, state::guard::GuardLimits};
use crate::model::{
    container::{Container, State},
    host::{Compat, Host},
};

/// When an exited container's services are deregistered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deregister {
    /// After any exit code.
    #[default]
    Always,
    /// If the process ended with 0 or by a signal; after a failure they stay
    /// until the container is removed or started again.
    OnSuccess,
}

/// The options of the loop.
#[derive(Debug, Clone)]
pub struct Options {
    /// When an exited container's services are deregistered.
    pub deregister: Deregister,
    /// The time between two resyncs; none if there are no regular ones.
    pub resync: Option<Duration>,
    /// How many containers are looked at at once.
    pub concurrency: usize,
    /// Whether what registrator left behind is removed.
    pub cleanup: bool,
    /// Whether services are marked as the daemon's own.
    pub provenance: bool,
    /// How long running work may take to finish after the signal to stop, and
    /// as long again what is then to be done with all services.
    pub grace: Duration,
    /// The time between two looks whether the registry still has what it was
    /// told.
    pub watch: Duration,
    /// How a container's life shows in its services.
    pub lifecycle: Lifecycle,
    /// How much a change may take out at once.
    pub guard: GuardLimits,
    /// How many changes are remembered for those who ask what has happened.
    pub history: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deregister: Deregister::Always,
            resync: None,
            cleanup: false,
            concurrency: 16,
            provenance: true,
            grace: Duration::from_secs(4),
            watch: Duration::from_secs(2),
            lifecycle: Lifecycle::default(),
            guard: GuardLimits::default(),
            history: 1000,
        }
    }
}

/// The rules that decisions depend on beside containers and the registry. They stay as they are
/// for as long as the daemon runs.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) host: Host,
    pub(super) deregister: Deregister,
    pub(super) lifecycle: Lifecycle,
    /// Whether what registrator left behind is removed.
    pub(super) cleanup: bool,
}

impl Rules {
    /// The rules of a daemon on this host.
    pub(super) fn new(host: Host, options: &Options) -> Self {
        Self {
            host,
            deregister: options.deregister,
            lifecycle: options.lifecycle.clone(),
            cleanup: options.cleanup,
        }
    }

    /// The addresses that this host advertises.
    pub(super) fn addresses(&self) -> Vec<&str> {
        let addresses = [&self.host.forced_address, &self.host.resolved_address];
        addresses.into_iter().filter_map(|address| address.as_deref()).collect()
    }

    /// Whether everything is done as registrator does it.
    pub(super) fn is_original(&self) -> bool {
        self.host.compat == Compat::Registrator
    }

    /// Whether an ended container keeps its services by the rule of
    /// `-deregister on-success`. A code above 128 is that of a signal.
    pub(super) fn keeps(&self, container: &Container) -> bool {
        let ended = matches!(container.state, State::Exited | State::Dead);
        let failed = container.exit_code != 0 && container.exit_code & 128 == 0;
        self.deregister == Deregister::OnSuccess && ended && failed
    }
}
