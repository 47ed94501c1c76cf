//! Finding and reaching the Docker daemon.

use std::{path::Path, time::Duration};

use bollard::errors::Error;
use tokio::time::timeout;

use super::client::Client;

/// Where a socket usually is: Docker's own place, and the place to which
/// registrator's users mount it.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/tmp/docker.sock"];

/// The time for the first answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why Docker cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket.
    #[error(
        "there is no Docker socket at {} or {}, and DOCKER_HOST is not set",
        SOCKETS[0],
        SOCKETS[1]
    )]
    NoSocket,
    /// The URL is of no known kind, or its certificates cannot be read.
    #[error("cannot use {0} to reach Docker")]
    Url(String, #[source] Error),
    /// It does not answer.
    #[error("cannot reach Docker at {0}")]
    Unreachable(String, #[source] Error),
}

pub(super) async fn connect(host: Option<&str>) -> Result<Client, ConnectError> {
    let host = match host.filter(|host| !host.is_empty()) {
        Some(host) => host.to_string(),
        None => {
            let socket = SOCKETS.iter().find(|socket| Path::new(socket).exists());
            format!("unix://{}", socket.ok_or(ConnectError::NoSocket)?)
        }
    };
    let client = Client::new(&host).map_err(|error| ConnectError::Url(host.clone(), error))?;
    let answer = timeout(TIMEOUT, client.negotiate_version()).await;
    let answer = answer.unwrap_or(Err(Error::RequestTimeoutError));
    answer.map_err(|error| ConnectError::Unreachable(host, error))
}
