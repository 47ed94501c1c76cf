//! Listening to the source's events, so that a lost or deaf connection loses
//! nothing.
//!
//! A stream that ends is opened again, and everything is looked at, since what
//! happened meanwhile is not known. A stream on which nothing comes may be quiet
//! or deaf, which cannot be told apart; so after a quiet time the source is asked
//! whether it is there, and a second stream is opened from the moment on up to
//! which everything is known. For a short time both are listened to, so that
//! nothing falls between even if the source cannot look back. And as the new
//! stream may be as deaf as the old one, the loop is told that it has been quiet.
//!
//! An event that cannot be understood may have been about any container: everything is
//! looked at, though not more often than once in a while, however many of them come.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff};
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    docker::{Event, EventKind, Moment, Source, SourceError},
    error::error_chain,
    model::container::ContainerId,
    reconcile::job::{FAST_CAP, fast},
    telemetry::event,
};

/// After this long without an event a stream is renewed.
const QUIET: Duration = Duration::from_secs(10);
/// How long the old stream is listened to beside the new one.
const OVERLAP: Duration = Duration::from_secs(1);
/// By how much the source's clock may be ahead. Nothing would be heard any more from a
/// moment on that never comes.
const AHEAD: Duration = Duration::from_secs(3600);
/// The least time between two looks at everything for what was not understood.
const CALM: Duration = Duration::from_secs(1);

/// A message of the listener to the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::reconcile) enum News {
    /// A container is to be looked at again.
    Changed(ContainerId),
    /// A signal of this number was sent to a container.
    Signalled(ContainerId, i64),
    /// A container was started at this moment.
    Started(ContainerId, Moment),
    /// A container has ended with this code at this moment.
    Died(ContainerId, i64, Moment),
    /// Something unknown happened: everything is to be looked at.
    Unknown,
    /// Nothing happened for a while, or no word of it came through.
    Quiet,
    /// The connection was lost: the source may be another one from now on.
    Lost,
    /// There is a connection again, or will be at once.
    Reconnected,
}

type Events = BoxStream<'static, Result<Event, SourceError>>;

/// Pass events on until `stop`.
pub(in crate::reconcile) async fn listen(
    source: Arc<dyn Source>,
    sender: mpsc::Sender<News>,
    stop: CancellationToken,
) {
    let mut delays = fast().build();
    info!(event = event::LISTENING, "Listening for Docker events ...");
    let (mut garbled, mut losses) = (Garbled::default(), 0);
    loop {
        let mut listener = Listener::open(&*source);
        let lost = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            lost = listener.pass_on(&*source, &sender, &mut delays, &mut garbled, &mut losses) => lost,
        };
        losses += 1;
        match lost {
            Lost::Failed(error) => {
                let reason = error_chain(&error);
                warn!(
                    event = event::EVENTS_FAILING,
                    reason, "lost Docker's events; connecting again"
                );
            }
            Lost::Ended => {
                let said = "Docker ended the stream of events; connecting again";
                warn!(event = event::EVENTS_FAILING, "{said}");
            }
            Lost::NobodyListens => return,
        }
        if sender.send(News::Lost).await.is_err() {
            return;
        }
        let delay = delays.next().unwrap_or(FAST_CAP);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(delay) => {}
        }
        if sender.send(News::Reconnected).await.is_err() {
            return;
        }
    }
}

/// Why a connection is given up.
enum Lost {
    Failed(SourceError),
    Ended,
    NobodyListens,
}

struct Listener {
    events: Events,
    /// Up to this moment everything is known.
    known: Moment,
    /// The stream before this one, and until when it is listened to.
    old: Option<(Events, Instant)>,
    /// When the stream was opened, if in the place of a quiet one.
    renewed: Option<Moment>,
}

impl Listener {
    fn open(source: &dyn Source) -> Self {
        let known = source.now();
        Self { events: source.events(Some(known)), known, old: None, renewed: None }
    }

