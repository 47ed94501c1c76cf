//! A stage's remark on a verdict, beyond the verdict itself.

use serde::{Deserialize, Serialize};

use super::veto_reason;

/// Notes on one verdict; more are left out.
const MOST: usize = 10;
/// Characters of a code.
const CODE: usize = 32;

/// A stage's remark on one verdict. Nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remark {
    /// A word for the kind of a veto, for figures.
    pub code: Option<String>,
    /// For people who ask why.
    pub notes: Vec<String>,
}

impl Remark {
    /// A remark of these words, as far as they can be shown: each on one line, and not too many.
    pub fn new(code: Option<String>, notes: Vec<String>) -> Self {
        let notes = notes.iter().filter(|note| !note.trim().is_empty()).take(MOST);
        Self { code, notes: notes.map(|note| veto_reason(note)).collect() }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.code.is_none() && self.notes.is_empty()
    }
}

/// The code of a veto, if it has the form of one; a bad one is no ground to register what the
/// stage does not want.
pub(crate) fn veto_code(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=CODE).contains(&text.len()) && text.chars().all(is_part);
    fits.then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_form() {
        for code in ["a", "not-pinned", "cap-99", &"x".repeat(32)] {
            assert_eq!(veto_code(code).as_deref(), Some(code));
        }
        for text in ["", "A", "a b", "a_b", "a\n", "ä", &"x".repeat(33)] {
            assert_eq!(veto_code(text), None, "{text:?}");
        }
    }

    #[test]
    fn notes_are_few_and_on_one_line() {
        let mut notes = vec!["a\nb".to_string(), "  ".into(), String::new()];
        notes.extend((0..20).map(|n| n.to_string()));
        let remark = Remark::new(None, notes);
        assert_eq!(remark.notes.len(), MOST);
        assert_eq!(remark.notes[0], "a b");
        let long = Remark::new(None, vec!["x".repeat(1 << 20)]);
        assert!(long.notes[0].len() < 10_000);
        assert!(Remark::new(None, vec![" ".into()]).is_empty());
    }
}
