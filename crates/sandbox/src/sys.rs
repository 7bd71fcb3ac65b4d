//! Which kernel calls have no safe wrapper, and why is each use of them sound?
//!
//! Everything here is callable between a raw clone of a multi-threaded process and the exec that follows: nothing
//! allocates, takes a lock or reads what another thread may have left half-written, except where a comment says that
//! it is the supervisor's side.
#![expect(
    unsafe_code,
    reason = "the one module that talks to the kernel without a wrapper; SAFETY on each block"
)]
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Which side of a clone one is on.
pub(crate) enum Side {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Clones this process into new namespaces; the child starts in `cgroup` when one is given.
pub(crate) fn clone_into(namespaces: i32, cgroup: Option<BorrowedFd<'_>>) -> Result<Side, Errno> {
    let into = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    clone3(u64::from(namespaces.cast_unsigned()) | into, libc::SIGCHLD as u64, cgroup)
}

/// Clones this process into new namespaces, as a child of its own parent.
pub(crate) fn clone_beside(namespaces: i32) -> Result<Side, Errno> {
    // The signal at its end is that of this process, and may not be named.
    clone3(u64::from((namespaces | libc::CLONE_PARENT).cast_unsigned()), 0, None)
}

fn clone3(flags: u64, exit_signal: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Side, Errno> {
    let mut pidfd: RawFd = -1;
    let args = CloneArgs {
        flags: flags | CLONE_PIDFD,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal,
        cgroup: cgroup.map_or(0, |fd| u64::from(fd.as_raw_fd().cast_unsigned())),
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a valid clone_args of the size given, without CLONE_VM, CLONE_SETTLS or a stack, so the child
    // goes on here with a copy of this memory; the kernel writes one int through `pidfd`, which outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match checked(pid)? {
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: the kernel has just put a new descriptor there that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent { pid: i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?, pidfd })
        }
    }
}

/// The stack of a process that has not executed its program yet.
pub(crate) type Stack = [MaybeUninit<u8>; 16 << 10];

/// Runs `body` in a new process within these namespaces. It borrows this process's memory, which is not copied, while
/// this one stands still until the new one has executed a program or ended with what `body` returns; tells its number.
pub(crate) fn fork_to_exec<F: FnMut() -> i32>(
    stack: &mut Stack,
    mut body: F,
) -> Result<i32, Errno> {
    extern "C" fn enter<F: FnMut() -> i32>(body: *mut libc::c_void) -> i32 {
        // SAFETY: `clone` passes on the pointer given to it below, to a value that this stopped process keeps and that
        // nobody else uses meanwhile.
        let body = unsafe { &mut *body.cast::<F>() };
        body()
    }
    // Stacks grow downwards from here.
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_sub(top.addr() % 16).cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: with CLONE_VFORK this process does not go on before the other has left this memory, so stack and body are
    // used by one at a time; the stack is 16 KiB, of which a few system calls use little; `enter` fits `body`'s type.
    let pid = unsafe { libc::clone(enter::<F>, top, flags, (&raw mut body).cast()) };
    checked(i64::from(pid)).map(|_| pid)
}

/// Ends this process at once, running nothing of the program's own.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes any integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Makes the control groups this process is in the root of those it sees.
pub(crate) fn new_cgroup_namespace() -> Result<(), Errno> {
    // SAFETY: only the cgroup namespace changes; no descriptor, memory or other thread is touched.
    checked(i64::from(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) })).map(drop)
}

/// A program ready to be executed: arguments and environment laid out before the clone.
pub(crate) struct Image {
    _strings: (Vec<CString>, Vec<CString>),
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
}

