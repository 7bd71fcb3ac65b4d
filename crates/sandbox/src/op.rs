//! Of which single acts does the start of a box consist?
//!
//! A plan is a list of these; the child carries them out in order and, when one fails, names it by its place in the list.
use crate::error::Mechanism;
use crate::linux::landlock::Rule;
use std::ffi::{CStr, CString};
use std::fmt;
use std::net::SocketAddr;

/// One act. Paths are relative to the new root unless said otherwise. No `Debug`: a file's contents may be confidential.
#[derive(Clone)]
pub(crate) enum Op {
    /// Offers this process first when the host itself is out of memory. Not required.
    OfferToOom,
    /// Maps the caller's own user and group into the namespace.
    MapSelf {
        uid_map: Vec<u8>,
        gid_map: Vec<u8>,
    },
    /// Waits until the supervisor has mapped the box's user, and takes it on.
    Become {
        uid: u32,
        gid: u32,
    },
    /// Takes on the box's user, which the namespace it has joined maps already.
    BecomeMapped {
        uid: u32,
        gid: u32,
    },
    /// Dies with the supervisor, and cannot be read by the program inside.
    BindLife,
    HostName(CString),
    Netlink(Netlink),
    Listen(Listen),
    PrivateMounts,
    /// Lays a tmpfs over the old root, for scaffolding, and goes there.
    Stage {
        options: CString,
    },
    /// Mounts the new root on the stage and goes there.
    NewRoot {
        options: CString,
    },
    Dir {
        path: CString,
        mode: u32,
    },
    File {
        path: CString,
        contents: Vec<u8>,
        mode: u32,
    },
    Link {
        path: CString,
        target: CString,
    },
    Tmpfs {
        path: CString,
        options: CString,
    },
    Bind(Bind),
    /// Covers what is there, if anything is, with an empty thing of the same kind.
    Mask {
        path: CString,
        with: CString,
    },
    Overlay {
        path: CString,
        options: CString,
    },
    Proc,
    /// No further user namespace below this one.
    NoUserNamespaces,
    /// Of what the kernel counts for a user, the box may have so many, so that its user has some left outside of it.
    UserLimit {
        path: CString,
        value: Vec<u8>,
    },
    ReadOnly {
        path: CString,
    },
    Pts,
    Terminal {
        rows: u16,
        cols: u16,
    },
    HoldUpper {
        path: CString,
    },
    /// Keeps hold of the home directory, for the supervisor to read when the box has ended.
    HoldHome {
        path: CString,
    },
    /// Keeps hold of this box's user and mount namespaces, for narrower boxes in its view.
    HoldNamespaces,
    SealRoot,
    Pivot,
    SessionKeyring,
    Limit {
        name: &'static str,
        resource: Resource,
        value: u64,
    },
    /// Passes the listening sockets, the terminal and the upper directory to the supervisor.
    HandOver,
    /// Goes into the box's control groups, and makes those the root of what it sees.
    EnterGroups,
    NoNewPrivileges,
    Landlock {
        rights: u64,
        scoped: u64,
        rules: Vec<Rule>,
    },
    DropCapabilities,
    Filter(Vec<libc::sock_filter>),
}

/// A netlink request, and how many acknowledgements it must get.
#[derive(Clone, Debug)]
pub(crate) struct Netlink {
    pub(crate) to: Subsystem,
    pub(crate) message: Vec<u8>,
    pub(crate) acknowledgements: u32,
}

/// Where a netlink request goes, and what its failure means.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subsystem {
    /// `nf_tables`. A kernel without it leaves capture to listeners on well-known ports.
    Filter,
    /// Loopback alone. Nothing goes on without it.
    Loopback,
    /// Routing. Nothing goes on without it.
    Route,
    /// Routing for IPv6; without it there is just no IPv6.
    RouteV6,
}

/// A socket that listens inside for the supervisor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen {
    pub(crate) tag: Tag,
    pub(crate) address: SocketAddr,
    pub(crate) when: When,
}

