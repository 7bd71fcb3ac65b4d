//! What did a run change, and what becomes of the part that did not land? A person looks, and says.

mod show;

use super::{Desk, approvals, outside_a_box};
use crate::cli::{ChangesApplyArgs, ChangesCommand, ChangesDiscardArgs, ChangesListArgs, exit};
use crate::clock::age;
use crate::doors::run::home::{hex, parts, places, records};
use crate::doors::run::progress::Bar;
use crate::report::{Failure, Problem, safe};
use bartizan_sandbox::writeback::{
    self, Applied, Conflicts, Kept, Recovery, RelPath, Shelved, Tally, WritebackError,
};
use bartizan_scan::{Redactor, ScanKey, display_line};
use bartizan_store::{Durability, Entry, Event, Ledger, Session, SessionFilter, Sessions, Store};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `bartizan changes …`.
pub(super) fn run(command: &ChangesCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or landing the changes of a run")?;
    match command {
        ChangesCommand::List(args) => list(args, desk),
        ChangesCommand::Show(args) => show::run(args, desk),
        ChangesCommand::Apply(args) => apply(args, desk),
        ChangesCommand::Discard(args) => discard(args, desk),
    }
}

/// One session with what is kept of it.
struct Case {
    session: Session,
    shelved: Shelved,
    held: PathBuf,
    journal: PathBuf,
}

/// Why a change did not land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Conflict,
    Held,
    Waiting,
}

impl State {
    fn of(kept: &Kept) -> Self {
        if kept.is_conflict() {
            Self::Conflict
        } else if kept.is_waiting() {
            Self::Waiting
        } else {
            Self::Held
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Held => "held",
            Self::Waiting => "waiting",
        }
    }
}

fn list(args: &ChangesListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut left = Vec::new();
    if desk.places.state.exists() {
        let store = Store::open(&desk.places.state)?;
        for session in store.sessions(SessionFilter::All)? {
            let left_of = Left::of(desk, session)?;
            if left_of.tally != Tally::default() || left_of.interrupted {
                left.push(left_of);
            }
        }
    }
    if args.json {
        let all: Vec<Value> = left.iter().map(Left::brief).collect();
        writeln!(desk.voice.out(), "{}", Value::from(all))?;
        return Ok(exit::DONE);
    }
    if left.is_empty() {
        desk.voice.say("everything has landed")?;
    }
    for Left { session, tally, interrupted } in &left {
        let Tally { waiting, held, conflicts } = tally;
        let Session { id, agent, argv, started_ms, .. } = session;
        let what = display_line(&argv.join(" "), 60);
        let line = format!(
            "{}  {waiting} waiting, {held} held, {conflicts} in conflict{}  {:<10}  {}  {what}",
            safe(id),
            if *interrupted { ", interrupted" } else { "" },
            age(*started_ms),
            display_line(agent, 20)
        );
        writeln!(desk.voice.out(), "{line}")?;
    }
    Ok(exit::DONE)
}

/// What is left of one session's changes, in figures: there may be very many.
struct Left {
    session: Session,
    tally: Tally,
    interrupted: bool,
}

impl Left {
    fn of(desk: &Desk<'_>, session: Session) -> Result<Self, Failure> {
        let (journal, held) = places(&desk.places.state.join("sessions").join(&session.id));
        let tally = writeback::tally(&held).map_err(|error| failed(&error))?;
        Ok(Self { session, tally, interrupted: is_interrupted(&journal) })
    }

    fn brief(&self) -> Value {
        let Tally { waiting, held, conflicts } = self.tally;
        json!({
            "session": self.session.id, "role": self.session.agent, "workspace": self.session.workspace,
            "started_ms": self.session.started_ms, "waiting": waiting, "held": held,
            "conflicts": conflicts, "interrupted": self.interrupted,
        })
    }
}