    async fn pass_on(
        &mut self,
        source: &dyn Source,
        sender: &mpsc::Sender<News>,
        delays: &mut ExponentialBackoff,
        garbled: &mut Garbled,
        losses: &mut u64,
    ) -> Lost {
        loop {
            let quiet_at = Instant::now() + QUIET;
            let old_ends = self.old.as_ref().map_or(quiet_at, |(_, until)| *until);
            let event = tokio::select! {
                biased;
                () = sleep_until(garbled.due.unwrap_or(quiet_at)), if garbled.due.is_some() => {
                    garbled.due = None;
                    if sender.send(News::Unknown).await.is_err() {
                        return Lost::NobodyListens;
                    }
                    None
                }
                event = next(&mut self.old) => match event {
                    Ok(event) => Some(event),
                    Err(error) => {
                        garbled.note(&error);
                        None
                    }
                },
                event = self.events.next() => match event {
                    Some(Err(error @ SourceError::Event(_))) => {
                        garbled.note(&error);
                        None
                    }
                    Some(Ok(event)) => {
                        if self.was_missed(&event) && sender.send(News::Unknown).await.is_err() {
                            return Lost::NobodyListens;
                        }
                        Some(event)
                    }
                    Some(Err(error)) => return Lost::Failed(error),
                    None => return Lost::Ended,
                },
                () = sleep_until(old_ends), if self.old.is_some() => {
                    self.old = None;
                    None
                }
                () = sleep_until(quiet_at) => match self.renew(source).await {
                    Ok(()) if sender.send(News::Quiet).await.is_err() => {
                        return Lost::NobodyListens;
                    }
                    Ok(()) => {
                        say_heard(losses);
                        None
                    }
                    Err(error) => return Lost::Failed(error),
                },
            };
            let Some(event) = event else { continue };
            say_heard(losses);
            *delays = fast().build();
            let latest = Moment(source.now().0 + AHEAD);
            self.known = event.at.map_or(self.known, |at| self.known.max(at.next().min(latest)));
            let news = match (event.kind, event.at) {
                (EventKind::Signal(signal), _) => News::Signalled(event.container, signal),
                (EventKind::Start, Some(at)) => News::Started(event.container, at),
                (EventKind::Death { exit_code }, Some(at)) => {
                    News::Died(event.container, exit_code, at)
                }
                _ => News::Changed(event.container),
            };
            if sender.send(news).await.is_err() {
                return Lost::NobodyListens;
            }
        }
    }

    /// Whether an event of the new stream is one that the old one was deaf to.
    /// Then there may have been more of them than the source remembers.
    fn was_missed(&mut self, event: &Event) -> bool {
        let missed = match (self.renewed, event.at) {
            (Some(renewed), Some(at)) => at >= self.known && at < renewed,
            _ => false,
        };
        if missed {
            self.renewed = None;
            let said = "Docker's events had stopped coming; looking at all containers";
            warn!(event = event::EVENTS_FAILING, "{said}");
        }
        missed
    }

    async fn renew(&mut self, source: &dyn Source) -> Result<(), SourceError> {
        source.ping().await?;
        debug!("no event for a while; opening a new stream");
        self.renewed = Some(source.now());
        let quiet = std::mem::replace(&mut self.events, source.events(Some(self.known)));
        self.old = Some((quiet, Instant::now() + OVERLAP));
        Ok(())
    }
}

/// Say that events come again after so many losses of the connection.
fn say_heard(losses: &mut u64) {
    let count = std::mem::take(losses);
    if count > 0 {
        info!(event = event::EVENTS_RECOVERED, count, "Docker's events are heard again");
    }
}

/// The times of looks at everything for events that were not understood.
#[derive(Default)]
struct Garbled {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Garbled {
    fn note(&mut self, error: &SourceError) {
        if self.due.is_some() {
            return;
        }
        let now = Instant::now();
        let due = self.last.map_or(now, |last| now.max(last + CALM));
        (self.due, self.last) = (Some(due), Some(due));
        let reason = error_chain(error);
        let said = "Docker is not understood; looking at all containers";
        warn!(event = event::EVENTS_FAILING, reason, "{said}");
    }
}

/// The next event of the old stream, or that something was not understood. That it
/// ends does not matter.
async fn next(old: &mut Option<(Events, Instant)>) -> Result<Event, SourceError> {
    if let Some((events, _)) = old {
        match events.next().await {
            Some(Ok(event)) => return Ok(event),
            Some(Err(error @ SourceError::Event(_))) => return Err(error),
            _ => *old = None,
        }
    }
    std::future::pending().await
}
