//! What goes wrong in the middle of a rollout: each is a story of its own.

use super::*;
use crate::common::proxy::Mode;

/// Whether the stories are to be told.
pub(super) fn asked() -> bool {
    let asked = std::env::var_os("WHARFINGER_FLEET_FAULTS").is_some();
    if !asked {
        eprintln!("not told: WHARFINGER_FLEET_FAULTS=1 has the stories of faults told");
    }
    asked
}

async fn usual() -> Fleet {
    Fleet::start(size(), |_| false, |_| Vec::new()).await
}

/// Waits until the first host has a bundle, and so the rollout has begun.
async fn begun(fleet: &Fleet, bundle: &wharfinger::policy::Bundle) {
    let digest = bundle.digest.to_string();
    until(SOON, "the first wave has it", async || {
        let all = fleet.bundles_in_force().await?;
        let has = all.values().any(|one| *one == digest);
        if has { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}

/// The leader is killed, and another server with it in the next rollout: a cluster without a leader
/// is no news. With a leader the rollout goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_and_a_lost_quorum_hold_up_a_rollout_and_no_more() {
    if !asked() {
        return;
    }
    let _one = ONE.lock().await;
    let fleet = usual().await;
    let second = fleet.bundle(2, "owner");
    fleet.begin(&second, WAVES, &["--replace"]).await;
    begun(&fleet, &second).await;
    let leader = fleet.cluster.read().await.led().await;
    fleet.cluster.write().await.kill(leader);
    let next = fleet.cluster.read().await.led().await;
    assert_ne!(next, leader);
    fleet.all_have(&second).await;
    fleet.tagged("v2").await;
    fleet.lost_nothing();
    fleet.none_was_early();

    // Two of three are away: nobody leads, for longer than a look lasts.
    let third = fleet.bundle(3, "owner");
    fleet.begin(&third, WAVES, &[]).await;
    begun(&fleet, &third).await;
    fleet.cluster.write().await.kill(next);
    let before = fleet.bundles_in_force().await.unwrap_or_default();
    tokio::time::sleep(Duration::from_secs(30)).await;
    {
        let mut cluster = fleet.cluster.write().await;
        cluster.start_again(leader);
        cluster.start_again(next);
    }
    fleet.cluster.read().await.led().await;
    let after = fleet.bundles_in_force().await.unwrap_or_default();
    let took: Vec<_> = after.iter().filter(|(name, one)| before.get(*name) != Some(*one)).collect();
    eprintln!("without a leader these have taken it: {took:?}");
    fleet.all_have(&third).await;
    fleet.tagged("v3").await;
    fleet.lost_nothing();
    fleet.none_was_early();
}

/// An agent is cut off with its hosts: these keep what they have, later waves wait for them, and once
/// it is back they take the bundle.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_cut_off_is_waited_for() {
    if !asked() {
        return;
    }
    let _one = ONE.lock().await;
    let fleet = usual().await;
    let second = fleet.bundle(2, "owner");
    // One that has hosts of a wave in the middle, and is not the operator's.
    let agents = fleet.cluster.read().await.agents();
    let mut cut = fleet.of_wave(1).into_iter().chain(fleet.of_wave(2)).map(|n| n % agents);
    let cut = cut.find(|n| *n != 0).expect("an agent");
    fleet.cluster.write().await.signal_agent(cut, "STOP");
    fleet.begin(&second, WAVES, &["--replace", "--halt-when", "refused > 0"]).await;
    let mine = |n: usize| n % agents == cut;
    let waves = fleet.waves();
    let blocking = (0..fleet.hosts.len()).filter(|n| mine(*n));
    let blocking = blocking.map(|n| waves[&fleet.hosts[n].name]).min().expect("a wave");
    let digest = second.digest.to_string();
    until(SOON, "those before have it", async || {
        let all = fleet.bundles_in_force().await?;
        let due = |n: &usize| !mine(*n) && waves[&fleet.hosts[*n].name] <= blocking;
        let left: Vec<_> = (0..fleet.hosts.len())
            .filter(due)
            .filter(|n| all.get(&fleet.hosts[*n].name) != Some(&digest))
            .collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}: {all:?}")) }
    })
    .await;
    let later = async || {
        let all = fleet.bundles_in_force().await.unwrap_or_default();
        let has = all.iter().filter(|(name, one)| waves[*name] > blocking && **one == digest);
        let has: Vec<_> = has.collect();
        if has.is_empty() { Ok(()) } else { Err(format!("{has:?}")) }
    };
    holds(Duration::from_secs(40), "no later wave takes it", later).await;
    fleet.lost_nothing();
    fleet.cluster.write().await.signal_agent(cut, "CONT");
    fleet.all_have(&second).await;
    fleet.tagged("v2").await;
    fleet.lost_nothing();
    fleet.none_was_early();
}

