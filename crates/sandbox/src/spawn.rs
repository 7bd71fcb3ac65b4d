//! How does a plan become a running box?
//!
//! One thread, which lives as long as the process, makes every clone: the kernel ends a box when the *thread* that cloned it
//! ends, and threads of a runtime come and go.
mod refusal;

use crate::child::{self, Birth, Setup};
use crate::error::{Mechanism, SpawnError};
use crate::interpreter::not_executed;
use crate::linux::cgroup::Groups;
use crate::op::{Bind, Op, Source, Tag};
use crate::plan::Plan;
use crate::planted::Top;
use crate::running::{Capture, Foothold, Life, Running, StdioEnds};
use crate::spec::Stream;
use crate::status;
use crate::sys::{self, Image, Side};
use crate::wire::{LENGTH, MAX_DESCRIPTORS, Message};
use refusal::{fault, refused};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType,
};
use rustix::pipe::PipeFlags;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Starts the box. Returns once the program has been executed, or with nothing left running.
pub fn spawn(plan: &Plan) -> Result<Running, SpawnError> {
    ask(plan, None)
}

/// Starts a box planned by [`Plan::within`] in the view that `foothold` leads to, on these standard streams. It does not end
/// with the box around it: whoever holds both ends it first.
pub fn spawn_within(
    plan: &Plan,
    foothold: &Foothold,
    streams: [OwnedFd; 3],
) -> Result<Running, SpawnError> {
    let foothold = supervisor("copying a descriptor", foothold.try_clone())?;
    ask(plan, Some(Around { foothold, streams }))
}

/// Where a box within another is made, and what its program reads and writes.
struct Around {
    foothold: Foothold,
    streams: [OwnedFd; 3],
}

fn ask(plan: &Plan, around: Option<Around>) -> Result<Running, SpawnError> {
    static CLONER: OnceLock<Result<Sender<Job>, io::ErrorKind>> = OnceLock::new();
    let lost = |what| move |source| SpawnError::Supervisor { what, source };
    let cloner = CLONER
        .get_or_init(|| start_cloner().map_err(|e| e.kind()))
        .as_ref()
        .map_err(|kind| lost("starting the thread that makes boxes")((*kind).into()))?;
    let (answer, reply) = channel();
    let gone = || lost("asking the thread that makes boxes")(io::ErrorKind::BrokenPipe.into());
    cloner.send(Job { plan: plan.clone(), around, answer }).map_err(|_| gone())?;
    reply.recv().map_err(|_| gone())?
}

struct Job {
    plan: Plan,
    around: Option<Around>,
    answer: Sender<Result<Running, SpawnError>>,
}

fn start_cloner() -> io::Result<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    std::thread::Builder::new().name("bartizan-boxes".into()).spawn(move || {
        // This thread's groups, and no other's: a box made by root must not carry root's supplementary groups. An
        // ordinary user may not change them and keeps them.
        rustix::thread::set_thread_groups(&[]).ok();
        for Job { plan, around, answer } in jobs {
            // A caller that no longer waits gets nothing, and the box ends as it is dropped.
            drop(answer.send(start(&plan, around)));
        }
    })?;
    Ok(sender)
}

fn start(plan: &Plan, around: Option<Around>) -> Result<Running, SpawnError> {
    let workspace = open_workspace(plan)?;
    let top = plan.kept.as_ref().map(|_| Top::look(workspace.as_fd())).transpose();
    let top = supervisor("looking at the workspace", top)?;
    let trees = open_trees(plan)?;
    let (groups, entrances) = make_groups(plan)?;
    let (ours, theirs) = supervisor("making a socket pair", socket_pair())?;
    let (foothold, given) = around.map(|around| (around.foothold, around.streams)).unzip();
    let streams = match given {
        Some(given) => supervisor("copying a descriptor", Streams::given(given))?,
        None => supervisor("making pipes", Streams::make(plan))?,
    };
    let mut life = {
        let image = Image::new(plan.argv.clone(), plan.env.clone());
        let program = CString::new(plan.program.as_os_str().as_bytes()).unwrap_or_default();
        let theirs = supervisor("copying a descriptor", high(theirs))?;
        let inner = streams.numbers();
        let numbers: Vec<RawFd> =
            trees.iter().map(|tree| tree.as_ref().map_or(-1, sys::number)).collect();
        let entrances: Vec<RawFd> = entrances.iter().map(sys::number).collect();
        let kept = numbers.iter().chain(&inner).chain(&entrances).copied();
        let mut keep: Vec<RawFd> = kept.chain([sys::number(&theirs)]).collect();
        keep.retain(|fd| *fd >= 0);
        keep.sort_unstable();
        keep.dedup();
        let setup = Setup {
            ops: &plan.ops,
            trees: &numbers,
            entrances: &entrances,
            socket: sys::number(&theirs),
            keep: &keep,
            stdio: inner,
            image: &image,
            program: &program,
            cwd: &plan.cwd,
            wall: plan.limits.wall,
        };
        match &foothold {
            Some(foothold) => clone_within(plan, &setup, ours, groups, foothold)?,
            None => clone_box(plan, &setup, ours, groups)?,
        }
    };
    life.guard(top);
    let ends = streams.outer;
    drop((streams.inner, trees));
    finish(plan, life, workspace, ends)
}

