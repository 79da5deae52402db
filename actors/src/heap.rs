//! What the allocator of the system is taught: to keep what is freed.

use std::{hint::black_box, sync::Once};

/// The largest block that glibc learns from has 32 MiB with what it adds to it. In bytes.
const LESSON: usize = (32 << 20) - (64 << 10);

/// Has glibc keep memory that is freed, up to 64 MiB at the end of each heap. Frames of hundreds of
/// KiB come and go; by default such blocks are given back to the system one by one, and each page that
/// is taken again is a page fault, microseconds in a virtual machine.
///
/// glibc goes by what it sees (`mallopt(3)`, `M_MMAP_THRESHOLD`): from the moment a block of some size
/// was freed it takes blocks up to that size from its heaps, and keeps twice as much at their ends. A
/// block that nobody wrote to costs two system calls, once. Other allocators just see it come and go.
/// `MALLOC_TRIM_THRESHOLD_` and `MALLOC_MMAP_THRESHOLD_` say the same, but whoever starts a process would
/// have to know; `mallopt` is `unsafe`.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(black_box(Vec::<u8>::with_capacity(LESSON))));
}
