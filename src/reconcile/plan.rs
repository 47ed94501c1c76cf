//! The difference between what is wanted and what is registered, as a list of
//! actions. Pure: the same values give the same plan, and the executor has no
//! choice.

mod retire;

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{
    catalog::Catalog,
    provenance::{META_RETIRE, Owner},
};
use crate::{registry::Registered, service::Service};

pub(super) use retire::{is_same, mark, port, retirees, retires_at};

/// What is to be done, in this order: registrations stand before
/// deregistrations, so that a service that changes its ID is never missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The actions.
    pub actions: Vec<Action>,
    /// What cannot be registered, because its ID is somebody else's.
    pub conflicts: Vec<Conflict>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Register a service, in the place of what has its ID.
    Register {
        /// The service.
        service: Arc<Service>,
        /// Why.
        reason: Reason,
        /// The ID under which the old name of this service is to be registered
        /// first.
        after: Option<String>,
        /// What was known when this was planned; see [`Catalog::is_current`].
        generation: u64,
    },
    /// Deregister a service.
    Deregister {
        /// Its ID.
        id: String,
        /// The ID under which the same service is to be registered first. For
        /// as long as it is not, this one stays.
        heir: Option<String>,
        /// It was kept beside its heir, and its time is over.
        retired: bool,
        /// What was known when this was planned.
        generation: u64,
    },
}

impl Plan {
    /// The IDs of the services that are taken out, or whose name nobody will find
    /// any more.
    pub(super) fn taken(&self) -> impl Iterator<Item = &str> {
        let taken = self.actions.iter().filter(|action| match action {
            Action::Deregister { retired, .. } => !retired,
            Action::Register { reason: Reason::Changed(fields), .. } => fields.contains(&"name"),
            Action::Register { reason, .. } => *reason == Reason::Retiring,
        });
        taken.map(Action::id)
    }
}

impl Action {
    /// The ID of the service that is written.
    pub fn id(&self) -> &str {
        match self {
            Action::Register { service, .. } => &service.id,
            Action::Deregister { id, .. } => id,
        }
    }

    /// The service that is registered, if one is.
    pub fn service(&self) -> Option<&Arc<Service>> {
        match self {
            Action::Register { service, .. } => Some(service),
            Action::Deregister { .. } => None,
        }
    }

    /// The ID that has to be registered before this is done.
    pub fn heir(&self) -> Option<&str> {
        match self {
            Action::Register { after, .. } => after.as_deref(),
            Action::Deregister { heir, .. } => heir.as_deref(),
        }
    }

    /// What was known when this was planned.
    pub fn generation(&self) -> u64 {
        match self {
            Action::Register { generation, .. } | Action::Deregister { generation, .. } => {
                *generation
            }
        }
    }
}

/// Why a service is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It was not registered.
    New,
    /// These fields differ.
    Changed(Vec<&'static str>),
    /// It was registered by registrator, or by a daemon that left no mark.
    Adopted,
    /// It is not known what the last write did.
    Uncertain,
    /// It is kept for a while beside the one that takes its place.
    Retiring,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::New => f.write_str("added"),
            Reason::Changed(fields) => write!(f, "changed ({})", fields.join(", ")),
            Reason::Adopted => f.write_str("adopted"),
            Reason::Uncertain => f.write_str("registered again"),
            Reason::Retiring => f.write_str("kept for a while"),
        }
    }
}

/// A service whose ID is taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Conflict {
    /// The ID.
    pub id: String,
    /// By whom.
    pub taken_by: String,
}

/// The plan for these service IDs.
pub(super) fn plan<'a>(
    catalog: &Catalog,
    ids: impl IntoIterator<Item = &'a String> + Clone,
) -> Plan {
    let mut plan = Plan::default();
    let mut removals = Vec::new();
    for id in ids.clone() {
        match decide(catalog, id) {
            Decision::Nothing => {}
            Decision::Register(service, reason) => plan.actions.push(Action::Register {
                after: before(catalog, &service),
                service,
                reason,
                generation: catalog.generation(id),
            }),
            Decision::Deregister => removals.push(Action::Deregister {
                id: id.clone(),
                heir: heir(catalog, id, ids.clone()),
                retired: catalog.registered(id).is_some_and(|old| retires_at(old).is_some()),
                generation: catalog.generation(id),
            }),
            Decision::Conflict(taken_by) => {
                plan.conflicts.push(Conflict { id: id.clone(), taken_by });
            }
        }
    }
    // What an old name is kept under stands before what takes the name away.
    plan.actions.sort_by_key(|action| action.heir().is_some());
    plan.actions.append(&mut removals);
    #[cfg(test)]
    super::sim::spoil(catalog, &mut plan);
    plan
}