fn apply(args: &ChangesApplyArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let who = approvals::approver(desk)?;
    let mut case = Case::find(desk, &args.session)?;
    if let Some(unfinished) = case.recover(desk)? {
        return Err(unfinished);
    }
    let chosen = choose(&case, args)?;
    if chosen.is_empty() {
        return nothing(&case, desk);
    }
    if !args.json {
        for kept in &chosen {
            let path = safe(&kept.path().to_string());
            desk.voice.say(&format!("  {} {path}: {}", kept.what(), safe(kept.why())))?;
        }
    }
    let question = format!("land these {} changes, as {who}?", chosen.len());
    if !args.yes && !args.json && !desk.confirms(&question)? {
        desk.voice.say("nothing landed")?;
        return Ok(exit::NO);
    }
    let conflicts = if args.overwrite { Conflicts::Overwrite } else { Conflicts::Leave };
    let id = case.session.id.clone();
    announce(desk, &id, "apply", &who, &chosen)?;
    let landed = {
        let mut bar = Bar::new("landing", !args.json);
        let mut progress = |done, total| bar.at(done, total);
        writeback::release(&case.held, &chosen, conflicts, &case.journal, &mut progress)
    };
    let applied = match landed {
        Ok(applied) => applied,
        Err(error) => {
            let about = json!({ "act": "apply", "who": who, "error": error.to_string() });
            record(desk, &id, about.as_object().cloned().unwrap_or_default())?;
            return Err(failed(&error));
        }
    };
    for mut about in records(&applied) {
        about.extend([("act".to_owned(), json!("applied")), ("who".to_owned(), json!(who))]);
        record(desk, &id, about)?;
    }
    let ids: BTreeSet<u64> = chosen.iter().map(Kept::id).collect();
    let stayed: Vec<&Kept> =
        applied.kept().iter().filter(|kept| ids.contains(&kept.id())).collect();
    if args.json {
        writeln!(desk.voice.out(), "{}", told(&id, &applied))?;
    } else {
        desk.voice.say(&format!("{} landed (as {who})", applied.landed().len()))?;
        for kept in &stayed {
            let path = safe(&kept.path().to_string());
            desk.voice.say(&format!("  conflict {path}: {}", safe(kept.why())))?;
        }
    }
    let code = if stayed.is_empty() { exit::DONE } else { exit::NO };
    case.tidy();
    Ok(code)
}

/// What landed and what did not, for a program.
fn told(session: &str, applied: &Applied) -> Value {
    let landed: Vec<String> = applied.landed().iter().map(|one| one.path.to_string()).collect();
    let kept = applied.kept().iter();
    let kept = kept.map(|kept| json!({ "path": kept.path().to_string(), "why": kept.why() }));
    json!({ "session": session, "landed": landed, "kept": kept.collect::<Vec<Value>>() })
}

fn discard(args: &ChangesDiscardArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let who = approvals::approver(desk)?;
    let mut case = Case::find(desk, &args.session)?;
    if let Some(unfinished) = case.recover(desk)? {
        if !args.paths.is_empty() {
            return Err(unfinished);
        }
        if !case.abandon(desk, (&who, args.yes), &unfinished)? {
            return Ok(exit::NO);
        }
        if case.shelved.items().is_empty() {
            case.tidy();
            return Ok(exit::DONE);
        }
    }
    let chosen = pick(&case, &args.paths)?;
    if chosen.is_empty() {
        return nothing(&case, desk);
    }
    let question = format!("throw away {} changes for good, as {who}?", chosen.len());
    if !args.yes && !desk.confirms(&question)? {
        desk.voice.say("nothing was thrown away")?;
        return Ok(exit::NO);
    }
    announce(desk, &case.session.id, "discard", &who, &chosen)?;
    writeback::forget(&case.held, &chosen, &case.journal).map_err(|error| failed(&error))?;
    desk.voice.say(&format!("{} thrown away (as {who})", chosen.len()))?;
    case.tidy();
    Ok(exit::DONE)
}

/// What `apply` is to land.
fn choose(case: &Case, args: &ChangesApplyArgs) -> Result<Vec<Kept>, Failure> {
    let mut chosen = pick(case, &args.paths)?;
    if args.paths.is_empty() {
        chosen.retain(|kept| match State::of(kept) {
            State::Conflict => false,
            State::Held => args.all,
            State::Waiting => true,
        });
        return Ok(chosen);
    }
    let named = |kept: &Kept| args.paths.iter().any(|path| *path == kept.path().to_string());
    if let Some(kept) =
        chosen.iter().find(|kept| kept.is_conflict() && named(kept) && !args.overwrite)
    {
        let error = WritebackError::Clashes { path: kept.path().clone() };
        let hint = format!(
            "look at both: bartizan changes show {} --path {}; then settle it for the session with --overwrite, or discard it",
            case.session.id,
            safe(&kept.path().to_string())
        );
        return Err(Failure::new(exit::NO, Problem::new(error.to_string()).hint(hint)));
    }
    // Below a folder that was named, conflicts stay unless they were meant.
    chosen.retain(|kept| !kept.is_conflict() || args.overwrite);
    Ok(chosen)
}

