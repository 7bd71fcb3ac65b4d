//! Which changes to a file's mode, times and owner, and which socket names, does the supervisor make for the box?
//!
//! Landlock does not look at these, and the user's own files are all around the box. A path is resolved once, into a
//! descriptor; what that stands for must lie in the box's own folders; the act is done on the descriptor.
use super::behalf::Caller;
use crate::linux::syscalls::FCHMODAT2;
use crate::sys::{self, Question};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Makes the call for the caller, or says why not.
pub(crate) fn act(
    question: &Question,
    caller: &Caller,
    roots: &[PathBuf],
    ids: (u32, u32),
) -> Result<(), Errno> {
    let [a, b, c, d, ..] = question.arguments;
    let at = |directory: u64, path: u64, flags: u64| -> Result<OwnedFd, Errno> {
        let follow = flags & NOFOLLOW == 0;
        if path == 0 || flags & EMPTY_PATH != 0 {
            return inside(caller.descriptor(directory)?, roots);
        }
        let path = path_at(caller, path)?;
        resolve(caller, directory_number(directory), &path, follow, roots)
    };
    match question.call {
        libc::SYS_fchmod => mode(&inside(caller.descriptor(a)?, roots)?, b),
        libc::SYS_fchmodat => mode(&at(a, b, 0)?, c),
        FCHMODAT2 => mode(&at(a, b, d)?, c),
        libc::SYS_fchown => owner([b, c], ids),
        libc::SYS_fchownat => owner([c, d], ids),
        libc::SYS_utimensat => times(&at(a, b, d)?, &nanoseconds(caller, c)?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod => mode(&at(HERE, a, 0)?, b),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown | libc::SYS_lchown => owner([b, c], ids),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_utime => times(&at(HERE, a, 0)?, &seconds(caller, b)?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_utimes => times(&at(HERE, a, 0)?, &microseconds(caller, b)?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_futimesat => times(&at(a, b, 0)?, &microseconds(caller, c)?),
        _ => Err(Errno::NOSYS),
    }
}

/// Gives a unix socket a name in the box's own folders.
pub(crate) fn name_socket(
    caller: &Caller,
    socket: &OwnedFd,
    name: &[u8],
    roots: &[PathBuf],
    ids: (u32, u32),
) -> Result<(), Errno> {
    let path = Path::new(std::ffi::OsStr::from_bytes(name));
    let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL);
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = resolve(caller, libc::AT_FDCWD, parent.as_os_str().as_bytes(), true, roots)?;
    let mut full = format!("/proc/self/fd/{}/", sys::number(&parent)).into_bytes();
    full.extend_from_slice(file.as_bytes());
    rustix::net::bind(socket, &rustix::net::SocketAddrUnix::new(full.as_slice())?)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(ids.0), rustix::fs::Gid::from_raw(ids.1));
    rustix::fs::chownat(&parent, file, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// Opens what the caller's path leads to, if that lies in one of the box's folders.
pub(crate) fn resolve(
    caller: &Caller,
    directory: i32,
    path: &[u8],
    follow: bool,
    roots: &[PathBuf],
) -> Result<OwnedFd, Errno> {
    let base = if path.starts_with(b"/") {
        rustix::fs::open(c"/", PATH_ONLY, Mode::empty())?
    } else if directory == libc::AT_FDCWD {
        rustix::fs::open(format!("/proc/{}/cwd", caller.thread), PATH_ONLY, Mode::empty())?
    } else {
        caller.descriptor(u64::from(directory.cast_unsigned()))?
    };
    let flags = if follow { PATH_ONLY } else { PATH_ONLY | OFlags::NOFOLLOW };
    // `/proc/self/fd` would be ours, not the caller's.
    let found =
        rustix::fs::openat2(&base, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)?;
    inside(found, roots)
}

/// Passes on what lies in one of the box's folders.
fn inside(file: OwnedFd, roots: &[PathBuf]) -> Result<OwnedFd, Errno> {
    let link = rustix::fs::readlinkat(CWD, name_of(&file), Vec::new())?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(link.into_bytes()));
    if roots.iter().any(|root| path.starts_with(root)) { Ok(file) } else { Err(Errno::PERM) }
}

fn name_of(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", sys::number(file))
}

fn mode(file: &OwnedFd, wanted: u64) -> Result<(), Errno> {
    let wanted = u32::try_from(wanted & 0o7777).map_err(|_| Errno::INVAL)?;
    if wanted & 0o6000 != 0 {
        return Err(Errno::PERM);
    }
    if is_link(file)? {
        return Err(Errno::OPNOTSUPP);
    }
    rustix::fs::chmodat(CWD, name_of(file), Mode::from_raw_mode(wanted), AtFlags::empty())
}

fn times(file: &OwnedFd, wanted: &Timestamps) -> Result<(), Errno> {
    if is_link(file)? {
        return rustix::fs::utimensat(file, c"", wanted, AtFlags::EMPTY_PATH);
    }
    rustix::fs::utimensat(CWD, name_of(file), wanted, AtFlags::empty())
}

fn is_link(file: &OwnedFd) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(file.as_fd())?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// The box has one user: giving a file to that one changes nothing, to another one is refused.
fn owner(wanted: [u64; 2], (uid, gid): (u32, u32)) -> Result<(), Errno> {
    let fits = |wanted: u64, own: u32| {
        let wanted = u32::try_from(wanted & 0xffff_ffff).unwrap_or(0);
        wanted == u32::MAX || wanted == own
    };
    let [wanted_uid, wanted_gid] = wanted;
    if fits(wanted_uid, uid) && fits(wanted_gid, gid) { Ok(()) } else { Err(Errno::PERM) }
}

/// Reads a path of the caller's, page by page: what follows it may not be mapped.
fn path_at(caller: &Caller, address: u64) -> Result<Vec<u8>, Errno> {
    let mut path = Vec::new();
    while path.len() < MOST_PATH {
        let at = address.checked_add(path.len() as u64).ok_or(Errno::FAULT)?;
        let left = usize::try_from(PAGE - at % PAGE).map_err(|_| Errno::FAULT)?;
        let mut chunk = vec![0; left];
        let read = sys::read_memory(caller.thread, at, &mut chunk)?;
        let chunk = chunk.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            return Err(Errno::FAULT);
        }
        if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
            path.extend_from_slice(chunk.get(..end).unwrap_or_default());
            return if path.is_empty() { Err(Errno::NOENT) } else { Ok(path) };
        }
        path.extend_from_slice(chunk);
    }
    Err(Errno::NAMETOOLONG)
}

