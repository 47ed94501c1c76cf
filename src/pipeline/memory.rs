//! The answers that stages have given, within bounds. What was not used for the
//! longest time is forgotten first.
//!
//! It is safe to forget anything at any moment: the stage is asked again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::{Decision, Message, Verdict, digest::Digest};
use crate::service::Service;

/// Answers that are remembered at most: those of 16 stages on 4,000 containers.
const MAX_ANSWERS: usize = 1 << 16;
/// Bytes that they take at most, roughly.
const MAX_BYTES: usize = 64 << 20;
/// What an answer takes apart from its texts, roughly.
const ANSWER_BYTES: usize = 256;

/// A remembered answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) messages: Vec<Message>,
}

#[derive(Debug)]
pub(super) struct Memory {
    max_answers: usize,
    max_bytes: usize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    answers: LruCache<Digest, (std::sync::Arc<Answer>, usize)>,
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

    pub(super) fn get(&self, key: &Digest) -> Option<std::sync::Arc<Answer>> {
        self.lock().answers.get(key).map(|(answer, _)| answer.clone())
    }

    pub(super) fn put(&self, key: Digest, answer: Answer) {
        let bytes = answer.bytes();
        if bytes > self.max_bytes {
            return;
        }
        let mut known = self.lock();
        known.bytes += bytes;
        if let Some((_, before)) = known.answers.put(key, (answer.into(), bytes)) {
            known.bytes -= before;
        }
        while known.answers.len() > self.max_answers || known.bytes > self.max_bytes {
            let Some((_, (_, bytes))) = known.answers.pop_lru() else { return };
            known.bytes -= bytes;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // At worst the count of bytes is wrong by one answer.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        let service = |service: &Service| {
            serde_json::to_vec(service).expect("a service has only string keys").len()
        };
        let verdict = |verdict: &Verdict| match verdict {
            Verdict::Keep => 0,
            Verdict::Replace(after) => service(after),
            Verdict::Veto(reason) => reason.len(),
        };
        let verdicts = self.decision.verdicts.iter().map(|v| size_of::<Verdict>() + verdict(v));
        let added = self.decision.added.iter().map(|s| size_of::<Service>() + service(s));
        let messages = self.messages.iter().map(|m| size_of::<Message>() + m.text.len());
        ANSWER_BYTES + verdicts.chain(added).chain(messages).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Answer {
        let verdicts = vec![Verdict::Veto("x".repeat(bytes))];
        Answer { decision: Decision { verdicts, added: Vec::new() }, messages: Vec::new() }
    }

    fn known(memory: &Memory) -> Vec<u8> {
        (0..=u8::MAX).filter(|n| memory.lock().answers.contains(&[*n; 32])).collect()
    }

    #[test]
    fn the_longest_unused_answer_is_forgotten_first() {
        let memory = Memory::bounded(3, 1 << 20);
        for n in 0..3 {
            memory.put([n; 32], answer(1));
        }
        assert!(memory.get(&[0; 32]).is_some());
        memory.put([3; 32], answer(1));
        assert_eq!(known(&memory), [0, 2, 3]);
    }

    #[test]
    fn large_answers_make_room_and_the_count_of_bytes_is_right() {
        let memory = Memory::bounded(100, 10 * answer(1_000).bytes());
        for n in 0..30 {
            memory.put([n; 32], answer(1_000));
            memory.put([n; 32], answer(1_000));
        }
        assert_eq!(known(&memory), (20..30).collect::<Vec<_>>());
        memory.put([99; 32], answer(1 << 20));
        assert!(memory.get(&[99; 32]).is_none(), "it is larger than all that may be remembered");
        let whole: usize = memory.lock().answers.iter().map(|(_, (_, bytes))| bytes).sum();
        assert_eq!(memory.lock().bytes, whole);
    }
}
