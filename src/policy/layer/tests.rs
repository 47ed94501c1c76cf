//! The bounds of a host's file against a bundle's word.

use std::sync::Arc;

use super::*;

fn bundle(document: &str) -> Bundle {
    let component: Arc<[u8]> = Arc::from(&b"code"[..]);
    Bundle {
        digest: Digest::of(document.as_bytes()),
        name: "prod".into(),
        sequence: 1,
        document: document.replace("CODE", &Digest::of(b"code").to_string()),
        components: BTreeMap::from([(Digest::of(b"code"), component)]),
        signatures: Vec::new(),
    }
}

fn read(document: &str) -> Result<Document, DocumentError> {
    Document::parse(&bundle(document), |digest| format!("/store/{}.wasm", digest.hex()).into())
}

fn host(text: &str) -> Config {
    Config::parse(text, Path::new("wharfinger.toml"), Path::new("/etc")).expect("a host's file")
}

const ENFORCED: &str = r#"
    [limits]
    timeout = "50ms"
    [containers]
    select = "name != 'x'"
    [address]
    family = "ipv4"
    [[pipeline]]
    name = "registrator"
    builtin = "registrator"
    [[pipeline]]
    slot = "host"
    [[pipeline]]
    name = "gate"
    file = "CODE"
    on-error = "veto"
"#;

fn names(layered: &Layered) -> Vec<&str> {
    layered.config.pipeline.iter().map(|stage| stage.name.as_str()).collect()
}

#[test]
fn a_hosts_stages_stand_in_the_slot() {
    let document = read(ENFORCED).expect("a document");
    let layered = document.over(&host(
        "[listen]\naddress = '127.0.0.1:1'\n[[pipeline]]\nname = 'own'\nfile = 'own.wasm'\n\
         [[pipeline]]\nname = 'more'\nbuiltin = 'registrator'\n",
    ));
    assert_eq!(layered.overruled, [""; 0]);
    assert_eq!(names(&layered), ["registrator", "own", "more", "gate"]);
    let whose = |name: &str| layered.stages[name];
    assert_eq!([whose("registrator"), whose("gate")], [Layer::Bundle; 2]);
    assert_eq!([whose("own"), whose("more")], [Layer::Host; 2]);
    // Settings that are not the bundle's stay the host's.
    assert_eq!(layered.config.listen.address.as_deref(), Some("127.0.0.1:1"));
    let gate = format!("/store/{}.wasm", Digest::of(b"code").hex());
    assert_eq!(layered.config.pipeline[3].file.as_deref(), Some(Path::new(&gate)));
}

#[test]
fn a_host_without_stages_has_the_bundles() {
    let document = read(ENFORCED).expect("a document");
    let layered = document.over(&Config::default());
    assert_eq!(names(&layered), ["registrator", "gate"]);
    assert_eq!(layered.overruled, [""; 0]);
}

/// Each way to drop, reorder or weaken what the bundle enforces, and what is said of it.
#[test]
fn nothing_that_is_enforced_can_be_weakened() {
    let document = read(ENFORCED).expect("a document");
    let bare = document.over(&Config::default()).config;
    let stage = "[[pipeline]]\nfile = 'own.wasm'\n";
    for (text, part) in [
        // Another stage, or another mode, under the name of one.
        (format!("{stage}name = 'gate'\n"), "\"gate\": a stage of the bundle has this name"),
        (format!("{stage}name = 'gate'\nmode = 'monitor'\n"), "\"gate\": a stage of the bundle"),
        (format!("{stage}name = 'gate'\non-error = 'skip'\n"), "\"gate\": a stage of the bundle"),
        (format!("{stage}name = 'gate'\nselect = 'false'\n"), "\"gate\": a stage of the bundle"),
        // A stage that raises what containers may ask for.
        (format!("{stage}name = 'a'\nlimits = {{ services = 9000 }}\n"), "\"a\": timeout, memory"),
        (format!("{stage}name = 'a'\ntimeout = '900ms'\n"), "\"a\": timeout, memory and limits"),
        (format!("{stage}name = 'a'\nmemory = '60MiB'\n"), "\"a\": timeout, memory and limits"),
        // Limits under which a stage of the bundle fails.
        ("[limits]\ntimeout = '10ms'\n".into(), "limits: the bundle"),
        ("[limits]\nservices = 1\n".into(), "limits: the bundle"),
        // Containers and addresses.
        ("[containers]\nselect = 'true'\n".into(), "containers: the bundle"),
        ("[address]\nfamily = 'ipv6'\n".into(), "address: the bundle"),
    ] {
        let layered = document.over(&host(&text));
        assert_eq!(layered.config, bare, "{text}");
        assert!(
            layered.overruled.len() == 1 && layered.overruled[0].contains(part),
            "{text}: {:?}",
            layered.overruled
        );
    }
}

