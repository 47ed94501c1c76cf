//! The bytes that a test has allocated: each test counts those of its own thread.

use std::cell::Cell;

use crate::counting::{Counting, Meter};

#[global_allocator]
static COUNTING: Counting<Thread> = Counting(Thread);

thread_local! {
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// Counts for each thread by itself.
struct Thread;

impl Meter for Thread {
    fn note(&self, new: usize, old: usize) {
        // No allocation has more than half of the address space.
        BYTES.set(BYTES.get() + new as i64 - old as i64);
    }
}

/// The bytes that this thread has allocated and not given back. Less than none if it has given back
/// what others had allocated.
pub(crate) fn bytes() -> i64 {
    BYTES.get()
}

/// The bytes that are given back when something is dropped.
pub(crate) fn freed<T>(value: T) -> i64 {
    let before = bytes();
    drop(value);
    before - bytes()
}

#[test]
fn what_is_dropped_has_given_back_what_it_had() {
    let text = std::hint::black_box(String::with_capacity(1_000));
    assert_eq!(freed(text), 1_000);
    let shared = std::sync::Arc::new([0_u8; 500]);
    assert_eq!(freed(shared.clone()), 0, "somebody else still has it");
    assert!(freed(shared) >= 500);
}
