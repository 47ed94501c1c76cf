//! Write a stage of Wharfinger's pipeline in Rust.
//!
//! Most stages are a [`Policy`]: they look at the container and change, or
//! veto, one service after the other. That is a dozen lines:
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use wharfinger_plugin::{Description, Facts, Policy, Service, Veto, description, dns};
//!
//! struct Team;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The label that names the team.
//!     label: String,
//! }
//!
//! impl Policy for Team {
//!     type Settings = Settings;
//!
//!     fn describe() -> Description {
//!         description!("Names services <team>-<app>.")
//!     }
//!
//!     fn apply(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
//!         let team = facts.container.label(&settings.label).ok_or("the container has no team")?;
//!         service.name = dns::prefixed(team, &service.name);
//!         Ok(())
//!     }
//! }
//!
//! wharfinger_plugin::export!(Team);
//!
//! # fn main() {
//! use wharfinger_plugin::testing::{container, run, service};
//!
//! let web = container("web").label("team", "shop");
//! let answer = run::<Team>(r#"{"label": "team"}"#, &web, vec![service("web", 8080)]);
//! assert_eq!(answer.names(), ["shop-web"]);
//! # }
//! ```
//!
//! A stage that adds services, or that looks at all of them together,
//! implements [`Stage`], which every policy is, too.
//!
//! Settings are an ordinary type. What Serde refuses is a fault that the
//! operator sees when the pipeline is loaded; the type's JSON schema, with the
//! comments as descriptions, becomes part of the stage's [`Description`].
//!
//! Compiled for `wasm32-unknown-unknown` or `wasm32-wasip2` as a `cdylib`, the
//! crate is a component that the daemon loads. Compiled for the host it is an
//! ordinary library: [`native`] calls the stage as the daemon would, and
//! [`testing`] makes tests of it that read well.
//!
//! Built for `wasm32-unknown-unknown`, it brings an allocator that suits an instance of one call; the
//! feature `allocator`, which is on by default, leaves room for another one when it is off.
//!
//! The types are those of the contract, `wharfinger:pipeline`; what their
//! fields mean is said there once. What many policies need is here as well:
//! [`dns`], [`tags`], [`image`], [`pattern`], [`ports`], [`template`] and [`duration`].

pub mod dns;
pub mod duration;
mod glue;
#[cfg(any(all(feature = "allocator", target_family = "wasm", target_os = "unknown"), test))]
mod heap;
pub mod image;
pub mod logging;
pub mod native;
pub mod pattern;
mod policy;
pub mod ports;
mod schema;
pub mod tags;
pub mod template;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod types;

pub use policy::{Facts, NoSettings, Policy};
pub use types::*;

/// A stage of the pipeline: a pure function from a container and the services
/// that are proposed for it to a verdict on each of them.
pub trait Stage {
    /// What the operator can set. Unknown keys should be refused
    /// (`#[serde(deny_unknown_fields)]`), so that a misspelt key is seen at
    /// start and not when it would have mattered.
    type Settings: serde::de::DeserializeOwned + schemars::JsonSchema;

    /// What the stage says of itself. Unless it has a schema of its own, the
    /// one of [`Stage::Settings`] is added.
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
    /// registered is not an error but a [`Verdict::veto`].
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

/// A [`Description`] with this summary. Name and version are those of the
/// package, the name without a leading `wharfinger-`. A stage that is to be shown
/// more than a container and its services says so with [`Description::wanting`].
#[macro_export]
macro_rules! description {
    ($summary:expr) => {
        $crate::Description::of_package(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $summary)
    };
}
