//! What does a person see of a run's changes? What landed, what did not and why, and both versions of a conflict.

use super::{Case, Left, State, is_interrupted};
use crate::cli::{ChangesShowArgs, exit};
use crate::clock::age;
use crate::cmd::Desk;
use crate::config::quoted;
use crate::doors::run::home::hex;
use crate::report::{Failure, Paint, safe};
use bartizan_sandbox::writeback::{Kept, RelPath};
use bartizan_scan::display_line;
use bartizan_store::{Event, Filter, Reader};
use serde_json::{Value, json};
use similar::{Algorithm, TextDiff};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// `bartizan changes show`.
pub(super) fn run(args: &ChangesShowArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let case = Case::find(desk, &args.session)?;
    let items = super::pick(&case, &args.paths)?;
    let landed = landed(desk, &case.session.id)?;
    if args.json {
        let mut told = Left::of(desk, case.session.clone())?.brief();
        if let Value::Object(told) = &mut told {
            told.insert("landed".to_owned(), landed.into());
            told.insert("kept".to_owned(), items.iter().map(|kept| as_json(&case, kept)).collect());
        }
        writeln!(desk.voice.out(), "{told}")?;
        return Ok(exit::DONE);
    }
    if args.paths.is_empty() {
        head(&case, desk, &landed)?;
    }
    let most = if args.paths.is_empty() { BRIEF } else { usize::MAX };
    for state in [State::Waiting, State::Held, State::Conflict] {
        let here: Vec<&Kept> = items.iter().filter(|kept| State::of(kept) == state).collect();
        section(&case, desk, state, &here, most)?;
    }
    if items.is_empty() {
        desk.voice.say("everything else has landed")?;
    }
    Ok(exit::DONE)
}

fn head(case: &Case, desk: &mut Desk<'_>, landed: &[Value]) -> Result<(), Failure> {
    let session = &case.session;
    let what = display_line(&session.argv.join(" "), 80);
    let (id, when) = (safe(&session.id), age(session.started_ms));
    writeln!(desk.voice.out(), "session   {id} ({}, {when}): {what}", safe(&session.agent))?;
    writeln!(desk.voice.out(), "workspace {}", safe(&session.workspace))?;
    if is_interrupted(&case.journal) {
        let hint = "finish it: bartizan changes apply";
        writeln!(desk.voice.out(), "journal   a write-back was interrupted; {hint} {id}")?;
    }
    writeln!(desk.voice.out(), "landed    {}", landed.len())?;
    // What this machine's tools run comes first: thousands of other files must not hide it.
    let mut first: Vec<&Value> = landed.iter().collect();
    first.sort_by_key(|one| one.get("notable").is_none());
    for one in first.into_iter().take(BRIEF) {
        let text = |key: &str| one.get(key).and_then(Value::as_str).map(safe).unwrap_or_default();
        let why = one.get("notable").map_or_else(String::new, |_| format!(": {}", text("notable")));
        writeln!(desk.voice.out(), "  {} {}{why}", text("kind"), text("path"))?;
    }
    more(desk, landed.len(), "bartizan audit list --event write_back --json --session", &id)
}

fn section(
    case: &Case,
    desk: &mut Desk<'_>,
    state: State,
    items: &[&Kept],
    most: usize,
) -> Result<(), Failure> {
    if items.is_empty() {
        return Ok(());
    }
    let id = safe(&case.session.id);
    let (paint, remedy) = match state {
        State::Waiting => (Paint::Green, format!("bartizan changes apply {id}")),
        State::Held => (Paint::Yellow, format!("bartizan changes apply {id} --path PATH")),
        State::Conflict => {
            (Paint::Red, format!("bartizan changes apply {id} --path PATH --overwrite"))
        }
    };
    let word = desk.voice.paint(paint, &format!("{:<9}", state.word()));
    writeln!(desk.voice.out(), "{word} {}  (to land: {remedy})", items.len())?;
    for kept in items.iter().take(most) {
        one(case, desk, kept, most == usize::MAX)?;
    }
    if items.len() > most {
        more(desk, items.len(), "bartizan changes show --path PATH", &id)?;
    }
    Ok(())
}

fn more(desk: &mut Desk<'_>, count: usize, how: &str, id: &str) -> Result<(), Failure> {
    if count > BRIEF {
        writeln!(desk.voice.out(), "  … and {} more: {how} {id}", count - BRIEF)?;
    }
    Ok(())
}

fn one(case: &Case, desk: &mut Desk<'_>, kept: &Kept, in_full: bool) -> Result<(), Failure> {
    let path = safe(&kept.path().to_string());
    writeln!(desk.voice.out(), "  {} {path}: {}", safe(kept.what()), safe(kept.why()))?;
    if let Some(id) = commit(case, kept) {
        let folder = kept.git_dir().and_then(RelPath::parent);
        let merge = merge(folder.map(|folder| folder.to_string()).as_deref(), &id);
        return Ok(writeln!(desk.voice.out(), "    the session's commit is here: {merge}")?);
    }
    let Some(digest) = kept.digest() else { return Ok(()) };
    let theirs = case.shelved.theirs(kept);
    let had_theirs = theirs.is_some();
    let (theirs, ours) = (read(theirs), read(case.shelved.ours(kept)));
    let named = format!(
        "session {} ({} bytes, {})",
        case.session.id,
        kept.size().unwrap_or_default(),
        hex(digest)
    );
    let (Seen::Text(ours), Seen::Text(theirs)) = (ours, theirs) else {
        return Ok(writeln!(
            desk.voice.out(),
            "    {}: not shown, no text or too long",
            safe(&named)
        )?);
    };
    let machine = match (had_theirs, kept.is_conflict()) {
        (false, _) => "this machine has nothing there".to_owned(),
        (true, true) => format!("this machine, changed meanwhile ({} bytes)", theirs.len()),
        (true, false) => format!("this machine ({} bytes)", theirs.len()),
    };
    diff(desk, (&machine, &theirs), (&named, &ours), in_full)
}

