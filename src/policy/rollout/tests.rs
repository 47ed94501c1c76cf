//! Rollouts over simulated fleets, and documents.

use super::*;

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn document(waves: &str, halt_when: &str) -> Document {
    let text = serde_json::json!({
        "version": 1,
        "bundle": {"digest": digest("new"), "from": "oci://registry/policy"},
        "before": {"digest": digest("old"), "from": "oci://registry/policy"},
        "rollout": {
            "id": "a", "waves": waves, "pause": "10m", "halt-when": halt_when, "state": "running",
            "started": "2026-01-01T00:00:00Z", "by": "ann",
        },
    });
    Document::parse(text.to_string().as_bytes()).expect("a document")
}

/// A fleet in which each host looks at the others once a minute, in an order of its own.
struct World {
    document: Document,
    fleet: Fleet,
    observers: BTreeMap<String, Observer>,
    now: Instant,
    /// When each host has taken the bundle, in minutes.
    taken: BTreeMap<String, u64>,
}

impl World {
    fn new(hosts: usize, waves: &str, halt_when: &str) -> Self {
        let names = (0..hosts).map(|n| format!("host-{n}"));
        let member = || Member { bundle: Some(digest("old")), ..Member::default() };
        Self {
            document: document(waves, halt_when),
            fleet: names.map(|name| (name, member())).collect(),
            observers: BTreeMap::new(),
            now: Instant::now(),
            taken: BTreeMap::new(),
        }
    }

    /// Let so many minutes pass; hosts for which `refuses` is true refuse the bundle.
    fn pass(&mut self, minutes: u64, refuses: impl Fn(&str) -> bool) {
        let start = self.now;
        for minute in 0..minutes {
            self.now = start + Duration::from_secs(60 * minute);
            let names: Vec<_> = self.fleet.keys().cloned().collect();
            for name in names {
                let in_force = self.fleet[&name].bundle;
                let observer = self.observers.entry(name.clone()).or_default();
                let turn =
                    observer.turn(&self.document, &name, in_force.as_ref(), &self.fleet, self.now);
                let member = self.fleet.get_mut(&name).expect("a member");
                if member.lost {
                    continue;
                }
                match turn {
                    Turn::Take if refuses(&name) => member.refused = Some(digest("new")),
                    Turn::Take => {
                        member.bundle = Some(digest("new"));
                        self.taken.entry(name).or_insert(minute);
                    }
                    Turn::Before => member.bundle = Some(digest("old")),
                    Turn::Stay(_) => {}
                }
            }
        }
    }

    fn count(&self, bundle: &str) -> usize {
        self.fleet.values().filter(|member| member.bundle == Some(digest(bundle))).count()
    }

    fn wave(&self, name: &str) -> usize {
        self.document.rollout.waves.of(name, self.fleet.keys().map(String::as_str))
    }
}

#[test]
fn a_rollout_arrives_everywhere_wave_by_wave() {
    let mut world = World::new(100, "1,10%,50%,100%", "refused > 0");
    world.pass(60, |_| false);
    assert_eq!(world.count("new"), 100);
    // Between the last host of a wave and the first of the next is the pause.
    for (name, minute) in &world.taken {
        let wave = world.wave(name);
        let before = world.taken.iter().filter(|(other, _)| world.wave(other) < wave);
        let last = before.map(|(_, minute)| *minute).max();
        assert!(last.is_none_or(|last| *minute >= last + 10), "{name} at {minute} after {last:?}");
    }
}

#[test]
fn one_that_is_refused_on_a_tenth_of_the_hosts_stops_in_its_first_waves() {
    let mut world = World::new(100, "1,10%,50%,100%", "refused > 0");
    world.pass(100, |name| name.ends_with('7'));
    let waves: Vec<_> = world.taken.keys().map(|name| world.wave(name)).collect();
    let refused = world.fleet.values().filter(|member| member.refused.is_some()).count();
    assert!(refused > 0 && waves.iter().all(|wave| *wave < 3), "{refused} {waves:?}");
    assert!(world.count("old") >= 50, "{}", world.count("old"));
    // Abort brings all back.
    world.document.rollout.state = State::Aborted;
    world.pass(1, |_| false);
    assert_eq!(world.count("old"), 100);
}

