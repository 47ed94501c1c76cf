//! Renames without an outage: under what a container offered its services before,
//! they can still be found for a while beside what it offers now.
//!
//! A service that retires is claimed like any other one, with the time of its end
//! among its marks, so that a daemon that is killed meanwhile goes on where it was.
//! All of it but the ID, the name, the tags and the metadata is that of the service
//! that takes its place: it is the same container, and so is its health.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use crate::model::marks::META_RETIRE;
use crate::model::{
    container::Protocol,
    registered::Registered,
    service::{Check, Service},
};

/// The port inside the container that a service stands for.
pub(super) type Port = (u16, Protocol);

/// Where something is reached that is registered for a container, and the port for
/// which it is, if this daemon remembers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old<'a> {
    pub(super) address: &'a str,
    pub(super) port: u16,
    pub(super) origin: Option<Port>,
}

impl<'a> Old<'a> {
    /// A registered service, which this daemon wrote as `written`, if it remembers.
    pub(super) fn of(registered: &'a Registered, written: Option<&Arc<Service>>) -> Self {
        let origin = written.and_then(|written| port(written));
        Self { address: &registered.address, port: registered.port, origin }
    }
}

/// The port that a service stands for.
pub(super) fn port(service: &Service) -> Option<Port> {
    service.origin.as_ref().map(|origin| (origin.container_port, origin.protocol))
}

/// Whether a service stands for the same port of the container as what is
/// registered; where that is not remembered, whether it is reached at the same
/// address and port.
pub(super) fn is_same(new: &Service, old: Old<'_>) -> bool {
    match old.origin {
        Some(origin) => port(new) == Some(origin),
        None => new.port != 0 && (old.address, old.port) == (&new.address, new.port),
    }
}

/// The registered services of a container that stay for a while, and until when, in
/// time since 1970: those that have another ID or name now. Nothing stays of a
/// service that the container does not offer any more. An ID is free unless it is somebody else's.
pub(super) fn retirees(
    olds: &[(&Registered, Option<&Arc<Service>>)],
    offered: &[Service],
    now: Duration,
    overlap: Duration,
    is_free: impl Fn(&str) -> bool,
) -> Vec<(Service, Duration)> {
    let taken = |id: &str| offered.iter().any(|service| service.id == id);
    let longest = Duration::from_secs((now + overlap).as_secs());
    let mut all = Vec::new();
    for (old, written) in olds {
        let own = offered.iter().find(|service| service.id == old.id);
        let same = |new: &&Service| is_same(new, Old::of(old, *written));
        let successor = own.or_else(|| offered.iter().find(same));
        let Some(successor) =
            successor.filter(|successor| successor.id != old.id || successor.name != old.name)
        else {
            continue;
        };
        let until = retires_at(old).map_or(longest, |until| until.min(longest));
        let id = if own.is_some() { beside(old, &is_free) } else { old.id.clone() };
        // What has been kept for long enough does not count.
        let stays = |one: &Registered| retires_at(one).is_none_or(|until| until > now);
        let kept = olds.iter().any(|(other, _)| other.id == id && stays(other)) && own.is_some();
        if until > now && !taken(&id) && !kept {
            all.push((retiree(old, successor, id), until));
        }
    }
    all
}

/// The ID of a service that keeps its ID and changes its name, under which its old
/// name stays. It has a number if others have what it would be.
fn beside(old: &Registered, is_free: impl Fn(&str) -> bool) -> String {
    let id = format!("{}:was:{}", old.id, old.name);
    let mut further = 2;
    let mut free = id.clone();
    while !is_free(&free) {
        free = format!("{id}:{further}");
        further += 1;
    }
    free
}

/// Whether a service is kept beside the one that has taken its place.
pub(super) fn retires(service: &Service) -> bool {
    service.meta.contains_key(META_RETIRE)
}

/// When a service retires, by its mark.
pub(super) fn retires_at(registered: &Registered) -> Option<Duration> {
    let at = humantime::parse_rfc3339(registered.meta.get(META_RETIRE)?).ok()?;
    at.duration_since(UNIX_EPOCH).ok()
}

fn retiree(old: &Registered, successor: &Service, id: String) -> Service {
    let checks =
        successor.checks.iter().map(|check| own_check(check, &successor.id, &id)).collect();
    Service {
        name: old.name.clone(),
        tags: old.tags.clone(),
        meta: old.meta.clone(),
        weights: Some(old.weights),
        enable_tag_override: old.enable_tag_override,
        attributes: Default::default(),
        checks,
        id,
        ..successor.clone()
    }
}

/// A check of the one service as a check of the other. An agent has no two checks of
/// one ID.
fn own_check(check: &Check, successor: &str, id: &str) -> Check {
    let own = |given: &String| match given.strip_suffix(successor) {
        Some(rest) => format!("{rest}{id}"),
        None => format!("{given}:{id}"),
    };
    Check { id: check.id.as_ref().map(own), ..check.clone() }
}
