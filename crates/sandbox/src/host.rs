//! What is true of this host, as far as a plan needs to know?
use crate::error::PlanError;
use crate::linux::cgroup::Place;
use crate::linux::paths;
use crate::spec::{BoxSpec, WorkspaceMode};
use crate::sys;
use crate::writeback;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// What the host was found to be. Gathered once, so that planning itself asks nothing.
#[derive(Clone, Debug)]
pub struct HostFacts {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The host user a box of its own gets, when we are root on the host.
    pub(crate) private_uid: Option<u32>,
    pub(crate) ipv6: bool,
    pub(crate) landlock_abi: i32,
    pub(crate) home: Option<PathBuf>,
    pub(crate) cgroup: Place,
    /// What `AppArmor` or a sysctl says against user namespaces, if anything.
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) paths: BTreeMap<PathBuf, PathFact>,
    /// Small files of `/etc` that a program may need, as they are.
    pub(crate) etc_files: BTreeMap<PathBuf, Vec<u8>>,
    /// What lies below `/etc` under names that hold a version.
    pub(crate) etc_trees: Vec<PathBuf>,
    /// What tools of the host execute or obey at the top of a workspace that is written directly.
    pub(crate) obeyed: Vec<PathBuf>,
    /// How many inotify instances and watches one user may have here.
    pub(crate) inotify: [u64; 2],
    /// A mount below the workspace, if there is one.
    pub(crate) mount_in_workspace: Option<PathBuf>,
    /// Makes names of this box unlike those of any other.
    pub(crate) nonce: u64,
}

/// What stands against user namespaces here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    AppArmor,
    Debian,
    MaxUserNamespaces,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathFact {
    pub(crate) kind: Kind,
    pub(crate) canonical: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) identity: (u64, u64),
}

/// The kinds of paths a plan tells apart; for a symlink, the kind is `Link` and the rest is of what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link { target: PathBuf, leads_to: Box<Self> },
    Other,
    Socket,
}

impl HostFacts {
    /// Looks at the host: who we are, what the kernel offers, what the paths of `spec` are.
    pub fn gather(spec: &BoxSpec) -> Result<Self, PlanError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut facts = Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            private_uid: None,
            ipv6: Path::new("/proc/sys/net/ipv6").exists(),
            landlock_abi: sys::landlock_abi(),
            home: std::env::var_os("HOME").map(PathBuf::from),
            cgroup: Place::find(&mounts),
            obstacle: obstacle(),
            paths: BTreeMap::new(),
            etc_files: BTreeMap::new(),
            etc_trees: Vec::new(),
            obeyed: Vec::new(),
            inotify: ["instances", "watches"].map(inotify),
            mount_in_workspace: mount_below(&mounts, &spec.workspace),
            nonce: nonce()?,
        };
        if facts.uid == 0 && maps_everything() {
            facts.private_uid =
                Some(PRIVATE_UIDS | (u32::try_from(facts.nonce & 0x03ff_ffff).unwrap_or(1)));
        }
        facts.look(spec)?;
        if spec.workspace_mode == WorkspaceMode::Direct {
            facts.look_for_obeyed(&spec.workspace)?;
        }
        facts.look_at_etc();
        Ok(facts)
    }

    fn look(&mut self, spec: &BoxSpec) -> Result<(), PlanError> {
        let sockets = spec.sockets.iter().map(|socket| socket.host.as_path());
        let synthetic = spec.synthetic.iter().map(|file| file.path.as_path());
        let asked = [spec.workspace.as_path(), &spec.home, &spec.program, &spec.cwd]
            .into_iter()
            .chain(spec.readable.iter().map(PathBuf::as_path))
            .chain(spec.never_visible.iter().map(PathBuf::as_path))
            .chain(sockets)
            .chain(synthetic);
        for path in asked {
            self.look_at(path)?;
        }
        paths::looked_at().try_for_each(|path| self.look_at(path))
    }

    fn look_at(&mut self, path: &Path) -> Result<(), PlanError> {
        if self.paths.contains_key(path) {
            return Ok(());
        }
        match fact(path) {
            Ok(fact) => {
                self.paths.insert(path.to_owned(), fact);
            }
            // What is not there, or not for us to see, cannot be shown to the box either.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::NotADirectory
                ) => {}
            Err(source) => {
                return Err(PlanError::Io { what: "path", path: path.to_owned(), source });
            }
        }
        Ok(())
    }

    /// Not what is a link: it would show what it leads to.
    fn look_for_obeyed(&mut self, workspace: &Path) -> Result<(), PlanError> {
        for name in writeback::obeyed_names() {
            let path = workspace.join(name);
            self.look_at(&path)?;
            let plain = |fact: &PathFact| {
                fact.canonical == path && matches!(fact.kind, Kind::Directory | Kind::File)
            };
            if self.path(&path).is_some_and(plain) {
                self.obeyed.push(path);
            }
        }
        Ok(())
    }

    fn look_at_etc(&mut self) {
        for name in paths::ETC_FILES {
            let path = Path::new("/etc").join(name);
            if let Some(contents) = small_public_file(&path) {
                self.etc_files.insert(path, contents);
            }
        }
        let Ok(entries) = fs::read_dir("/etc") else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let versioned = paths::ETC_VERSIONED
                .iter()
                .any(|prefix| name.to_str().is_some_and(|name| name.starts_with(prefix)));
            if versioned && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.etc_trees.push(entry.path());
            }
        }
        self.etc_trees.sort();
        for path in self.etc_trees.clone() {
            // Not there any more: then it is not bound.
            drop(self.look_at(&path));
        }
    }

    pub(crate) fn path(&self, path: &Path) -> Option<&PathFact> {
        self.paths.get(path)
    }
}

