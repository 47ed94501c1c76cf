//! The subject of an event of Docker's: a container, and what happened to it.

use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};

use super::{Event, EventKind, Moment, podman};
use crate::model::container::ContainerId;

/// The container that an event is about. Only the action and the actor are
/// read: newer Docker daemons send nothing else.
pub(super) fn concerned(event: EventMessage) -> Option<Event> {
    let at = event.time_nano.and_then(|time| u64::try_from(time).ok());
    let at = at.map(|time| Moment(Duration::from_nanos(time)));
    let actor = event.actor?;
    let attribute = |name| actor.attributes.as_ref()?.get(name).cloned();
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => {
            // What is run inside a container changes nothing about it; neither
            // does what Podman notes down when it has looked at it.
            let inside =
                ["exec", "top", "attach", "resize", "copy", "export", "archive-path", "sync"];
            let action = event.action?;
            if inside.iter().any(|prefix| action.starts_with(prefix)) {
                return None;
            }
            let number = |name| attribute(name).and_then(|number: String| number.parse().ok());
            let kind = match &*action {
                "start" => Some(EventKind::Start),
                "kill" => number("signal").map(EventKind::Signal),
                // The second of the words and of the attributes is Podman's.
                "die" | "died" => number("exitCode")
                    .or_else(|| number("containerExitCode"))
                    .map(|exit_code| EventKind::Death { exit_code }),
                _ => None,
            };
            let kind = kind.unwrap_or(EventKind::Change);
            Some(Event { container: ContainerId(actor.id?.into()), kind, at })
        }
        EventMessageTypeEnum::NETWORK => {
            let podmans = || {
                let attributes = actor.attributes.as_ref()?;
                actor.id.clone().filter(|_| podman::is_about_container(attributes))
            };
            let container = attribute("container").or_else(podmans)?;
            Some(Event { container: ContainerId(container.into()), kind: EventKind::Change, at })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(event: Value, expected: Option<&str>) {
        let message = serde_json::from_value(event.clone()).expect("an event");
        let container = concerned(message).map(|event| event.container.0);
        assert_eq!(container.as_deref(), expected, "{event}");
    }

    #[test]
    fn an_event_is_about_a_container() {
        let container =
            |action: &str| json!({ "Type": "container", "Action": action, "Actor": { "ID": "c" } });
        for action in ["start", "die", "died", "remove", "health_status: healthy", "rename"] {
            check(container(action), Some("c"));
        }
        for action in ["exec_create: sh", "exec_die", "exec", "exec_died", "top", "sync"] {
            check(container(action), None);
        }
        let network = |attributes: Value| {
            let actor = json!({ "ID": "n", "Attributes": attributes });
            json!({ "Type": "network", "Action": "connect", "Actor": actor })
        };
        check(network(json!({ "container": "c", "name": "shop", "type": "bridge" })), Some("c"));
        check(network(json!({ "name": "shop", "type": "bridge" })), None);
        // Podman's: the actor is the container, of which the name is.
        check(network(json!({ "containerExitCode": "0", "name": "web", "podId": "" })), Some("n"));
        check(json!({ "Type": "image", "Action": "pull", "Actor": { "ID": "i" } }), None);
    }

    #[test]
    fn signals_and_deaths_are_told_apart_from_the_rest() {
        let kind = |action: &str, attributes: Value| {
            let actor = json!({ "ID": "c", "Attributes": attributes });
            let event = json!({ "Type": "container", "Action": action, "Actor": actor });
            let message = serde_json::from_value(event).expect("an event");
            concerned(message).expect("it is about a container").kind
        };
        let death = |exit_code| EventKind::Death { exit_code };
        for (action, attributes, expected) in [
            ("kill", json!({ "signal": "15" }), EventKind::Signal(15)),
            ("kill", json!({ "signal": "TERM" }), EventKind::Change),
            ("kill", json!({}), EventKind::Change),
            ("die", json!({ "exitCode": "0" }), death(0)),
            ("die", json!({ "exitCode": "137", "signal": "9" }), death(137)),
            ("died", json!({ "containerExitCode": "3" }), death(3)),
            ("die", json!({ "containerExitCode": "3" }), death(3)),
            // Without the code it is not known what becomes of its services.
            ("die", json!({}), EventKind::Change),
            ("die", json!({ "exitCode": "none" }), EventKind::Change),
            ("stop", json!({ "exitCode": "0" }), EventKind::Change),
            ("destroy", json!({ "exitCode": "0" }), EventKind::Change),
            ("start", json!({ "signal": "15", "exitCode": "0" }), EventKind::Start),
            ("restart", json!({ "exitCode": "0" }), EventKind::Change),
        ] {
            assert_eq!(kind(action, attributes.clone()), expected, "{action} {attributes}");
        }
    }
}
