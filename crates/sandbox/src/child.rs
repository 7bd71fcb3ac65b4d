//! How does a freshly cloned process turn itself into the box, act by act, and then keep it?
//!
//! The clone copies one thread of a process that has many, so whatever lock another thread held stays locked here for
//! ever. INVARIANT: until the exec, nothing here allocates, frees, panics or takes a lock. It reads what the supervisor
//! laid out before the clone and makes system calls.
mod mounting;

use crate::op::{Bind, Listen, Netlink, Op, Source, Subsystem, Tag, When};
use crate::reaper;
use crate::sockets;
use crate::sys::{self, Image, Side};
use crate::wire::{MAX_DESCRIPTORS, Message};
pub(crate) use mounting::open_tree;
use mounting::{CLONE_TREE, make_file, mask, mount_new, pivot, place, stage, tmpfs};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, IoSlice};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{DumpableBehavior, Rlimit, Signal};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, LinkNameSpaceType};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// What the supervisor laid out before the clone.
pub(crate) struct Setup<'a> {
    pub(crate) ops: &'a [Op],
    /// For each act, the number of a mount tree that the supervisor opened for it, or -1.
    pub(crate) trees: &'a [RawFd],
    /// Files that lead into the box's control groups.
    pub(crate) entrances: &'a [RawFd],
    /// Our end of the socket pair.
    pub(crate) socket: RawFd,
    /// Every descriptor to keep, in rising order, none below 3.
    pub(crate) keep: &'a [RawFd],
    /// The box's ends of its standard streams; -1 stands for the terminal.
    pub(crate) stdio: [RawFd; 3],
    pub(crate) image: &'a Image,
    pub(crate) program: &'a CStr,
    pub(crate) cwd: &'a CStr,
    pub(crate) wall: Option<Duration>,
}

/// How a box's first process came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    /// It was cloned into its control group.
    InGroup,
    /// It was cloned, and goes into its control group itself.
    Outside,
    /// It was made by a process that went into the box around, and is silent until the supervisor knows of it: two
    /// speak on one socket, and what they say must not change places.
    Within,
}

/// Becomes pid 1 of the box.
pub(crate) fn run(setup: &Setup<'_>, birth: Birth) -> ! {
    sys::default_signals();
    let socket = sys::inherited(setup.socket);
    let mut builder = Builder::new(setup, socket, birth == Birth::InGroup);
    let wait = || if birth == Birth::Within { hear_go(socket) } else { Ok(()) };
    if let Err(errno) = begin(setup).and_then(|()| wait()) {
        say(socket, Message::Fault { step: u32::MAX, errno: errno.raw_os_error() });
        sys::exit(1);
    }
    for (step, op) in (0..).zip(setup.ops) {
        if let Err(errno) = builder.act(step, op) {
            say(socket, Message::Fault { step, errno: errno.raw_os_error() });
            sys::exit(1);
        }
    }
    let slave = builder.slave.as_ref().map(AsFd::as_fd);
    match start(setup, slave) {
        Ok(program) => {
            drop(builder.slave.take());
            reaper::keep(setup.socket, program, setup.wall)
        }
        Err(errno) => {
            say(socket, Message::ExecFault { errno: errno.raw_os_error() });
            sys::exit(1)
        }
    }
}

/// Goes into a box's namespaces, makes the first process of a narrower box there, tells the supervisor of it, and ends.
pub(crate) fn enter(setup: &Setup<'_>, user: RawFd, mounts: RawFd) -> ! {
    sys::default_signals();
    let socket = sys::inherited(setup.socket);
    let enter =
        |fd, kind| rustix::thread::move_into_link_name_space(sys::inherited(fd), Some(kind));
    let made = enter(user, LinkNameSpaceType::User)
        .and_then(|()| enter(mounts, LinkNameSpaceType::Mount))
        .and_then(|()| sys::clone_beside(INNER_NAMESPACES));
    let told = match made {
        Ok(Side::Child) => run(setup, Birth::Within),
        Ok(Side::Parent { pid, pidfd }) => tell_process(socket, pid, pidfd.as_fd()),
        Err(errno) => Err(errno),
    };
    match told {
        Ok(()) => sys::exit(0),
        Err(errno) => {
            say(socket, Message::Fault { step: ENTERING, errno: errno.raw_os_error() });
            sys::exit(1)
        }
    }
}

