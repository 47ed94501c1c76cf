//! Each way in which a host could drop, reorder or weaken what its policy enforces, tried on a
//! daemon; and whose word each stage is said to be.

use super::*;

/// A stage of the host's own.
fn stage(name: &str, more: &str) -> String {
    format!("[[pipeline]]\nname = '{name}'\nbuiltin = 'registrator'\n{more}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_variable_or_flag_of_a_host_weakens_a_stage_of_the_bundle() {
    let bypass = format!("[[pipeline]]\nname = 'convention'\nfile = {:?}\n", plugin("hostile"));
    let mut ways: Vec<(String, String, &str)> = [
        ("mode", "mode = 'monitor'"),
        ("on-error", "on-error = 'skip'"),
        ("select", "select = 'false'"),
        ("validate-only", "validate-only = true"),
        ("limits of its own", "limits = { services = 1 }"),
        ("time", "timeout = '10ms'"),
        ("memory", "memory = '1MiB'"),
        ("settings", "settings = { scripts = true }"),
    ]
    .map(|(way, more)| (way.to_string(), stage("convention", more), "a stage of the bundle has"))
    .into();
    ways.extend([
        ("another file".into(), bypass, "a stage of the bundle has this name"),
        (
            "a stage that raises limits".into(),
            stage("own", "timeout = '10s'"),
            "timeout, memory and limits are the bundle's",
        ),
        ("less time".into(), "[limits]\ntimeout = '10ms'\n".into(), "limits: the bundle says"),
        ("less memory".into(), "[limits]\nmemory = '1MiB'\n".into(), "limits: the bundle says"),
        ("fewer services".into(), "[limits]\nservices = 1\n".into(), "limits: the bundle says"),
    ]);
    let flags: [&[&str]; 4] = [
        &[],
        &["-tags", "own", "-explicit=false"],
        &["--no-provenance", "-deregister", "on-success"],
        &["-cleanup", "-resync", "3600"],
    ];
    for (n, (way, text, said)) in ways.iter().enumerate() {
        let host = Host::new().await;
        let bundles = &host.bundles;
        bundles.offer_bundle(&bundles.version(7));
        let file = bundles.host_of_file("", text);
        let flags = flags[n % flags.len()];
        let mut daemon = host.daemon(&file, flags, &[]);
        let tags: &[&str] = if flags.contains(&"-tags") { &["own", "v7"] } else { &["v7"] };
        host.tagged(tags).await;
        let line = daemon.wait_for_log("the policy stands above", SOON).await;
        assert!(line.contains(said), "{way}: {line}");
        let (_, told) = status(&daemon, &["--json"]);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let gate = told["stages"].as_array().expect("stages").iter();
        let gate = gate.last().expect("a stage");
        assert_eq!(
            (&gate["stage"], &gate["mode"], &gate["layer"]),
            (&json!("convention"), &json!("enforce"), &json!("bundle")),
            "{way}"
        );
        host.was_vetoed_for_ever();
        assert!(daemon.terminate().await.success(), "{way}");
        // What a daemon does without, `check` refuses.
        let cache = bundles.at("cache").display().to_string();
        let (code, told) = run(&["check", "--config", &file, "--cache-dir", &cache], &[]);
        assert!(code == Some(78) && told.contains(said), "{way}: {told}");
    }
}

/// What would change behind a gate what the gate has judged is left out.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_hosts_stands_behind_a_gate_that_could_change_what_it_judged() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    let (slot, gate) = ("[[pipeline]]\nslot = 'host'\n", document("tag = 'v7'"));
    let behind = gate.replace(slot, "") + slot;
    bundles.offer_bundle(&bundles.make("prod", 7, &behind, Some("ops")));
    // It would add a tag.
    let own = format!("[[pipeline]]\nname = 'own'\nfile = {:?}\n", plugin("minimal"));
    let file = bundles.host_of_file("", &own);
    let mut daemon = host.daemon(&file, &[], &[]);
    daemon.wait_for_log("needs validate-only = true", SOON).await;
    host.tagged(&["v7"]).await;
    host.was_vetoed_for_ever();
    assert!(daemon.terminate().await.success());
}

