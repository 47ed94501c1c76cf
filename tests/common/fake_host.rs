//! A host of which all is made up: a Docker API without containers, a folder for the configuration, and the
//! daemon on it, which registers in its own memory.

use std::{fs, path::Path};

use super::{daemon::Daemon, fake_docker::FakeDocker, http::Activity, plugin};

/// A chain of the stage `registrator` alone.
pub const REGISTRATOR: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

/// The host; its folder goes with the value.
pub struct FakeHost {
    pub docker: FakeDocker,
    folder: tempfile::TempDir,
}

impl FakeHost {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { docker: FakeDocker::start(Activity::default()), folder }
    }

    /// The folder in which the configuration is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's file, with this text from now on.
    pub fn file(&self, text: &str) -> String {
        let file = self.folder().join("wharfinger.toml");
        fs::write(&file, text).expect("it is written");
        file.display().to_string()
    }

    /// The daemon with a configuration.
    pub fn daemon(&self, config: &str) -> Daemon {
        self.run(&["run"], config, &[], &[])
    }

    /// A command that takes what `run` takes, with a configuration, further flags and variables.
    pub fn run(
        &self,
        command: &[&str],
        config: &str,
        flags: &[&str],
        env: &[(&str, &str)],
    ) -> Daemon {
        let file = self.file(config);
        let args = ["--config", &file, "-ip", "192.0.2.10", "--hostname", "h"];
        let docker = self.docker.host();
        let env = [&[("DOCKER_HOST", docker.as_str())], env].concat();
        Daemon::start(&[command, &args, flags, &["memory://"]].concat(), &env)
    }
}

/// A chain whose stage `owner` vetoes what has no owner.
pub fn owned() -> String {
    REGISTRATOR.to_string() + &convention("owner", "owner", "managed")
}

/// The same with a stage `watching`, which would veto what has no label `other`, and is monitored.
pub fn watched() -> String {
    owned() + &convention("watching", "other", "x") + "mode = 'monitor'\n"
}

fn convention(name: &str, owner_label: &str, tag: &str) -> String {
    let file = plugin("convention");
    format!(
        "[[pipeline]]\nname = '{name}'\nfile = {file:?}\n\
         settings = {{ owner-label = '{owner_label}', team-label = 'team', tag = '{tag}' }}\n"
    )
}
