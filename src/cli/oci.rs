//! The flags of commands that speak to a registry of images.

use std::path::PathBuf;

use clap::Args;

use crate::policy::oci::Options;

/// How the registry is reached.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct OciArgs {
    /// Speak HTTP without TLS to the registry of images.
    #[arg(long)]
    plain_http: bool,

    /// The certification authorities of the registry of images, in PEM; the system's if none.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The file with logins at registries of images, in the form of Docker's config.json; without
    /// it, the one of DOCKER_CONFIG or in ~/.docker.
    #[arg(long, value_name = "FILE")]
    login_file: Option<PathBuf>,
}

impl OciArgs {
    pub(super) fn options(&self) -> Options {
        Options {
            plain_http: self.plain_http,
            ca_file: self.ca_file.clone(),
            login_file: self.login_file.clone(),
        }
    }
}
