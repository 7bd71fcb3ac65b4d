//! Has a run turned, by what is on its log? The rules in force, and what they say of records.

mod review;

use super::{Desk, here, outside_a_box};
use crate::cli::{DetectCommand, DetectListArgs, DetectTestArgs, exit};
use crate::config::{self, Purpose};
use crate::report::{Failure, Problem, safe};
use bartizan_gate::watch::{Flag, Rules};
use bartizan_store::{Event, Filter, Sessions as _, Store};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

/// `bartizan detect …`.
pub(super) fn run(command: &DetectCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or trying the rules")?;
    let rules = |desk: &Desk<'_>| -> Result<Rules, Failure> {
        Ok(config::load_own(&desk.places, &here()?, Purpose::Look)?.watch)
    };
    match command {
        DetectCommand::List(args) => list(args, &rules(desk)?, desk),
        DetectCommand::Test(args) => test(args, rules(desk)?, desk),
        DetectCommand::Runs(args) => review::list(args, desk),
        DetectCommand::Judge(args) => review::judge(args, desk),
    }
}

fn list(args: &DetectListArgs, rules: &Rules, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    for (id, severity, says, false_alarms) in rules.list() {
        if args.json {
            let line = json!({ "id": id, "severity": severity, "says": says, "false_alarms": false_alarms });
            writeln!(desk.voice.out(), "{line}")?;
            continue;
        }
        let weight = json!(severity);
        let weight = weight.as_str().unwrap_or_default();
        writeln!(desk.voice.out(), "{:<16}  {weight:<4}  {}", safe(id), safe(says))?;
        if !false_alarms.is_empty() {
            writeln!(desk.voice.out(), "{:<16}        honest runs: {}", "", safe(false_alarms))?;
        }
    }
    Ok(exit::DONE)
}

fn test(args: &DetectTestArgs, mut rules: Rules, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if let Some(path) = &args.rules {
        let text = fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        rules.add(&text).map_err(|error| {
            let problem = Problem::from_text(&error.to_string());
            Failure::new(exit::CONFIG, problem.hint(format!("in {}", path.display())))
        })?;
    }
    let records = match (&args.session, &args.file) {
        (Some(session), _) => of_session(session, desk)?,
        (None, Some(path)) => of_file(path)?,
        (None, None) => Vec::new(),
    };
    let flags = rules.replay(records.iter().map(|(event, body)| (*event, body)));
    for (at, flag) in &flags {
        let body = records.get(*at).map(|(_, body)| body);
        tell(flag, *at, body, args.json, desk)?;
    }
    if flags.is_empty() {
        desk.voice.say(&format!("no flag in {} records", records.len()))?;
    }
    Ok(if args.check && !flags.is_empty() { exit::NO } else { exit::DONE })
}

fn tell(
    flag: &Flag,
    at: usize,
    body: Option<&Map<String, Value>>,
    as_json: bool,
    desk: &mut Desk<'_>,
) -> Result<(), Failure> {
    let field = |name: &str| body.and_then(|body| body.get(name)).unwrap_or(&Value::Null);
    if as_json {
        let line = json!({
            "rule": flag.rule, "severity": flag.severity, "says": flag.says,
            "record": at + 1, "seq": field("seq"), "tool": field("tool"),
        });
        writeln!(desk.voice.out(), "{line}")?;
        return Ok(());
    }
    let tool = field("tool").as_str().map_or_else(String::new, |tool| format!(" ({})", safe(tool)));
    let (rule, says) = (safe(&flag.rule), safe(&flag.says));
    writeln!(desk.voice.out(), "record {}{tool}: {rule}: {says}", at + 1)?;
    Ok(())
}

type Records = Vec<(Event, Map<String, Value>)>;

fn of_session(id: &str, desk: &Desk<'_>) -> Result<Records, Failure> {
    let store = Store::open(&desk.places.state)?;
    let filter = Filter { session: Some(store.session(id)?.id), ..Filter::default() };
    let mut records = Vec::new();
    let read = store.reader().each(&filter, |record| {
        records.extend(record_of(record.value()));
        ControlFlow::Continue(())
    });
    read.map_err(|error| Failure::new(exit::STATE, Problem::from_text(&error.to_string())))?;
    Ok(records)
}

fn of_file(path: &Path) -> Result<Records, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| Failure::file("read", path, &error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let each = lines.map(|(n, line)| {
        serde_json::from_str(line).ok().and_then(record_of).ok_or_else(|| {
            let what = format!("{}:{}: no record of the log", path.display(), n + 1);
            let hint = "one JSON object a line, as `bartizan audit list --json` prints them";
            Failure::new(exit::USAGE, Problem::new(what).hint(hint))
        })
    });
    each.collect()
}

/// A record's kind and fields; nothing when it has none.
fn record_of(value: Value) -> Option<(Event, Map<String, Value>)> {
    let Value::Object(body) = value else { return None };
    let event = body.get("event")?.as_str()?.parse().ok()?;
    Some((event, body))
}
