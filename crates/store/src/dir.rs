//! Is the state directory one that nobody else can change, and where is the log's key in it?
use crate::StoreError;
use crate::note::{PublicKey, Seal};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A directory that has passed every check.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Checks the directory, making it (0700) if it is not there.
    pub(crate) fn prepare(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
            refuse(path, format!("it cannot be made: {error}"), "choose another with --state")
        })?;
        Self::check(path)
    }

    fn check(path: &Path) -> Result<Self, StoreError> {
        let found = fs::metadata(path).map_err(|error| {
            refuse(path, format!("it cannot be read: {error}"), "give the directory of a store")
        })?;
        let path = path.to_path_buf();
        if !found.is_dir() {
            return Err(refuse(&path, "it is no directory", "choose another with --state"));
        }
        check_owner(&path, &found)?;
        if found.mode() & 0o022 != 0 {
            let fix =
                format!("run `chmod 700 {}`, and look at what is in it first", path.display());
            return Err(refuse(&path, "others can write to it, so its log proves nothing", fix));
        }
        Ok(Self { path })
    }

    /// Takes the directory as it is, for a reader who will believe only what is signed.
    pub(crate) fn unchecked(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its disk has room for so many bytes; where that cannot be told, whoever writes finds out.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let found = rustix::fs::statvfs(&self.path);
        found.map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Makes the empty database file with mode 0600, since `SQLite` would follow the umask.
    pub(crate) fn make_database(&self) -> Result<PathBuf, StoreError> {
        let path = self.database();
        self.put_new(DATABASE, b"")?;
        let found = fs::symlink_metadata(&path)
            .map_err(|error| refuse(&path, format!("it cannot be read: {error}"), PERMISSIONS))?;
        if !found.is_file() {
            return Err(refuse(&path, "it is no plain file", "remove it, if you know what it is"));
        }
        check_owner(&path, &found)?;
        if found.mode() & 0o077 != 0 {
            let fix = format!("run `chmod 600 {}`", path.display());
            return Err(refuse(&path, "others can open it", fix));
        }
        Ok(path)
    }

    /// The log's key: read, or made at the first start.
    pub(crate) fn seal(&self) -> Result<Seal, StoreError> {
        let path = self.path.join(KEY);
        if !path.exists() && !self.is_fresh() {
            let why = "the signing key is gone, but there is a log";
            return Err(refuse(&path, why, "restore it, or move the whole directory away"));
        }
        if !path.exists() {
            let (mut seed, mut log_id) = ([0; 32], [0; 16]);
            fill_random(&mut seed).and_then(|()| fill_random(&mut log_id)).map_err(|error| {
                refuse(&path, format!("no random bytes for a key: {error}"), "try again")
            })?;
            self.put_new(KEY, Seal::new(&mut seed, log_id).secret().as_bytes())?;
        }
        let seal = read_key(&path)?;
        self.put_new(PUBLIC, format!("{}\n", seal.public()).as_bytes())?;
        Ok(seal)
    }

    /// The public half, from its own file, for a reader who may not read the private one.
    pub(crate) fn public(&self) -> Result<PublicKey, StoreError> {
        let path = self.path.join(PUBLIC);
        let text = read_small(&path)?;
        text.parse().map_err(|error| refuse(&path, format!("{error}"), "restore it from a copy"))
    }

    /// Keeps the newest checkpoint outside the database, where a restored old copy of the database cannot take it
    /// back. It helps against accidents and lazy edits only: whoever owns the directory can change both.
    pub(crate) fn keep_anchor(&self, note: &str) -> std::io::Result<()> {
        let temporary = self.temporary()?;
        let done = write_new(&temporary, note.as_bytes())
            // Without this, a power cut can leave the new name on an empty file, and a log that opens no more.
            .and_then(|file| file.sync_data())
            .and_then(|()| fs::rename(&temporary, self.path.join(ANCHOR)));
        if done.is_err() {
            fs::remove_file(&temporary).ok();
        }
        done
    }

    /// The newest checkpoint that was kept, if there is one.
    pub(crate) fn anchor(&self) -> Result<Option<String>, StoreError> {
        let path = self.path.join(ANCHOR);
        if path.exists() { read_small(&path).map(Some) } else { Ok(None) }
    }

    fn is_fresh(&self) -> bool {
        let used = |name: &str| fs::metadata(self.path.join(name)).is_ok_and(|file| file.len() > 0);
        !used(DATABASE) && !used(ANCHOR)
    }

    /// Puts a file in place unless one is there: written whole under another name, then linked, so that two processes
    /// that start together agree. (The database must never be opened and closed here once it is in place, for that
    /// would drop the locks that `SQLite` holds on it in this process.)
    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Ok(());
        }
        let link = || {
            let temporary = self.temporary()?;
            let linked = write_new(&temporary, content)
                .and_then(|file| file.sync_all())
                .and_then(|()| fs::hard_link(&temporary, &path))
                .and_then(|()| File::open(&self.path)?.sync_all());
            fs::remove_file(&temporary).ok();
            linked
        };
        match link() {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(refuse(&path, format!("it cannot be written: {error}"), PERMISSIONS)),
        }
    }

    fn temporary(&self) -> std::io::Result<PathBuf> {
        let mut bytes = [0; 8];
        fill_random(&mut bytes)?;
        Ok(self.path.join(format!(".{}.tmp", crate::digest::hex(&bytes))))
    }
}

/// Fills the buffer from the kernel's generator.
pub(crate) fn fill_random(buffer: &mut [u8]) -> std::io::Result<()> {
    let wanted = buffer.len();
    let got = rustix::rand::getrandom(buffer, rustix::rand::GetRandomFlags::empty())?;
    // Up to 256 bytes come whole; a short answer would leave zeros in a key.
    if got == wanted { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn write_new(path: &Path, content: &[u8]) -> std::io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

fn read_key(path: &Path) -> Result<Seal, StoreError> {
    let found = fs::symlink_metadata(path)
        .map_err(|error| refuse(path, format!("it cannot be read: {error}"), PERMISSIONS))?;
    if !found.is_file() || found.mode() & 0o077 != 0 {
        let fix = format!("run `chmod 600 {}`, and renew the key if others had it", path.display());
        return Err(refuse(path, "the signing key is no plain file of mode 0600", fix));
    }
    check_owner(path, &found)?;
    let text = zeroize::Zeroizing::new(read_small(path)?);
    Seal::parse(&text).map_err(|error| refuse(path, format!("{error}"), "restore it from a copy"))
}

fn read_small(path: &Path) -> Result<String, StoreError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SMALL_FILE).read_to_string(&mut text))
        .map_err(|error| refuse(path, format!("it cannot be read: {error}"), PERMISSIONS))?;
    Ok(text)
}

fn check_owner(path: &Path, found: &fs::Metadata) -> Result<(), StoreError> {
    let us = rustix::process::geteuid().as_raw();
    if found.uid() == us {
        return Ok(());
    }
    let why = format!("it belongs to user {}, and we are user {us}", found.uid());
    Err(refuse(path, why, "choose a state directory of your own"))
}

fn refuse(path: &Path, why: impl Into<String>, fix: impl Into<String>) -> StoreError {
    StoreError::Directory { path: path.to_path_buf(), why: why.into(), fix: fix.into() }
}

const DATABASE: &str = "bartizan.db";
const KEY: &str = "checkpoint.key";
const PUBLIC: &str = "checkpoint.pub";
const ANCHOR: &str = "checkpoint.latest";
const PERMISSIONS: &str = "look at the directory's permissions and at the room on its disk";
const MAX_SMALL_FILE: u64 = 4096;