fn tell_process(socket: BorrowedFd<'_>, pid: i32, pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    let sent = [pidfd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sent)) {
        return Err(Errno::MSGSIZE);
    }
    let message = Message::Made { pid }.encode();
    let slices = [IoSlice::new(&message)];
    rustix::net::sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Leaves every descriptor of the supervisor behind.
fn begin(setup: &Setup<'_>) -> Result<(), Errno> {
    // The supervisor cannot be dumped, and an ordinary user's process that cannot has a `/proc/self` that is root's: it
    // could not map its own user. `bind_life` takes it back.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let mut first = 3_u32;
    for &kept in setup.keep {
        let kept = kept.cast_unsigned();
        if kept > first {
            sys::close_range(first, kept - 1)?;
        }
        first = kept + 1;
    }
    sys::close_range(first, u32::MAX)?;
    // Keeps 0 to 2 taken, so that nothing opened later lands there, and the caller's terminal out.
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// Waits for the supervisor's word that it has mapped our user, or knows of us.
fn hear_go(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut go = [0_u8; 1];
    match rustix::net::recv(socket, &mut go, RecvFlags::empty())?.0 {
        0 => Err(Errno::CONNRESET),
        _ => Ok(()),
    }
}

/// Starts the program and returns its number once it has been executed.
fn start(setup: &Setup<'_>, slave: Option<BorrowedFd<'_>>) -> Result<i32, Errno> {
    let mut stack: sys::Stack = [MaybeUninit::uninit(); _];
    let mut failed = None;
    let program = sys::fork_to_exec(&mut stack, || {
        failed = Some(execute(setup, slave));
        127
    })?;
    failed.map_or(Ok(program), Err)
}

/// Becomes the program; returns why not.
fn execute(setup: &Setup<'_>, slave: Option<BorrowedFd<'_>>) -> Errno {
    match prepare(setup, slave) {
        Ok(()) => setup.image.exec(setup.program),
        Err(errno) => errno,
    }
}

fn prepare(setup: &Setup<'_>, slave: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    rustix::process::setsid()?;
    if let Some(slave) = slave {
        rustix::process::ioctl_tiocsctty(slave)?;
    }
    let [stdin, stdout, stderr] = setup.stdio;
    let end = |fd: RawFd| if fd < 0 { slave } else { Some(sys::inherited(fd)) };
    rustix::stdio::dup2_stdin(end(stdin).ok_or(Errno::BADF)?)?;
    rustix::stdio::dup2_stdout(end(stdout).ok_or(Errno::BADF)?)?;
    rustix::stdio::dup2_stderr(end(stderr).ok_or(Errno::BADF)?)?;
    sys::close_range_on_exec(3)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir(setup.cwd)?;
    sys::unblock_signals();
    Ok(())
}

/// Tells the supervisor; there is nobody else to tell when that fails.
pub(crate) fn say(socket: BorrowedFd<'_>, message: Message) {
    rustix::net::send(socket, &message.encode(), SendFlags::NOSIGNAL).ok();
}

/// The acts, and what they leave for later ones.
struct Builder<'a> {
    trees: &'a [RawFd],
    entrances: &'a [RawFd],
    socket: BorrowedFd<'a>,
    root: Option<OwnedFd>,
    slave: Option<OwnedFd>,
    redirect: bool,
    handed: [Option<OwnedFd>; MAX_DESCRIPTORS],
    tags: [u8; MAX_DESCRIPTORS],
}

impl<'a> Builder<'a> {
    fn new(setup: &Setup<'a>, socket: BorrowedFd<'a>, entered: bool) -> Self {
        Self {
            trees: setup.trees,
            entrances: if entered { &[] } else { setup.entrances },
            socket,
            root: None,
            slave: None,
            redirect: true,
            handed: [const { None }; MAX_DESCRIPTORS],
            tags: [0; MAX_DESCRIPTORS],
        }
    }

