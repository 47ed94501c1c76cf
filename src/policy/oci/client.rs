//! Calls of a registry, each bounded in size and time, with the login that it asks for.
//!
//! A registry is a stranger. Its redirects are followed here, a few of them, and nobody but the
//! registry itself sees the login; of an answer so much is read as was announced by somebody who
//! is believed; and what is pushed goes to the registry itself.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::body::Bytes;
use reqwest::{
    Certificate, Method, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION},
    redirect,
};
use tokio::time::sleep;

use super::{
    OciError, Options, Reference,
    answer::{SILENCE, begun, good, hashed, once, read, shown, verified},
    challenge::challenge,
    links,
    retry::Retries,
    token::{self, Repository},
};
use crate::{
    files,
    policy::{
        Digest,
        manifest::{Descriptor, INDEX, MANIFEST, MANIFEST_SIZE},
    },
    proxy::Proxies,
};

const CONNECT: Duration = Duration::from_secs(10);
/// The time for a call that moves next to nothing.
const CALL: Duration = Duration::from_secs(60);
/// The bytes in a second at which a long transfer is given up.
const SLOWEST: u64 = 32 << 10;
/// The most redirects that are followed.
const HOPS: usize = 5;

/// One repository of a registry.
pub(super) struct Client {
    at: Repository,
    /// The header that the registry has taken.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A page of a list, and where the next one is.
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) next: Option<Url>,
}

impl Client {
    pub(super) fn new(
        reference: &Reference,
        options: &Options,
        pushes: bool,
    ) -> Result<Self, OciError> {
        let Reference { registry, repository, .. } = reference;
        let scheme = if options.plain_http { "http" } else { "https" };
        // Docker's own registry answers under another name.
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let base = Url::parse(&format!("{scheme}://{host}/v2/{repository}/"))
            .map_err(|error| OciError::Client(format!("{registry}: {error}")))?;
        let at = Repository {
            http: http(options)?,
            registry: registry.clone(),
            base,
            name: repository.clone(),
            plain_http: options.plain_http,
            pushes,
            login_file: options.login_file.clone(),
        };
        Ok(Self { at, authorization: Mutex::new(None) })
    }

    fn url(&self, path: &str) -> Result<Url, OciError> {
        let joined = self.at.base.join(path);
        joined.map_err(|error| OciError::Client(format!("{}{path}: {error}", self.at.base)))
    }

    /// A manifest by its tag or digest; none if there is none.
    pub(super) async fn manifest(&self, target: &str) -> Result<Option<Vec<u8>>, OciError> {
        let url = self.url(&format!("manifests/{target}"))?;
        let response = self.get(&url, &format!("{MANIFEST}, {INDEX}"), MANIFEST_SIZE).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = good(&url, response).await?;
        read(&url, response, MANIFEST_SIZE).await.map(Some)
    }

    /// The first page of the list of what refers to a manifest; none if the registry knows of no
    /// such lists.
    pub(super) async fn referrers(
        &self,
        of: &Digest,
        kind: &str,
    ) -> Result<Option<Page>, OciError> {
        let mut url = self.url(&format!("referrers/{of}"))?;
        url.query_pairs_mut().append_pair("artifactType", kind);
        let response = self.get(&url, INDEX, MANIFEST_SIZE).await?;
        let unknown = [400, 404, 405, 406, 501].contains(&response.status().as_u16());
        match unknown {
            true => Ok(None),
            false => self.page(&url, response).await.map(Some),
        }
    }

    /// A further page of a list.
    pub(super) async fn next(&self, url: &Url) -> Result<Page, OciError> {
        let response = self.get(url, INDEX, MANIFEST_SIZE).await?;
        self.page(url, response).await
    }

    async fn page(&self, url: &Url, response: Response) -> Result<Page, OciError> {
        let response = good(url, response).await?;
        let next = links::next(response.headers());
        let next = next.map(|place| {
            let place = url.join(&place).ok().filter(|place| place.origin() == url.origin());
            place.ok_or_else(|| OciError::Redirect {
                url: shown(url),
                reason: "the next page of the list is at another host, or nowhere".into(),
            })
        });
        let next = next.transpose()?;
        Ok(Page { bytes: read(url, response, MANIFEST_SIZE).await?, next })
    }

