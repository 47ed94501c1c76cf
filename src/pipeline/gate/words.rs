//! The sentences on values that did not pass: the key that the container wrote, the
//! value, the rule, and what becomes of it.

use super::super::validate;
use crate::model::{container::Container, service::Service};

/// Sentences about one container; the others are counted. A container can have
/// thousands of faults.
const MOST: usize = 20;

/// Sentences about one container.
#[derive(Debug, Default)]
pub(super) struct Words {
    said: Vec<String>,
    more: usize,
}

/// The service that a sentence is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    container: &'a Container,
    port: Option<u16>,
}

impl<'a> Place<'a> {
    pub(super) fn of(container: &'a Container, service: &Service) -> Self {
        Self { container, port: service.origin.as_ref().map(|origin| origin.container_port) }
    }

    /// The service by its port.
    pub(super) fn port(&self) -> String {
        self.port.map_or_else(|| "without a port".into(), |port| format!("on port {port}"))
    }

    /// The key that the container wrote for this field, the port's own one first; the
    /// field's name if there is none.
    fn key(&self, field: &str) -> String {
        let env = self.container.env.iter().map(|(key, _)| key);
        let of_port = |key: &&String| match names(key, field)? {
            "" => Some(false),
            port => match port.parse::<u16>() {
                Ok(port) => (Some(port) == self.port).then_some(true),
                Err(_) => Some(true),
            },
        };
        let found = self.container.labels.keys().chain(env);
        let found = found.filter_map(|key| Some((of_port(&key)?, key)));
        let best = found.reduce(|best, other| if other.0 && !best.0 { other } else { best });
        best.map_or_else(|| field.to_lowercase(), |(_, key)| key.clone())
    }
}

/// The port, ports or nothing that a key names, if it is one for this field.
fn names<'a>(key: &'a str, field: &str) -> Option<&'a str> {
    let rest = key.strip_prefix("SERVICE_")?;
    let (port, rest) = match rest.split_once('_') {
        Some((port, rest)) if port.starts_with(|c: char| c.is_ascii_digit()) => (port, rest),
        _ => ("", rest),
    };
    let upper = rest.to_uppercase();
    let name = ["UDP_", "TCP_"].iter().find_map(|prefix| upper.strip_prefix(prefix));
    let name = name.unwrap_or(&upper);
    let is = name.eq_ignore_ascii_case(field) || field == "CHECKS" && name.starts_with("CHECK_");
    is.then_some(port)
}

impl Words {
    /// Say that a value of a field breaks a rule. An empty value stands in the rule's
    /// own words, if anywhere.
    pub(super) fn say(
        &mut self,
        place: &Place<'_>,
        field: &str,
        value: &str,
        fault: &str,
        end: &str,
    ) {
        if self.said.len() >= MOST {
            self.more += 1;
            return;
        }
        let key = place.key(field);
        let value = match value {
            "" => String::new(),
            value => format!(" {:?}", validate::shown(value)),
        };
        let (key, fault, end) = (shown(&key), shown(fault), shown(end));
        self.said.push(format!("{key}{value} of the service {}: {fault}; {end}", place.port()));
    }

    /// Whether there is no fault; otherwise say it.
    pub(super) fn unless(
        &mut self,
        fault: validate::Fault,
        place: &Place<'_>,
        field: &str,
        value: &str,
        end: &str,
    ) -> bool {
        match fault {
            Ok(()) => true,
            Err(fault) => {
                self.say(place, field, value, &fault, end);
                false
            }
        }
    }

    /// All sentences.
    pub(super) fn said(mut self) -> Vec<String> {
        if self.more > 0 {
            self.said.push(format!("{} more values break a rule", self.more));
        }
        self.said
    }
}

/// A text of ours in which a stranger's may stand, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match validate::deceives(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}
