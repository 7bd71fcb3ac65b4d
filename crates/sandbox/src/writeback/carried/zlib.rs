//! How is what git has packed unpacked without being led to fill the memory?

use super::Unread;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

/// Bytes that may still be unpacked in this write-back.
#[derive(Debug)]
pub(super) struct Work(u64);

impl Work {
    pub(super) fn new() -> Self {
        Self(MAX_WORK)
    }

    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), Unread> {
        if bytes > MAX_OBJECT {
            return Err(Unread("an object is too large to be looked through"));
        }
        // Small ones cost too.
        self.0 = self.0.checked_sub(bytes + 64).ok_or(Unread("it is too much to look through"))?;
        Ok(())
    }
}

/// Unpacks what should come to `size` bytes; what follows it is not looked at.
pub(super) fn inflate(packed: &[u8], size: u64) -> Result<Vec<u8>, Unread> {
    let size = usize::try_from(size).map_err(|_| DAMAGED)?;
    let data = decompress_to_vec_zlib_with_limit(packed, size + 64).map_err(|_| DAMAGED)?;
    if data.len() > size { Err(DAMAGED) } else { Ok(data) }
}

const DAMAGED: Unread = Unread("an object is damaged");
/// The largest object that is looked through, in bytes.
pub(super) const MAX_OBJECT: u64 = 256 << 20;
/// All that one write-back unpacks, in bytes: a minute's work.
const MAX_WORK: u64 = 8 << 30;