/// When a listener is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// Only when `nf_tables` did not take the redirect rules.
    WithoutRedirect,
}

/// What a descriptor handed over to the supervisor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    Upper = 1,
    Terminal = 2,
    Tcp = 3,
    DnsUdp = 4,
    DnsTcp = 5,
    HttpProxy = 6,
    Socks = 7,
    /// Where calls that the filter asks about are heard (tier B).
    Questions = 8,
    UserNamespace = 9,
    MountNamespace = 10,
    Home = 11,
}

/// A bind of something into the view.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) source: Source,
    pub(crate) path: CString,
    /// `MOUNT_ATTR_*` bits, set on the whole tree.
    pub(crate) attributes: u64,
}

/// What is bound.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A canonical host path; refused when it leads through a symlink by the time it is bound, or, when an identity is
    /// given, to another inode. `owner` is whose files shall look like the box's own when the box has a private user.
    Host { path: CString, identity: Option<(u64, u64)>, owner: Option<(u32, u32)> },
    /// A path already in the new root.
    Inside(CString),
}

/// The resources limited by `setrlimit`.
pub(crate) type Resource = rustix::process::Resource;

impl Op {
    /// The mechanism this act belongs to.
    pub(crate) const fn mechanism(&self) -> Mechanism {
        match self {
            Self::OfferToOom | Self::Limit { .. } | Self::UserLimit { .. } => {
                Mechanism::ResourceLimits
            }
            Self::MapSelf { .. } | Self::Become { .. } | Self::BecomeMapped { .. } => {
                Mechanism::UserMapping
            }
            Self::BindLife | Self::HostName(_) | Self::NoUserNamespaces | Self::HoldNamespaces => {
                Mechanism::Namespaces
            }
            Self::EnterGroups => Mechanism::Cgroup,
            Self::Netlink(_) | Self::Listen(_) => Mechanism::Network,
            Self::PrivateMounts
            | Self::Stage { .. }
            | Self::NewRoot { .. }
            | Self::Dir { .. }
            | Self::File { .. }
            | Self::Link { .. }
            | Self::Tmpfs { .. }
            | Self::Bind(_)
            | Self::Overlay { .. }
            | Self::Proc
            | Self::ReadOnly { .. }
            | Self::Pts
            | Self::HoldUpper { .. }
            | Self::HoldHome { .. }
            | Self::Mask { .. }
            | Self::SealRoot
            | Self::Pivot => Mechanism::Mounts,
            Self::Terminal { .. } | Self::HandOver => Mechanism::Descriptors,
            Self::Landlock { .. } => Mechanism::Landlock,
            Self::SessionKeyring | Self::NoNewPrivileges | Self::DropCapabilities => {
                Mechanism::Capabilities
            }
            Self::Filter(_) => Mechanism::Seccomp,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfferToOom => f.write_str("offer to the host's oom killer first"),
            Self::MapSelf { uid_map, gid_map } => {
                let map = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
                write!(f, "map users `{}`, groups `{}`", map(uid_map), map(gid_map))
            }
            Self::BecomeMapped { uid, gid } => {
                write!(f, "become user {uid}, group {gid} of the box around")
            }
            Self::HoldNamespaces => f.write_str("hold the user and mount namespaces"),
            Self::Become { uid, gid } => write!(f, "become user {uid}, group {gid}"),
            Self::BindLife => f.write_str("die with the supervisor, not readable from inside"),
            Self::HostName(name) => write!(f, "host name {}", text(name)),
            Self::Netlink(request) => write!(f, "{request}"),
            Self::Listen(Listen { tag, address, when }) => {
                write!(f, "listen {tag:?} {address} {when:?}")
            }
            Self::PrivateMounts => f.write_str("mounts private"),
            Self::Stage { options } => write!(f, "stage, tmpfs {}", text(options)),
            Self::NewRoot { options } => write!(f, "new root, tmpfs {}", text(options)),
            Self::Dir { path, mode } => write!(f, "dir /{} {mode:04o}", text(path)),
            Self::File { path, contents, mode } => {
                write!(f, "file /{} {mode:04o} ({} bytes)", text(path), contents.len())
            }
            Self::Link { path, target } => write!(f, "link /{} -> {}", text(path), text(target)),
            Self::Tmpfs { path, options } => write!(f, "tmpfs /{} {}", text(path), text(options)),
            Self::Bind(bind) => write!(f, "{bind}"),
            Self::Mask { path, with } => write!(f, "mask /{} with /{}", text(path), text(with)),
            Self::Overlay { path, options } => {
                write!(f, "overlay /{} {}", text(path), text(options))
            }
            Self::Proc => f.write_str("proc /proc hidepid=2"),
            Self::NoUserNamespaces => f.write_str("no nested user namespace"),
            Self::UserLimit { path, value } => {
                write!(f, "limit /{} {}", text(path), String::from_utf8_lossy(value))
            }
            Self::ReadOnly { path } => write!(f, "read-only /{}", text(path)),
            Self::Pts => f.write_str("pts /dev/pts"),
            Self::Terminal { rows, cols } => write!(f, "terminal {rows}x{cols}"),
            Self::HoldUpper { path } => write!(f, "hold upper /{}", text(path)),
            Self::HoldHome { path } => write!(f, "hold home /{}", text(path)),
            Self::SealRoot => f.write_str("root read-only"),
            Self::Pivot => f.write_str("pivot, old root gone"),
            Self::SessionKeyring => f.write_str("new session keyring"),
            Self::Limit { name, value, .. } => write!(f, "limit {name} {value}"),
            Self::HandOver => f.write_str("hand descriptors to the supervisor"),
            Self::EnterGroups => f.write_str("enter the control groups, as root of what is seen"),
            Self::NoNewPrivileges => f.write_str("no new privileges"),
            Self::Landlock { rights, scoped, rules } => {
                write!(f, "landlock rights {rights:#x} scopes {scoped:#x}")?;
                rules.iter().try_for_each(|rule| {
                    write!(f, "\n    allow {:#06x} {}", rule.rights, text(&rule.path))
                })
            }
            Self::DropCapabilities => f.write_str("no capability in any set, locked"),
            Self::Filter(program) => write!(f, "seccomp, {} instructions", program.len()),
        }
    }
}

