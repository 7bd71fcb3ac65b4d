//! What does the supervisor hold of a box that runs, and what does it learn when the box has ended?
use crate::linux::cgroup::Groups;
use crate::plan::Plan;
use crate::planted::{SetAside, Top};
use crate::status::Enforcement;
use crate::sys;
use crate::tierb::{DiskWatch, Folder, Origins, Settling};
use crate::watch::{Bounds, Over, Watch};
use crate::wire::{LENGTH, Message};
use rustix::io::Errno;
use rustix::net::{RecvFlags, sockopt};
use rustix::process::Signal;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A box that runs. The parts are separate so that each can be given to the task that serves it.
#[derive(Debug)]
pub struct Running {
    /// The supervisor's ends of the standard streams.
    pub stdio: StdioEnds,
    /// The listening sockets inside the box's network.
    pub capture: Capture,
    /// The overlay's upper directory, when the workspace is one; stays readable after the box has ended.
    pub upper: Option<OwnedFd>,
    /// The box's home directory, when the specification asked to keep it; stays readable after the box has ended. What
    /// it holds is the program's work: follow no link in it, and cross onto no other file system.
    pub home: Option<OwnedFd>,
    /// The host's workspace directory, as it was bound.
    pub workspace: OwnedFd,
    /// What the kernel enforces.
    pub report: Enforcement,
    /// The box's life: end it, wait for it. Dropping it ends the box.
    pub life: Life,
    /// Leads narrower boxes into this one's view, if the specification asked for that.
    pub foothold: Option<Foothold>,
    /// What the box has on the host's disk (tier B). It holds what `upper` and `home` show: drop it last.
    pub folder: Option<Folder>,
}

/// Where narrower boxes can be made: the namespaces of a box that runs. It keeps the box's mounts alive.
#[derive(Debug)]
pub struct Foothold {
    pub(crate) user: OwnedFd,
    pub(crate) mounts: OwnedFd,
}

impl Foothold {
    /// The same once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { user: self.user.try_clone()?, mounts: self.mounts.try_clone()? })
    }
}

/// The supervisor's ends of the box's standard streams. What the box writes is bounded by whoever reads.
#[derive(Debug, Default)]
pub struct StdioEnds {
    /// The terminal's controlling side, when any stream is a terminal.
    pub pty: Option<OwnedFd>,
    /// Write end of standard input, when piped.
    pub stdin: Option<OwnedFd>,
    /// Read end of standard output, when piped.
    pub stdout: Option<OwnedFd>,
    /// Read end of standard error, when piped.
    pub stderr: Option<OwnedFd>,
}

/// Sockets that listen in the box's private network and are served by the supervisor. The box a connection comes from is
/// told by the socket it arrives on, never by anything the connection says.
#[derive(Debug, Default)]
pub struct Capture {
    /// Every TCP connection to an address that is not the box's loopback arrives here; see [`original_destination`].
    pub tcp: Vec<TcpListener>,
    /// Every DNS query over UDP.
    pub dns_udp: Vec<UdpSocket>,
    /// Every DNS query over TCP.
    pub dns_tcp: Vec<TcpListener>,
    /// An HTTP proxy at `127.0.0.1:3128` for programs that want one.
    pub http_proxy: Option<TcpListener>,
    /// A SOCKS5 proxy at `127.0.0.1:1080`.
    pub socks: Option<TcpListener>,
    /// Tells the box's connections from others, and where they were meant to go. Where [`Origins::must_ask`], a
    /// connection that it does not know must be dropped.
    pub origins: Origins,
}

/// How a box ended, and what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Why it ended.
    pub reason: Reason,
    /// What it used at most.
    pub peak: Peak,
    /// What it planted at the top of a directly used workspace for the host's tools to obey, which was renamed.
    pub set_aside: Vec<SetAside>,
}

/// Why a box ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The program ended with this exit code.
    Exited(i32),
    /// The box wrote more than it may.
    DiskLimit,
    /// The program was ended for writing a file beyond the limit.
    FileSizeLimit,
    /// The supervisor ended the box.
    Killed,
    /// The box had more processes than it may, where the kernel does not count them.
    ProcessLimit,
    /// The box's memory limit; a process of the box was killed for it.
    MemoryLimit,
    /// The program was ended by this signal.
    Signalled(i32),
    /// The box's time was up.
    WallClock,
}

