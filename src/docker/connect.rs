//! Finding and reaching the Docker daemon.

use std::path::Path;

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};

/// Where a socket usually is: Docker's own place, and the place to which
/// registrator's users mount it.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/tmp/docker.sock"];

/// Seconds to wait for the head of an answer.
const TIMEOUT: u64 = 60;

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

pub(super) async fn connect(host: Option<&str>) -> Result<Docker, ConnectError> {
    let host = match host.filter(|host| !host.is_empty()) {
        Some(host) => host.to_string(),
        None => {
            let socket = SOCKETS.iter().find(|socket| Path::new(socket).exists());
            format!("unix://{}", socket.ok_or(ConnectError::NoSocket)?)
        }
    };
    let client = client(&host).map_err(|error| ConnectError::Url(host.clone(), error))?;
    // The client puts no version into its requests, so the daemon would answer
    // in its newest; agree on one that both know.
    client.negotiate_version().await.map_err(|error| ConnectError::Unreachable(host, error))
}

fn client(host: &str) -> Result<Docker, Error> {
    let verify = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
    match host.split_once("://") {
        Some(("unix", path)) => Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION),
        // Reads DOCKER_CERT_PATH.
        Some(("tcp" | "https", _)) if verify => Docker::connect_with_ssl_defaults(),
        Some(("tcp" | "http", _)) => Docker::connect_with_http(host, TIMEOUT, API_DEFAULT_VERSION),
        _ => Docker::connect_with_host(host),
    }
}