    /// A blob: as many bytes as its descriptor says, of the digest that it says.
    pub(super) async fn blob(&self, wanted: &Descriptor) -> Result<Arc<[u8]>, OciError> {
        let url = self.url(&format!("blobs/{}", wanted.digest))?;
        let response = self.get(&url, "*/*", wanted.size).await?;
        let response = good(&url, response).await?;
        verified(&url, response, wanted).await
    }

    /// Push a blob, unless it is there. An upload that failed for now is begun anew: its place is
    /// good for once.
    pub(super) async fn put_blob(
        &self,
        digest: &Digest,
        bytes: &Arc<[u8]>,
    ) -> Result<(), OciError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let mut retries = Retries::default();
        loop {
            let head = |http: &reqwest::Client| http.head(url.clone());
            let there = self.call(&url, CALL, CALL, Tries::Several, head).await?.status();
            if there.is_success() || there.is_redirection() {
                return Ok(());
            }
            let begin = self.url("blobs/uploads/")?;
            let post = |http: &reqwest::Client| http.post(begin.clone());
            let response = self.call(&begin, CALL, CALL, Tries::Several, post).await?;
            let response = good(&begin, response).await?;
            let mut place = self.upload(&begin, &response)?;
            place.query_pairs_mut().append_pair("digest", &digest.to_string());
            let body = Bytes::from_owner(bytes.clone());
            let put = |http: &reqwest::Client| {
                let request = http.put(place.clone()).body(body.clone());
                request.header(CONTENT_TYPE, "application/octet-stream")
            };
            // An upload takes its time before anything is answered.
            let patience = patience(bytes.len() as u64);
            let response = self.call(&place, patience, patience, Tries::One, put).await?;
            match retries.pause(response.status(), response.headers()) {
                Some(pause) => sleep(pause).await,
                None => return good(&place, response).await.map(drop),
            }
        }
    }

    /// The place for an upload, which has to be at the registry itself.
    fn upload(&self, begin: &Url, response: &Response) -> Result<Url, OciError> {
        let place = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let place = place.and_then(|place| begin.join(place).ok());
        let mut place = place.ok_or_else(|| OciError::Redirect {
            url: shown(begin),
            reason: "the registry does not say where to push".into(),
        })?;
        // One that stands behind another server may not know that it is asked over TLS.
        if place.host_str() == self.at.base.host_str() && place.port() == self.at.base.port() {
            let _ = place.set_scheme(self.at.base.scheme());
        }
        if place.origin() == self.at.base.origin() {
            return Ok(place);
        }
        let reason = format!("it wants an upload at {}, which is another host", shown(&place));
        Err(OciError::Redirect { url: shown(begin), reason })
    }

    /// Push a manifest; whether the registry says that it knows of referrers.
    pub(super) async fn put_manifest(
        &self,
        target: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<bool, OciError> {
        let url = self.url(&format!("manifests/{target}"))?;
        let put = |http: &reqwest::Client| {
            http.put(url.clone()).header(CONTENT_TYPE, media_type).body(bytes.clone())
        };
        let response = self.call(&url, CALL, CALL, Tries::Several, put).await?;
        let response = good(&url, response).await?;
        Ok(response.headers().contains_key("oci-subject"))
    }

    /// Ask for something of so many bytes, wherever it is.
    async fn get(&self, url: &Url, accept: &str, size: u64) -> Result<Response, OciError> {
        let mut at = url.clone();
        for _ in 0..=HOPS {
            let get = |http: &reqwest::Client| http.get(at.clone()).header(ACCEPT, accept);
            let response = self.call(&at, SILENCE, patience(size), Tries::Several, get).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            at = follow(&at, &response, self.at.plain_http)?;
        }
        let reason = format!("there are more than {HOPS} redirects");
        Err(OciError::Redirect { url: shown(url), reason })
    }

    /// Ask, and ask again with the login that the registry wants. The answer has to begin within
    /// `silence`, and to end within `patience`.
    async fn call(
        &self,
        url: &Url,
        silence: Duration,
        patience: Duration,
        tries: Tries,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, OciError> {
        let first = request(&self.at.http).timeout(patience);
        let response = self.send(url, silence, tries, first).await?;
        let ours = url.origin() == self.at.base.origin();
        if response.status() != StatusCode::UNAUTHORIZED || !ours {
            return Ok(response);
        }
        let header = token::answer(&self.at, challenge(response.headers())).await?;
        if let Ok(mut known) = self.authorization.lock() {
            *known = Some(header);
        }
        self.send(url, silence, tries, request(&self.at.http).timeout(patience)).await
    }

    async fn send(
        &self,
        url: &Url,
        silence: Duration,
        tries: Tries,
        request: RequestBuilder,
    ) -> Result<Response, OciError> {
        let known = self.authorization.lock().ok().and_then(|known| known.clone());
        // Nobody else sees the login.
        let request = match known.filter(|_| url.origin() == self.at.base.origin()) {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        };
        match tries {
            Tries::One => once(url, silence, request).await,
            Tries::Several => begun(url, silence, request).await,
        }
    }
}

/// The tries of a call that is refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tries {
    One,
    Several,
}

