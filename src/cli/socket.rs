//! Where a command finds the daemon that it asks.

use std::path::{Path, PathBuf};

use clap::Args;

use super::RunArgs;
use crate::config::Config;

/// The flags that say where the daemon listens.
#[derive(Debug, Clone, Args)]
pub struct SocketArgs {
    /// The control socket of the daemon, if it is not where it usually is.
    #[arg(long, value_name = "PATH", env = "WHARFINGER_CONTROL")]
    pub control: Option<PathBuf>,

    /// The daemon's configuration file, if that says where the socket is.
    #[arg(long, value_name = "FILE", env = "WHARFINGER_CONFIG")]
    pub config: Option<PathBuf>,
}

impl SocketArgs {
    /// The socket, if flags or file name one.
    pub fn place(&self) -> Option<PathBuf> {
        named(self.control.as_deref(), self.config.as_deref())
    }
}

impl RunArgs {
    /// The socket of a daemon with these flags, if flags or file name one.
    pub fn socket(&self) -> Option<PathBuf> {
        named(self.control.as_deref(), self.offer.config.as_deref())
    }
}

/// What is wrong with the file is no business of a command that only asks.
fn named(control: Option<&Path>, config: Option<&Path>) -> Option<PathBuf> {
    control.map(Path::to_path_buf).or_else(|| Config::daemon(config?)?.control)
}
