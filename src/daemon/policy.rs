//! Follows this host's policy: from its source to the bundle in force.
//!
//! The bundle in force changes only when another one was verified, may follow the one before, has
//! loaded, was foretold on this host's containers and would pass the guard. A failure is told, and
//! changes nothing. A bundle is on disk before it is in force, so that a start needs nobody.

mod at_hand;
mod call;
mod document;
mod file;
mod foretell;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::anyhow;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    config::{Config, PolicySource},
    daemon::{
        hosting::Hosting,
        means::{Means, components, folder},
        reload::Take,
    },
    error::error_chain,
    model::host::Compat,
    policy::{
        Bundle, Digest,
        hosted::{self, Hosted},
        kept::Kept,
        peers::Peers,
        standing::{Refused, Standing},
        store::Store,
        succession::{Way, may_follow},
        trust::TrustError,
    },
    reconcile::{Handle, TroubleKind},
    registry::{ConsulReader, Place},
    stages::loader::BadConfig,
    telemetry::event,
};

pub use at_hand::{at_hand, left};
use call::Call;
pub use foretell::{Foreteller, Foretold, Unforetold};

/// The most that all kept bundles may have together.
const STORE_SIZE: u64 = 2 << 30;
/// The pauses before a bundle that was refused is tried again: what spoke against it may have
/// been a container.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The policy of a host, as far as it is known before the loop runs.
pub struct Policy {
    /// The means to it, which a changed file changes.
    means: watch::Sender<Arc<Means>>,
    store: Store,
    folder: PathBuf,
    compat: Compat,
    kept: Option<Kept>,
    /// The components of the bundle in force.
    components: BTreeSet<Digest>,
    kv: Option<ConsulReader>,
    standing: Standing,
}

/// Follows a policy while the loop runs.
struct Follower {
    policy: Policy,
    /// The means to the policy.
    means: Arc<Means>,
    /// Tells of other means.
    changes: watch::Receiver<Arc<Means>>,
    standing: watch::Sender<Standing>,
    takes: mpsc::Sender<Take>,
    handle: Handle,
    /// The bundle that was refused, and when it is tried again.
    again: Option<(Digest, Instant, Duration)>,
    /// The bundle that was tried out, and is all right.
    tried: Option<Digest>,
    /// SIGHUP, if it can be heard.
    hangup: Option<Signal>,
}

impl Policy {
    /// The policy that the configuration wants, if it wants one, and what stands above the host's
    /// file at the start: the last good bundle, which is read from the disk alone.
    ///
    /// # Errors
    ///
    /// [`BadConfig`]: a key cannot be used, the store cannot be, or there is no such source here.
    pub fn of(
        config: &Config,
        uri: &str,
        compat: Compat,
    ) -> anyhow::Result<Option<(Self, Hosting)>> {
        let place =
            Place::parse(uri).and_then(|place| place.key_values(|name| std::env::var(name).ok()));
        let kv = place.map_err(|error| BadConfig(error.into()))?;
        let Some(means) = Means::of(config, kv.is_some()).map_err(BadConfig)? else {
            return match left(config) {
                Some(fault) => Err(BadConfig(anyhow!(fault)).into()),
                None => Ok(None),
            };
        };
        let folder = folder(config).map_err(BadConfig)?;
        let store = Store::open(&folder, STORE_SIZE)
            .map_err(|error| BadConfig(anyhow!("policy.store: {error}")))?;
        let standing = Standing { source: Some(means.source.to_string()), ..Standing::default() };
        let mut policy = Self {
            means: watch::channel(Arc::new(means)).0,
            store,
            folder,
            compat,
            kept: None,
            components: BTreeSet::new(),
            kv,
            standing,
        };
        let hosting = match policy.last_good() {
            Some(hosted) => Hosting::Below(Arc::new(hosted), Some(policy.store.clone())),
            None if config.policy.required => {
                let reason = "policy.required";
                warn!(
                    event = event::POLICY_AWAITED,
                    reason, "no policy is there yet: until one is, containers keep what they have"
                );
                Hosting::Awaited
            }
            None => Hosting::Optional,
        };
        Ok(Some((policy, hosting)))
    }

    /// The host's standing towards its policy before anything is asked.
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// The sender that changes the means to the policy.
    pub fn means(&self) -> watch::Sender<Arc<Means>> {
        self.means.clone()
    }

