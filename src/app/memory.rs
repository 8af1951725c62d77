//! How the process holds memory.

/// Above this size, a buffer has pages of its own, which go back to the system when it is freed.
#[cfg(target_env = "gnu")]
const OWN_PAGES_FROM: i32 = 256 * 1024;

/// Tells glibc's allocator to give large buffers pages of their own, always.
///
/// A snapshot and its fragments are a few large buffers that are replaced as a whole after every
/// walk. By itself, glibc learns from the first of them that it is freed to keep such buffers on
/// its heap, where differently sized successors leave holes: with 100,000 endpoints the process
/// then grows by half over a few walks. Other C libraries do not have the habit.
pub(super) fn give_large_buffers_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(
            unsafe_code,
            reason = "a C function of two integers; no safe wrapper is kept"
        )]
        // SAFETY: the call touches no memory of ours, and no other thread runs yet.
        let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_FROM) };
        if done != 1 {
            tracing::debug!("the allocator keeps its own ways with large buffers");
        }
    }
}
