//! The network that containers share with another one goes, comes back or changes, of
//! which no event of their own tells.

use std::time::Duration;

use super::lab::{Lab, SOON, ids, none};
use crate::common::ports;

#[tokio::test(flavor = "multi_thread")]
async fn what_shares_a_network_goes_and_comes_with_its_owner() {
    let lab = Lab::new().await;
    let publish = format!("{}:80", ports::free::<1>()[0]);
    let owner = |name: &str| {
        let args = ["run", "-d", "--name", name, "--stop-signal=KILL", "-p", &publish];
        lab.docker.run(&[&args[..], &["-e", "SERVICE_IGNORE=1", "web:1"]].concat());
    };
    let share = |name: &str, of: &str| {
        let network = format!("--network=container:{of}");
        let args = ["run", "-d", "--name", name, "--stop-signal=KILL", &network, "web:1"];
        lab.docker.run(&args);
    };
    owner("vpn");
    share("web", "vpn");
    // By way of the other one.
    share("further", "web");
    let both = ids(&["web", "further"].map(String::from));
    let mut daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&both, SOON).await;
    let written = lab.sink.proxy.count();

    let turns: [(&[&str], &[&str]); 3] = [
        (&["stop", "vpn"], &["start", "vpn"]),
        (&["network", "disconnect", "bridge", "vpn"], &["network", "connect", "bridge", "vpn"]),
        (&["kill", "vpn"], &["start", "vpn"]),
    ];
    for (goes, comes) in turns {
        lab.docker.run(goes);
        lab.sink.exactly(&none(), SOON).await;
        lab.docker.run(comes);
        lab.sink.exactly(&both, SOON).await;
    }
    // A paused owner has its network.
    lab.docker.run(&["pause", "vpn"]);
    lab.sink.stays(&both, Duration::from_secs(1)).await;
    lab.docker.run(&["unpause", "vpn"]);
    // Whoever stands between may end: the network is the owner's.
    lab.docker.run(&["stop", "web"]);
    lab.sink.exactly(&ids(&["further".to_string()]), SOON).await;
    lab.docker.run(&["start", "web"]);
    lab.sink.exactly(&both, SOON).await;

    // Another owner of the same name is another one.
    lab.docker.run(&["rm", "-f", "vpn"]);
    lab.sink.exactly(&none(), SOON).await;
    owner("vpn");
    lab.sink.stays(&none(), Duration::from_secs(2)).await;

    let (registered, deregistered) = lab.sink.written(written);
    assert_eq!((registered.len(), deregistered.len()), (7, 9), "{registered:?} {deregistered:?}");
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    assert!(daemon.is_running());
    lab.sink.assert_foreign_untouched().await;
}

/// What ended while no daemon ran is found at the start, and is no change of the
/// pipeline that the guard would hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_went_while_no_daemon_ran_is_missed_at_the_start() {
    let lab = Lab::new().await;
    let publish = format!("{}:80", ports::free::<1>()[0]);
    let args = ["run", "-d", "--name", "vpn", "--stop-signal=KILL", "-p", &publish, "web:1"];
    lab.docker.run(&args);
    let sharers: Vec<String> = (0..6).map(|n| format!("c{n}")).collect();
    let words = ["run", "-d", "--network=container:vpn", "--stop-signal=KILL", "--name"];
    lab.each(&words, &sharers, &["web:1"]);
    let mut daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(sharers.iter().chain(&["vpn".to_string()])), SOON).await;
    assert!(daemon.terminate().await.success());
    lab.docker.run(&["stop", "vpn"]);
    let daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&none(), SOON).await;
    assert!(!daemon.log().contains("held:"), "{}", daemon.log());
    lab.docker.run(&["start", "vpn"]);
    lab.sink.exactly(&ids(sharers.iter().chain(&["vpn".to_string()])), SOON).await;
}
