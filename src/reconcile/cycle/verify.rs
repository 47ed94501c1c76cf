//! Whether the registry still has what it was told: the services, their checks, and everything
//! at once. Between two reads of everything this is told by small ones, and what was lost
//! without this daemon's doing is registered again by the containers' own looks.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::{Shared, sync::report_drift};
use crate::{
    error::error_chain,
    model::{container::ContainerId, service::Service},
    reconcile::{
        job::{Job, JobError, Next, looks},
        state::{State, catalog::Drift},
    },
    registry::{Part, RegistryError},
    telemetry::event,
};

/// The pauses between two questions whether something has changed. They are asked when the
/// watch has its turn, which is every other second; that for services takes the place of a lookup.
const SERVICES: Duration = Duration::from_millis(3_500);
const CHECKS: Duration = Duration::from_millis(9_500);
/// The longest time for a list: the watch has other things to do.
const LIST: Duration = Duration::from_secs(5);
/// The most services to look up at a time.
const MOST_LOOKUPS: usize = 200;
/// The most services to try as the one by which a loss of everything shows.
const MOST_SENTINELS: usize = 4;
/// The pause before a service is registered again for its checks once more, which grows:
/// somebody may take them out again and again.
const RESTORE_AGAIN: Duration = Duration::from_secs(15);
const LONGEST_RESTORE: Duration = Duration::from_secs(3600);

impl Shared {
    /// See whether the registry still has what it was told.
    pub(super) async fn watch(&self) -> Result<Next, JobError> {
        let told = self.ask_for_changes().await;
        // A count of changes shows the loss of everything as a lookup does, and that the registry is there.
        let counted = matches!(told, Some(Some(_))) && self.state().verified.suspect.is_none();
        if !counted && self.has_lost_everything().await? {
            return Ok(vec![(Job::Sync, Duration::ZERO)]);
        }
        let mut next = self.settle_unseen().await;
        // registrator does not look whether what it registered is there.
        if !self.rules.is_original() {
            if let Some(version) = told {
                next.extend(self.verify_services(version).await);
            }
            next.extend(self.verify_checks().await);
        }
        Ok(next)
    }

    /// Ask for the version of all services, if it is time; the registry may not be able to tell it.
    async fn ask_for_changes(&self) -> Option<Option<u64>> {
        let due = !self.rules.is_original()
            && self.state().verified.services.is_due(Instant::now(), SERVICES);
        if due { Some(self.registry.version(Part::Services).await) } else { None }
    }

    /// Whether everything is lost, by services that are looked up. One that cannot be
    /// looked up is exchanged for another.
    async fn has_lost_everything(&self) -> Result<bool, JobError> {
        let suspect = self.state().verified.suspect.clone();
        let (mut denied, mut error) = (HashSet::new(), None);
        for _ in 0..MOST_SENTINELS {
            let sentinels = self.sentinels(&denied, suspect.as_ref());
            if sentinels.is_empty() {
                break;
            }
            let (id, failed) = match self.one_is_lost(&sentinels).await {
                Ok(lost) => {
                    // To touch it counts as a change.
                    if !denied.is_empty() {
                        self.state().verified.strange.extend(denied);
                    }
                    return Ok(lost || self.judge_suspect(suspect).await);
                }
                Err(failed) => failed,
            };
            debug!(service = ?id, error = error_chain(&failed), "it cannot be looked up");
            if failed.is_transient() {
                return self.suspect(id, suspect, failed).await;
            } else if matches!(failed, JobError::Registry(RegistryError::Forbidden { .. })) {
                denied.insert(id);
                error = Some(failed);
            } else {
                self.state().verified.strange.insert(id);
            }
        }
        // Of a token that may read none it is said so.
        error.map_or(Ok(false), Err)
    }

    /// The services to be looked up, but for these; the suspect only if there is no other.
    fn sentinels(&self, denied: &HashSet<String>, suspect: Option<&String>) -> Vec<String> {
        let state = &mut *self.state();
        let (catalog, verified) = (&state.catalog, &mut state.verified);
        if denied.is_empty() && suspect.is_none() {
            let changes = catalog.changes() + verified.strange.changes();
            let strange = &verified.strange;
            return verified.sentinels.after(changes, || catalog.sentinels_but(strange));
        }
        let mut left_out = HashSet::clone(&verified.strange);
        left_out.extend(denied.iter().cloned());
        let Some(suspect) = suspect else { return catalog.sentinels_but(&left_out) };
        let all = catalog.sentinels_but(&left_out);
        left_out.insert(suspect.clone());
        let others = catalog.sentinels_but(&left_out);
        if others.is_empty() { all } else { others }
    }

    /// A lookup got no answer: the registry is away, unless there is no other service to ask for and
    /// a list comes.
    async fn suspect(
        &self,
        id: String,
        before: Option<String>,
        error: JobError,
    ) -> Result<bool, JobError> {
        let again = before.as_ref() == Some(&id);
        let listed = again && matches!(timeout(LIST, self.registry.ids()).await, Ok(Ok(_)));
        let verified = &mut self.state().verified;
        if listed {
            verified.suspect = None;
            verified.strange.insert(id);
            return Ok(false);
        }
        verified.suspect = Some(id);
        Err(error)
    }