/// What a box used at most; `None` where nothing measures it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Bytes of memory, all processes together.
    pub memory_bytes: Option<u64>,
    /// Processes killed because the box was out of memory.
    pub oom_kills: Option<u64>,
    /// Processes and threads at once, pid 1 of the box among them.
    pub pids: Option<u64>,
    /// Forks refused because there were as many as there may be.
    pub refused_forks: Option<u64>,
    /// CPU time, all processes together; without what was still running when the box was ended from outside.
    pub cpu: Option<Duration>,
}

impl Exit {
    /// The exit code a shell would show: the program's own, or 128 + signal (137 when the box was ended).
    pub fn code(&self) -> i32 {
        match self.reason {
            Reason::Exited(code) => code,
            Reason::Signalled(signal) => 128 + signal,
            Reason::FileSizeLimit => 128 + libc::SIGXFSZ,
            Reason::DiskLimit
            | Reason::Killed
            | Reason::MemoryLimit
            | Reason::ProcessLimit
            | Reason::WallClock => 137,
        }
    }
}

/// The life of one box.
#[derive(Debug)]
pub struct Life {
    pidfd: Arc<OwnedFd>,
    socket: OwnedFd,
    groups: Groups,
    pid: i32,
    killed: Arc<AtomicBool>,
    watch: Option<Watch>,
    exit: Option<Exit>,
    /// What ends the box when it is sent to its first process.
    signal: Signal,
    disk: Option<DiskWatch>,
    settling: Option<Settling>,
    /// The top of a directly used workspace, to be looked at once more.
    top: Option<Top>,
}

impl Life {
    pub(crate) fn new(pidfd: OwnedFd, socket: OwnedFd, groups: Groups, pid: i32) -> Self {
        Self {
            pidfd: Arc::new(pidfd),
            socket,
            groups,
            pid,
            killed: Arc::new(AtomicBool::new(false)),
            watch: None,
            exit: None,
            signal: Signal::KILL,
            disk: None,
            settling: None,
            top: None,
        }
    }

    /// The life of a box that its keeper ends, when it is told to.
    pub(crate) fn kept(pidfd: OwnedFd, socket: OwnedFd, groups: Groups, pid: i32) -> Self {
        let mut life = Self::new(pidfd, socket, groups, pid);
        life.signal = Signal::TERM;
        life
    }

    /// Ends the box at once: every process in it. Harmless when it has ended.
    pub fn kill(&self) -> io::Result<()> {
        kill(&self.pidfd, self.signal, &self.killed)
    }

    /// Something that can end the box while another thread waits for it.
    pub fn killer(&self) -> io::Result<Killer> {
        let (pidfd, killed) = (self.pidfd.try_clone()?, Arc::clone(&self.killed));
        Ok(Killer { pidfd, signal: self.signal, killed })
    }

    /// Waits for the end of the box and tells how it was. Returns at once when [`Life::pidfd`] is readable.
    pub fn wait(&mut self) -> io::Result<Exit> {
        if let Some(exit) = &self.exit {
            return Ok(exit.clone());
        }
        let usage = rustix::io::retry_on_intr(|| sys::reap(self.pidfd.as_fd()))?;
        let watched = self.watch.take().map(|watch| watch.told());
        let oom_kills = self.groups.oom_kills();
        let seen = watched.as_ref().and_then(|watched| watched.peak_bytes);
        let peak = Peak {
            memory_bytes: self.groups.peak_bytes().or(seen),
            oom_kills,
            pids: self.groups.peak_pids(),
            refused_forks: self.groups.refused_forks(),
            cpu: Some(usage.cpu),
        };
        let over = watched.and_then(|watched| watched.over);
        let over_memory = over == Some(Over::Bytes) || oom_kills.is_some_and(|kills| kills > 0);
        let reason = match self.disk.take() {
            Some(disk) if disk.over() => Reason::DiskLimit,
            _ if over == Some(Over::Processes) => Reason::ProcessLimit,
            _ => self.reason(usage.status, over_memory),
        };
        self.groups = Groups::default();
        if let Some(settling) = self.settling.take() {
            settling.settle()?;
        }
        let top = self.top.take();
        let set_aside = top.as_ref().map_or(Ok(Vec::new()), Top::settle)?;
        let exit = Exit { reason, peak, set_aside };
        self.exit = Some(exit.clone());
        Ok(exit)
    }

    /// A descriptor that becomes readable when every process of the box is gone.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The box's first process, as the host numbers it.
    pub const fn host_pid(&self) -> i32 {
        self.pid
    }

