//! Asks daemons that listen.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use reqwest::{Client, StatusCode, Url, redirect};

use crate::{error::error_chain, files};

/// The time for one daemon's answer, and how many are asked at once.
const ANSWER: Duration = Duration::from_secs(20);
pub(super) const AT_ONCE: usize = 16;
/// The most bytes of a daemon's answer.
const MOST: usize = 16 << 20;
/// The time for an answer that has to be worked out, for which a busy daemon asks to be asked again.
const WORKED_OUT: Duration = Duration::from_secs(120);
const AGAIN: Duration = Duration::from_secs(2);

/// The flags that say how daemons are asked.
#[derive(Debug, Clone, Args)]
pub(super) struct AskerArgs {
    /// The file with the token that daemons' listeners ask for.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl AskerArgs {
    /// What asks; nobody is asked yet.
    pub(super) fn open(&self) -> anyhow::Result<Asker> {
        let token = self.token_file.as_ref().map(|file| {
            files::read_text(file, files::TEXT)
                .map(|text| text.trim().to_string())
                .with_context(|| format!("cannot read {}", file.display()))
        });
        // The token goes to the daemon and nowhere else.
        let builder =
            Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(ANSWER);
        let client = builder.build().context("cannot make the HTTP client")?;
        Ok(Asker { client, token: token.transpose()? })
    }
}

/// What asks daemons.
pub(super) struct Asker {
    client: Client,
    token: Option<String>,
}

/// Why there is no answer.
enum Unanswered {
    /// There is none now; there may be later.
    Busy(String),
    /// There is none.
    Not(String),
}

impl Unanswered {
    fn words(self) -> String {
        match self {
            Self::Busy(words) | Self::Not(words) => words,
        }
    }
}

impl Asker {
    /// The same as [`Asker::get`] of what a daemon has to work out first: one that is busy, or takes
    /// longer than an answer may, is asked again for a while.
    pub(super) async fn worked_out(
        &self,
        at: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, String> {
        let began = Instant::now();
        loop {
            match self.asked(at, path, query).await {
                Err(Unanswered::Busy(_)) if began.elapsed() < WORKED_OUT => {
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return answer.map_err(Unanswered::words),
            }
        }
    }

    /// What a daemon answers to a path of its API. The error says why there is no answer.
    pub(super) async fn get(
        &self,
        at: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, String> {
        self.asked(at, path, query).await.map_err(Unanswered::words)
    }

    async fn asked(
        &self,
        at: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, Unanswered> {
        let no_address = || Unanswered::Not(format!("{at} is no address"));
        let url = Url::parse(&format!("http://{at}/api/v1")).ok();
        let url = url.and_then(|mut url| {
            url.path_segments_mut().ok()?.extend(path);
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            Some(url)
        });
        let mut request = self.client.get(url.ok_or_else(no_address)?);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let failed = |error: reqwest::Error| {
            let late = error.is_timeout();
            let reason = error_chain(&error.without_url());
            let words = format!("its daemon does not answer: {reason}");
            if late { Unanswered::Busy(words) } else { Unanswered::Not(words) }
        };
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MOST {
                return Err(Unanswered::Not("its daemon's answer is too long".into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        match status {
            status if status.is_success() => Ok(bytes),
            StatusCode::SERVICE_UNAVAILABLE => Err(Unanswered::Busy(refusal(status, &bytes))),
            status => Err(Unanswered::Not(refusal(status, &bytes))),
        }
    }
}

/// What a daemon says that does not answer.
fn refusal(status: StatusCode, bytes: &[u8]) -> String {
    let words = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let words = words.as_ref().and_then(|all| all["error"].as_str());
    let words = words.map(|words| format!(": {}", words.chars().take(600).collect::<String>()));
    let words = words.unwrap_or_default();
    format!("its daemon answers with status {}{words}", status.as_u16())
}
