//! What does the supervisor do for a program that may not do it itself?
//!
//! The filter stops the calls that would name somebody outside the box or change a file past Landlock. Each arrives here as a
//! question. What its pointers lead to is read once; the socket or file is taken from the program by `pidfd_getfd`; the act
//! is done here on what was taken. The program's own call never goes on, so nothing can be exchanged in between, and every
//! error is its error.
use super::files;
use super::origins::{Origins, canonical};
use super::own::Own;
use crate::sys::{self, Question};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the supervisor may do for one box.
#[derive(Debug)]
pub(crate) struct Clerk {
    pub(crate) listener: OwnedFd,
    pub(crate) origins: Origins,
    /// None where the box calls nothing but itself.
    pub(crate) doors: Option<Doors>,
    /// The folders the box may write in, canonical.
    pub(crate) roots: Vec<PathBuf>,
    /// Sockets of the host that the box may call: under which name, and where they are.
    pub(crate) sockets: Vec<(PathBuf, PathBuf)>,
    pub(crate) own: Own,
    /// User and group of the box.
    pub(crate) ids: (u32, u32),
}

/// Where our listeners for this box stand, for each way of asking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) tcp: Door,
    pub(crate) dns: Door,
    pub(crate) http_proxy: Door,
    pub(crate) socks: Door,
}

/// One listener on loopback, and its twin for IPv6 where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) v4: SocketAddr,
    pub(crate) v6: Option<SocketAddr>,
}

/// Answers questions until no process of the box is left to ask any.
pub(crate) fn serve(clerk: Clerk) -> io::Result<()> {
    std::thread::Builder::new().name("bartizan-behalf".into()).spawn(move || {
        // A signal to the supervisor must not break off what is done here.
        let _signals = sys::block_signals();
        attend(&Arc::new(clerk));
    })?;
    Ok(())
}

