//! What of the person's machine does a command need to see, and what of her shell may it inherit?
//!
//! An allow-list on both counts: the folders where programs and toolchains live, read-only, and a
//! handful of variables that say nothing about who she is to anybody else.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// The launching process's surroundings, read once.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// What the box works on: the folder that `run` was started in, without symlinks, or a folder of it.
    pub(crate) workspace: PathBuf,
    /// The folder that `run` was started in.
    pub(crate) root: PathBuf,
    /// The person's home directory.
    pub(crate) home: PathBuf,
    /// The search path, absolute folders only.
    path: Vec<PathBuf>,
    environment: Vec<(OsString, OsString)>,
}

impl Surroundings {
    /// Puts together what was read from the process.
    pub(crate) fn new(
        workspace: PathBuf,
        home: PathBuf,
        environment: Vec<(OsString, OsString)>,
    ) -> Self {
        let path =
            environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let path = std::env::split_paths(path.as_deref().unwrap_or(OsStr::new(DEFAULT_PATH)))
            .filter(|folder| folder.is_absolute())
            .collect();
        Self { root: workspace.clone(), workspace, home, path, environment }
    }

    /// The same for a box that works on a folder of the workspace; or why that is none.
    pub(crate) fn within(mut self, folder: &Path) -> Result<Self, String> {
        let whole = self.root.join(folder);
        let shown = folder.display();
        match whole.canonicalize() {
            // A link could lead anywhere, and the box of a role is to be what its name says.
            Ok(real) if real == whole && real.is_dir() => {
                self.workspace = whole;
                Ok(self)
            }
            Ok(_) => Err(format!("`{shown}` is not a plain folder of `{}`", self.root.display())),
            Err(_) => Err(format!("there is no folder `{shown}` in `{}`", self.root.display())),
        }
    }

    /// Whether the launching shell has this variable, and not empty.
    pub(crate) fn has(&self, variable: &str) -> bool {
        self.environment.iter().any(|(name, value)| name == variable && !value.is_empty())
    }

    /// A variable of the launching shell, as text.
    pub(crate) fn text(&self, variable: &str) -> Option<String> {
        let found =
            self.environment.iter().find(|(name, value)| name == variable && !value.is_empty());
        found.and_then(|(_, value)| value.to_str()).map(str::to_owned)
    }

    /// Finds the program as a shell would; a name with a slash is taken as a path.
    pub(crate) fn find(&self, program: &OsStr) -> Option<PathBuf> {
        self.look(program, |_| true)
    }

    /// Finds the program of a declared tool. A bare name is never one from the workspace, wherever the search path leads:
    /// an agent may have put it there.
    pub(crate) fn find_declared(&self, program: &OsStr) -> Option<PathBuf> {
        self.look(program, |folder| !clean(folder).starts_with(&self.root))
    }

    fn look(&self, program: &OsStr, admits: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let named = Path::new(program);
        if named.components().count() > 1
            || named.is_absolute()
            || named.components().next() == Some(Component::CurDir)
        {
            let at = self.root.join(named);
            return is_executable(&at).then(|| clean(&at));
        }
        let folders = self.path.iter().filter(|folder| admits(folder));
        folders.map(|folder| folder.join(named)).find(|file| is_executable(file))
    }

    /// The folders and files that the box shows, read-only, for `program` to run.
    pub(crate) fn readable(&self, program: &Path) -> Vec<PathBuf> {
        let mut shown = BTreeSet::new();
        for folder in &self.path {
            self.show(&mut shown, folder);
        }
        for toolchain in TOOLCHAINS {
            self.show(&mut shown, &self.home.join(toolchain));
        }
        if let Some(package) = package_of(program) {
            self.show(&mut shown, &package);
        }
        shown.into_iter().collect()
    }

    /// Adds a folder, unless it is the home directory itself or above it, or in the workspace, where
    /// it is seen anyway.
    fn show(&self, shown: &mut BTreeSet<PathBuf>, path: &Path) {
        let Ok(real) = path.canonicalize() else { return };
        let too_wide = |at: &Path| self.home.starts_with(at) || at == Path::new("/");
        for at in [path, real.as_path()] {
            if !too_wide(at) && !at.starts_with(&self.root) && !self.root.starts_with(at) {
                shown.insert(at.to_path_buf());
            }
        }
    }

    /// The search path inside: the same folders, as far as the box shows them.
    pub(crate) fn search_path(&self) -> OsString {
        let folders =
            self.path.iter().filter(|folder| folder.is_dir() && !folder.starts_with(&self.root));
        std::env::join_paths(folders).unwrap_or_else(|_| DEFAULT_PATH.into())
    }