/// The registry is away in the middle: hosts that have no bundle yet keep what they have and refuse
/// nothing; once it is back they take it.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_waited_for() {
    if !asked() {
        return;
    }
    let _one = ONE.lock().await;
    let fleet = usual().await;
    let second = fleet.bundle(2, "owner");
    fleet.road.set(Mode::Answer { status: 503, every: 3 });
    fleet.begin(&second, WAVES, &[]).await;
    begun(&fleet, &second).await;
    fleet.road.set(Mode::Refuse);
    let next = fleet.of_wave(1)[0];
    let log = &fleet.hosts[next].daemon;
    log.wait_for_log("cannot be fetched", SOON).await;
    holds(Duration::from_secs(15), "nobody refuses it", async || {
        let (code, text) = fleet.rollout("status").await;
        if text.contains("refused it") { Err(format!("{code:?} {text}")) } else { Ok(()) }
    })
    .await;
    fleet.road.set(Mode::Pass);
    fleet.all_have(&second).await;
    fleet.tagged("v2").await;
    fleet.lost_nothing();
    fleet.none_was_early();
}

/// Daemons are killed while they take a bundle over, another one at each moment.
#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_are_killed_while_they_take_it_lose_nothing() {
    if !asked() {
        return;
    }
    let _one = ONE.lock().await;
    let mut fleet = usual().await;
    let second = fleet.bundle(2, "owner");
    let hosts = fleet.hosts.len();
    fleet.begin(&second, WAVES, &["--halt-when", "refused > 0"]).await;
    for round in 0..20_u64 {
        let n = usize::try_from(round).expect("small") * 5 % hosts;
        // Either in the middle of it, or somewhere else.
        let lines = fleet.hosts[n].daemon.lines();
        let middle = fleet.hosts[n].daemon.wait_for_log_after(lines, "is in force", SOON);
        let _ = tokio::time::timeout(Duration::from_millis(1500 + round * 37), middle).await;
        fleet.crash(n);
    }
    fleet.all_have(&second).await;
    fleet.tagged("v2").await;
    fleet.lost_nothing();
    fleet.none_was_early();
}

/// The clocks of some hosts are five minutes ahead, and of others five minutes behind: pauses are
/// measured by each host's own, so that it makes no difference.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_make_no_difference() {
    if !asked() {
        return;
    }
    let _one = ONE.lock().await;
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let library = folders.map(|one| one.path().join("faketime/libfaketimeMT.so.1"));
    let library = library.into_iter().find(|file| file.is_file());
    let library = library.expect("libfaketime is missing: run tests/env/install.sh fleet");
    let library = library.display().to_string();
    let clock = |n: usize| {
        let offset = ["+0", "+300", "-300"][n % 3];
        [("LD_PRELOAD", &*library), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .to_vec()
    };
    let fleet = Fleet::start(size(), |_| false, clock).await;
    // They really differ.
    let told = |n: usize| {
        let log = fleet.hosts[n].daemon.log();
        let time = log.lines().find_map(|line| {
            line.split_whitespace().find_map(|word| humantime::parse_rfc3339(word).ok())
        });
        time.unwrap_or_else(|| panic!("no time in {log}"))
    };
    let ahead = told(1).duration_since(told(2)).expect("it is ahead");
    assert!(ahead > Duration::from_secs(400), "{ahead:?}");
    let first = fleet.bundle(1, "owner");
    let second = fleet.bundle(2, "owner");
    fleet.begin(&second, WAVES, &[]).await;
    fleet.all_have(&second).await;
    fleet.tagged("v2").await;
    fleet.lost_nothing();
    fleet.none_was_early();
    fleet.good(&["rollout", "abort", "--source", lab::SOURCE]).await;
    fleet.all_have(&first).await;
    fleet.lost_nothing();
}

/// Two operators at once: one bundle arrives everywhere, and the other nowhere. One who aborts while
/// another one promotes is heard, or told.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_is_followed_everywhere() {
    if !asked() {
        return;
    }
    let _one = ONE.lock().await;
    let fleet = usual().await;
    // Nobody starts one while another one is under way.
    let all = format!("{0} of {0} hosts have it", size());
    until(SOON, "the first rollout is over", async || {
        let (code, text) = fleet.rollout("status").await;
        if text.contains(&all) { Ok(()) } else { Err(format!("{code:?} {text}")) }
    })
    .await;
    let [second, third] = [2, 3].map(|number| fleet.bundle(number, "owner"));
    let file = |bundle: &wharfinger::policy::Bundle| {
        fleet.bundles.at(&format!("{}.bundle", bundle.digest.hex())).display().to_string()
    };
    let start = async |bundle: &wharfinger::policy::Bundle| {
        let file = file(bundle);
        let words = ["rollout", "start", &file, "--source", lab::SOURCE, "--pause", "1s"];
        let from = format!("file://{file}");
        fleet.run(&[&words[..], &["--waves", WAVES, "--from", &from]].concat()).await
    };
    let (one, other) = tokio::join!(start(&second), start(&third));
    let good = [&one, &other].iter().filter(|(code, _)| *code == Some(0)).count();
    assert_eq!(good, 1, "{one:?} {other:?}");
    let won = if one.0 == Some(0) { &second } else { &third };
    begun(&fleet, won).await;
    // Whoever is later is told what the other did, and can say it again.
    let (halted, promoted) = tokio::join!(fleet.rollout("halt"), fleet.rollout("promote"));
    let codes = [halted.0, promoted.0];
    assert!(codes.contains(&Some(0)), "{halted:?} {promoted:?}");
    let (_, text) = fleet.rollout("resume").await;
    assert!(text.contains("resumed") || text.contains("running already"), "{text}");
    fleet.all_have(won).await;
    fleet.tagged(if one.0 == Some(0) { "v2" } else { "v3" }).await;
    fleet.lost_nothing();
}
