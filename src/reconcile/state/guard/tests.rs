//! The guard's decisions, and its counts.

use super::*;

fn container(n: usize) -> ContainerId {
    ContainerId(format!("{n:064}").into())
}

fn removal(n: usize) -> Vec<String> {
    vec![format!("s{n}")]
}

/// A trial in which so many of so many services would go.
fn trial(gone: usize, of: usize, cause: &Cause) -> (Guard, Option<Verdict>) {
    let mut guard = Guard::new(GuardLimits::default());
    for n in 0..gone {
        assert!(guard.waits(&container(n), cause.clone(), removal(n)));
    }
    let verdict = guard.decide(of, |engine| engine == "absent");
    (guard, verdict)
}

#[test]
fn what_is_more_than_the_share_and_not_few_is_held() {
    for (gone, of, held) in
        [(0, 0, false), (4, 4, false), (5, 9, true), (5, 10, false), (6, 10, true), (50, 50, true)]
    {
        let (_, verdict) = trial(gone, of, &Cause::Pipeline);
        assert_eq!(matches!(verdict, Some(Verdict::Hold(_))), held, "{gone} of {of}");
    }
}

#[test]
fn what_is_held_waits_until_it_is_confirmed_and_the_rest_does_not() {
    let (mut guard, _) = trial(6, 6, &Cause::Pipeline);
    assert!(guard.waits(&container(1), Cause::Pipeline, removal(1)));
    assert!(!guard.waits(&container(9), Cause::Pipeline, removal(9)));
    assert_eq!(guard.held().map(|held| held.services.len()), Some(6));
    assert_eq!(guard.confirm().len(), 6);
    assert_eq!(guard.held(), None);
    assert!(!guard.waits(&container(1), Cause::Pipeline, removal(1)));
}

#[test]
fn a_container_that_offers_again_what_it_has_is_no_longer_held() {
    let (mut guard, _) = trial(6, 6, &Cause::Pipeline);
    for n in 0..6 {
        assert!(!guard.waits(&container(n), Cause::Pipeline, Vec::new()));
    }
    assert_eq!(guard.held(), None);
}

#[test]
fn the_containers_of_an_engine_that_is_not_here_count_and_others_do_not() {
    let (_, verdict) = trial(6, 6, &Cause::Engine("absent".into()));
    assert!(matches!(verdict, Some(Verdict::Hold(_))));
    let (_, verdict) = trial(6, 6, &Cause::Engine("renamed".into()));
    assert!(matches!(verdict, Some(Verdict::Go(containers)) if containers.len() == 6));
}

#[test]
fn what_could_not_be_judged_in_the_trial_is_counted_afterwards() {
    let mut guard = Guard::new(GuardLimits::default());
    for n in 0..8 {
        guard.not_judged(&container(n));
    }
    assert_eq!(guard.decide(8, |_| false), Some(Verdict::Go(Vec::new())));
    let waits: Vec<_> =
        (0..8).map(|n| guard.waits(&container(n), Cause::Pipeline, removal(n))).collect();
    assert_eq!(waits, [false, false, false, false, true, true, true, true]);
}

#[test]
fn who_wants_what_is_held_for_another_one_is_looked_at_with_it() {
    let (mut guard, _) = trial(6, 6, &Cause::Pipeline);
    assert!(guard.reserves("s1", &container(9)));
    assert!(!guard.reserves("s1", &container(1)));
    guard.put_off(&container(9));
    let released = guard.confirm();
    assert_eq!((released.len(), released.contains(&container(9))), (7, true));
}

#[test]
fn a_container_that_keeps_what_it_has_holds_nothing_any_more() {
    let (mut guard, _) = trial(6, 6, &Cause::Pipeline);
    guard.forget(&container(1));
    assert!(!guard.reserves("s1", &container(9)));
    assert_eq!(guard.held().map(|held| held.services.len()), Some(5));
}

#[test]
fn what_a_trial_adds_makes_what_goes_no_smaller_a_share() {
    let mut guard = Guard::new(GuardLimits::default());
    guard.count((0..6).flat_map(removal).collect());
    for n in 0..6 {
        guard.waits(&container(n), Cause::Pipeline, removal(n));
    }
    // It came with the trial.
    assert!(!guard.waits(&container(6), Cause::Pipeline, removal(6)));
    let Some(Verdict::Hold(held)) = guard.decide(60, |_| false) else { panic!("not held") };
    assert_eq!((held.services.len(), held.of), (6, 6));
}

#[test]
fn what_is_another_engines_is_held_however_little_it_is_and_holds_up_nothing_else() {
    let mut guard = Guard::new(GuardLimits::default());
    let theirs = Cause::Engine("absent".into());
    assert!(guard.waits(&container(1), theirs.clone(), removal(1)));
    assert!(guard.waits(&container(2), Cause::Pipeline, removal(2)));
    let verdict = guard.decide(9, |engine| engine == "absent");
    assert!(matches!(verdict, Some(Verdict::Part(goes, _)) if goes == [container(2)]));
    assert!(!guard.waits(&container(2), Cause::Pipeline, removal(2)));
    // So is what comes later.
    assert!(guard.waits(&container(3), theirs.clone(), removal(3)));
    assert_eq!(guard.held().map(|held| held.services.len()), Some(2));
    // Nothing waits for a service whose place is taken.
    guard.let_go("s3");
    assert_eq!(guard.engines(), ["absent".to_string()].into());
    assert_eq!(guard.confirm(), [container(1)]);
    assert_eq!((guard.held(), guard.engines()), (None, BTreeSet::new()));
}

#[test]
fn a_confirmation_beforehand_is_for_one_change() {
    let mut guard = Guard::new(GuardLimits { confirmed: true, ..GuardLimits::default() });
    for n in 0..6 {
        guard.waits(&container(n), Cause::Pipeline, removal(n));
    }
    assert!(matches!(guard.decide(6, |_| false), Some(Verdict::Go(_))));
    guard.begin();
    for n in 0..6 {
        guard.waits(&container(n), Cause::Pipeline, removal(n));
    }
    assert!(matches!(guard.decide(6, |_| false), Some(Verdict::Hold(_))));
}
