//! Who keeps a box of tier B within its disk space, where no file system of its own bounds it?
//!
//! A thread that adds up the box's folder whenever the disk has become notably fuller, and ends the box when the sum is too
//! high. Weaker than a bounded file system: between two looks a box can write more.
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A watch over one box's folder.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    over: Arc<AtomicBool>,
}

impl DiskWatch {
    /// Watches `folder` until the box behind `pidfd` ends; `bytes` and `entries` are what may come on top of what is there.
    pub(crate) fn start(
        pidfd: &OwnedFd,
        folder: PathBuf,
        bytes: u64,
        entries: u64,
    ) -> io::Result<Self> {
        let pidfd = pidfd.try_clone()?;
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        std::thread::Builder::new().name("bartizan-disk".into()).spawn(move || {
            let began = Used::of(&folder);
            let most = Used {
                bytes: began.bytes.saturating_add(bytes),
                entries: began.entries.saturating_add(entries),
            };
            watch(&pidfd, &folder, most, &flag);
        })?;
        Ok(Self { over })
    }

    /// Whether the box was ended for it.
    pub(crate) fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

fn watch(pidfd: &OwnedFd, folder: &Path, most: Used, over: &AtomicBool) {
    let mut last = free(folder);
    let mut pause = Duration::ZERO;
    let mut looked = Instant::now();
    loop {
        let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut ended, Some(&INTERVAL)) {
            Ok(0) => {}
            Ok(_) => return,
            Err(_) => continue,
        }
        let now = free(folder);
        let fuller = last.bytes.saturating_sub(now.bytes) > most.bytes / 16
            || last.entries.saturating_sub(now.entries) > most.entries / 16;
        // A tree of many files takes long to add up, so it is not done all the time.
        if !(fuller || looked.elapsed() > SELDOM) || looked.elapsed() < pause {
            continue;
        }
        let begun = Instant::now();
        let used = Used::of(folder);
        pause = begun.elapsed().saturating_mul(4);
        (last, looked) = (now, Instant::now());
        if used.bytes > most.bytes || used.entries > most.entries {
            over.store(true, Ordering::SeqCst);
            rustix::process::pidfd_send_signal(pidfd, Signal::TERM).ok();
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    bytes: u64,
    entries: u64,
}

impl Used {
    /// What a tree takes on the disk.
    fn of(top: &Path) -> Self {
        let mut used = Self::default();
        let mut waiting = vec![top.to_owned()];
        while let Some(directory) = waiting.pop() {
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                used.entries += 1;
                used.bytes = used.bytes.saturating_add(metadata.blocks().saturating_mul(512));
                if metadata.is_dir() {
                    waiting.push(entry.path());
                }
            }
        }
        used
    }
}

fn free(folder: &Path) -> Used {
    rustix::fs::statvfs(folder).map_or_else(
        |_| Used::default(),
        |about| Used {
            bytes: about.f_bfree.saturating_mul(about.f_frsize),
            entries: about.f_ffree,
        },
    )
}

const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const SELDOM: Duration = Duration::from_secs(5);
