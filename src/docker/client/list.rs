//! Reading the list of containers, which is long by nature, piece by piece: only the
//! identifiers are kept, and a digest of what it shows beside them.

use std::{collections::HashMap, net::IpAddr};

use bollard::errors::Error;
use reqwest::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CONTAINER, failed, nonsense, too_large};
use crate::{
    docker::{inspect::address, ports::host_ip},
    model::{
        container::{ContainerId, Health, Protocol, State},
        summary::{Listed, Summary},
    },
};

/// More than a host can run.
const MOST: usize = 100_000;
/// What the whole list may have.
const WHOLE: u64 = 1 << 30;

/// What is read of an element. Nothing but the identifier has to make sense.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Element<'a> {
    id: Option<String>,
    #[serde(borrow)]
    names: Option<&'a RawValue>,
    labels: Option<&'a RawValue>,
    ports: Option<&'a RawValue>,
    state: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    network_settings: Option<&'a RawValue>,
}

/// The containers in a list, with their summaries if they are wanted; an error if any part of it
/// makes no sense, since a list that was read in part would look as if containers had ended.
pub(super) async fn read(mut answer: Response, summaries: bool) -> Result<Vec<Listed>, Error> {
    let (mut list, mut length) = (List { summaries, ..List::default() }, 0);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        length += chunk.len() as u64;
        if length > WHOLE {
            return Err(too_large(WHOLE));
        }
        list.push(&chunk)?;
        // A server that never stops must not keep a thread for itself.
        tokio::task::consume_budget().await;
    }
    list.end()
}

/// A JSON array of which the elements come in pieces.
#[derive(Default)]
struct List {
    summaries: bool,
    place: Place,
    /// What there is of the element.
    element: Vec<u8>,
    /// How many brackets of the element are open.
    depth: usize,
    /// Whether the last byte is part of a text, and whether it begins an escape.
    text: bool,
    escape: bool,
    found: Vec<Listed>,
}

#[derive(Default, PartialEq)]
enum Place {
    #[default]
    Before,
    /// At the beginning, where it may be empty.
    First,
    Within,
    After,
}

impl List {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        chunk.iter().try_for_each(|byte| self.byte(*byte))
    }

    fn byte(&mut self, byte: u8) -> Result<(), Error> {
        match (&self.place, byte) {
            _ if self.text => {
                self.text = self.escape || byte != b'"';
                self.escape = !self.escape && byte == b'\\';
            }
            (Place::Before | Place::First | Place::After, b' ' | b'\t' | b'\r' | b'\n') => {
                return Ok(());
            }
            (Place::Before, b'[') => {
                self.place = Place::First;
                return Ok(());
            }
            (Place::Before | Place::After, _) => return Err(nonsense("it is no list".into())),
            (Place::First, b']') => {
                self.place = Place::After;
                return Ok(());
            }
            (_, b']') if self.depth == 0 => {
                self.place = Place::After;
                return self.take();
            }
            (_, b',') if self.depth == 0 => return self.take(),
            (_, b'[' | b'{') => self.depth += 1,
            // One too many makes the element no JSON.
            (_, b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            (_, b'"') => self.text = true,
            _ => {}
        }
        if self.place == Place::First {
            self.place = Place::Within;
        }
        if self.element.len() as u64 >= CONTAINER {
            return Err(too_large(CONTAINER));
        }
        self.element.push(byte);
        Ok(())
    }

    /// Note the container that the element is about.
    fn take(&mut self) -> Result<(), Error> {
        let found: Element<'_> = super::parse(&self.element)?;
        let id = found.id.as_deref().unwrap_or_default();
        if !is_id(id) {
            return Err(nonsense(format!("no container can be called {id:.100?}")));
        }
        if self.found.len() >= MOST {
            return Err(nonsense(format!("it has more than {MOST} containers")));
        }
        let summary = if self.summaries { found.digest() } else { None };
        let listed = Listed { id: ContainerId(id.into()), summary };
        self.found.push(listed);
        self.element.clear();
        Ok(())
    }

    fn end(self) -> Result<Vec<Listed>, Error> {
        match self.place {
            Place::After => Ok(self.found),
            _ => Err(nonsense("the list has no end".into())),
        }
    }
}

