//! An operator's deeds to a rollout: the document after one, or why there is none. Values without
//! I/O; the document's writer takes care that nobody else has written meanwhile.

use serde::{Deserialize, Serialize};

use super::{Document, Fleet, Named, Rollout, State, VERSION, figures};
use crate::policy::wave::Waves;

/// A deed to a rollout, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// Its name: `started`, `promoted to wave 2`, `halted`, `resumed`, `aborted`.
    pub what: String,
    /// By whom.
    pub by: String,
    /// When: RFC 3339.
    pub at: String,
}

/// The reason why a deed to a rollout is impossible. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// One is under way.
    #[error(
        "a rollout of {bundle} is not over: {words} ({deed}); --replace puts another one in its \
         place"
    )]
    NotOver {
        /// Its bundle.
        bundle: String,
        /// Its progress.
        words: String,
        /// The last deed to it.
        deed: String,
    },
    /// It is in that state already.
    #[error("the rollout is {0} already ({1})")]
    Already(State, String),
    /// It was aborted, and hosts go back.
    #[error("the rollout is aborted ({0}); start one again")]
    Aborted(String),
    /// The rollout is halted, so that no wave begins.
    #[error("the rollout is halted ({0}); resume it first")]
    Halted(String),
    /// All waves have begun.
    #[error("the last wave, {0}, has begun already")]
    Last(usize),
    /// There is no such wave.
    #[error("there is no wave {0}: the last one is {1}")]
    NoWave(usize, usize),
}

impl Deed {
    /// The deed as one phrase.
    fn words(&self) -> String {
        let Self { what, by, at } = self;
        format!("{what} by {by} at {at}")
    }
}

impl Document {
    /// The last deed to the rollout.
    #[must_use]
    pub fn deed(&self) -> Deed {
        let Rollout { by, started, last, .. } = &self.rollout;
        let start = || Deed { what: "started".into(), by: by.clone(), at: started.clone() };
        last.clone().unwrap_or_else(start)
    }

    /// The document of a new rollout in the place of this one.
    ///
    /// # Errors
    ///
    /// This one is not over, as far as the fleet tells, and is not to be replaced.
    pub fn succeeded(
        current: Option<&Self>,
        fleet: Option<&Fleet>,
        replace: bool,
        bundle: Named,
        rollout: Rollout,
    ) -> Result<Self, Unfit> {
        let before = match current {
            None => None,
            Some(current) => {
                if let Some(words) = current.remains(fleet).filter(|_| !replace) {
                    let (bundle, deed) =
                        (current.bundle.digest.to_string(), current.deed().words());
                    return Err(Unfit::NotOver { bundle, words, deed });
                }
                current.way_back(fleet, &bundle)
            }
        };
        Ok(Self { version: VERSION, bundle, before, rollout })
    }

    /// The words on what remains of this rollout; none if it is over. One that was aborted is.
    fn remains(&self, fleet: Option<&Fleet>) -> Option<String> {
        if self.rollout.state == State::Aborted {
            return None;
        }
        let Some(fleet) = fleet else { return Some("the fleet cannot be seen".into()) };
        let figures = figures(fleet, &self.bundle.digest);
        let (done, hosts) = (figures.done, figures.hosts);
        (done < hosts || self.rollout.state == State::Halted)
            .then(|| format!("{done} of {hosts} hosts have the bundle"))
    }

    /// The bundle to which hosts go back if the next rollout is aborted: one that all hosts
    /// have had, as far as there is one.
    fn way_back(&self, fleet: Option<&Fleet>, next: &Named) -> Option<Named> {
        let own = Some(&self.bundle);
        let whole = self.rollout.state != State::Aborted && self.remains(fleet).is_none();
        let aborted = self.rollout.state == State::Aborted;
        let order = match (whole, aborted) {
            (true, _) => [own, self.before.as_ref()],
            (false, false) => [self.before.as_ref(), own],
            (false, true) => [self.before.as_ref(), None],
        };
        order.into_iter().flatten().find(|one| one.digest != next.digest).cloned()
    }

