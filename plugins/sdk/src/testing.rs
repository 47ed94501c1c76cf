//! Tests of a stage that read well, under `cargo test` on the host.
//!
//! ```
//! use wharfinger_plugin::testing::{container, services};
//!
//! let web = container("web-1").image("shop/web:1.2").label("team", "shop").publish(8080, 80);
//! let proposed = services(&web);
//! assert_eq!((proposed[0].name.as_str(), proposed[0].port), ("web", 8080));
//! ```
//!
//! [`run`] calls a stage as the daemon would, settings in JSON and all, and
//! what comes of it can be asked in a word: [`Answer::names`],
//! [`Answer::reasons`]. [`laws`] holds a stage to what every stage should
//! keep, over a few hundred containers of all kinds.

mod answer;
mod builders;
mod laws;
mod samples;

pub use answer::{Answer, answer, faults, run};
pub use builders::{
    ContainerBuilder, HostBuilder, check, container, host, origin, service, services, tagged,
};
pub use laws::laws;
pub use samples::{Sample, samples};