impl Element<'_> {
    /// The digest of the container's summary; none if any of it is not there or not understood.
    fn digest(&self) -> Option<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Port {
            #[serde(rename = "IP", default)]
            ip: String,
            private_port: u16,
            public_port: Option<u16>,
            #[serde(rename = "Type")]
            protocol: Protocol,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Settings {
            networks: HashMap<String, Endpoint>,
        }
        #[derive(Deserialize)]
        struct Endpoint {
            #[serde(rename = "NetworkID", default)]
            network: String,
            #[serde(rename = "IPAddress", default)]
            ipv4: String,
            #[serde(rename = "GlobalIPv6Address", default)]
            ipv6: String,
        }
        fn part<'a, T: Deserialize<'a>>(part: Option<&'a RawValue>) -> Option<T> {
            serde_json::from_str(part?.get()).ok()
        }
        let names: Vec<String> = part(self.names)?;
        // What there are none of may be `null`.
        let labels: HashMap<String, String> =
            self.labels.map_or(Some(HashMap::new()), |_| part(self.labels))?;
        // Docker lists what a container is called by links, too: `/other/alias`.
        let name = names.iter().filter_map(|name| name.strip_prefix('/'));
        let name = name.filter(|name| !name.contains('/')).next()?;
        let state = match part::<String>(self.state)?.as_str() {
            "running" => State::Running,
            "paused" => State::Paused,
            _ => return None,
        };
        let status: String = part(self.status)?;
        let health = match status.rsplit_once('(').map(|(_, health)| health) {
            Some("healthy)") => Health::Healthy,
            Some("unhealthy)") => Health::Unhealthy,
            Some("health: starting)") => Health::Starting,
            _ => Health::None,
        };
        let ports: Vec<Port> = self.ports.map_or(Some(Vec::new()), |_| part(self.ports))?;
        let ports: Vec<_> = ports.iter().map(|port| (port, host_ip(&port.ip))).collect();
        let published = ports.iter().filter_map(|(port, ip)| {
            Some((port.private_port, port.protocol, ip.as_str(), port.public_port?))
        });
        let Settings { networks } = part(self.network_settings)?;
        let networks: Vec<_> = networks
            .iter()
            .map(|(name, endpoint)| {
                let ipv4 = address(Some(&endpoint.ipv4), IpAddr::is_ipv4);
                (name, &endpoint.network, ipv4, address(Some(&endpoint.ipv6), IpAddr::is_ipv6))
            })
            .collect();
        let networks = networks.iter().map(|(name, id, ipv4, ipv6)| {
            (name.as_str(), (id.as_str(), ipv4.as_deref(), ipv6.as_deref()))
        });
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let summary = Summary {
            name,
            labels: labels.collect(),
            state,
            health,
            published: published.collect(),
            networks: networks.collect(),
        };
        Some(summary.digest())
    }
}

/// Whether a text can be a container's identifier: nothing that would mean something in
/// a path or a message.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=128).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str, step: usize) -> Result<Vec<String>, Error> {
        let mut list = List::default();
        text.as_bytes().chunks(step).try_for_each(|chunk| list.push(chunk))?;
        Ok(list.end()?.into_iter().map(|listed| listed.id.0).collect())
    }

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        for (text, expected) in [
            ("[]", Some(vec![])),
            (" [ ] \n", Some(vec![])),
            (r#"[{"Id":"a"}]"#, Some(vec!["a"])),
            (
                r#" [ {"Id":"a","Names":["/],[{\"\\"],"x":{"y":[1,{}]}} , {"Id":"b"} ] "#,
                Some(vec!["a", "b"]),
            ),
            ("", None),
            ("null", None),
            ("{}", None),
            ("[", None),
            (r#"[{"Id":"a"}"#, None),
            (r#"[{"Id":"a"},]"#, None),
            (r#"[,{"Id":"a"}]"#, None),
            (r#"[{"Id":"a"}] x"#, None),
            (r#"[{"Id":"a"}{"Id":"b"}]"#, None),
            (r#"[{"Id":"a"}}]"#, None),
            (r#"[{"Id":null}]"#, None),
            (r#"[{"Names":[]}]"#, None),
            (r#"[{"Id":""}]"#, None),
            (r#"[{"Id":"../x"}]"#, None),
            (r#"[{"Id":"a\nb"}]"#, None),
            (r#"[{"Id":".."}]"#, None),
            (r#"["a"]"#, None),
        ] {
            for step in [1, 3, 1000] {
                let read = ids(text, step).ok();
                assert_eq!(
                    read.as_ref().map(|ids| ids.iter().map(String::as_str).collect()),
                    expected,
                    "{text} by {step}"
                );
            }
        }
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let most = usize::try_from(CONTAINER).expect("a size");
        let text = format!("[\"{}", "a".repeat(most));
        assert!(ids(&text, 4096).is_err_and(|error| super::super::is_too_large(&error)));
        let text = format!("[{}", "[".repeat(most + 1));
        assert!(ids(&text, 4096).is_err_and(|error| super::super::is_too_large(&error)));
        let text = format!("[{}", r#"{"Id":"a"},"#.repeat(MOST + 1));
        let fault = ids(&text, 4096).expect_err("too many").to_string();
        assert_eq!(fault, "it has more than 100000 containers");
    }
}
