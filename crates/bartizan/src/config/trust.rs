//! Has a person looked at this project's configuration, and is it still the same to the byte?

use super::files::{self, Source};
use super::places::{CONFIG_FILE, POLICY_DIR, PROJECT_DIR, Places};
use crate::cli::exit;
use crate::report::{Failure, Problem, plain};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A project's configuration as it was read, with the digest over exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// `bartizan.toml`, if there is one.
    pub(crate) config: Option<Source>,
    /// The Cedar policies, by name.
    pub(crate) policies: Vec<Source>,
    /// SHA-256 in hex over names, lengths and contents.
    pub(crate) digest: String,
}

/// What the state directory remembers of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trusted {
    /// The project's directory, with every symlink followed.
    pub(crate) project: PathBuf,
    /// The digest that was looked at.
    pub(crate) digest: String,
    /// When, in seconds since 1970.
    pub(crate) at_s: u64,
}

/// How a project's configuration stands to what was trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none, and none was trusted.
    Absent,
    /// It is what was trusted.
    Trusted(Project),
    /// Nobody has looked at it.
    Unknown(Project),
    /// It is not what was trusted.
    Changed(Project),
    /// What was trusted is gone.
    Gone,
}

/// Reads the `.bartizan` directory of `project`; `None` when it has none.
pub(crate) fn read(project: &Path) -> Result<Option<Project>, Problem> {
    let dir = project.join(PROJECT_DIR);
    if !is_real_directory(&dir)? {
        return Ok(None);
    }
    let config = dir.join(CONFIG_FILE);
    let config = match config.symlink_metadata() {
        Ok(_) => Some(files::read_in_project(&config)?),
        Err(_) => None,
    };
    let policy = dir.join(POLICY_DIR);
    let mut policies = Vec::new();
    if is_real_directory(&policy)? {
        for name in files::policy_names(&policy)? {
            policies.push(files::read_in_project(&policy.join(name))?);
        }
    }
    if config.is_none() && policies.is_empty() {
        return Ok(None);
    }
    let digest = digest(&dir, config.iter().chain(&policies));
    Ok(Some(Project { config, policies, digest }))
}

/// Compares what the project holds with what was trusted.
pub(crate) fn standing(places: &Places, project: &Path) -> Result<Standing, Problem> {
    let found = read(project)?;
    let known = recall(places, project)?;
    Ok(match (found, known) {
        (None, None) => Standing::Absent,
        (None, Some(_)) => Standing::Gone,
        (Some(project), None) => Standing::Unknown(project),
        (Some(project), Some(known)) if known.digest == project.digest => {
            Standing::Trusted(project)
        }
        (Some(project), Some(_)) => Standing::Changed(project),
    })
}

/// Records that a person trusts `digest` for `project`.
pub(crate) fn remember(places: &Places, project: &Path, digest: &str) -> Result<(), Failure> {
    let dir = places.state.join(TRUSTED_DIR);
    // The store makes the state directory too; whoever comes first keeps it private.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|error| Failure::file("create", &dir, &error))?;
    let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let trusted = Trusted { project: project.to_path_buf(), digest: digest.to_owned(), at_s };
    let path = dir.join(file_name(project));
    write(&dir, &path, &trusted).map_err(|error| Failure::file("write", &path, &error))
}

/// Forgets the project; false when it was not known.
pub(crate) fn forget(places: &Places, project: &Path) -> Result<bool, Failure> {
    let path = places.state.join(TRUSTED_DIR).join(file_name(project));
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::file("remove", &path, &error)),
    }
}

/// Every project that is remembered, by path.
pub(crate) fn all(places: &Places) -> Result<Vec<Trusted>, Failure> {
    let dir = places.state.join(TRUSTED_DIR);
    let entries = match dir.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::file("read", &dir, &error)),
    };
    let mut known = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::file("read", &dir, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            known.push(parse(&path).map_err(|problem| Failure::new(exit::STATE, problem))?);
        }
    }
    known.sort_by(|a: &Trusted, b| a.project.cmp(&b.project));
    Ok(known)
}

/// Where the state directory keeps one file per trusted project, so that two terminals cannot lose
/// each other's word.
const TRUSTED_DIR: &str = "trusted";

fn recall(places: &Places, project: &Path) -> Result<Option<Trusted>, Problem> {
    let path = places.state.join(TRUSTED_DIR).join(file_name(project));
    match path.symlink_metadata() {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&path, &error)),
    }
    // Who can write here can write anybody's word.
    files::obeyed_directory(&places.state)?;
    files::obeyed_directory(&places.state.join(TRUSTED_DIR))?;
    let known = parse(&path)?;
    // A file that was moved under another project's name does not speak for that one.
    Ok(Some(known).filter(|known| known.project == project))
}

