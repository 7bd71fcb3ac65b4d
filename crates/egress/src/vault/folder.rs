//! What lies sealed in the person's own folder? Age files, one per secret, and the one key that opens them.

use super::age::{AgeError, Identity};
use crate::fault::{Fault, FaultKind};
use crate::reference::is_file_name;
use crate::secret::SecretValue;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{Mode, OFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The folder, below the person's configuration directory.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
    /// Nothing below this is trusted: an agent writes there.
    workspace: Option<PathBuf>,
}

impl Folder {
    /// The folder of the configuration directory `config`.
    pub fn new(config: &Path) -> Self {
        Self { dir: config.join("secrets"), workspace: None }
    }

    /// The same, where an agent writes below `workspace`.
    #[must_use = "a folder is a value"]
    pub fn beside(self, workspace: PathBuf) -> Self {
        Self { workspace: Some(workspace), ..self }
    }

    /// Where the key is.
    pub fn identity_path(&self) -> PathBuf {
        self.dir.join("identity")
    }

    /// Where the secret of this name is, or would be.
    pub fn path(&self, name: &str) -> Result<PathBuf, Fault> {
        if is_file_name(name) {
            return Ok(self.dir.join(format!("{name}.age")));
        }
        let what = "a name has up to 64 letters, digits, `.`, `_` and `-`";
        Err(Fault::new(FaultKind::Malformed, what).remedy("choose a name such as `github`"))
    }

    /// Seals `value` under `name`, over what was there. Makes the folder and the key at the first time.
    pub fn set(&self, name: &str, value: &SecretValue) -> Result<(), Fault> {
        let path = self.path(name)?;
        if value.is_empty() {
            return Err(Fault::new(FaultKind::Malformed, "the value is empty"));
        }
        self.make()?;
        let identity = self.identity_or_new()?;
        let sealed = identity.seal(value.bytes()).map_err(|error| about(&path, error))?;
        replace(&path, &sealed).map_err(|error| failed("write", &path, &error))
    }

    /// The names of what is there, sorted.
    pub fn list(&self) -> Result<Vec<String>, Fault> {
        let entries = match self.dir.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.dir, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| failed("read", &self.dir, &error))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".age"));
            names.extend(name.filter(|name| is_file_name(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Removes the secret of this name; false when there is none.
    pub fn remove(&self, name: &str) -> Result<bool, Fault> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &path, &error)),
        }
    }

    /// Opens the secret of this name.
    pub fn open(&self, name: &str) -> Result<SecretValue, Fault> {
        self.open_at(&self.path(name)?)
    }

    /// Opens the age file at `path`.
    pub fn open_at(&self, path: &Path) -> Result<SecretValue, Fault> {
        let key = self.identity_path();
        let identity = self.identity()?.ok_or_else(|| {
            let what = format!("there is no key `{}`", key.display());
            let remedy = "make one by sealing a secret: bartizan secret set NAME";
            Fault::new(FaultKind::Missing, what).remedy(remedy)
        })?;
        let sealed = self.read(path, Care::NotWritable)?.ok_or_else(|| {
            let what = format!("there is no file `{}`", path.display());
            Fault::new(FaultKind::Missing, what).remedy("seal it with: bartizan secret set NAME")
        })?;
        let mut value = identity.open(&sealed).map_err(|error| about(path, error))?;
        Ok(SecretValue::new(std::mem::take(&mut *value)))
    }

    fn identity_or_new(&self) -> Result<Identity, Fault> {
        if let Some(identity) = self.identity()? {
            return Ok(identity);
        }
        let path = self.identity_path();
        let identity = Identity::generate().map_err(|error| about(&path, error))?;
        let made = create(&path, identity.to_text().as_bytes());
        match made {
            Ok(()) => Ok(identity),
            // Another process was faster; its key is the one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.identity()?.ok_or_else(|| failed("read", &path, &error))
            }
            Err(error) => Err(failed("write", &path, &error)),
        }
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        let path = self.identity_path();
        let Some(bytes) = self.read(&path, Care::NotReadable)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| about(&path, AgeError::BadIdentity))?;
        Identity::parse(text).map(Some).map_err(|error| about(&path, error))
    }

    fn make(&self) -> Result<(), Fault> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| failed("make", &self.dir, &error))
    }

    /// Reads a file that nobody else may have written; `None` when there is none.
    fn read(&self, path: &Path, care: Care) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", path, &error)),
        };
        if self.workspace.as_ref().is_some_and(|workspace| real.starts_with(workspace)) {
            let what = format!("`{}` is in the workspace, where an agent writes", path.display());
            return Err(Fault::new(FaultKind::Unsafe, what).remedy("keep it elsewhere"));
        }
        // What is checked is the open file, so that a swap after the check changes nothing.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&real, flags, Mode::empty()).map(File::from);
        let mut file = file.map_err(|error| failed("read", path, &error.into()))?;
        let about = file.metadata().map_err(|error| failed("read", path, &error))?;
        care.check(path, &about)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        let limit = LONGEST as u64 + 1;
        let read = (&mut file).take(limit).read_to_end(&mut bytes);
        read.map_err(|error| failed("read", path, &error))?;
        if bytes.len() > LONGEST {
            return Err(self::about(path, AgeError::TooLong));
        }
        Ok(Some(bytes))
    }
}