/// The box's control groups, and the files that lead into them.
fn make_groups(plan: &Plan) -> Result<(Groups, Vec<OwnedFd>), SpawnError> {
    let make = || {
        let groups = Groups::make(&plan.cgroup, &plan.name, &plan.limits)?;
        let entrances = groups.entrances()?.into_iter().map(high).collect::<io::Result<_>>()?;
        Ok((groups, entrances))
    };
    make().map_err(|source| {
        refused(plan, Mechanism::Cgroup, "making the control groups".into(), source)
    })
}

/// Clones and sees the new process on its way.
fn clone_box(
    plan: &Plan,
    setup: &Setup<'_>,
    socket: OwnedFd,
    groups: Groups,
) -> Result<Life, SpawnError> {
    let home = groups.home();
    let blocked = sys::block_signals();
    let at_home = home.and_then(|home| sys::clone_into(NAMESPACES, Some(home.as_fd())).ok());
    let birth = if at_home.is_some() { Birth::InGroup } else { Birth::Outside };
    let side = at_home.map_or_else(|| sys::clone_into(NAMESPACES, None), Ok);
    if let Ok(Side::Child) = side {
        child::run(setup, birth)
    }
    drop(blocked);
    let (pid, pidfd) = match side {
        Ok(Side::Parent { pid, pidfd }) => (pid, pidfd),
        Ok(Side::Child) => sys::exit(1),
        Err(errno) => {
            return Err(refused(
                plan,
                Mechanism::Namespaces,
                "making the namespaces".into(),
                errno.into(),
            ));
        }
    };
    // From here on an early return drops it, which ends and reaps the new process.
    let life = Life::new(pidfd, socket, groups, pid);
    match release(plan, &life, pid) {
        Ok(()) => Ok(life),
        // If the box has ended over an act of its own, that is the cause, and this only what came of it.
        Err(error) => match hear(&life) {
            Ok((Message::Fault { step, errno }, _)) => Err(fault(plan, step, errno)),
            _ => Err(error),
        },
    }
}

/// Clones a process that goes into the box around and makes the first process of the new one there.
fn clone_within(
    plan: &Plan,
    setup: &Setup<'_>,
    socket: OwnedFd,
    groups: Groups,
    foothold: &Foothold,
) -> Result<Life, SpawnError> {
    let blocked = sys::block_signals();
    let side = sys::clone_plain();
    if let Ok(Side::Child) = side {
        child::enter(setup, sys::number(&foothold.user), sys::number(&foothold.mounts))
    }
    drop(blocked);
    let Side::Parent { pidfd: usher, .. } =
        supervisor("copying a process", side.map_err(io::Error::from))?
    else {
        sys::exit(1)
    };
    let heard = hear_on(socket.as_fd());
    let ended = rustix::io::retry_on_intr(|| sys::reap(usher.as_fd()));
    supervisor("ending the process that went into the box", ended.map_err(io::Error::from))?;
    match supervisor("hearing from the new box", heard)? {
        (Message::Made { pid }, mut fds) if fds.len() == 1 => match fds.pop() {
            Some(pidfd) => {
                let life = Life::new(pidfd, socket, groups, pid);
                let_go(&life).map(|()| life)
            }
            None => Err(fault(plan, child::ENTERING, libc::EPROTO)),
        },
        (Message::Fault { step, errno }, _) => Err(fault(plan, step, errno)),
        _ => Err(fault(plan, child::ENTERING, libc::EPROTO)),
    }
}

/// Does the supervisor's part for a new process that waits for it.
fn release(plan: &Plan, life: &Life, pid: i32) -> Result<(), SpawnError> {
    let Some(outer) = plan.private_uid else { return Ok(()) };
    map_users(pid, [(1000, outer), (1000, outer)]).map_err(|source| {
        refused(plan, Mechanism::UserMapping, format!("mapping user {outer}"), source)
    })?;
    let_go(life)
}