fn parse(path: &Path) -> Result<Trusted, Problem> {
    let source = files::read_in_project(path)?;
    serde_json::from_str(&source.text).map_err(|error| {
        let what = format!("`{}` is not a record of trust: {error}", path.display());
        Problem::new(what).hint("remove the file and run `bartizan trust` again")
    })
}

fn file_name(project: &Path) -> String {
    format!("{}.json", hex(&Sha256::digest(project.as_os_str().as_bytes())))
}

/// Written beside and renamed, so that a crash leaves the old word or the new one.
fn write(dir: &Path, path: &Path, trusted: &Trusted) -> io::Result<()> {
    let beside = dir.join(format!(".{}.tmp", std::process::id()));
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&beside, flags, Mode::RUSR | Mode::WUSR)?);
    serde_json::to_writer(&mut file, trusted)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(dir)?.sync_all()
}

/// Length-prefixed, so that no two different sets of files have one digest.
fn digest<'a>(dir: &Path, sources: impl Iterator<Item = &'a Source>) -> String {
    let mut hash = Sha256::new();
    hash.update(b"bartizan project v1\0");
    for source in sources {
        let name = source.path.strip_prefix(dir).unwrap_or(&source.path).as_os_str().as_bytes();
        for part in [name, source.text.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// A link is refused, since it would put somebody else's directory in the project's name.
fn is_real_directory(path: &Path) -> Result<bool, Problem> {
    match path.symlink_metadata() {
        Ok(about) if about.is_dir() => Ok(true),
        Ok(_) => Err(Problem::new(format!(
            "`{}` is not a directory of the project's own",
            path.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot read `{}`: {}", path.display(), plain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    struct World {
        dir: TempDir,
        places: Places,
        project: PathBuf,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join(".bartizan/policy")).unwrap();
        let places = Places {
            system: dir.path().join("etc"),
            user: dir.path().join("user"),
            user_is_given: false,
            state: dir.path().join("state"),
            home: dir.path().join("home"),
        };
        World { dir, places, project }
    }

    fn put(world: &World, name: &str, text: &str) {
        fs::write(world.project.join(".bartizan").join(name), text).unwrap();
    }

    #[test]
    fn nothing_is_trusted_until_a_person_says_so_and_only_as_it_was() {
        let world = world();
        assert_eq!(standing(&world.places, &world.project).unwrap(), Standing::Absent);
        put(&world, "bartizan.toml", "a");
        let Standing::Unknown(project) = standing(&world.places, &world.project).unwrap() else {
            panic!()
        };
        remember(&world.places, &world.project, &project.digest).unwrap();
        assert!(matches!(standing(&world.places, &world.project).unwrap(), Standing::Trusted(_)));
        put(&world, "policy/a.cedar", "");
        assert!(matches!(standing(&world.places, &world.project).unwrap(), Standing::Changed(_)));
        fs::remove_dir_all(world.project.join(".bartizan")).unwrap();
        assert_eq!(standing(&world.places, &world.project).unwrap(), Standing::Gone);
        assert!(forget(&world.places, &world.project).unwrap());
        assert!(!forget(&world.places, &world.project).unwrap());
    }

    #[test]
    fn moving_bytes_between_files_changes_the_digest() {
        let world = world();
        put(&world, "policy/a.cedar", "xy");
        put(&world, "policy/b.cedar", "z");
        let before = read(&world.project).unwrap().unwrap().digest;
        put(&world, "policy/a.cedar", "x");
        put(&world, "policy/b.cedar", "yz");
        assert_ne!(read(&world.project).unwrap().unwrap().digest, before);
    }

    #[test]
    fn a_record_under_another_projects_name_does_not_speak_for_it() {
        let world = world();
        put(&world, "bartizan.toml", "a");
        let digest = read(&world.project).unwrap().unwrap().digest;
        let other = world.dir.path().join("other");
        remember(&world.places, &other, &digest).unwrap();
        let trusted = world.places.state.join(TRUSTED_DIR);
        fs::rename(trusted.join(file_name(&other)), trusted.join(file_name(&world.project)))
            .unwrap();
        assert!(matches!(standing(&world.places, &world.project).unwrap(), Standing::Unknown(_)));
    }

    #[test]
    fn a_garbled_record_is_an_error_and_not_no_record() {
        let world = world();
        remember(&world.places, &world.project, "d").unwrap();
        fs::write(world.places.state.join(TRUSTED_DIR).join(file_name(&world.project)), "{}")
            .unwrap();
        assert!(standing(&world.places, &world.project).is_err());
        assert!(all(&world.places).is_err());
    }

    #[test]
    fn a_link_in_place_of_the_directory_is_refused() {
        let world = world();
        fs::remove_dir_all(world.project.join(".bartizan")).unwrap();
        std::os::unix::fs::symlink(world.dir.path(), world.project.join(".bartizan")).unwrap();
        assert!(read(&world.project).is_err());
    }
}
