//! Where does everything lie in a box of tier B, and what does Landlock allow there?
use super::origins::Origins;
use crate::error::PlanError;
use crate::host::{HostFacts, Kind, PathFact};
use crate::linux::landlock::{self, Rule};
use crate::linux::paths::{DEVICES, ETC_TREES, PROC_PLAIN, SYSTEM};
use crate::plan::{check_paths, check_readable, check_user, check_workspace};
use crate::spec::{BoxSpec, WorkspaceMode};
use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The box laid out on the host's own file system. Pure data; nothing of it is made yet.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// What may be read, run and written. A path that is not there is passed over.
    pub(crate) rules: Vec<Rule>,
    /// As `rules`, for entries of `/proc`, which must be held open for their rule to last.
    pub(crate) held: Vec<Rule>,
    /// Where the workspace is to be found inside.
    pub(crate) workspace: PathBuf,
    /// Whether that is a copy, and whether what becomes of it is to be told.
    pub(crate) copied: Option<Copied>,
    pub(crate) home: PathBuf,
    pub(crate) temporary: PathBuf,
    /// The folders the box may write in.
    pub(crate) roots: Vec<PathBuf>,
    /// Links in the home directory to what is shown of the person's own.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// Files that exist only in the box, where they lie here.
    pub(crate) files: Vec<(PathBuf, Vec<u8>, u32)>,
    pub(crate) sockets: Vec<(PathBuf, PathBuf)>,
    pub(crate) program: CString,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    pub(crate) left_out: Vec<(PathBuf, &'static str)>,
}

/// What kind of copy the workspace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    ReadOnly,
    Writable { bytes: u64, entries: u64 },
}

impl Layout {
    /// Lays the box out below `folder`.
    pub(crate) fn of(spec: &BoxSpec, facts: &HostFacts, folder: &Path) -> Result<Self, PlanError> {
        check_paths(spec)?;
        check_user(&spec.user)?;
        let fact = check_workspace(spec, facts)?;
        let copied = copied(spec, facts)?;
        let name = spec.workspace.file_name().unwrap_or_default();
        let workspace = match copied {
            Some(_) => folder.join(WORK).join(name),
            None => fact.canonical.clone(),
        };
        let mut layout = Self {
            rules: Vec::new(),
            held: Vec::new(),
            home: folder.join("home"),
            temporary: folder.join("tmp"),
            roots: Vec::new(),
            links: Vec::new(),
            files: Vec::new(),
            sockets: Vec::new(),
            program: CString::default(),
            argv: Vec::new(),
            env: Vec::new(),
            cwd: CString::default(),
            left_out: Vec::new(),
            workspace,
            copied,
        };
        layout.system(facts);
        layout.readable(spec, facts)?;
        layout.writable(spec);
        layout.synthetic(spec, folder);
        layout.sockets(spec, facts);
        layout.command(spec, facts)?;
        Ok(layout)
    }

    fn system(&mut self, facts: &HostFacts) {
        for path in SYSTEM.iter().chain(ETC_TREES).map(Path::new) {
            if let Some(fact) = facts.path(path) {
                self.show(fact);
            }
        }
        for path in &facts.etc_trees {
            self.allow(path, landlock::TREE_READ);
        }
        for path in facts.etc_files.keys().map(PathBuf::as_path).chain(ETC_SHARED.map(Path::new)) {
            self.allow(path, landlock::READ);
        }
        for name in DEVICES {
            self.allow(&Path::new("/dev").join(name), landlock::DEVICE);
        }
        for name in PROC_PLAIN {
            let path = Path::new("/proc").join(name);
            self.held.push(Rule { path: c_path(&path), rights: landlock::READ });
        }
    }

    fn readable(&mut self, spec: &BoxSpec, facts: &HostFacts) -> Result<(), PlanError> {
        let mut linked = BTreeSet::new();
        for path in &spec.readable {
            if path.starts_with(&spec.workspace) {
                continue;
            }
            check_readable(path, spec, facts)?;
            let Some(fact) = facts.path(path) else {
                self.left_out.push((path.clone(), "does not exist"));
                continue;
            };
            self.show(fact);
            if let Ok(rest) = path.strip_prefix(&spec.home)
                && rest != Path::new("")
                && !rest.ancestors().any(|above| linked.contains(above))
            {
                linked.insert(rest.to_owned());
                self.links.push((self.home.join(rest), path.clone()));
            }
        }
        Ok(())
    }

