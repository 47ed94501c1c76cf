//! Guarantee: whatever fails, the catalog is true again soon after, with no
//! more writes than it takes, and nobody else's service is touched.
//!
//! Each test is a row of the fault matrix: a fault, on a real Docker and a real
//! Consul unless it says what it fakes, and a bound. Writes are counted by a
//! proxy between the daemon and Consul.

mod fake;
mod host;
mod lab;
mod life;
mod names;
mod registry;
mod scale;
mod shared;
mod source;
mod start;