/// A client that follows no redirect by itself.
pub(super) fn http(options: &Options) -> Result<reqwest::Client, OciError> {
    let fault = |words: String| OciError::Client(words);
    let proxies = Proxies::new(|name| std::env::var(name).ok());
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
        .proxy(proxies.for_client());
    if let Some(file) = &options.ca_file {
        let said = |words: String| fault(format!("{}: {words}", file.display()));
        let pem = files::read(file, files::TEXT).map_err(|error| said(error.to_string()))?;
        let roots = Certificate::from_pem_bundle(&pem).map_err(|error| said(error.to_string()))?;
        if roots.is_empty() {
            return Err(said("it has no certificate in PEM".into()));
        }
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|error| fault(error.to_string()))
}

/// Fetch the file of a URL from a server that is no registry: at most so many bytes, which have to
/// have this digest.
///
/// # Errors
///
/// See [`OciError`].
pub(super) async fn download(
    url: &Url,
    digest: &Digest,
    options: &Options,
    most: u64,
) -> Result<Arc<[u8]>, OciError> {
    let http = http(options)?;
    let mut at = url.clone();
    for _ in 0..=HOPS {
        let request = http.request(Method::GET, at.clone()).timeout(patience(most));
        let response = begun(&at, SILENCE, request).await?;
        if response.status().is_redirection() {
            at = follow(&at, &response, false)?;
            continue;
        }
        let response = good(&at, response).await?;
        let (bytes, found) = hashed(&at, response, most).await?;
        if found != *digest {
            return Err(OciError::Damaged { url: shown(&at), wanted: *digest, found });
        }
        return Ok(bytes.into());
    }
    Err(OciError::Redirect {
        url: shown(url),
        reason: format!("there are more than {HOPS} redirects"),
    })
}

/// The target of a redirect, which has to be asked as safely as the registry is.
fn follow(from: &Url, response: &Response, plain_http: bool) -> Result<Url, OciError> {
    let fault = |reason: String| OciError::Redirect { url: shown(from), reason };
    let place = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let place = place.and_then(|place| from.join(place).ok());
    let place = place.ok_or_else(|| fault("a redirect that names no place".into()))?;
    let safe = place.scheme() == "https" || (plain_http && place.scheme() == "http");
    if !safe || !place.has_host() {
        return Err(fault(format!("a redirect to {}, which is not https", shown(&place))));
    }
    if !place.username().is_empty() || place.password().is_some() {
        return Err(fault("a redirect to a place with a login in it".into()));
    }
    Ok(place)
}

/// The time that a transfer of so many bytes may take.
fn patience(size: u64) -> Duration {
    CALL + Duration::from_secs(size / SLOWEST)
}