    async fn one_is_lost(&self, sentinels: &[String]) -> Result<bool, (String, JobError)> {
        for sentinel in sentinels {
            match self.has_lost(sentinel).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => return Err((sentinel.clone(), error)),
            }
        }
        Ok(false)
    }

    /// The registry answers for others than the one whose lookup failed. Whether that one is
    /// lost; if its lookup fails again, the fault is its own.
    async fn judge_suspect(&self, suspect: Option<String>) -> bool {
        let Some(suspect) = suspect else { return false };
        let judged = self.has_lost(&suspect).await;
        let verified = &mut self.state().verified;
        verified.suspect = None;
        match judged {
            Ok(lost) => lost,
            Err(error) => {
                let reason = error_chain(&error);
                warn!(
                    event = event::NOT_LOOKED_UP,
                    id = suspect,
                    reason,
                    "a service cannot be looked up; another one is watched"
                );
                verified.strange.insert(suspect);
                false
            }
        }
    }

    async fn has_lost(&self, sentinel: &str) -> Result<bool, JobError> {
        let lie = self.state().verified.lookups_lie;
        if lie || self.registry.has(sentinel).await? {
            return Ok(false);
        }
        let read = self.registry.read().await?;
        if !read.contains_key(sentinel) {
            return Ok(true);
        }
        // It may have been registered again between the two.
        let watched = || {
            let state = self.state();
            state.catalog.sentinels_but(&state.verified.strange)
        };
        if !self.registry.has(sentinel).await? && watched().iter().any(|id| id == sentinel) {
            self.state().verified.lookups_lie = true;
            warn!(
                event = event::NOT_LOOKED_UP,
                id = sentinel,
                "the registry does not find by its ID what it has; it is not watched"
            );
        }
        Ok(false)
    }

    /// Look up once more what a read did not show and a lookup did not tell of.
    async fn settle_unseen(&self) -> Next {
        let (unseen, asked) = {
            let state = &mut *self.state();
            let catalog = &state.catalog;
            let unseen = state.verified.unseen.after(catalog.changes(), || catalog.unseen());
            (unseen, catalog.now())
        };
        let unseen = unseen.into_iter().take(MOST_LOOKUPS).map(|id| (id, ())).collect();
        let mut gone = Vec::new();
        for (id, (), found) in self.look_up(unseen).await {
            match found {
                Ok(false) => gone.push(id),
                Err(error) if error.is_transient() => {}
                // What is refused again and again counts as it was, as what may not be read.
                Ok(true) | Err(_) => self.state().catalog.note_seen(&id),
            }
        }
        self.note_gone(gone, asked)
    }

    /// These services are gone, by lookups that began when so much was written.
    fn note_gone(&self, gone: Vec<String>, asked: u64) -> Next {
        if gone.is_empty() {
            return Next::new();
        }
        let state = &mut *self.state();
        let catalog = &mut state.catalog;
        let (mut concerned_all, mut drift) = (BTreeSet::new(), Drift::default());
        for id in gone {
            let ours = catalog.ours_is(&id);
            let concerned = catalog.note_gone(&id, asked);
            if ours && !concerned.is_empty() {
                drift.gone.push(id);
            }
            concerned_all.extend(concerned);
        }
        report_drift(&drift, catalog);
        state.meters.counts.drift += drift.services();
        looks(concerned_all)
    }

    /// See whether each of the services is there, if this version or the last list's age asks for it.
    async fn verify_services(&self, version: Option<u64>) -> Next {
        let now = Instant::now();
        if !self.state().verified.services.wants_list(now, version) {
            return Next::new();
        }
        let asked = self.state().catalog.now();
        let ids = match timeout(LIST, self.registry.ids()).await {
            Ok(Ok(ids)) => ids,
            Ok(Err(error)) => {
                debug!(error = error_chain(&error), "it is not known which services are there");
                return Next::new();
            }
            Err(_) => return Next::new(),
        };
        self.state().verified.services.note_list(now, version);
        let vanished = self.state().catalog.vanished(&ids, asked);
        if vanished.len() > MOST_LOOKUPS {
            return vec![(Job::Sync, Duration::ZERO)];
        }
        let lookups = vanished.into_iter().map(|id| (id, ())).collect();
        let found = self.look_up(lookups).await;
        // What may not be read is not gone; nor what cannot be looked up.
        let gone = found.into_iter().filter(|(_, (), found)| matches!(found, Ok(false)));
        self.note_gone(gone.map(|(id, ..)| id).collect(), asked)
    }

    /// See whether the services have their checks.
    async fn verify_checks(&self) -> Next {
        let now = Instant::now();
        {
            let State { catalog, verified, .. } = &mut *self.state();
            let wants = || catalog.wants_checks();
            if !verified.checks.is_due(now, CHECKS)
                || !verified.wants_checks.after(catalog.changes(), wants)
            {
                return Next::new();
            }
        }
        let version = self.registry.version(Part::Checks).await;
        if !self.state().verified.checks.wants_list(now, version) {
            return Next::new();
        }
        let (services, asked) = {
            let State { catalog, verified, .. } = &mut *self.state();
            let now = catalog.now();
            let checked = || catalog.checked(now).into();
            (verified.checked.after(catalog.changes(), checked), now)
        };
        match timeout(LIST, self.registry.lacking_checks(&services)).await {
            Ok(Ok(lacking)) => {
                self.state().verified.checks.note_list(now, version);
                let lacking =
                    services.iter().filter(|service| lacking.contains(&service.id)).cloned();
                self.restore_checks(lacking.collect(), asked).await
            }
            Ok(Err(error)) => {
                debug!(error = error_chain(&error), "it is not known which checks are there");
                Next::new()
            }
            Err(_) => Next::new(),
        }
    }

    /// Have these services registered again, which lack checks. Where the service may be
    /// read, its checks may be as well, so that they are gone.
    async fn restore_checks(&self, lacking: Vec<Arc<Service>>, asked: u64) -> Next {
        let now = Instant::now();
        let lookups = {
            let restored = &self.state().verified.restored;
            let may = |service: &Arc<Service>| {
                restored.get(&service.id).is_none_or(|(last, times)| {
                    let pause = RESTORE_AGAIN.saturating_mul(1 << times.min(&10));
                    now.duration_since(*last) >= pause.min(LONGEST_RESTORE)
                })
            };
            let lacking = lacking.into_iter().filter(may).take(MOST_LOOKUPS);
            lacking.map(|service| (service.id.clone(), service)).collect()
        };
        let mut next = Next::new();
        for (id, service, found) in self.look_up(lookups).await {
            if !matches!(found, Ok(true)) {
                continue;
            }
            let Some(container) = self.state().catalog.note_lost_checks(&service, asked) else {
                continue;
            };
            let name = self.state().name_of(&container);
            warn!(
                event = event::LOST_CHECKS,
                container.id = &*container.0,
                container.name = name,
                service = service.name,
                id,
                "somebody else has taken out its checks; registering it again"
            );
            let restored = &mut self.state().verified.restored;
            restored.retain(|_, (last, _)| now.duration_since(*last) < LONGEST_RESTORE);
            let times = restored.get(&id).map_or(0, |(_, times)| times + 1);
            restored.insert(id, (now, times));
            next.push((Job::Reconcile(container), Duration::ZERO));
        }
        next
    }

    /// Report to the TTL checks of a container's services. A check or service that is gone
    /// is registered again, and none keeps another one from its report.
    pub(super) async fn report_heartbeat(&self, container: &ContainerId) -> Result<Next, JobError> {
        let beat = self.state().life.heartbeat(container).cloned();
        let Some(beat) = beat else { return Ok(Next::new()) };
        let (mut next, mut failed, mut reached) = (Next::new(), None, false);
        for (service, checks) in &beat.services {
            let (registered, asked) = {
                let catalog = &self.state().catalog;
                (catalog.registered(&service.id).is_some(), catalog.now())
            };
            if !registered {
                continue;
            }
            let result = self.registry.beat(service, checks, beat.status, &beat.output).await;
            let Err(error) = result else {
                reached = true;
                continue;
            };
            let looks = match error {
                RegistryError::Unreachable { .. } => Next::new(),
                _ => self.miss(service, asked).await,
            };
            if looks.is_empty() {
                failed = Some(error);
            } else {
                reached = true;
                next.extend(looks);
            }
        }
        let again = if next.is_empty() { beat.every } else { beat.every.min(BEAT_AGAIN) };
        let verified_name = self.state().name_of(container);
        let verified = &mut self.state().verified;
        match failed {
            None => {
                if verified.muted.remove(container) {
                    info!(
                        event = event::HEARTBEAT_RECOVERED,
                        container.id = &*container.0,
                        container.name = verified_name,
                        "reports to TTL checks again"
                    );
                }
            }
            Some(error) if !reached => return Err(error.into()),
            Some(error) => {
                if verified.muted.insert(container.clone()) {
                    let reason = error_chain(&error);
                    let name = verified_name;
                    warn!(
                        event = event::HEARTBEAT_FAILING,
                        container.id = &*container.0,
                        container.name = name,
                        reason,
                        "cannot report to a TTL check"
                    );
                }
            }
        }
        next.push((Job::Heartbeat(container.clone()), again));
        Ok(next)
    }

    /// A report to a service's checks failed: whether because it, or one of them, is gone.
    async fn miss(&self, service: &Arc<Service>, asked: u64) -> Next {
        match self.registry.has(&service.id).await {
            Ok(false) => self.note_gone(vec![service.id.clone()], asked),
            Ok(true) => match self.registry.lacking_checks(std::slice::from_ref(service)).await {
                Ok(lacking) if !lacking.is_empty() => {
                    self.restore_checks(vec![service.clone()], asked).await
                }
                _ => Next::new(),
            },
            Err(_) => Next::new(),
        }
    }
}

/// The pause before the first report to what has just been registered again.
const BEAT_AGAIN: Duration = Duration::from_secs(1);