impl Image {
    /// Lays out the vectors (supervisor's side: allocates).
    pub(crate) fn new(argv: Vec<CString>, envp: Vec<CString>) -> Self {
        let pointers = |strings: &[CString]| {
            strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        Self { argv: pointers(&argv), envp: pointers(&envp), _strings: (argv, envp) }
    }

    /// Becomes the program; returns only the reason why not.
    pub(crate) fn exec(&self, program: &CStr) -> Errno {
        // SAFETY: both vectors end in a null pointer and point into `_strings`, which lives as long as `self`.
        unsafe { libc::execve(program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        last()
    }
}

/// A descriptor number that was open before a clone and stays open in the child.
pub(crate) fn inherited(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: callers pass numbers of descriptors that the supervisor holds open across the clone and that the child
    // never closes before its exec or exit, so the number stays valid for the child's whole life; -1 is never passed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Closes every descriptor from `first` to `last`, both included.
pub(crate) fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: only called in a cloned child, for numbers that no value used afterwards owns.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Makes every descriptor from `first` on close at exec.
pub(crate) fn close_range_on_exec(first: u32) -> Result<(), Errno> {
    // SAFETY: only sets a flag on descriptors.
    checked(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
    .map(drop)
}

/// Sets mount attributes on the mount at `fd`, and below it when `recursive`.
pub(crate) fn mount_attributes(
    fd: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    userns: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let attributes = MountAttr {
        set: set | if userns.is_some() { MOUNT_ATTR_IDMAP } else { 0 },
        clear: 0,
        propagation: 0,
        userns: userns.map_or(0, |fd| u64::from(fd.as_raw_fd().cast_unsigned())),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string and `attributes` a valid mount_attr of the size given.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// The Landlock version of this kernel; 0 when it has none.
pub(crate) fn landlock_abi() -> i32 {
    // SAFETY: a null attribute with size 0 and the VERSION flag is the documented way to ask.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<u8>(),
            0_usize,
            LANDLOCK_VERSION,
        )
    };
    i32::try_from(abi.max(0)).unwrap_or(0)
}

/// A new ruleset that handles these rights and scopes; what a kernel of `abi` does not know must be left out by the caller.
pub(crate) fn landlock_ruleset(rights: u64, net: u64, scoped: u64) -> Result<OwnedFd, Errno> {
    let attributes = LandlockRuleset { rights, net, scoped };
    // Kernels before ABI 6 know a shorter structure, and accept a longer one only when the rest is zero, which it is then.
    // SAFETY: a valid landlock_ruleset_attr of the size given.
    let fd = checked(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<LandlockRuleset>(),
            0,
        )
    })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just returned this new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Allows `rights` below `parent`.
pub(crate) fn landlock_allow(
    ruleset: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    rights: u64,
) -> Result<(), Errno> {
    let rule = LandlockBeneath { rights, parent: parent.as_raw_fd() };
    // SAFETY: a valid, packed landlock_path_beneath_attr; rule type 1 says that it is one.
    checked(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), 1, &raw const rule, 0)
    })
    .map(drop)
}

/// Puts this thread, and all it starts, under `ruleset`.
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes a descriptor and flags only.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })
        .map(drop)
}

/// Installs a system-call filter on this thread and all it starts.
pub(crate) fn seccomp(filter: &[libc::sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from `filter`, which is that long, and does not write to it.
    checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })
    .map(drop)
}

/// Installs a filter on this thread and all it starts, and returns where the calls that it asks about are heard.
pub(crate) fn seccomp_asking(filter: &[libc::sock_filter]) -> Result<OwnedFd, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?,
        filter: filter.as_ptr().cast_mut(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the kernel copies `len` instructions from `filter`, which is that long, and does not write to it.
        checked(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        })
    };
    // Where the kernel can (5.19), a signal does not break off a call that has been heard: it would be made twice.
    let steady =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let fd = match install(steady) {
        Err(Errno::INVAL) => install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?,
        answer => answer?,
    };
    let fd = RawFd::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just returned this new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A call that a filter asks about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) id: u64,
    /// The thread that makes the call.
    pub(crate) thread: i32,
    pub(crate) call: libc::c_long,
    pub(crate) arguments: [u64; 6],
}