    fn act(&mut self, step: u32, op: &Op) -> Result<(), Errno> {
        match op {
            Op::OfferToOom => {
                // Where it may not be written, the host's own choice stands.
                write_file(c"/proc/self/oom_score_adj", b"500").ok();
                Ok(())
            }
            Op::MapSelf { uid_map, gid_map } => map_self(uid_map, gid_map),
            Op::Become { uid, gid } => hear_go(self.socket).and_then(|()| become_user(*uid, *gid)),
            Op::BecomeMapped { uid, gid } => become_user(*uid, *gid),
            Op::BindLife => bind_life(),
            Op::HostName(name) => rustix::system::sethostname(name.to_bytes()),
            Op::Netlink(request) => self.netlink(request),
            Op::Listen(listen) => self.listen(listen),
            Op::Terminal { rows, cols } => self.terminal(*rows, *cols),
            Op::SessionKeyring => sys::new_session_keyring().or_else(|errno| match errno {
                // A kernel without keyrings has none to share.
                Errno::NOSYS => Ok(()),
                errno => Err(errno),
            }),
            Op::Limit { resource, value, .. } => limit(*resource, *value),
            Op::HandOver => self.hand_over(),
            Op::EnterGroups => {
                for entrance in self.entrances {
                    rustix::io::write(sys::inherited(*entrance), b"0")?;
                }
                sys::new_cgroup_namespace()
            }
            Op::NoNewPrivileges => rustix::thread::set_no_new_privs(true),
            Op::Landlock { rights, scoped, rules } => {
                let ruleset = sys::landlock_ruleset(*rights, 0, *scoped)?;
                for rule in rules {
                    let parent = rustix::fs::open(rule.path.as_c_str(), PATH_ONLY, Mode::empty())?;
                    sys::landlock_allow(ruleset.as_fd(), parent.as_fd(), rule.rights)?;
                }
                sys::landlock_restrict(ruleset.as_fd())
            }
            Op::DropCapabilities => drop_capabilities(),
            Op::Filter(program) => sys::seccomp(program),
            mounting => self.mount(step, mounting),
        }
    }

