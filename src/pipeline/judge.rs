//! From a stage's decision to services: what it returned is held against the
//! rules before anything is made of it. Pure.

use std::collections::{HashMap, HashSet};

use super::{
    Bounds, Change, Decision, Gate, Remark, StageError, Step, Verdict, Veto, diff, health::Said,
    validate,
};
use crate::model::{container::Container, host::Host, service::Service};

/// A decision that may be used, carried out on the services it was made for.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) services: Vec<Service>,
    pub(super) vetoed: Vec<Veto>,
    /// The changes, by the IDs that the services had before.
    pub(super) changes: Vec<(String, Change)>,
    /// The stage's remarks on its verdicts, likewise.
    pub(super) remarks: Vec<(String, Remark)>,
    /// The container's own words that were mended or left out, a sentence each.
    pub(super) warnings: Vec<String>,
}

impl Judged {
    /// The parts of it that are counted.
    pub(super) fn said(&self) -> Said<'_> {
        Said { changes: &self.changes, remarks: &self.remarks }
    }
}

/// The facts and bounds that a decision is held against.
pub(super) struct Judge<'a> {
    pub(super) step: &'a Step,
    pub(super) container: &'a Container,
    pub(super) host: &'a Host,
    pub(super) bounds: &'a Bounds,
    /// The services that the stage was shown.
    pub(super) services: &'a [Service],
}

impl Judge<'_> {
    /// Hold a decision against the rules, and carry it out.
    pub(super) fn judge(&self, decision: Decision) -> Result<Judged, StageError> {
        let Decision { verdicts, added, remarks } = decision;
        if verdicts.len() != self.services.len() {
            return invalid(format!(
                "{} verdicts for {} services",
                verdicts.len(),
                self.services.len()
            ));
        }
        let most = self.bounds.services;
        if added.len() > most {
            return invalid(format!(
                "{} more services; {most} are allowed (limits.services)",
                added.len()
            ));
        }
        let mut judged = Judged {
            services: Vec::with_capacity(verdicts.len() + added.len()),
            vetoed: Vec::new(),
            changes: Vec::new(),
            remarks: Vec::new(),
            warnings: Vec::new(),
        };
        // A stage of the daemon's own hands on what a container says: a bad word costs that word
        // and not the container. What others write is theirs.
        let verdicts = match self.step.is_builtin() {
            true => self.gate(verdicts, &mut judged.warnings),
            false => verdicts,
        };
        for (before, verdict) in self.services.iter().zip(verdicts) {
            self.verdict(&mut judged, before, verdict)?;
        }
        let ids = self.services.iter().map(|before| before.id.clone());
        judged.remarks = ids.zip(remarks).filter(|(_, remark)| !remark.is_empty()).collect();
        let added_from = judged.services.len();
        for service in added {
            self.added(&mut judged, service)?;
        }
        if !self.step.is_builtin() {
            self.distinct(&judged.services, added_from)?;
        }
        Ok(judged)
    }

    /// Hold against the gate what a stage of the daemon's own made of the container's words.
    fn gate(&self, verdicts: Vec<Verdict>, warnings: &mut Vec<String>) -> Vec<Verdict> {
        let settings = self.step.made().map_or("", |made| &made.settings);
        let gate = Gate::of(self.container, self.host).with_settings(settings);
        let origins = self.services.iter().map(|before| before.origin.clone());
        gate.verdicts(verdicts, origins, warnings)
    }

    fn verdict(
        &self,
        judged: &mut Judged,
        before: &Service,
        verdict: Verdict,
    ) -> Result<(), StageError> {
        match verdict {
            Verdict::Keep => judged.services.push(before.clone()),
            Verdict::Replace(after) => {
                let after = Service { origin: before.origin.clone(), ..*after };
                if !self.step.is_builtin() {
                    validate::replaced(&self.host.hostname, self.bounds, before, &after)
                        .map_err(StageError::Invalid)?;
                }
                let fields = diff(before, &after);
                if let Some(first) = fields.first() {
                    let field = &first.field;
                    self.permitted(|| format!("service {:?}: {field}: it differs", before.id))?;
                    judged.changes.push((before.id.clone(), Change::Changed(fields)));
                }
                judged.services.push(after);
            }
            Verdict::Veto(reason) => {
                judged.changes.push((before.id.clone(), Change::Vetoed(reason.clone())));
                let stage = self.step.name().to_string();
                judged.vetoed.push(Veto { stage, service: before.clone(), reason });
            }
        }
        Ok(())
    }

    fn added(&self, judged: &mut Judged, service: Service) -> Result<(), StageError> {
        let service = Service { origin: None, ..service };
        validate::added(&self.host.hostname, self.bounds, &service).map_err(StageError::Invalid)?;
        self.permitted(|| format!("service {:?}: it is added", service.id))?;
        judged.changes.push((service.id.clone(), Change::Added));
        judged.services.push(service);
        Ok(())
    }

    /// A stage that only validates keeps and vetoes.
    fn permitted(&self, what: impl FnOnce() -> String) -> Result<(), StageError> {
        if self.step.rules().validate_only {
            return invalid(format!("{}, and the stage is validate-only", what()));
        }
        Ok(())
    }

    /// Of two services with one ID only one would be registered. Those that the stage
    /// was shown with one ID already are not held against it, unless it adds one more.
    fn distinct(&self, services: &[Service], added_from: usize) -> Result<(), StageError> {
        let (before, after) = (count(self.services), count(services));
        let added: HashSet<_> = services.iter().skip(added_from).map(|it| it.id.as_str()).collect();
        let repeats = |id: &str, n: usize| {
            n > 1 && (added.contains(id) || before.get(id).is_none_or(|before| *before < n))
        };
        match after.iter().filter(|(id, n)| repeats(id, **n)).map(|(id, _)| *id).min() {
            Some(id) => invalid(format!(
                "service {:?}: id: another service of the container has it",
                validate::shown(id)
            )),
            None => Ok(()),
        }
    }
}

fn count(services: &[Service]) -> HashMap<&str, usize> {
    let mut count = HashMap::new();
    for service in services {
        *count.entry(service.id.as_str()).or_default() += 1;
    }
    count
}

fn invalid<T>(fault: String) -> Result<T, StageError> {
    Err(StageError::Invalid(fault))
}
