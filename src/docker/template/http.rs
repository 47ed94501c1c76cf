//! The request of `httpGet`. A template's functions are synchronous, and so is
//! this: it blocks the calling thread for as long as the request takes.

use std::error::Error;
use std::iter;
use std::thread;
use std::time::Duration;

use super::Fault;
use crate::proxy::Proxies;

/// The time that a request may take, to the last byte of its response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest body that is taken, in bytes.
const MAX_BODY: usize = 1 << 20;

/// A response.
pub(super) struct Page {
    /// Whether the status is one of success.
    pub(super) success: bool,
    /// The status, in words.
    pub(super) status: String,
    pub(super) body: Vec<u8>,
}

/// Get a page, whatever its status is.
///
/// # Errors
///
/// There is no response, or it is too large.
pub(super) fn get(url: String) -> Result<Page, Fault> {
    // The caller may stand in an async runtime, where none can be started.
    let request = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| Fault::Http(error.to_string()))?.block_on(fetch(&url))
    });
    request.join().map_err(|_| Fault::Http("the request panicked".into()))?
}

async fn fetch(url: &str) -> Result<Page, Fault> {
    // The address may be made of a container's variables, so it is not said.
    let fault = |error: reqwest::Error| {
        let error = error.without_url();
        let chain = iter::successors(Some(&error as &dyn Error), |error| (*error).source());
        Fault::Http(chain.map(|error| error.to_string()).collect::<Vec<_>>().join(": "))
    };
    let proxies = Proxies::new(|name| std::env::var(name).ok());
    let client = reqwest::Client::builder().timeout(TIMEOUT).proxy(proxies.for_client()).build();
    let request = client.map_err(fault)?.get(url).send().await;
    let mut response = request.map_err(fault)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Fault::TooLarge("httpGet"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Page {
        success: !status.is_client_error() && !status.is_server_error(),
        status: format!("the answer is {status}"),
        body,
    })
}