/// The changes at or below these paths; all without any.
fn pick(case: &Case, paths: &[String]) -> Result<Vec<Kept>, Failure> {
    let items = case.shelved.items();
    if paths.is_empty() {
        return Ok(items.to_vec());
    }
    let mut wanted = Vec::new();
    for text in paths {
        let path: RelPath =
            text.trim_end_matches('/').parse().map_err(|error: writeback::BadRelPath| {
                Failure::new(exit::USAGE, Problem::new(error.to_string()))
            })?;
        if !items.iter().any(|kept| *kept.path() == path || kept.path().is_inside(&path)) {
            let problem =
                Problem::new(format!("nothing of session {} is kept at `{path}`", case.session.id));
            let hint = format!("see what is: bartizan changes show {}", case.session.id);
            return Err(Failure::new(exit::NO, problem.hint(hint)));
        }
        wanted.push(path);
    }
    let is_wanted =
        |kept: &&Kept| wanted.iter().any(|path| kept.path() == path || kept.path().is_inside(path));
    Ok(items.iter().filter(is_wanted).cloned().collect())
}

fn nothing(case: &Case, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let Tally { held, conflicts, .. } =
        writeback::tally(&case.held).map_err(|error| failed(&error))?;
    let id = &case.session.id;
    desk.voice.say(&format!("nothing of session {id} waits"))?;
    if held + conflicts > 0 {
        desk.voice.say(&format!(
            "  hint: {held} held and {conflicts} in conflict: bartizan changes show {id}"
        ))?;
    }
    Ok(exit::DONE)
}

impl Case {
    /// The session whose id begins with `id`.
    fn find(desk: &Desk<'_>, id: &str) -> Result<Self, Failure> {
        if !desk.places.state.exists() {
            let problem = Problem::new(format!("there is no session `{id}`"));
            let hint =
                format!("nothing ran with {}; is --state right?", desk.places.state.display());
            return Err(Failure::new(exit::NO, problem.hint(hint)));
        }
        let session = Store::open(&desk.places.state)?.session(id)?;
        Self::open(desk, session)
    }

    fn open(desk: &Desk<'_>, session: Session) -> Result<Self, Failure> {
        let (journal, held) = places(&desk.places.state.join("sessions").join(&session.id));
        let shelved = Shelved::open(&held).map_err(|error| failed(&error))?;
        Ok(Self { session, shelved, held, journal })
    }

    /// Finishes a write-back that was interrupted, before anything else is done. Tells why, where it cannot be finished.
    fn recover(&mut self, desk: &mut Desk<'_>) -> Result<Option<Failure>, Failure> {
        if !is_interrupted(&self.journal) {
            return Ok(None);
        }
        let throw_away =
            format!("to throw away what was staged: bartizan changes discard {}", self.session.id);
        match writeback::recover(&self.journal, &mut |_, _| {}) {
            Ok(Recovery::Resumed(applied)) => {
                resumed(&Store::open(&desk.places.state)?, &self.session.id, &applied)?;
                desk.voice.say("an interrupted write-back was finished first")?;
            }
            Ok(Recovery::NotApplied) => {
                let what = "the write-back was interrupted before it had changed anything, and cannot go on";
                let staged = format!("what was staged lies in {}", self.journal.display());
                let problem = Problem::new(what).hint(staged).hint(throw_away);
                return Ok(Some(Failure::new(exit::NO, problem)));
            }
            Ok(Recovery::Busy) => {
                let problem = Problem::new("another process is landing changes of this session");
                return Err(Failure::new(exit::NO, problem.hint("wait until it is done")));
            }
            Ok(Recovery::Nothing) => {}
            Err(error) => {
                let problem = Problem::new(error.to_string()).hint(throw_away);
                return Ok(Some(Failure::new(code(&error), problem)));
            }
        }
        self.shelved = Shelved::open(&self.held).map_err(|error| failed(&error))?;
        Ok(None)
    }

