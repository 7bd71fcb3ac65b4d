//! How does one change reach the host so that nothing is followed, half-written or overwritten unseen?

use super::change::Clash;
use super::host::{Print, Shape, digest, link_target, look, open_dir, open_file, proc_path};
use super::journal::{After, Step, Stretch};
use super::path::unescape;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, chmodat,
    chownat, fstat, linkat, mkdirat, openat, renameat, renameat_with, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landing {
    /// The path is as the step says.
    Done,
    /// It is not, and was left as someone else made it.
    Clash(Clash),
}

/// What all steps of one write-back share.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) workspace: BorrowedFd<'a>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) tag: &'a str,
}

/// Carries out one step. `data` is its staged contents.
///
/// # Errors
/// Only what stops the whole write-back, such as a full disk; what the host refuses for one path is a [`Clash`].
pub(crate) fn land(
    ground: &Ground<'_>,
    number: usize,
    step: &Step,
    data: Option<Stretch<'_>>,
) -> io::Result<Landing> {
    let dir = match parent(ground, step) {
        Ok(dir) => dir,
        // What is to be gone is gone with its directory, or with what replaced that.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if step.after == After::Absent => {
            return Ok(Landing::Done);
        }
        Err(errno) => return refused(errno),
    };
    let site = Site { ground, dir, name: step.path.name(), temp: temp_name(ground.tag, number) };
    match site.settle(step, data) {
        Ok(Landing::Done) => Ok(Landing::Done),
        Ok(clash) => site.sweep().map(|()| clash),
        Err(Failure::Host(errno)) => site.sweep().and_then(|()| refused(errno)),
        Err(Failure::Stop(e)) => Err(e),
    }
}

/// Finishes what a crash left of a step: afterwards its temporary name is gone and the step can be carried out as if for the first time.
///
/// Gives the file that someone else had changed in the instant of the crash, if there is one, for safe keeping.
pub(crate) fn tidy(ground: &Ground<'_>, number: usize, step: &Step) -> io::Result<Option<File>> {
    let Ok(dir) = parent(ground, step) else { return Ok(None) };
    let site = Site { ground, dir, name: step.path.name(), temp: temp_name(ground.tag, number) };
    let Some(left) = look(site.dir.as_fd(), &site.temp)?.map(|stat| Print::of(&stat)) else {
        return Ok(None);
    };
    let now = look(site.dir.as_fd(), site.name)?.map(|stat| Print::of(&stat));
    let was_host = step.before.is_some_and(|before| before.is_still_renamed(&left));
    if was_host && step.after != After::Absent && now.is_none() {
        // Cannot be left by an exchange; give it back.
        renameat_with(&site.dir, &site.temp, &site.dir, site.name, RenameFlags::NOREPLACE)?;
        return Ok(None);
    }
    let untouched = match (step.before, now) {
        (Some(before), Some(now)) => before.is_still(&now),
        (None, None) => true,
        _ => false,
    };
    if was_host || (untouched && step.after != After::Absent) {
        site.dispose(left.shape)?;
        return Ok(None);
    }
    if now.is_none() {
        renameat_with(&site.dir, &site.temp, &site.dir, site.name, RenameFlags::NOREPLACE)?;
        return Ok(None);
    }
    let saved = open_file(site.dir.as_fd(), &site.temp).ok().map(|(file, _)| file);
    if saved.is_some() || left.shape == Shape::Link {
        site.dispose(left.shape)?;
    }
    Ok(saved)
}

fn parent(ground: &Ground<'_>, step: &Step) -> rustix::io::Result<OwnedFd> {
    open_dir(ground.workspace, step.path.parent().as_ref(), OFlags::PATH)
}

fn temp_name(tag: &str, number: usize) -> Vec<u8> {
    format!(".bartizan-{tag}-{number}").into_bytes()
}

/// Tells an error about this one path from one that every path would meet.
fn refused(errno: Errno) -> io::Result<Landing> {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::NOENT => Ok(Landing::Clash(Clash::ParentMoved)),
        Errno::EXIST | Errno::NOTEMPTY | Errno::ISDIR => Ok(Landing::Clash(Clash::ChangedOnHost)),
        Errno::ACCESS
        | Errno::PERM
        | Errno::XDEV
        | Errno::BUSY
        | Errno::TXTBSY
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::ILSEQ
        | Errno::NOTSUP
        | Errno::MLINK => Ok(Landing::Clash(Clash::Refused)),
        errno => Err(errno.into()),
    }
}

