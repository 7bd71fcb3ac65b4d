//! What does the box see of the file system, and in which order is that view put together?
//!
//! A [`View`] is a map of places, ordered so that a directory comes before what lies in it. It starts with what every box
//! has; the specification adds to it; then it is turned into acts.
use super::landlock::{self, Rule};
use super::paths::{
    DEVICE_LINKS, DEVICES, ETC_TREES, PROC_FILES_MASKED, PROC_TREES_MASKED, SYSTEM,
};
use crate::error::PlanError;
use crate::host::{HostFacts, Kind, PathFact};
use crate::op::{Bind, NODEV, NOEXEC, NOSUID, Op, RDONLY, Source};
use crate::spec::WorkspaceMode;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The file system of one box, as a map.
pub(crate) struct View<'a> {
    facts: &'a HostFacts,
    places: BTreeMap<PathBuf, Place>,
}

/// What stands at a path.
#[derive(Clone)]
pub(crate) enum Place {
    /// A host path, read-only.
    Bound {
        source: PathBuf,
        fact: PathFact,
    },
    /// A synthetic file in a directory of our own.
    File {
        contents: Vec<u8>,
        mode: u32,
    },
    Link(PathBuf),
    /// A folder at the top of a directly used workspace whose changes land in a layer, where write-back finds them as
    /// those of an overlay of the whole workspace.
    Layered {
        bytes: u64,
        fact: PathFact,
        /// The mode of the workspace itself.
        around: u32,
    },
    /// A synthetic file on a read-only mount of its own, where the directory around it can be written.
    Pinned {
        contents: Vec<u8>,
        mode: u32,
    },
    /// An empty tmpfs.
    Scratch {
        bytes: u64,
        mode: u32,
    },
    /// A host socket.
    Socket {
        source: PathBuf,
        fact: PathFact,
    },
    Workspace {
        mode: WorkspaceMode,
        fact: PathFact,
    },
}

impl<'a> View<'a> {
    /// What every box has.
    pub(crate) fn new(facts: &'a HostFacts) -> Self {
        let mut view = Self { facts, places: BTreeMap::new() };
        for path in SYSTEM.iter().map(Path::new) {
            view.show(path);
        }
        for path in
            ETC_TREES.iter().map(Path::new).chain(facts.etc_trees.iter().map(PathBuf::as_path))
        {
            view.show(path);
        }
        for (path, contents) in &facts.etc_files {
            if !view.is_bound(path) {
                view.places
                    .insert(path.clone(), Place::File { contents: contents.clone(), mode: 0o644 });
            }
        }
        let link = |target: &str| Place::Link(target.into());
        view.places.insert("/etc/mtab".into(), link("/proc/self/mounts"));
        view
    }

    /// Puts something at a path, which must not be taken by anything but a file of the host's `/etc`.
    pub(crate) fn put(&mut self, path: &Path, place: Place) -> Result<(), PlanError> {
        let unplaceable = |reason| PlanError::Unplaceable { path: path.to_owned(), reason };
        if ["/proc", "/dev", "/sys"].iter().any(|taken| path.starts_with(taken))
            || path == Path::new("/")
        {
            return Err(unplaceable("the box makes this directory itself"));
        }
        if path
            .ancestors()
            .skip(1)
            .any(|above| matches!(self.places.get(above), Some(Place::Link(_))))
        {
            return Err(unplaceable("a directory above it is a symlink in the box"));
        }
        match self.places.get(path) {
            None | Some(Place::File { .. }) => {}
            Some(_) => return Err(unplaceable("something else is there already")),
        }
        self.places.insert(path.to_owned(), place);
        Ok(())
    }

    /// Shows a host path at its own place, read-only; if it is a symlink, what it leads to as well. Returns whether
    /// there was anything to show.
    pub(crate) fn show(&mut self, path: &Path) -> bool {
        let Some(fact) = self.facts.path(path) else { return false };
        match &fact.kind {
            Kind::Link { target, leads_to }
                if matches!(**leads_to, Kind::Directory | Kind::File) =>
            {
                let resolved = fact.canonical.clone();
                let shown = PathFact { kind: (**leads_to).clone(), ..fact.clone() };
                self.bind(&resolved, shown);
                if !self.is_bound(path) {
                    self.places
                        .entry(path.to_owned())
                        .or_insert_with(|| Place::Link(target.clone()));
                }
                true
            }
            Kind::Directory | Kind::File => {
                if fact.canonical != path && !self.is_bound(path) {
                    let link = Place::Link(fact.canonical.clone());
                    self.places.entry(path.to_owned()).or_insert(link);
                }
                self.bind(&fact.canonical.clone(), fact.clone());
                true
            }
            Kind::Link { .. } | Kind::Other | Kind::Socket => false,
        }
    }