    /// The variables that the box inherits: the harmless ones, and those that the role names.
    pub(crate) fn inherited(&self, named: &[String]) -> Vec<(OsString, OsString)> {
        let wanted = |name: &OsStr| {
            let Some(name) = name.to_str() else { return false };
            INHERITED.contains(&name)
                || name.starts_with("LC_")
                || named.iter().any(|own| own == name)
        };
        self.environment.iter().filter(|(name, _)| wanted(name)).cloned().collect()
    }
}

/// Without `.` and `..`, by text; the file exists, so `..` behind a link is the person's own business.
fn clean(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What has to be seen with a program that stands outside the usual folders: its whole package for an
/// npm program (the topmost `node_modules`), else the file alone.
fn package_of(program: &Path) -> Option<PathBuf> {
    let real = program.canonicalize().ok()?;
    let mut at = PathBuf::new();
    for component in real.components() {
        at.push(component);
        if component == Component::Normal(OsStr::new("node_modules")) {
            return Some(at);
        }
    }
    Some(real)
}

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where toolchains and their shared caches live below a home directory. None of these holds a
/// credential: `~/.cargo/credentials.toml`, `~/.npmrc` and their like are beside, not in, them.
const TOOLCHAINS: [&str; 14] = [
    ".bun/bin",
    ".cargo/bin",
    ".cargo/registry",
    ".deno/bin",
    ".local/bin",
    ".local/share/claude",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/uv",
    ".nvm",
    ".pyenv",
    ".rustup",
    ".volta",
    "go/pkg/mod",
];

const INHERITED: [&str; 9] =
    ["COLORTERM", "EDITOR", "LANG", "LANGUAGE", "NO_COLOR", "PAGER", "TERM", "TZ", "VISUAL"];

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(environment: &[(&str, &str)]) -> Surroundings {
        let environment =
            environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Surroundings::new("/tmp".into(), "/home/anna".into(), environment)
    }

    #[test]
    fn no_credential_of_the_shell_is_inherited() {
        let around = surroundings(&[
            ("ANTHROPIC_API_KEY", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("SSH_AUTH_SOCK", "x"),
            ("GITHUB_TOKEN", "x"),
            ("DBUS_SESSION_BUS_ADDRESS", "x"),
            ("KUBECONFIG", "x"),
            ("LD_PRELOAD", "x"),
            ("LC_TIME", "C"),
            ("TERM", "xterm"),
        ]);
        let inherited = around.inherited(&[]);
        let names: Vec<_> = inherited.iter().filter_map(|(name, _)| name.to_str()).collect();
        assert_eq!(names, ["LC_TIME", "TERM"]);
    }

    #[test]
    fn a_role_can_name_further_variables() {
        let around = surroundings(&[("RUST_LOG", "debug"), ("SECRET", "x")]);
        assert_eq!(around.inherited(&["RUST_LOG".to_owned()]).len(), 1);
    }

    #[test]
    fn a_relative_folder_of_the_search_path_is_not_searched() {
        let around = surroundings(&[("PATH", ".:bin:/usr/bin:/bin")]);
        assert!(around.path.iter().all(|folder| folder.is_absolute()));
        assert!(around.find(OsStr::new("sh")).is_some());
        assert!(around.find(OsStr::new("no-such-program-here")).is_none());
    }

    #[test]
    fn a_declared_program_is_none_that_an_agent_could_have_put_there() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let (work, bin) = (root.join("work"), root.join("work/node_modules/.bin"));
        std::fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink(&bin, root.join("bin")).unwrap();
        std::fs::copy("/bin/sh", bin.join("sh")).unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", bin.display(), root.join("bin").display());
        let around = Surroundings::new(work, root.clone(), vec![("PATH".into(), path.into())]);
        assert_eq!(around.find(OsStr::new("sh")), Some(bin.join("sh")));
        assert!(!around.find_declared(OsStr::new("sh")).unwrap().starts_with(&root));
        // A path is what its declaration says.
        let named = around.find_declared(OsStr::new("node_modules/.bin/sh"));
        assert_eq!(named, Some(bin.join("sh")));
    }

    #[test]
    fn the_home_directory_is_never_shown_whole() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join(".local/bin");
        std::fs::create_dir_all(&bin).unwrap();
        let path = format!("{}:{}:/", home.path().display(), bin.display());
        let around = Surroundings::new(
            "/nowhere".into(),
            home.path().into(),
            vec![("PATH".into(), path.into())],
        );
        assert_eq!(
            around
                .readable(Path::new("/bin/sh"))
                .iter()
                .filter(|p| p.starts_with(home.path()))
                .count(),
            1
        );
        assert!(!around.readable(Path::new("/bin/sh")).contains(&PathBuf::from("/")));
    }
}
