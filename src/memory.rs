//! Memory that is used again.
//!
//! A log is decoded through large, short-lived buffers. The system's allocator
//! hands such memory back to the kernel as soon as it is free, and the next use
//! pays for it twice: the kernel fills it with zeros and maps it page by page,
//! which was a quarter of the time a big checkpoint took. So buffers come back
//! here when their last user drops them, wherever that is: a batch that the
//! consumer is done with returns its memory to the workers.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use bytes::Bytes;

/// No more than this lies idle in one [`Memory`], which is one engine's.
const IDLE_BYTES_MAX: usize = 32 << 20;
/// A smaller buffer is not kept: what a consumer holds should be of its size.
pub(crate) const KEPT_BYTES_MIN: usize = 64 << 10;

/// Buffers to be used again. Clones share them; when the last is dropped, what
/// is still lent out is freed by its user.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    idle: Arc<Idle>,
}

#[derive(Default)]
struct Idle(Mutex<Vec<Vec<u8>>>);

impl Idle {
    /// The idle buffers, unless someone else is at them: then it is cheaper to
    /// ask the allocator. And a child process may have been forked just then,
    /// where a batch that it releases would wait for a thread it does not have.
    fn buffers(&self) -> Option<MutexGuard<'_, Vec<Vec<u8>>>> {
        match self.0.try_lock() {
            Ok(buffers) => Some(buffers),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Memory {
    /// A buffer of at least `bytes`, `None` where there is no such memory. It holds
    /// what its last user left in it: nothing is spent on clearing it.
    ///
    /// One that is more than twice as large is left for a use of its size: a
    /// consumer may keep what it is given for long.
    pub(crate) fn take(&self, bytes: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| {
            bytes >= KEPT_BYTES_MIN && (bytes..=bytes.saturating_mul(2)).contains(&buffer.len())
        };
        // The last one is the warmest.
        let known = self.idle.buffers().and_then(|mut idle| {
            let at = idle.iter().rposition(fits)?;
            Some(idle.swap_remove(at))
        });
        match known {
            Some(buffer) => Some(buffer),
            None => {
                // Asked for first, so that there is an answer where it cannot be;
                // then as zeros, which the allocator has for nothing.
                let mut asked: Vec<u8> = Vec::new();
                asked.try_reserve_exact(bytes).ok()?;
                drop(asked);
                Some(vec![0; bytes])
            }
        }
    }

    /// Puts a buffer back.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        if buffer.len() < KEPT_BYTES_MIN {
            return;
        }
        let Some(mut idle) = self.idle.buffers() else { return };
        idle.push(buffer);
        // What has been idle for longest has the wrong size.
        let mut bytes: usize = idle.iter().map(Vec::len).sum();
        let mut dropped = Vec::new();
        while bytes > IDLE_BYTES_MAX {
            let buffer = idle.remove(0);
            bytes -= buffer.len();
            dropped.push(buffer);
        }
        drop(idle);
    }

    fn clear(&self) {
        let idle = self.idle.buffers().map(|mut idle| std::mem::take(&mut *idle));
        drop(idle);
    }

    /// The first `used` bytes of `buffer`, which comes back here when they are
    /// dropped.
    pub(crate) fn lend(&self, mut buffer: Vec<u8>, used: usize) -> Bytes {
        if buffer.len() < KEPT_BYTES_MIN {
            buffer.truncate(used);
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Lent { buffer, home: Arc::downgrade(&self.idle) }).slice(..used)
    }
}

/// Frees what lies idle when it is dropped: at the end of a stream.
pub(crate) struct ClearsAtEnd(pub(crate) Memory);

impl Drop for ClearsAtEnd {
    fn drop(&mut self) {
        self.0.clear();
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Weak<Idle>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(idle) = self.home.upgrade() {
            Memory { idle }.put(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_user_drops_it() {
        let memory = Memory::default();
        let buffer = memory.take(100_000).unwrap();
        let place = buffer.as_ptr();
        let bytes = memory.lend(buffer, 50_000);
        assert_eq!(bytes.len(), 50_000);
        let other = bytes.slice(5..);
        drop(bytes);
        assert_eq!(memory.idle.buffers().unwrap().len(), 0);
        std::thread::spawn(move || drop(other)).join().unwrap();
        // A far smaller use does not get it.
        let small = memory.take(10).unwrap();
        assert_ne!(small.as_ptr(), place);
        let again = memory.take(90_000).unwrap();
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn what_lies_idle_is_bounded() {
        let memory = Memory::default();
        for _ in 0..10 {
            memory.put(vec![0; IDLE_BYTES_MAX / 4]);
        }
        assert_eq!(memory.idle.buffers().unwrap().len(), 4);
        memory.put(vec![0; IDLE_BYTES_MAX + 1]);
        assert_eq!(memory.idle.buffers().unwrap().len(), 0);
        memory.put(vec![0; 10]);
        assert_eq!(memory.idle.buffers().unwrap().len(), 0);
        memory.put(vec![0; KEPT_BYTES_MIN]);
        assert_eq!(memory.idle.buffers().unwrap().len(), 1);
        memory.clear();
        assert_eq!(memory.idle.buffers().unwrap().len(), 0);
    }

    #[test]
    fn what_is_lent_outlives_its_home() {
        let memory = Memory::default();
        let bytes = memory.lend(vec![1; 100_000], 100_000);
        drop(memory);
        assert!(bytes.iter().all(|&byte| byte == 1));
    }
}