/// The next question (supervisor's side). Blocks until there is one.
pub(crate) fn hear_question(listener: BorrowedFd<'_>) -> Result<Question, Errno> {
    // SAFETY: all-zero bytes are a valid seccomp_notif.
    let mut heard: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request carries the size of this very structure, which the kernel fills; one that has grown answers
    // EINVAL or ENOTTY instead.
    checked(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut heard)
    }))?;
    Ok(Question {
        id: heard.id,
        thread: heard.pid.cast_signed(),
        call: libc::c_long::from(heard.data.nr),
        arguments: heard.data.args,
    })
}

/// Answers a question with what the call shall return. The call itself is never let through: what a pointer leads to can
/// change after it was looked at.
pub(crate) fn answer_question(
    listener: BorrowedFd<'_>,
    id: u64,
    answer: Result<(), Errno>,
) -> Result<(), Errno> {
    let error = answer.map_or_else(|errno| -errno.raw_os_error(), |()| 0);
    let answer = libc::seccomp_notif_resp { id, val: 0, error, flags: 0 };
    // SAFETY: the request carries the size of this very structure, which the kernel only reads.
    checked(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer)
    }))
    .map(drop)
}

/// Whether the thread that asked still waits, so that its number is still its own.
pub(crate) fn still_asks(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    let answer = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    answer == 0
}

/// Reads another process's memory (supervisor's side), as far as it is there; returns how much.
pub(crate) fn read_memory(thread: i32, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote =
        libc::iovec { iov_base: ptr::without_provenance_mut(address), iov_len: into.len() };
    // SAFETY: the kernel writes at most `into.len()` bytes to `into`; the remote address is the other process's.
    let read =
        unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(checked(i64::try_from(read).unwrap_or(-1))?).map_err(|_| Errno::FAULT)
}

/// Copies this process without any new namespace. Plain `clone`: a host that refuses namespaces often refuses `clone3`.
pub(crate) fn clone_plain() -> Result<Side, Errno> {
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with a null stack the child goes on here with a copy of this memory; the kernel writes
    // one int through the third argument, which outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    match checked(pid)? {
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: the kernel has just put a new descriptor there that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent { pid: i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?, pidfd })
        }
    }
}

/// Copies this process within its namespaces, as `fork` does; `None` in the copy.
pub(crate) fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: without CLONE_VM and with a null stack the child goes on here with a copy of this memory.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match checked(pid)? {
        0 => Ok(None),
        pid => Ok(Some(i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?)),
    }
}