    fn bind(&mut self, path: &Path, fact: PathFact) {
        if !self.is_bound(path) {
            let place = Place::Bound { source: path.to_owned(), fact };
            self.places.insert(path.to_owned(), place);
        }
    }

    /// Whether the path is already shown by the bind nearest above it (or is one).
    pub(crate) fn is_bound(&self, path: &Path) -> bool {
        matches!(self.nearest(path), Some((_, Place::Bound { .. })))
    }

    /// Whether a file or directory at `path` can be found in the finished view.
    pub(crate) fn is_visible(&self, path: &Path) -> bool {
        match self.nearest(path) {
            Some((_, Place::Bound { .. } | Place::Layered { .. } | Place::Workspace { .. })) => {
                true
            }
            Some((at, Place::File { .. } | Place::Pinned { .. })) => at == path,
            Some((at, Place::Link(target))) => {
                let rest = path.strip_prefix(at).unwrap_or(path);
                let from = at.parent().unwrap_or(at).join(target);
                target != at && self.is_visible(&from.join(rest))
            }
            Some((_, Place::Scratch { .. } | Place::Socket { .. })) | None => false,
        }
    }

    /// The mount or file at or nearest above `path`.
    pub(crate) fn nearest(&self, path: &Path) -> Option<(&Path, &Place)> {
        path.ancestors()
            .find_map(|above| self.places.get_key_value(above))
            .map(|(at, place)| (at.as_path(), place))
    }

    /// The acts that put the view together, from an empty root, and what Landlock allows in it.
    pub(crate) fn build(&self, scratch_bytes: u64) -> Result<(Vec<Op>, Vec<Rule>), PlanError> {
        let mut build =
            Build { ops: Vec::new(), rules: Vec::new(), made: BTreeSet::new(), pinned: 0 };
        build.stage(
            &self.root_options(),
            self.places.values().find_map(|place| match place {
                Place::Layered { bytes, .. } => Some((*bytes, u64::from(SCRATCH_INODES))),
                Place::Workspace {
                    mode: WorkspaceMode::Overlay { size_bytes, inodes }, ..
                } => Some((*size_bytes, *inodes)),
                _ => None,
            }),
        );
        for (path, place) in &self.places {
            let parent = path.parent().unwrap_or(Path::new("/"));
            match self.nearest(parent) {
                None | Some((_, Place::Scratch { .. })) => build.directories(parent),
                Some(_) => {}
            }
            let exists = matches!(
                self.nearest(parent),
                Some((_, Place::Bound { .. } | Place::Layered { .. } | Place::Workspace { .. }))
            );
            if exists && self.facts.path(path).is_none() {
                let reason = "the directory around it is the host's, and has nothing of that name";
                return Err(PlanError::Unplaceable { path: path.clone(), reason });
            }
            build.place(path, place, exists, self.facts.private_uid.is_some());
        }
        build.devices(scratch_bytes);
        build.processes(self.facts.inotify);
        build.finish();
        Ok((build.ops, build.rules))
    }

    fn root_options(&self) -> CString {
        let contents: usize = self
            .places
            .values()
            .map(|place| match place {
                Place::File { contents, .. } => contents.len().next_multiple_of(4096),
                _ => 0,
            })
            .sum();
        options(&format!("size={},nr_inodes={ROOT_INODES},mode=755", contents + ROOT_BYTES))
    }
}

/// Acts and rules as they come about.
struct Build {
    ops: Vec<Op>,
    rules: Vec<Rule>,
    made: BTreeSet<PathBuf>,
    pinned: usize,
}

impl Build {
    /// The new root, on a stage that holds what the view is made from and goes away with the old root.
    fn stage(&mut self, root: &CStr, upper: Option<(u64, u64)>) {
        let stage = |name: &str| relative(&Path::new(STAGE).join(name));
        let text = format!("size={STAGE_BYTES},nr_inodes={ROOT_INODES},mode=755");
        self.ops.extend([
            Op::PrivateMounts,
            Op::Stage { options: options(&text) },
            Op::NewRoot { options: root.into() },
            Op::Dir { path: stage("nothing"), mode: 0o555 },
        ]);
        if let Some((bytes, inodes)) = upper {
            self.ops.push(Op::Dir { path: stage("lower"), mode: 0o755 });
            self.ops.push(Op::Dir { path: stage("upper"), mode: 0o755 });
            // Two directories of ours and the overlay's own are counted too.
            let inodes = inodes.saturating_add(8);
            self.ops.push(Op::Tmpfs {
                path: stage("upper"),
                options: options(&format!("size={bytes},nr_inodes={inodes},mode=700")),
            });
        }
    }

