//! The stream of events by which the page stays live: each says no more than that something is
//! otherwise, and the page asks for what it shows.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

use super::Inner;
use crate::{daemon::control::Facts, reconcile::Seen};

/// The time between two looks for what is new.
const PERIOD: Duration = Duration::from_millis(500);
/// After so long without news a word keeps the connection open, and shows the page that somebody is there.
const QUIET: Duration = Duration::from_secs(15);

struct Listening {
    inner: Arc<Inner>,
    last: Option<String>,
    said: Instant,
    _place: OwnedSemaphorePermit,
}

/// The events from now on. A reader that is slow is told less often.
pub(super) fn body(inner: Arc<Inner>, place: OwnedSemaphorePermit) -> Body {
    let listening = Listening { inner, last: None, said: Instant::now(), _place: place };
    Body::from_stream(stream::unfold(listening, |mut listening| async move {
        let event = listening.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), listening))
    }))
}

impl Listening {
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.last.is_some() {
                sleep(PERIOD).await;
            }
            let shot = self.inner.view.shot().await.ok()?;
            let news = news(&shot.seen, &self.inner.facts);
            if self.last.as_ref() != Some(&news) {
                let event = format!("event: state\ndata: {news}\n\n");
                (self.last, self.said) = (Some(news), Instant::now());
                return Some(event);
            }
            if self.said.elapsed() >= QUIET {
                self.said = Instant::now();
                return Some("event: quiet\ndata:\n\n".into());
            }
        }
    }
}

/// A text that is equal as long as the state is.
fn news(seen: &Seen, facts: &Facts) -> String {
    let overview = &seen.overview;
    // Words may change where no number does; a digest tells of it without saying them.
    let mut words = DefaultHasher::new();
    json!([overview.troubles, facts.standing()]).to_string().hash(&mut words);
    let stages: Vec<_> = seen.stages.iter().map(|stage| stage.healthy).collect();
    json!({
        "revision": seen.revision,
        "services": overview.services,
        "docker": overview.docker.as_ref().map(|known| known.up),
        "registry": overview.registry.as_ref().map(|known| known.up),
        "ready": overview.full_cycle.is_some(),
        "held": seen.held.as_ref().map(|held| held.services.len()),
        "troubles": overview.troubles.len(),
        "words": words.finish(),
        "pipeline": seen.pipeline,
        "healthy": stages,
    })
    .to_string()
}
