//! How does a box of tier B begin?
use super::behalf::{self, Clerk, Door, Doors};
use super::child::{self, MOST_HELD, Setup, Step};
use super::copy::{self, Baseline};
use super::difference;
use super::disk::DiskWatch;
use super::folder::Folder;
use super::origins::Origins;
use super::own::Own;
use super::plan::{Copied, Layout, WORK};
use super::report;
use crate::error::{Fault, Mechanism, PlanError, SpawnError, StartError};
use crate::host::HostFacts;
use crate::interpreter::not_executed;
use crate::linux::cgroup::Groups;
use crate::linux::landlock::{self, Rule};
use crate::linux::{limits, seccomp};
use crate::op::{Op, Resource, Tag};
use crate::planted::Top;
use crate::running::{Capture, Life, Running, StdioEnds};
use crate::spawn::hear;
use crate::spec::{BoxSpec, Reach, Stdio, Stream, WorkspaceMode};
use crate::sys::{self, Image, Side};
use crate::wire::Message;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Starts a box of tier B below `folders`.
pub(crate) fn start(
    spec: &BoxSpec,
    facts: &HostFacts,
    folders: &Path,
) -> Result<Running, StartError> {
    if facts.landlock_abi < OLDEST_ABI {
        let what = "keep the program from signalling the person's other processes: that takes Landlock of ABI 6 (Linux 6.12)";
        let remedy = "allow user namespaces; see `bartizan doctor`";
        return Err(PlanError::TierB { what, remedy }.into());
    }
    let folder = Folder::make(folders, &format!("{:016x}", facts.nonce))?;
    let layout = Layout::of(spec, facts, folder.path())?;
    let workspace = open_workspace(spec, facts)?;
    let made = Made::make(&layout, facts, &folder, &workspace)?;
    let net = net(spec.network).map_err(supervisor("opening the box's listeners"))?;
    let streams = Streams::make(spec.stdio, facts.private_uid)
        .map_err(supervisor("making the standard streams"))?;
    let direct = spec.workspace_mode == WorkspaceMode::Direct;
    let top = direct.then(|| Top::look(workspace.as_fd())).transpose();
    let top = top.map_err(supervisor("looking at the workspace"))?;
    let mut life = launch(spec, facts, &layout, &streams)?;
    life.guard(top);
    let stdio = streams.into_outer();
    let (life, questions) = listen_to_start(spec, life)?;
    let clerk = Clerk {
        listener: questions,
        origins: net.origins,
        doors: net.doors,
        roots: layout.roots.clone(),
        sockets: layout.sockets.clone(),
        own: Own::default(),
        ids: facts.private_uid.map_or((facts.uid, facts.gid), |uid| (uid, uid)),
    };
    behalf::serve(clerk).map_err(supervisor("starting the thread that acts for the box"))?;
    let report = report::report(spec, facts, &layout);
    let (life, upper) = made.attach(life, spec, facts, &folder)?;
    let home = spec.keep_home.then(|| copy::open_directory(&folder.path().join("home")));
    let home = home.transpose().map_err(supervisor("opening the box's home directory"))?;
    let (capture, folder) = (net.capture, Some(folder));
    Ok(Running { stdio, capture, upper, home, workspace, report, life, foothold: None, folder })
}

