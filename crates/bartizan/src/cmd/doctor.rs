//! What can this machine enforce, and what would make it enforce more? Each finding names its remedy.

mod probe;
mod trial;

use super::{Desk, here};
use crate::cli::{DoctorArgs, exit};
use crate::config::{self, Purpose, files, quoted, units};
use crate::memory::{self, Swap};
use crate::report::{Failure, Paint, safe};
use rustix::fs::Access;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// As it should be.
    Ok,
    /// A box is possible, and weaker for it.
    Weak,
    /// No box, or no run, is possible.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// The thing.
    name: &'static str,
    /// How it stands.
    standing: Standing,
    /// What was found.
    found: String,
    /// What would make it better.
    remedy: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, standing: Standing::Ok, found: found.into(), remedy: None }
    }

    fn weak(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, standing: Standing::Weak, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn missing(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, standing: Standing::Missing, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// `bartizan doctor`.
pub(super) fn run(args: &DoctorArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if args.apparmor_profile {
        return apparmor_profile(desk);
    }
    let host = Path::new("/");
    let mut findings = vec![
        probe::kernel(host),
        probe::user_namespaces(host),
        probe::overlay(host),
        probe::packet_filter(host),
        probe::landlock(host),
        probe::seccomp(host),
        probe::cgroups(host),
    ];
    let trial = trial::findings();
    if trial.iter().any(|tried| tried.name == trial::NAME && tried.standing != Standing::Missing) {
        // A box stands all the same, of tier B.
        for finding in &mut findings {
            if trial::TIER_A_NEEDS.contains(&finding.name) && finding.standing == Standing::Missing
            {
                finding.standing = Standing::Weak;
            }
        }
    }
    // What a box has shown to hold is better than what the kernel's files promise.
    findings.retain(|finding| !trial.iter().any(|tried| tried.name == finding.name));
    findings.extend(trial);
    findings.extend([swap(), state(desk), space(&desk.places.state), configuration(desk)]);
    let stands = |finding: &Finding| finding.standing != Standing::Missing;
    let whole = findings.iter().all(stands);
    if args.json {
        let built = findings.iter().filter(|finding| finding.name == trial::NAME).all(stands);
        writeln!(
            desk.voice.out(),
            "{}",
            json!({ "box": built, "run": whole, "findings": findings })
        )?;
    } else {
        print(desk, &findings, whole)?;
    }
    Ok(if whole { exit::DONE } else { exit::NO })
}

/// Prints the profile for the place that this program stands at.
fn apparmor_profile(desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let here = std::env::current_exe().ok().and_then(|path| path.to_str().map(str::to_owned));
    // What AppArmor would read as a pattern is left to the person to spell.
    let plain =
        here.filter(|path| !path.contains(['*', '?', '[', '{', '"', '\\', '\n', ',', '^', ' ']));
    let profile = match plain {
        Some(path) => PROFILE.replace(PROFILE_PATH, &path),
        None => PROFILE.to_owned(),
    };
    write!(desk.voice.out(), "{profile}")?;
    Ok(exit::DONE)
}

/// The profile as it ships, and the place it names.
const PROFILE: &str = include_str!("../../../../packaging/apparmor/bartizan");
const PROFILE_PATH: &str = "/usr/{,local/}bin/bartizan";

fn print(desk: &mut Desk<'_>, findings: &[Finding], whole: bool) -> Result<(), Failure> {
    for Finding { name, standing, found, remedy } in findings {
        let (paint, word) = match standing {
            Standing::Ok => (Paint::Green, "ok"),
            Standing::Weak => (Paint::Yellow, "weak"),
            Standing::Missing => (Paint::Red, "missing"),
        };
        let word = desk.voice.paint(paint, &format!("{word:<8}"));
        writeln!(desk.voice.out(), "{word} {name:<16} {}", safe(found))?;
        for line in remedy.iter().flat_map(|remedy| remedy.lines()) {
            writeln!(desk.voice.out(), "{:<26}hint: {}", "", safe(line))?;
        }
    }
    let verdict = if whole {
        "a run can start here"
    } else {
        "a run would be refused here, for what is missing above"
    };
    desk.voice.say(verdict)?;
    Ok(())
}

/// Whether a secret in our memory can reach a swap device.
fn swap() -> Finding {
    match memory::lock() {
        Swap::Never => Finding::ok("swap", "our memory stays out of it"),
        Swap::Possible => Finding::weak(
            "swap",
            "our memory may be swapped out, with the secrets in it",
            "encrypt the swap device, or raise RLIMIT_MEMLOCK (limits.conf: memlock unlimited; a service: LimitMEMLOCK=infinity)",
        ),
    }
}

/// The state directory: made at the first run, so its absence is in order. Looking makes no log.
fn state(desk: &Desk<'_>) -> Finding {
    let dir = &desk.places.state;
    if !dir.exists() {
        return Finding::ok("state", format!("{} will be made at the first run", dir.display()));
    }
    if let Err(problem) = files::obeyed_directory(dir) {
        let (what, remedy) = problem.into_parts();
        return Finding::missing(
            "state",
            what,
            remedy.unwrap_or_else(|| "choose another directory with --state".to_owned()),
        );
    }
    match rustix::fs::access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok("state", dir.display().to_string()),
        Err(error) => Finding::missing(
            "state",
            format!("{}: {error}", dir.display()),
            format!("chmod u+rwx {}", quoted(dir)),
        ),
    }
}

/// A log that cannot grow stops every run.
fn space(state: &Path) -> Finding {
    const LEAST: u64 = 256 << 20;
    let Some(there) = state.ancestors().find(|dir| dir.exists()) else {
        return Finding::missing(
            "disk space",
            "no directory to ask about",
            "choose another directory with --state",
        );
    };
    let Ok(about) = rustix::fs::statvfs(there) else {
        return Finding::weak("disk space", "the file system does not say", "look at it with df");
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let found = format!("{} free for the log in {}", units::show_size(free), there.display());
    if free == 0 {
        return Finding::missing(
            "disk space",
            found,
            "free some: without a log nothing may happen",
        );
    }
    if free < LEAST {
        return Finding::weak("disk space", found, format!("free some: df -h {}", quoted(there)));
    }
    Finding::ok("disk space", found)
}

fn configuration(desk: &Desk<'_>) -> Finding {
    let checked = here().and_then(|here| {
        let config = config::load(&desk.places, &here, Purpose::Look)?;
        let policy = config.policy(&config.catalogue()?)?;
        Ok(format!("{} files, {} policies", config.files.len(), policy.len()))
    });
    match checked {
        Ok(found) => Finding::ok("configuration", found),
        Err(failure) => Finding::missing(
            "configuration",
            format!("{} errors", failure.problems.len()),
            "bartizan policy check",
        ),
    }
}
