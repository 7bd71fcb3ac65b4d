//! May this file be obeyed? Only when nobody but its owner, the user or root, can have written it.

use crate::report::{Problem, plain};
use bartizan_gate::policy::{self, Layer};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One configuration file is at most this long, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// One directory holds at most this many policies.
const FILES_LIMIT: usize = 1000;

/// A file that may be obeyed, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the person knows it, before symlinks.
    pub(crate) path: PathBuf,
    /// The contents.
    pub(crate) text: String,
}

impl Source {
    /// The same, as the policy engine takes it.
    pub(super) fn into_policy(self, layer: Layer) -> policy::Source {
        policy::Source { layer, path: self.path.display().to_string(), text: self.text }
    }
}

/// Who may not have written what is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard<'a> {
    /// The folder an agent writes; nothing in it is obeyed.
    pub(super) workspace: Option<&'a Path>,
    /// The user that runs us.
    pub(super) uid: u32,
}

impl Guard<'_> {
    /// Reads a file whose whole path is trusted; `None` when there is no such file.
    pub(super) fn read(self, path: &Path) -> Result<Option<Source>, Problem> {
        let Some(real) = self.locate(path)? else { return Ok(None) };
        // What is checked is the open file, so that a swap after the check changes nothing.
        let file = open(&real).map_err(|error| unreadable(path, &error))?;
        let about = file.metadata().map_err(|error| unreadable(path, &error))?;
        if !about.is_file() {
            return Err(Problem::new(format!("`{}` is not a regular file", path.display())));
        }
        self.owned(&real, &about)?;
        let text = read_all(file, path)?;
        Ok(Some(Source { path: path.to_path_buf(), text }))
    }

    /// Reads every `*.cedar` file of a directory, by name; none when there is no such directory.
    pub(super) fn read_policies(self, dir: &Path) -> Result<Vec<Source>, Problem> {
        let Some(real) = self.directory(dir)? else { return Ok(Vec::new()) };
        let names = policy_names(&real)?;
        let read = |name: &PathBuf| self.read(&dir.join(name));
        names.iter().filter_map(|name| read(name).transpose()).collect()
    }

    /// Refuses a state directory that the agent could write: it holds the log and the word on projects.
    pub(super) fn state(self, dir: &Path) -> Result<(), Problem> {
        // It may not be there yet; what it will be below is.
        let there = dir.ancestors().find_map(|above| above.canonicalize().ok());
        let Some((workspace, _)) =
            self.workspace.zip(there).filter(|(workspace, there)| there.starts_with(workspace))
        else {
            return Ok(());
        };
        let what = format!(
            "the state directory `{}` is inside the workspace `{}`, where an agent can write",
            dir.display(),
            workspace.display()
        );
        Err(Problem::new(what).hint("choose another with --state, or run in another folder"))
    }

    /// Checks a directory and all above it; `None` when there is no such directory.
    pub(super) fn directory(self, dir: &Path) -> Result<Option<PathBuf>, Problem> {
        let Some(real) = self.locate(dir)? else { return Ok(None) };
        let about = real.metadata().map_err(|error| unreadable(dir, &error))?;
        if !about.is_dir() {
            return Err(Problem::new(format!("`{}` is not a directory", dir.display())));
        }
        self.owned(&real, &about)?;
        Ok(Some(real))
    }

    /// Where the path leads, once every symlink is followed and every directory above is checked.
    fn locate(self, path: &Path) -> Result<Option<PathBuf>, Problem> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return absent(path),
            Err(error) => return Err(unreadable(path, &error)),
        };
        if let Some(workspace) = self.workspace.filter(|workspace| real.starts_with(workspace)) {
            let what = format!(
                "`{}` is inside the workspace `{}`, where an agent can write",
                real.display(),
                workspace.display()
            );
            return Err(Problem::new(what)
                .hint("move the configuration out of the workspace, or run in another folder"));
        }
        for above in real.ancestors().skip(1) {
            let about = above.metadata().map_err(|error| unreadable(above, &error))?;
            self.not_replaceable(above, &about)?;
        }
        Ok(Some(real))
    }

    /// The file or directory itself: ours or root's, and writable by its owner alone.
    fn owned(self, path: &Path, about: &Metadata) -> Result<(), Problem> {
        self.owner(path, about)?;
        let writers = match about.mode() & 0o022 {
            0 => return Ok(()),
            0o020 => ("its group", "g-w"),
            0o002 => ("everybody", "o-w"),
            _ => ("its group and everybody", "go-w"),
        };
        let problem = Problem::new(format!("`{}` can be written by {}", path.display(), writers.0));
        Err(problem.hint(format!("chmod {} {}", writers.1, quoted(path))))
    }

    /// A directory above: whoever can write it can swap what is below, unless it is sticky.
    fn not_replaceable(self, path: &Path, about: &Metadata) -> Result<(), Problem> {
        if about.mode() & 0o1000 != 0 { self.owner(path, about) } else { self.owned(path, about) }
    }

    fn owner(self, path: &Path, about: &Metadata) -> Result<(), Problem> {
        if about.uid() == self.uid || about.uid() == 0 {
            return Ok(());
        }
        let what = format!(
            "`{}` belongs to user {}, neither to you nor to root",
            path.display(),
            about.uid()
        );
        Err(Problem::new(what).hint(format!("chown {} {}", self.uid, quoted(path))))
    }
}

