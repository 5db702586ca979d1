//! Wiping what a program frees.
//!
//! A body passes through many buffers on its way in and out: parsed, compressed, encoded, returned. Wiping each by hand
//! would miss those of other libraries, so the allocator does it. SQLCipher wipes its own memory
//! ([`crate::Options::memory_security`]).
//!
//! Invariant: memory of Rust's heap is overwritten before it is free, also when a buffer grows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

/// The system's allocator, which overwrites memory before it gives it back. Only a program can choose it:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: keepwell_sqlcipher::WipingAllocator = keepwell_sqlcipher::WipingAllocator;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct WipingAllocator;

// SAFETY: memory comes from the system's allocator and goes back to it with the same layout. `realloc` is that of the
// trait, which moves to a new block and frees the old one, so nothing is left where a buffer was too small.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's, so nobody else reads or writes these bytes.
        unsafe { block.write_bytes(0, layout.size()) };
        // Memory that is about to be free need not be written, an optimiser would say: unless somebody looks at it.
        black_box(block);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Makes the C library overwrite what the libraries of this process free, from now on: zstd leaves content behind.
/// Glibc can; elsewhere this does nothing.
pub(crate) fn wipe_c_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::{ffi::c_int, sync::Once};
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        /// `malloc.h`: fill blocks with this byte when they are freed, and with its complement when they are given
        /// out. The smallest, up to 1 KiB, are not filled.
        const M_PERTURB: c_int = -6;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: it changes what bytes free memory has, on which nobody may rely. If it is refused, they stay.
            unsafe { mallopt(M_PERTURB, 0xff) };
        });
    }
}