/// One name in one directory of the host, held open.
struct Site<'a> {
    ground: &'a Ground<'a>,
    dir: OwnedFd,
    name: &'a [u8],
    temp: Vec<u8>,
}

#[derive(Debug)]
enum Failure {
    /// About this path, until [`refused`] says otherwise; what lies under the temporary name is ours.
    Host(Errno),
    /// The write-back cannot go on; what lies under the temporary name is left for recovery.
    Stop(io::Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Host(errno)
    }
}

impl Site<'_> {
    fn settle(&self, step: &Step, data: Option<Stretch<'_>>) -> Result<Landing, Failure> {
        let now = look(self.dir.as_fd(), self.name)?;
        let print = now.as_ref().map(Print::of);
        let as_before = match (step.before, print) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_still(&now),
            _ => false,
        };
        if !as_before {
            let reached = self.is_reached(&step.after, print, now.map_or(0, |stat| stat.st_mode));
            return Ok(if reached {
                Landing::Done
            } else {
                Landing::Clash(if print.is_none() {
                    Clash::DeletedOnHost
                } else {
                    Clash::ChangedOnHost
                })
            });
        }
        match &step.after {
            After::Absent => self.remove(step.before),
            After::Mode { mode } => self.set_mode(step.before, *mode),
            After::Dir { mode } => {
                mkdirat(&self.dir, &self.temp, Mode::from_raw_mode(*mode))?;
                self.finish_temp(step.before, *mode, None)
            }
            After::Link { target } => {
                let target = unescape(target).ok_or(Errno::INVAL)?;
                symlinkat(OsStr::from_bytes(&target), &self.dir, &self.temp)?;
                self.give_away(None)?;
                self.place(step.before)
            }
            After::File { digest, size, mode, mtime, .. } => {
                let data =
                    data.ok_or_else(|| Failure::Stop(io::Error::from(io::ErrorKind::NotFound)))?;
                self.fill_temp(data, *digest, *size)?;
                self.finish_temp(step.before, *mode, Some(*mtime))
            }
        }
    }

    /// Whether the path already is what the step makes of it.
    fn is_reached(&self, after: &After, now: Option<Print>, mode: u32) -> bool {
        let shape = now.map(|print| print.shape);
        match after {
            After::Absent => now.is_none(),
            After::Dir { .. } => shape == Some(Shape::Dir),
            After::Mode { mode: wanted } => now.is_some() && mode & 0o777 == *wanted,
            After::Link { target } => {
                shape == Some(Shape::Link)
                    && unescape(target).is_some_and(|t| {
                        link_target(self.dir.as_fd(), self.name).is_ok_and(|now| now == t)
                    })
            }
            After::File { digest: wanted, size, .. } => {
                shape == Some(Shape::File)
                    && now.is_some_and(|print| print.size == *size)
                    && open_file(self.dir.as_fd(), self.name).is_ok_and(|(mut file, _)| {
                        digest(&mut file, |_| Ok(())).is_ok_and(|(found, _)| found == *wanted)
                    })
            }
        }
    }

    /// Writes the staged contents under the temporary name, checked against the digest they were judged by.
    fn fill_temp(&self, mut data: Stretch<'_>, wanted: [u8; 32], size: u64) -> Result<(), Failure> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut temp =
            File::from(openat(&self.dir, &self.temp, flags, Mode::from_raw_mode(0o600))?);
        let written = digest(&mut data, |chunk| io::Write::write_all(&mut temp, chunk))
            .map_err(Failure::Stop);
        let sound = written.and_then(|found| {
            if found == (wanted, size) {
                Ok(())
            } else {
                Err(Failure::Stop(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the staged copy is not what was staged",
                )))
            }
        });
        if sound.is_err() {
            self.dispose(Shape::File)?;
        }
        sound
    }

    fn finish_temp(
        &self,
        before: Option<Print>,
        mode: u32,
        mtime: Option<(i64, i64)>,
    ) -> Result<Landing, Failure> {
        let replaced = if before.is_some_and(|print| print.shape == Shape::File) {
            look(self.dir.as_fd(), self.name)?
        } else {
            None
        };
        self.give_away(replaced.map(|stat| (stat.st_uid, stat.st_gid)))?;
        chmod(&self.handle(&self.temp)?, mode)?;
        if let Some((tv_sec, tv_nsec)) = mtime {
            let time = Timespec { tv_sec, tv_nsec };
            utimensat(
                &self.dir,
                &self.temp,
                &Timestamps { last_access: time, last_modification: time },
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
        }
        self.place(before)
    }

    /// Gives what lies under the temporary name to whom the replaced file belonged, or to the workspace's owner.
    fn give_away(&self, replaced: Option<(u32, u32)>) -> Result<(), Failure> {
        let Some((uid, gid)) =
            replaced.filter(|_| self.ground.owner.is_some()).or(self.ground.owner)
        else {
            return Ok(());
        };
        Ok(chownat(
            &self.dir,
            &self.temp,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Puts what lies under the temporary name in its place: only where nothing is, or in exchange for exactly what was there.
    fn place(&self, before: Option<Print>) -> Result<Landing, Failure> {
        let Some(before) = before else {
            return match renameat_with(
                &self.dir,
                &self.temp,
                &self.dir,
                self.name,
                RenameFlags::NOREPLACE,
            ) {
                Ok(()) => Ok(Landing::Done),
                // A file system without the flag still links only where nothing is.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    linkat(&self.dir, &self.temp, &self.dir, self.name, AtFlags::empty())?;
                    self.dispose(Shape::File)?;
                    Ok(Landing::Done)
                }
                Err(errno) => Err(errno.into()),
            };
        };
        match self.exchange() {
            Err(Errno::INVAL | Errno::NOSYS) if before.shape != Shape::Dir => {
                renameat(&self.dir, &self.temp, &self.dir, self.name)?;
                return Ok(Landing::Done);
            }
            result => result?,
        }
        let out = look(self.dir.as_fd(), &self.temp)?.map(|stat| Print::of(&stat));
        let same = out.is_some_and(|out| before.is_still_renamed(&out));
        if same && self.dispose(before.shape).is_ok() {
            return Ok(Landing::Done);
        }
        // Someone changed it between our look and the exchange; theirs goes back where it was.
        self.exchange().map_err(|errno| Failure::Stop(errno.into()))?;
        Ok(Landing::Clash(Clash::ChangedOnHost))
    }

    fn exchange(&self) -> rustix::io::Result<()> {
        renameat_with(&self.dir, &self.temp, &self.dir, self.name, RenameFlags::EXCHANGE)
    }

    fn remove(&self, before: Option<Print>) -> Result<Landing, Failure> {
        let Some(before) = before else { return Ok(Landing::Done) };
        if before.shape == Shape::Dir {
            unlinkat(&self.dir, self.name, AtFlags::REMOVEDIR)?;
            return Ok(Landing::Done);
        }
        match renameat_with(&self.dir, self.name, &self.dir, &self.temp, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                unlinkat(&self.dir, self.name, AtFlags::empty())?;
                return Ok(Landing::Done);
            }
            result => result?,
        }
        let out = look(self.dir.as_fd(), &self.temp)?.map(|stat| Print::of(&stat));
        if out.is_some_and(|out| before.is_still_renamed(&out)) {
            self.dispose(before.shape)?;
            return Ok(Landing::Done);
        }
        let back =
            renameat_with(&self.dir, &self.temp, &self.dir, self.name, RenameFlags::NOREPLACE);
        back.map_err(|errno| Failure::Stop(errno.into()))?;
        Ok(Landing::Clash(Clash::ChangedOnHost))
    }

    fn set_mode(&self, before: Option<Print>, mode: u32) -> Result<Landing, Failure> {
        let handle = self.handle(self.name)?;
        let stat = fstat(&handle.0)?;
        let now = Print::of(&stat);
        if !before.is_some_and(|before| before.is_still(&now))
            || !matches!(now.shape, Shape::File | Shape::Dir)
        {
            return Ok(Landing::Clash(Clash::ChangedOnHost));
        }
        chmod(&handle, mode)?;
        Ok(Landing::Done)
    }

    /// Clears the temporary name of what did not get to its place.
    fn sweep(&self) -> io::Result<()> {
        match look(self.dir.as_fd(), &self.temp)? {
            Some(stat) => Ok(self.dispose(Print::of(&stat).shape)?),
            None => Ok(()),
        }
    }

    fn dispose(&self, shape: Shape) -> rustix::io::Result<()> {
        unlinkat(
            &self.dir,
            &self.temp,
            if shape == Shape::Dir { AtFlags::REMOVEDIR } else { AtFlags::empty() },
        )
    }

    fn handle(&self, name: &[u8]) -> rustix::io::Result<Handle> {
        openat(&self.dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map(Handle)
    }
}

/// An entry itself, whatever its name leads to meanwhile.
struct Handle(OwnedFd);

impl Handle {
    fn path(&self) -> String {
        proc_path(self.0.as_fd())
    }
}

fn chmod(handle: &Handle, mode: u32) -> rustix::io::Result<()> {
    let now = fstat(&handle.0)?.st_mode;
    // A directory that hands its group down keeps doing so.
    let kept = if FileType::from_raw_mode(now) == FileType::Directory { now & 0o7000 } else { 0 };
    chmodat(CWD, handle.path(), Mode::from_raw_mode(mode | kept), AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writeback::path::RelPath;
    use std::fs;

    const TAG: &str = "0123";

    /// A directory in which `f` is to go from "old" to "new" as step 7.
    struct Scene {
        dir: tempfile::TempDir,
        fd: File,
        step: Step,
    }

    impl Scene {
        fn new(after: impl FnOnce() -> After) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("f"), "old").unwrap();
            let fd = File::open(dir.path()).unwrap();
            let before = look(fd.as_fd(), b"f").unwrap().map(|stat| Print::of(&stat));
            let step = Step {
                path: RelPath::new(b"f").unwrap(),
                before,
                after: after(),
                kind: None,
                phase: 3,
                shelved: None,
            };
            Self { dir, fd, step }
        }

        fn file() -> Self {
            let digest = digest(&mut b"new".as_slice(), |_| Ok(())).unwrap().0;
            Self::new(|| After::File { at: 0, digest, size: 3, mode: 0o644, mtime: (1, 0) })
        }

        fn put(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.dir.path().join(from), self.dir.path().join(to)).unwrap();
        }

        /// Tidies, lands, and gives what is in the directory and what was saved.
        fn recover(&self) -> (Landing, Vec<(String, String)>, Option<String>) {
            let ground = Ground { workspace: self.fd.as_fd(), owner: None, tag: TAG };
            let saved = tidy(&ground, 7, &self.step).unwrap();
            let saved = saved.map(|file| io::read_to_string(file).unwrap());
            let staged = self.dir.path().join("staged");
            fs::write(&staged, "new").unwrap();
            let contents = File::open(&staged).unwrap();
            let landing = land(&ground, 7, &self.step, Stretch::of(&self.step, &contents)).unwrap();
            fs::remove_file(staged).unwrap();
            let mut left: Vec<(String, String)> = fs::read_dir(self.dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    (
                        path.file_name().unwrap().display().to_string(),
                        fs::read_to_string(&path).unwrap(),
                    )
                })
                .collect();
            left.sort();
            (landing, left, saved)
        }
    }

    fn only(text: &str) -> Vec<(String, String)> {
        vec![("f".to_owned(), text.to_owned())]
    }

    const TEMP: &str = ".bartizan-0123-7";

    #[test]
    fn a_half_written_temporary_file_is_cleared_and_the_step_done() {
        let scene = Scene::file();
        scene.put(TEMP, "ne");
        assert_eq!(scene.recover(), (Landing::Done, only("new"), None));
    }

    #[test]
    fn killed_between_exchange_and_removal_of_the_old_file_nothing_is_left_over() {
        let scene = Scene::file();
        scene.rename("f", TEMP);
        scene.put("f", "new");
        assert_eq!(scene.recover(), (Landing::Done, only("new"), None));
    }

    #[test]
    fn killed_with_a_file_exchanged_out_that_someone_had_changed_that_file_is_saved() {
        let scene = Scene::file();
        scene.put("f", "someone else's");
        scene.rename("f", TEMP);
        scene.put("f", "new");
        assert_eq!(
            scene.recover(),
            (Landing::Done, only("new"), Some("someone else's".to_owned()))
        );
    }

    #[test]
    fn killed_in_a_removal_the_file_is_removed_or_given_back_if_someone_had_changed_it() {
        let scene = Scene::new(|| After::Absent);
        scene.rename("f", TEMP);
        assert_eq!(scene.recover(), (Landing::Done, Vec::new(), None));
        let scene = Scene::new(|| After::Absent);
        scene.put("f", "someone else's");
        scene.rename("f", TEMP);
        assert_eq!(
            scene.recover(),
            (Landing::Clash(Clash::ChangedOnHost), only("someone else's"), None)
        );
    }

    #[test]
    fn what_was_changed_before_the_step_is_left_alone() {
        let scene = Scene::file();
        scene.put("f", "someone else's");
        assert_eq!(
            scene.recover(),
            (Landing::Clash(Clash::ChangedOnHost), only("someone else's"), None)
        );
        let scene = Scene::file();
        fs::remove_file(scene.dir.path().join("f")).unwrap();
        assert_eq!(scene.recover(), (Landing::Clash(Clash::DeletedOnHost), Vec::new(), None));
        let scene = Scene::file();
        scene.put("f", "new");
        assert_eq!(scene.recover(), (Landing::Done, only("new"), None));
    }
}