/// A link that leads nowhere is a configuration that was meant and cannot be read: not "none".
fn absent(path: &Path) -> Result<Option<PathBuf>, Problem> {
    match path.ancestors().find(|above| above.is_symlink() && !above.exists()) {
        Some(link) => {
            Err(Problem::new(format!("`{}` is a link that leads nowhere", link.display())))
        }
        None => Ok(None),
    }
}

/// Whether a directory is one from which configuration is obeyed.
pub(crate) fn obeyed_directory(dir: &Path) -> Result<(), Problem> {
    let guard = Guard { workspace: None, uid: rustix::process::geteuid().as_raw() };
    guard.directory(dir).map(drop)
}

/// Reads a file inside a project: its digest, not its owner, decides whether it is obeyed.
pub(super) fn read_in_project(path: &Path) -> Result<Source, Problem> {
    let file = open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => Problem::new(format!(
            "`{}` is a symbolic link, which a project's configuration must not be",
            path.display()
        )),
        _ => unreadable(path, &error),
    })?;
    let about = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !about.is_file() {
        return Err(Problem::new(format!("`{}` is not a regular file", path.display())));
    }
    Ok(Source { path: path.to_path_buf(), text: read_all(file, path)? })
}

/// The names of a directory's `*.cedar` files, sorted, so that the order never depends on the disk. All of them, or none:
/// a policy that is left out may be the one that forbids.
pub(super) fn policy_names(dir: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error: io::Error| unreadable(dir, &error);
    let mut names = Vec::new();
    for (at, entry) in dir.read_dir().map_err(failed)?.enumerate() {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        if !hidden && name.extension().is_some_and(|extension| extension == "cedar") {
            names.push(name);
        }
        let (held, most) = match (names.len() > FILES_LIMIT, at >= 10 * FILES_LIMIT) {
            (true, _) => ("policies", FILES_LIMIT),
            (false, true) => ("entries", 10 * FILES_LIMIT),
            (false, false) => continue,
        };
        return Err(Problem::new(format!("`{}` holds more than {most} {held}", dir.display())));
    }
    names.sort();
    Ok(names)
}

