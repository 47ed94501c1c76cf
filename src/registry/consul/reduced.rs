//! The parts of a service that an agent is not sent, because it is known, or may be thought, to refuse
//! the whole service for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::{
    checks,
    mesh::{self, Release},
};
use crate::{
    model::service::{Check, CheckKind, Field, Service},
    registry::{Dropped, Sent},
};

/// The forms in which an agent has taken services that it may refuse fields of, as far as this
/// process has registered them.
#[derive(Debug, Default)]
pub(super) struct Taken(Mutex<BTreeMap<String, Known>>);

/// The form in which an agent has taken a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    whole: bool,
    /// It had said how old it is, so that only what nobody knows was left out.
    dated: bool,
}

impl Taken {
    /// The agent has taken a service, whole or without further fields.
    pub(super) fn note(&self, service: &Service, whole: bool, dated: bool) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if without_further_fields(service, dated).is_some() {
            taken.insert(service.id.clone(), Known { whole, dated });
        } else {
            taken.remove(&service.id);
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// The fields of a service that the agent of this release does not know, or was sent without.
    pub(super) fn lacks(&self, id: &str, release: Option<Release>) -> BTreeSet<Field> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        let all = mesh::NEWER.map(|(field, _)| field).into_iter().chain([Field::Definition]);
        match known {
            Some(Known { whole: false, dated: false }) => all.collect(),
            Some(Known { whole: false, dated: true }) => {
                mesh::newer_than(release).chain([Field::Definition]).collect()
            }
            // Nobody says how old it is, nor how it took this service: by the digest in its
            // metadata it is as this daemon sent it.
            None if release.is_none() => all.collect(),
            Some(Known { whole: true, .. }) | None => mesh::newer_than(release).collect(),
        }
    }

    /// The forms in which the agent may have a service: one of them, where that is known.
    pub(super) fn forms(&self, service: &Service) -> Vec<Sent> {
        let whole = Sent { service: service.clone(), dropped: Vec::new() };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&service.id).copied();
        let dated = known.is_some_and(|known| known.dated);
        match (known.map(|known| known.whole), without_further_fields(service, dated)) {
            (Some(false), Some(reduced)) => vec![reduced],
            (None, Some(reduced)) => vec![whole, reduced],
            (Some(true), _) | (_, None) => vec![whole],
        }
    }
}

/// The service without what only newer agents know of checks, if it has any of that: an older one
/// refuses the whole service for a field. A check that would do something else without the field, or
/// never pass, goes as a whole. Source: Consul's changelog, from 1.7 on.
///
/// `dated` is whether the agent has said how old it is, so that the service has no field any more
/// that is known to be newer.
pub(super) fn without_further_fields(service: &Service, dated: bool) -> Option<Sent> {
    if service.checks.is_empty() && service.further.is_empty() {
        return None;
    }
    let why = "the agent may not know it";
    let (mut dropped, mut n) = (Vec::new(), 0);
    let mut drop_it = |what: String| dropped.push(Dropped { what, why: why.into() });
    let mut plain = with_checks(service, |check| {
        n += 1;
        let newer = match &check.kind {
            CheckKind::Udp { .. } | CheckKind::H2Ping { .. } | CheckKind::OsService { .. } => true,
            CheckKind::Http { tls_server_name, .. } | CheckKind::Grpc { tls_server_name, .. } => {
                tls_server_name.is_some()
            }
            CheckKind::Tcp { .. }
            | CheckKind::Script { .. }
            | CheckKind::Docker { .. }
            | CheckKind::Ttl { .. }
            | CheckKind::Alias { .. } => false,
        };
        let needed = ["DisableRedirects", "TCPUseTLS"];
        if newer || needed.iter().any(|field| check.attributes.contains_key(*field)) {
            drop_it(format!("check {n}"));
            return false;
        }
        for field in std::mem::take(&mut check.attributes).into_keys() {
            drop_it(format!("{field} of check {n}"));
        }
        true
    });
    mesh::strip(&mut plain.further, dated, &mut drop_it);
    (!dropped.is_empty()).then_some(Sent { service: plain, dropped })
}

/// The service with those checks that are kept. Where one goes, the others keep the IDs that they
/// had beside it: an agent numbers those without.
fn with_checks(service: &Service, mut keep: impl FnMut(&mut Check) -> bool) -> Service {
    let mut kept = Vec::new();
    for (place, mut check) in service.checks.iter().cloned().enumerate() {
        if keep(&mut check) {
            kept.push((place, check));
        }
    }
    let one_goes = kept.len() < service.checks.len();
    let named = kept.into_iter().map(|(place, check)| match one_goes {
        true => Check { id: Some(checks::id(service, place)), ..check },
        false => check,
    });
    Service { checks: named.collect(), ..service.clone() }
}

/// Whether a check is one that an agent may be told not to run.
pub(super) fn is_script(check: &Check) -> bool {
    matches!(check.kind, CheckKind::Script { .. } | CheckKind::Docker { .. })
}

