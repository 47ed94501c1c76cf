//! An allocator of tests that has the system's do the work and tells a meter of it.

use std::alloc::{GlobalAlloc, Layout, System};

/// Whoever is told of allocations. It must not allocate.
pub trait Meter: Sync {
    /// So many bytes take the place of so many: of none where something is allocated, by none where it
    /// is given back.
    fn note(&self, new: usize, old: usize);
}

/// The system's allocator, of which a meter is told everything.
pub struct Counting<M>(pub M);

// The one way to see allocations; nothing is added to what the system's allocator does.
#[allow(unsafe_code)]
unsafe impl<M: Meter> GlobalAlloc for Counting<M> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.note(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.0.note(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.0.note(size, layout.size());
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.0.note(0, layout.size());
        unsafe { System.dealloc(memory, layout) }
    }
}
