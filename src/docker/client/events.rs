//! Reading the stream of events line by line. A line that is too long, or makes no
//! sense, costs that line; whoever reads is told that something was not understood.

use std::collections::VecDeque;

use bollard::{errors::Error, models::EventMessage, query_parameters::EventsOptions};
use reqwest::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Client, failed, list::is_id, nonsense};

/// The most bytes of a line that is kept: the labels of a container are in it.
const LINE: usize = 1 << 20;
/// The most bytes of a line that are thrown away. After that nobody knows where it ends.
const SKIPPED: u64 = 64 << 20;
/// Of a line that is not kept, so much is looked at.
const HEAD: usize = 16 << 10;
/// After so many lines in a row that are nothing that was asked for, this is no stream of
/// events.
const STRIKES: usize = 1000;
/// The most bytes of a line that may be an event before it has ended.
const EARLY: usize = 16 << 10;

/// A line that could not be understood: what happened is not known.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable(&'static str);

type Item = Result<EventMessage, Unreadable>;

/// Docker's stream of events.
pub(super) struct Feed {
    client: Client,
    options: Option<EventsOptions>,
    answer: Option<Response>,
    lines: Lines,
    ended: bool,
}

impl Feed {
    pub(super) fn new(client: Client, options: Option<EventsOptions>) -> Self {
        Self { client, options, answer: None, lines: Lines::default(), ended: false }
    }

    /// The next event, or that there was something else; nothing at the end, which
    /// comes after an error, too.
    pub(super) async fn next(&mut self) -> Option<Result<EventMessage, Error>> {
        loop {
            // Whoever stops this must get a turn, however much comes.
            tokio::task::consume_budget().await;
            if let Some(item) = self.lines.ready.pop_front() {
                return Some(item.map_err(|Unreadable(fault)| Error::DockerStreamError {
                    error: fault.into(),
                }));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.read().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let options = self.options.take();
                self.answer.insert(self.client.stream("/events", options).await?)
            }
        };
        match answer.chunk().await.map_err(failed)? {
            Some(chunk) => self.lines.push(&chunk),
            None => {
                self.ended = true;
                Ok(())
            }
        }
    }
}

/// Lines that come in pieces.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// The bytes of the line that were thrown away.
    skipped: u64,
    /// Lines in a row that were nothing that was asked for.
    strikes: usize,
    ready: VecDeque<Item>,
}

impl Lines {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.add(&chunk[..end])?;
            self.finish();
            chunk = &chunk[end + 1..];
        }
        self.add(chunk)?;
        // Not every server ends a line before the next one begins.
        if self.skipped == 0 && self.line.len() <= EARLY && self.line.ends_with(b"}") {
            let whole = serde_json::from_slice::<&RawValue>(&self.line).is_ok();
            if whole {
                self.finish();
            }
        }
        match self.strikes > STRIKES {
            true => Err(nonsense("it sends what are no events".into())),
            false => Ok(()),
        }
    }

    fn add(&mut self, part: &[u8]) -> Result<(), Error> {
        if self.line.len() + part.len() > LINE || self.skipped > 0 {
            let keep = HEAD.saturating_sub(self.line.len()).min(part.len());
            self.line.extend_from_slice(&part[..keep]);
            self.line.truncate(HEAD);
            self.line.shrink_to(HEAD);
            self.skipped += part.len() as u64;
        } else {
            self.line.extend_from_slice(part);
        }
        match self.skipped > SKIPPED {
            true => Err(nonsense("it sends a line without an end".into())),
            false => Ok(()),
        }
    }

    /// Take what the line says.
    fn finish(&mut self) {
        let line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.skipped) > 0;
        if cut {
            return self.note(match head(&line) {
                Some(event) => Ok(Some(event)),
                None => Err(Unreadable("a line is too long")),
            });
        }
        if line.trim_ascii().is_empty() {
            self.strikes += 1;
            return;
        }
        let mut values = serde_json::Deserializer::from_slice(&line).into_iter::<&RawValue>();
        loop {
            match values.next() {
                Some(Ok(value)) => self.note(event(value.get())),
                Some(Err(_)) => return self.note(Err(Unreadable("a line is no JSON"))),
                None => return,
            }
        }
    }

    fn note(&mut self, item: Result<Option<EventMessage>, Unreadable>) {
        self.strikes = if matches!(item, Ok(Some(_))) { 0 } else { self.strikes + 1 };
        // One after the other they say no more than one.
        let again = item.is_err() && matches!(self.ready.back(), Some(Err(_)));
        if !again {
            self.ready.extend(item.transpose());
        }
    }
}

