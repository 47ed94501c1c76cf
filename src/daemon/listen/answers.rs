//! The answer to each path.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;
use tokio::time::Instant;
use url::form_urlencoded;

use super::{
    Inner, Streams,
    access::Access,
    decided, events, page,
    shape::{fault, json_answer, plain, printed},
    view::Silent,
};
use crate::{
    daemon::{control, policy::Unforetold},
    policy::Digest,
    reconcile::Meant,
    telemetry::metrics::{self, Figures, Form, Process},
    text,
};

/// A plan that is no older is shown again.
const PLAN_LASTS: Duration = Duration::from_secs(1);

/// The paths that are answered without a token: what a supervisor asks, and what a login needs.
pub(super) fn is_open(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/login" | "/logout") || page::is_of_login(path)
}

pub(super) fn router(inner: Arc<Inner>) -> Router {
    let router = Router::new()
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/metrics", get(metrics))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/api/v1/status", get(status))
        .route("/api/v1/containers", get(containers))
        .route("/api/v1/explain/{*what}", get(explain))
        .route("/api/v1/plan", get(plan))
        .route("/api/v1/policy/forecast", get(foretell))
        .route("/api/v1/apply", get(held))
        .route("/api/v1/history", get(history))
        .route("/api/v1/decisions", get(decisions))
        .route("/api/v1/events", get(stream))
        .route("/api/v1/openapi.json", get(openapi));
    router
        .fallback(|| async { fault(StatusCode::NOT_FOUND, "there is nothing here") })
        .with_state(inner)
}

fn busy(inner: &Inner) -> Response {
    inner.refuse("busy");
    let mut answer = fault(StatusCode::SERVICE_UNAVAILABLE, "too much of this is under way");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn unheard(silent: &Silent) -> Response {
    fault(StatusCode::SERVICE_UNAVAILABLE, &silent.to_string())
}

async fn login(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    if inner.access.asks() && !inner.access.has_token(&headers) {
        inner.refuse("token");
        return fault(StatusCode::UNAUTHORIZED, "this is not the token");
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let cookie = inner.access.cookie(SystemTime::now());
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

async fn logout() -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    if let Ok(cookie) = HeaderValue::from_str(&Access::no_cookie()) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

async fn metrics(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    let shot = match inner.view.shot().await {
        Ok(shot) => shot,
        Err(silent) => return unheard(&silent),
    };
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let form = Form::accepted(accept);
    let refused =
        inner.refused.iter().map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)));
    let figures = Figures {
        seen: shot.seen.clone(),
        decisions_dropped: inner.decisions.as_ref().map_or(0, |decisions| decisions.dropped()),
        spans_dropped: inner.ways.as_ref().map_or(0, |ways| ways.dropped()),
        policy: inner.facts.standing(),
        connections: inner.connections(),
        refused: refused.collect::<BTreeMap<_, _>>(),
        process: Process::now(),
    };
    ([(CONTENT_TYPE, form.content_type())], metrics::page(figures, form)).into_response()
}

async fn alive(State(inner): State<Arc<Inner>>) -> Response {
    match inner.view.shot().await {
        Ok(_) => plain(StatusCode::OK, "alive"),
        Err(silent) => plain(StatusCode::SERVICE_UNAVAILABLE, &silent.to_string()),
    }
}

async fn ready(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    let why = match inner.view.shot().await {
        Ok(shot) => shot.not_ready(),
        Err(silent) => Some(silent.to_string()),
    };
    let Some(why) = why else { return plain(StatusCode::OK, "ready") };
    // Why is nobody's business who may not look.
    match inner.access.allows(&headers, SystemTime::now()) {
        true => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}")),
        false => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    }
}

async fn status(State(inner): State<Arc<Inner>>) -> Response {
    let shot = inner.view.shot().await;
    shot.map_or_else(|silent| unheard(&silent), |shot| json_answer(shot.status(&inner.facts)))
}

async fn containers(State(inner): State<Arc<Inner>>) -> Response {
    let shot = inner.view.shot().await;
    shot.map_or_else(
        |silent| unheard(&silent),
        |shot| json_answer(shot.containers(&inner.facts.host)),
    )
}

async fn held(State(inner): State<Arc<Inner>>) -> Response {
    let shot = inner.view.shot().await;
    shot.map_or_else(
        |silent| unheard(&silent),
        |shot| json_answer(printed(&json!({ "held": shot.seen.held }))),
    )
}

async fn explain(State(inner): State<Arc<Inner>>, Path(what): Path<String>) -> Response {
    let Ok(_turn) = inner.explanations.try_acquire() else { return busy(&inner) };
    match control::explained(&what, &inner.handle).await {
        Ok(Meant::Nothing) => {
            let words =
                format!("no container, service ID or service name is {:?}", text::shown(&what));
            fault(StatusCode::NOT_FOUND, &words)
        }
        Ok(Meant::These(all)) => json_answer(printed(&all)),
        Ok(Meant::Several(all)) => {
            let some: Vec<_> = all.iter().take(20).map(String::as_str).collect();
            let words =
                format!("{:?} may be any of these: {}", text::shown(&what), some.join("; "));
            fault(StatusCode::BAD_REQUEST, &words)
        }
        Err(words) => fault(StatusCode::BAD_GATEWAY, &words),
    }
}