    /// The document with the next wave begun, or all up to this one.
    ///
    /// # Errors
    ///
    /// There is no such wave, or the rollout does not go on.
    pub fn promoted(
        &self,
        fleet: &Fleet,
        to: Option<usize>,
        mut deed: Deed,
    ) -> Result<Self, Unfit> {
        match self.rollout.state {
            State::Running => {}
            State::Halted => return Err(Unfit::Halted(self.deed().words())),
            State::Aborted => return Err(Unfit::Aborted(self.deed().words())),
        }
        let Rollout { waves, wave, .. } = &self.rollout;
        let (begun, last) = (self.begun(fleet), waves.count() - 1);
        let to = match to {
            None if begun >= last => return Err(Unfit::Last(last)),
            None => begun + 1,
            Some(to) if to > last => return Err(Unfit::NoWave(to, last)),
            // A wave that was begun by a word is not taken back by another one.
            Some(to) => to.max(*wave),
        };
        deed.what = format!("promoted to wave {to}");
        Ok(self.with(|rollout| rollout.wave = to, deed))
    }

    /// The last wave that has begun: by a word, or since one of it has the bundle.
    #[must_use]
    pub fn begun(&self, fleet: &Fleet) -> usize {
        let Rollout { waves, wave, .. } = &self.rollout;
        let done = fleet.iter().filter(|(_, one)| one.bundle == Some(self.bundle.digest));
        let of = of(waves, fleet);
        let furthest = done.filter_map(|(host, _)| of(host)).max();
        furthest.unwrap_or_default().max(*wave)
    }

    /// The document in another state.
    ///
    /// # Errors
    ///
    /// It is in that state, or was aborted.
    pub fn turned(&self, to: State, mut deed: Deed) -> Result<Self, Unfit> {
        let from = self.rollout.state;
        if from == to {
            return Err(Unfit::Already(from, self.deed().words()));
        }
        if from == State::Aborted {
            return Err(Unfit::Aborted(self.deed().words()));
        }
        deed.what = match to {
            State::Running => "resumed",
            State::Halted => "halted",
            State::Aborted => "aborted",
        }
        .into();
        Ok(self.with(|rollout| rollout.state = to, deed))
    }

    fn with(&self, change: impl FnOnce(&mut Rollout), deed: Deed) -> Self {
        let mut new = self.clone();
        change(&mut new.rollout);
        new.rollout.last = Some(deed);
        new
    }
}