/// Lets a new process go on that waits for this.
fn let_go(life: &Life) -> Result<(), SpawnError> {
    rustix::net::send(life.socket(), b"g", SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(|e| SpawnError::Supervisor { what: "letting the box go on", source: e.into() })
}

/// Hears the box out until the program runs.
fn finish(
    plan: &Plan,
    mut life: Life,
    workspace: OwnedFd,
    mut stdio: StdioEnds,
) -> Result<Running, SpawnError> {
    let mut capture = Capture::default();
    let mut held = Held::default();
    let mut redirect = false;
    loop {
        let (message, fds) = hear(&life).map_err(|source| SpawnError::Supervisor {
            what: "hearing from the new box",
            source,
        })?;
        match message {
            Message::Descriptors { tags, redirect: redirects } => {
                redirect = redirects;
                for (tag, fd) in tags.into_iter().zip(fds) {
                    sort(tag, fd, &mut capture, &mut held, &mut stdio);
                }
            }
            Message::ExecFault { errno } => {
                return Err(not_executed(&plan.program, &plan.workspace, errno));
            }
            Message::Fault { step, errno } => return Err(fault(plan, step, errno)),
            Message::Started => break,
            Message::Ended { .. } | Message::TimeUp | Message::Made { .. } => {
                let source = io::Error::other("the box ended before it began");
                return Err(SpawnError::Supervisor { what: "starting the program", source });
            }
        }
    }
    let report = status::report(plan, redirect);
    supervisor("starting the watch", life.watch(plan))?;
    let Held { upper, home, user, mounts } = held;
    let foothold = user.zip(mounts).map(|(user, mounts)| Foothold { user, mounts });
    Ok(Running { stdio, capture, upper, home, workspace, report, life, foothold, folder: None })
}

/// What a new box hands over besides sockets and its terminal.
#[derive(Default)]
struct Held {
    upper: Option<OwnedFd>,
    home: Option<OwnedFd>,
    user: Option<OwnedFd>,
    mounts: Option<OwnedFd>,
}

fn sort(tag: u8, fd: OwnedFd, capture: &mut Capture, held: &mut Held, stdio: &mut StdioEnds) {
    match tag {
        t if t == Tag::Upper as u8 => held.upper = Some(fd),
        t if t == Tag::Home as u8 => held.home = Some(fd),
        t if t == Tag::UserNamespace as u8 => held.user = Some(fd),
        t if t == Tag::MountNamespace as u8 => held.mounts = Some(fd),
        t if t == Tag::Terminal as u8 => stdio.pty = Some(fd),
        t if t == Tag::Tcp as u8 => capture.tcp.push(fd.into()),
        t if t == Tag::DnsUdp as u8 => capture.dns_udp.push(fd.into()),
        t if t == Tag::DnsTcp as u8 => capture.dns_tcp.push(fd.into()),
        t if t == Tag::HttpProxy as u8 => capture.http_proxy = Some(fd.into()),
        t if t == Tag::Socks as u8 => capture.socks = Some(fd.into()),
        _ => {}
    }
}

/// The next message, within the time a start may take.
pub(crate) fn hear(life: &Life) -> io::Result<(Message, Vec<OwnedFd>)> {
    hear_on(life.socket().as_fd())
}

fn hear_on(socket: BorrowedFd<'_>) -> io::Result<(Message, Vec<OwnedFd>)> {
    let mut ready = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&START_TIME)))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; LENGTH];
    let mut receive = || {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
    };
    let received = match receive() {
        // A box that ends without having read our last word resets the socket; what it said before is still there.
        Err(Errno::CONNRESET) => receive()?.bytes,
        received => received?.bytes,
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let message = bytes.get(..received).and_then(Message::decode);
    Ok((message.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?, fds))
}

/// The supervisor's and the box's ends of the standard streams.
struct Streams {
    inner: [Option<OwnedFd>; 3],
    outer: StdioEnds,
}