    /// The bundle that was in force last, if it can still be used.
    fn last_good(&mut self) -> Option<Hosted> {
        let read = Kept::read(&self.folder).map_err(|error| error.to_string());
        let kept = read.map_err(|reason| lost(&self.folder, &reason)).ok()??;
        self.kept = Some(kept.clone());
        let used = self.store.get(&kept.digest).ok_or_else(|| "it is damaged or gone".to_string());
        let used = used.and_then(|bundle| {
            let verified = self.means.borrow().trust.verify(&bundle, SystemTime::now());
            let key = match verified {
                // The end of a key takes nothing away that is in force.
                Ok(key) | Err(TrustError::Expired { key, .. }) => key,
                Err(error) => return Err(error.to_string()),
            };
            let hosted = Hosted::new(&bundle, key, self.compat, &components(&self.folder));
            hosted.map_err(|error| error.to_string())
        });
        match used {
            Ok(hosted) => {
                say_in_force(&hosted);
                self.components = hosted.digests();
                self.standing.in_force = Some(hosted.in_force().clone());
                Some(hosted)
            }
            Err(reason) => {
                lost(&self.folder, &format!("{}: {reason}", kept.digest));
                self.standing.refused = Some(Refused { digest: kept.digest, reason });
                None
            }
        }
    }

