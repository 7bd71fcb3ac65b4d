//! What happened, in five seconds of reading? Printed when the box is gone, on standard error.

use super::deferring::Off;
use crate::app::{Gate, Refused};
use crate::cli::{RunArgs, exit};
use crate::doors::run::{RunReport, peak, planted};
use crate::report::{Failure, Paint, Problem, Voice, safe};
use bartizan_gate::seat::Caller;
use bartizan_gate::watch::Flag;
use bartizan_sandbox::writeback::{Applied, Kept};
use bartizan_sandbox::{Exit, Peak, Reason, SetAside};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Everything that the summary tells of.
struct Told<'a> {
    session: &'a str,
    role: &'a str,
    took: Duration,
    report: &'a RunReport,
    counts: (u64, u64, u64),
    refused: Vec<Refused>,
    flags: Vec<Flag>,
    /// The call that is put off.
    off: Option<&'a Off>,
}

/// Prints the summary and returns the exit code to pass on.
pub(crate) fn tell(
    voice: &mut Voice,
    args: &RunArgs,
    (gate, off): (&Gate, Option<&Off>),
    caller: &Caller,
    report: &Result<RunReport, Failure>,
    begun: Instant,
) -> u8 {
    let report = match report {
        Ok(report) => report,
        Err(failure) => return ends(voice.fail(failure).map_err(Failure::from), failure.code),
    };
    let told = Told {
        session: caller.seat().session.as_str(),
        role: caller.seat().role.as_str(),
        took: begun.elapsed(),
        report,
        counts: gate.tally(),
        refused: gate.refused(),
        flags: gate.pipeline().flags(caller),
        off,
    };
    ends(told.tell(voice, args), told.code())
}

/// That the person cannot be told is no success, unless they left, and hides no other code.
fn ends(said: Result<(), Failure>, code: u8) -> u8 {
    match said {
        Err(failure) if code == exit::DONE => failure.code,
        _ => code,
    }
}

