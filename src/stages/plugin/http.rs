//! The interface `wasi:http/outgoing-handler`: requests to the origins that the
//! operator granted, and nowhere else. Redirects are handed to the guest, which
//! may follow them only as far as it may ask by itself.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use reqwest::Url;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use crate::stages::plugin::{allowance::Allowance, grants::Origin};

/// Sends requests for guests.
pub(super) struct Sender {
    pub(super) ctx: WasiHttpCtx,
    pub(super) hooks: Hooks,
}

/// Decides of each request whether it is sent, and sends it.
pub(super) struct Hooks {
    client: reqwest::Client,
    origins: Vec<Origin>,
    timeout: Duration,
    /// Bytes of a body, the request's or the answer's.
    most: usize,
}

/// A client for guests' requests.
///
/// # Errors
///
/// The machine's certificates cannot be used.
pub(super) fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        // Whoever redirects must not lead a guest out of its origins, and
        // neither must the daemon's environment.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(*super::Limits::REQUEST_TIMEOUT.end())
        .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("cannot make an HTTP client: {error}"))
}

impl Sender {
    pub(super) fn new(allowance: &Allowance, client: reqwest::Client) -> Self {
        let hooks = Hooks {
            client,
            origins: allowance.grants.http.clone(),
            timeout: allowance.limits.request_timeout,
            most: usize::try_from(allowance.limits.output.as_u64()).unwrap_or(usize::MAX),
        };
        Self { ctx: WasiHttpCtx::new(), hooks }
    }
}

/// Headers by which some servers are told that another path is meant.
const OTHER_PATHS: [&str; 7] = [
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-envoy-original-path",
];

/// Whether a request is for what its URL names, and nothing else.
fn keeps_to_its_path<B>(request: &http::Request<B>) -> bool {
    // That one names a host to be connected with, and no path.
    request.method() != http::Method::CONNECT
        && !OTHER_PATHS.iter().any(|name| request.headers().contains_key(*name))
}

type Answer = http::Response<WasiBody>;
type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Done,
    ) -> Box<dyn Future<Output = Result<(Answer, Done), Error>> + Send> {
        let wanted = request.uri().to_string();
        let admitted = self.origins.iter().find_map(|origin| origin.admits(&wanted));
        let Some(url) = admitted.filter(|_| keeps_to_its_path(&request)) else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let wanted = options.and_then(|options| options.first_byte_timeout);
        let timeout = wanted.unwrap_or(self.timeout).min(self.timeout);
        let send = send(self.client.clone(), url, request, self.most);
        Box::new(async move {
            match tokio::time::timeout(timeout, send).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::HttpResponseTimeout),
            }
        })
    }
}

/// Send a request and read the whole answer. Both are small by the limit, and
/// so the time limit covers all of it.
async fn send(
    client: reqwest::Client,
    url: Url,
    request: http::Request<WasiBody>,
    most: usize,
) -> Result<(Answer, Done), Error> {
    let (mut head, body) = request.into_parts();
    let body = Limited::new(body, most)
        .collect()
        .await
        .map_err(|_| Error::HttpRequestBodySize(Some(most as u64)))?
        .to_bytes();
    // The client makes it of the URL.
    head.headers.remove(http::header::HOST);
    let mut answer = client
        .request(head.method, url)
        .headers(head.headers)
        .body(body)
        .send()
        .await
        .map_err(failure)?;
    let mut response = http::Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = std::mem::take(answer.headers_mut());
    }
    let mut content = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        if content.len() + chunk.len() > most {
            return Err(Error::HttpResponseBodySize(Some(most as u64)));
        }
        content.extend_from_slice(&chunk);
    }
    let body = Full::new(content.into()).map_err(|never| match never {}).boxed_unsync();
    let response = response.body(body).map_err(|_| Error::HttpProtocolError)?;
    Ok((response, Box::new(std::future::ready(Ok(())))))
}

fn failure(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_connect() {
        Error::ConnectionRefused
    } else {
        Error::HttpProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_its_url() {
        let request = |method: &str, header: &str| {
            let builder = http::Request::builder().method(method).uri("https://a.example/v1/");
            builder.header(header, "/admin").body(()).expect("a request")
        };
        assert!(keeps_to_its_path(&request("GET", "accept")));
        assert!(keeps_to_its_path(&request("PUT", "x-forwarded-for")));
        assert!(!keeps_to_its_path(&request("CONNECT", "accept")));
        for header in OTHER_PATHS {
            assert!(!keeps_to_its_path(&request("GET", header)), "{header}");
        }
        assert!(!keeps_to_its_path(&request("GET", "X-Original-URL")));
    }
}
