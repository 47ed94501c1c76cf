//! A policy by the document of a rollout in Consul's KV.
//!
//! The key is watched by blocking queries, on a task of its own; what the document says is weighed
//! when it changes, and every few seconds while it is not this host's turn, by what the fleet tells
//! then. A document or a fleet that cannot be read whole is no turn: what is in force stays.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tracing::info;

use super::{Call, Follower, one_line};
use crate::{
    error::error_chain,
    policy::{
        Bundle, Digest,
        peers::Peers,
        rollout::{Document, Fleet, Named, Observer, State, Turn, Waits},
        source::{self, SourceError},
        succession::Way,
    },
    registry::ConsulReader,
    telemetry::event,
};

/// The most bytes of a document that are read; it has to be shorter.
const MOST: usize = 512 << 10;
/// The time for which a blocking query waits for a change.
const WAIT: Duration = Duration::from_secs(60);
/// The least time between two answers that are not errors, so that a key that changes all the
/// time is not asked for all the time.
const REST: Duration = Duration::from_millis(500);
/// The pauses after errors.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The least time between two looks at the fleet while it is not this host's turn, and the time for
/// each of its hosts: all of them look, and each sees all, so that a large fleet looks less often.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_FOR_EACH: Duration = Duration::from_millis(100);
/// Downloads of the hosts of a fleet are spread over this time.
const SPREAD: Duration = Duration::from_secs(10);

/// The key's last content: a document, or why there is none.
type News = Option<Result<Document, String>>;

impl Follower {
    /// Follow the document of a key.
    pub(super) async fn follow_document(&mut self, key: &str, host: &str, peers: &dyn Peers) {
        // There is one, by how the policy was made.
        let Some(kv) = self.policy.kv.clone() else {
            while self.called().await != Call::Move {}
            return;
        };
        let (sender, mut news) = watch::channel(None);
        let asked = Arc::new(Notify::new());
        let watch = watch_key(kv, key.to_string(), host.to_string(), sender, asked.clone());
        let watching = tokio::spawn(watch);
        let _watching = Aborted(watching);
        let mut observer = Observer::default();
        let mut document: Option<Document> = None;
        let mut hosts = 0;
        loop {
            let look = look_of(hosts);
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = sleep(look + spread(host, "look", look / 4)), if document.is_some() => {}
                call = self.called() => match call {
                    // The key's content of now is news, or was weighed already.
                    Call::Look => asked.notify_one(),
                    Call::Move => return,
                },
            }
            let came = news.borrow_and_update().clone();
            match came {
                Some(Ok(said)) => {
                    if document.as_ref() != Some(&said) {
                        // A new word is followed at once.
                        self.again = None;
                    }
                    let asks = |one: &Document| (one.rollout.id.clone(), one.bundle.clone());
                    if document.as_ref().is_some_and(|before| asks(before) != asks(&said)) {
                        // A refused bundle is asked for once more, or from elsewhere: by an old
                        // refusal alone no rollout halts.
                        self.change(|standing| standing.refused = None).await;
                    }
                    document = Some(said);
                }
                // The last document counts for a host that waits: no leader is no new word.
                Some(Err(reason)) => {
                    self.note_source(Some(reason)).await;
                    continue;
                }
                None => continue,
            }
            if let Some(document) = &document {
                match self.weigh(document, host, peers, &mut observer, &mut hosts).await {
                    Ok(true) => self.note_source(None).await,
                    // A bundle that did not come is waited for.
                    Ok(false) => {}
                    Err(reason) => self.note_source(Some(reason)).await,
                }
            }
        }
    }

    /// Do what a document asks of this host now; false if that waits for its time. The error is
    /// what could not be read. It is nobody's refusal.
    async fn weigh(
        &mut self,
        document: &Document,
        host: &str,
        peers: &dyn Peers,
        observer: &mut Observer,
        hosts: &mut usize,
    ) -> Result<bool, String> {
        let in_force = self.in_force();
        let aborted = document.rollout.state == State::Aborted;
        let settled = aborted || in_force == Some(document.bundle.digest);
        // Whom nothing is asked of any more needs no look at the others.
        let fleet = if settled { Ok(Fleet::new()) } else { peers.fleet().await };
        let mut fleet = fleet.map_err(|reason| format!("the fleet cannot be read: {reason}"))?;
        *hosts = fleet.len();
        if let Some(own) = fleet.get_mut(host) {
            // Of itself a host knows more than it has told the others by now.
            let standing = self.standing.borrow();
            own.bundle = in_force;
            own.refused = standing.refused.as_ref().map(|refused| refused.digest);
        }
        let turn = observer.turn(document, host, in_force.as_ref(), &fleet, Instant::now());
        let shadow = document.rollout.monitor && !aborted;
        let (named, waits) = wanted(document, turn, in_force.is_some());
        if self.standing.borrow().waits != waits
            && let Some(waits) = waits
        {
            let (digest, reason) = (document.bundle.digest.to_string(), waits.to_string());
            info!(
                event = event::POLICY_WAITS,
                digest, reason, "it is not this host's turn to take the policy: {reason}"
            );
        }
        // A bundle that nobody asks for any more is not refused any more.
        let asked = [Some(&document.bundle), document.before.as_ref()];
        let asked = |digest: Digest| asked.iter().flatten().any(|named| named.digest == digest);
        self.change(|standing| {
            standing.waits = waits;
            standing.monitored &= shadow;
            if standing.refused.as_ref().is_some_and(|refused| !asked(refused.digest)) {
                standing.refused = None;
            }
        })
        .await;
        let Some(named) = named else { return Ok(true) };
        if in_force == Some(named.digest) {
            self.change(|standing| standing.refused = None).await;
            return Ok(true);
        }
        let trial = shadow && named.digest == document.bundle.digest;
        if trial && self.tried == Some(named.digest) {
            return Ok(true);
        }
        if self.waits_for(&named.digest) {
            return Ok(false);
        }
        let back = self.policy.kept.as_ref().and_then(|kept| kept.before);
        let way = if aborted { Way::Back(back.as_ref()) } else { Way::On };
        match self.had(named, host).await {
            Ok(bundle) => self.consider(bundle, way, trial).await,
            Err(SourceError::Away(reason)) => {
                self.put_off(named.digest);
                return Err(format!("{} cannot be fetched: {reason}", named.digest));
            }
            Err(error) => self.refuse(named.digest, one_line(&error)).await,
        }
        Ok(true)
    }

    /// The bundle that is named: from the store, or fetched.
    async fn had(&self, named: &Named, host: &str) -> Result<Bundle, SourceError> {
        let stored = self.policy.store.get(&named.digest);
        let trusted = |bundle: &Bundle| self.means.trust.verify(bundle, SystemTime::now()).is_ok();
        let stored = match stored {
            Some(bundle) if trusted(&bundle) => return Ok(bundle),
            // It may have been signed by another key since.
            stored => stored,
        };
        // A host without any policy is not kept waiting.
        if self.in_force().is_some() && !named.from.starts_with("file://") {
            sleep(spread(host, &named.from, SPREAD)).await;
        }
        let (kv, registry) = (self.policy.kv.as_ref(), &self.means.registry);
        let bundle = match (source::fetch(&named.from, kv, registry).await, stored) {
            (Err(_), Some(stored)) => stored,
            (fetched, _) => fetched?,
        };
        if bundle.digest != named.digest {
            let Bundle { digest, name, sequence, .. } = bundle;
            return Err(SourceError::Place(format!(
                "{} has {name} {sequence} {digest}, which is not what was asked for",
                named.from
            )));
        }
        Ok(bundle)
    }
}