/// Lays out what the keeper and the program need, and clones.
fn launch(
    spec: &BoxSpec,
    facts: &HostFacts,
    layout: &Layout,
    streams: &Streams,
) -> Result<Life, SpawnError> {
    let groups = Groups::make(&facts.cgroup, &format!("{:016x}", facts.nonce), &spec.limits)
        .map_err(|source| refused(Mechanism::Cgroup, "making the control groups", source))?;
    let entrances = groups.entrances().and_then(|files| files.into_iter().map(high).collect());
    let entrance_files: Vec<OwnedFd> = entrances
        .map_err(|source| refused(Mechanism::Cgroup, "opening the control groups", source))?;
    let mut rules = layout.rules.clone();
    rules.extend(streams.rule());
    let (ours, theirs) = socket_pair().map_err(supervisor("making a socket pair"))?;
    let stdio = streams.numbers();
    let entrances: Vec<RawFd> = entrance_files.iter().map(sys::number).collect();
    let kept = stdio.iter().chain(&entrances).copied();
    let mut keep: Vec<RawFd> = kept.chain([sys::number(&theirs)]).collect();
    keep.sort_unstable();
    keep.dedup();
    let setup = Setup {
        socket: sys::number(&theirs),
        entrances: &entrances,
        keep: &keep,
        stdio,
        terminal: streams.slave.as_ref().map(sys::number),
        image: &Image::new(layout.argv.clone(), layout.env.clone()),
        program: &layout.program,
        cwd: &layout.cwd,
        wall: spec.limits.wall,
        limits: &limits(spec, facts),
        rules: &rules,
        held: layout.held.get(..MOST_HELD - 1).unwrap_or(&layout.held),
        rights: landlock::known(facts.landlock_abi),
        scopes: landlock::SCOPE_ABSTRACT_UNIX | landlock::SCOPE_SIGNAL,
        filter: &seccomp::shared_program(facts.cgroup.counts_memory()),
        user: facts.private_uid,
    };
    clone(&setup, ours, groups)
}

/// What was made on the disk for the box.
struct Made {
    copy: Option<(OwnedFd, OwnedFd, Baseline)>,
    bounds: Option<(u64, u64)>,
}

impl Made {
    fn make(
        layout: &Layout,
        facts: &HostFacts,
        folder: &Folder,
        workspace: &OwnedFd,
    ) -> Result<Self, SpawnError> {
        let owner = facts.private_uid.map(|uid| (uid, uid));
        let failed = supervisor("making the box's folders");
        for name in ["home", "tmp"] {
            folder.directory(name, owner).map_err(&failed)?;
        }
        files(layout, owner).map_err(&failed)?;
        let Some(kind) = layout.copied else { return Ok(Self { copy: None, bounds: None }) };
        let made = || -> io::Result<_> {
            folder.directory(WORK, owner)?;
            fs::DirBuilder::new().mode(0o700).create(&layout.workspace)?;
            let target = copy::open_directory(&layout.workspace)?;
            let baseline = copy::copy(workspace.as_fd(), target.as_fd(), owner)?;
            if let Some((uid, gid)) = owner {
                std::os::unix::fs::fchown(&target, Some(uid), Some(gid))?;
            }
            Ok((target, baseline))
        };
        let (target, baseline) = made().map_err(supervisor("copying the workspace"))?;
        let Copied::Writable { bytes, entries } = kind else {
            return Ok(Self { copy: None, bounds: None });
        };
        let upper = folder.directory("upper", None).map_err(&failed)?;
        let upper = copy::open_directory(&upper).map_err(&failed)?;
        if !difference::can_mark(upper.as_fd()) {
            let what = "keep track of what was copied: the state directory's file system has no user attributes";
            return Err(refused(Mechanism::Mounts, what, Errno::NOTSUP.into()));
        }
        Ok(Self { copy: Some((target, upper, baseline)), bounds: Some((bytes, entries)) })
    }

    /// Ties the end of the box to what must be done then, and starts the watches.
    fn attach(
        self,
        mut life: Life,
        spec: &BoxSpec,
        facts: &HostFacts,
        folder: &Folder,
    ) -> Result<(Life, Option<OwnedFd>), SpawnError> {
        if !facts.cgroup.counts_memory() {
            let watched = life.watch_memory(spec.limits.memory_bytes);
            watched.map_err(supervisor("starting the watch"))?;
        }
        let scratch = spec.limits.scratch_bytes;
        let (bytes, entries) = self.bounds.unwrap_or_default();
        let watch = DiskWatch::start(
            life.pidfd_owned(),
            folder.path().to_owned(),
            bytes.saturating_add(scratch.saturating_mul(2)),
            entries.saturating_add(SCRATCH_ENTRIES),
        );
        life.watch_disk(watch.map_err(supervisor("starting the disk watch"))?);
        let Some((copy, upper, baseline)) = self.copy else { return Ok((life, None)) };
        let kept = upper.try_clone().map_err(supervisor("copying a descriptor"))?;
        life.at_end(Settling { copy, upper, baseline });
        Ok((life, Some(kept)))
    }
}