/// The ID under which a service is wanted that has another ID so far: one of its
/// container's, or if that is not known one of these. It stands for the same port of the container, as far as this daemon
/// remembers; else it is reached at the same address and port.
fn heir<'a>(
    catalog: &Catalog,
    id: &str,
    ids: impl IntoIterator<Item = &'a String>,
) -> Option<String> {
    // What may be there is what was last attempted, or else what was there before.
    let ports = [catalog.attempted(id), catalog.written(id)].map(|old| old.map(|old| port(old)));
    let [attempted, written] = ports.map(Option::flatten);
    let reached = catalog.registered(id);
    let reached = |new: &Service| reached.is_some_and(|old| is_same(new, (old, written)));
    let attempted = |new: &Service| attempted.is_some() && port(new) == attempted;
    // What another container offers does not take its place.
    let holders = catalog.holders(id);
    let heirs: Vec<&Arc<Service>> = match holders.is_empty() {
        true => ids.into_iter().filter_map(|id| catalog.wanted(id)).collect(),
        false => holders.iter().flat_map(|container| catalog.wanted_by(container)).collect(),
    };
    let mut heirs = heirs.into_iter().filter(|new| !retires(new));
    let heir = heirs.clone().find(|new| attempted(new)).or_else(|| heirs.find(|new| reached(new)));
    heir.map(|new| new.id.clone())
}

/// The ID under which the old name of a service is kept, if it is to be and its own
/// ID is about to get another name.
fn before(catalog: &Catalog, service: &Service) -> Option<String> {
    let old = catalog.registered(&service.id).filter(|old| old.name != service.name)?;
    let holders = catalog.holders(&service.id);
    let theirs = holders.iter().flat_map(|container| catalog.wanted_by(container));
    let mut kept = theirs.filter(|kept| retires(kept) && kept.name == old.name);
    kept.find(|kept| kept.id != service.id && port(kept) == port(service))
        .map(|kept| kept.id.clone())
}

/// Whether a service is kept beside the one that has taken its place.
pub(super) fn retires(service: &Service) -> bool {
    service.meta.contains_key(META_RETIRE)
}

/// What `-cleanup` removes: unmarked entries that registrator left behind on this
/// host. Such an entry has an ID of registrator's form with this host's name, one
/// of the addresses that this host advertises, and a container that no longer
/// offers it. The form of the ID alone would also fit what others registered.
pub(super) fn cleanup(catalog: &Catalog, addresses: &[&str]) -> Plan {
    let dangling = |registered: &&Registered| {
        let Some(container) = original_container(catalog.host(), &registered.id) else {
            return false;
        };
        // Without marks the daemon's own are unmarked, too.
        catalog.owner(registered) == Owner::Unmarked
            && catalog.written(&registered.id).is_none()
            && addresses.contains(&registered.address.as_str())
            && catalog.wanted(&registered.id).is_none()
            && !catalog.offers(container, &registered.name)
    };
    removal(catalog, dangling)
}

/// Entries that are this host's but of which the registry could not note the
/// container, and that no container wants. All containers must have been looked
/// at.
pub(super) fn leftovers(catalog: &Catalog) -> Plan {
    removal(catalog, |registered| {
        catalog.owner(registered) == Owner::Host && catalog.wanted(&registered.id).is_none()
    })
}

fn removal(catalog: &Catalog, unwanted: impl Fn(&&Registered) -> bool) -> Plan {
    let mut ids: Vec<_> =
        catalog.all_registered().filter(unwanted).map(|registered| &registered.id).collect();
    ids.sort_unstable();
    let action = |id: &String| Action::Deregister {
        id: id.clone(),
        heir: None,
        retired: false,
        generation: catalog.generation(id),
    };
    Plan { actions: ids.into_iter().map(action).collect(), conflicts: Vec::new() }
}

