//! Why can a script not be run that is there? Its first line names a program that the box does not show.
use crate::error::SpawnError;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What to tell of a program that the kernel did not execute. It speaks of the script, and means what runs it.
pub(crate) fn not_executed(program: &Path, workspace: &Path, errno: i32) -> SpawnError {
    let source = io::Error::from_raw_os_error(errno);
    let program = program.to_owned();
    let named = matches!(errno, libc::ENOENT | libc::EACCES).then(|| named_by(&program)).flatten();
    match named {
        None => SpawnError::Exec { program, source },
        Some(interpreter) => {
            let (way, remedy) = explain(&interpreter, workspace);
            SpawnError::Interpreter { program, interpreter, way, remedy, source }
        }
    }
}

/// The interpreter on a script's first line, where it can be shown as it is.
fn named_by(program: &Path) -> Option<PathBuf> {
    // It may be anything by now, a pipe that nobody writes to as well.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(program).ok()?;
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mut head = Vec::new();
    file.take(LINE).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let named = line.split_whitespace().next()?;
    let plain = named.starts_with('/') && !named.contains(char::is_control);
    plain.then(|| PathBuf::from(named))
}

/// Where the interpreter leads, and what a person can do about it.
fn explain(interpreter: &Path, workspace: &Path) -> (String, String) {
    let Ok(real) = interpreter.canonicalize() else {
        let remedy = "install it, or mend the first line of the script";
        return ("which does not exist".into(), remedy.into());
    };
    let way = if real == interpreter {
        "which the box does not show".to_owned()
    } else {
        format!("a link to `{}`, and the box does not show both", real.display())
    };
    let shown = |path: &Path| {
        let usual = USUAL.iter().any(|usual| path.starts_with(usual));
        usual || path.starts_with(workspace)
    };
    let mut lacking: Vec<String> = Vec::new();
    for path in [interpreter, &real].into_iter().filter(|path| !shown(path)) {
        let folder = format!("\"{}\"", around(path).display());
        if !lacking.contains(&folder) {
            lacking.push(folder);
        }
    }
    let remedy = match lacking.as_slice() {
        [] => "see what the box shows: bartizan doctor".to_owned(),
        folders => {
            let folders = folders.join(", ");
            format!("show it: readable = [{folders}] under [roles.NAME.box] or [servers.NAME.box]")
        }
    };
    (way, remedy)
}

/// The folder that an interpreter's own files are likely to be in: what `bin` is in, but no home.
fn around(interpreter: &Path) -> &Path {
    let folder = interpreter.parent().unwrap_or(interpreter);
    let whole = folder.parent().filter(|_| folder.ends_with("bin"));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = |whole: &&Path| home.as_deref() != Some(*whole) && whole.parent().is_some();
    whole.filter(own).unwrap_or(folder)
}

/// The kernel reads no more of a first line.
const LINE: u64 = 256;
/// What every box shows.
const USUAL: [&str; 3] = ["/usr", "/bin", "/sbin"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn error(first: &str, errno: i32) -> String {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("tool");
        fs::write(&script, first).unwrap();
        not_executed(&script, directory.path(), errno).to_string()
    }

    #[test]
    fn an_interpreter_that_leads_out_of_the_view_is_named_with_the_remedy() {
        let away = tempfile::tempdir().unwrap();
        let away = away.path().canonicalize().unwrap();
        let work = tempfile::tempdir().unwrap();
        let (real, link) = (away.join("py/bin/python3.12"), work.path().join("venv/bin/python3"));
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(&real, "").unwrap();
        symlink(&real, &link).unwrap();
        let script = work.path().join("tool");
        fs::write(&script, format!("#! {} -u\nprint()\n", link.display())).unwrap();
        let said = not_executed(&script, work.path(), libc::ENOENT).to_string();
        assert!(said.contains(&format!("is run by `{}`", link.display())), "{said}");
        assert!(said.contains(&format!("a link to `{}`", real.display())), "{said}");
        let folder = away.join("py");
        assert!(said.contains(&format!("readable = [\"{}\"]", folder.display())), "{said}");
    }

    #[test]
    fn one_that_does_not_exist_is_said_to_be_missing() {
        let said = error("#!/no/such/thing\n", libc::ENOENT);
        assert!(said.contains("is run by `/no/such/thing`, which does not exist"), "{said}");
    }

    #[test]
    fn what_is_no_script_or_fails_otherwise_is_told_as_before() {
        for (first, errno) in [
            ("\u{7f}ELF", libc::ENOENT),
            ("#!/no/such/thing", libc::ENOEXEC),
            ("#!relative", libc::ENOENT),
            ("#!/odd\u{1b}[2J", libc::ENOENT),
            ("", libc::EACCES),
        ] {
            let said = error(first, errno);
            assert!(said.starts_with("cannot run `") && !said.contains("is run by"), "{said}");
        }
    }
}
