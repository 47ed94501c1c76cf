//! Guarantee: many daemons on a cluster of Consul take a policy wave by wave, stop by themselves where
//! it would veto too much, and all go back when it is aborted; whatever fails meanwhile, the catalog
//! loses nothing.
//!
//! `WHARFINGER_FLEET_HOSTS=100` has so many hosts instead of a few; `WHARFINGER_FLEET_FAULTS=1` has the
//! stories of faults told, too, which take a quarter of an hour.

mod faults;
mod lab;

use std::time::Duration;

use lab::{Fleet, SOON, WAVES, size, waves_of};
use tokio::sync::Mutex;

use crate::common::wait::{holds, until};

/// A fleet has the machine for itself, as far as this program goes.
static ONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn four_waves_arrive_everywhere_and_an_abort_brings_all_back() {
    let _one = ONE.lock().await;
    let fleet = Fleet::start(size(), |_| false, |_| Vec::new()).await;
    let first = fleet.bundle(1, "owner");
    let second = fleet.bundle(2, "owner");
    fleet.begin(&second, WAVES, &[]).await;
    fleet.all_have(&second).await;
    fleet.tagged("v2").await;
    fleet.none_was_early();
    fleet.lost_nothing();
    fleet.writes_nothing_while_nothing_changes().await;
    // Of all of it somebody can ask.
    let (code, text) = fleet.rollout("status").await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{0} of {0} hosts have it", size())), "{text}");

    fleet.good(&["rollout", "abort", "--source", lab::SOURCE]).await;
    fleet.all_have(&first).await;
    fleet.tagged("v1").await;
    fleet.lost_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_vetoes_too_much_stops_by_itself_in_its_first_waves() {
    let _one = ONE.lock().await;
    // A tenth of the hosts, of which one is of the second wave, has what nobody approved.
    let names: Vec<_> = (0..size()).map(|n| format!("host-{n:03}")).collect();
    let waves = waves_of(&names);
    let mut odd: Vec<_> = names.iter().filter(|name| waves[*name] == 1).take(1).collect();
    odd.extend(names.iter().filter(|name| waves[*name] > 1).take(size() / 10));
    assert_eq!(waves[odd[0]], 1);
    let fleet =
        Fleet::start(size(), |name| odd.iter().any(|one| *one == name), |_| Vec::new()).await;
    let first = fleet.bundle(1, "owner");
    let strict = fleet.bundle(2, "approved");
    fleet.begin(&strict, WAVES, &[]).await;
    until(SOON, "it stops by itself", async || {
        let (code, text) = fleet.rollout("status").await;
        let stopped = code == Some(2) && text.contains("stopped by itself");
        if stopped { Ok(()) } else { Err(format!("{code:?} {text}")) }
    })
    .await;
    let (_, text) = fleet.rollout("status").await;
    assert!(text.contains(&format!("{} has refused it", odd[0])), "{text}");
    // From then on no host of a later wave takes it.
    let strict_digest = strict.digest.to_string();
    let later = async || {
        let all = fleet.bundles_in_force().await.unwrap_or_default();
        let has = all.iter().filter(|(_, bundle)| **bundle == strict_digest);
        let later: Vec<_> = has.filter(|(name, _)| waves[*name] > 1).collect();
        if later.is_empty() { Ok(()) } else { Err(format!("{later:?}")) }
    };
    holds(Duration::from_secs(20), "no host of a later wave has it", later).await;
    fleet.lost_nothing();

    fleet.good(&["rollout", "abort", "--source", lab::SOURCE]).await;
    fleet.all_have(&first).await;
    fleet.tagged("v1").await;
    fleet.lost_nothing();
}