fn nanoseconds(caller: &Caller, address: u64) -> Result<Timestamps, Errno> {
    if address == 0 {
        return Ok(NOW);
    }
    let [a, b, c, d] = words(caller.memory::<32>(address)?);
    Ok(stamps([a, b], [c, d]))
}

#[cfg(target_arch = "x86_64")]
fn microseconds(caller: &Caller, address: u64) -> Result<Timestamps, Errno> {
    if address == 0 {
        return Ok(NOW);
    }
    let [a, b, c, d] = words(caller.memory::<32>(address)?);
    let nanos = |micros: i64| {
        if (0..1_000_000).contains(&micros) { Ok(micros * 1000) } else { Err(Errno::INVAL) }
    };
    Ok(stamps([a, nanos(b)?], [c, nanos(d)?]))
}

#[cfg(target_arch = "x86_64")]
fn seconds(caller: &Caller, address: u64) -> Result<Timestamps, Errno> {
    if address == 0 {
        return Ok(NOW);
    }
    let [a, b] = words(caller.memory::<16>(address)?);
    Ok(stamps([a, 0], [b, 0]))
}

fn words<const N: usize, const W: usize>(bytes: [u8; N]) -> [i64; W] {
    let mut words = [0; W];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = i64::from_ne_bytes(*bytes);
    }
    words
}

fn stamps([access_s, access_ns]: [i64; 2], [change_s, change_ns]: [i64; 2]) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: access_s, tv_nsec: access_ns },
        last_modification: Timespec { tv_sec: change_s, tv_nsec: change_ns },
    }
}

fn directory_number(argument: u64) -> i32 {
    u32::try_from(argument & 0xffff_ffff).unwrap_or(u32::MAX).cast_signed()
}

const NOW: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
    last_modification: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
};
const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
const NOFOLLOW: u64 = 0x100;
const EMPTY_PATH: u64 = 0x1000;
#[cfg(target_arch = "x86_64")]
const HERE: u64 = 0xffff_ff9c;
const PAGE: u64 = 4096;
const MOST_PATH: usize = 4096;
