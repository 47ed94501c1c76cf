//! What policies of the contract's draft 0.2.0 share, until the SDK is at that version: the types,
//! settings with a schema, and the export.

use std::marker::PhantomData;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;

#[allow(missing_docs, unreachable_pub)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v0.2.0",
        world: "stage-component",
        pub_export_macro: true,
        export_macro_name: "export_stage_component",
    });
}

pub use bindings::{
    exports::wharfinger::pipeline::stage::{Container, Description, HostFacts, Outcome, Service},
    wharfinger::pipeline::{logging, types::*},
};

/// A stage of the draft.
pub trait Stage {
    /// What the operator can set.
    type Settings: DeserializeOwned + JsonSchema;

    /// Its name, its version and a line for people.
    fn about() -> [&'static str; 3];

    /// Faults of settings that parse but make no sense.
    fn validate(settings: &Self::Settings) -> Vec<String>;

    /// Decide.
    ///
    /// # Errors
    ///
    /// It could not decide; the container keeps what it has.
    fn process(
        settings: &Self::Settings,
        container: &Container,
        services: Vec<Service>,
    ) -> Result<Outcome, String>;
}

/// The component that exports the stage `S`.
pub struct Component<S>(PhantomData<S>);

impl<S: Stage> bindings::exports::wharfinger::pipeline::stage::Guest for Component<S> {
    fn describe() -> Description {
        let [name, version, summary] = S::about().map(String::from);
        let schema =
            SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<S::Settings>();
        let settings_schema = Some(schema.as_value().to_string());
        Description { name, version, summary, settings_schema, attributes: Vec::new() }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<String>> {
        let settings = parse::<S>(&settings).map_err(|fault| vec![fault])?;
        match S::validate(&settings) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(faults),
        }
    }

    fn process(
        settings: String,
        container: Container,
        _host: HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        S::process(&parse::<S>(&settings)?, &container, services)
    }
}

fn parse<S: Stage>(settings: &str) -> Result<S::Settings, String> {
    let mut json = serde_json::Deserializer::from_str(settings);
    serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().to_string() {
        path if path == "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    })
}

/// The value of a label.
pub fn label<'a>(container: &'a Container, key: &str) -> Option<&'a str> {
    container.labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
}

/// A verdict that keeps a service, with notes.
pub fn keep(notes: Vec<String>) -> Verdict {
    Verdict { decision: Decision::Keep, notes }
}

/// A verdict that vetoes a service, with a code for figures.
pub fn veto(reason: &str, code: &str) -> Verdict {
    let veto = Veto { reason: reason.into(), code: Some(code.into()) };
    Verdict { decision: Decision::Veto(veto), notes: Vec::new() }
}

/// Export a type that implements [`Stage`] as the component's stage. On the host it does nothing.
#[macro_export]
macro_rules! export {
    ($stage:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::Component<$stage>;
    $crate::bindings::export_stage_component!(Exported with_types_in $crate::bindings);
        };
    };
}
