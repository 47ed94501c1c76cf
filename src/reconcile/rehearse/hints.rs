//! Hints in the registry that something was meant otherwise.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::Serialize;

use super::{Forecast, Rehearsal, WriteKind};
use crate::{
    model::{marks::Owner, registered::Registered},
    reconcile::state::plan::{Reason, cleanup},
};

/// A hint that something was meant otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hint {
    /// Another host's services have the addresses and ports of those to be registered here.
    OtherHost {
        /// The other host's name.
        host: String,
        /// This host's name.
        own: String,
        /// The IDs of that host's services.
        services: Vec<String>,
    },
    /// Registrator left services on this host, and nothing takes them out.
    Leftovers {
        /// The IDs of the services.
        services: Vec<String>,
    },
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |services: &[String]| {
            let some: Vec<_> = services.iter().take(5).map(String::as_str).collect();
            let more = services.len() - some.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{}{more}", some.join(", "))
        };
        match self {
            Self::OtherHost { host, own, services } => write!(
                f,
                "services of host {host} have the very addresses and ports that are to be registered \
                 here: {}; if this is that host, start with --hostname {host} (it is {own} now)",
                some(services)
            ),
            Self::Leftovers { services } => write!(
                f,
                "registrator left these on this host, and no container offers them: {}; -cleanup \
                 removes them",
                some(services)
            ),
        }
    }
}

impl Rehearsal {
    /// The hints in the registry that something was meant otherwise.
    pub(super) fn hints(&self, forecast: &Forecast) -> Vec<Hint> {
        let (real, rules) = (self.dry.real(), &self.shared.rules);
        let state = self.shared.state();
        let new =
            forecast.containers.iter().flat_map(|one| &one.writes).filter_map(|write| match &write
                .kind
            {
                WriteKind::Register { reason: Reason::New, service, .. } if service.port != 0 => {
                    Some((service.address.as_str(), service.port))
                }
                _ => None,
            });
        let new: HashSet<_> = new.collect();
        let writes = forecast.containers.iter().flat_map(|one| &one.writes);
        let written: HashSet<_> = writes.map(|write| write.id.as_str()).collect();
        let is_there = |one: &&Registered| {
            // What goes from there under a former name of this host is no other one's.
            new.contains(&(one.address.as_str(), one.port)) && !written.contains(one.id.as_str())
        };
        let mut others: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in real.values().filter(is_there) {
            if let Owner::OtherHost(host) = state.catalog.owner(one) {
                others.entry(host).or_default().push(one.id.clone());
            }
        }
        let own = &rules.host.hostname;
        let other = |(host, services)| Hint::OtherHost { host, own: own.clone(), services };
        let mut hints: Vec<_> = others.into_iter().map(other).collect();
        if !rules.cleanup {
            let left = cleanup(&state.catalog, &rules.addresses());
            let left: Vec<_> = left.actions.iter().map(|action| action.id().to_string()).collect();
            hints.extend((!left.is_empty()).then_some(Hint::Leftovers { services: left }));
        }
        hints
    }
}
