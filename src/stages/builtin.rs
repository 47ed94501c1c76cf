//! Stages that are linked into the daemon: the same source that is built as a
//! component, called natively.

use wharfinger_plugin::{Attribute, Locality, NamedPort, Proxy, native};
use wharfinger_registrator::Registrator;

use crate::{
    model::{
        container::Container,
        host::Host,
        service::{Further, Service, Unseen},
    },
    pipeline::{Called, Level, Message, REGISTRATOR, Stage, StageError},
};

crate::stages::contract::adapter!(
    contract,
    [wharfinger_plugin],
    container { image_facts: super::unwanted, setup: super::unwanted },
    host { agent: super::unwanted, engine: super::unwanted },
    service {
        ports: super::not_its_own,
        locality: super::not_its_own,
        socket_path: super::not_its_own,
        kind: super::not_its_own,
        proxy: super::not_its_own,
        connect_native: super::not_its_own,
        definition: super::not_its_own,
    } by super::nothing_further
);
crate::stages::contract::remarked_decision!(contract, [wharfinger_plugin], with_the_rest);

/// A stage that is linked in wants no facts beyond a container and its services.
fn unwanted<T, U>(_: &T) -> Option<U> {
    None
}

/// The default: fields that only other stages give a service are neither read nor changed.
fn not_its_own<T: Default>(_: &Further) -> T {
    T::default()
}

fn nothing_further(
    _: Vec<NamedPort>,
    _: Option<Locality>,
    _: Option<String>,
    _: String,
    _: Option<Proxy>,
    _: bool,
    _: Vec<Attribute>,
) -> Further {
    Further::default()
}

/// So it stays.
fn with_the_rest(service: Service, unseen: Option<Unseen>) -> Service {
    match unseen {
        Some(unseen) => service.with_unseen(unseen),
        // Too many verdicts, for which the answer is refused as a whole.
        None => service,
    }
}

/// The messages of one call, and the bytes of each: a container can be wrong in many ways,
/// at length.
const MESSAGES: usize = 100;
const TEXT: usize = 1024;

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
        if builtin != REGISTRATOR {
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
        let more = called.messages.len().saturating_sub(MESSAGES);
        let message = |(level, text): (_, String)| {
            let text = match text.get(text.floor_char_boundary(TEXT)..) {
                None | Some("") => text,
                Some(rest) => {
                    format!("{}… ({} bytes more)", &text[..text.len() - rest.len()], rest.len())
                }
            };
            Message { level: contract::level(level), text }
        };
        let mut messages: Vec<_> =
            called.messages.into_iter().take(MESSAGES).map(message).collect();
        if more > 0 {
            let text = format!("{more} more messages are left out");
            messages.push(Message { level: Level::Warn, text });
        }
        let unseen = services.iter().map(Service::unseen).collect();
        let result = called.result.map(|outcome| decision(outcome, unseen));
        Called { result: result.map_err(StageError::Guest), messages }
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::Stage as _;

    use super::*;
    use crate::pipeline::tests::{container, host};

    #[test]
    fn the_stage_gives_itself_the_name_by_which_it_is_known() {
        assert_eq!(Registrator::describe().name, REGISTRATOR);
    }

    #[tokio::test]
    async fn what_a_container_makes_the_stage_say_is_bounded() {
        let mut odd = container();
        odd.labels.extend((0..200).map(|n| (format!("SERVICE_K.{n}"), String::new())));
        odd.labels.insert("SERVICE_CHECK_TTL".into(), "é".repeat(10_000));
        let services =
            crate::pipeline::candidates(&odd, &host(), &Default::default()).expect("it is right");
        let stage = Builtin::new("r", "registrator", "{}").expect("a stage");
        let Called { result, messages } = stage.process(&odd, &host(), &services.services).await;
        assert!(result.is_ok());
        assert_eq!(messages.len(), MESSAGES + 1);
        assert!(messages[MESSAGES].text.ends_with("more messages are left out"));
        assert!(messages.iter().all(|message| message.text.len() < TEXT + 50));
    }
}