/// How a file must be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Nobody else may read or write it.
    NotReadable,
    /// Nobody else may write it; it is sealed.
    NotWritable,
}

impl Care {
    fn check(self, path: &Path, about: &std::fs::Metadata) -> Result<(), Fault> {
        let unsafe_ =
            |what: String, remedy: String| Err(Fault::new(FaultKind::Unsafe, what).remedy(remedy));
        let shown = path.display();
        if !about.is_file() {
            return unsafe_(format!("`{shown}` is not a regular file"), "remove it".to_owned());
        }
        let own = rustix::process::geteuid().as_raw();
        if about.uid() != own && about.uid() != 0 {
            let what = format!("`{shown}` belongs to user {}", about.uid());
            return unsafe_(what, format!("chown {own} {shown}"));
        }
        let (mask, who) = match self {
            Self::NotReadable => (0o077, "read"),
            Self::NotWritable => (0o022, "written"),
        };
        if about.mode() & mask != 0 {
            return unsafe_(
                format!("`{shown}` can be {who} by others"),
                format!("chmod 600 {shown}"),
            );
        }
        Ok(())
    }
}

/// Writes a new file beside and moves it over the old one, so that a crash leaves the one or the other.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut salt = [0; 8];
    SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("no random bytes"))?;
    let beside = path.with_extension(format!("age.{:016x}.new", u64::from_le_bytes(salt)));
    let moved = create(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        // What is left over is sealed.
        drop(std::fs::remove_file(&beside));
    }
    moved?;
    sync_parent(path)
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn about(path: &Path, error: AgeError) -> Fault {
    let what = format!("`{}`: {error}", path.display());
    let (kind, remedy) = match error {
        AgeError::NotForUs => {
            (FaultKind::Denied, "seal it again with the key that is here: bartizan secret set NAME")
        }
        AgeError::BadIdentity => {
            (FaultKind::Malformed, "bring the key back from your backup; without it nothing opens")
        }
        AgeError::Malformed => (FaultKind::Malformed, "seal it again: bartizan secret set NAME"),
        AgeError::NoRandom => (FaultKind::Down, "look at the machine"),
        AgeError::TooLong => (FaultKind::Malformed, "a secret is at most 64 KiB"),
    };
    Fault::new(kind, what).remedy(remedy)
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Fault {
    let what = format!("cannot {doing} `{}`: {}", path.display(), error.kind());
    Fault::new(FaultKind::Down, what)
        .remedy("see that the directory is yours and its disk has room")
}

/// A sealed value of 64 KiB with a header of many recipients.
const LONGEST: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        (dir, folder)
    }

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec())
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_secret_is_set_listed_opened_replaced_and_removed() {
        let (dir, folder) = folder();
        assert_eq!(folder.list().unwrap(), Vec::<String>::new());
        folder.set("github", &value("first")).unwrap();
        folder.set("github", &value("second")).unwrap();
        folder.set("aws.key", &value("third")).unwrap();
        assert_eq!(folder.list().unwrap(), ["aws.key", "github"]);
        assert_eq!(folder.open("github").unwrap().bytes(), b"second");
        assert!(folder.remove("github").unwrap());
        assert!(!folder.remove("github").unwrap());
        assert_eq!(folder.open("github").err().unwrap().kind(), FaultKind::Missing);
        assert_eq!(mode(&dir.path().join("secrets")), 0o700);
        assert_eq!(mode(&folder.identity_path()), 0o600);
        assert_eq!(mode(&folder.path("aws.key").unwrap()), 0o600);
        let left = dir.path().join("secrets").read_dir().unwrap().count();
        assert_eq!(left, 2, "no half-written file stays");
    }

    #[test]
    fn no_file_holds_the_value_in_the_clear() {
        let (dir, folder) = folder();
        folder.set("x", &value("plain-and-visible")).unwrap();
        for entry in dir.path().join("secrets").read_dir().unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!value("plain-and-visible").occurs_in(&bytes));
        }
    }

    #[test]
    fn a_key_that_others_can_read_or_a_file_that_others_can_write_is_refused() {
        let (_dir, folder) = folder();
        folder.set("x", &value("v")).unwrap();
        let chmod = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = folder.path("x").unwrap();
        for (path, bad) in [(&folder.identity_path(), 0o640), (&file, 0o620)] {
            chmod(path, bad);
            let fault = folder.open("x").err().unwrap();
            assert_eq!(fault.kind(), FaultKind::Unsafe);
            assert!(fault.to_string().contains("chmod 600"), "{fault}");
            chmod(path, 0o600);
        }
        assert!(folder.open("x").is_ok());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let (_dir, folder) = folder();
        for name in ["", "../x", "a/b", ".x", "-x", "a b", "x\0", &"x".repeat(65)] {
            assert!(folder.set(name, &value("v")).is_err(), "{name}");
            assert!(folder.open(name).is_err(), "{name}");
            assert!(folder.remove(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_lies_in_the_workspace_or_leads_there_is_refused() {
        let (dir, folder) = folder();
        folder.set("x", &value("v")).unwrap();
        let workspace = tempfile::tempdir().unwrap();
        let planted = workspace.path().join("p.age");
        std::fs::copy(folder.path("x").unwrap(), &planted).unwrap();
        symlink(&planted, dir.path().join("link.age")).unwrap();
        let folder = folder.beside(workspace.path().canonicalize().unwrap());
        for path in [&planted, &dir.path().join("link.age")] {
            assert_eq!(folder.open_at(path).err().unwrap().kind(), FaultKind::Unsafe);
        }
        assert!(folder.open("x").is_ok());
    }

    #[test]
    fn a_file_for_another_key_and_a_broken_key_say_what_to_do() {
        let (_a, ours) = folder();
        let (_b, theirs) = folder();
        ours.set("x", &value("v")).unwrap();
        theirs.set("x", &value("v")).unwrap();
        std::fs::copy(theirs.path("x").unwrap(), ours.path("x").unwrap()).unwrap();
        assert_eq!(ours.open("x").err().unwrap().kind(), FaultKind::Denied);
        std::fs::write(theirs.identity_path(), "AGE-SECRET-KEY-1XYZ").unwrap();
        let fault = theirs.open("x").err().unwrap();
        assert!(!fault.to_string().contains("XYZ"), "{fault}");
        assert_eq!(fault.kind(), FaultKind::Malformed);
        // A key that is there and broken is never replaced: what it sealed would be lost.
        assert!(theirs.set("y", &value("v")).is_err());
    }
}