    fn mount(&mut self, step: u32, op: &Op) -> Result<(), Errno> {
        match op {
            Op::PrivateMounts => rustix::mount::mount_change(
                c"/",
                rustix::mount::MountPropagationFlags::PRIVATE
                    | rustix::mount::MountPropagationFlags::REC,
            ),
            Op::Stage { options } => stage(options),
            Op::NewRoot { options } => self.new_root(options),
            Op::Dir { path, mode } => {
                rustix::fs::mkdir(path.as_c_str(), Mode::from_raw_mode(*mode))
            }
            Op::File { path, contents, mode } => make_file(path, contents, *mode),
            Op::Link { path, target } => rustix::fs::symlink(target.as_c_str(), path.as_c_str()),
            Op::Bind(bind) => self.bind(step, bind),
            Op::Mask { path, with } => mask(path, with),
            Op::NoUserNamespaces => write_file(c"proc/sys/user/max_user_namespaces", b"0"),
            Op::UserLimit { path, value } => match write_file(path, value) {
                // A kernel that has no such thing counts none.
                Err(Errno::NOENT) => Ok(()),
                written => written,
            },
            Op::ReadOnly { path } => {
                let at = rustix::fs::open(path.as_c_str(), PATH_ONLY, Mode::empty())?;
                sys::mount_attributes(at.as_fd(), false, crate::op::RDONLY, None)
            }
            Op::HoldUpper { path } => self.hand_directory(Tag::Upper, path),
            Op::HoldHome { path } => self.hand_directory(Tag::Home, path),
            Op::HoldNamespaces => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let user = rustix::fs::open(c"/proc/self/ns/user", flags, Mode::empty())?;
                self.hand(Tag::UserNamespace, user)?;
                let mounts = rustix::fs::open(c"/proc/self/ns/mnt", flags, Mode::empty())?;
                self.hand(Tag::MountNamespace, mounts)
            }
            Op::SealRoot => {
                let root = self.root.take().ok_or(Errno::BADF)?;
                sys::mount_attributes(root.as_fd(), false, crate::op::RDONLY, None)
            }
            Op::Pivot => pivot(),
            new => mount_new(new),
        }
    }

    fn new_root(&mut self, options: &CStr) -> Result<(), Errno> {
        rustix::fs::mkdir(c"root", Mode::from_raw_mode(0o755))?;
        tmpfs(c"root", options)?;
        let root = rustix::fs::open(c"root", PATH_ONLY | OFlags::DIRECTORY, Mode::empty())?;
        rustix::process::fchdir(&root)?;
        self.root = Some(root);
        Ok(())
    }

    fn bind(&self, step: u32, bind: &Bind) -> Result<(), Errno> {
        let path = bind.path.as_c_str();
        let given = usize::try_from(step).ok().and_then(|step| self.trees.get(step)).copied();
        let tree = match (given, &bind.source) {
            (Some(tree), _) if tree >= 0 => return place(sys::inherited(tree), path),
            (_, Source::Host { path, identity, .. }) => open_tree(path, *identity)?,
            (_, Source::Inside(path)) => {
                rustix::mount::open_tree(CWD, path.as_c_str(), CLONE_TREE)?
            }
        };
        sys::mount_attributes(tree.as_fd(), true, bind.attributes, None)?;
        place(tree.as_fd(), path)
    }

    fn netlink(&mut self, request: &Netlink) -> Result<(), Errno> {
        match (sockets::converse(request), request.to) {
            (Ok(()), _) | (Err(_), Subsystem::RouteV6) => Ok(()),
            (Err(_), Subsystem::Filter) => {
                self.redirect = false;
                Ok(())
            }
            (Err(errno), Subsystem::Loopback | Subsystem::Route) => Err(errno),
        }
    }

    fn listen(&mut self, listen: &Listen) -> Result<(), Errno> {
        if listen.when == When::WithoutRedirect && self.redirect {
            return Ok(());
        }
        match sockets::open_listener(listen) {
            Ok(socket) => self.hand(listen.tag, socket),
            // A network without IPv6 reaches nothing by IPv6.
            Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) if listen.address.is_ipv6() => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn terminal(&mut self, rows: u16, cols: u16) -> Result<(), Errno> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::fs::open(c"dev/pts/ptmx", flags, Mode::empty())?;
        rustix::pty::unlockpt(&master)?;
        let flags = rustix::pty::OpenptFlags::RDWR
            | rustix::pty::OpenptFlags::NOCTTY
            | rustix::pty::OpenptFlags::CLOEXEC;
        self.slave = Some(rustix::pty::ioctl_tiocgptpeer(&master, flags)?);
        let size =
            rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size)?;
        self.hand(Tag::Terminal, master)
    }

    fn hand_directory(&mut self, tag: Tag, path: &CStr) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        self.hand(tag, directory)
    }

    fn hand(&mut self, tag: Tag, fd: OwnedFd) -> Result<(), Errno> {
        let mut free =
            self.handed.iter_mut().zip(&mut self.tags).filter(|(slot, _)| slot.is_none());
        let (slot, place) = free.next().ok_or(Errno::MFILE)?;
        *slot = Some(fd);
        *place = tag as u8;
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Errno> {
        // Unused slots repeat the socket itself; only the first ones, up to the count, are sent.
        let mut fds = [self.socket; MAX_DESCRIPTORS];
        let held = self.handed.iter().map_while(Option::as_ref);
        let count = fds.iter_mut().zip(held).map(|(slot, fd)| *slot = fd.as_fd()).count();
        let sent = fds.get(..count).ok_or(Errno::MFILE)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if count > 0 && !control.push(SendAncillaryMessage::ScmRights(sent)) {
            return Err(Errno::MSGSIZE);
        }
        let message = Message::Descriptors { tags: self.tags, redirect: self.redirect }.encode();
        rustix::net::sendmsg(
            self.socket,
            &[IoSlice::new(&message)],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        for slot in &mut self.handed {
            drop(slot.take());
        }
        Ok(())
    }
}

fn map_self(uid_map: &[u8], gid_map: &[u8]) -> Result<(), Errno> {
    write_file(c"/proc/self/setgroups", b"deny")?;
    write_file(c"/proc/self/uid_map", uid_map)?;
    write_file(c"/proc/self/gid_map", gid_map)
}

fn become_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let gid = rustix::process::Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = rustix::process::Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn bind_life() -> Result<(), Errno> {
    // After the change of user, which clears it. The socket closing is the other sign of the supervisor's death.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

fn write_file(path: &CStr, contents: &[u8]) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = rustix::io::write(&file, contents)?;
    if written == contents.len() { Ok(()) } else { Err(Errno::IO) }
}

pub(crate) fn limit(resource: crate::op::Resource, value: u64) -> Result<(), Errno> {
    let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(hard));
    rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })
}

fn drop_capabilities() -> Result<(), Errno> {
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(locked)?;
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    let none = CapabilitySet::empty();
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    let left = rustix::thread::capabilities(None)?;
    if (left.effective | left.permitted | left.inheritable).is_empty() {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

pub(crate) const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// The step that is told when a box's namespaces could not be entered.
pub(crate) const ENTERING: u32 = u32::MAX - 1;
/// All but the user namespace, which is that of the box around; the cgroup namespace comes once the groups are entered.
const INNER_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;