fn attend(clerk: &Arc<Clerk>) {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let mut ready = [PollFd::new(&clerk.listener, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None)).is_err() {
            return;
        }
        let [ready] = ready;
        if !ready.revents().contains(PollFlags::IN) {
            return;
        }
        match sys::hear_question(clerk.listener.as_fd()) {
            Ok(question) => clerk.take_up(question, &busy),
            // It was withdrawn before it was heard.
            Err(Errno::NOENT | Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

impl Clerk {
    /// A connect can wait for its other end, so it gets a thread of its own, up to a bound; the rest is done at once.
    fn take_up(self: &Arc<Self>, question: Question, busy: &Arc<AtomicUsize>) {
        if question.call != libc::SYS_connect {
            return self.answer(&question, self.act(&question));
        }
        if busy.fetch_add(1, Ordering::SeqCst) >= MOST_AT_ONCE {
            busy.fetch_sub(1, Ordering::SeqCst);
            return self.answer(&question, Err(Errno::AGAIN));
        }
        let (clerk, counted) = (Arc::clone(self), Arc::clone(busy));
        let spawned =
            std::thread::Builder::new().name("bartizan-connect".into()).spawn(move || {
                clerk.answer(&question, clerk.act(&question));
                counted.fetch_sub(1, Ordering::SeqCst);
            });
        if spawned.is_err() {
            busy.fetch_sub(1, Ordering::SeqCst);
            self.answer(&question, Err(Errno::AGAIN));
        }
    }

    fn answer(&self, question: &Question, answer: Result<(), Errno>) {
        // Whoever asked is gone when this fails.
        sys::answer_question(self.listener.as_fd(), question.id, answer).ok();
    }

    fn act(&self, question: &Question) -> Result<(), Errno> {
        let caller = Caller::of(self.listener.as_fd(), question)?;
        match question.call {
            libc::SYS_connect => self.connect(question, &caller),
            libc::SYS_bind => self.bind(question, &caller),
            libc::SYS_listen => listen(question, &caller),
            _ => files::act(question, &caller, &self.roots, self.ids),
        }
    }

    fn connect(&self, question: &Question, caller: &Caller) -> Result<(), Errno> {
        let [fd, address, length, ..] = question.arguments;
        let address = caller.address(address, length)?;
        let socket = caller.descriptor(fd)?;
        let domain = domain(&socket, &address)?;
        match address {
            Address::Unix(name) => {
                let path = self.unix_socket(&name, caller)?;
                rustix::net::connect(&socket, &through(&path)?)
            }
            Address::Internet(wanted) => {
                let wanted = canonical(wanted);
                if let Some(own) = self.own.find(wanted) {
                    return rustix::net::connect(&socket, &dressed(own, domain)?);
                }
                let door = self.doors.as_ref().and_then(|doors| doors.for_destination(wanted));
                let door = door.ok_or(Errno::CONNREFUSED)?;
                self.to_door(&socket, domain, door, wanted)
            }
        }
    }

    /// Connects the box's socket to one of our listeners, written down first.
    fn to_door(
        &self,
        socket: &OwnedFd,
        domain: AddressFamily,
        door: Door,
        wanted: SocketAddr,
    ) -> Result<(), Errno> {
        if rustix::net::getpeername(socket).is_ok() {
            return Err(Errno::ISCONN);
        }
        let (home, target) = match (domain, door.v6) {
            (AddressFamily::INET, _) => (IpAddr::from(Ipv4Addr::LOCALHOST), door.v4),
            (_, Some(v6)) => (Ipv6Addr::LOCALHOST.into(), v6),
            (_, None) => (mapped(Ipv4Addr::LOCALHOST).into(), dressed(door.v4, domain)?),
        };
        let mut end = own_end(socket)?;
        if end.port() == 0 {
            rustix::net::bind(socket, &SocketAddr::new(home, 0))?;
            end = own_end(socket)?;
        }
        let copy = socket.try_clone().map_err(|_| Errno::MFILE)?;
        self.origins.expect(end, wanted, copy)?;
        match rustix::net::connect(socket, &target) {
            Ok(()) => Ok(()),
            // Under way, by this call or an earlier one.
            Err(errno @ (Errno::INPROGRESS | Errno::ALREADY | Errno::ISCONN)) => Err(errno),
            Err(errno) => {
                self.origins.forget(end);
                Err(errno)
            }
        }
    }

    /// A unix socket that the box may call: one the specification names, or one in the box's own folders.
    fn unix_socket(&self, name: &[u8], caller: &Caller) -> Result<OwnedFd, Errno> {
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        if name.is_empty() || name.starts_with(b"\0") {
            return Err(Errno::CONNREFUSED);
        }
        let shown = self.sockets.iter().find(|(inside, _)| inside == path);
        let socket = match shown {
            Some((_, host)) => rustix::fs::openat2(
                CWD,
                host,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            )?,
            None => files::resolve(caller, libc::AT_FDCWD, name, true, &self.roots)?,
        };
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&socket)?.st_mode);
        if kind == rustix::fs::FileType::Socket { Ok(socket) } else { Err(Errno::CONNREFUSED) }
    }

    fn bind(&self, question: &Question, caller: &Caller) -> Result<(), Errno> {
        let [fd, address, length, ..] = question.arguments;
        let address = caller.address(address, length)?;
        let socket = caller.descriptor(fd)?;
        let domain = domain(&socket, &address)?;
        match address {
            Address::Unix(name) => {
                if name.is_empty() || name.starts_with(b"\0") {
                    return Err(Errno::ACCESS);
                }
                files::name_socket(caller, &socket, &name, &self.roots, self.ids)
            }
            Address::Internet(wanted) => {
                let local = wanted.ip().to_canonical();
                let may = local.is_loopback() || local.is_unspecified();
                if !may || (1..1024).contains(&wanted.port()) {
                    return Err(Errno::ACCESS);
                }
                let home = match (domain, wanted.ip()) {
                    (AddressFamily::INET, _) => Ipv4Addr::LOCALHOST.into(),
                    (_, IpAddr::V6(Ipv6Addr::LOCALHOST)) => IpAddr::from(Ipv6Addr::LOCALHOST),
                    _ if sockopt::ipv6_v6only(&socket)? => Ipv6Addr::LOCALHOST.into(),
                    // What would listen to both kinds listens to the one that both can call.
                    _ => mapped(Ipv4Addr::LOCALHOST).into(),
                };
                rustix::net::bind(&socket, &SocketAddr::new(home, wanted.port()))?;
                self.own.note(own_end(&socket)?, rustix::fs::fstat(&socket)?.st_ino);
                Ok(())
            }
        }
    }
}

impl Doors {
    /// The listener that serves connections to `wanted`; none for the host's own loopback.
    pub(crate) fn for_destination(&self, wanted: SocketAddr) -> Option<Door> {
        let local = wanted.ip().is_loopback() || wanted.ip().is_unspecified();
        match wanted.port() {
            53 => Some(self.dns),
            HTTP_PROXY_PORT if local => Some(self.http_proxy),
            SOCKS_PORT if local => Some(self.socks),
            _ if local => None,
            _ => Some(self.tcp),
        }
    }
}

/// An inet socket without an address of its own would be given one that the whole world can call.
fn listen(question: &Question, caller: &Caller) -> Result<(), Errno> {
    let [fd, backlog, ..] = question.arguments;
    let socket = caller.descriptor(fd)?;
    let unix = sockopt::socket_domain(&socket)? == AddressFamily::UNIX;
    if !unix {
        let end = canonical(own_end(&socket)?);
        if end.port() == 0 || !end.ip().is_loopback() {
            return Err(Errno::ACCESS);
        }
    }
    let backlog = i32::try_from(backlog & 0xffff).unwrap_or(128);
    rustix::net::listen(&socket, backlog)
}

/// The process that asks.
pub(crate) struct Caller {
    pub(crate) thread: i32,
    process: OwnedFd,
}

impl Caller {
    /// Finds who asks. The number cannot have become another's when the question still stands afterwards.
    fn of(listener: BorrowedFd<'_>, question: &Question) -> Result<Self, Errno> {
        let thread = question.thread;
        let status =
            fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::SRCH)?;
        let leader = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
        let leader = leader.and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
        let process = rustix::process::pidfd_open(leader.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        if sys::still_asks(listener, question.id) {
            Ok(Self { thread, process })
        } else {
            Err(Errno::SRCH)
        }
    }

    /// The very file or socket behind one of the caller's descriptors.
    pub(crate) fn descriptor(&self, number: u64) -> Result<OwnedFd, Errno> {
        let number = i32::try_from(number & 0xffff_ffff).map_err(|_| Errno::BADF)?;
        rustix::process::pidfd_getfd(&self.process, number, PidfdGetfdFlags::empty())
    }

    /// Exactly this much of the caller's memory.
    pub(crate) fn memory<const N: usize>(&self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        match sys::read_memory(self.thread, address, &mut bytes)? {
            read if read == N => Ok(bytes),
            _ => Err(Errno::FAULT),
        }
    }

    fn address(&self, address: u64, length: u64) -> Result<Address, Errno> {
        let length = usize::try_from(length).map_err(|_| Errno::INVAL)?;
        let mut bytes = [0_u8; 128];
        let wanted = bytes.get_mut(..length).ok_or(Errno::INVAL)?;
        if sys::read_memory(self.thread, address, wanted)? != length {
            return Err(Errno::FAULT);
        }
        Address::read(bytes.get(..length).unwrap_or_default())
    }
}

/// A socket address as the program wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Internet(SocketAddr),
    /// A path without its end, or an abstract name with its leading zero; empty when none was given.
    Unix(Vec<u8>),
}