/// The service without the checks that an agent may be told not to run, if it has any.
pub(super) fn without_scripts(service: &Service) -> Option<Sent> {
    let reduced = with_checks(service, |check| !is_script(check));
    let what = match service.checks.len() - reduced.checks.len() {
        0 => return None,
        1 => "its script check".to_string(),
        n => format!("its {n} script checks"),
    };
    let why = "the agent runs no scripts (enable_script_checks)".into();
    Some(Sent { service: reduced, dropped: vec![Dropped { what, why }] })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::model::container::Protocol;

    fn check(kind: CheckKind, attributes: &[(&str, &str)]) -> Check {
        let attributes =
            attributes.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Check {
            id: None,
            name: None,
            notes: None,
            kind,
            interval: Some("10s".into()),
            timeout: None,
            initial_status: None,
            deregister_after: None,
            success_before_passing: None,
            failures_before_critical: None,
            attributes,
        }
    }

    fn service(checks: Vec<Check>) -> Service {
        Service {
            id: "a".into(),
            name: "a".into(),
            address: "10.0.0.1".into(),
            port: 80,
            protocol: Protocol::Tcp,
            tags: Vec::new(),
            meta: Default::default(),
            checks,
            weights: None,
            enable_tag_override: false,
            tagged_addresses: Default::default(),
            origin: None,
            further: Default::default(),
            attributes: Default::default(),
        }
    }

    fn tcp() -> CheckKind {
        CheckKind::Tcp { address: "10.0.0.1:80".into() }
    }

    fn script() -> CheckKind {
        CheckKind::Script { args: vec!["true".into()] }
    }

    /// The dropped parts, and the number of checks that are left.
    fn dropped(sent: Option<Sent>) -> Option<(Vec<String>, usize)> {
        let Sent { service, dropped } = sent?;
        Some((dropped.into_iter().map(|dropped| dropped.what).collect(), service.checks.len()))
    }

    #[test]
    fn script_checks_are_named_by_their_number() {
        let check = |kind| check(kind, &[]);
        assert_eq!(dropped(without_scripts(&service(vec![check(tcp())]))), None);
        let one = service(vec![check(script()), check(tcp())]);
        assert_eq!(dropped(without_scripts(&one)), Some((vec!["its script check".into()], 1)));
        let words = without_scripts(&one).expect("it has one").dropped[0].to_string();
        assert_eq!(
            words,
            "the agent runs no scripts (enable_script_checks): it is registered without its script \
             check"
        );
        let two = service(vec![check(script()), check(script())]);
        assert_eq!(dropped(without_scripts(&two)), Some((vec!["its 2 script checks".into()], 0)));
    }

    #[test]
    fn fields_that_an_agent_may_not_know_are_named_with_their_check() {
        assert_eq!(dropped(without_further_fields(&service(vec![check(tcp(), &[])]), false)), None);
        let udp = CheckKind::Udp { address: "10.0.0.1:53".into() };
        let all = service(vec![
            check(udp, &[]),
            check(tcp(), &[("OutputMaxSize", "9")]),
            check(tcp(), &[("TCPUseTLS", "true")]),
            check(tcp(), &[]),
        ]);
        let expected = ["check 1", "OutputMaxSize of check 2", "check 3"].map(String::from);
        assert_eq!(dropped(without_further_fields(&all, false)), Some((expected.into(), 2)));
    }

    #[test]
    fn a_check_keeps_its_id_where_one_before_it_goes() {
        let own = Check { id: Some("own".into()), ..check(tcp(), &[]) };
        let of = service(vec![
            check(tcp(), &[("TCPUseTLS", "true")]),
            check(script(), &[]),
            check(tcp(), &[]),
            own,
        ]);
        let ids = |sent: Option<Sent>| {
            let service = sent.expect("one goes").service;
            (0..service.checks.len()).map(|place| checks::id(&service, place)).collect::<Vec<_>>()
        };
        assert_eq!(ids(without_scripts(&of)), ["service:a:1", "service:a:3", "own"]);
        let plain = without_scripts(&of).expect("one goes").service;
        assert_eq!(ids(without_further_fields(&plain, false)), ["service:a:3", "own"]);
        // A field alone takes no check's number.
        let field = service(vec![check(tcp(), &[("Notes", "x")]), check(tcp(), &[])]);
        let sent = without_further_fields(&field, false).expect("it goes");
        assert!(sent.service.checks.iter().all(|check| check.id.is_none()));
    }

    #[test]
    fn how_an_agent_took_a_service_is_known_of_those_that_it_may_refuse() {
        let taken = Taken::default();
        let newer = service(vec![check(tcp(), &[("TCPUseTLS", "true")])]);
        let lengths = |service| -> Vec<_> {
            taken.forms(service).iter().map(|form| form.service.checks.len()).collect()
        };
        assert_eq!(lengths(&newer), [1, 0]);
        taken.note(&newer, false, false);
        assert_eq!(lengths(&newer), [0]);
        taken.note(&newer, true, false);
        assert_eq!(lengths(&newer), [1]);
        taken.forget("a");
        assert_eq!(lengths(&newer), [1, 0]);
        let plain = service(vec![check(tcp(), &[])]);
        taken.note(&newer, false, false);
        taken.note(&plain, true, false);
        assert_eq!((lengths(&plain), lengths(&newer)), (vec![1], vec![1, 0]));
    }
}
