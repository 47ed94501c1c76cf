//! `wharfinger health`: whether the daemon does its work, for images, units and supervisors.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Printed, SocketArgs};
use crate::{
    config::Config,
    daemon::control::{self, Answer, ControlError, Request},
    text,
};

/// The flags of `health`.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Be content with a daemon that answers, though it has not looked at every container yet.
    #[arg(long)]
    pub live: bool,

    /// The daemon's HTTP listener, which is asked if no control socket is there.
    #[arg(long, value_name = "ADDRESS", env = "WHARFINGER_LISTEN")]
    pub listen: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub socket: SocketArgs,
}

/// The time in which a daemon answers that does its work.
const PATIENCE: Duration = Duration::from_secs(4);
/// The longest answer of the listener.
const LONGEST: u64 = 8192;

/// Whether the daemon is ready, as a line for the standard output, and the exit code: 0 if it is,
/// and 1 if not.
///
/// # Errors
///
/// No daemon answers.
pub async fn health(args: &HealthArgs) -> anyhow::Result<Printed> {
    let asked = timeout(PATIENCE, asked(args)).await;
    let why = asked.map_err(|_| anyhow!("the daemon does not answer within 4 s"))??;
    let (words, code) = match why {
        None if args.live => ("alive".to_string(), 0),
        None => ("ready".to_string(), 0),
        Some(why) => (format!("not ready: {}", text::shown(&why)), 1),
    };
    Ok(Printed { text: words + "\n", code })
}

/// Why the daemon is not ready; none if it is.
async fn asked(args: &HealthArgs) -> anyhow::Result<Option<String>> {
    let place = args.socket.place();
    let nowhere = place.as_deref().is_some_and(|place| place.as_os_str() == "none");
    let nobody = if nowhere {
        ControlError::Nobody(vec!["none".into()])
    } else {
        match control::ask(place.as_deref(), &Request::Status).await {
            Ok(Answer::Status(_)) if args.live => return Ok(None),
            Ok(Answer::Status(status)) => return Ok(status.overview.not_ready()),
            Ok(other) => return Err(other.unexpected().into()),
            Err(error) => error,
        }
    };
    let of_file =
        || Config::read_with_faults(args.socket.config.as_deref()?).ok()?.0.listen.address;
    let address = args.listen.clone().or_else(of_file).filter(|address| address != "none");
    let Some(address) = address else {
        // A container without a place for the socket is no ill one.
        let silent = matches!(nobody, ControlError::Nobody(_));
        return if args.live && silent && is_main_process() {
            Ok(None)
        } else {
            Err(nobody.into())
        };
    };
    let address: SocketAddr = address.parse().map_err(|_| anyhow!("{address:?} is no address"))?;
    let path = if args.live { "/livez" } else { "/readyz" };
    let (status, body) =
        get(address, path).await.with_context(|| format!("http://{address}{path}"))?;
    match status {
        200 => Ok(None),
        503 => Ok(Some(body.trim().trim_start_matches("not ready: ").to_string())),
        other => bail!("http://{address}{path} answers {other}: {}", text::shown(body.trim())),
    }
}

/// Whether this runs in a container of which the daemon is the main process. More of it than its
/// name cannot be read: it may have a capability that this process has not.
fn is_main_process() -> bool {
    let name = std::fs::read_to_string("/proc/1/comm");
    name.is_ok_and(|name| name.trim_end() == env!("CARGO_PKG_NAME"))
}

/// The status and the body of an answer; one that is reached under all addresses is reached under
/// this machine's own.
async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let address = SocketAddr::new(ip, address.port());
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes).await?;
    let answer = String::from_utf8_lossy(&bytes);
    let (head, body) = answer.split_once("\r\n\r\n").context("it is no answer over HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("it is no answer over HTTP")?, body.to_string()))
}
