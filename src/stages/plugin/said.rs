//! The words of a guest in a call: the messages of the contract, and the lines that it writes to
//! its standard output and error. All of them are messages of the stage, within its limits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use hyper::body::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::pipeline::{Level, Message};
use crate::stages::plugin::{MAX_TEXT, lock, one_line, stats::Figures};

/// The last words that are kept to explain a failure, beyond what the limits let through.
const LAST_WORDS: usize = 60;
/// Bytes that a guest may hand over in one write. It asks again for the rest.
const MAX_WRITE: usize = 64 * 1024;

/// The messages of one call. All clones are of the same call.
#[derive(Clone)]
pub(super) struct Voice(Arc<Mutex<Said>>);

struct Said {
    messages: Vec<Message>,
    dropped: usize,
    most: usize,
    /// Errors and what came by the standard error, the latest last.
    last_words: VecDeque<String>,
    partial: [Vec<u8>; 2],
}

/// A stream that a guest writes lines to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

impl Stream {
    fn level(self) -> Level {
        match self {
            Self::Out => Level::Info,
            Self::Err => Level::Warn,
        }
    }
}

impl Voice {
    /// Nothing was said yet; so many messages may be.
    pub(super) fn new(most: u32) -> Self {
        Self(Arc::new(Mutex::new(Said {
            messages: Vec::new(),
            dropped: 0,
            most: most as usize,
            last_words: VecDeque::new(),
            partial: [Vec::new(), Vec::new()],
        })))
    }

    /// Keep a message.
    pub(super) fn log(&self, level: Level, text: &str) {
        let mut said = lock(&self.0);
        if level == Level::Error {
            text.lines().for_each(|line| said.remember(line));
        }
        said.keep(level, text);
    }

    /// Keep what is written to a stream, a message for each line.
    pub(super) fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut said = lock(&self.0);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            said.append(stream, part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") {
                said.end_line(stream);
            }
        }
    }

    /// The last lines that may explain a failure, the latest last.
    pub(super) fn last_words(&self) -> Vec<String> {
        let mut said = lock(&self.0);
        said.end_line(Stream::Err);
        said.last_words.iter().cloned().collect()
    }

    /// The messages that may be written, with further ones that say how many
    /// may not and why.
    pub(super) fn into_messages(self, log_rate: u32, figures: &Figures) -> Vec<Message> {
        let mut said = lock(&self.0);
        said.end_line(Stream::Out);
        said.end_line(Stream::Err);
        let mut messages = std::mem::take(&mut said.messages);
        let mut warnings = Vec::new();
        if said.dropped > 0 {
            figures.drop_messages(said.dropped);
            warnings.push(format!(
                "{} more messages of this call are dropped: limits.log-lines is {}",
                said.dropped, said.most
            ));
        }
        if !messages.is_empty() {
            let (admitted, first) = figures.admit_messages(messages.len(), log_rate);
            let excess = messages.len() - admitted;
            messages.truncate(admitted);
            figures.drop_messages(excess);
            if first {
                warnings.push(format!(
                    "{excess} messages of this call, and more to come in this second, are \
                     dropped: limits.log-rate is {log_rate}"
                ));
            }
        }
        messages.extend(warnings.into_iter().map(|text| Message { level: Level::Warn, text }));
        messages
    }
}

impl Said {
    fn keep(&mut self, level: Level, text: &str) {
        if self.messages.len() >= self.most {
            self.dropped += 1;
            return;
        }
        self.messages.push(Message { level, text: one_line(text) });
    }

    fn remember(&mut self, line: &str) {
        if self.last_words.len() == LAST_WORDS {
            self.last_words.pop_front();
        }
        let end = line.floor_char_boundary(MAX_TEXT);
        self.last_words.push_back(line[..end].to_string());
    }

    /// A line longer than a message can be loses its end.
    fn append(&mut self, stream: Stream, part: &[u8]) {
        let line = &mut self.partial[stream as usize];
        let room = (2 * MAX_TEXT).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.partial[stream as usize]);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        if stream == Stream::Err {
            self.remember(line);
        }
        self.keep(stream.level(), line);
    }
}

/// A stream of a guest, as WASI knows it.
pub(super) struct Output {
    pub(super) voice: Voice,
    pub(super) stream: Stream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    // It is what WASI's third version writes by, which no stage is linked with.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self { voice: self.voice.clone(), stream: self.stream })
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.voice.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(voice: Voice) -> Vec<String> {
        let messages = voice.into_messages(1000, &Figures::new());
        messages
            .into_iter()
            .map(|message| format!("{:?} {}", message.level, message.text))
            .collect()
    }

    #[test]
    fn each_line_is_a_message_in_whatever_pieces_it_comes() {
        let voice = Voice::new(100);
        for (stream, bytes) in [
            (Stream::Out, &b"one\ntw"[..]),
            (Stream::Err, b"pan"),
            (Stream::Out, b"o\n\n"),
            (Stream::Err, b"ic\r\n\xffnot UTF-8"),
            (Stream::Out, b"without an end"),
        ] {
            voice.write(stream, bytes);
        }
        voice.log(Level::Error, "by the contract");
        assert_eq!(voice.last_words(), ["panic", "by the contract", "\u{fffd}not UTF-8"]);
        assert_eq!(
            texts(voice),
            [
                "Info one",
                "Info two",
                "Warn panic",
                "Error by the contract",
                "Warn \u{fffd}not UTF-8",
                "Info without an end"
            ]
        );
    }

    #[test]
    fn lines_and_bytes_are_bounded_and_the_last_words_are_kept_all_the_same() {
        let voice = Voice::new(2);
        for n in 0..200 {
            voice.write(Stream::Err, format!("line {n}\n").as_bytes());
        }
        voice.write(Stream::Out, &vec![b'x'; 1 << 20]);
        let last = voice.last_words();
        assert_eq!((last.len(), last[LAST_WORDS - 1].as_str()), (LAST_WORDS, "line 199"));
        let texts = texts(voice);
        assert_eq!(texts.len(), 3);
        assert!(texts[2].contains("199 more messages"), "{texts:?}");
        let long = Voice::new(2);
        long.write(Stream::Out, &vec![b'x'; 1 << 20]);
        let message = &long.into_messages(1000, &Figures::new())[0].text;
        assert!(message.len() < 2 * MAX_TEXT, "{}", message.len());
    }
}
