//! The memory of a component: an instance lives for one call, so that nothing of it has to be given back.
//!
//! The allocator of Rust's standard library asks for more memory at the first allocation, whatever there is
//! already, and the host has to make that accessible and to take it back in each call. This one begins with
//! what the instance has anyway, behind its data. What is freed is used again for what has the same size,
//! rounded up to a power of two, so that a loop does not need more and more.

use std::{alloc::Layout, ptr::null_mut};

/// Sizes are powers of two from this one on, so that whatever is freed can hold the link to the next one.
const LEAST: usize = 16;
/// How many sizes there are: all that can be addressed.
const SIZES: usize = usize::BITS as usize;

/// Hands out parts of a region that may grow at its end.
#[derive(Debug)]
pub(crate) struct Heap {
    /// Where the part begins that was never handed out.
    next: usize,
    end: usize,
    /// For each size, the first of the parts that are free; each begins with the address of the next one.
    free: [usize; SIZES],
}

impl Heap {
    /// One that has nothing yet.
    pub(crate) const fn empty() -> Self {
        Self { next: 0, end: 0, free: [0; SIZES] }
    }

    /// The region; before anything is allocated.
    pub(crate) fn begin(&mut self, begin: usize, end: usize) {
        (self.next, self.end) = (begin, end);
    }

    /// Whether it has a region.
    pub(crate) fn has_begun(&self) -> bool {
        self.end != 0
    }

    /// A part that can hold this; null if there is none. `grow` is asked for so many bytes more, and says
    /// where they begin and end; none if there are no more.
    ///
    /// # Safety
    ///
    /// The region, and what `grow` adds to it, is memory that nobody else uses.
    pub(crate) unsafe fn allocate(
        &mut self,
        layout: Layout,
        grow: impl FnOnce(usize) -> Option<(usize, usize)>,
    ) -> *mut u8 {
        let Some(size) = rounded(layout) else { return null_mut() };
        let free = &mut self.free[size.ilog2() as usize];
        // What has to be aligned to more, which is rare, is not looked for.
        if *free != 0 && layout.align() <= LEAST {
            let part = *free as *mut usize;
            // SAFETY: it was handed out by this heap, has this size, and was freed: it begins with a link.
            *free = unsafe { part.read() };
            return part.cast();
        }
        let align = layout.align().max(LEAST);
        if let Some(part) = self.take(size, align) {
            return part;
        }
        let Some(most) = size.checked_add(align) else { return null_mut() };
        let Some((begin, end)) = grow(most) else { return null_mut() };
        if begin != self.end {
            // Somebody else has grown the memory meanwhile.
            self.next = begin;
        }
        self.end = end;
        self.take(size, align).unwrap_or(null_mut())
    }

    /// The next part that was never handed out.
    fn take(&mut self, size: usize, align: usize) -> Option<*mut u8> {
        let begin = self.next.checked_next_multiple_of(align)?;
        let end = begin.checked_add(size).filter(|end| *end <= self.end)?;
        self.next = end;
        Some(begin as *mut u8)
    }

    /// Take a part back.
    ///
    /// # Safety
    ///
    /// It was allocated here with this layout, and nobody uses it any more.
    pub(crate) unsafe fn free(&mut self, part: *mut u8, layout: Layout) {
        let Some(size) = rounded(layout) else { return };
        let free = &mut self.free[size.ilog2() as usize];
        // SAFETY: the part is at least as large as a link, aligned for one, and no longer used.
        unsafe { part.cast::<usize>().write(*free) };
        *free = part as usize;
    }

    /// Whether a part that was allocated with this layout can hold so much.
    pub(crate) fn holds(layout: Layout, size: usize) -> bool {
        rounded(layout).is_some_and(|rounded| size <= rounded)
            && Layout::from_size_align(size, layout.align()).ok().and_then(rounded)
                == rounded(layout)
    }
}

