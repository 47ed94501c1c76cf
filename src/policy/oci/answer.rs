//! A server's answer: so much of it is read, in whatever pieces it comes.

use std::{sync::Arc, time::Duration};

use reqwest::{RequestBuilder, Response, Url};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::{OciError, retry::Retries};
use crate::policy::{Digest, manifest::Descriptor};

/// The longest time without a byte.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// The most of a refusal that is read.
const REFUSAL: u64 = 64 << 10;

/// A URL without what may be secret: a redirect's query is often a permission.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().chars().take(400).collect()
}

pub(super) fn failed(url: &Url, source: reqwest::Error) -> OciError {
    let hint = match source.is_connect() && url.scheme() == "https" {
        true => " (a registry without TLS is asked with --plain-http)",
        false => "",
    };
    OciError::Request { url: format!("{}{hint}", shown(url)), source: source.without_url() }
}

/// The beginning of an answer, which has to come within some time. A call that failed for now is
/// made again.
pub(super) async fn begun(
    url: &Url,
    silence: Duration,
    mut request: RequestBuilder,
) -> Result<Response, OciError> {
    let mut retries = Retries::default();
    loop {
        let again = request.try_clone();
        let response = once(url, silence, request).await?;
        let next = again
            .and_then(|again| Some((again, retries.pause(response.status(), response.headers())?)));
        let Some((again, pause)) = next else { return Ok(response) };
        sleep(pause).await;
        request = again;
    }
}

/// The same of something that is asked once.
pub(super) async fn once(
    url: &Url,
    silence: Duration,
    request: RequestBuilder,
) -> Result<Response, OciError> {
    match timeout(silence, request.send()).await {
        Ok(answer) => answer.map_err(|source| failed(url, source)),
        Err(_) => Err(OciError::Silent { url: shown(url), silence }),
    }
}

/// The answer, if it is a good one.
pub(super) async fn good(url: &Url, response: Response) -> Result<Response, OciError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let bytes = read(url, response, REFUSAL).await.unwrap_or_default();
    Err(OciError::Status { url: shown(url), status: status.as_u16(), words: words(&bytes) })
}

/// The words of a refusal: the messages of the registry's errors, or its beginning.
fn words(bytes: &[u8]) -> String {
    let errors = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let errors = errors.as_ref().and_then(|all| all["errors"].as_array());
    let said: Vec<&str> = errors
        .into_iter()
        .flatten()
        .filter_map(|one| one["message"].as_str().or(one["code"].as_str()))
        .collect();
    let text = match said.is_empty() {
        true => String::from_utf8_lossy(bytes).trim().to_string(),
        false => said.join("; "),
    };
    match text.is_empty() {
        true => "it says nothing".into(),
        false => text.chars().take(300).collect(),
    }
}

/// An answer's body of at most so many bytes.
pub(super) async fn read(url: &Url, response: Response, most: u64) -> Result<Vec<u8>, OciError> {
    hashed(url, response, most).await.map(|(bytes, _)| bytes)
}

/// An answer's body, which has to be what a descriptor says.
pub(super) async fn verified(
    url: &Url,
    response: Response,
    wanted: &Descriptor,
) -> Result<Arc<[u8]>, OciError> {
    let (bytes, found) = hashed(url, response, wanted.size).await?;
    if found != wanted.digest || bytes.len() as u64 != wanted.size {
        return Err(OciError::Damaged { url: shown(url), wanted: wanted.digest, found });
    }
    Ok(bytes.into())
}

/// A body of at most so many bytes, and its digest. Room is made as they come, whatever is
/// announced.
pub(super) async fn hashed(
    url: &Url,
    mut response: Response,
    most: u64,
) -> Result<(Vec<u8>, Digest), OciError> {
    let too_large = || OciError::TooLarge { url: shown(url), most };
    if response.content_length().is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let (mut bytes, mut hash) = (Vec::new(), Sha256::new());
    loop {
        let chunk = timeout(SILENCE, response.chunk()).await;
        let chunk = chunk.map_err(|_| OciError::Silent { url: shown(url), silence: SILENCE })?;
        let Some(chunk) = chunk.map_err(|source| failed(url, source))? else { break };
        if (bytes.len() + chunk.len()) as u64 > most {
            return Err(too_large());
        }
        hash.update(&chunk);
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, Digest::from_hash(hash.finalize().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_registrys_words() {
        for (text, expected) in [
            ("", "it says nothing"),
            (" no\n", "no"),
            (
                r#"{"errors": [{"code": "DENIED", "message": "not you"}, {"code": "B"}]}"#,
                "not you; B",
            ),
            (r#"{"errors": []}"#, r#"{"errors": []}"#),
        ] {
            assert_eq!(words(text.as_bytes()), expected);
        }
        assert_eq!(words(&[b'x'; 1000]).len(), 300);
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let url = Url::parse("https://u:p@s.example/blob?X-Signature=secret#f").expect("a URL");
        assert_eq!(shown(&url), "https://s.example/blob");
    }
}
