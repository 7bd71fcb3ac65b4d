//! What did a run change, and what becomes of the part that did not land? A person looks, and says.

mod show;

use super::{Desk, approvals, outside_a_box};
use crate::cli::{ChangesApplyArgs, ChangesCommand, ChangesDiscardArgs, ChangesListArgs, exit};
use crate::clock::age;
use crate::doors::run::home::{hex, parts, places, records};
use crate::doors::run::progress::Bar;
use crate::report::{Failure, Problem, safe};
use bartizan_sandbox::writeback::{
    self, Applied, Conflicts, Kept, Recovery, RelPath, Shelved, WritebackError,
};
use bartizan_scan::{Redactor, ScanKey, display_line};
use bartizan_store::{Durability, Entry, Event, Ledger, Session, SessionFilter, Sessions, Store};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

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

/// How many changes wait, are held, are in conflict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    waiting: usize,
    held: usize,
    conflicts: usize,
}

impl Counts {
    fn of(items: &[Kept]) -> Self {
        let count = |state| items.iter().filter(|kept| State::of(kept) == state).count();
        Self {
            waiting: count(State::Waiting),
            held: count(State::Held),
            conflicts: count(State::Conflict),
        }
    }

    fn is_none(self) -> bool {
        self == Self::default()
    }
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
    let mut cases = Vec::new();
    if desk.places.state.exists() {
        let store = Store::open(&desk.places.state)?;
        for session in store.sessions(SessionFilter::All)? {
            let case = Case::open(desk, session)?;
            if !Counts::of(case.shelved.items()).is_none() || case.journal.exists() {
                cases.push(case);
            }
        }
    }
    if args.json {
        let all: Vec<Value> = cases.iter().map(Case::brief).collect();
        writeln!(desk.voice.out(), "{}", Value::from(all))?;
        return Ok(exit::DONE);
    }
    if cases.is_empty() {
        desk.voice.say("everything has landed")?;
    }
    for case in &cases {
        let Counts { waiting, held, conflicts } = Counts::of(case.shelved.items());
        let Session { id, agent, argv, started_ms, .. } = &case.session;
        let what = display_line(&argv.join(" "), 60);
        let line = format!(
            "{}  {waiting} waiting, {held} held, {conflicts} in conflict  {:<10}  {}  {what}",
            safe(id),
            age(*started_ms),
            display_line(agent, 20)
        );
        writeln!(desk.voice.out(), "{line}")?;
    }
    Ok(exit::DONE)
}

fn apply(args: &ChangesApplyArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let who = approvals::approver(desk)?;
    let mut case = Case::find(desk, &args.session)?;
    case.recover(desk)?;
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
    let stayed =
        applied.kept().iter().filter(|kept| chosen.iter().any(|one| one.id() == kept.id()));
    let stayed: Vec<&Kept> = stayed.collect();
    if args.json {
        let told = json!({
            "session": id,
            "landed": applied.landed().iter().map(|one| one.path.to_string()).collect::<Vec<_>>(),
            "kept": applied.kept().iter().map(|kept| json!({ "path": kept.path().to_string(), "why": kept.why() })).collect::<Vec<_>>(),
        });
        writeln!(desk.voice.out(), "{told}")?;
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

fn discard(args: &ChangesDiscardArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let who = approvals::approver(desk)?;
    let mut case = Case::find(desk, &args.session)?;
    case.recover(desk)?;
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
    let Counts { held, conflicts, .. } = Counts::of(case.shelved.items());
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

    /// Finishes a write-back that was interrupted, before anything else is done.
    fn recover(&mut self, desk: &mut Desk<'_>) -> Result<(), Failure> {
        if !self.journal.exists() {
            return Ok(());
        }
        match writeback::recover(&self.journal, &mut |_, _| {}).map_err(|error| failed(&error))? {
            Recovery::Resumed(applied) => {
                resumed(&Store::open(&desk.places.state)?, &self.session.id, &applied)?;
                desk.voice.say("an interrupted write-back was finished first")?;
            }
            // Nothing had been touched, and what was chosen is still on the shelf.
            Recovery::NotApplied if !self.shelved.items().is_empty() => {
                writeback::discard(&self.journal).map_err(|error| failed(&error))?;
            }
            Recovery::Busy => {
                let problem = Problem::new("another process is landing changes of this session");
                return Err(Failure::new(exit::NO, problem.hint("wait until it is done")));
            }
            Recovery::NotApplied | Recovery::Nothing => {}
        }
        self.shelved = Shelved::open(&self.held).map_err(|error| failed(&error))?;
        Ok(())
    }

    fn brief(&self) -> Value {
        let Counts { waiting, held, conflicts } = Counts::of(self.shelved.items());
        json!({
            "session": self.session.id, "role": self.session.agent, "workspace": self.session.workspace,
            "started_ms": self.session.started_ms, "waiting": waiting, "held": held,
            "conflicts": conflicts, "interrupted": self.journal.exists(),
        })
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

fn failed(error: &WritebackError) -> Failure {
    let code = match error {
        WritebackError::Apart { .. }
        | WritebackError::ByHand { .. }
        | WritebackError::Clashes { .. }
        | WritebackError::GitMoved { .. }
        | WritebackError::HomeGone { .. }
        | WritebackError::Moved { .. }
        | WritebackError::NoHome { .. }
        | WritebackError::NoWay { .. } => exit::NO,
        _ => exit::STATE,
    };
    Failure::new(code, Problem::new(error.to_string()))
}