    fn writable(&mut self, spec: &BoxSpec) {
        let read_only = spec.workspace_mode == WorkspaceMode::ReadOnly;
        let rights = if read_only { landlock::TREE_READ } else { landlock::TREE_WRITE };
        self.allow(&self.workspace.clone(), rights);
        let mut roots = vec![self.home.clone(), self.temporary.clone()];
        for root in &roots {
            self.rules.push(Rule { path: c_path(root), rights: landlock::TREE_WRITE });
        }
        if !read_only {
            roots.push(self.workspace.clone());
        }
        self.roots = roots;
    }

    fn synthetic(&mut self, spec: &BoxSpec, folder: &Path) {
        for file in &spec.synthetic {
            let place = match self.moved(&file.path, spec) {
                Some(place) => place,
                // Found only by who is told: the environment is.
                None => {
                    folder.join(ELSEWHERE).join(file.path.strip_prefix("/").unwrap_or(&file.path))
                }
            };
            if place.starts_with(folder.join(ELSEWHERE)) {
                self.allow(&place, landlock::FILE_READ);
                self.left_out.push((file.path.clone(), "lies elsewhere, as its variable says"));
            }
            self.files.push((place, file.contents.clone(), file.mode & 0o777));
        }
    }

    fn sockets(&mut self, spec: &BoxSpec, facts: &HostFacts) {
        for socket in &spec.sockets {
            match facts.path(&socket.host).filter(|fact| *fact.final_kind() == Kind::Socket) {
                Some(fact) => self.sockets.push((socket.inside.clone(), fact.canonical.clone())),
                None => self.left_out.push((socket.host.clone(), "does not exist")),
            }
        }
    }

    fn command(&mut self, spec: &BoxSpec, facts: &HostFacts) -> Result<(), PlanError> {
        let program = if let Ok(rest) = spec.program.strip_prefix(&spec.workspace) {
            self.workspace.join(rest)
        } else {
            let real = facts.path(&spec.program).map(|fact| &fact.canonical);
            if !real.is_some_and(|real| self.is_shown(real)) {
                return Err(PlanError::ProgramNotVisible { program: spec.program.clone() });
            }
            spec.program.clone()
        };
        self.program = c_path(&program);
        self.argv =
            spec.argv.iter().map(|word| text("argument", word)).collect::<Result<_, _>>()?;
        let rest = spec.cwd.strip_prefix(&spec.workspace).unwrap_or(Path::new(""));
        self.cwd = c_path(&if rest == Path::new("") {
            self.workspace.clone()
        } else {
            self.workspace.join(rest)
        });
        self.env = self.environment(spec)?;
        Ok(())
    }

    /// The environment, with what names a place that lies elsewhere here told its new place.
    fn environment(&self, spec: &BoxSpec) -> Result<Vec<CString>, PlanError> {
        let ours: [(&str, OsString); 4] = [
            // It is there and may not be read, which git takes for a fault.
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("HOME", self.home.clone().into()),
            ("TMPDIR", self.temporary.clone().into()),
            // Datagrams do not exist here; the C library then asks for names over TCP, which is caught.
            ("RES_OPTIONS", "use-vc timeout:5 attempts:1".into()),
        ];
        let given = spec.env.iter().filter(|(name, _)| !ours.iter().any(|(own, _)| name == own));
        let given = given.map(|(name, value)| {
            let place = Path::new(value);
            let moved = place.is_absolute().then(|| self.place(place, spec)).flatten();
            (name.clone(), moved.map_or_else(|| value.clone(), OsString::from))
        });
        let ours = ours.iter().map(|(name, value)| (OsString::from(name), value.clone()));
        given
            .chain(ours)
            .map(|(name, value)| {
                let mut pair = name.clone();
                pair.push("=");
                pair.push(value);
                text("environment variable", &pair).map_err(|_| PlanError::BadPath {
                    // The value may be a credential's placeholder; the name is enough to find it.
                    what: "environment variable",
                    path: name.into(),
                })
            })
            .collect()
    }

