//! The calls of Docker's API that the daemon makes. The server is a stranger: of no
//! answer, line or list more is read than makes sense, none is waited for without an
//! end, no redirect is followed, and what goes into a path is encoded.
//!
//! Calls, models and errors are called as bollard calls them, whose own client reads
//! answers of any length.

mod events;
mod list;
mod pool;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION,
    errors::Error,
    models::{EventMessage, SystemVersion},
    query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions},
};
use bytesize::ByteSize;
use futures_util::stream::{self, Stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, Identity, Response, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::inspected::{Inspected, InspectedImage};
use crate::{files, model::summary::Listed};

use events::Feed;
use pool::{Pool, Way};

/// The time for a connection, and for the head of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(60);
/// The most bytes of an answer about one container. One with all that a kernel lets a
/// process be started with has 2 MiB.
const CONTAINER: u64 = 8 << 20;
/// The most bytes of an answer about the engine.
const SMALL: u64 = 1 << 20;
/// The bytes that are read of an error's words.
const WORDS: u64 = 16 << 10;
/// Answers that are larger are read and understood one after the other.
const LARGE: u64 = 1 << 20;
/// No query.
const NOTHING: Option<()> = None;
/// Characters of a path's part that mean themselves.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A way to Docker, in a version of the API that both sides know. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: Arc<Pool>,
    base: String,
    /// The prefix of each path, such as `/v1.43`.
    version: String,
    large: Arc<Semaphore>,
}

/// The fields that are read of an engine's facts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    pub(super) docker_root_dir: Option<String>,
}

impl Client {
    /// The client of a URL such as `unix:///var/run/docker.sock`. It is not asked
    /// anything yet.
    ///
    /// # Errors
    ///
    /// The URL is of no known kind, or its certificates cannot be used.
    pub(super) fn new(host: &str) -> Result<Self, Error> {
        let verify = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        let (base, way) = match host.split_once("://") {
            Some(("unix", path)) => {
                ("http://localhost".to_string(), Way::Socket(PathBuf::from(path)))
            }
            Some(("tcp" | "http", address)) if !verify => (format!("http://{address}"), Way::Plain),
            Some(("tcp" | "https", address)) => {
                (format!("https://{address}"), secured(&certificates()?)?)
            }
            _ => return Err(Error::UnsupportedURISchemeError { uri: host.into() }),
        };
        let base = base.trim_end_matches('/').to_string();
        Url::parse(&base).map_err(|err| Error::URLParseError { err })?;
        let http = Arc::new(Pool::new(way).map_err(failed)?);
        Ok(Self { http, base, version: String::new(), large: Arc::new(Semaphore::new(1)) })
    }

    /// Agree on a version that both know. Without one, the daemon would answer in
    /// its newest.
    ///
    /// # Errors
    ///
    /// It does not answer, or says none.
    pub(super) async fn negotiate_version(mut self) -> Result<Self, Error> {
        let api = self.version().await?.api_version.unwrap_or_default();
        let own = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
        let theirs = api.split_once('.').and_then(|(major, minor)| {
            let number = |text: &str| text.parse::<usize>().ok();
            Some((number(major)?, number(minor)?))
        });
        let (major, minor) = theirs.ok_or(Error::APIVersionParseError {})?.min(own);
        self.version = format!("/v{major}.{minor}");
        Ok(self)
    }

    /// The engine's answer about itself and its version.
    pub(super) async fn version(&self) -> Result<SystemVersion, Error> {
        self.json("/version", NOTHING, SMALL).await
    }

    /// Docker's answer about a container, with its whole text if that is wanted.
    pub(super) async fn inspect_container(
        &self,
        id: &str,
        options: Option<InspectContainerOptions>,
        whole: bool,
    ) -> Result<Inspected, Error> {
        // A name may be given as `docker inspect` prints it.
        let id = id.trim_start_matches('/');
        if id.is_empty() || id.starts_with('.') {
            // Part of a path, it would mean another one.
            return Err(nonsense(format!("no container can be called {id:?}")));
        }
        let path = format!("/containers/{}/json", utf8_percent_encode(id, PLAIN));
        let answer = self.get(&path, options).await?;
        let (body, _permit) = self.body(answer, CONTAINER).await?;
        let inspected: Inspected = parse(&body)?;
        let whole = whole.then(|| String::from_utf8_lossy(&body).into_owned());
        Ok(Inspected { whole, ..inspected })
    }

    /// Docker's answer about an image.
    pub(super) async fn inspect_image(&self, id: &str) -> Result<InspectedImage, Error> {
        let path = format!("/images/{}/json", utf8_percent_encode(id, PLAIN));
        self.json(&path, NOTHING, CONTAINER).await
    }

    /// The containers of a kind, whole or not at all.
    pub(super) async fn list_containers(
        &self,
        options: Option<ListContainersOptions>,
        summaries: bool,
    ) -> Result<Vec<Listed>, Error> {
        list::read(self.get("/containers/json", options).await?, summaries).await
    }

    /// From now on every call has a connection that is made from now on: what is asked next is asked
    /// of the engine that is there then, and so is all that follows.
    ///
    /// # Errors
    ///
    /// No connections can be made, as at the start.
    pub(super) fn renew(&self) -> Result<(), Error> {
        self.http.renew().map_err(failed)
    }

