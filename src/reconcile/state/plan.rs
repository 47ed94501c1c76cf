//! The difference between what is wanted and what is registered, as a list of
//! actions. Pure: the same values give the same plan, and the executor has no
//! choice.
//!
//! A plan is for one container and writes only that container's services: those it is given of
//! those it wants, and those it has and nobody wants. Those of another one are left to its own
//! look, at which it is known what it offers.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::Serialize;

use super::catalog::Catalog;
use crate::{
    model::{container::ContainerId, marks::Owner, registered::Registered, service::Service},
    reconcile::{
        difference::differences,
        retire::{is_same, port, retires, retires_at},
    },
};

/// The writes for a container, in their order: registrations stand before deregistrations, so that
/// a service that changes its ID is never missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The actions.
    pub actions: Vec<Action>,
    /// The services that cannot be registered, because their IDs are somebody else's.
    pub conflicts: Vec<Conflict>,
    /// Other containers of which something is not as it is to be.
    pub others: BTreeSet<ContainerId>,
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
        after: Option<Successor>,
    },
    /// Deregister a service.
    Deregister {
        /// Its ID.
        id: String,
        /// The IDs under which the same service is to be registered first, with the
        /// container that wants it there; several if it is not known what is there.
        /// For as long as one of them is not, this one stays.
        successors: BTreeSet<Successor>,
        /// Why.
        why: Removal,
    },
}

/// The successor of a service: a container, and the ID under which it wants that service now.
pub type Successor = (ContainerId, String);

/// Why a service is deregistered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Its container does not offer it, or has ended.
    Unwanted,
    /// It was kept beside what has taken its place, and its time is over.
    Retired,
    /// It was left behind by a container that is gone, and is this.
    LeftBehind(Box<Registered>),
}