/// What remains to be done when every process of the box is gone.
#[derive(Debug)]
pub(crate) struct Settling {
    copy: OwnedFd,
    upper: OwnedFd,
    baseline: Baseline,
}

impl Settling {
    /// Tells the changes in the overlay's language.
    pub(crate) fn settle(self) -> io::Result<()> {
        difference::extract(self.copy.as_fd(), self.upper.as_fd(), &self.baseline)
            .map_err(|e| io::Error::new(e.kind(), format!("the changes could not be told: {e}")))
    }
}

/// Makes the files that exist only in the box, and the links of its home directory.
fn files(layout: &Layout, owner: Option<(u32, u32)>) -> io::Result<()> {
    let give = |path: &Path| match owner {
        Some((uid, gid)) => std::os::unix::fs::lchown(path, Some(uid), Some(gid)),
        None => Ok(()),
    };
    let above = |path: &Path| -> io::Result<()> {
        let mut missing: Vec<&Path> =
            path.ancestors().skip(1).take_while(|p| !p.exists()).collect();
        while let Some(directory) = missing.pop() {
            fs::DirBuilder::new().mode(0o755).create(directory)?;
            give(directory)?;
        }
        Ok(())
    };
    for (link, target) in &layout.links {
        above(link)?;
        std::os::unix::fs::symlink(target, link)?;
        give(link)?;
    }
    for (path, contents, mode) in &layout.files {
        above(path)?;
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        io::Write::write_all(&mut file, contents)?;
        file.set_permissions(fs::Permissions::from_mode(*mode))?;
        give(path)?;
    }
    Ok(())
}

fn open_workspace(spec: &BoxSpec, facts: &HostFacts) -> Result<OwnedFd, SpawnError> {
    let opened = rustix::fs::openat2(
        CWD,
        &spec.workspace,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    );
    let checked = opened.and_then(|fd| {
        let stat = rustix::fs::fstat(&fd)?;
        let expected = facts.path(&spec.workspace).map(|fact| fact.identity);
        if Some((stat.st_dev, stat.st_ino)) == expected { Ok(fd) } else { Err(Errno::STALE) }
    });
    checked.map_err(io::Error::from).and_then(high).map_err(supervisor("opening the workspace"))
}

/// Our listeners for this box, on the host's loopback, and the book that tells its connections from others.
fn net(reach: Reach) -> io::Result<super::plan::Net> {
    let origins = Origins::written();
    if reach == Reach::Loopback {
        let capture = Capture { origins: origins.clone(), ..Capture::default() };
        return Ok(super::plan::Net { origins, capture, doors: None });
    }
    let v4 = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let v6 = || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
    let pair = || -> io::Result<(Vec<TcpListener>, Door)> {
        let (v4, v6) = (v4()?, v6());
        let door = Door {
            v4: v4.local_addr()?,
            v6: v6.as_ref().map(TcpListener::local_addr).transpose()?,
        };
        Ok(([Some(v4), v6].into_iter().flatten().collect(), door))
    };
    let single = || -> io::Result<(TcpListener, Door)> {
        let listener = v4()?;
        let door = Door { v4: listener.local_addr()?, v6: None };
        Ok((listener, door))
    };
    let (tcp, tcp_door) = pair()?;
    let (dns_tcp, dns) = pair()?;
    let (http, http_proxy) = single()?;
    let (socks_listener, socks) = single()?;
    let capture = Capture {
        tcp,
        dns_udp: Vec::new(),
        dns_tcp,
        http_proxy: Some(http),
        socks: Some(socks_listener),
        origins: origins.clone(),
    };
    Ok(super::plan::Net {
        origins,
        capture,
        doors: Some(Doors { tcp: tcp_door, dns, http_proxy, socks }),
    })
}