    /// Throws away what was staged for a write-back that cannot be finished, if the person says so.
    fn abandon(
        &self,
        desk: &mut Desk<'_>,
        (who, yes): (&str, bool),
        unfinished: &Failure,
    ) -> Result<bool, Failure> {
        let why = unfinished.in_words();
        desk.voice.say(&why)?;
        let question = format!("throw away what was staged for it for good, as {who}?");
        if !yes && !desk.confirms(&question)? {
            desk.voice.say("nothing was thrown away")?;
            return Ok(false);
        }
        let about = json!({ "act": "discard", "who": who, "interrupted": why });
        record(desk, &self.session.id, about.as_object().cloned().unwrap_or_default())?;
        writeback::discard(&self.journal).map_err(|error| failed(&error))?;
        desk.voice.say(&format!("the interrupted write-back was thrown away (as {who})"))?;
        Ok(true)
    }

    /// Removes the session's folder when nothing is left in it.
    fn tidy(&self) {
        if writeback::held(&self.held).is_ok_and(|items| items.is_empty()) {
            drop(std::fs::remove_dir_all(&self.held));
            // Fails, as it should, when something else is kept in there.
            drop(self.held.parent().map(std::fs::remove_dir));
        }
    }
}

/// Puts on the log what is about to be done, before it is.
fn announce(
    desk: &Desk<'_>,
    session: &str,
    act: &str,
    who: &str,
    chosen: &[Kept],
) -> Result<(), Failure> {
    let entries = chosen.iter().map(|kept| {
        let about = json!({ "path": kept.path().to_string(), "digest": kept.digest().map(hex), "was": State::of(kept).word() });
        ("kept", about)
    });
    for mut about in parts(entries) {
        let chosen = about.remove("kept").unwrap_or_default();
        about.retain(|_, list| list.as_array().is_none_or(|list| !list.is_empty()));
        about.insert("chosen".to_owned(), chosen);
        about.extend([("act".to_owned(), json!(act)), ("who".to_owned(), json!(who))]);
        record(desk, session, about)?;
    }
    Ok(())
}

/// Puts one record about a session's changes on the log, durably.
pub(super) fn record(
    desk: &Desk<'_>,
    session: &str,
    about: Map<String, Value>,
) -> Result<(), Failure> {
    append(&Store::open(&desk.places.state)?, session, about)
}

/// Says on the log that an interrupted write-back was finished.
pub(super) fn resumed(store: &Store, session: &str, applied: &Applied) -> Result<(), Failure> {
    for mut about in records(applied) {
        about.insert("act".to_owned(), json!("resumed"));
        append(store, session, about)?;
    }
    Ok(())
}

fn append(store: &Store, session: &str, about: Map<String, Value>) -> Result<(), Failure> {
    let unusable = |what: String| Failure::new(exit::STATE, Problem::from_text(&what));
    let redactor = Redactor::new(ScanKey::new(crate::machine::random()?), None)
        .map_err(|error| unusable(error.to_string()))?;
    let mut body = Value::Object(about);
    // A path can hold a secret as well as a file can.
    drop(redactor.redact_json(&mut body));
    let mut entry = Entry::new(Event::WriteBack).session(session);
    entry.body = body.as_object().cloned().unwrap_or_default();
    let receipt = store.append(entry, Durability::Durable);
    receipt.map(|_receipt| ()).map_err(|error| unusable(error.to_string()))
}

/// Whether a write-back has left something behind. One that has just begun has not yet.
fn is_interrupted(journal: &Path) -> bool {
    match journal.read_dir() {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

fn failed(error: &WritebackError) -> Failure {
    Failure::new(code(error), Problem::new(error.to_string()))
}

fn code(error: &WritebackError) -> u8 {
    match error {
        WritebackError::Apart { .. }
        | WritebackError::ByHand { .. }
        | WritebackError::Clashes { .. }
        | WritebackError::GitMoved { .. }
        | WritebackError::HomeGone { .. }
        | WritebackError::Moved { .. }
        | WritebackError::NoHome { .. }
        | WritebackError::NoWay { .. } => exit::NO,
        _ => exit::STATE,
    }
}