/// A descriptor that becomes readable when a child has changed state or this process is told to end; both signals must be
/// blocked.
pub(crate) fn end_signals() -> Result<OwnedFd, Errno> {
    let mut set = only(libc::SIGCHLD);
    // SAFETY: the set is whole and the signal a valid number.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGTERM) };
    // SAFETY: `set` is a whole, initialised set.
    let fd = checked(i64::from(unsafe {
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    }))?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just returned this new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// In the keeper of a box with a user of its own: ends every other process of that user.
pub(crate) fn kill_user() {
    // SAFETY: sends a signal; the caller has become the box's own user, so -1 reaches that user's processes only.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Joins a new, empty session keyring.
pub(crate) fn new_session_keyring() -> Result<(), Errno> {
    // SAFETY: operation 1 (JOIN_SESSION_KEYRING) with a null name makes an anonymous keyring.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, 1, ptr::null::<u8>(), 0, 0, 0) }).map(drop)
}

/// A descriptor that becomes readable when a child has changed state; SIGCHLD must be blocked.
pub(crate) fn child_signals() -> Result<OwnedFd, Errno> {
    let set = only(libc::SIGCHLD);
    // SAFETY: `set` is a whole, initialised set.
    let fd = checked(i64::from(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) }))?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just returned this new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Signals kept from this thread until dropped.
pub(crate) struct Blocked(libc::sigset_t);

/// Keeps every signal from this thread, so that no handler of the supervisor ever runs in a cloned child.
pub(crate) fn block_signals() -> Blocked {
    let mut before = empty();
    let mut all = empty();
    // SAFETY: writes one whole signal set.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are valid; the call cannot fail with SIG_SETMASK.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    Blocked(before)
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: restores the mask that `block_signals` read.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// In a cloned child: forgets every signal handler of the supervisor. The mask stays as it is.
pub(crate) fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is valid for every signal; the calls that cannot succeed (KILL, STOP, libc's own) change nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// In a cloned child: lets every signal through.
pub(crate) fn unblock_signals() {
    let none = empty();
    // SAFETY: an empty set, whole and initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// In pid 1 of a box: ends every other process of the box. Does nothing in any other process, where -1 would mean every
/// process of the host that may be signalled.
pub(crate) fn kill_all() {
    if rustix::process::getpid().is_init() {
        // SAFETY: sends a signal; as pid 1 of a namespace, -1 means the processes of that namespace.
        unsafe { libc::kill(-1, libc::SIGKILL) };
    }
}

/// What the box's processes used, told when the last of them is gone.
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Exit code of pid 1, or the negative of the signal that ended it.
    pub(crate) status: i32,
}

/// Takes the end of the process behind `pidfd` from the kernel (supervisor's side). Blocks until there is one.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Result<Usage, Errno> {
    // SAFETY: all-zero bytes are a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both structures are valid for writing.
    let waited = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            &raw mut info,
            libc::WEXITED,
            &raw mut usage,
        )
    };
    checked(waited)?;
    // SAFETY: waitid with WEXITED has filled the SIGCHLD part of the union.
    let status = unsafe { info.si_status() };
    let seconds = usage.ru_utime.tv_sec.saturating_add(usage.ru_stime.tv_sec);
    let micros = usage.ru_utime.tv_usec.saturating_add(usage.ru_stime.tv_usec);
    let cpu = Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        .saturating_add(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
    Ok(Usage { cpu, status: if info.si_code == libc::CLD_EXITED { status } else { -status } })
}

/// In the reaper: gives back all anonymous memory copied from the supervisor, which may hold secrets, except what this
/// code stands on. Each pair is the first and one-past-last address of a mapping found in `/proc/self/maps`.
pub(crate) fn forget(start: usize, end: usize) -> Result<(), Errno> {
    // SAFETY: the caller passes private anonymous mappings that hold neither this stack, its thread-local block, nor any
    // data that code of the reaper reads afterwards; DONTNEED leaves the mapping there, zero-filled.
    checked(i64::from(unsafe {
        libc::madvise(
            ptr::with_exposed_provenance_mut(start),
            end.saturating_sub(start),
            libc::MADV_DONTNEED,
        )
    }))
    .map(drop)
}

/// An address in this thread's stack and one in its thread-local block.
pub(crate) fn standing_on() -> (usize, usize) {
    let here = 0_u8;
    // SAFETY: returns a pointer into the thread-local block and touches nothing.
    let local = unsafe { libc::__errno_location() };
    ((&raw const here).addr(), local.addr())
}

fn empty() -> libc::sigset_t {
    // SAFETY: all-zero bytes are the empty set on Linux.
    unsafe { std::mem::zeroed() }
}

fn only(signal: i32) -> libc::sigset_t {
    let mut set = empty();
    // SAFETY: the set is whole and the signal a valid number.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    set
}

fn checked(result: i64) -> Result<i64, Errno> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

fn last() -> Errno {
    // SAFETY: returns a pointer into the thread-local block and touches nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the errno of this thread is always readable.
    Errno::from_raw_os_error(unsafe { *errno })
}

/// A borrowed descriptor's number, for tables laid out before a clone.
pub(crate) fn number(fd: impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

#[repr(C)]
struct LandlockRuleset {
    rights: u64,
    net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct LandlockBeneath {
    rights: u64,
    parent: i32,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const LANDLOCK_VERSION: u32 = 1;