/// Files that change below a policy that is in force, and rules of another kind.
#[tokio::test(flavor = "multi_thread")]
async fn no_change_of_the_file_and_no_other_rules_leave_the_policy() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    bundles.offer_bundle(&bundles.version(7));
    let file = bundles.host_of_file("", "");
    let mut daemon = host.daemon(&file, &[], &[]);
    host.tagged(&["v7"]).await;
    let usual = fs::read_to_string(&file).expect("the file");

    // Without [policy], and with another stage under the name of one.
    let seen = daemon.lines();
    bundles.write(&stage("convention", "mode = 'monitor'"));
    let line = daemon.wait_for_log_after(seen, "needs a restart to take effect", SOON).await;
    assert!(line.contains("policy"), "{line}");
    daemon.wait_for_log_after(seen, "a stage of the bundle has this name", SOON).await;
    host.stays(&["v7"]).await;
    assert!(daemon.terminate().await.success());

    // The next start with such a file is none, as long as the store is there.
    let store = bundles.at("cache/policy");
    fs::rename(bundles.at("store"), &store).expect("moved");
    let mut daemon = host.daemon(&file, &[], &[]);
    assert_eq!(daemon.wait(SOON).await.code(), Some(78), "{}", daemon.log());
    assert!(daemon.log().contains("this host has the policy prod 7 in force"), "{}", daemon.log());
    host.stays(&["v7"]).await;

    // registrator's rules are not those that the bundle was made for: nothing is decided by them.
    bundles.write(&usual.replace("store = 'store'", "store = 'cache/policy'"));
    for (flags, env) in [(&["--compat", "registrator"][..], "none"), (&[], "registrator")] {
        let text = usual.replace("store = 'store'", "store = 'cache/policy'");
        let top = if env == "registrator" { "compat = 'registrator'\n" } else { "" };
        bundles.write(&format!("{top}{text}"));
        let mut daemon = host.daemon(&file, flags, &[]);
        daemon.wait_for_log("the bundle wants none", SOON).await;
        daemon.wait_for_log("containers keep what they have", SOON).await;
        host.stays(&["v7"]).await;
        assert!(daemon.terminate().await.success());
    }
    host.was_vetoed_for_ever();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_is_said_to_be_the_bundles_or_the_hosts() {
    let host = Host::new().await;
    let bundles = &host.bundles;
    bundles.offer_bundle(&bundles.version(7));
    let own = format!("[[pipeline]]\nname = 'own'\nfile = {:?}\n", plugin("minimal"));
    let file = bundles.host_of_file("", &own);
    let cache = bundles.at("cache").display().to_string();
    let env = [("WHARFINGER_CACHE_DIR", cache.as_str())];
    let (code, said) = run(&["check", "--config", &file], &env);
    assert_eq!(code, Some(0), "{said}");
    let layer = |stage: &str| {
        let line = said.lines().find(|line| line.starts_with(&format!("{stage} ")));
        line.and_then(|line| line.split_whitespace().last()).map(String::from)
    };
    let layers = ["registrator", "own", "convention"].map(layer);
    assert_eq!(layers, ["bundle", "host", "bundle"].map(|word| Some(word.to_string())), "{said}");

    let (code, said) = run(&["config", "show", "--json", "--config", &file], &env);
    assert_eq!(code, Some(0), "{said}");
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    for (key, source) in [
        ("pipeline[0].name", "bundle"),
        ("pipeline[1].name", "file"),
        ("pipeline[2].settings", "bundle"),
        ("limits.timeout", "bundle"),
        ("policy.poll", "file"),
    ] {
        assert_eq!(shown[key]["source"], source, "{key}: {shown:#}");
    }
    let mut daemon = host.daemon(&file, &[], &[]);
    // The host's own stage adds a tag.
    let tags = ["contract-0.1.0", "v7"];
    host.tagged(&tags).await;
    let socket = daemon.dir().join("control.sock").display().to_string();
    let (code, said) = run(&["explain", "c1", "--control", &socket], &[("COLUMNS", "200")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("of the bundle)") && said.contains("of the host)"), "{said}");
    let (_, said) = status(&daemon, &[]);
    assert!(said.contains("policy: prod 7 sha256:") && said.contains("signed by ops"), "{said}");
    assert!(said.contains("layer") && said.contains("bundle") && said.contains("host"), "{said}");

    // A changed stage of the host's own is taken over below the policy.
    bundles.host_of_file("", &own.replace("'own'", "'mine'"));
    daemon.wait_for_log("a new stage stage=\"mine\"", SOON).await;
    host.stays(&tags).await;
    assert!(daemon.terminate().await.success());
}