    /// Where a synthetic file, or a path in a folder of the box's own, lies here.
    fn place(&self, path: &Path, spec: &BoxSpec) -> Option<PathBuf> {
        let file = spec.synthetic.iter().position(|file| file.path == path);
        match file.and_then(|at| self.files.get(at)) {
            Some((place, ..)) => Some(place.clone()),
            None => self.moved(path, spec),
        }
    }

    /// Where a path below the home directory, `/tmp` or the workspace lies here.
    fn moved(&self, path: &Path, spec: &BoxSpec) -> Option<PathBuf> {
        let shown = spec.readable.iter().any(|shown| path.starts_with(shown));
        let folders = [
            (spec.workspace.as_path(), &self.workspace),
            (&spec.home, &self.home),
            (Path::new("/tmp"), &self.temporary),
        ];
        folders.into_iter().filter(|_| !shown).find_map(|(from, to)| {
            let rest = path.strip_prefix(from).ok()?;
            Some(if rest == Path::new("") { to.clone() } else { to.join(rest) })
        })
    }

    fn show(&mut self, fact: &PathFact) {
        match fact.final_kind() {
            Kind::Directory => self.allow(&fact.canonical, landlock::TREE_READ),
            Kind::File => self.allow(&fact.canonical, landlock::FILE_READ),
            Kind::Link { .. } | Kind::Other | Kind::Socket => {}
        }
    }

    fn allow(&mut self, path: &Path, rights: u64) {
        let rule = Rule { path: c_path(path), rights };
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    fn is_shown(&self, path: &Path) -> bool {
        self.rules.iter().any(|rule| {
            path.starts_with(Path::new(std::ffi::OsStr::from_bytes(rule.path.to_bytes())))
        })
    }
}

/// Whether, and as what, the workspace is copied.
fn copied(spec: &BoxSpec, facts: &HostFacts) -> Result<Option<Copied>, PlanError> {
    let of_its_own = facts.private_uid.is_some();
    let refuse = |what, remedy| Err(PlanError::TierB { what, remedy });
    match spec.workspace_mode {
        WorkspaceMode::Overlay { size_bytes, inodes } => {
            Ok(Some(Copied::Writable { bytes: size_bytes, entries: inodes }))
        }
        // The box's own user may not read what is the workspace owner's.
        WorkspaceMode::ReadOnly if of_its_own => Ok(Some(Copied::ReadOnly)),
        WorkspaceMode::ReadOnly => Ok(None),
        WorkspaceMode::Direct | WorkspaceMode::Entire if of_its_own => refuse(
            "work directly on the workspace as root, since its user would not be the owner",
            "leave `--direct` out, or run as the workspace's owner",
        ),
        WorkspaceMode::Direct | WorkspaceMode::Entire => {
            let pinned = !facts.obeyed.is_empty()
                || spec.readable.iter().any(|path| {
                    path.starts_with(&spec.workspace)
                        && path != &spec.workspace
                        && facts.path(path).is_some()
                });
            if pinned {
                return refuse(
                    "keep a part of a directly used workspace read-only",
                    "leave `--direct` out: the box then works on a copy",
                );
            }
            Ok(None)
        }
    }
}

/// The box's listeners and how its own connections are told.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) origins: Origins,
    pub(crate) capture: crate::Capture,
    pub(crate) doors: Option<super::behalf::Doors>,
}

fn text(what: &'static str, text: &std::ffi::OsStr) -> Result<CString, PlanError> {
    CString::new(text.as_bytes())
        .map_err(|_| PlanError::BadPath { what, path: PathBuf::from(text) })
}

fn c_path(path: &Path) -> CString {
    // Paths with a NUL are refused before a layout is made, and none can come from the host.
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// The host's own, where tier A has files made for the box. Not `resolv.conf`: names are asked of us, whoever is named.
const ETC_SHARED: [&str; 4] = ["/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd"];
/// The copy of the workspace lies below this, under its own name.
pub(super) const WORK: &str = "work";
const ELSEWHERE: &str = "files";
