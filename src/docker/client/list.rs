//! Reading the list of containers, which is long by nature, piece by piece: only the
//! identifiers are kept.

use bollard::errors::Error;
use reqwest::Response;
use serde::Deserialize;

use super::{CONTAINER, failed, nonsense, too_large};

/// More than a host can run.
const MOST: usize = 100_000;
/// What the whole list may have.
const WHOLE: u64 = 1 << 30;

/// What a list says of a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::docker) struct Summary {
    #[serde(rename = "Id")]
    pub(in crate::docker) id: Option<String>,
}

/// The containers in a list; an error if any part of it makes no sense, since a list
/// that was read in part would look as if containers had ended.
pub(super) async fn read(mut answer: Response) -> Result<Vec<Summary>, Error> {
    let (mut list, mut length) = (List::default(), 0);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        length += chunk.len() as u64;
        if length > WHOLE {
            return Err(too_large(WHOLE));
        }
        list.push(&chunk)?;
        // A server that never stops must not keep a thread for itself.
        tokio::task::consume_budget().await;
    }
    list.end()
}

/// A JSON array of which the elements come in pieces.
#[derive(Default)]
struct List {
    place: Place,
    /// What there is of the element.
    element: Vec<u8>,
    /// How many brackets of the element are open.
    depth: usize,
    /// Whether the last byte is part of a text, and whether it begins an escape.
    text: bool,
    escape: bool,
    found: Vec<Summary>,
}

#[derive(Default, PartialEq)]
enum Place {
    #[default]
    Before,
    /// At the beginning, where it may be empty.
    First,
    Within,
    After,
}

impl List {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        chunk.iter().try_for_each(|byte| self.byte(*byte))
    }

    fn byte(&mut self, byte: u8) -> Result<(), Error> {
        match (&self.place, byte) {
            _ if self.text => {
                self.text = self.escape || byte != b'"';
                self.escape = !self.escape && byte == b'\\';
            }
            (Place::Before | Place::First | Place::After, b' ' | b'\t' | b'\r' | b'\n') => {
                return Ok(());
            }
            (Place::Before, b'[') => {
                self.place = Place::First;
                return Ok(());
            }
            (Place::Before | Place::After, _) => return Err(nonsense("it is no list".into())),
            (Place::First, b']') => {
                self.place = Place::After;
                return Ok(());
            }
            (_, b']') if self.depth == 0 => {
                self.place = Place::After;
                return self.take();
            }
            (_, b',') if self.depth == 0 => return self.take(),
            (_, b'[' | b'{') => self.depth += 1,
            // One too many makes the element no JSON.
            (_, b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            (_, b'"') => self.text = true,
            _ => {}
        }
        if self.place == Place::First {
            self.place = Place::Within;
        }
        if self.element.len() as u64 >= CONTAINER {
            return Err(too_large(CONTAINER));
        }
        self.element.push(byte);
        Ok(())
    }

    /// Note the container that the element is about.
    fn take(&mut self) -> Result<(), Error> {
        let found: Summary = super::parse(&self.element)?;
        if !found.id.as_deref().is_some_and(is_id) {
            let id = found.id.unwrap_or_default();
            return Err(nonsense(format!("no container can be called {id:.100?}")));
        }
        if self.found.len() >= MOST {
            return Err(nonsense(format!("it has more than {MOST} containers")));
        }
        self.element.clear();
        self.found.push(found);
        Ok(())
    }

    fn end(self) -> Result<Vec<Summary>, Error> {
        match self.place {
            Place::After => Ok(self.found),
            _ => Err(nonsense("the list has no end".into())),
        }
    }
}

/// Whether a text can be a container's identifier: nothing that would mean something in
/// a path or a message.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=128).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str, step: usize) -> Result<Vec<String>, Error> {
        let mut list = List::default();
        text.as_bytes().chunks(step).try_for_each(|chunk| list.push(chunk))?;
        Ok(list.end()?.into_iter().filter_map(|summary| summary.id).collect())
    }

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        for (text, expected) in [
            ("[]", Some(vec![])),
            (" [ ] \n", Some(vec![])),
            (r#"[{"Id":"a"}]"#, Some(vec!["a"])),
            (
                r#" [ {"Id":"a","Names":["/],[{\"\\"],"x":{"y":[1,{}]}} , {"Id":"b"} ] "#,
                Some(vec!["a", "b"]),
            ),
            ("", None),
            ("null", None),
            ("{}", None),
            ("[", None),
            (r#"[{"Id":"a"}"#, None),
            (r#"[{"Id":"a"},]"#, None),
            (r#"[,{"Id":"a"}]"#, None),
            (r#"[{"Id":"a"}] x"#, None),
            (r#"[{"Id":"a"}{"Id":"b"}]"#, None),
            (r#"[{"Id":"a"}}]"#, None),
            (r#"[{"Id":null}]"#, None),
            (r#"[{"Names":[]}]"#, None),
            (r#"[{"Id":""}]"#, None),
            (r#"[{"Id":"../x"}]"#, None),
            (r#"[{"Id":"a\nb"}]"#, None),
            (r#"[{"Id":".."}]"#, None),
            (r#"["a"]"#, None),
        ] {
            for step in [1, 3, 1000] {
                let read = ids(text, step).ok();
                assert_eq!(
                    read.as_ref().map(|ids| ids.iter().map(String::as_str).collect()),
                    expected,
                    "{text} by {step}"
                );
            }
        }
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let most = usize::try_from(CONTAINER).expect("a size");
        let text = format!("[\"{}", "a".repeat(most));
        assert!(ids(&text, 4096).is_err_and(|error| super::super::is_too_large(&error)));
        let text = format!("[{}", "[".repeat(most + 1));
        assert!(ids(&text, 4096).is_err_and(|error| super::super::is_too_large(&error)));
        let text = format!("[{}", r#"{"Id":"a"},"#.repeat(MOST + 1));
        let fault = ids(&text, 4096).expect_err("too many").to_string();
        assert_eq!(fault, "it has more than 100000 containers");
    }
}