/// The event that a value is; none if it is about something that was not asked for.
fn event(text: &str) -> Result<Option<EventMessage>, Unreadable> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "Type")]
        kind: Option<String>,
    }
    let Ok(Kind { kind: Some(kind) }) = serde_json::from_slice(text.as_bytes()) else {
        return Err(Unreadable("an event is of no kind"));
    };
    if !matches!(&*kind, "container" | "network") {
        return Ok(None);
    }
    let event: EventMessage = serde_json::from_slice(text.as_bytes())
        .map_err(|_| Unreadable("an event has another form"))?;
    let id = event.actor.as_ref().and_then(|actor| actor.id.as_deref());
    match id {
        Some(id) if is_id(id) => Ok(Some(event)),
        _ => Err(Unreadable("an event is about nothing that there could be")),
    }
}

/// The event of a line of which only the beginning is there. Docker says first what it is
/// about; a quotation mark in a text would be escaped.
fn head(line: &[u8]) -> Option<EventMessage> {
    let line = String::from_utf8_lossy(line);
    let after = |key: &str| {
        let (_, rest) = line.split_once(&format!("\"{key}\":\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let (kind, action, actor) = (after("Type")?, after("Action")?, after("Actor\":{\"ID")?);
    let text = serde_json::json!({
        "Type": kind, "Action": action, "Actor": { "ID": actor },
    });
    event(&text.to_string()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actors of the events in a text that comes in pieces; `?` for what is not
    /// understood.
    fn check(text: &str, expected: &str) {
        for step in [1, 7, 4096] {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(step) {
                lines.push(chunk).expect("it can be read on");
                found.extend(lines.ready.drain(..).map(|item| match item {
                    Ok(event) => event.actor.and_then(|actor| actor.id).unwrap_or_default(),
                    Err(_) => "?".into(),
                }));
            }
            assert_eq!(found.join(" "), expected, "{text:.200} by {step}");
        }
    }

    fn started(id: &str) -> String {
        format!(r#"{{"Type":"container","Action":"start","Actor":{{"ID":"{id}"}},"time":1}}"#)
    }

    #[test]
    fn a_line_that_makes_no_sense_costs_that_line() {
        let (a, b) = (started("a"), started("b"));
        check(&format!("{a}\n{b}\n"), "a b");
        check(&format!("{a}\r\n\n  \n{b}"), "a b");
        check(&format!("{a}{b}\n"), "a b");
        for junk in [
            "junk",
            "{\"Type\":\"container\"",
            "{}",
            "[]",
            "null",
            "17",
            r#"{"Type":"container","Action":"start"}"#,
            r#"{"Type":"container","Action":"start","Actor":{"ID":""}}"#,
            r#"{"Type":"container","Action":"start","Actor":{"ID":"../../x"}}"#,
            r#"{"Type":"container","Action":"start","Actor":{"ID":"a\nb"}}"#,
            r#"{"Type":"container","Action":7,"Actor":{"ID":"a"}}"#,
            r#"{"Type":"network","Actor":[]}"#,
            "\u{feff}",
        ] {
            check(&format!("{a}\n{junk}\n{b}\n"), "a ? b");
        }
        check(&format!("{a}\n{}\n{b}\n", r#"{"Type":"volume","Actor":7}"#), "a b");
    }

    #[test]
    fn of_a_long_line_the_beginning_counts() {
        let (a, b) = (started("a"), started("b"));
        let label = "x".repeat(LINE + 10);
        let long = format!(
            r#"{{"status":"start","Type":"container","Action":"start","Actor":{{"ID":"c","Attributes":{{"l":"{label}"}}}}}}"#
        );
        check(&format!("{a}\n{long}\n{b}\n"), "a c b");
        check(&format!("{a}\n{label}\n{b}\n"), "a ? b");
    }

    #[test]
    fn what_is_no_stream_of_events_is_given_up() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 20];
        let most = (0..200).position(|_| lines.push(&chunk).is_err());
        assert!(most.is_some_and(|n| n < 70) && lines.line.capacity() <= 2 * LINE, "{most:?}");
        let mut lines = Lines::default();
        assert!(lines.push("x\n".repeat(STRIKES).as_bytes()).is_ok());
        assert_eq!(lines.ready.len(), 1);
        assert!(lines.push(b"x\n").is_err());
    }
}
