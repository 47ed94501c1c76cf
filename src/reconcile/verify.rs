//! Whether the registry still has what it was told: the services, their checks, and everything
//! at once. Between two reads of everything this is told by small ones, and what was lost
//! without this daemon's doing is registered again by the containers' own looks.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::{
    Job,
    catalog::Drift,
    look::{LookError, Next, Shared, lock},
    sync::report_drift,
};
use crate::{
    container::ContainerId,
    error::error_chain,
    registry::{Part, RegistryError},
    service::Service,
};

/// The pauses between two questions whether something has changed. They are asked when the
/// watch has its turn, which is every other second.
const SERVICES: Duration = Duration::from_millis(3_500);
const CHECKS: Duration = Duration::from_millis(9_500);
/// How old the last list may be where the registry cannot tell whether something has
/// changed, and where it says that nothing has.
const UNTOLD: Duration = Duration::from_millis(7_500);
const TOLD: Duration = Duration::from_secs(60);
/// How long a list may take: the watch has other things to do.
const LIST: Duration = Duration::from_secs(5);
/// How many services are looked up at a time.
const MOST_LOOKUPS: usize = 200;
/// How many services are tried as the one by which a loss of everything shows.
const MOST_SENTINELS: usize = 4;
/// The pause before a service is registered again for its checks once more, which grows:
/// somebody may take them out again and again.
const RESTORE_AGAIN: Duration = Duration::from_secs(15);
const LONGEST_RESTORE: Duration = Duration::from_secs(3600);

/// What is known of whether everything is still there.
#[derive(Debug, Default)]
pub(super) struct Verified {
    services: Pace,
    checks: Pace,
    /// A service whose lookup failed, which may be its fault or the registry's.
    suspect: Option<String>,
    /// Services that cannot be looked up while others can.
    pub(super) strange: HashSet<String>,
    /// The IDs that the registry has and cannot be asked for.
    pub(super) unaddressable: BTreeSet<String>,
    /// When services were registered again for their checks, and how often.
    restored: HashMap<String, (Instant, u32)>,
    /// Containers of whose reports some fail.
    muted: HashSet<ContainerId>,
}

/// When something was asked for, and what was said.
#[derive(Debug, Default)]
struct Pace {
    asked: Option<Instant>,
    listed: Option<Instant>,
    version: Option<u64>,
}

impl Pace {
    /// Whether it is time to ask.
    fn is_due(&mut self, now: Instant, pause: Duration) -> bool {
        let due = self.asked.is_none_or(|asked| now.duration_since(asked) >= pause);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// Whether there is something to be seen in a list, by the version that was told.
    fn wants_list(&self, now: Instant, version: Option<u64>) -> bool {
        let most = if version.is_some() { TOLD } else { UNTOLD };
        (version.is_some() && version != self.version)
            || self.listed.is_none_or(|listed| now.duration_since(listed) >= most)
    }

    /// A list was read, after this version was told.
    fn note_list(&mut self, now: Instant, version: Option<u64>) {
        self.listed = Some(now);
        self.version = version.or(self.version);
    }
}

impl Shared {
    /// See whether the registry still has what it was told.
    pub(super) async fn watch(&self) -> Result<Next, LookError> {
        if self.has_lost_everything().await? {
            return Ok(vec![(Job::Sync, Duration::ZERO)]);
        }
        let mut next = self.settle_unseen().await;
        // registrator does not look whether what it registered is there.
        if !self.is_original() {
            next.extend(self.verify_services().await);
            next.extend(self.verify_checks().await);
        }
        Ok(next)
    }

    /// Whether everything is lost, by services that are looked up. One that cannot be
    /// looked up is exchanged for another.
    async fn has_lost_everything(&self) -> Result<bool, LookError> {
        let suspect = lock(&self.verified).suspect.clone();
        let (mut denied, mut error) = (HashSet::new(), None);
        for _ in 0..MOST_SENTINELS {
            let sentinels = self.sentinels(&denied, suspect.as_ref());
            if sentinels.is_empty() {
                break;
            }
            let (id, failed) = match self.one_is_lost(&sentinels).await {
                Ok(lost) => {
                    lock(&self.verified).strange.extend(denied);
                    return Ok(lost || self.judge_suspect(suspect).await);
                }
                Err(failed) => failed,
            };
            debug!(service = ?id, error = error_chain(&failed), "it cannot be looked up");
            if failed.is_transient() {
                return self.suspect(id, suspect, failed).await;
            } else if matches!(failed, LookError::Registry(RegistryError::Forbidden { .. })) {
                denied.insert(id);
                error = Some(failed);
            } else {
                lock(&self.verified).strange.insert(id);
            }
        }
        // Of a token that may read none it is said so.
        error.map_or(Ok(false), Err)
    }

    /// The services to be looked up, but for these; the suspect only if there is no other.
    fn sentinels(&self, denied: &HashSet<String>, suspect: Option<&String>) -> Vec<String> {
        let mut left_out = lock(&self.verified).strange.clone();
        left_out.extend(denied.iter().cloned());
        let catalog = lock(&self.catalog);
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
        error: LookError,
    ) -> Result<bool, LookError> {
        let again = before.as_ref() == Some(&id);
        let listed = again && matches!(timeout(LIST, self.registry.ids()).await, Ok(Ok(_)));
        let mut verified = lock(&self.verified);
        if listed {
            verified.suspect = None;
            verified.strange.insert(id);
            return Ok(false);
        }
        verified.suspect = Some(id);
        Err(error)
    }

