//! From the component's exports to [`Stage`].

use std::marker::PhantomData;

use crate::{Container, Description, HostFacts, Outcome, Service, Stage, native};

#[allow(missing_docs, unreachable_pub)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v0.2.0",
        world: "stage-component",
        pub_export_macro: true,
        export_macro_name: "export_stage_component",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        // Nobody reads one from a file, and flags have no such form.
        additional_derives_ignore: ["description", "facts"],
    });
}

/// The component that exports the stage `S`.
pub struct Component<S>(PhantomData<S>);

impl<S: Stage> bindings::exports::wharfinger::pipeline::stage::Guest for Component<S> {
    fn describe() -> Description {
        crate::logging::install_panic_hook();
        native::describe::<S>()
    }

    fn validate_settings(settings: String) -> Result<(), Vec<String>> {
        crate::logging::install_panic_hook();
        native::validate_settings::<S>(&settings)
    }

    fn process(
        settings: String,
        container: Container,
        host: HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        crate::logging::install_panic_hook();
        native::call::<S>(&settings, &container, &host, services)
    }
}