impl Address {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Errno> {
        let family = u16::from_ne_bytes(*bytes.first_chunk().ok_or(Errno::INVAL)?);
        let rest = bytes.get(2..).unwrap_or_default();
        let port = || rest.first_chunk().map(|port| u16::from_be_bytes(*port)).ok_or(Errno::INVAL);
        match i32::from(family) {
            libc::AF_UNIX if rest.first() == Some(&0) => Ok(Self::Unix(rest.to_vec())),
            libc::AF_UNIX => {
                let path = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                Ok(Self::Unix(path.to_vec()))
            }
            libc::AF_INET if bytes.len() >= 16 => {
                let ip: [u8; 4] =
                    *rest.get(2..).and_then(<[u8]>::first_chunk).ok_or(Errno::INVAL)?;
                Ok(Self::Internet(SocketAddr::new(Ipv4Addr::from(ip).into(), port()?)))
            }
            libc::AF_INET6 if bytes.len() >= 24 => {
                let ip: [u8; 16] =
                    *rest.get(6..).and_then(<[u8]>::first_chunk).ok_or(Errno::INVAL)?;
                Ok(Self::Internet(SocketAddr::new(Ipv6Addr::from(ip).into(), port()?)))
            }
            libc::AF_INET | libc::AF_INET6 => Err(Errno::INVAL),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }
}

/// The socket's family, which must be the address's; and a stream, which the filter has seen to already.
fn domain(socket: &OwnedFd, address: &Address) -> Result<AddressFamily, Errno> {
    let domain = sockopt::socket_domain(socket)?;
    let kind = sockopt::socket_type(socket)?;
    let fits = match (address, domain) {
        (Address::Unix(_), AddressFamily::UNIX) => {
            matches!(kind, SocketType::STREAM | SocketType::SEQPACKET)
        }
        (Address::Internet(SocketAddr::V4(_)), AddressFamily::INET)
        | (Address::Internet(SocketAddr::V6(_)), AddressFamily::INET6) => {
            kind == SocketType::STREAM
        }
        _ => false,
    };
    if fits { Ok(domain) } else { Err(Errno::AFNOSUPPORT) }
}

fn own_end(socket: &OwnedFd) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(rustix::net::getsockname(socket)?).map_err(|_| Errno::AFNOSUPPORT)
}

