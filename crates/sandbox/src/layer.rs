//! How full is the layer that a session's changes are held in?
use std::io;
use std::os::fd::BorrowedFd;

/// What a layer holds and may hold at most. A layer that is full refuses every write inside with `ENOSPC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerUse {
    /// Bytes held.
    pub bytes: u64,
    /// Bytes it may hold.
    pub most_bytes: u64,
    /// Inodes held: files, directories, links.
    pub inodes: u64,
    /// Inodes it may hold.
    pub most_inodes: u64,
}

impl LayerUse {
    /// Asks the layer behind [`Running::upper`](crate::Running::upper), while the box runs or after its end.
    pub fn of(upper: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = rustix::fs::fstatvfs(upper)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self {
            bytes: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
            most_bytes: bytes(stat.f_blocks),
            inodes: stat.f_files.saturating_sub(stat.f_ffree),
            most_inodes: stat.f_files,
        })
    }

    /// Whether there was no room left for another file or page, so that writes inside have probably failed.
    pub const fn is_full(&self) -> bool {
        self.bytes >= self.most_bytes || self.inodes >= self.most_inodes
    }
}