impl Plan {
    /// The IDs of the services that are taken out, or whose name nobody will find
    /// any more.
    pub(in crate::reconcile) fn taken(&self) -> impl Iterator<Item = &str> {
        let taken = self.actions.iter().filter(|action| match action {
            Action::Deregister { why, .. } => *why != Removal::Retired,
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

    /// The successors to be registered before this is done.
    pub fn successors(&self) -> impl Iterator<Item = &Successor> {
        let (after, successors) = match self {
            Action::Register { after, .. } => (after.as_ref(), None),
            Action::Deregister { successors, .. } => (None, Some(successors)),
        };
        after.into_iter().chain(successors.into_iter().flatten())
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

/// The plan for a container that these service IDs concern.
pub(in crate::reconcile) fn plan<'a>(
    catalog: &Catalog,
    container: &ContainerId,
    ids: impl IntoIterator<Item = &'a String>,
) -> Plan {
    let mut plan = Plan::default();
    let mut removals = Vec::new();
    for id in ids {
        let decision = decide(catalog, id);
        if !is_own(catalog, container, id, &decision) {
            plan.others.extend(responsible(catalog, id, &decision));
            continue;
        }
        match decision {
            Decision::Nothing => {}
            Decision::Register(service, reason) => plan.actions.push(Action::Register {
                after: before(catalog, container, &service),
                service,
                reason,
            }),
            Decision::Deregister => removals.push(Action::Deregister {
                id: id.clone(),
                successors: successors(catalog, id),
                why: match catalog.registered(id).is_some_and(|old| retires_at(old).is_some()) {
                    true => Removal::Retired,
                    false => Removal::Unwanted,
                },
            }),
            Decision::Conflict(taken_by) => {
                plan.conflicts.push(Conflict { id: id.clone(), taken_by });
            }
        }
    }
    // What an old name is kept under stands before what takes the name away.
    plan.actions.sort_by_key(|action| action.successors().next().is_some());
    plan.actions.append(&mut removals);
    #[cfg(test)]
    crate::reconcile::sim::spoil(&mut plan);
    plan
}

/// Whether an action is still to be carried out. The claims and the registry may have changed since
/// the plan was made.
pub(in crate::reconcile) fn is_due(
    catalog: &Catalog,
    container: &ContainerId,
    action: &Action,
) -> bool {
    let id = action.id();
    if let Action::Deregister { why: Removal::LeftBehind(what), .. } = action {
        return is_left_behind(catalog, id) && catalog.registered(id) == Some(&**what);
    }
    let decision = decide(catalog, id);
    let same = match (&decision, action) {
        (Decision::Register(wanted, _), Action::Register { service, .. }) => {
            Arc::ptr_eq(wanted, service)
        }
        (Decision::Deregister, Action::Deregister { .. }) => true,
        _ => false,
    };
    same && is_own(catalog, container, id, &decision)
}

/// Whether it is this container for which a decision is carried out.
fn is_own(catalog: &Catalog, container: &ContainerId, id: &str, decision: &Decision) -> bool {
    match decision {
        Decision::Nothing => true,
        Decision::Register(..) | Decision::Conflict(_) => catalog.is_given(id, container),
        Decision::Deregister => {
            let holders = catalog.owners(id);
            holders.is_empty() || holders.contains(container)
        }
    }
}

/// The containers for which a decision can be carried out.
fn responsible(catalog: &Catalog, id: &str, decision: &Decision) -> BTreeSet<ContainerId> {
    match decision {
        Decision::Nothing => BTreeSet::new(),
        Decision::Register(..) | Decision::Conflict(_) => {
            catalog.claimant(id).map(|(container, _)| container.clone()).into_iter().collect()
        }
        Decision::Deregister => catalog.owners(id),
    }
}

/// The IDs under which those who have, or may have, a service under this ID want it now.
fn successors(catalog: &Catalog, id: &str) -> BTreeSet<Successor> {
    let holders = catalog.owners(id);
    let of = |container: &ContainerId| {
        let successors = successors_of(catalog, container, id).into_iter();
        successors.map(|successor| (container.clone(), successor)).collect::<Vec<_>>()
    };
    holders.iter().flat_map(of).collect()
}

/// The IDs under which a container wants a service that it has under another ID so
/// far. It stands for the same port of the container, as far as this daemon
/// remembers; else it is reached at the same address and port. If it is not known
/// what is there, each that it may be counts.
fn successors_of(catalog: &Catalog, container: &ContainerId, id: &str) -> BTreeSet<String> {
    let wanted = catalog.wanted_by(container).into_iter();
    let new: Vec<_> = wanted.filter(|new| !retires(new)).collect();
    let successor = |old| new.iter().find(|new| is_same(new, old)).map(|new| new.id.clone());
    let mut successors: BTreeSet<_> =
        catalog.had_by(container, id).into_iter().filter_map(successor).collect();
    if let Some(old) = catalog.registered(id).filter(|_| successors.is_empty()) {
        let successor = new.iter().find(|new| catalog.succeeds(new, old));
        successors.extend(successor.map(|new| new.id.clone()));
    }
    successors
}

/// The ID under which the old name of a service is kept, if it is to be and its own
/// ID is about to get another name.
fn before(catalog: &Catalog, container: &ContainerId, service: &Service) -> Option<Successor> {
    let old = catalog.registered(&service.id).filter(|old| old.name != service.name)?;
    let wanted = catalog.wanted_by(container).into_iter();
    let mut kept = wanted.filter(|kept| retires(kept) && kept.name == old.name);
    kept.find(|kept| kept.id != service.id && port(kept) == port(service))
        .map(|kept| (container.clone(), kept.id.clone()))
}

/// The plan of `-cleanup`, which removes unmarked entries that registrator left behind on this
/// host. Such an entry has an ID of registrator's form with this host's name, one of the addresses
/// that this host advertises, and a container that no longer offers it. The form of the ID alone
/// would also fit what others registered.
pub(in crate::reconcile) fn cleanup(catalog: &Catalog, addresses: &[&str]) -> Plan {
    let dangling = |registered: &&Registered| {
        let Some(container) = original_container(catalog.host(), &registered.id) else {
            return false;
        };
        catalog.owner(registered) == Owner::Unmarked
            && addresses.contains(&registered.address.as_str())
            && !catalog.offers(container, &registered.name)
    };
    removal(catalog, dangling)
}

/// Entries that are this host's but of which the registry could not note the
/// container, and that no container wants. All containers must have been looked
/// at.
pub(in crate::reconcile) fn leftovers(catalog: &Catalog) -> Plan {
    removal(catalog, |registered| catalog.owner(registered) == Owner::Host)
}

/// Whether nobody wants what is registered under an ID and this daemon has not
/// written it, and nothing but its removal may have come since. Without marks the
/// daemon's own look like anybody's.
fn is_left_behind(catalog: &Catalog, id: &str) -> bool {
    catalog.wanted(id).is_none() && !catalog.may_have_written(id)
}

fn removal(catalog: &Catalog, unwanted: impl Fn(&&Registered) -> bool) -> Plan {
    let left = catalog.all_registered().filter(|left| is_left_behind(catalog, &left.id));
    let mut left: Vec<_> = left.filter(unwanted).collect();
    left.sort_unstable_by_key(|left| &left.id);
    let action = |left: &Registered| Action::Deregister {
        id: left.id.clone(),
        successors: BTreeSet::new(),
        why: Removal::LeftBehind(Box::new(left.clone())),
    };
    Plan { actions: left.into_iter().map(action).collect(), ..Plan::default() }
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

/// The decision on an ID.
fn decide(catalog: &Catalog, id: &str) -> Decision {
    #[cfg(test)]
    if crate::reconcile::sim::removes_what_is_foreign(catalog, id) {
        return Decision::Deregister;
    }
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
            // What another engine's containers have is held by the guard.
            let owner = catalog.owner(registered);
            let ours = matches!(owner, Owner::Ours(_) | Owner::OtherEngine(_));
            match ours || catalog.written(id).is_some() {
                true => Decision::Deregister,
                false => Decision::Nothing,
            }
        }
        (Some(service), Some(registered)) => match catalog.owner(registered) {
            Owner::OtherHost(host) => Decision::Conflict(format!("the daemon of host {host}")),
            Owner::Member(host) => {
                Decision::Conflict(format!("the daemon of host {host}, which registers itself"))
            }
            Owner::Ours(_) => update(service, &differences(service, registered)),
            Owner::OtherEngine(_) if catalog.takes_place(service, registered) => {
                update(service, &differences(service, registered))
            }
            Owner::OtherEngine(_) => Decision::Conflict(
                "the daemon of another container engine, which has this host's name".into(),
            ),
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

/// The owner, in words, of a service whose ID a container wants and cannot have.
pub(in crate::reconcile) fn conflict(catalog: &Catalog, id: &str) -> Option<String> {
    match decide(catalog, id) {
        Decision::Conflict(taken_by) => Some(taken_by),
        _ => None,
    }
}

/// Whether an unmarked entry with a wanted ID is what registrator left: the ID
/// begins with this host's name, or it is the very service.
fn adoptable(host: &str, service: &Service, registered: &Registered) -> bool {
    let by_id = registered.id.strip_prefix(host).is_some_and(|rest| rest.starts_with(':'));
    by_id || registered.is_at_the_place_of(service)
}