/// Per-process limits; the number of processes counts what else this user runs, unless the box has a user of its own.
fn limits(spec: &BoxSpec, facts: &HostFacts) -> Vec<(Resource, u64)> {
    let others = if facts.private_uid.is_some() { 0 } else { threads_of(facts.uid) };
    let wanted = limits::ops(&spec.limits, facts).into_iter();
    wanted
        .filter_map(|op| match op {
            Op::Limit { resource: Resource::Nproc, value, .. } => {
                Some((Resource::Nproc, value.saturating_add(others)))
            }
            Op::Limit { resource, value, .. } => Some((resource, value)),
            _ => None,
        })
        .collect()
}

/// How many threads this user runs on the host.
fn threads_of(uid: u32) -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let status = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).ok();
    let count = |status: String| {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let own = field("Uid:")?.split_whitespace().next()?.parse() == Ok(uid);
        own.then(|| field("Threads:")?.trim().parse::<u64>().ok()).flatten()
    };
    processes.flatten().filter_map(status).filter_map(count).sum()
}

fn clone(setup: &Setup<'_>, socket: OwnedFd, groups: Groups) -> Result<Life, SpawnError> {
    let blocked = sys::block_signals();
    let side = sys::clone_plain();
    if let Ok(Side::Child) = side {
        child::run(setup)
    }
    drop(blocked);
    let (pid, pidfd) = match side {
        Ok(Side::Parent { pid, pidfd }) => (pid, pidfd),
        Ok(Side::Child) => sys::exit(1),
        Err(errno) => {
            return Err(supervisor("starting the box's keeper")(errno.into()));
        }
    };
    Ok(Life::kept(pidfd, socket, groups, pid))
}

/// Hears the box out until the program runs; returns where its questions are heard.
fn listen_to_start(spec: &BoxSpec, life: Life) -> Result<(Life, OwnedFd), SpawnError> {
    let mut questions = None;
    loop {
        let (message, fds) = hear(&life).map_err(supervisor("hearing from the new box"))?;
        match message {
            Message::Descriptors { tags, .. } => {
                let pairs = tags.into_iter().zip(fds);
                questions =
                    pairs.filter(|(tag, _)| *tag == Tag::Questions as u8).map(|(_, fd)| fd).next();
            }
            Message::ExecFault { errno } => {
                return Err(not_executed(&spec.program, &spec.workspace, errno));
            }
            Message::Fault { step, errno } => {
                return Err(fault(step, io::Error::from_raw_os_error(errno)));
            }
            Message::Started => break,
            Message::Ended { .. } | Message::TimeUp | Message::Made { .. } => {
                let source = io::Error::other("the box ended before it began");
                return Err(supervisor("starting the program")(source));
            }
        }
    }
    match questions {
        Some(questions) => Ok((life, questions)),
        None => Err(refused(
            Mechanism::Seccomp,
            "hearing the program's questions",
            io::ErrorKind::NotFound.into(),
        )),
    }
}

fn fault(step: u32, source: io::Error) -> SpawnError {
    let step = Step::ALL.into_iter().find(|known| *known as u32 == step);
    let (mechanism, words) = match step {
        Some(Step::Rules | Step::Landlock) => (Mechanism::Landlock, "raising Landlock"),
        Some(Step::User) => (Mechanism::Capabilities, "giving up privileges"),
        Some(Step::Limits) => (Mechanism::ResourceLimits, "setting limits"),
        Some(Step::NoNewPrivileges) => (Mechanism::Capabilities, "forbidding new privileges"),
        Some(Step::Filter | Step::HandOver) => (Mechanism::Seccomp, "installing the filter"),
        Some(Step::Streams) => (Mechanism::Descriptors, "giving the program its streams"),
        Some(Step::Directory) => (Mechanism::Descriptors, "entering the working directory"),
        Some(Step::Leave | Step::Fork) | None => (Mechanism::Descriptors, "becoming the box"),
    };
    refused(mechanism, words, source)
}

