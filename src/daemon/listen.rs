//! The HTTP listener: metrics, health, the state as JSON, and a page for people.
//!
//! Clients see and change nothing: requests are GET and HEAD, and the state that is shown is a copy.
//! It has bounds of its own on connections, sizes and times, so that nobody who asks can hold up
//! the loop, and a listener that cannot be had keeps no service from being registered. There is no TLS
//! in it: beyond loopback it wants a token, and a proxy in front of it for the rest.

mod access;
mod answers;
mod bounded;
mod decided;
mod events;
mod page;
mod shape;
mod view;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{
        HeaderName, HeaderValue, Method, Request, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;
use tracing::{debug, error, info};

use crate::{
    config::Listen,
    daemon::{control::Facts, policy::Foreteller},
    policy::Digest,
    reconcile::{Decisions, Handle, Ways},
    telemetry::event,
};
use access::Access;
use bounded::Bounded;
use shape::fault;
use view::View;

/// Connections at once.
const CONNECTIONS: usize = 128;
/// Streams of events at once.
const STREAMS: usize = 32;
/// Explanations that are worked out at once.
const EXPLANATIONS: usize = 2;
/// The time for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// The bytes of a request's head, and the number of its fields.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_FIELDS: usize = 64;
/// The time until an answer begins.
const ANSWER: Duration = Duration::from_secs(20);
/// The time for which an answer waits for a reader that takes nothing.
const STALLED: Duration = Duration::from_secs(10);
/// The time of a connection, all together.
const CONNECTION: Duration = Duration::from_secs(30);
/// The time of a stream of events; a page opens another one then.
const STREAM: Duration = Duration::from_secs(3600);
/// The pause before an address that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Nothing but what comes from here is loaded or run, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The answer goes on for as long as somebody listens.
#[derive(Debug, Clone, Copy)]
struct Streams;

/// The state that all connections share.
struct Inner {
    handle: Handle,
    facts: Facts,
    access: Access,
    view: View,
    /// The last plan; whoever holds the lock works one out.
    plan: Mutex<Option<(Instant, Bytes)>>,
    /// The foreteller of policies, if this host takes any, and its last answer.
    foreteller: Option<Foreteller>,
    foretold: Mutex<Option<(Instant, Digest, Bytes)>>,
    explanations: Semaphore,
    streams: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    refused: [(&'static str, AtomicU64); 5],
    decisions: Option<Arc<Decisions>>,
    ways: Option<Arc<Ways>>,
}

impl Inner {
    fn refuse(&self, reason: &str) {
        let counted = self.refused.iter().find(|(known, _)| *known == reason);
        if let Some((_, count)) = counted {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn connections(&self) -> usize {
        CONNECTIONS - self.connections.available_permits()
    }
}

/// The sources beside the loop of which the listener tells.
pub struct Told {
    /// The decisions.
    pub decisions: Option<Arc<Decisions>>,
    /// The ways of containers.
    pub ways: Option<Arc<Ways>>,
    /// The foreteller of policies, if this host takes any.
    pub foreteller: Option<Foreteller>,
}

/// Answer until `stop`. An address that cannot be had is tried again and again.
pub async fn serve(
    listen: Listen,
    handle: Handle,
    facts: Facts,
    told: Told,
    bound_at: watch::Sender<Option<SocketAddr>>,
    stop: CancellationToken,
) {
    let access = match Access::of(&listen) {
        Ok(access) => access,
        Err(error) => {
            let reason = error.to_string();
            error!(
                event = event::HTTP_MISSING,
                reason, "nothing is answered over HTTP: there are no random numbers"
            );
            return;
        }
    };
    let refused = ["connections", "host", "token", "method", "busy"]
        .map(|reason| (reason, AtomicU64::new(0)));
    let Told { decisions, ways, foreteller } = told;
    let inner = Arc::new(Inner {
        view: View::of(handle.clone()),
        handle,
        facts,
        access,
        plan: Mutex::default(),
        foreteller,
        foretold: Mutex::default(),
        explanations: Semaphore::new(EXPLANATIONS),
        streams: Arc::new(Semaphore::new(STREAMS)),
        connections: Arc::new(Semaphore::new(CONNECTIONS)),
        refused,
        decisions,
        ways,
    });
    let router = answers::router(inner.clone());
    let connections = TaskTracker::new();
    let accept = async {
        let listener = bound(listen.address).await;
        // That nobody wants to know is no fault.
        let _ = bound_at.send(listener.local_addr().ok());
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(place) = inner.connections.clone().try_acquire_owned() else {
                        inner.refuse("connections");
                        continue;
                    };
                    let (inner, router) = (inner.clone(), router.clone());
                    let stop = stop.clone();
                    connections.spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = connection(stream, inner, router, place) => {}
                        }
                    });
                }
                Err(error) => {
                    // It may be for want of file descriptors, which others give back.
                    debug!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept => {}
    }
    connections.close();
    connections.wait().await;
}

/// A listener at an address, as soon as it can be had.
async fn bound(address: SocketAddr) -> TcpListener {
    let mut said = false;
    loop {
        let tried = async {
            let listener = TcpListener::bind(address).await?;
            let own = listener.local_addr()?;
            Ok::<_, io::Error>((listener, own))
        };
        match tried.await {
            Ok((listener, own)) => {
                let address = own.to_string();
                info!(event = event::HTTP_LISTENING, address, "Answering HTTP at http://{own}/");
                return listener;
            }
            Err(error) if !said => {
                error!(
                    event = event::HTTP_MISSING,
                    %address,
                    reason = %error,
                    "nothing is answered over HTTP: the address cannot be had; it is tried again"
                );
                said = true;
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// One request and its answer.
async fn connection(
    stream: TcpStream,
    inner: Arc<Inner>,
    router: Router,
    _place: OwnedSemaphorePermit,
) {
    let Ok(local) = stream.local_addr() else { return };
    let streams = Arc::new(AtomicBool::new(false));
    let service = {
        let streams = streams.clone();
        service_fn(move |request: Request<Incoming>| {
            let (inner, router, streams) = (inner.clone(), router.clone(), streams.clone());
            async move {
                let answer = answer(&inner, router, request, local.ip()).await;
                if answer.extensions().get::<Streams>().is_some() {
                    streams.store(true, Ordering::Relaxed);
                }
                Ok::<_, Infallible>(answer)
            }
        })
    };
    let stream = TokioIo::new(Bounded::new(stream, STALLED));
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(stream, service);
    let end = async {
        sleep(CONNECTION).await;
        if streams.load(Ordering::Relaxed) {
            sleep(STREAM).await;
        }
    };
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                debug!(%error, "a connection over HTTP ended early");
            }
        }
        () = end => {}
    }
}

async fn answer(
    inner: &Inner,
    router: Router,
    request: Request<Incoming>,
    local: IpAddr,
) -> Response {
    let path = request.uri().path();
    let headers = request.headers();
    let mut answer = if !inner.access.is_host(request.uri(), headers, local) {
        inner.refuse("host");
        let words = "the request is for another host; listen.hosts names those that this one is";
        fault(StatusCode::MISDIRECTED_REQUEST, words)
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        inner.refuse("method");
        let mut answer = fault(StatusCode::METHOD_NOT_ALLOWED, "nothing is changed from here");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        answer
    } else if !answers::is_open(path) && !inner.access.allows(headers, SystemTime::now()) {
        inner.refuse("token");
        let mut answer = match path {
            "/" => page::login(),
            _ => {
                fault(StatusCode::UNAUTHORIZED, "the token is asked for (Authorization: Bearer …)")
            }
        };
        let bearer = HeaderValue::from_static("Bearer realm=\"wharfinger\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        answer
    } else {
        answered(router, request).await
    };
    let fixed = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn answered(mut router: Router, request: Request<Incoming>) -> Response {
    match timeout(ANSWER, router.call(request.map(Body::new))).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(never)) => match never {},
        Err(_) => fault(StatusCode::SERVICE_UNAVAILABLE, "it takes too long"),
    }
}