/// The time between two looks at a fleet of so many hosts.
fn look_of(hosts: usize) -> Duration {
    LOOK_FOR_EACH.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX)).max(LOOK)
}

/// The bundle that a host is to have, or to try out, at its turn; or what it waits for.
fn wanted(document: &Document, turn: Turn, has_policy: bool) -> (Option<&Named>, Option<Waits>) {
    let (bundle, before) = (Some(&document.bundle), document.before.as_ref());
    let shadow = document.rollout.monitor && document.rollout.state != State::Aborted;
    match turn {
        // One that has no policy has the one before while another is only tried out.
        Turn::Take if shadow && !has_policy && before.is_some() => (before, None),
        Turn::Take => (bundle, None),
        // Where all are only to look, there is nothing to wait for.
        Turn::Stay(Waits::Wave(_) | Waits::Pause(_)) if shadow => (bundle, None),
        Turn::Before => (before, None),
        Turn::Stay(waits) => (None, Some(waits)),
    }
}

/// Ask for the key again and again, and at once when somebody wants that.
async fn watch_key(
    kv: ConsulReader,
    key: String,
    host: String,
    news: watch::Sender<News>,
    asked: Arc<Notify>,
) {
    let mut watch = Watch { kv, key, host, news, index: 0, pause: FIRST_PAUSE };
    loop {
        tokio::select! {
            () = watch.ask() => {}
            () = asked.notified() => (watch.index, watch.pause) = (0, FIRST_PAUSE),
        }
        if watch.news.is_closed() {
            return;
        }
    }
}

/// A key that is watched.
struct Watch {
    kv: ConsulReader,
    key: String,
    host: String,
    news: watch::Sender<News>,
    /// The number of the last change that was seen; none is 0.
    index: u64,
    /// The pause after the next error.
    pause: Duration,
}

