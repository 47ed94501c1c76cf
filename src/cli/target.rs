//! The flags of commands that look at what a daemon with the same flags would do.

use std::path::PathBuf;

use clap::Args;

use super::{LogFormat, OfferArgs, RunArgs};

/// A daemon's flags, as far as they bear on what it registers.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub offer: OfferArgs,

    /// Containers that docker inspect recorded in this file, in the place of
    /// Docker's. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub containers: Vec<PathBuf>,

    /// Remove dangling services that registrator left behind on this host.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub cleanup: bool,

    /// Deregister exited services "always" or "on-success".
    #[arg(long, value_name = "WHEN", default_value = "always")]
    pub deregister: String,

    /// TTL for services in seconds; 0 for no expiry.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub ttl: u64,

    /// Seconds between two refreshes of services' TTLs.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub ttl_refresh: u64,

    /// Where services are registered; as for the daemon. Recorded containers are
    /// compared with a registry only if it is given here.
    #[arg(value_name = "registry URI")]
    pub uri: Option<String>,
}

impl TargetArgs {
    /// The flags of the daemon that is meant.
    ///
    /// # Errors
    ///
    /// They cannot be used together; the words are registrator's.
    pub fn daemon(&self) -> Result<RunArgs, String> {
        let args = RunArgs {
            offer: self.offer.clone(),
            containers: self.containers.clone(),
            cleanup: self.cleanup,
            deregister: self.deregister.clone(),
            resync: 0,
            retry_attempts: Some(0),
            retry_interval: 2000,
            ttl: self.ttl,
            ttl_refresh: self.ttl_refresh,
            confirm: false,
            control: None,
            log_format: LogFormat::Text,
            uri: self.uri.clone(),
        };
        args.check().map(|()| args)
    }
}