impl Streams {
    fn make(plan: &Plan) -> io::Result<Self> {
        let mut outer = StdioEnds::default();
        let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            Ok((high(reader)?, high(writer)?))
        };
        let mut inner = [const { None }; 3];
        let [stdin, stdout, stderr] = &mut inner;
        if plan.stdio.stdin == Stream::Piped {
            let (reader, writer) = pipe()?;
            (*stdin, outer.stdin) = (Some(reader), Some(writer));
        }
        if plan.stdio.stdout == Stream::Piped {
            let (reader, writer) = pipe()?;
            (*stdout, outer.stdout) = (Some(writer), Some(reader));
        }
        if plan.stdio.stderr == Stream::Piped {
            let (reader, writer) = pipe()?;
            (*stderr, outer.stderr) = (Some(writer), Some(reader));
        }
        Ok(Self { inner, outer })
    }

    /// Streams that the caller has.
    fn given([stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Self> {
        let inner = [Some(high(stdin)?), Some(high(stdout)?), Some(high(stderr)?)];
        Ok(Self { inner, outer: StdioEnds::default() })
    }

    fn numbers(&self) -> [RawFd; 3] {
        self.inner.each_ref().map(|fd| fd.as_ref().map_or(-1, sys::number))
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The same descriptor under a number that is not a standard stream's.
fn high(fd: OwnedFd) -> io::Result<OwnedFd> {
    if sys::number(&fd) > 2 { Ok(fd) } else { Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?) }
}

fn open_workspace(plan: &Plan) -> Result<OwnedFd, SpawnError> {
    let opened = rustix::fs::openat2(
        CWD,
        &plan.workspace,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    );
    let checked = opened.and_then(|fd| {
        let stat = rustix::fs::fstat(&fd)?;
        if (stat.st_dev, stat.st_ino) == plan.workspace_identity {
            Ok(fd)
        } else {
            Err(Errno::STALE)
        }
    });
    supervisor("opening the workspace", checked.map_err(io::Error::from).and_then(high))
}

/// For a box with a private user: every host path is opened here, with the rights of root, and what shall look like the
/// box's own is mapped. An ordinary user may not do so outside the new namespace; its box opens them itself.
fn open_trees(plan: &Plan) -> Result<Vec<Option<OwnedFd>>, SpawnError> {
    let mut trees = Vec::new();
    let mut mapped: Vec<((u32, u32), OwnedFd)> = Vec::new();
    for op in &plan.ops {
        let (
            Op::Bind(Bind { source: Source::Host { path, identity, owner }, attributes, .. }),
            Some(outer),
        ) = (op, plan.private_uid)
        else {
            trees.push(None);
            continue;
        };
        let refuse = |mechanism: Mechanism| {
            move |errno: Errno| refused(plan, mechanism, op.to_string(), errno.into())
        };
        let tree = child::open_tree(path, *identity).map_err(refuse(Mechanism::Mounts))?;
        if let Some(owner) = owner {
            if !mapped.iter().any(|(known, _)| known == owner) {
                let namespace = id_map(*owner, outer).map_err(|source| {
                    refused(plan, Mechanism::IdMappedMount, "making the id map".into(), source)
                })?;
                mapped.push((*owner, namespace));
            }
            let namespace =
                mapped.iter().find(|(known, _)| known == owner).map(|(_, fd)| fd.as_fd());
            sys::mount_attributes(tree.as_fd(), true, *attributes, namespace)
                .map_err(refuse(Mechanism::IdMappedMount))?;
        } else {
            sys::mount_attributes(tree.as_fd(), true, *attributes, None)
                .map_err(refuse(Mechanism::Mounts))?;
        }
        trees.push(Some(supervisor("copying a descriptor", high(tree))?));
    }
    Ok(trees)
}

/// A user namespace that maps the owner of some files to the box's user; only its map is used.
fn id_map((uid, gid): (u32, u32), outer: u32) -> io::Result<OwnedFd> {
    let blocked = sys::block_signals();
    let side = sys::clone_into(libc::CLONE_NEWUSER, None);
    if let Ok(Side::Child) = side {
        // Waits to be ended; every signal but KILL is blocked. Dies with this thread, should that end first.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).ok();
        loop {
            rustix::event::poll(&mut [], None).ok();
        }
    }
    drop(blocked);
    let Side::Parent { pid, pidfd } = side? else { return Err(io::ErrorKind::Other.into()) };
    let namespace = map_users(pid, [(uid, outer), (gid, outer)])
        .and_then(|()| Ok(OwnedFd::from(fs::File::open(format!("/proc/{pid}/ns/user"))?)));
    let ended = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL)
        .and_then(|()| sys::reap(pidfd.as_fd()).map(drop));
    ended?;
    namespace
}

fn map_users(pid: i32, [(uid, outer_uid), (gid, outer_gid)]: [(u32, u32); 2]) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    fs::write(format!("/proc/{pid}/uid_map"), format!("{uid} {outer_uid} 1\n"))?;
    fs::write(format!("/proc/{pid}/gid_map"), format!("{gid} {outer_gid} 1\n"))
}

fn supervisor<T>(what: &'static str, result: io::Result<T>) -> Result<T, SpawnError> {
    result.map_err(|source| SpawnError::Supervisor { what, source })
}

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;
const START_TIME: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

#[cfg(test)]
mod tests;