#[test]
fn without_a_slot_a_hosts_stages_are_left_out_by_name() {
    let document = read("[[pipeline]]\nname = 'r'\nbuiltin = 'registrator'\n").expect("a document");
    let layered = document.over(&host("[[pipeline]]\nname = 'own'\nfile = 'own.wasm'\n"));
    assert_eq!(names(&layered), ["r"]);
    assert_eq!(
        layered.overruled,
        ["pipeline stage \"own\": the bundle has no slot for a host's stages"]
    );
    // Settings that it does not have are the host's, but for the limits of its stages.
    let layered = document.over(&host(
        "[limits]\ntimeout = '10ms'\n[containers]\nselect = 'false'\n[address]\nfamily = 'ipv4'\n",
    ));
    assert_eq!(layered.config.containers.select.as_deref(), Some("false"));
    assert!(layered.config.address.family.is_some());
    assert_eq!(layered.config.limits, Config::default().limits);
    assert_eq!(layered.overruled, ["limits: the bundle says this"]);
}

/// A stage behind a gate could name anew what the gate let pass, or add what it vetoed.
#[test]
fn behind_the_bundles_gates_a_hosts_stages_may_only_keep_and_veto() {
    let own = "[[pipeline]]\nname = 'own'\nfile = 'own.wasm'\n";
    let document = |mode: &str, before: &str| {
        let text = format!(
            "[[pipeline]]\nname = 'r'\nbuiltin = {before:?}\n[[pipeline]]\nname = 'gate'\nfile = \
             'CODE'\nmode = '{mode}'\n[[pipeline]]\nslot = 'host'\n"
        );
        read(&text).expect("a document")
    };
    let gated = document("enforce", "registrator");
    let layered = gated.over(&host(own));
    assert_eq!(names(&layered), ["r", "gate"]);
    assert_eq!(
        layered.overruled,
        ["pipeline stage \"own\": behind the bundle's stages it needs validate-only = true"]
    );
    let layered = gated.over(&host(&format!("{own}validate-only = true\n")));
    assert_eq!((names(&layered).len(), layered.overruled.len()), (3, 0));
    // A stage whose word does not count is none to go behind.
    let layered = document("monitor", "registrator").over(&host(own));
    assert_eq!((names(&layered).len(), layered.overruled.len()), (3, 0));
}

#[test]
fn the_rules_that_a_bundle_wants_are_held_against_the_daemons() {
    let pinned = read("compat = 'none'\n").expect("a document");
    assert_eq!(pinned.fits(Compat::None), Ok(()));
    let fault = pinned.fits(Compat::Registrator).expect_err("another compat");
    assert!(fault.contains("wants none") && fault.contains("with registrator"), "{fault}");
    // One that says nothing wants the rules that hold by themselves.
    let open = read("").expect("a document");
    assert_eq!(open.fits(Compat::None), Ok(()));
    assert!(open.fits(Compat::Registrator).is_err());
    let lenient = read("compat = 'registrator'\n").expect("a document");
    assert!(lenient.fits(Compat::None).is_err() && lenient.fits(Compat::Registrator).is_ok());
}

/// No bundle has the addresses of one host alone, so they are the host's beside the bundle's.
#[test]
fn a_hosts_own_addresses_stay_below_the_bundles_rules() {
    let document = read(ENFORCED).expect("a document");
    let own = host("[address]\nfamily = 'ipv4'\nhost-ipv4 = '192.0.2.1'\n");
    let layered = document.over(&own);
    assert_eq!(layered.config.address.host_ipv4, Some([192, 0, 2, 1].into()));
    assert_eq!(layered.overruled, [""; 0]);
    // Without the bundle's family they have no meaning, and must not be a fault of it.
    let networks =
        "[address]\nnetworks = ['front']\n[[pipeline]]\nname = 'r'\nbuiltin = 'registrator'\n";
    let layered = read(networks).expect("a document").over(&own);
    assert_eq!(layered.overruled, ["address: the bundle says this"]);
    assert!(layered.config.address.rules().is_ok(), "{:?}", layered.config.address);
}

#[test]
fn what_a_document_may_not_say_is_named() {
    let stage = "[[pipeline]]\nname = 'a'\n";
    for (document, part) in [
        ("[registry]\nuri = 'consul://elsewhere'\n".to_string(), "registry: this key belongs"),
        ("[guard]\n".into(), "guard: this key belongs to a host"),
        ("[policy]\n".into(), "policy: this key belongs to a host"),
        (
            format!("{stage}file = 'a.wasm'\n"),
            "stage \"a\": file \"a.wasm\": \"a.wasm\" is no digest",
        ),
        (format!("{stage}file = '../a.wasm'\n"), "is no digest"),
        (format!("{stage}file = '{}'\n", Digest::of(b"other")), "has no such component"),
        (format!("{stage}file = 1\n"), "is no digest"),
        (format!("{stage}builtin = 'registrator'\n[[pipeline]]\nslot = 'mine'\n"), "stage 2: slot"),
        (
            "[[pipeline]]\nslot = 'host'\nmode = 'monitor'\n".into(),
            "stage 1: slot: it stands alone",
        ),
        (
            "[[pipeline]]\nslot = 'host'\n[[pipeline]]\nslot = 'host'\n".into(),
            "stage 2: slot: there",
        ),
        ("[[pipeline]]\nslot = 'host'\n".into(), "it has no stage"),
        ("pipeline = 1\n".into(), "invalid type"),
        ("[limits]\ntimeuot = '1s'\n".into(), "timeuot"),
        ("[limits".into(), ""),
    ] {
        let fault = read(&document).expect_err(&document).to_string();
        assert!(fault.contains(part), "{document}: {fault}");
    }
}
