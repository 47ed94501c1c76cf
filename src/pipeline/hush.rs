//! The words of stages, without the secrets of the container that they were asked about: their
//! messages, reasons and errors go to the log, to explanations and to records.

use super::{Change, Message, StageError, judge::Judged};
use crate::{model::container::Container, secrets::Known};

/// Keeps the secrets of a container out of words about it. They are looked for only where
/// there are words.
pub(super) struct Hush<'a> {
    container: &'a Container,
    known: Option<Known>,
}

impl<'a> Hush<'a> {
    pub(super) fn of(container: &'a Container) -> Self {
        Self { container, known: None }
    }

    fn hide(&mut self, words: &mut String) {
        self.known.get_or_insert_with(|| Known::of(self.container)).hide_in(words);
    }

    pub(super) fn all(&mut self, words: &mut [String]) {
        words.iter_mut().for_each(|words| self.hide(words));
    }

    pub(super) fn messages(&mut self, messages: &mut [Message]) {
        messages.iter_mut().for_each(|message| self.hide(&mut message.text));
    }

    pub(super) fn answer(
        &mut self,
        answer: Result<Judged, StageError>,
    ) -> Result<Judged, StageError> {
        let mut judged = answer.map_err(|error| self.error(error))?;
        self.all(&mut judged.warnings);
        judged.vetoed.iter_mut().for_each(|veto| self.hide(&mut veto.reason));
        judged.remarks.iter_mut().for_each(|(_, remark)| self.all(&mut remark.notes));
        for (_, change) in &mut judged.changes {
            if let Change::Vetoed(reason) = change {
                self.hide(reason);
            }
        }
        Ok(judged)
    }

    fn error(&mut self, mut error: StageError) -> StageError {
        match &mut error {
            StageError::Trap(words)
            | StageError::Stack(words)
            | StageError::Instantiate(words)
            | StageError::Guest(words)
            | StageError::Invalid(words)
            | StageError::Host(words) => self.hide(words),
            StageError::Timeout(_)
            | StageError::Memory(_)
            | StageError::Table(_)
            | StageError::Output { .. }
            | StageError::Unloaded(_)
            | StageError::Select(_)
            | StageError::Label(_)
            | StageError::Bound { .. } => {}
        }
        error
    }
}
