//! A host with Docker and Consul of its own, and the daemon on it.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;

use super::{
    consul::{self, Consul},
    daemon::Daemon,
    dockerd::Dockerd,
    ports,
    wait::until,
};

/// Time enough for anything on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
/// The host's name and address.
pub const HOST: &str = "testhost";
pub const IP: &str = "192.0.2.10";

/// A host with Docker and Consul, and an image that serves on port 80.
pub struct Lab {
    pub docker: Dockerd,
    pub consul: Consul,
}

impl Lab {
    pub async fn new() -> Self {
        Self::with(consul::Options::default()).await
    }

    pub async fn with(options: consul::Options) -> Self {
        let docker = Dockerd::start().await;
        docker.import_busybox(
            "mycorp.com/myteam/myimage:0.5",
            &["CMD [\"httpd\",\"-f\",\"-p\",\"80\",\"-h\",\"/www\"]", "EXPOSE 80"],
        );
        docker.run(&["tag", "mycorp.com/myteam/myimage:0.5", "web:1"]);
        let consul = Consul::start(options).await;
        Self { docker, consul }
    }

    pub fn uri(&self) -> String {
        format!("consul://{}", self.consul.addr())
    }

    /// The daemon with these flags before the registry's URI.
    pub fn daemon(&self, flags: &[&str]) -> Daemon {
        let uri = self.uri();
        let mut args = vec!["-ip", IP, "-hostname", HOST];
        args.extend(flags);
        args.push(&uri);
        Daemon::start(&args, &[("DOCKER_HOST", &self.docker.host())])
    }

    /// The daemon with a configuration file.
    pub fn configured(&self, config: &str) -> (Daemon, PathBuf) {
        self.configured_with(config, &[])
    }

    /// The daemon with a configuration file and further flags.
    pub fn configured_with(&self, config: &str, flags: &[&str]) -> (Daemon, PathBuf) {
        self.configured_at(&self.docker.host(), config, flags)
    }

    /// The daemon with a configuration file and further flags, and Docker behind this
    /// address.
    pub fn configured_at(&self, docker: &str, config: &str, flags: &[&str]) -> (Daemon, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let file = folder.join("wharfinger.toml");
        fs::write(&file, config).expect("the file is written");
        let uri = self.uri();
        let path = file.to_str().expect("a path");
        let mut args = vec!["run", "--config", path, "--ip", IP, "--hostname", HOST];
        args.extend(flags);
        args.push(&uri);
        (Daemon::start(&args, &[("DOCKER_HOST", docker)]), folder)
    }

    pub fn start(&self, name: &str, args: &[&str]) -> String {
        // Several dockerd on one machine would choose the same ports for -P.
        let [port] = ports::free::<1>();
        let publish = format!("{port}:80");
        let mut line = vec!["run", "-d", "--name", name];
        for arg in args {
            match *arg {
                "-P" => line.extend(["-p", &publish]),
                other => line.push(other),
            }
        }
        line.push("web:1");
        self.docker.run(&line).trim().to_string()
    }

    /// Wait until exactly these IDs are registered.
    pub async fn ids(&self, expected: &[&str]) {
        let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        expected.sort();
        until(SOON, format!("exactly {expected:?} in Consul"), async || {
            let mut ids: Vec<_> = self.consul.services().await.keys().cloned().collect();
            ids.sort();
            if ids == expected { Ok(()) } else { Err(format!("{ids:?}")) }
        })
        .await;
    }

    pub async fn service(&self, id: &str) -> Value {
        until(SOON, format!("{id} in Consul"), async || {
            let services = self.consul.services().await;
            services.get(id).cloned().ok_or(format!("{:?}", services.keys().collect::<Vec<_>>()))
        })
        .await
    }
}

/// A configuration with this plugin after the built-in stage, and further keys.
pub fn after_registrator(name: &str, plugin: &str, further: &str) -> String {
    let file = super::plugin(plugin);
    let registrator = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
    format!("{registrator}[[pipeline]]\nname = '{name}'\nfile = {file:?}\n{further}\n")
}
