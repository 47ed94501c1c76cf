//! How a host starts: with its last good policy, with a bad one, with none.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_uses_the_last_good_policy_whatever_the_source_has() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    bundles.offer_bundle(&bundles.version(7));
    let file = bundles.host_of_file("", "");
    let mut daemon = host.daemon(&file, &[], &[]);
    host.tagged(&["v7"]).await;
    daemon.kill9();

    // A bad one, an older one, none at all; and the key's end has come.
    let older = archive::write(&bundles.version(6));
    let ended = "{ name = 'ops', file = 'ops.pub', until = '2020-01-01T00:00:00Z' }";
    let usual = fs::read_to_string(&file).expect("the file");
    for (bytes, keys, said) in [
        (Some(b"no bundle".to_vec()), None, "a policy is refused"),
        (Some(older), None, "sequence 6 is older than 7"),
        (None, Some(ended), "cannot be read"),
        (None, None, "cannot be read"),
    ] {
        match bytes {
            Some(bytes) => bundles.offer(&bytes),
            None => drop(fs::remove_file(bundles.at("prod.bundle"))),
        }
        let keys = keys.map_or(usual.clone(), |keys| {
            usual.replace("{ name = 'ops', file = 'ops.pub' }", keys)
        });
        bundles.write(&keys);
        let mut daemon = host.daemon(&file, &[], &[]);
        daemon.wait_for_log("the policy prod 7 is in force", SOON).await;
        daemon.wait_for_log(said, SOON).await;
        host.stays(&["v7"]).await;
        assert!(daemon.terminate().await.success());
    }

    // What nobody trusts any more is used no more; then nothing is decided, and nothing goes.
    bundles.write(&usual.replace("ops.pub", "stranger.pub"));
    let mut daemon = host.daemon(&file, &[], &[]);
    daemon.wait_for_log("cannot be used", SOON).await;
    daemon.wait_for_log("containers keep what they have", SOON).await;
    host.stays(&["v7"]).await;
    assert!(daemon.terminate().await.success());

    // A store that was damaged is as good as none, and what is older is older nonetheless.
    bundles.write(&usual);
    for entry in fs::read_dir(bundles.at("store")).expect("the store") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|suffix| suffix == "tar") {
            fs::write(path, b"damaged").expect("written");
        }
    }
    bundles.offer_bundle(&bundles.version(6));
    let mut daemon = host.daemon(&file, &[], &[]);
    daemon.wait_for_log("sequence 6 is older than 7", SOON).await;
    host.stays(&["v7"]).await;
    bundles.offer_bundle(&bundles.version(7));
    daemon.wait_for_log("the policy prod 7 is in force", SOON).await;
    host.stays(&["v7"]).await;
    host.was_vetoed_for_ever();
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_policy_nothing_is_decided_unless_the_host_says_so() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    let own = "[[pipeline]]\nname = 'own'\nbuiltin = 'registrator'\n";
    let file = bundles.host_of_file("", own);
    let mut daemon = host.daemon(&file, &[], &[]);
    daemon.wait_for_log("containers keep what they have", SOON).await;
    daemon.wait_for_log("cannot be read", SOON).await;
    holds(Duration::from_secs(3), "nothing is registered", async || match host.services().len() {
        0 => Ok(()),
        count => Err(format!("{count} are")),
    })
    .await;
    let (code, said) = status(&daemon, &[]);
    assert!(code == Some(2) && said.contains("none is in force"), "{said}");
    // Once there is one it counts.
    bundles.offer_bundle(&bundles.version(7));
    host.tagged(&["v7"]).await;
    host.was_vetoed_for_ever();
    assert!(daemon.terminate().await.success());

    let host = Host::new().await;
    let file = host.bundles.host_of_file("", &format!("required = false\n{own}"));
    let mut daemon = host.daemon(&file, &[], &[]);
    until(SOON, "the host's own stages count", async || match host.services().len() {
        count if count == COUNT + 1 => Ok(()),
        count => Err(format!("{count} services")),
    })
    .await;
    assert!(daemon.terminate().await.success());
}
