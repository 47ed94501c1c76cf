//! The answers that stages have given, within bounds. The least recently used is
//! forgotten first.
//!
//! An answer is kept in a binary form, and of a changed service only the fields that differ
//! from those that the stage was shown: there is one for each stage and container, and it is
//! seldom looked at. It is safe to forget anything at any moment: the stage is asked again.

mod patch;

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::{Decision, Message, Mode, Remark, Verdict, digest::Digest};
use crate::model::service::Service;
use patch::Patch;

/// Answers that are remembered at most: those of 16 stages on 4,000 containers.
const MAX_ANSWERS: usize = 1 << 16;
/// Bytes that they take at most, roughly.
const MAX_BYTES: usize = 32 << 20;
/// The bytes that an answer takes apart from its content, roughly.
const ANSWER_BYTES: usize = 128;

/// A remembered answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) messages: Vec<Message>,
    /// Under which mode of the stage it was counted what the answer does.
    pub(super) counted: Mode,
}

/// An answer in the form in which it is kept.
pub(super) struct Packed(Vec<u8>);

/// An answer as it is kept, beside the services that it was given on.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    verdicts: Vec<KeptVerdict<'a>>,
    /// In JSON, as the form of a service depends on what it has; mostly nothing is added.
    added: String,
    remarks: Cow<'a, [Remark]>,
    messages: Cow<'a, [Message]>,
    counted: Mode,
}

#[derive(Serialize, Deserialize)]
enum KeptVerdict<'a> {
    Keep,
    Replace(Box<Patch>),
    Veto(Cow<'a, str>),
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

    /// The answer on these services, of which the key is.
    pub(super) fn get(&self, key: &Digest, services: &[Service]) -> Option<Answer> {
        let mut known = self.lock();
        let kept = known.answers.get(key)?;
        let kept = postcard::from_bytes(kept).expect("it was written by the same program");
        drop(known);
        Some(restored(kept, services))
    }

    /// Remember an answer.
    pub(super) fn put(&self, key: Digest, Packed(answer): Packed) {
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

/// An answer on these services in the form in which it is kept.
pub(super) fn pack(
    services: &[Service],
    decision: &Decision,
    messages: &[Message],
    counted: Mode,
) -> Packed {
    let kept = decision.verdicts.iter().zip(services).map(|(verdict, before)| match verdict {
        Verdict::Keep => KeptVerdict::Keep,
        Verdict::Replace(after) => KeptVerdict::Replace(Box::new(Patch::between(before, after))),
        Verdict::Veto(reason) => KeptVerdict::Veto(Cow::Borrowed(reason)),
    });
    let verdicts = kept.collect();
    let added = match decision.added.as_slice() {
        [] => String::new(),
        added => serde_json::to_string(added).expect("a service has only string keys"),
    };
    // Mostly nothing is said.
    let silent = decision.remarks.iter().all(Remark::is_empty);
    let remarks = if silent { &[][..] } else { &decision.remarks };
    let (remarks, messages) = (remarks.into(), messages.into());
    let kept = Kept { verdicts, added, remarks, messages, counted };
    Packed(postcard::to_allocvec(&kept).expect("all its lists have a length"))
}

fn restored(kept: Kept<'_>, services: &[Service]) -> Answer {
    let Kept { verdicts, added, remarks, messages, counted } = kept;
    let verdicts = verdicts.into_iter().zip(services).map(|(kept, before)| match kept {
        KeptVerdict::Keep => Verdict::Keep,
        KeptVerdict::Replace(patch) => Verdict::Replace(Box::new(patch.applied_to(before))),
        KeptVerdict::Veto(reason) => Verdict::Veto(reason.into_owned()),
    });
    let decision = Decision {
        verdicts: verdicts.collect(),
        added: match added.as_str() {
            "" => Vec::new(),
            added => serde_json::from_slice(added.as_bytes())
                .expect("it was written by the same program"),
        },
        remarks: remarks.into_owned(),
    };
    Answer { decision, messages: messages.into_owned(), counted }
}

/// The memory that an answer takes, roughly.
fn size(answer: &[u8]) -> usize {
    ANSWER_BYTES + answer.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{container, host};

    fn answer(bytes: usize) -> Answer {
        let verdicts = vec![Verdict::Veto("x".repeat(bytes))];
        let decision = Decision { verdicts, added: Vec::new(), remarks: Vec::new() };
        Answer { decision, messages: Vec::new(), counted: Mode::Enforce }
    }

    fn services() -> Vec<Service> {
        let candidates = crate::pipeline::candidates(&container(), &host(), &Default::default());
        candidates.expect("right labels").services
    }

    fn packed(answer: &Answer) -> Packed {
        pack(&services(), &answer.decision, &answer.messages, answer.counted)
    }

    fn bytes(length: usize) -> usize {
        size(&packed(&answer(length)).0)
    }

    fn known(memory: &Memory) -> Vec<u8> {
        (0..=u8::MAX).filter(|n| memory.lock().answers.contains(&[*n; 32])).collect()
    }

    #[test]
    fn the_longest_unused_answer_is_forgotten_first() {
        let memory = Memory::bounded(3, 1 << 20);
        for n in 0..3 {
            memory.put([n; 32], packed(&answer(1)));
        }
        assert_eq!(memory.get(&[0; 32], &services()), Some(answer(1)));
        memory.put([3; 32], packed(&answer(1)));
        assert_eq!(known(&memory), [0, 2, 3]);
    }

    #[test]
    fn large_answers_make_room_and_the_count_of_bytes_is_right() {
        let memory = Memory::bounded(100, 10 * bytes(1_000));
        for n in 0..30 {
            memory.put([n; 32], packed(&answer(1_000)));
            memory.put([n; 32], packed(&answer(1_000)));
        }
        assert_eq!(known(&memory), (20..30).collect::<Vec<_>>());
        memory.put([99; 32], packed(&answer(1 << 20)));
        assert!(
            memory.get(&[99; 32], &services()).is_none(),
            "it is larger than all that may be remembered"
        );
        let whole: usize = memory.lock().answers.iter().map(|(_, answer)| size(answer)).sum();
        assert_eq!(memory.lock().bytes, whole);
    }

    #[test]
    fn what_is_kept_of_a_changed_service_is_the_change() {
        let mut before = services();
        before[0].meta.insert("long".into(), "x".repeat(1_000));
        let mut after = before[0].clone();
        after.tags.push("blessed".into());
        let verdicts = vec![Verdict::Replace(Box::new(after)), Verdict::Keep];
        let decision = Decision { verdicts, added: before.clone(), remarks: Vec::new() };
        let answer = Answer { decision, messages: Vec::new(), counted: Mode::Monitor };
        let kept = pack(&before, &answer.decision, &answer.messages, answer.counted);
        let added = serde_json::to_vec(&before).expect("bytes").len();
        let change = kept.0.len() - added;
        assert!(change < 100, "{change} bytes");
        let memory = Memory::default();
        memory.put([1; 32], kept);
        let mut known = memory.get(&[1; 32], &before).expect("it was put there");
        if let Verdict::Replace(after) = &mut known.decision.verdicts[0] {
            // Whose port it stands for is not the stage's to say.
            assert_eq!(after.origin, None);
            after.origin.clone_from(&before[0].origin);
        }
        assert_eq!(known, answer);
    }
}