    pub(crate) const fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Watches what the kernel does not limit here. A box that nobody watches would have no limit, so it must not go on.
    pub(crate) fn watch(&mut self, plan: &Plan) -> io::Result<()> {
        let bounds = Bounds {
            bytes: (!plan.cgroup.counts_memory()).then_some(plan.limits.memory_bytes),
            sockets: true,
            processes: (plan.inner && !plan.cgroup.counts_pids()).then_some(plan.limits.pids),
        };
        if bounds.bytes.is_some() || bounds.processes.is_some() {
            self.watch_bounds(bounds)?;
        }
        Ok(())
    }

    pub(crate) fn watch_memory(&mut self, bytes: u64) -> io::Result<()> {
        self.watch_bounds(Bounds { bytes: Some(bytes), sockets: false, processes: None })
    }

    fn watch_bounds(&mut self, bounds: Bounds) -> io::Result<()> {
        self.watch = Some(Watch::start(&self.pidfd, self.pid, bounds, self.signal)?);
        Ok(())
    }

    pub(crate) fn watch_disk(&mut self, watch: DiskWatch) {
        self.disk = Some(watch);
    }

    /// What is to be done once every process is gone; [`Life::wait`] fails when it does.
    pub(crate) fn at_end(&mut self, settling: Settling) {
        self.settling = Some(settling);
    }

    /// What to look at once more when every process is gone.
    pub(crate) fn guard(&mut self, top: Option<Top>) {
        self.top = top;
    }

    pub(crate) fn pidfd_owned(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// The last thing pid 1 said, and what its own end adds to it.
    fn reason(&self, status: i32, over_memory: bool) -> Reason {
        let mut bytes = [0; LENGTH];
        let mut receive = || rustix::net::recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT);
        // The first answer may be the reset that comes of a socket closed before it was read to the end.
        let said = receive()
            .or_else(|_| receive())
            .ok()
            .and_then(|(_, length)| Message::decode(bytes.get(..length)?));
        match said {
            Some(Message::TimeUp) => Reason::WallClock,
            Some(Message::Ended { status }) if libc::WIFEXITED(status) => {
                Reason::Exited(libc::WEXITSTATUS(status))
            }
            Some(Message::Ended { status }) => match libc::WTERMSIG(status) {
                libc::SIGKILL if over_memory => Reason::MemoryLimit,
                libc::SIGXFSZ => Reason::FileSizeLimit,
                signal => Reason::Signalled(signal),
            },
            _ if over_memory => Reason::MemoryLimit,
            _ if self.killed.load(Ordering::SeqCst) => Reason::Killed,
            _ => Reason::Signalled(status.saturating_neg().max(0)),
        }
    }
}

/// Ends a box; see [`Life::killer`].
#[derive(Debug)]
pub struct Killer {
    pidfd: OwnedFd,
    signal: Signal,
    killed: Arc<AtomicBool>,
}

impl Killer {
    /// Ends the box at once: every process in it. Harmless when it has ended.
    pub fn kill(&self) -> io::Result<()> {
        kill(&self.pidfd, self.signal, &self.killed)
    }
}

fn kill(pidfd: &OwnedFd, signal: Signal, killed: &AtomicBool) -> io::Result<()> {
    killed.store(true, Ordering::SeqCst);
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.exit.is_none() && self.kill().is_ok() {
            // Killed as a whole by the kernel, so this wait is short.
            drop(self.wait());
        }
    }
}

impl StdioEnds {
    /// Tells the box's terminal its new size. Nothing happens when there is none.
    pub fn resize(&self, rows: u16, cols: u16) -> io::Result<()> {
        let Some(pty) = &self.pty else { return Ok(()) };
        resize(pty.as_fd(), rows, cols)
    }
}

/// Tells a box's terminal, by its controlling side, its new size in characters.
pub fn resize(pty: BorrowedFd<'_>, rows: u16, cols: u16) -> io::Result<()> {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(pty, size)?)
}

/// Where a connection accepted from [`Capture::tcp`] was really meant to go. A loopback answer means that the program
/// called the listener itself.
pub fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let local = stream.local_addr()?;
    let original = match local {
        SocketAddr::V4(_) => sockopt::ip_original_dst(stream).map(SocketAddr::V4),
        SocketAddr::V6(_) => sockopt::ipv6_original_dst(stream).map(SocketAddr::V6),
    };
    match original {
        Ok(original) => Ok(original),
        // Not redirected: where every address is local, the connection's own end is where it was meant to go.
        Err(Errno::NOENT | Errno::NOPROTOOPT | Errno::OPNOTSUPP) => Ok(local),
        Err(errno) => Err(errno.into()),
    }
}
