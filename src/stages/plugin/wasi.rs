//! WASI that gives nothing away and touches nothing, for components whose
//! toolchain imports it without need: no environment, arguments, files or
//! network, clocks that stand still and random numbers that are the same in each
//! call. Lines on the standard output and error are messages of the stage. So a
//! stage stays a pure function, unless its operator grants it the real clocks or
//! random numbers.

use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, random::Deterministic,
};

use crate::stages::plugin::{
    allowance::Allowance,
    http::Sender,
    said::{Output, Stream, Voice},
};

/// Resources, such as streams, that a guest may hold of the host at once.
const MAX_RESOURCES: usize = 1000;
/// Random bytes that a guest gets at once; the host holds them for it.
const MAX_RANDOM: u64 = 64 * 1024;

/// WASI's state of one call.
pub(super) struct System {
    pub(super) ctx: WasiCtx,
    pub(super) table: ResourceTable,
    /// There if the component imports HTTP and is granted it.
    pub(super) sender: Option<Sender>,
}

impl System {
    pub(super) fn new(allowance: &Allowance, voice: &Voice) -> Self {
        let seed = || Deterministic::new(b"wharfinger".to_vec());
        let mut builder = WasiCtxBuilder::new();
        builder.max_random_size(MAX_RANDOM).allow_tcp(false).allow_udp(false);
        let output = |stream| Output { voice: voice.clone(), stream };
        builder.stdout(output(Stream::Out)).stderr(output(Stream::Err));
        // The builder's own clocks and random numbers are the real ones.
        if !allowance.grants.clock {
            builder.wall_clock(Still).monotonic_clock(Still);
        }
        if !allowance.grants.random {
            builder.secure_random(seed()).insecure_random(seed()).insecure_random_seed(0);
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let sender = allowance.http.clone().map(|client| Sender::new(allowance, client));
        Self { ctx: builder.build(), table, sender }
    }
}

/// A clock that stands still.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    /// Not zero, which the runtime of Go takes for a clock that is broken.
    fn now(&self) -> u64 {
        1
    }
}