impl Watch {
    /// Wait for a change, tell of it, and rest. May be given up at any moment.
    async fn ask(&mut self) {
        let since = (self.index > 0).then_some((self.index, WAIT));
        match self.kv.value(&self.key, since, MOST).await {
            Ok(value) => {
                self.pause = FIRST_PAUSE;
                // One that goes back is of other servers, or of a restored snapshot.
                let next = if value.index < self.index { 0 } else { value.index };
                let changed = next != self.index || next == 0 || self.news.borrow().is_none();
                let failing = matches!(&*self.news.borrow(), Some(Err(_)));
                self.index = next;
                if changed || failing {
                    let said = match &value.bytes {
                        Some(bytes) => Document::parse(bytes).map_err(|error| error_chain(&error)),
                        None => Err(format!("there is no key {:?}", self.key)),
                    };
                    self.tell(said);
                }
                sleep(REST + spread(&self.host, &self.key, REST)).await;
                if self.index == 0 {
                    // Without an index nothing can be waited for.
                    sleep(FIRST_PAUSE).await;
                }
            }
            Err(error) => {
                self.tell(Err(error_chain(&error)));
                self.index = 0;
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                sleep(pause + spread(&self.host, &self.key, pause)).await;
            }
        }
    }

    fn tell(&self, said: Result<Document, String>) {
        self.news.send_if_modified(|last| {
            let same = last.as_ref() == Some(&said);
            *last = Some(said);
            !same
        });
    }
}

/// A part of `most` that is a host's own, so that hosts do not do the same at the same moment.
fn spread(host: &str, what: &str, most: Duration) -> Duration {
    let hash = Sha256::new().chain_update(host).chain_update([0]).chain_update(what).finalize();
    most * u32::from(hash[0]) / 256
}

/// A task that ends with whoever has started it.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_wants_what_its_turn_says_and_a_shadow_waits_for_nobody() {
        let named =
            |text: &str| json!({ "digest": Digest::of(text.as_bytes()), "from": "file:///b" });
        let document = |state: &str, monitor: bool, with_before: bool| -> Document {
            let mut document = json!({
                "version": 1, "bundle": named("new"),
                "rollout": {
                    "id": "a", "waves": "1,100%", "pause": "1m", "halt-when": "refused > 0",
                    "state": state, "monitor": monitor, "started": "", "by": "",
                },
            });
            if with_before {
                document["before"] = named("old");
            }
            serde_json::from_value(document).expect("a document")
        };
        let (wave, halted) = (Waits::Wave(0), Waits::HaltWhen);
        for (state, monitor, before, turn, has_policy, expected) in [
            ("running", false, true, Turn::Take, true, Ok("new")),
            ("running", false, true, Turn::Take, false, Ok("new")),
            ("running", false, true, Turn::Before, false, Ok("old")),
            ("running", false, true, Turn::Stay(wave), true, Err(wave)),
            ("aborted", false, true, Turn::Before, true, Ok("old")),
            ("running", true, true, Turn::Take, true, Ok("new")),
            ("running", true, true, Turn::Take, false, Ok("old")),
            ("running", true, false, Turn::Take, false, Ok("new")),
            ("running", true, true, Turn::Stay(wave), true, Ok("new")),
            // A rollout that has stopped is not tried out either.
            ("running", true, true, Turn::Stay(halted), true, Err(halted)),
            ("aborted", true, true, Turn::Before, true, Ok("old")),
            ("aborted", true, true, Turn::Stay(wave), true, Err(wave)),
        ] {
            let case = format!("{state} {monitor} {before} {turn:?} {has_policy}");
            let document = document(state, monitor, before);
            let (found, waits) = wanted(&document, turn, has_policy);
            let digest = expected.ok().map(|text| Digest::of(text.as_bytes()));
            assert_eq!(found.map(|named| named.digest), digest, "{case}");
            assert_eq!(waits, expected.err(), "{case}");
        }
    }

    #[test]
    fn hosts_are_spread_and_each_has_its_place() {
        let most = Duration::from_secs(10);
        let places: std::collections::BTreeSet<_> =
            (0..200).map(|n| spread(&format!("host-{n}"), "x", most)).collect();
        assert!(places.len() > 80 && places.iter().all(|place| *place < most), "{places:?}");
        assert_eq!(spread("a", "x", most), spread("a", "x", most));
    }

    #[test]
    fn a_large_fleet_is_looked_at_less_often() {
        for (hosts, seconds) in [(0, 5), (1, 5), (50, 5), (100, 10), (10_000, 1_000)] {
            assert_eq!(look_of(hosts), Duration::from_secs(seconds), "{hosts}");
        }
    }
}