/// The container's name in an ID of registrator's form:
/// `<host>:<container>:<port>`, with `:udp` for UDP.
fn original_container<'a>(host: &str, id: &'a str) -> Option<&'a str> {
    let rest = id.strip_prefix(host)?.strip_prefix(':')?;
    let rest = rest.strip_suffix(":udp").unwrap_or(rest);
    let (container, port) = rest.rsplit_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let named = container.len() > 1 && container.chars().all(legal);
    (named && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())).then_some(container)
}

enum Decision {
    Nothing,
    Register(Arc<Service>, Reason),
    Deregister,
    Conflict(String),
}

fn decide(catalog: &Catalog, id: &str) -> Decision {
    let wanted = catalog.wanted(id);
    if catalog.is_uncertain(id) {
        return match wanted {
            Some(service) => Decision::Register(service.clone(), Reason::Uncertain),
            // It is taken out only where the write was this daemon's own.
            None => Decision::Deregister,
        };
    }
    if wanted.is_some_and(|service| catalog.is_refused(service)) {
        return Decision::Nothing;
    }
    match (wanted, catalog.registered(id)) {
        (None, None) => Decision::Nothing,
        (Some(service), None) => Decision::Register(service.clone(), Reason::New),
        (None, Some(registered)) => {
            let ours = match catalog.owner(registered) {
                Owner::Ours(container) => catalog.was_looked_at(&container),
                _ => false,
            };
            if ours || catalog.written(id).is_some() {
                Decision::Deregister
            } else {
                Decision::Nothing
            }
        }
        (Some(service), Some(registered)) => match catalog.owner(registered) {
            Owner::OtherHost(host) => Decision::Conflict(format!("the daemon of host {host}")),
            Owner::Ours(_) => update(service, &differences(service, registered)),
            // From now on it is known whose it is.
            Owner::Host => Decision::Register(service.clone(), Reason::Adopted),
            Owner::Unmarked => match catalog.written(id) {
                // Without marks the daemon knows its own by memory.
                Some(written) => {
                    let mut fields = differences(service, registered);
                    if written.checks != service.checks {
                        fields.push("checks");
                    }
                    update(service, &fields)
                }
                None if adoptable(catalog.host(), service, registered) => {
                    Decision::Register(service.clone(), Reason::Adopted)
                }
                None => Decision::Conflict("a service that is not this host's".into()),
            },
        },
    }
}

fn update(service: &Arc<Service>, fields: &[&'static str]) -> Decision {
    if fields.is_empty() {
        Decision::Nothing
    } else if retires(service) {
        Decision::Register(service.clone(), Reason::Retiring)
    } else {
        Decision::Register(service.clone(), Reason::Changed(fields.to_vec()))
    }
}

/// Whose the service is that has an ID which a container wants.
pub(super) fn conflict(catalog: &Catalog, id: &str) -> Option<String> {
    match decide(catalog, id) {
        Decision::Conflict(taken_by) => Some(taken_by),
        _ => None,
    }
}

/// Whether an unmarked entry with a wanted ID is what registrator left: the ID
/// begins with this host's name, or it is the very service.
fn adoptable(host: &str, service: &Service, registered: &Registered) -> bool {
    let by_id = registered.id.strip_prefix(host).is_some_and(|rest| rest.starts_with(':'));
    let same = registered.name == service.name
        && registered.port == service.port
        && registered.address == service.address;
    by_id || same
}

/// The fields in which an entry differs from what is wanted.
pub(super) fn differences(service: &Service, registered: &Registered) -> Vec<&'static str> {
    let wanted = Registered::from(service);
    let mut fields = Vec::new();
    let mut compare = |field, equal: bool| {
        if !equal {
            fields.push(field);
        }
    };
    compare("name", wanted.name == registered.name);
    compare("address", wanted.address == registered.address);
    compare("port", wanted.port == registered.port);
    // With tag override, others may change the tags.
    compare("tags", wanted.enable_tag_override || wanted.tags == registered.tags);
    compare("meta", wanted.meta == registered.meta);
    compare("weights", wanted.weights == registered.weights);
    compare("enable-tag-override", wanted.enable_tag_override == registered.enable_tag_override);
    // Consul adds tagged addresses of its own.
    let addresses = &registered.tagged_addresses;
    let all = wanted.tagged_addresses.iter().all(|(tag, at)| addresses.get(tag) == Some(at));
    compare("tagged-addresses", all);
    fields
}