    async fn one_is_lost(&self, sentinels: &[String]) -> Result<bool, (String, LookError)> {
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
        let mut verified = lock(&self.verified);
        verified.suspect = None;
        match judged {
            Ok(lost) => lost,
            Err(error) => {
                let error = error_chain(&error);
                warn!(service = ?suspect, error, "it cannot be looked up; another one is watched");
                verified.strange.insert(suspect);
                false
            }
        }
    }

    async fn has_lost(&self, sentinel: &str) -> Result<bool, LookError> {
        if self.lookups_lie.load(Ordering::Relaxed) || self.registry.has(sentinel).await? {
            return Ok(false);
        }
        let read = self.registry.read().await?;
        if !read.contains_key(sentinel) {
            return Ok(true);
        }
        // It may have been registered again between the two.
        let strange = lock(&self.verified).strange.clone();
        let watched = || lock(&self.catalog).sentinels_but(&strange);
        if !self.registry.has(sentinel).await? && watched().iter().any(|id| id == sentinel) {
            self.lookups_lie.store(true, Ordering::Relaxed);
            warn!("the registry does not find by its ID what it has; it is not watched");
        }
        Ok(false)
    }

    /// Look up once more what a read did not show and a lookup did not tell of.
    async fn settle_unseen(&self) -> Next {
        let (unseen, asked) = {
            let catalog = lock(&self.catalog);
            (catalog.unseen(), catalog.now())
        };
        let unseen = unseen.into_iter().take(MOST_LOOKUPS).map(|id| (id, ())).collect();
        let mut gone = Vec::new();
        for (id, (), found) in self.look_up(unseen).await {
            match found {
                Ok(false) => gone.push(id),
                Err(error) if error.is_transient() => {}
                // What is refused again and again counts as it was, as what may not be read.
                Ok(true) | Err(_) => lock(&self.catalog).note_seen(&id),
            }
        }
        self.note_gone(gone, asked)
    }

    /// These services are gone, by lookups that began when so much was written.
    fn note_gone(&self, gone: Vec<String>, asked: u64) -> Next {
        let mut catalog = lock(&self.catalog);
        let (mut looks, mut drift) = (BTreeSet::new(), Drift::default());
        for id in gone {
            let ours = catalog.ours_is(&id);
            let concerned = catalog.note_gone(&id, asked);
            if ours && !concerned.is_empty() {
                drift.gone.push(id);
            }
            looks.extend(concerned);
        }
        report_drift(&drift, catalog.services() + catalog.uncertain());
        looks.into_iter().map(|container| (Job::Look(container), Duration::ZERO)).collect()
    }

    /// See whether each of the services is there.
    async fn verify_services(&self) -> Next {
        let now = Instant::now();
        if !lock(&self.verified).services.is_due(now, SERVICES) {
            return Next::new();
        }
        let version = self.registry.version(Part::Services).await;
        if !lock(&self.verified).services.wants_list(now, version) {
            return Next::new();
        }
        let asked = lock(&self.catalog).now();
        let ids = match timeout(LIST, self.registry.ids()).await {
            Ok(Ok(ids)) => ids,
            Ok(Err(error)) => {
                debug!(error = error_chain(&error), "it is not known which services are there");
                return Next::new();
            }
            Err(_) => return Next::new(),
        };
        lock(&self.verified).services.note_list(now, version);
        let vanished = lock(&self.catalog).vanished(&ids, asked);
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
        if !lock(&self.catalog).wants_checks() || !lock(&self.verified).checks.is_due(now, CHECKS) {
            return Next::new();
        }
        let version = self.registry.version(Part::Checks).await;
        if !lock(&self.verified).checks.wants_list(now, version) {
            return Next::new();
        }
        let (services, asked) = {
            let catalog = lock(&self.catalog);
            (catalog.checked(catalog.now()), catalog.now())
        };
        match timeout(LIST, self.registry.lacking_checks(&services)).await {
            Ok(Ok(lacking)) => {
                lock(&self.verified).checks.note_list(now, version);
                let lacking = services.into_iter().filter(|service| lacking.contains(&service.id));
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
            let restored = &lock(&self.verified).restored;
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
            let Some(container) = lock(&self.catalog).note_lost_checks(&service, asked) else {
                continue;
            };
            warn!(service = id, "somebody else has taken out its checks; registering it again");
            let restored = &mut lock(&self.verified).restored;
            restored.retain(|_, (last, _)| now.duration_since(*last) < LONGEST_RESTORE);
            let times = restored.get(&id).map_or(0, |(_, times)| times + 1);
            restored.insert(id, (now, times));
            next.push((Job::Look(container), Duration::ZERO));
        }
        next
    }

    /// Report to the TTL checks of a container's services. A check or service that is gone
    /// is registered again, and none keeps another one from its report.
    pub(super) async fn beat(&self, container: &ContainerId) -> Result<Next, LookError> {
        let Some(beat) = lock(&self.beats).get(container).cloned() else { return Ok(Next::new()) };
        let (mut next, mut failed, mut reached) = (Next::new(), None, false);
        for (service, checks) in &beat.services {
            let (registered, asked) = {
                let catalog = lock(&self.catalog);
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
        let mut verified = lock(&self.verified);
        match failed {
            None => drop(verified.muted.remove(container)),
            Some(error) if !reached => return Err(error.into()),
            Some(error) => {
                if verified.muted.insert(container.clone()) {
                    let error = error_chain(&error);
                    warn!(container = container.short(), error, "cannot report to a TTL check");
                }
            }
        }
        next.push((Job::Beat(container.clone()), again));
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