impl Told<'_> {
    fn tell(&self, voice: &mut Voice, args: &RunArgs) -> Result<(), Failure> {
        if let Err(why) = &self.report.end {
            let failure = Failure::new(exit::NOT_STARTED, Problem::from_text(&why.0));
            return Ok(voice.fail(&failure)?);
        }
        if args.json {
            voice.say(&self.json().to_string())?;
        } else if !args.no_summary {
            self.print(voice)?;
        } else {
            // Without this nobody would know that the run can go on, however quiet it was to be.
            self.off.map_or(Ok(()), |off| off.tell(voice))?;
            self.set_aside(voice)?;
        }
        if args.no_summary
            && !args.json
            && let Some(Ok(applied)) = &self.report.changes
            && !applied.kept().is_empty()
        {
            // Work that did not land must not go unnoticed, however quiet the run was to be.
            self.files(voice, applied)?;
        }
        if let Some(Err(error)) = &self.report.changes {
            voice
                .say(&format!("error: the changes did not reach the workspace: {}", safe(error)))?;
        }
        if let Some(lost) = &self.report.lost {
            voice.say(&format!("error: some of the output is lost: cannot write to {lost}"))?;
        }
        Ok(())
    }

    /// The command's own code, as a shell would show it, unless what it did or said is lost.
    fn code(&self) -> u8 {
        match (self.report.interrupted, &self.report.end) {
            // What could not be brought home is an error whatever the command said of itself.
            (_, Ok(_)) if matches!(self.report.changes, Some(Err(_))) => exit::NOT_STARTED,
            (Some(signal), _) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            // Output that did not arrive must not pass for a success.
            (None, Ok(exit)) if exit.code() == 0 && self.report.lost.is_some() => exit::STATE,
            (None, Ok(exit)) if exit.code() == 0 && self.off.is_some() => exit::DEFERRED,
            (None, Ok(exit)) => u8::try_from(exit.code()).unwrap_or(u8::MAX),
            (None, Err(_)) => exit::NOT_STARTED,
        }
    }

    fn print(&self, voice: &mut Voice) -> Result<(), Failure> {
        let tier = self.tier();
        let seconds = self.took.as_secs_f64();
        let head = format!(
            "session {} · role {} · box tier {tier} · {seconds:.1} s · {}",
            self.session,
            self.role,
            self.end()
        );
        voice.say(&format!("{} {head}", voice.paint(Paint::Bold, "bartizan:")))?;
        let (allowed, asked, denied) = self.counts;
        voice.say(&format!("  calls   {allowed} allowed, {asked} asked, {denied} denied"))?;
        for refused in self.refused.iter().take(SHOWN) {
            let times =
                if refused.times > 1 { format!(" (×{})", refused.times) } else { String::new() };
            voice.say(&format!("          {} {}{times}", refused.code, safe(&refused.sentence)))?;
            if refused.code != ASKED {
                voice.say(&format!("            hint: {}", safe(&refused.hint)))?;
            }
        }
        more(voice, self.refused.len())?;
        let put_off =
            |refused: &Refused| self.off.is_some_and(|off| off.is_told_by(&refused.sentence));
        if self.refused.iter().any(|refused| refused.code == ASKED && !put_off(refused)) {
            voice.say(&format!("            hint: {OVER}"))?;
        }
        for flag in self.flags.iter().take(SHOWN) {
            voice.say(&format!("  flag    {}: {}", safe(&flag.rule), safe(&flag.says)))?;
        }
        more(voice, self.flags.len())?;
        if let Some(off) = self.off {
            off.tell(voice)?;
        }
        if let Some(Ok(applied)) = &self.report.changes {
            self.files(voice, applied)?;
        }
        self.set_aside(voice)?;
        if let Some(used) = self.report.end.as_ref().ok().and_then(|exit| used(&exit.peak)) {
            voice.say(&format!("  used    {used}"))?;
        }
        for item in self.weaker() {
            voice.say(&format!("  limit   {item}"))?;
        }
        voice.say(&format!("  log     bartizan audit list --session {}", self.session))?;
        Ok(())
    }

    fn files(&self, voice: &mut Voice, applied: &Applied) -> Result<(), Failure> {
        let kept = applied.kept();
        let count = |test: &dyn Fn(&&Kept) -> bool| kept.iter().filter(test).count();
        let (waiting, conflicts) =
            (count(&|kept| kept.is_waiting()), count(&|kept| kept.is_conflict()));
        let mut line = format!("  files   {} landed", applied.landed().len());
        for (count, word) in [
            (waiting, "waiting"),
            (kept.len() - waiting - conflicts, "held"),
            (conflicts, "in conflict"),
            (applied.dropped().len(), "dropped"),
        ] {
            if count > 0 {
                _ = write!(line, ", {count} {word}");
            }
        }
        voice.say(&line)?;
        landed(voice, applied)?;
        for kept in kept.iter().take(SHOWN) {
            let word = if kept.is_waiting() { "waiting" } else { "held" };
            voice.say(&format!(
                "          {word} {}: {}",
                safe(&kept.path().to_string()),
                safe(kept.why())
            ))?;
        }
        more(voice, kept.len())?;
        if !kept.is_empty() {
            voice.say(&format!("            hint: bartizan changes show {}", self.session))?;
        }
        Ok(())
    }

    /// What was planted in a directly used workspace must not go unnoticed either.
    fn set_aside(&self, voice: &mut Voice) -> Result<(), Failure> {
        for SetAside { name, now } in self.planted() {
            let name = safe(&name.to_string_lossy());
            match now {
                Ok(now) => voice.say(&format!(
                    "  planted {name}: this machine's tools obey it, so it is `{}` now; look at it, and rename it to keep it",
                    now.display()
                ))?,
                Err(why) => voice.say(&format!(
                    "  planted {name}: this machine's tools obey it, and it could not be renamed: {}; look at it before you go on",
                    safe(why)
                ))?,
            }
        }
        Ok(())
    }

    fn planted(&self) -> &[SetAside] {
        self.report.end.as_ref().map_or(&[], |exit| exit.set_aside.as_slice())
    }

    fn tier(&self) -> String {
        let report = self.report.enforcement.as_ref();
        report.map_or_else(|| "?".to_owned(), |report| report.tier().to_string())
    }

    fn end(&self) -> String {
        match (&self.report.interrupted, &self.report.end) {
            _ if self.report.spilt => "ended: it printed more than it may".to_owned(),
            (Some(signal), _) => format!("stopped by signal {signal}"),
            (None, Ok(Exit { reason: Reason::Exited(code), .. })) => format!("exit {code}"),
            (None, Ok(Exit { reason: Reason::FileSizeLimit, .. })) => {
                "ended: a file beyond the limit".to_owned()
            }
            (None, Ok(Exit { reason: Reason::MemoryLimit, .. })) => {
                "ended: memory limit".to_owned()
            }
            (None, Ok(Exit { reason: Reason::ProcessLimit, .. })) => {
                "ended: process limit".to_owned()
            }
            (None, Ok(Exit { reason: Reason::DiskLimit, .. })) => "ended: disk limit".to_owned(),
            (None, Ok(Exit { reason: Reason::WallClock, .. })) => "ended: time is up".to_owned(),
            (None, Ok(exit)) => format!("ended by a signal, exit {}", exit.code()),
            (None, Err(_)) => "not started".to_owned(),
        }
    }

    /// Limits that the kernel does not enforce here, in words.
    fn weaker(&self) -> Vec<String> {
        let items = self.report.enforcement.iter().flat_map(bartizan_sandbox::Enforcement::items);
        items
            // That the supervisor itself keeps the time is as good as the kernel doing it.
            .filter(|item| {
                item.strength != bartizan_sandbox::Strength::Kernel && item.name != "wall clock"
            })
            .map(|item| format!("{} {}: {}", item.name, item.strength, safe(&item.detail)))
            .collect()
    }

    fn json(&self) -> Value {
        let (allowed, asked, denied) = self.counts;
        let files = match &self.report.changes {
            Some(Ok(applied)) => json!({
                "landed": applied.landed().iter().map(|landed| landed.path.to_string()).collect::<Vec<_>>(),
                "notable": applied.landed().iter().filter_map(|one| Some(json!({
                    "path": one.path.to_string(), "why": one.notable()?.to_string(),
                }))).collect::<Vec<_>>(),
                "stripped": applied.stripped().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "kept": applied.kept().iter().map(|kept| json!({
                    "path": kept.path().to_string(), "why": kept.why(), "conflict": kept.is_conflict(),
                    "waiting": kept.is_waiting(),
                })).collect::<Vec<_>>(),
                "dropped": applied.dropped().iter().map(|(path, why)| json!({
                    "path": path.to_string(), "why": why.to_string(),
                })).collect::<Vec<_>>(),
            }),
            Some(Err(error)) => json!({ "error": error }),
            None => Value::Null,
        };
        json!({
            "session": self.session,
            "role": self.role,
            "tier": self.tier(),
            "exit": self.code(),
            "end": self.end(),
            "lost": self.report.lost,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "allowed": allowed,
            "asked": asked,
            "denied": denied,
            "refused": self.refused.iter().map(|refused| json!({
                "code": refused.code, "sentence": refused.sentence, "hint": refused.hint, "times": refused.times,
            })).collect::<Vec<_>>(),
            "flags": self.flags.iter().map(|flag| json!({
                "rule": flag.rule, "says": flag.says, "severity": flag.severity,
            })).collect::<Vec<_>>(),
            "files": files,
            "deferred": self.off.map(Off::json),
            "peak": self.report.end.as_ref().ok().map(|exit| peak(&exit.peak)),
            "set_aside": planted(self.planted()),
            "weaker": self.weaker(),
        })
    }
}

