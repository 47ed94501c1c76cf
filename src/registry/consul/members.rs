//! The daemons of a datacenter, by the services that they have registered themselves as. It is
//! read whole or not at all: a fleet of which a part is missing would let a rollout go on too
//! early.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde::Deserialize;

use super::{Call, Consul, Contact, call::list};
use crate::{
    entries::BadList,
    model::marks::META_MEMBER,
    policy::rollout::{Fleet, Member},
    registry::RegistryError,
};

/// The time for reading all of them.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has not heard of its leader for longer is not believed; in milliseconds.
const LAST_CONTACT: u64 = 10_000;

/// A service in the catalog, with where it is and how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The service's ID.
    pub id: String,
    /// The node whose agent has it.
    pub node: String,
    /// The datacenter.
    pub datacenter: String,
    /// Its address, or else the node's.
    pub address: String,
    /// Its port; 0 for none.
    pub port: u16,
    /// Its metadata.
    pub meta: BTreeMap<String, String>,
    /// Whether one of its checks is critical.
    pub critical: bool,
}

impl Instance {
    /// The name of the host whose daemon this is, if it is one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.meta.get(META_MEMBER).map(String::as_str)
    }
}

/// An entry of `GET /v1/health/service/<name>`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Option<Vec<Check>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    node: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    datacenter: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: i64,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(default)]
    status: String,
}

impl From<Entry> for Instance {
    fn from(Entry { node, service, checks }: Entry) -> Self {
        let own = Some(service.address).filter(|address| !address.is_empty());
        Self {
            id: service.id,
            node: node.node,
            datacenter: node.datacenter,
            address: own.unwrap_or(node.address),
            port: u16::try_from(service.port).unwrap_or_default(),
            meta: service.meta.unwrap_or_default(),
            critical: checks.iter().flatten().any(|check| check.status == "critical"),
        }
    }
}

/// All instances of a service, as any server knows them.
///
/// # Errors
///
/// They could not be read whole: no answer, a server without a leader, a token that does not see
/// all of them as far as Consul says so, or an entry that cannot be understood.
pub async fn instances(consul: &Consul, service: &str) -> Result<Vec<Instance>, RegistryError> {
    let permission = format!(
        "service {service:?} {{ policy = \"read\" }} and node_prefix \"\" {{ policy = \"read\" }}"
    );
    let call = Call { attempt: "read the instances of", subject: service, permission: &permission };
    let path = ["v1", "health", "service", service];
    let request = consul.request(call, Method::GET, &path, &[("stale", "")])?.timeout(TIMEOUT);
    let response = consul.send(call, request).await?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    if header("X-Consul-Results-Filtered-By-ACLs") == Some("true") {
        let message = "Consul says that it has left some out".to_string();
        let attempt = call.attempt();
        return Err(RegistryError::Forbidden { attempt, permission: permission.clone(), message });
    }
    if !Contact::of(&response).is_led(LAST_CONTACT) {
        let message = "the server that was asked does not hear of a leader".to_string();
        let attempt = call.attempt();
        return Err(RegistryError::Unavailable { attempt, status: 200, message });
    }
    let mut all = Vec::new();
    list(call, response, |one| {
        // An entry that cannot be understood may be a daemon, too.
        let one: Vec<Entry> = serde_json::from_slice(one).map_err(|_| BadList::Broken)?;
        all.extend(one.into_iter().map(Instance::from));
        Ok(())
    })
    .await?;
    Ok(all)
}

/// All daemons that have registered themselves under this name, at least one.
///
/// # Errors
///
/// As for [`instances`]; or there is none, as is so for a token that may see none.
pub async fn daemons(consul: &Consul, service: &str) -> Result<Vec<Instance>, RegistryError> {
    let mut all = instances(consul, service).await?;
    all.retain(|one| one.host().is_some());
    if all.is_empty() {
        return Err(RegistryError::Impossible {
            attempt: format!("read the fleet {service}"),
            message: format!(
                "no daemon is to be seen: none has registered itself ([fleet] register = true), \
                 or the token lacks service {service:?} {{ policy = \"read\" }} and node_prefix \
                 \"\" {{ policy = \"read\" }}"
            ),
        });
    }
    Ok(all)
}

/// The fleet that registers itself under this name. A member should find itself in it:
/// Consul leaves out without a word what a token may not see.
///
/// # Errors
///
/// As for [`daemons`]: the fleet is whole, or none.
pub async fn read(consul: &Consul, service: &str) -> Result<Fleet, RegistryError> {
    Ok(fleet(&daemons(consul, service).await?))
}

/// The hosts that these daemons are of. Where several have one host's name, the host is as the
/// worst of them.
#[must_use]
pub fn fleet(daemons: &[Instance]) -> Fleet {
    let mut fleet = Fleet::new();
    for one in daemons {
        let Some(host) = one.host() else { continue };
        let member = Member::of(&one.meta, one.critical);
        fleet
            .entry(host.to_string())
            .and_modify(|known| *known = worst(known, &member))
            .or_insert(member);
    }
    fleet
}

fn worst(one: &Member, other: &Member) -> Member {
    Member {
        bundle: one.bundle.filter(|bundle| other.bundle == Some(*bundle)),
        refused: one.refused.or(other.refused),
        held: one.held.saturating_add(other.held),
        unhealthy: one.unhealthy || other.unhealthy,
        lost: one.lost || other.lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Digest;

    fn daemon(host: &str, further: &[(&str, &str)], critical: bool) -> Instance {
        let mark = [(META_MEMBER, host)];
        let meta = further.iter().chain(&mark);
        Instance {
            id: String::new(),
            node: String::new(),
            datacenter: String::new(),
            address: String::new(),
            port: 0,
            meta: meta.map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            critical,
        }
    }

    #[test]
    fn two_daemons_of_one_name_are_a_host_as_the_worst_of_them() {
        let [new, old] = ["new", "old"].map(|name| Digest::of(name.as_bytes()));
        let [new_text, old_text] = [new, old].map(|digest| digest.to_string());
        let fleet = fleet(&[
            daemon("a", &[("bundle", &new_text)], false),
            daemon("b", &[("bundle", &new_text), ("held", "2")], false),
            daemon("b", &[("bundle", &old_text), ("refused", &new_text), ("held", "3")], true),
        ]);
        let a = Member { bundle: Some(new), ..Member::default() };
        let b = Member { refused: Some(new), held: 5, lost: true, ..Member::default() };
        assert_eq!(fleet, [("a".to_string(), a), ("b".to_string(), b)].into());
    }

    #[test]
    fn what_is_not_a_daemon_is_no_host() {
        let mut other = daemon("a", &[], false);
        other.meta.clear();
        assert_eq!(fleet(&[other]), Fleet::new());
    }
}