impl PathFact {
    /// The kind, after following a symlink.
    pub(crate) fn final_kind(&self) -> &Kind {
        match &self.kind {
            Kind::Link { leads_to, .. } => leads_to,
            kind => kind,
        }
    }
}

/// What a path is. Most lead through no symlink; then one look is enough, and the path is canonical as it stands.
fn fact(path: &Path) -> io::Result<PathFact> {
    let plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if plain && path.is_absolute() {
        match direct_fact(path) {
            Err(Errno::LOOP) => {}
            fact => return Ok(fact?),
        }
    }
    let here = fs::symlink_metadata(path)?;
    let metadata = fs::metadata(path)?;
    let canonical = fs::canonicalize(path)?;
    let kind = kind(metadata.file_type());
    let kind = if here.is_symlink() {
        Kind::Link { target: fs::read_link(path)?, leads_to: Box::new(kind) }
    } else {
        kind
    };
    Ok(PathFact {
        kind,
        canonical,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.permissions().mode() & 0o7777,
        identity: (metadata.dev(), metadata.ino()),
    })
}

fn direct_fact(path: &Path) -> Result<PathFact, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let at = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let stat = rustix::fs::fstat(&at)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Socket => Kind::Socket,
        _ => Kind::Other,
    };
    Ok(PathFact {
        kind,
        canonical: path.components().collect(),
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
        identity: (stat.st_dev, stat.st_ino),
    })
}

fn kind(file_type: fs::FileType) -> Kind {
    if file_type.is_dir() {
        Kind::Directory
    } else if file_type.is_file() {
        Kind::File
    } else if file_type.is_socket() {
        Kind::Socket
    } else {
        Kind::Other
    }
}

/// The contents of a file anyone may read, if it is small; a symlink is followed.
fn small_public_file(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let size = usize::try_from(stat.st_size).ok()?;
    let small = size <= SMALL_BYTES;
    let public = stat.st_mode & 0o004 != 0;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !small || !public {
        return None;
    }
    let mut contents = Vec::with_capacity(size + 1);
    let mut limited = io::Read::take(fs::File::from(file), SMALL_BYTES as u64);
    io::Read::read_to_end(&mut limited, &mut contents).ok()?;
    Some(contents)
}

/// How many of these a user may have. What cannot be read is taken for the kernel's usual least.
fn inotify(what: &str) -> u64 {
    let told = fs::read_to_string(format!("/proc/sys/fs/inotify/max_user_{what}"));
    told.ok().and_then(|told| told.trim().parse().ok()).unwrap_or(128)
}

fn obstacle() -> Option<Obstacle> {
    let says = |path: &str, value: &str| {
        fs::read_to_string(path).is_ok_and(|contents| contents.trim() == value)
    };
    if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        Some(Obstacle::AppArmor)
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        Some(Obstacle::Debian)
    } else if says("/proc/sys/user/max_user_namespaces", "0") {
        Some(Obstacle::MaxUserNamespaces)
    } else {
        None
    }
}

/// Whether this user namespace maps every user to itself, as the host's own does.
fn maps_everything() -> bool {
    fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

fn mount_below(mounts: &str, workspace: &Path) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let point = Path::new(line.split(' ').nth(4)?);
        (point.starts_with(workspace) && point != workspace).then(|| point.to_owned())
    })
}

pub(crate) fn nonce() -> Result<u64, PlanError> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|e| {
        PlanError::Io { what: "random numbers", path: PathBuf::new(), source: e.into() }
    })?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Users from here on belong to nobody on an ordinary host; the low bits are chance.
const PRIVATE_UIDS: u32 = 0x7000_0000;
/// Above this a file is bound instead of copied.
const SMALL_BYTES: usize = 64 << 10;