/// What a run used at most, where something measured it.
fn used(peak: &Peak) -> Option<String> {
    let parts = [
        peak.memory_bytes.map(|bytes| format!("{} MiB of memory", bytes.div_ceil(1 << 20))),
        peak.cpu.map(|cpu| format!("{:.1} s of CPU", cpu.as_secs_f64())),
        peak.pids.map(|pids| format!("{pids} processes")),
        peak.refused_forks.filter(|forks| *forks > 0).map(|forks| format!("{forks} forks refused")),
        peak.oom_kills.filter(|kills| *kills > 0).map(|kills| format!("{kills} out of memory")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What is on the host now. What this machine's tools will run comes first: thousands of other files must not hide it.
fn landed(voice: &mut Voice, applied: &Applied) -> Result<(), Failure> {
    let mut all: Vec<_> = applied.landed().iter().map(|one| (one.notable(), one)).collect();
    all.sort_by_key(|(notable, _)| notable.is_none());
    for (notable, one) in all.iter().take(SHOWN) {
        let why = notable.map_or_else(String::new, |notable| format!(": {notable}"));
        voice.say(&format!("          {} {}{why}", one.kind, safe(&one.path.to_string())))?;
    }
    more(voice, all.len())?;
    let unseen = all.iter().skip(SHOWN).filter(|(notable, _)| notable.is_some()).count();
    if unseen > 0 {
        voice.say(&format!("            of which {unseen} run, or are read, by tools of this machine: bartizan changes show"))?;
    }
    for path in applied.stripped().iter().take(SHOWN) {
        let path = safe(&path.to_string());
        voice.say(&format!(
            "          {path}: permissions that would reach further were taken off"
        ))?;
    }
    more(voice, applied.stripped().len())
}

fn more(voice: &mut Voice, count: usize) -> Result<(), Failure> {
    if count > SHOWN {
        voice.say(&format!("          … and {} more", count - SHOWN))?;
    }
    Ok(())
}

/// The code of a call that waits for a person.
const ASKED: &str = "approval-required";
/// What can be done about what was asked, when nobody waits for the answer any more.
const OVER: &str = "questions end with their run: answer the next at its terminal, or with `bartizan approvals` while it runs; \
                    `bartizan policy explain TOOL` says how to allow a call for good";
/// Most lines of one kind.
const SHOWN: usize = 6;