/// The waves of the hosts of a fleet.
fn of<'a>(waves: &Waves, fleet: &'a Fleet) -> impl Fn(&str) -> Option<usize> + use<'a> {
    let all = waves.of_all(fleet.keys().map(String::as_str));
    move |host| all.get(host).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Digest, rollout::Member};

    fn named(name: &str) -> Named {
        Named { digest: Digest::of(name.as_bytes()), from: format!("oci://registry/{name}") }
    }

    fn rollout(state: State) -> Rollout {
        Rollout {
            id: "a".into(),
            waves: "1,50%,100%".parse().expect("waves"),
            pause: std::time::Duration::from_secs(60),
            halt_when: "refused > 0".parse().expect("an expression"),
            monitor: false,
            state,
            wave: 0,
            started: "2026-01-01T00:00:00Z".into(),
            by: "ann".into(),
            last: None,
        }
    }

    fn document(state: State) -> Document {
        let before = Some(named("old"));
        Document { version: VERSION, bundle: named("new"), before, rollout: rollout(state) }
    }

    /// So many of ten hosts have the bundle.
    fn fleet(done: usize) -> Fleet {
        let member = |n| Member {
            bundle: Some(named(if n < done { "new" } else { "old" }).digest),
            ..Member::default()
        };
        (0..10).map(|n| (format!("host-{n}"), member(n))).collect()
    }

    fn deed() -> Deed {
        Deed { what: String::new(), by: "bob".into(), at: "2026-01-02T00:00:00Z".into() }
    }

    #[test]
    fn one_that_runs_is_not_replaced_unasked_and_the_way_back_is_what_all_have_had() {
        let (some, all) = (fleet(5), fleet(10));
        for (state, fleet, next, fits, before) in [
            (State::Running, Some(&all), "next", true, Some("new")),
            (State::Running, Some(&some), "next", false, Some("old")),
            (State::Running, None, "next", false, Some("old")),
            (State::Halted, Some(&all), "next", false, Some("old")),
            (State::Aborted, Some(&some), "next", true, Some("old")),
            // The same one again, and the one before.
            (State::Running, Some(&some), "new", false, Some("old")),
            (State::Running, Some(&all), "new", true, Some("old")),
            (State::Running, Some(&all), "old", true, Some("new")),
            (State::Running, Some(&some), "old", false, Some("new")),
            (State::Aborted, Some(&some), "old", true, None),
        ] {
            let current = document(state);
            let start = |replace| {
                let rollout = rollout(State::Running);
                Document::succeeded(Some(&current), fleet, replace, named(next), rollout)
            };
            assert_eq!(start(false).is_ok(), fits, "{state:?} {next}: {:?}", start(false));
            let new = start(true).expect("by the operator's word");
            assert_eq!(new.before, before.map(named), "{state:?} {next}");
            let bytes = serde_json::to_vec(&new).expect("JSON");
            assert_eq!(Document::parse(&bytes).expect("a document"), new);
        }
        let new = Document::succeeded(None, None, false, named("x"), rollout(State::Running));
        assert_eq!(new.expect("the first one").before, None);
    }

    #[test]
    fn a_rollout_is_turned_and_says_by_whom() {
        use State::{Aborted, Halted, Running};
        for (from, to, words) in [
            (Running, Halted, Ok("halted")),
            (Running, Aborted, Ok("aborted")),
            (Halted, Running, Ok("resumed")),
            (Halted, Aborted, Ok("aborted")),
            (Running, Running, Err("running already (started by ann")),
            (Halted, Halted, Err("halted already")),
            (Aborted, Aborted, Err("aborted already")),
            (Aborted, Running, Err("start one again")),
            (Aborted, Halted, Err("start one again")),
        ] {
            let turned = document(from).turned(to, deed());
            match (turned, words) {
                (Ok(new), Ok(what)) => {
                    let last = Deed { what: what.into(), ..deed() };
                    assert_eq!((new.rollout.state, new.deed()), (to, last));
                    let again = new.turned(to, deed()).expect_err("it is so already").to_string();
                    assert!(again.contains("by bob at 2026-01-02T00:00:00Z"), "{again}");
                }
                (Err(unfit), Err(words)) => {
                    assert!(unfit.to_string().contains(words), "{unfit}");
                }
                (turned, words) => panic!("{from:?} {to:?}: {turned:?}, not {words:?}"),
            }
        }
    }

    #[test]
    fn promoting_begins_the_next_wave_and_never_takes_one_back() {
        let running = document(State::Running);
        let none = fleet(0);
        let to = |document: &Document, fleet: &Fleet, to| {
            document.promoted(fleet, to, deed()).map(|new| new.rollout.wave)
        };
        assert_eq!(to(&running, &none, None), Ok(1));
        assert_eq!(to(&running, &none, Some(2)), Ok(2));
        assert_eq!(to(&running, &none, Some(3)), Err(Unfit::NoWave(3, 2)));
        let further = running.promoted(&none, Some(2), deed()).expect("it is promoted");
        assert_eq!(further.deed().what, "promoted to wave 2");
        assert_eq!(to(&further, &none, Some(1)), Ok(2));
        assert_eq!(to(&further, &none, None), Err(Unfit::Last(2)));
        // One of the last wave has it: that wave has begun.
        assert_eq!(to(&running, &fleet(10), None), Err(Unfit::Last(2)));
        for state in [State::Halted, State::Aborted] {
            assert!(to(&document(state), &none, None).is_err(), "{state:?}");
        }
    }
}