/// One plan at a time is worked out; whoever asks meanwhile gets the same one.
async fn plan(State(inner): State<Arc<Inner>>) -> Response {
    let mut last = inner.plan.lock().await;
    if let Some((_, body)) = last.as_ref().filter(|(at, _)| at.elapsed() < PLAN_LASTS) {
        return json_answer(body.clone());
    }
    match control::planned_json(&inner.handle, &inner.facts).await {
        Ok(plan) => {
            let body = printed(&plan);
            *last = Some((Instant::now(), body.clone()));
            json_answer(body)
        }
        Err(words) => fault(StatusCode::BAD_GATEWAY, &words),
    }
}

/// Foretell a policy, one at a time; it is named by its digest alone.
async fn foretell(State(inner): State<Arc<Inner>>, RawQuery(query): RawQuery) -> Response {
    let digest = match named(&query.unwrap_or_default()) {
        Ok(digest) => digest,
        Err(words) => return fault(StatusCode::BAD_REQUEST, &words),
    };
    let Some(foreteller) = &inner.foreteller else {
        return fault(StatusCode::NOT_FOUND, "this host takes no policy (policy.source)");
    };
    let mut last = inner.foretold.lock().await;
    let is_same = |at: &Instant, known: &Digest| at.elapsed() < PLAN_LASTS && *known == digest;
    if let Some((.., body)) = last.as_ref().filter(|(at, known, _)| is_same(at, known)) {
        return json_answer(body.clone());
    }
    match foreteller.foretell(digest).await {
        Ok(foretold) => {
            let body = printed(&foretold);
            *last = Some((Instant::now(), digest, body.clone()));
            json_answer(body)
        }
        Err(error @ Unforetold::Unknown(_)) => fault(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error @ Unforetold::Away(_)) => fault(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

/// The bundle that a query names.
fn named(query: &str) -> Result<Digest, String> {
    let mut digest = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key != "bundle" || digest.is_some() {
            return Err("there is the parameter bundle, once".into());
        }
        let read = value.parse::<Digest>().map_err(|error| {
            format!("bundle: {error}; a host fetches from its own policy's source alone")
        });
        digest = Some(read?);
    }
    digest.ok_or_else(|| "bundle is missing: the bundle's digest".into())
}

async fn history(State(inner): State<Arc<Inner>>, RawQuery(query): RawQuery) -> Response {
    let (mut what, mut since) = (None, None);
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "what" => what = Some(value.into_owned()),
            "since" => match humantime::parse_duration(&value) {
                Ok(time) => since = SystemTime::now().checked_sub(time),
                Err(_) => {
                    return fault(StatusCode::BAD_REQUEST, "since: it is no time such as 8h");
                }
            },
            _ => return fault(StatusCode::BAD_REQUEST, "there are the parameters what and since"),
        }
    }
    match inner.handle.history().await {
        Ok(changes) => json_answer(printed(&control::told(changes, what.as_deref(), since))),
        Err(stopped) => fault(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string()),
    }
}

/// The end of the decision log, if it is in a file.
async fn decisions(State(inner): State<Arc<Inner>>, RawQuery(query): RawQuery) -> Response {
    let mut since = None;
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (&*key, humantime::parse_duration(&value)) {
            ("since", Ok(time)) => since = SystemTime::now().checked_sub(time),
            ("since", Err(_)) => {
                return fault(StatusCode::BAD_REQUEST, "since: it is no time such as 8h");
            }
            _ => return fault(StatusCode::BAD_REQUEST, "there is the parameter since"),
        }
    }
    let Some(file) = inner.facts.decisions.clone() else {
        let words = "no decision log is kept here in a file (decisions.file)";
        return fault(StatusCode::NOT_FOUND, words);
    };
    let Ok(_turn) = inner.explanations.try_acquire() else { return busy(&inner) };
    let read = tokio::task::spawn_blocking(move || {
        decided::of(&file, since)
            .map(|decided| printed(&decided))
            .map_err(|error| format!("{}: {error}", file.display()))
    });
    match read.await {
        Ok(Ok(body)) => json_answer(body),
        Ok(Err(words)) => fault(StatusCode::SERVICE_UNAVAILABLE, &words),
        Err(error) => fault(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn stream(State(inner): State<Arc<Inner>>) -> Response {
    let Ok(place) = inner.streams.clone().try_acquire_owned() else { return busy(&inner) };
    let body: Body = events::body(inner, place);
    let mut answer = ([(CONTENT_TYPE, "text/event-stream")], body).into_response();
    answer.extensions_mut().insert(Streams);
    answer
}

async fn openapi() -> Response {
    let body = Bytes::from_static(include_bytes!("../../../docs/openapi.json"));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_named_by_its_digest_and_by_nothing_else() {
        let digest = Digest::of(b"it");
        let one = format!("bundle={digest}");
        assert_eq!(named(&one), Ok(digest));
        assert_eq!(named(&one.replace(':', "%3A")), Ok(digest));
        let twice = format!("{one}&{one}");
        for (query, part) in [
            ("", "bundle is missing"),
            ("bundle=", "is no digest"),
            ("bundle=oci://evil.example/a:1", "from its own policy's source alone"),
            ("bundle=https://evil.example/a", "\"https://evil.example/a\" is no digest"),
            ("bundle=file:///etc/passwd", "is no digest"),
            ("bundle=sha256:ABC", "is no digest"),
            (&twice, "once"),
            ("from=oci://a/b", "the parameter bundle"),
            (&format!("{one}&from=x"), "the parameter bundle"),
        ] {
            let fault = named(query).expect_err(query);
            assert!(fault.contains(part), "{query}: {fault}");
        }
    }
}