fn refused(mechanism: Mechanism, step: &str, source: io::Error) -> SpawnError {
    let remedy = match mechanism {
        Mechanism::Seccomp => {
            "something above already listens to this process's calls, or the kernel is older than 5.6; allow user namespaces instead"
        }
        Mechanism::Landlock => {
            "add landlock to lsm= on the kernel's command line, or allow user namespaces"
        }
        _ => "allow user namespaces; `bartizan doctor` says how",
    };
    SpawnError::Refused {
        mechanism,
        fault: Fault { step: step.into(), source },
        remedy: remedy.into(),
    }
}

fn supervisor(what: &'static str) -> impl Fn(io::Error) -> SpawnError {
    move |source| SpawnError::Supervisor { what, source }
}

/// Both sides of the standard streams.
struct Streams {
    inner: [Option<OwnedFd>; 3],
    slave: Option<OwnedFd>,
    outer: StdioEnds,
}

impl Streams {
    fn make(stdio: Stdio, owner: Option<u32>) -> io::Result<Self> {
        let mut made =
            Self { inner: [const { None }; 3], slave: None, outer: StdioEnds::default() };
        if stdio.wants_pty() {
            made.terminal(stdio, owner)?;
        }
        let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            Ok((high(reader)?, high(writer)?))
        };
        let [stdin, stdout, stderr] = &mut made.inner;
        if stdio.stdin == Stream::Piped {
            let (reader, writer) = pipe()?;
            (*stdin, made.outer.stdin) = (Some(reader), Some(writer));
        }
        if stdio.stdout == Stream::Piped {
            let (reader, writer) = pipe()?;
            (*stdout, made.outer.stdout) = (Some(writer), Some(reader));
        }
        if stdio.stderr == Stream::Piped {
            let (reader, writer) = pipe()?;
            (*stderr, made.outer.stderr) = (Some(writer), Some(reader));
        }
        Ok(made)
    }

    fn terminal(&mut self, stdio: Stdio, owner: Option<u32>) -> io::Result<()> {
        use rustix::pty::OpenptFlags;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = high(rustix::pty::openpt(flags)?)?;
        rustix::pty::unlockpt(&master)?;
        let slave = high(rustix::pty::ioctl_tiocgptpeer(&master, flags)?)?;
        if let Some(uid) = owner {
            std::os::unix::fs::fchown(&slave, Some(uid), None)?;
        }
        crate::resize(master.as_fd(), stdio.size.rows, stdio.size.cols)?;
        (self.slave, self.outer.pty) = (Some(slave), Some(master));
        Ok(())
    }

    /// The box's ends; the terminal stands where no pipe was made.
    fn numbers(&self) -> [RawFd; 3] {
        let terminal = self.slave.as_ref().map_or(-1, sys::number);
        self.inner.each_ref().map(|fd| fd.as_ref().map_or(terminal, sys::number))
    }

    /// The box may open its own terminal by name, and no other.
    fn rule(&self) -> Option<Rule> {
        let slave = self.slave.as_ref()?;
        let link = format!("/proc/self/fd/{}", sys::number(slave));
        let path = rustix::fs::readlinkat(CWD, link, Vec::new()).ok()?;
        Some(Rule { path, rights: landlock::DEVICE })
    }

    fn into_outer(self) -> StdioEnds {
        self.outer
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((ours, high(theirs)?))
}

/// The same descriptor under a number that is not a standard stream's.
fn high(fd: OwnedFd) -> io::Result<OwnedFd> {
    if sys::number(&fd) > 2 { Ok(fd) } else { Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?) }
}

/// The first Landlock that bounds signals.
const OLDEST_ABI: i32 = 6;
const SCRATCH_ENTRIES: u64 = 400_000;