    /// Follow the source until `stop`.
    pub async fn follow(
        self,
        host: String,
        peers: Box<dyn Peers>,
        standing: watch::Sender<Standing>,
        takes: mpsc::Sender<Take>,
        handle: Handle,
        stop: CancellationToken,
    ) {
        let hangup = signal(SignalKind::hangup()).ok();
        let mut changes = self.means.subscribe();
        let means = changes.borrow_and_update().clone();
        let mut follower = Follower {
            policy: self,
            means,
            changes,
            standing,
            takes,
            handle,
            again: None,
            tried: None,
            hangup,
        };
        let work = async {
            follower.tell().await;
            loop {
                match follower.means.source.clone() {
                    PolicySource::File(path) => follower.follow_file(&path).await,
                    PolicySource::Oci(reference) => follower.follow_oci(&reference).await,
                    PolicySource::ConsulKv(key) => {
                        follower.follow_document(&key, &host, &*peers).await;
                    }
                }
                follower.moves().await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Follower {
    /// The bundle in force.
    fn in_force(&self) -> Option<Digest> {
        self.standing.borrow().in_force.as_ref().map(|one| one.digest)
    }

    /// Whether a bundle was refused and its time has not come yet.
    fn waits_for(&self, digest: &Digest) -> bool {
        self.again
            .as_ref()
            .is_some_and(|(refused, at, _)| refused == digest && Instant::now() < *at)
    }

    /// Whether what was refused is to be tried again by now.
    fn is_due(&self) -> bool {
        self.again.as_ref().is_some_and(|(_, at, _)| *at <= Instant::now())
    }

    /// Have a bundle in force if all of it is right; otherwise it is refused, and what is in force
    /// stays so.
    async fn consider(&mut self, bundle: Bundle, way: Way<'_>, trial: bool) {
        let digest = bundle.digest;
        if self.in_force() == Some(digest) {
            self.settled().await;
            return;
        }
        match self.take(bundle, way, trial).await {
            Ok(hosted) => {
                self.again = None;
                match trial {
                    true => self.tried = Some(digest),
                    false => say_in_force(&hosted),
                }
                self.change(|standing| {
                    standing.refused = None;
                    standing.monitored = trial;
                    if !trial {
                        standing.in_force = Some(hosted.in_force().clone());
                    }
                })
                .await;
            }
            Err(reason) => self.refuse(digest, reason).await,
        }
        hosted::prune(&components(&self.policy.folder), &self.policy.components);
    }

    /// Note that the wanted bundle is in force.
    async fn settled(&mut self) {
        self.change(|standing| (standing.refused, standing.monitored) = (None, false)).await;
        self.again = None;
    }

    async fn take(
        &mut self,
        bundle: Bundle,
        way: Way<'_>,
        trial: bool,
    ) -> Result<Arc<Hosted>, String> {
        let Policy { store, folder, compat, kept, .. } = &self.policy;
        let returns = matches!(way, Way::Back(Some(before)) if *before == bundle.digest);
        let key = match self.means.trust.verify(&bundle, SystemTime::now()) {
            Ok(key) => key,
            // The way back is not closed by the end of a key.
            Err(TrustError::Expired { key, .. }) if returns => key,
            Err(error) => return Err(error.to_string()),
        };
        let known = kept.as_ref().map(Kept::in_force);
        may_follow(known.as_ref(), &bundle, way).map_err(|error| error.to_string())?;
        let hosted = Hosted::new(&bundle, key, *compat, &components(folder));
        let hosted = Arc::new(hosted.map_err(|error| error.to_string())?);
        let now = Kept::of(hosted.in_force(), kept.as_ref(), matches!(way, Way::Back(_)));
        let keep = {
            let (store, folder, now) = (store.clone(), folder.clone(), now.clone());
            Box::new(move || {
                store.put(&bundle).map_err(|error| error.to_string())?;
                now.write(&folder).map_err(|error| error.to_string())
            })
        };
        let (answer, became) = oneshot::channel();
        let take = Take { hosted: hosted.clone(), store: store.clone(), trial, keep, answer };
        let stopping = "the daemon is stopping";
        self.takes.send(take).await.map_err(|_| stopping)?;
        became.await.map_err(|_| stopping)??;
        if !trial {
            self.policy.kept = Some(now);
            self.policy.components = hosted.digests();
        }
        Ok(hosted)
    }

    /// Try a bundle again after a pause, longer each time.
    fn put_off(&mut self, digest: Digest) {
        let before = self.again.take().filter(|(refused, ..)| *refused == digest);
        let pause = before.map_or(FIRST_PAUSE, |(_, _, pause)| (pause * 2).min(LONGEST_PAUSE));
        self.again = Some((digest, Instant::now() + pause, pause));
    }

    /// Note that the wanted bundle is refused, and why.
    async fn refuse(&mut self, digest: Digest, reason: String) {
        self.put_off(digest);
        let refused = Refused { digest, reason: reason.clone() };
        let news = self.standing.borrow().refused.as_ref() != Some(&refused);
        if news {
            let digest = digest.to_string();
            error!(
                event = event::POLICY_REFUSED,
                digest, reason, "a policy is refused; what was in force stays so"
            );
        }
        self.change(|standing| {
            (standing.refused, standing.monitored) = (Some(refused), false);
        })
        .await;
    }

    /// The source cannot be read, for this reason, or can.
    async fn note_source(&mut self, failing: Option<String>) {
        let before = self.standing.borrow().source_failing.clone();
        let place = self.means.source.to_string();
        match (&before, &failing) {
            (Some(_), None) => {
                info!(
                    event = event::POLICY_SOURCE_READ,
                    place, "the policy's source answers again"
                );
            }
            (_, Some(reason)) if before != failing => {
                warn!(
                    event = event::POLICY_SOURCE_FAILING,
                    place, reason, "the policy's source cannot be read; what is in force stays so"
                );
            }
            _ => {}
        }
        self.change(|standing| standing.source_failing = failing).await;
    }

    async fn change(&mut self, change: impl FnOnce(&mut Standing)) {
        let changed = self.standing.send_if_modified(|standing| {
            let before = standing.clone();
            change(standing);
            *standing != before
        });
        if changed {
            self.tell().await;
        }
    }

    /// Let the loop know what somebody should mend.
    async fn tell(&self) {
        let Standing { in_force, refused, source_failing, .. } = self.standing.borrow().clone();
        let refused = refused
            .map(|Refused { digest, reason }| format!("the policy {digest} is refused: {reason}"));
        let failing =
            source_failing.map(|reason| format!("{}: cannot be read: {reason}", self.means.source));
        let none = in_force.is_none().then(|| "no policy is in force yet".to_string());
        // A loop that has ended has no trouble.
        let words = refused.or(failing).or(none);
        let _ = self.handle.note_trouble(TroubleKind::Policy, words).await;
    }
}

fn say_in_force(hosted: &Hosted) {
    let one = hosted.in_force();
    let (policy, sequence, key, digest) =
        (&one.name, one.sequence, &one.key, one.digest.to_string());
    info!(
        event = event::POLICY_IN_FORCE,
        policy, sequence, digest, key, "the policy {policy} {sequence} is in force"
    );
}

/// Log that the bundle that was in force last cannot be used.
fn lost(folder: &Path, reason: &str) {
    let file = folder.display().to_string();
    error!(
        event = event::POLICY_LOST,
        file, reason, "the policy that was in force last cannot be used"
    );
}

/// An error of a source as one line.
fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    error_chain(error).replace(['\n', '\r'], " ")
}