/// The name under which the kernel finds what a descriptor of ours stands for.
pub(crate) fn through(file: &OwnedFd) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}", sys::number(file)).as_str())
}

/// An address in the clothes of the socket's family.
fn dressed(address: SocketAddr, domain: AddressFamily) -> Result<SocketAddr, Errno> {
    match (address.ip(), domain) {
        (IpAddr::V4(ip), AddressFamily::INET6) => {
            Ok(SocketAddr::new(mapped(ip).into(), address.port()))
        }
        (IpAddr::V6(_), AddressFamily::INET) => Err(Errno::CONNREFUSED),
        _ => Ok(address),
    }
}

fn mapped(ip: Ipv4Addr) -> Ipv6Addr {
    ip.to_ipv6_mapped()
}

/// Where tier A's proxies stand in the box's own network; programs are told the same here.
const HTTP_PROXY_PORT: u16 = 3128;
const SOCKS_PORT: u16 = 1080;
const MOST_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn doors() -> Doors {
        let door = |port| Door { v4: ([127, 0, 0, 1], port).into(), v6: None };
        Doors { tcp: door(1), dns: door(2), http_proxy: door(3), socks: door(4) }
    }

    #[test]
    fn every_destination_has_one_door_and_the_hosts_loopback_has_none() {
        let port = |address: &str| {
            let wanted = canonical(address.parse().unwrap());
            doors().for_destination(wanted).map(|door| door.v4.port())
        };
        assert_eq!(port("1.1.1.1:443"), Some(1));
        assert_eq!(port("[2606:4700::1111]:22"), Some(1));
        assert_eq!(port("8.8.8.8:53"), Some(2));
        assert_eq!(port("127.0.0.53:53"), Some(2));
        assert_eq!(port("127.0.0.1:3128"), Some(3));
        assert_eq!(port("192.0.2.1:3128"), Some(1));
        assert_eq!(port("127.0.0.1:1080"), Some(4));
        for local in [
            "127.0.0.1:22",
            "127.9.9.9:5432",
            "0.0.0.0:80",
            "[::1]:80",
            "[::]:80",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert_eq!(port(local), None, "{local}");
        }
    }

    #[test]
    fn an_address_is_read_as_the_kernel_reads_it_or_refused() {
        let v4 = [&2_u16.to_ne_bytes()[..], &[0x01, 0xbb, 1, 2, 3, 4], &[0; 8]].concat();
        assert_eq!(Address::read(&v4), Ok(Address::Internet("1.2.3.4:443".parse().unwrap())));
        assert_eq!(Address::read(&v4[..12]), Err(Errno::INVAL));
        let unix = [&1_u16.to_ne_bytes()[..], b"/run/x\0junk"].concat();
        assert_eq!(Address::read(&unix), Ok(Address::Unix(b"/run/x".to_vec())));
        let hidden = [&1_u16.to_ne_bytes()[..], b"\0name\0x"].concat();
        assert_eq!(Address::read(&hidden), Ok(Address::Unix(b"\0name\0x".to_vec())));
        assert_eq!(Address::read(&[0, 0, 0, 0]), Err(Errno::AFNOSUPPORT));
        for short in [&[][..], &[2], &[10, 0, 1]] {
            assert_eq!(Address::read(short), Err(Errno::INVAL));
        }
    }
}