/// The size of the part for it.
fn rounded(layout: Layout) -> Option<usize> {
    layout.size().max(LEAST).checked_next_power_of_two()
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod global {
    use std::{
        alloc::{GlobalAlloc, Layout},
        arch::wasm32::{memory_grow, memory_size},
        cell::UnsafeCell,
    };

    use super::Heap;

    /// What a page of linear memory has.
    const PAGE: usize = 64 * 1024;

    unsafe extern "C" {
        /// Where the linker's own data ends.
        static __heap_base: u8;
    }

    struct Global(UnsafeCell<Heap>);

    // SAFETY: a component has one thread.
    unsafe impl Sync for Global {}

    #[global_allocator]
    static GLOBAL: Global = Global(UnsafeCell::new(Heap::empty()));

    // SAFETY: `Heap` hands out parts that do not overlap and are as large and as aligned as they have to be.
    unsafe impl GlobalAlloc for Global {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: there is one thread, and no call of the heap is within another.
            let heap = unsafe { &mut *self.0.get() };
            if !heap.has_begun() {
                heap.begin(&raw const __heap_base as usize, memory_size(0) * PAGE);
            }
            let grow = |bytes: usize| {
                let pages = bytes.div_ceil(PAGE);
                let before = memory_grow(0, pages);
                let end = || before.checked_add(pages)?.checked_mul(PAGE);
                (before != usize::MAX).then(|| Some((before * PAGE, end()?))).flatten()
            };
            // SAFETY: what is behind the data, and what memory grows by, is this allocator's alone.
            unsafe { heap.allocate(layout, grow) }
        }

        unsafe fn dealloc(&self, part: *mut u8, layout: Layout) {
            // SAFETY: as above; the caller says that the part is of this layout and no longer used.
            unsafe { (*self.0.get()).free(part, layout) }
        }

        unsafe fn realloc(&self, part: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if Heap::holds(layout, size) {
                return part;
            }
            // SAFETY: the caller says that the size is not too large for the alignment.
            let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
            // SAFETY: both parts are of their layouts and do not overlap.
            unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    part.copy_to_nonoverlapping(new, layout.size().min(size));
                    self.dealloc(part, layout);
                }
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap in a region of this machine.
    fn heap(bytes: usize) -> (Heap, Vec<u128>) {
        let mut region = vec![0_u128; bytes / 16];
        let begin = region.as_mut_ptr() as usize;
        let mut heap = Heap::empty();
        assert!(!heap.has_begun());
        heap.begin(begin, begin + bytes);
        (heap, region)
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn parts_are_aligned_do_not_overlap_and_keep_what_is_in_them() {
        let (mut heap, _region) = heap(16 << 20);
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut seed = 1_u64;
        for n in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let random = (seed >> 33) as usize;
            if random.is_multiple_of(3) && !live.is_empty() || live.len() > 200 {
                let (part, layout, mark) = live.swap_remove(random % live.len());
                // SAFETY: it was allocated with this layout.
                unsafe {
                    for at in 0..layout.size() {
                        assert_eq!(part.add(at).read(), mark, "{layout:?}");
                    }
                    heap.free(part, layout);
                }
                continue;
            }
            let layout = layout(1 + random % 700, 1 << (random % 7));
            // SAFETY: the region is this test's.
            let part = unsafe { heap.allocate(layout, |_| None) };
            assert!(!part.is_null(), "after {n}: what is freed is used again");
            assert!((part as usize).is_multiple_of(layout.align()), "{layout:?}");
            let mark = (n % 251) as u8;
            // SAFETY: the part holds the layout.
            unsafe { part.write_bytes(mark, layout.size()) };
            live.push((part, layout, mark));
        }
    }

    #[test]
    fn it_grows_by_what_is_missing_and_says_if_it_cannot() {
        let (mut heap, region) = heap(4096);
        let end = region.as_ptr() as usize + 4096;
        let allocate = |heap: &mut Heap, grown: Option<(usize, usize)>| {
            let mut asked = 0;
            // SAFETY: nothing is written to it.
            let part = unsafe {
                heap.allocate(layout(8192, 1), |bytes| {
                    asked = bytes;
                    grown
                })
            };
            (part as usize, asked)
        };
        assert_eq!(allocate(&mut heap, None), (0, 8192 + LEAST));
        // Behind the end: the part begins where the last one ended.
        let (part, _) = allocate(&mut heap, Some((end, end + 65_536)));
        assert_eq!(part, region.as_ptr() as usize);
        // Elsewhere.
        heap.begin(end, end);
        let (part, _) = allocate(&mut heap, Some((end + 4096, end + 65_536)));
        assert_eq!(part, end + 4096);
        // Less than was asked for.
        heap.begin(end, end);
        assert_eq!(allocate(&mut heap, Some((end, end + 64))).0, 0);
    }

    #[test]
    fn what_fits_into_the_same_part_stays_there() {
        assert!(Heap::holds(layout(17, 1), 32));
        assert!(!Heap::holds(layout(17, 1), 33));
        assert!(!Heap::holds(layout(32, 1), 16), "it is freed as what it is said to be");
    }
}
