//! Stages that are linked into the daemon: the same source that is built as a
//! component, called natively.

use wharfinger_plugin::{Stage as _, native};
use wharfinger_registrator::Registrator;

use super::{Called, Message, Stage, StageError};
use crate::{container::Container, host::Host, service::Service};

crate::contract::adapter!(contract, wharfinger_plugin);

/// A stage that is linked into the daemon.
#[derive(Debug)]
pub struct Builtin {
    name: String,
    settings: String,
}

/// There is no built-in stage of this name, or its settings are not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownBuiltin {
    /// There is no such stage.
    #[error("there is no built-in stage {0:?}; there is \"registrator\"")]
    Name(String),
    /// The settings are not valid.
    #[error("settings: {}", .0.join("; "))]
    Settings(Vec<String>),
}

impl Builtin {
    /// The built-in stage `builtin` under the name `name`, with settings in
    /// JSON.
    ///
    /// # Errors
    ///
    /// There is no such stage, or the settings are not valid.
    pub fn new(name: &str, builtin: &str, settings: &str) -> Result<Self, UnknownBuiltin> {
        if builtin != Registrator::describe().name {
            return Err(UnknownBuiltin::Name(builtin.to_string()));
        }
        native::validate_settings::<Registrator>(settings).map_err(UnknownBuiltin::Settings)?;
        Ok(Self { name: name.to_string(), settings: settings.to_string() })
    }
}

#[async_trait::async_trait]
impl Stage for Builtin {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_builtin(&self) -> bool {
        true
    }

    async fn process(&self, container: &Container, host: &Host, services: &[Service]) -> Called {
        let called = native::process::<Registrator>(
            &self.settings,
            &contract::container(container, |_| true),
            &contract::host(host),
            services.iter().map(contract::service).collect(),
        );
        Called {
            result: called.result.map(contract::decision).map_err(StageError::Guest),
            messages: called
                .messages
                .into_iter()
                .map(|(level, text)| Message { level: contract::level(level), text })
                .collect(),
        }
    }
}