    fn directories(&mut self, path: &Path) {
        let mut missing: Vec<_> =
            path.ancestors().take_while(|above| !self.made.contains(*above)).collect();
        missing.retain(|above| *above != Path::new("/"));
        for above in missing.into_iter().rev() {
            self.directory(above, 0o755);
        }
    }

    fn directory(&mut self, path: &Path, mode: u32) {
        self.ops.push(Op::Dir { path: relative(path), mode });
        self.made.insert(path.to_owned());
    }

    /// Makes the place a mount goes on, unless the bind below it has it already.
    fn mount_point(&mut self, path: &Path, directory: bool, exists: bool) {
        if exists {
        } else if directory {
            if !self.made.contains(path) {
                self.directory(path, 0o755);
            }
        } else {
            self.ops.push(Op::File { path: relative(path), contents: Vec::new(), mode: 0o444 });
        }
        self.made.insert(path.to_owned());
    }

    fn place(&mut self, path: &Path, place: &Place, exists: bool, private: bool) {
        match place {
            Place::Bound { source, fact } => {
                let tree = *fact.final_kind() == Kind::Directory;
                self.mount_point(path, tree, exists);
                self.bind_host(source, path, RDONLY | NOSUID | NODEV, fact, None);
                self.allow(path, if tree { landlock::TREE_READ } else { landlock::FILE_READ });
            }
            Place::File { contents, mode } => {
                let (contents, mode) = (contents.clone(), *mode);
                self.ops.push(Op::File { path: relative(path), contents, mode });
                if !path.starts_with("/etc") {
                    self.allow(path, landlock::FILE_READ);
                }
            }
            Place::Link(target) => {
                self.ops.push(Op::Link { path: relative(path), target: c_path(target) });
            }
            Place::Layered { fact, around, .. } => {
                self.mount_point(path, true, exists);
                let name = path.file_name().unwrap_or_default();
                self.layer(path, fact, private, Some((name, *around)));
            }
            Place::Pinned { contents, mode } => {
                self.pinned += 1;
                let held = relative(&Path::new(STAGE).join(format!("pinned-{}", self.pinned)));
                let (contents, mode) = (contents.clone(), *mode);
                self.ops.push(Op::File { path: held.clone(), contents, mode });
                self.mount_point(path, false, exists);
                self.bind(Source::Inside(held), path, RDONLY | NOSUID | NODEV);
                self.allow(path, landlock::FILE_READ);
            }
            Place::Scratch { bytes, mode } => {
                self.mount_point(path, true, exists);
                self.scratch(path, *bytes, *mode);
            }
            Place::Socket { source, fact } => {
                self.mount_point(path, false, exists);
                let owner = private.then_some((fact.uid, fact.gid));
                self.bind_host(source, path, RDONLY | NOSUID | NODEV | NOEXEC, fact, owner);
            }
            Place::Workspace { mode, fact } => self.workspace(path, *mode, fact, exists, private),
        }
    }

    fn workspace(
        &mut self,
        path: &Path,
        mode: WorkspaceMode,
        fact: &PathFact,
        exists: bool,
        private: bool,
    ) {
        let owner = private.then_some((fact.uid, fact.gid));
        self.mount_point(path, true, exists);
        match mode {
            WorkspaceMode::Direct | WorkspaceMode::Entire => {
                self.bind_host(path, path, NOSUID | NODEV, fact, owner);
                self.allow(path, landlock::TREE_WRITE);
            }
            WorkspaceMode::ReadOnly => {
                self.bind_host(path, path, RDONLY | NOSUID | NODEV, fact, owner);
                let tree = fact.kind == Kind::Directory;
                self.allow(path, if tree { landlock::TREE_READ } else { landlock::FILE_READ });
            }
            WorkspaceMode::Overlay { .. } => self.layer(path, fact, private, None),
        }
    }

    /// Lays the one layer over what the host has at `path`: the workspace, or, `within` it, a folder of that name. Either
    /// way what is held for write-back begins at the workspace.
    fn layer(
        &mut self,
        path: &Path,
        fact: &PathFact,
        private: bool,
        within: Option<(&OsStr, u32)>,
    ) {
        let owner = private.then_some((fact.uid, fact.gid));
        let stage = |name: &str| Path::new(STAGE).join(name);
        self.bind_host(path, &stage("lower"), RDONLY | NOSUID | NODEV, fact, owner);
        // A merged directory takes its mode from here.
        let top = stage("upper/data");
        let mode = fact.mode & 0o777;
        let around = within.map_or(mode, |(_, around)| around & 0o777);
        self.ops.push(Op::Dir { path: relative(&top), mode: around });
        let mut upper = "../upper/data".to_owned();
        if let Some((name, _)) = within {
            self.ops.push(Op::Dir { path: relative(&top.join(name)), mode });
            upper = format!("{upper}/{}", name.display());
        }
        self.ops.push(Op::Dir { path: relative(&stage("upper/work")), mode: 0o700 });
        self.ops.push(Op::Overlay {
            path: relative(path),
            options: options(&format!(
                "lowerdir=../lower,upperdir={upper},workdir=../upper/work,userxattr"
            )),
        });
        self.ops.push(Op::HoldUpper { path: relative(&top) });
        self.allow(path, landlock::TREE_WRITE);
    }