/// Opens without following a last link, and without waiting on a pipe that somebody put there.
fn open(path: &Path) -> io::Result<File> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn read_all(file: File, path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(Problem::new(format!("`{}` is longer than 1 MiB", path.display())));
    }
    String::from_utf8(bytes)
        .map_err(|_| Problem::new(format!("`{}` is not UTF-8 text", path.display())))
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot read `{}`: {}", path.display(), plain(error)))
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let tame =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@');
    if text.chars().all(tame) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn dir() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn me() -> Guard<'static> {
        Guard { workspace: None, uid: rustix::process::getuid().as_raw() }
    }

    fn file(dir: &TempDir, mode: u32) -> PathBuf {
        let path = dir.path().join("bartizan.toml");
        fs::write(&path, "x = 1").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn no_policy_is_left_out_because_there_are_too_many_beside_it() {
        let crowded = dir();
        for at in 0..10_000 {
            fs::write(crowded.path().join(format!("{at}.bak")), "").unwrap();
        }
        fs::write(crowded.path().join("forbid.cedar"), "").unwrap();
        let told = policy_names(crowded.path()).unwrap_err().to_string();
        assert!(told.contains("holds more than 10000 entries"), "{told}");
        let many = dir();
        for at in 0..=1000 {
            fs::write(many.path().join(format!("{at}.cedar")), "").unwrap();
        }
        let told = policy_names(many.path()).unwrap_err().to_string();
        assert!(told.contains("holds more than 1000 policies"), "{told}");
    }

    #[test]
    fn a_file_of_ours_is_read() {
        let dir = dir();
        assert_eq!(me().read(&file(&dir, 0o644)).unwrap().unwrap().text, "x = 1");
        assert_eq!(me().read(&dir.path().join("none")), Ok(None));
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_the_chmod() {
        for (mode, remedy) in [(0o664, "g-w"), (0o646, "o-w"), (0o666, "go-w")] {
            let dir = dir();
            let problem = me().read(&file(&dir, mode)).unwrap_err();
            assert!(format!("{problem:?}").contains(&format!("chmod {remedy} ")), "{problem:?}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let dir = dir();
        let path = file(&dir, 0o644);
        // Root's files are trusted, so a stranger is played by asking as somebody else.
        let about = path.metadata().unwrap();
        let stranger = Guard { workspace: None, uid: about.uid() + 1 };
        let refused = stranger.owner(&path, &about);
        assert_eq!(refused.is_err(), about.uid() != 0);
    }

    #[test]
    fn a_link_out_of_a_good_directory_into_the_workspace_is_refused() {
        let (config, workspace) = (dir(), dir());
        let planted = file(&workspace, 0o644);
        let link = config.path().join("bartizan.toml");
        symlink(&planted, &link).unwrap();
        let workspace = workspace.path().canonicalize().unwrap();
        let guard = Guard { workspace: Some(&workspace), ..me() };
        assert!(guard.read(&link).unwrap_err().what().contains("inside the workspace"));
        assert!(me().read(&link).is_ok());
    }

    #[test]
    fn a_directory_above_that_others_can_write_is_refused_unless_it_is_sticky() {
        let dir = dir();
        let inner = dir.path().join("a");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("bartizan.toml");
        fs::write(&file, "").unwrap();
        for (mode, remedy) in [(0o770, "g-w"), (0o702, "o-w"), (0o777, "go-w")] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            let problem = format!("{:?}", me().read(&file).unwrap_err());
            assert!(problem.contains(&format!("chmod {remedy} ")), "{problem}");
            let sticky = fs::Permissions::from_mode(mode | 0o1000);
            fs::set_permissions(dir.path(), sticky).unwrap();
            assert!(me().read(&file).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_pipe_a_device_a_dangling_link_and_a_giant_are_refused_at_once() {
        let dir = dir();
        let pipe = dir.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink("/nowhere/at/all", dir.path().join("dangling")).unwrap();
        let giant = File::create(dir.path().join("giant")).unwrap();
        giant.set_len(FILE_LIMIT + 1).unwrap();
        let names = ["dangling", "dangling/below", "giant"].map(|name| dir.path().join(name));
        for path in [pipe, PathBuf::from("/dev/null")].into_iter().chain(names) {
            assert!(me().read(&path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_link_inside_a_project_is_refused() {
        let dir = dir();
        symlink(file(&dir, 0o644), dir.path().join("link")).unwrap();
        assert!(
            read_in_project(&dir.path().join("link")).unwrap_err().what().contains("symbolic link")
        );
    }

    #[test]
    fn policies_come_in_the_order_of_their_names() {
        let dir = dir();
        for name in ["b.cedar", "a.cedar", ".hidden.cedar", "c.txt", "d.cedar~"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let read = me().read_policies(dir.path()).unwrap();
        let names: Vec<_> =
            read.iter().map(|source| source.path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.cedar", "b.cedar"]);
    }
}
