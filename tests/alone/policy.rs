//! Guarantee: a bundle is the same for the same input, says what is in it and how it differs, and
//! is refused by name if it is not whole, not what it says, or not signed by one who is trusted.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tar::{Builder, EntryType, Header};
use wharfinger::policy::{Digest, archive};

use crate::common::{daemon::Daemon, plugin, tool};

/// A folder with a policy of two stages in it.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Self { folder };
        desk.policy("w.toml", "");
        desk
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn policy(&self, name: &str, before: &str) {
        let text = format!(
            "{before}[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
             [[pipeline]]\nname = 'naming'\nfile = {:?}\n\
             settings = {{ owner-label = 'team' }}\n",
            plugin("convention")
        );
        fs::write(self.at(name), text).expect("written");
    }

    /// The exit code of `wharfinger policy` with these words, and what it prints.
    pub(crate) fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        self.wharfinger(&[&["policy"], words].concat())
    }

    /// The same of any command. Docker's logins are this folder's; its programs are found here, too.
    pub(crate) fn wharfinger(&self, words: &[&str]) -> (Option<i32>, String) {
        self.with("COSIGN_PASSWORD", None, words)
    }

    /// The same with a variable of the environment, or without it.
    pub(crate) fn with(
        &self,
        name: &str,
        value: Option<&str>,
        words: &[&str],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(Daemon::binary());
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        let folder = self.folder.path().as_os_str();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let output = command
            .args(words)
            .current_dir(folder)
            .env("WHARFINGER_CACHE_DIR", self.at("cache"))
            .env("DOCKER_CONFIG", folder)
            .env("PATH", [folder, &path].join(OsStr::new(":")))
            .output();
        let output = output.expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    }

    pub(crate) fn good(&self, words: &[&str]) -> String {
        let (code, text) = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {text}");
        text
    }

    pub(crate) fn build(&self, to: &str, sequence: &str) {
        self.good(&["build", "w.toml", "--output", to, "--name", "prod", "--sequence", sequence]);
    }

    /// A private key and its public one, as OpenSSL makes them.
    pub(crate) fn key(&self, name: &str, kind: &[&str]) {
        let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
        let generate = [&["genpkey", "-out", &private], kind].concat();
        for words in [generate, vec!["pkey", "-in", &private, "-pubout", "-out", &public]] {
            let made =
                Command::new("openssl").args(&words).current_dir(self.folder.path()).output();
            let made = made.expect("openssl runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    }
}

pub(crate) const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn the_same_input_gives_the_same_bytes_which_say_what_is_in_them() {
    let desk = Desk::new();
    desk.build("one.tar", "7");
    desk.build("two.tar", "7");
    let bytes = fs::read(desk.at("one.tar")).expect("built");
    assert_eq!(bytes, fs::read(desk.at("two.tar")).expect("built"));
    let bundle = archive::parse(&bytes, "one.tar").expect("a bundle");
    assert_eq!((bundle.name.as_str(), bundle.sequence), ("prod", 7));

    let component = Digest::of(&fs::read(plugin("convention")).expect("built")).to_string();
    let shown: Value =
        serde_json::from_str(&desk.good(&["show", "one.tar", "--json"])).expect("JSON");
    assert_eq!(shown["digest"], bundle.digest.to_string());
    assert_eq!(shown["components"][0]["digest"], component);
    assert_eq!(shown["document"]["pipeline"][1]["file"], component);
    let text = desk.good(&["show", "one.tar"]);
    for words in ["prod 7 sha256:", "not signed", "naming", "owner-label", &component] {
        assert!(text.contains(words), "{words}: {text}");
    }

    desk.policy("w.toml", "[limits]\ntimeout = '2s'\n");
    desk.build("two.tar", "8");
    let (code, text) = desk.run(&["diff", "one.tar", "two.tar"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("~ sequence 7 → 8") && text.contains("timeout"), "{text}");
    let (code, text) = desk.run(&["diff", "one.tar", "two.tar", "--json"]);
    let changes: Value = serde_json::from_str(&text).expect("JSON");
    let limits = changes["changes"].as_array().expect("changes").iter();
    let limits: Vec<_> = limits.filter(|one| one["place"] == "limits").collect();
    assert_eq!((code, limits.len()), (Some(2), 1), "{text}");
    assert_eq!(desk.good(&["diff", "one.tar", "one.tar"]).lines().count(), 3);
}

#[test]
fn what_no_policy_can_be_is_not_built() {
    let desk = Desk::new();
    let stage = |rest: &str| format!("[[pipeline]]\nname = 'a'\n{rest}\n");
    fs::write(desk.at("text.wasm"), "hello").expect("written");
    for (text, fault) in [
        (
            format!("[host]\nname = 'h'\n{}", stage("builtin = 'registrator'")),
            "host: it is no part",
        ),
        (format!("[guard]\n{}", stage("builtin = 'registrator'")), "guard: it is no part"),
        (stage("file = 'text.wasm'"), "not a WebAssembly file"),
        (stage("file = 'none.wasm'"), "none.wasm"),
        (stage("builtin = 'traefik'"), "there is no built-in stage"),
        (stage(&format!("file = 'text.wasm'\nsha256 = '{}'", "0".repeat(64))), "has the digest"),
        (stage("file = 'https://127.0.0.1/a.wasm'"), "needs the key sha256"),
        (
            stage(&format!(
                "file = {:?}\nsettings = {{ owner-lable = 'x' }}",
                plugin("convention")
            )),
            "owner-lable",
        ),
    ] {
        fs::write(desk.at("bad.toml"), &text).expect("written");
        let (code, said) = desk.run(&["build", "bad.toml", "--output", "bad.tar"]);
        assert_eq!(code, Some(78), "{text}: {said}");
        assert!(said.contains(fault), "{text}: {said}");
        assert!(!desk.at("bad.tar").exists(), "{text}");
    }
    let (code, said) = desk.run(&["build", "w.toml", "--output", "bad.tar", "--name", "../Prod"]);
    assert_eq!(code, Some(78), "{said}");
    assert_eq!(desk.run(&["build", "w.toml"]).0, Some(64));
}

#[test]
fn a_signature_is_worth_what_its_key_is() {
    let desk = Desk::new();
    desk.key("ours", &P256);
    desk.key("edwards", &["-algorithm", "ED25519"]);
    desk.key("strange", &P256);
    desk.build("b.tar", "1");
    let verify = |file: &str, key: &str| desk.run(&["verify", file, "--key", key]);
    let (code, said) = verify("b.tar", "ours.pub");
    assert!(code == Some(1) && said.contains("b.tar") && said.contains("is not signed"), "{said}");

    desk.good(&["sign", "b.tar", "--key", "ours.key"]);
    desk.good(&["sign", "b.tar", "--key", "edwards.key"]);
    for key in ["ours.pub", "edwards.pub"] {
        let (code, said) = verify("b.tar", key);
        assert!(code == Some(0) && said.contains(&format!("is signed by {key}")), "{said}");
    }
    let (code, said) = verify("b.tar", "strange.pub");
    assert!(code == Some(1) && said.contains("none of the trusted keys (strange.pub)"), "{said}");

    // What is signed is one version: its signature is none of the next.
    desk.build("next.tar", "2");
    let read = |name: &str| archive::read(&desk.at(name)).expect("a bundle");
    let mut next = read("next.tar");
    next.signatures = read("b.tar").signatures;
    fs::write(desk.at("next.tar"), archive::write(&next)).expect("written");
    let (code, said) = verify("next.tar", "ours.pub");
    assert!(code == Some(1) && said.contains("is not this bundle"), "{said}");

    let (code, said) = desk.run(&["sign", "b.tar", "--key", "ours.pub"]);
    assert!(code == Some(1) && said.contains("ours.pub") && said.contains("PRIVATE KEY"), "{said}");
}

/// An archive of entries.
fn tar(entries: &[(&str, EntryType, u64, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, size, bytes) in entries {
        let mut header = Header::new_ustar();
        // As the writer would refuse it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_cksum();
        tar.append(&header, *bytes).expect("appended");
    }
    tar.into_inner().expect("whole")
}

#[test]
fn a_hostile_bundle_is_refused_by_name() {
    let desk = Desk::new();
    desk.build("b.tar", "1");
    let whole = fs::read(desk.at("b.tar")).expect("built");
    let file = EntryType::Regular;
    let blob = format!("blobs/sha256/{}", "0".repeat(64));
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "it is no archive"),
        ("text", b"[[pipeline]]\n".repeat(100), "it is no bundle"),
        ("cut", whole[..middle].to_vec(), "cut short"),
        ("bit", damaged, "is damaged"),
        ("up", tar(&[("../../etc/cron.d/x", file, 1, b"x")]), "leads out of the archive"),
        ("within", tar(&[("blobs/../../x", file, 1, b"x")]), "leads out of the archive"),
        ("root", tar(&[("/etc/passwd", file, 1, b"x")]), "leads out of the archive"),
        ("link", tar(&[("index.json", EntryType::Symlink, 0, b"")]), "it is no regular file"),
        ("device", tar(&[(&blob, EntryType::Char, 0, b"")]), "it is no regular file"),
        ("giant", tar(&[(&blob, file, 10 << 30, b"")]), "has 10737418240 bytes"),
        ("other", tar(&[("run.sh", file, 1, b"x")]), "there is no such file"),
        (
            "twice",
            tar(&[("oci-layout", file, 1, b"x"), ("oci-layout", file, 1, b"y")]),
            "two of this name",
        ),
        (
            "none",
            tar(&[("oci-layout", file, 30, b"{\"imageLayoutVersion\":\"1.0.0\"}")]),
            "index.json is missing",
        ),
    ];
    for (name, bytes, fault) in cases {
        fs::write(desk.at(name), bytes).expect("written");
        for words in [&["show", name][..], &["diff", "b.tar", name]] {
            let (code, said) = desk.run(words);
            assert_eq!(code, Some(1), "{name}: {said}");
            assert!(said.contains(&format!("{name}: ")) && said.contains(fault), "{name}: {said}");
        }
    }
    let left: Vec<_> = fs::read_dir(Path::new(desk.folder.path())).expect("a folder").collect();
    assert_eq!(left.len(), 2 + 13 + usize::from(desk.at("cache").exists()), "{left:?}");
}

/// What is in the archive is told by a tool that knows nothing of it.
#[test]
fn other_tools_read_the_archive() {
    let desk = Desk::new();
    desk.build("b.tar", "1");
    let source = format!("oci-archive:{}:prod", desk.at("b.tar").display());
    let skopeo = tool("skopeo", "policy");
    let output = Command::new(skopeo).args(["inspect", "--raw", &source]).output();
    let output = output.expect("skopeo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let bundle = archive::read(&desk.at("b.tar")).expect("a bundle");
    assert_eq!(Digest::of(&output.stdout), bundle.digest, "{said}");
}
