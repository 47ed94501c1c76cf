//! The answers that stages have given, within bounds. What was not used for the
//! longest time is forgotten first.
//!
//! An answer is kept in a binary form, in which it takes a sixth of the memory: there
//! is one for each stage and container, and it is seldom looked at. It is safe to
//! forget anything at any moment: the stage is asked again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::{Decision, Message, Mode, digest::Digest};

/// Answers that are remembered at most: those of 16 stages on 4,000 containers.
const MAX_ANSWERS: usize = 1 << 16;
/// Bytes that they take at most, roughly.
const MAX_BYTES: usize = 32 << 20;
/// What an answer takes apart from its content, roughly.
const ANSWER_BYTES: usize = 128;

/// A remembered answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) messages: Vec<Message>,
    /// Under which mode of the stage it was counted what the answer does.
    pub(super) counted: Mode,
}

#[derive(Debug)]
pub(super) struct Memory {
    max_answers: usize,
    max_bytes: usize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    answers: LruCache<Digest, Box<[u8]>>,
    bytes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::bounded(MAX_ANSWERS, MAX_BYTES)
    }
}

impl Memory {
    fn bounded(max_answers: usize, max_bytes: usize) -> Self {
        let known = Known { answers: LruCache::unbounded(), bytes: 0 };
        Self { max_answers, max_bytes, known: Mutex::new(known) }
    }

    pub(super) fn get(&self, key: &Digest) -> Option<Answer> {
        let mut known = self.lock();
        let answer = known.answers.get(key)?;
        Some(postcard::from_bytes(answer).expect("it was written by the same program"))
    }

    pub(super) fn put(&self, key: Digest, answer: &Answer) {
        let answer = postcard::to_allocvec(answer).expect("all its lists have a length");
        if size(&answer) > self.max_bytes {
            return;
        }
        let mut known = self.lock();
        known.bytes += size(&answer);
        if let Some(before) = known.answers.put(key, answer.into()) {
            known.bytes -= size(&before);
        }
        while known.answers.len() > self.max_answers || known.bytes > self.max_bytes {
            let Some((_, answer)) = known.answers.pop_lru() else { return };
            known.bytes -= size(&answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // At worst the count of bytes is wrong by one answer.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that an answer takes, roughly.
fn size(answer: &[u8]) -> usize {
    ANSWER_BYTES + answer.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Verdict;

    fn answer(bytes: usize) -> Answer {
        let verdicts = vec![Verdict::Veto("x".repeat(bytes))];
        let decision = Decision { verdicts, added: Vec::new() };
        Answer { decision, messages: Vec::new(), counted: Mode::Enforce }
    }

    fn bytes(length: usize) -> usize {
        size(&postcard::to_allocvec(&answer(length)).expect("bytes"))
    }

    fn known(memory: &Memory) -> Vec<u8> {
        (0..=u8::MAX).filter(|n| memory.lock().answers.contains(&[*n; 32])).collect()
    }

    #[test]
    fn the_longest_unused_answer_is_forgotten_first() {
        let memory = Memory::bounded(3, 1 << 20);
        for n in 0..3 {
            memory.put([n; 32], &answer(1));
        }
        assert_eq!(memory.get(&[0; 32]), Some(answer(1)));
        memory.put([3; 32], &answer(1));
        assert_eq!(known(&memory), [0, 2, 3]);
    }

    #[test]
    fn large_answers_make_room_and_the_count_of_bytes_is_right() {
        let memory = Memory::bounded(100, 10 * bytes(1_000));
        for n in 0..30 {
            memory.put([n; 32], &answer(1_000));
            memory.put([n; 32], &answer(1_000));
        }
        assert_eq!(known(&memory), (20..30).collect::<Vec<_>>());
        memory.put([99; 32], &answer(1 << 20));
        assert!(memory.get(&[99; 32]).is_none(), "it is larger than all that may be remembered");
        let whole: usize = memory.lock().answers.iter().map(|(_, answer)| size(answer)).sum();
        assert_eq!(memory.lock().bytes, whole);
    }
}