impl fmt::Display for Netlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.to {
            Subsystem::Filter => "redirect what leaves to the capture ports",
            Subsystem::Loopback => "loopback up, and nothing else",
            Subsystem::Route => "loopback up, every IPv4 address local",
            Subsystem::RouteV6 => "every IPv6 address local",
        };
        write!(f, "{what} ({} bytes)", self.message.len())
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |bit: u64, name| if self.attributes & bit == 0 { "" } else { name };
        let flags = [flag(RDONLY, " ro"), flag(NOSUID, " nosuid"), flag(NODEV, " nodev")].concat()
            + flag(NOEXEC, " noexec");
        match &self.source {
            Source::Host { path, owner, .. } => {
                write!(f, "bind {} -> /{}{flags}", text(path), text(&self.path))?;
                owner.map_or(Ok(()), |(uid, gid)| write!(f, " idmap {uid}:{gid}"))
            }
            Source::Inside(path) => {
                write!(f, "bind inside /{} -> /{}{flags}", text(path), text(&self.path))
            }
        }
    }
}

fn text(string: &CStr) -> std::borrow::Cow<'_, str> {
    string.to_string_lossy()
}

/// `MOUNT_ATTR_RDONLY`.
pub(crate) const RDONLY: u64 = 1;
/// `MOUNT_ATTR_NOSUID`.
pub(crate) const NOSUID: u64 = 2;
/// `MOUNT_ATTR_NODEV`.
pub(crate) const NODEV: u64 = 4;
/// `MOUNT_ATTR_NOEXEC`.
pub(crate) const NOEXEC: u64 = 8;