/// Prints a unified diff, every line made harmless.
fn diff(
    desk: &mut Desk<'_>,
    theirs: (&str, &str),
    ours: (&str, &str),
    in_full: bool,
) -> Result<(), Failure> {
    // Two hostile files can make a diff take for ever; past the time it gets coarser.
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(Duration::from_millis(500))
        .diff_lines(theirs.1, ours.1);
    let text = diff.unified_diff().context_radius(3).missing_newline_hint(false).to_string();
    let minus = desk.voice.paint(Paint::Red, &safe(&format!("--- {}", theirs.0)));
    let plus = desk.voice.paint(Paint::Green, &safe(&format!("+++ {}", ours.0)));
    writeln!(desk.voice.out(), "    {minus}\n    {plus}")?;
    let most = if in_full { usize::MAX } else { DIFF_LINES };
    for line in text.lines().take(most) {
        // Tabs stay what they are; nothing else that moves a cursor does.
        let shown = line.split('\t').map(safe).collect::<Vec<_>>().join("\t");
        let shown = match line.as_bytes().first() {
            Some(b'+') => desk.voice.paint(Paint::Green, &shown),
            Some(b'-') => desk.voice.paint(Paint::Red, &shown),
            Some(b'@') => desk.voice.paint(Paint::Dim, &shown),
            _ => shown,
        };
        writeln!(desk.voice.out(), "    {shown}")?;
    }
    let count = text.lines().count();
    if count > most {
        writeln!(desk.voice.out(), "    … and {} more lines: name it with --path", count - most)?;
    }
    Ok(())
}

enum Seen {
    Text(String),
    Other,
}

/// A file's text; an absent file is an empty one.
fn read(file: Option<File>) -> Seen {
    let Some(file) = file else { return Seen::Text(String::new()) };
    let mut bytes = Vec::new();
    let taken = file.take(SHOWN_BYTES + 1).read_to_end(&mut bytes);
    let is_text = taken.is_ok() && bytes.len() as u64 <= SHOWN_BYTES && !bytes.contains(&0);
    String::from_utf8(bytes).ok().filter(|_| is_text).map_or(Seen::Other, Seen::Text)
}

/// The commit that a branch of the session's points to, when the branch moved on both sides.
fn commit(case: &Case, kept: &Kept) -> Option<String> {
    let unit = kept.git_dir().filter(|_| kept.is_conflict())?;
    let heads = format!("{unit}/refs/heads/");
    kept.path().to_string().starts_with(&heads).then_some(())?;
    let Seen::Text(text) = read(case.shelved.ours(kept)) else { return None };
    let id = text.trim();
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// The command that brings it in. The folder's name may be the agent's, and a person hands it to their shell.
fn merge(folder: Option<&str>, id: &str) -> String {
    let at = folder.map(|folder| format!(" -C {}", quoted(Path::new(folder))));
    safe(&format!("git{} merge {id}", at.unwrap_or_default()))
}

fn as_json(case: &Case, kept: &Kept) -> Value {
    json!({
        "path": kept.path().to_string(), "what": kept.what(), "why": kept.why(),
        "state": State::of(kept).word(), "mode": format!("{:04o}", kept.mode()),
        "bytes": kept.size(), "digest": kept.digest().map(hex), "commit": commit(case, kept),
    })
}

/// What the log says of the session's landed changes.
fn landed(desk: &Desk<'_>, session: &str) -> Result<Vec<Value>, Failure> {
    let reader = Reader::open(&desk.places.state)?;
    let filter = Filter {
        session: Some(session.to_owned()),
        event: Some(Event::WriteBack),
        ..Filter::default()
    };
    let mut all = Vec::new();
    reader.each(&filter, |record| {
        let value = record.value();
        let landed = value.get("landed").and_then(Value::as_array);
        all.extend(landed.into_iter().flatten().cloned());
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Most entries of one kind, and lines of one diff, without `--path`.
const BRIEF: usize = 20;
const DIFF_LINES: usize = 60;
/// A longer file is no reading matter, in bytes.
const SHOWN_BYTES: u64 = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_of_an_agents_becomes_a_command_of_the_persons() {
        assert_eq!(merge(None, "0a"), "git merge 0a");
        assert_eq!(merge(Some("sub/dir"), "0a"), "git -C sub/dir merge 0a");
        let hostile = merge(Some("x; touch 'y"), "0a");
        assert_eq!(hostile, r"git -C 'x; touch '\''y' merge 0a");
    }
}
