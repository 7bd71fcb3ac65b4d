//! What does this host command print? Password managers and cloud tools, started without a shell.

use crate::fault::{Fault, FaultKind};
use crate::secret::SecretValue;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

/// A command to be started: no shell, a fixed environment, nothing on its standard input.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The words, program first.
    pub(crate) words: &'a [String],
    /// What it finds in its environment besides the fixed part.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Nothing below this is started: an agent writes there.
    pub(crate) workspace: Option<&'a Path>,
}

impl Program<'_> {
    /// What it prints. The caller bounds the time: dropping the future kills the command and all that it started in its
    /// process group.
    pub(super) async fn output(self) -> Result<SecretValue, Fault> {
        let name = self.words.first().cloned().unwrap_or_default();
        let mut text = self.run().await?;
        let mut end = text.len();
        for line_end in [b'\n', b'\r'] {
            if end > 0 && text.get(end - 1) == Some(&line_end) {
                end -= 1;
            }
        }
        text.truncate(end);
        if text.is_empty() {
            return Err(failed(FaultKind::Missing, format!("`{name}` prints nothing")));
        }
        // A copy of its own length; the roomy one is wiped.
        Ok(SecretValue::new(text.to_vec()))
    }

    /// Runs it to its end, bounded like [`Program::output`]; gives whatever it prints.
    pub(crate) async fn run(self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (name, arguments) = self
            .words
            .split_first()
            .ok_or_else(|| Fault::new(FaultKind::Malformed, "the command has no words"))?;
        let program = self.find(name)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the person's own command from trusted configuration; nothing of an agent's is in it"
        )]
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Tools print the secret, or a request that holds it, into their complaints.
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| {
            Fault::new(FaultKind::Down, format!("cannot start `{name}`: {}", error.kind()))
        })?;
        finish(name, Group::new(child)).await
    }

    fn find(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = if name.starts_with('/') {
            Some(PathBuf::from(name)).filter(|path| is_program(path))
        } else {
            PATH.split(':').map(|dir| Path::new(dir).join(name)).find(|path| is_program(path))
        };
        let real = path.as_ref().and_then(|path| path.canonicalize().ok());
        let Some((path, real)) = path.zip(real) else {
            let what = format!("there is no program `{name}`");
            let remedy = format!("install it, or give its whole path (looked for in {PATH})");
            return Err(Fault::new(FaultKind::Missing, what).remedy(remedy));
        };
        if self.workspace.is_some_and(|workspace| real.starts_with(workspace)) {
            let what = format!("`{name}` is in the workspace, where an agent writes");
            return Err(Fault::new(FaultKind::Unsafe, what).remedy("install it elsewhere"));
        }
        let open = real.metadata().is_ok_and(|about| about.mode() & 0o002 != 0);
        if open {
            let what = format!("`{name}` can be written by everybody");
            let remedy = format!("chmod o-w {}", real.display());
            return Err(Fault::new(FaultKind::Unsafe, what).remedy(remedy));
        }
        Ok(path)
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// A child and its process group, killed together.
struct Group {
    child: Child,
    group: Option<Pid>,
}

impl Group {
    fn new(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { child, group: id.and_then(Pid::from_raw) }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The child is reaped after this, so its group's number is not yet anybody else's.
        if let Some(group) = self.group {
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn finish(name: &str, mut running: Group) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    if let Some(stdout) = running.child.stdout.take() {
        let read = stdout.take(LONGEST as u64 + 1).read_to_end(&mut text).await;
        if read.is_err() {
            let what = format!("the output of `{name}` cannot be read");
            return Err(failed(FaultKind::Down, what));
        }
    }
    if text.len() > LONGEST {
        return Err(failed(FaultKind::Malformed, format!("`{name}` prints more than 64 KiB")));
    }
    let ended = running.child.wait().await;
    let ended = ended
        .map_err(|_| failed(FaultKind::Down, format!("the end of `{name}` cannot be seen")))?;
    // Once it is reaped its number may be another's.
    running.group = None;
    if ended.success() {
        return Ok(text);
    }
    let how = ended.code().map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    Err(failed(FaultKind::Denied, format!("`{name}` ended with {how}")))
}

fn failed(kind: FaultKind, what: String) -> Fault {
    Fault::new(kind, what).remedy("run it in a terminal of your own to see what it says")
}

/// Where programs are found, and what every one of them gets as `PATH`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LONGEST: usize = 64 << 10;