    fn scratch(&mut self, path: &Path, bytes: u64, mode: u32) {
        let text = format!("size={bytes},nr_inodes={SCRATCH_INODES},mode={mode:o}");
        self.ops.push(Op::Tmpfs { path: relative(path), options: options(&text) });
        self.allow(path, landlock::TREE_WRITE);
    }

    fn devices(&mut self, scratch_bytes: u64) {
        self.directory(Path::new("/dev"), 0o755);
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            self.mount_point(&path, false, false);
            let source = Source::Host { path: c_path(&path), identity: None, owner: None };
            // Read-only keeps the host's node from being changed; a device can still be written to.
            self.bind(source, &path, RDONLY | NOSUID | NOEXEC);
        }
        for (name, target) in DEVICE_LINKS {
            self.ops.push(Op::Link {
                path: relative(&Path::new("/dev").join(name)),
                target: c_path(Path::new(target)),
            });
        }
        self.directory(Path::new("/dev/pts"), 0o755);
        self.ops.push(Op::Pts);
        self.directory(Path::new("/dev/shm"), 0o755);
        self.allow(Path::new("/dev"), landlock::DEVICES);
        self.scratch(Path::new("/dev/shm"), scratch_bytes, 0o1777);
    }

    fn processes(&mut self, inotify: [u64; 2]) {
        self.directory(Path::new("/proc"), 0o555);
        self.ops.extend([Op::Proc, Op::NoUserNamespaces]);
        // The kernel counts these for the user who made the namespace, and whose editor needs some too.
        let [instances, watches] = inotify;
        let limits = [
            (c"proc/sys/user/max_inotify_instances", instances / 4),
            (c"proc/sys/user/max_inotify_watches", watches / 2),
        ];
        let limit = |(path, value): (&CStr, u64)| Op::UserLimit {
            path: path.into(),
            value: value.to_string().into_bytes(),
        };
        self.ops.extend(limits.map(limit));
        self.ops.push(Op::ReadOnly { path: c"proc".into() });
        let at = |name: &&str| relative(&Path::new("/proc").join(name));
        let file = |name| Op::Mask { path: at(name), with: c"dev/null".into() };
        let tree = |name| Op::Mask { path: at(name), with: c"../nothing".into() };
        self.ops.extend(PROC_FILES_MASKED.iter().map(file));
        self.ops.extend(PROC_TREES_MASKED.iter().map(tree));
        self.allow(Path::new("/proc"), landlock::PROC);
    }

    fn finish(&mut self) {
        self.allow(Path::new("/etc"), landlock::TREE_READ);
        // So that `ls /` and a search from the root work; each tree's own contents are ruled above.
        self.allow(Path::new("/"), landlock::LIST);
    }

    fn bind_host(
        &mut self,
        source: &Path,
        path: &Path,
        attributes: u64,
        fact: &PathFact,
        owner: Option<(u32, u32)>,
    ) {
        let source = Source::Host { path: c_path(source), identity: Some(fact.identity), owner };
        self.bind(source, path, attributes);
    }

    fn bind(&mut self, source: Source, path: &Path, attributes: u64) {
        self.ops.push(Op::Bind(Bind { source, path: relative(path), attributes }));
    }

    fn allow(&mut self, path: &Path, rights: u64) {
        self.rules.push(Rule { path: c_path(path), rights });
    }
}

/// A path as acts name it: from the new root.
pub(crate) fn relative(path: &Path) -> CString {
    c_path(path.strip_prefix("/").unwrap_or(path))
}

fn c_path(path: &Path) -> CString {
    // Paths with a NUL are refused before a view is made, and none can come from the host.
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn options(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Beside the new root, and out of reach from it.
const STAGE: &str = "/..";
const ROOT_BYTES: usize = 4 << 20;
const ROOT_INODES: u32 = 8192;
const STAGE_BYTES: u32 = 16 << 20;
const SCRATCH_INODES: u32 = 200_000;
