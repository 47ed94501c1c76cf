//! A folder with an organisation's keys, in which its policies are made, and the file of a host
//! that takes them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use wharfinger::policy::{
    Bundle, archive,
    build::Draft,
    sign::{self, PrivateKey},
};

use super::plugin;

/// What every version of the policy has: the stage that reads labels, and one that vetoes what
/// has no owner and writes the number of the version as a tag.
pub fn document(settings: &str) -> String {
    format!(
        "[limits]\ntimeout = '10s'\n\
         [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nslot = 'host'\n\
         [[pipeline]]\nname = 'convention'\nfile = {:?}\nsettings = {{ {settings} }}\n",
        plugin("convention")
    )
}

pub struct Bundles {
    folder: tempfile::TempDir,
}

impl Bundles {
    /// With the keys `ops` and `stranger`.
    pub fn new() -> Self {
        let bundles = Self { folder: tempfile::tempdir().expect("a folder") };
        for name in ["ops", "stranger"] {
            let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
            for words in [
                vec!["genpkey", "-out", &private, "-algorithm", "ED25519"],
                vec!["pkey", "-in", &private, "-pubout", "-out", &public],
            ] {
                let mut openssl = Command::new("openssl");
                let made = openssl.args(&words).current_dir(&bundles.folder).output();
                let made = made.expect("openssl runs");
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            }
        }
        bundles
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bundle of a document whose files are absolute paths, signed by this key.
    pub fn make(&self, name: &str, sequence: u64, document: &str, key: Option<&str>) -> Bundle {
        let draft = Draft::parse(document, "policy.toml").expect("a policy");
        let contents: Vec<Arc<[u8]>> = draft
            .components
            .iter()
            .map(|wanted| fs::read(&wanted.source).expect("a component").into())
            .collect();
        let mut bundle = draft.finish(name, sequence, &contents).expect("a bundle");
        if let Some(key) = key {
            let text = fs::read_to_string(self.at(&format!("{key}.key"))).expect("a key");
            let key = PrivateKey::parse(&text).expect("a key");
            let signature = key.sign(&bundle).expect("signed");
            sign::add(&mut bundle, signature);
        }
        bundle
    }

    /// The usual policy of this number, signed by `ops`; it tags services with `v<number>`.
    pub fn version(&self, sequence: u64) -> Bundle {
        self.make("prod", sequence, &document(&format!("tag = 'v{sequence}'")), Some("ops"))
    }

    /// Put a file in the place of what the host's source names.
    pub fn offer(&self, bytes: &[u8]) {
        replace(&self.at("prod.bundle"), bytes);
    }

    pub fn offer_bundle(&self, bundle: &Bundle) {
        self.offer(&archive::write(bundle));
    }

    /// The host's file with this source and all else that it says, which comes first.
    pub fn host(&self, source: &str, top: &str, more: &str) -> String {
        let text = format!(
            "{top}\n[policy]\nsource = {source:?}\nstore = 'store'\npoll = '1s'\n{more}\n\
             [policy.trust]\nkeys = [{{ name = 'ops', file = 'ops.pub' }}]\n"
        );
        self.write(&text);
        self.at("wharfinger.toml").display().to_string()
    }

    /// The same with the file of a bundle.
    pub fn host_of_file(&self, top: &str, more: &str) -> String {
        let source = format!("file://{}", self.at("prod.bundle").display());
        self.host(&source, top, more)
    }

    pub fn write(&self, text: &str) {
        replace(&self.at("wharfinger.toml"), text.as_bytes());
    }
}

/// Write a file so that it is whole at any moment.
pub fn replace(file: &Path, content: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, content).expect("the file is written");
    fs::rename(&new, file).expect("it is renamed");
}
