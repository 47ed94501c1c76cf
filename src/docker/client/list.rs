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
    entries::{BadList, Bounds, Entries},
    model::{
        container::{ContainerId, Health, Protocol, State},
        summary::{Listed, Summary},
    },
};

/// The bounds of a list: more containers than a host can run.
const BOUNDS: Bounds = Bounds { whole: 1 << 30, one: CONTAINER as usize, entries: 100_000 };

/// The fields that are read of an element. Nothing but the identifier has to make sense.
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

/// The field that is read of an element where nothing else is wanted.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    id: Option<String>,
}

/// The containers in a list, with their summaries if they are wanted; an error if any part of it
/// makes no sense, since a list that was read in part would look as if containers had ended.
pub(super) async fn read(mut answer: Response, summaries: bool) -> Result<Vec<Listed>, Error> {
    let mut list = List::new(summaries);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        list.push(&chunk)?;
        // A server that never stops must not keep a thread for itself.
        tokio::task::consume_budget().await;
    }
    list.end()
}

/// A list that comes in pieces.
struct List {
    summaries: bool,
    entries: Entries,
    found: Vec<Listed>,
}

/// Why a list cannot be used.
enum Fault {
    List(BadList),
    Element(Error),
}

impl From<BadList> for Fault {
    fn from(fault: BadList) -> Self {
        Self::List(fault)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::List(BadList::Long(most)) => too_large(most as u64),
            Fault::List(BadList::Many(most)) => {
                nonsense(format!("it has more than {most} containers"))
            }
            Fault::List(BadList::Broken) => nonsense("it is no whole list".into()),
            Fault::Element(error) => error,
        }
    }
}

impl List {
    fn new(summaries: bool) -> Self {
        Self { summaries, entries: Entries::within(BOUNDS), found: Vec::new() }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let Self { summaries, entries, found } = self;
        let mut each = |one: &[u8]| {
            let listed = listed(one, *summaries).map_err(Fault::Element)?;
            found.push(listed);
            Ok::<_, Fault>(())
        };
        entries.feed(chunk, &mut each)?;
        match entries.is_array() {
            Some(false) => Err(Fault::from(BadList::Broken).into()),
            _ => Ok(()),
        }
    }

    fn end(self) -> Result<Vec<Listed>, Error> {
        self.entries.finish().map_err(|fault| Error::from(Fault::from(fault)))?;
        Ok(self.found)
    }
}

/// The container that the element of a list of one is about.
fn listed(one: &[u8], summaries: bool) -> Result<Listed, Error> {
    let (id, summary) = if summaries {
        let (found,): (Element<'_>,) = super::parse(one)?;
        let summary = found.digest();
        (found.id, summary)
    } else {
        let (found,): (Named,) = super::parse(one)?;
        (found.id, None)
    };
    let id = id.unwrap_or_default();
    if !is_id(&id) {
        return Err(nonsense(format!("no container can be called {id:.100?}")));
    }
    Ok(Listed { id: ContainerId(id.into()), summary })
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
            serde_json::from_slice(part?.get().as_bytes()).ok()
        }
        let names: Vec<String> = part(self.names)?;
        // What there are none of may be `null`.
        let labels: HashMap<String, String> =
            self.labels.map_or(Some(HashMap::new()), |_| part(self.labels))?;
        // Docker lists what a container is called by links, too: `/other/alias`.
        let mut names = names.iter().filter_map(|name| name.strip_prefix('/'));
        let name = names.find(|name| !name.contains('/'))?;
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
        read_by(text, step, step != 3)
    }

    fn read_by(text: &str, step: usize, summaries: bool) -> Result<Vec<String>, Error> {
        let mut list = List::new(summaries);
        text.as_bytes().chunks(step).try_for_each(|chunk| list.push(chunk))?;
        Ok(list.end()?.into_iter().map(|listed| listed.id.to_string()).collect())
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
            for step in [1, 2, 3, 1000] {
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
        let text = format!("[{}", r#"{"Id":"a"},"#.repeat(BOUNDS.entries + 1));
        let fault = ids(&text, 4096).expect_err("too many").to_string();
        assert_eq!(fault, "it has more than 100000 containers");
    }
}
