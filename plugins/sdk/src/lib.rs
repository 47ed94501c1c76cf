//! Write a stage of Wharfinger's pipeline in Rust.
//!
//! A stage implements [`Stage`] and is exported by one line:
//!
//! ```
//! use wharfinger_plugin::{Container, Description, HostFacts, Outcome, Service, Stage, Verdict};
//!
//! struct Datacenter;
//!
//! impl Stage for Datacenter {
//!     type Settings = serde_json::Value;
//!
//!     fn describe() -> Description {
//!         Description::new("datacenter", "0.1.0", "Tags every service with the datacenter.")
//!     }
//!
//!     fn process(
//!         _settings: &Self::Settings,
//!         _container: &Container,
//!         _host: &HostFacts,
//!         services: Vec<Service>,
//!     ) -> Result<Outcome, String> {
//!         Ok(Outcome::each(services, |mut service| {
//!             service.tags.push("dc1".into());
//!             Verdict::Replace(service)
//!         }))
//!     }
//! }
//!
//! wharfinger_plugin::export!(Datacenter);
//! # fn main() {}
//! ```
//!
//! Compiled for `wasm32-unknown-unknown` or `wasm32-wasip2` as a `cdylib`, the
//! crate is a component that the daemon loads. Compiled for the host it is an
//! ordinary library: [`native`] calls the stage as the daemon would, which is
//! how stages are tested and how the built-in stage is linked.
//!
//! The types are those of the contract, `wharfinger:pipeline`; what their
//! fields mean is said there once.

mod glue;
pub mod logging;
pub mod native;
mod types;

pub use types::*;

/// A stage of the pipeline: a pure function from a container and the services
/// that are proposed for it to a verdict on each of them.
pub trait Stage {
    /// What the operator can set. Unknown keys should be refused
    /// (`#[serde(deny_unknown_fields)]`), so that a misspelt key is seen at
    /// start and not when it would have mattered.
    type Settings: serde::de::DeserializeOwned;

    /// What the stage says of itself.
    fn describe() -> Description;

    /// Faults of settings that parse but make no sense, one line of text each.
    fn validate(settings: &Self::Settings) -> Vec<String> {
        let _ = settings;
        Vec::new()
    }

    /// Decide on the services that are proposed for `container`.
    ///
    /// # Errors
    ///
    /// The stage could not decide. The daemon keeps the registrations that the
    /// container has and asks again later. A service that must not be
    /// registered is not an error but [`Verdict::Veto`].
    fn process(
        settings: &Self::Settings,
        container: &Container,
        host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String>;
}

#[doc(hidden)]
pub mod export {
    pub use crate::glue::{Component, bindings};
}

/// Export a type that implements [`Stage`] as the component's stage. On the
/// host, where there is no component, it does nothing.
#[macro_export]
macro_rules! export {
    ($stage:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::export::Component<$stage>;
            $crate::export::bindings::export_stage_component!(
                Exported with_types_in $crate::export::bindings
            );
        };
    };
}
