//! Ports for servers that have to be told one.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

// Below the range from which the kernel takes ports for outgoing connections
// (32768 and up), so that none of those can get in between.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// `n` different ports that nothing listens on, neither TCP nor UDP.
///
/// Another process may still be quicker, hence callers try again when their
/// server cannot bind. Each call gives other ports, and each test process begins
/// elsewhere.
pub fn free<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| {
        (0..COUNT).map(|_| candidate()).find(|&port| is_free(port)).expect("no free port")
    })
}

fn candidate() -> u16 {
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let start = std::process::id().wrapping_mul(7919);
    (FIRST + start.wrapping_add(next) % COUNT) as u16
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok()
}
