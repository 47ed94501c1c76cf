//! A stage that imports WASI, as what some toolchains make does, and says in a
//! message what it gets from it. With the label `probe=sleep` it sleeps for an
//! hour in a call of the host.

use wharfinger_plugin::{Container, Description, HostFacts, Outcome, Service, Stage, logging};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "probe", generate_all });
}

/// The stage.
pub struct WasiProbe;

wharfinger_plugin::export!(WasiProbe);

impl Stage for WasiProbe {
    type Settings = serde_json::Value;

    fn describe() -> Description {
        Description::new("wasi-probe", env!("CARGO_PKG_VERSION"), "Says what WASI gives it.")
    }

    fn process(
        _settings: &Self::Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        use bindings::wasi::{
            cli::environment::get_environment,
            clocks::{monotonic_clock, wall_clock},
            random::random::get_random_u64,
        };
        if container.label("probe") == Some("sleep") {
            monotonic_clock::subscribe_duration(3600 * 1_000_000_000).block();
        }
        logging::info(format!(
            "variables={} seconds={} random={}",
            get_environment().len(),
            wall_clock::now().seconds,
            get_random_u64()
        ));
        Ok(Outcome::keep_all(services.len()))
    }
}