#[test]
fn a_host_that_the_bundle_has_killed_is_waited_for() {
    let mut world = World::new(50, "1,100%", "refused > 0");
    world.pass(1, |_| false);
    let first = world.taken.keys().next().expect("the first wave").clone();
    world.fleet.get_mut(&first).expect("the host").lost = true;
    world.pass(100, |_| false);
    assert_eq!(world.count("new"), 1);
    // The operator's word goes before.
    world.document.rollout.wave = 1;
    world.pass(1, |_| false);
    assert_eq!(world.count("new"), 50);
}

#[test]
fn a_halted_one_goes_no_further_and_a_pause_begins_anew() {
    let mut world = World::new(50, "1,100%", "false");
    world.pass(8, |_| false);
    world.document.rollout.state = State::Halted;
    world.pass(100, |_| false);
    assert_eq!(world.count("new"), 1);
    world.document.rollout.state = State::Running;
    world.pass(10, |_| false);
    assert_eq!(world.count("new"), 1, "the pause is not over");
    world.now += Duration::from_secs(60);
    world.pass(2, |_| false);
    assert_eq!(world.count("new"), 50);
}

#[test]
fn one_that_comes_new_has_the_policy_of_the_others() {
    let mut world = World::new(50, "1,100%", "false");
    world.document.rollout.state = State::Halted;
    world.fleet.insert("late".into(), Member::default());
    world.pass(1, |_| false);
    assert_eq!(world.fleet["late"].bundle, Some(digest("old")));
    // Without one before it, it waits for its turn, and an abort leaves all as it is.
    world.document.before = None;
    let mut observer = Observer::default();
    let mut turn =
        |world: &World| observer.turn(&world.document, "later", None, &world.fleet, world.now);
    assert_eq!(turn(&world), Turn::Stay(Waits::Halted));
    world.document.rollout.state = State::Aborted;
    assert_eq!(turn(&world), Turn::Stay(Waits::NoneBefore));
}

#[test]
fn a_document_is_read_whole_or_not_at_all() {
    let good = document("1,100%", "refused > 0");
    let text = serde_json::to_vec(&good).expect("JSON");
    assert_eq!(Document::parse(&text).expect("a document"), good);
    let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    for (pointer, to, part) in [
        ("/version", serde_json::json!(2), "version 2"),
        ("/bundle/digest", serde_json::json!("sha256:../x"), "no digest"),
        ("/before/digest", serde_json::json!(digest("new")), "the bundle itself"),
        ("/rollout/waves", serde_json::json!("1,50%"), "not 100%"),
        ("/rollout/halt-when", serde_json::json!("refuse > 0"), "the name \"refuse\""),
        ("/rollout/state", serde_json::json!("done"), "unknown variant"),
        ("/rollout/pause", serde_json::json!("long"), "no rollout's document"),
        ("/rollout/id", serde_json::json!(""), "rollout.id"),
        ("/rollout/by", serde_json::json!(1), "invalid type"),
        ("/rollout", serde_json::json!({}), "missing field"),
    ] {
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).expect(pointer) = to;
        let fault = Document::parse(changed.to_string().as_bytes()).expect_err(pointer);
        let words = crate::error::error_chain(&fault);
        assert!(words.contains(part), "{pointer}: {words}");
    }
    let mut more = value;
    more["extra"] = 1.into();
    assert!(Document::parse(more.to_string().as_bytes()).is_err());
    // Cut short at any place, or far too long.
    assert!((0..text.len()).all(|end| Document::parse(&text[..end]).is_err()));
    assert!(matches!(Document::parse(&vec![b' '; MAX_LENGTH + 1]), Err(BadDocument::Long(_))));
}