    /// The engine's identity.
    pub(super) async fn info(&self) -> Result<Info, Error> {
        self.json("/info", NOTHING, SMALL).await
    }

    /// Whether it answers at all, also to who comes anew.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.renew()?;
        let answer = self.get("/_ping", NOTHING).await?;
        self.body(answer, SMALL).await.map(drop)
    }

    /// The events. The request goes out when the stream is first polled. One that cannot be
    /// understood is an [`Error::DockerStreamError`], after which the stream goes on; it
    /// ends after any other.
    pub(super) fn events(
        &self,
        options: Option<EventsOptions>,
    ) -> impl Stream<Item = Result<EventMessage, Error>> + Send + use<> {
        let feed = Feed::new(self.clone(), options);
        stream::unfold(feed, |mut feed| async move { Some((feed.next().await?, feed)) })
    }

    /// The head of an answer that is none of an error.
    async fn get(&self, path: &str, query: Option<impl Serialize>) -> Result<Response, Error> {
        let url = self.url(path);
        Self::answered(self.http.get(&url, &query)).await
    }

    /// The same, of one that may have no end.
    async fn stream(&self, path: &str, query: Option<impl Serialize>) -> Result<Response, Error> {
        let url = self.url(path);
        Self::answered(self.http.stream(&url, &query)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.base, self.version)
    }

    async fn answered(
        request: impl Future<Output = Result<Response, reqwest::Error>>,
    ) -> Result<Response, Error> {
        let answer = timeout(HEAD, request).await.map_err(|_| Error::RequestTimeoutError)?;
        let mut answer = answer.map_err(failed)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status_code = answer.status().as_u16();
        let mut words = Vec::new();
        // Of a longer error the beginning says enough.
        while let Ok(Some(chunk)) = answer.chunk().await {
            let room = usize::try_from(WORDS).unwrap_or(usize::MAX) - words.len();
            words.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        Err(Error::DockerResponseServerError { status_code, message: message(&words) })
    }

    async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<impl Serialize>,
        most: u64,
    ) -> Result<T, Error> {
        let answer = self.get(path, query).await?;
        let (body, _permit) = self.body(answer, most).await?;
        parse(&body)
    }

    /// The body of an answer, and the leave to have so much of it in memory.
    async fn body(
        &self,
        mut answer: Response,
        most: u64,
    ) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Error> {
        if answer.content_length().is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        let (mut body, mut permit) = (Vec::new(), None);
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            let length = (body.len() + chunk.len()) as u64;
            if length > most {
                return Err(too_large(most));
            }
            if length > LARGE && permit.is_none() {
                // It is never closed.
                permit = self.large.clone().acquire_owned().await.ok();
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, permit))
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|err| match err.is_data() {
        true => Error::JsonDataError {
            message: err.to_string(),
            contents: String::from_utf8_lossy(body).into_owned(),
            column: err.column(),
        },
        false => Error::JsonSerdeError { err },
    })
}

/// The words of an error: Docker's are JSON.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let words = serde_json::from_slice(body).map(|Message { message }| message);
    words.unwrap_or_else(|_| String::from_utf8_lossy(body).trim().to_string())
}

fn failed(error: reqwest::Error) -> Error {
    // Where it was is known already.
    Error::IOError { err: io::Error::other(error.without_url()) }
}

fn nonsense(words: String) -> Error {
    Error::IOError { err: io::Error::new(io::ErrorKind::InvalidData, words) }
}

fn too_large(most: u64) -> Error {
    let words = format!("the answer has more than {}", ByteSize(most));
    Error::IOError { err: io::Error::new(io::ErrorKind::FileTooLarge, words) }
}

/// Whether an answer was larger than it may be, which trying again does not mend.
pub(super) fn is_too_large(error: &Error) -> bool {
    matches!(error, Error::IOError { err } if err.kind() == io::ErrorKind::FileTooLarge)
}

/// The folder with the certificates for Docker.
fn certificates() -> Result<PathBuf, Error> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("DOCKER_CERT_PATH").or_else(|| set("DOCKER_CONFIG")).map(PathBuf::from);
    let home = || Some(PathBuf::from(set("HOME")?).join(".docker"));
    folder.or_else(home).ok_or_else(|| {
        nonsense("no folder of certificates: neither DOCKER_CERT_PATH nor HOME is set".into())
    })
}

/// The certificates of the folder, in the form in which connections are made with them.
fn secured(folder: &Path) -> Result<Way, Error> {
    let read = |name: &str| {
        let path = folder.join(name);
        files::read(&path, files::TEXT)
            .map_err(|error| nonsense(format!("cannot read {}: {error}", path.display())))
    };
    // What is wrong with a key says nothing that may not be shown.
    let unusable = |name: &str, error: reqwest::Error| {
        nonsense(format!("{} cannot be used: {error}", folder.join(name).display()))
    };
    let roots = Certificate::from_pem_bundle(&read("ca.pem")?)
        .map_err(|error| unusable("ca.pem", error))?;
    let mut pem = read("cert.pem")?;
    pem.push(b'\n');
    pem.extend(read("key.pem")?);
    let identity = Identity::from_pem(&pem).map_err(|error| unusable("key.pem", error))?;
    Ok(Way::Secured { roots, identity })
}
