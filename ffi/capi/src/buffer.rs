//! What callers get: bytes that this library owns until they are freed.
//!
//! Invariant: a buffer is known by its address until it is freed, so that freeing one twice, or one that is not from
//! here, is told and harms nothing.

use std::collections::HashMap;
use std::ffi::c_char;
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::boundary::is_forked;
use crate::error::Bug;

/// Bytes, mostly JSON as UTF-8, without a zero byte at their end. Owned by the library: free them with
/// `keepwell_buffer_free`, from any thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellBuffer {
    /// The first byte; null where there are none.
    pub data: *const c_char,
    /// How many bytes.
    pub length: usize,
}

static BUFFERS: LazyLock<Mutex<HashMap<usize, Vec<u8>>>> = LazyLock::new(Mutex::default);

fn buffers() -> MutexGuard<'static, HashMap<usize, Vec<u8>>> {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes bytes to `out`, which the caller frees.
///
/// # Safety
/// `out` is null or points to memory for a `KeepwellBuffer`.
pub(crate) unsafe fn give(bytes: Vec<u8>, out: *mut KeepwellBuffer) -> Result<(), Bug> {
    if out.is_null() {
        return Err(Bug::Null);
    }
    let mut buffer = KeepwellBuffer { data: ptr::null(), length: bytes.len() };
    if !bytes.is_empty() {
        buffer.data = bytes.as_ptr().cast();
        buffers().insert(buffer.data as usize, bytes);
    }
    // SAFETY: not null, and by the contract above it may be written.
    unsafe { out.write(buffer) };
    Ok(())
}

/// Frees a buffer, overwrites what was in it and sets it to empty. Null and an empty buffer are no mistake. Returns 0,
/// 918 for a buffer that was freed before or is not from here, or 916 in a forked child: nothing is touched then.
///
/// # Safety
/// `buffer` is null or points to a `KeepwellBuffer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_buffer_free(buffer: *mut KeepwellBuffer) -> i32 {
    if buffer.is_null() {
        return 0;
    }
    if is_forked() {
        // Another thread of the parent may have had the table locked.
        return i32::from(Bug::Forked.code());
    }
    // SAFETY: not null, and by the contract above it points to a `KeepwellBuffer`.
    let freed = unsafe { buffer.replace(KeepwellBuffer { data: ptr::null(), length: 0 }) };
    if freed.data.is_null() {
        return 0;
    }
    match buffers().remove(&(freed.data as usize)) {
        // Patient data does not stay behind in memory that was given back. Somebody seems to look at the zeros, so
        // that the compiler writes them; a volatile write of each byte takes eight times as long.
        Some(mut bytes) => {
            bytes.fill(0);
            std::hint::black_box(&mut bytes);
        }
        None => return i32::from(Bug::Buffer.code()),
    }
    0
}
