//! What happened, and can the log be believed? Reads records; never writes one.

mod anchor;
mod elsewhere;
mod export;
mod ocsf;
mod otlp;
mod prune;
mod push;
mod witness;

use super::Desk;
use crate::cli::{
    AuditCommand, AuditFilter, AuditListArgs, AuditShowArgs, AuditTailArgs, AuditVerifyArgs, exit,
};
use crate::clock::{date, now_ms};
use crate::config::units;
use crate::desk::record::{outcome, what};
use crate::report::{Failure, Paint, Problem, plain, safe};
use bartizan_scan::display_line;
use bartizan_store::verify::{self, Completeness, Integrity, Report, Trust, Verdict};
use bartizan_store::{Event, Filter, PublicKey, Reader, Record};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How often `tail --follow` looks.
const PULSE: Duration = Duration::from_millis(200);

/// `bartizan audit …`.
pub(super) fn run(command: &AuditCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    match command {
        AuditCommand::List(args) => list(args, desk),
        AuditCommand::Show(args) => show(args, desk),
        AuditCommand::Tail(args) => tail(args, desk),
        AuditCommand::Verify(args) => verify(args, desk),
        AuditCommand::Export(args) => export::run(args, desk),
        AuditCommand::Anchor(args) => anchor::run(args, desk),
        AuditCommand::Prune(args) => prune::run(args, desk),
    }
}

fn list(args: &AuditListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let filter = filter(&args.filter)?;
    let Some(reader) = open(desk)? else { return Ok(exit::DONE) };
    if let Some(limit) = args.limit {
        for record in reader.tail(&filter, limit)? {
            print(desk, &record, args.json)?;
        }
        return Ok(exit::DONE);
    }
    let mut printed = Ok(());
    reader.each(&filter, |record| match print(desk, &record, args.json) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            printed = Err(error);
            ControlFlow::Break(())
        }
    })?;
    printed?;
    Ok(exit::DONE)
}

fn show(args: &AuditShowArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let missing = || {
        Failure::new(
            exit::NO,
            Problem::new(format!("there is no record `{}`", args.which))
                .hint("give a record's number, or a call id, from `bartizan audit list`"),
        )
    };
    let Some(reader) = open(desk)? else { return Err(missing()) };
    let records = match args.which.parse() {
        Ok(seq) => {
            let mut records =
                reader.page(&Filter { from_seq: Some(seq), ..Filter::default() }, 1)?;
            records.retain(|record| record.seq == seq);
            records
        }
        Err(_) => {
            reader.page(&Filter { call: Some(args.which.clone()), ..Filter::default() }, 1000)?
        }
    };
    if records.is_empty() {
        return Err(missing());
    }
    for record in records {
        if args.json {
            print(desk, &record, true)?;
            continue;
        }
        let pretty = serde_json::to_string_pretty(&record.value()).map_err(io::Error::from)?;
        for line in pretty.lines() {
            writeln!(desk.voice.out(), "{}", safe(line))?;
        }
        writeln!(desk.voice.out(), "{}", desk_leaf(&record))?;
    }
    Ok(exit::DONE)
}

fn desk_leaf(record: &Record) -> String {
    format!("leaf sha256:{}", record.leaf)
}

fn tail(args: &AuditTailArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut filter = filter(&args.filter)?;
    let mut reader = open(desk)?;
    let first = match &reader {
        Some(reader) => reader.tail(&filter, args.lines)?,
        None => Vec::new(),
    };
    for record in &first {
        print(desk, record, args.json)?;
    }
    // With nothing printed, what comes next is whatever lies beyond the end of now.
    let mut next = match (first.last(), &reader) {
        (Some(last), _) => last.seq + 1,
        (None, Some(reader)) => reader.size()?,
        (None, None) => 0,
    };
    if !args.follow {
        return Ok(exit::DONE);
    }
    loop {
        desk.voice.flush()?;
        thread::sleep(PULSE);
        if reader.is_none() {
            reader = open(desk)?;
        }
        let Some(reader) = &reader else { continue };
        filter.from_seq = Some(next);
        for record in reader.page(&filter, 1000)? {
            next = record.seq + 1;
            print(desk, &record, args.json)?;
        }
    }
}

fn verify(args: &AuditVerifyArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut trust = Trust { from: args.from, ..Trust::default() };
    if let Some(text) = &args.key {
        let key: PublicKey = text
            .trim()
            .parse()
            .map_err(|_| usage(&format!("`{text}` is not a public key of a log")))?;
        trust.key = Some(key);
    }
    let witness = args.witness_key.as_deref().map(witness::key).transpose()?;
    for path in &args.anchors {
        let note = small_file(path)?;
        if let Some(key) = &witness {
            desk.voice.say(&witness::check(key, &note, &path.display().to_string())?)?;
        }
        trust.anchors.push(note);
    }
    let report = match &args.file {
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
            verify::lines(BufReader::new(file), &trust)
                .map_err(|error| Failure::file("read", path, &error))?
        }
        None if !desk.places.state.exists() => return Err(no_log(&desk.places.state)),
        None => verify::dir(&desk.places.state, &trust)?,
    };
    let verdict = report.verdict();
    if args.json {
        writeln!(desk.voice.out(), "{}", json!({ "verdict": verdict, "report": report }))?;
    } else {
        describe(desk, &report, verdict)?;
        if args.file.is_some() && trust.key.is_none() {
            desk.voice.say("  hint: without the log's public key no checkpoint counts; give it with --key, as checkpoint.pub has it")?;
        }
    }
    Ok(verdict.code())
}

fn describe(desk: &mut Desk<'_>, report: &Report, verdict: Verdict) -> io::Result<()> {
    let line = match (&report.integrity, verdict) {
        (Integrity::Broken { seq, why }, _) => {
            format!(
                "{}: record {seq} is the first that does not fit: {}",
                desk.voice.paint(Paint::Red, "broken"),
                safe(why)
            )
        }
        (Integrity::Truncated { signed }, _) => {
            format!(
                "{}: {signed} records were signed, {} are here",
                desk.voice.paint(Paint::Red, "truncated"),
                report.records
            )
        }
        (Integrity::Whole, Verdict::Unanchored) => format!(
            "{}: {} records",
            desk.voice.paint(Paint::Yellow, "whole, not signed to its end"),
            report.records
        ),
        (Integrity::Whole, _) => format!(
            "{}: {} records, signed to the end",
            desk.voice.paint(Paint::Green, "whole"),
            report.records
        ),
    };
    writeln!(desk.voice.out(), "{line}")?;
    let told = &report.completeness;
    writeln!(desk.voice.out(), "root         sha256:{}", report.root)?;
    writeln!(desk.voice.out(), "checkpoints  {}", told.checkpoints)?;
    if told.begins > 0 {
        writeln!(
            desk.voice.out(),
            "begins       at record {}: what was before is not here",
            told.begins
        )?;
    }
    if told.early_anchors > 0 {
        let many = told.early_anchors;
        writeln!(
            desk.voice.out(),
            "anchors      {many} are of records before that, and show nothing"
        )?;
    }
    if told.unanchored > 0 {
        writeln!(desk.voice.out(), "unsigned     {} records at the end", told.unanchored)?;
    }
    describe_open(desk, told)?;
    for seq in &told.clock_steps {
        writeln!(desk.voice.out(), "clock        record {seq} is older than the one before it")?;
    }
    if told.key_from_log {
        let key = Reader::open(&desk.places.state).and_then(|reader| reader.public_key());
        if let Ok(key) = key {
            writeln!(desk.voice.out(), "key          {key}")?;
        }
        desk.voice.say("  hint: the key came from beside the log; keep it elsewhere and give it with --key, and checkpoints (`bartizan audit anchor`) with --anchor")?;
    }
    Ok(())
}

/// What was begun and has no end on the log.
fn describe_open(desk: &mut Desk<'_>, told: &Completeness) -> io::Result<()> {
    for call in &told.open_calls {
        let session = call.session.as_deref().unwrap_or("-");
        writeln!(
            desk.voice.out(),
            "unknown      call {} of session {} (record {}): an intent without an outcome",
            safe(&call.call),
            safe(session),
            call.seq
        )?;
    }
    for session in &told.open_sessions {
        writeln!(
            desk.voice.out(),
            "open         session {}: running, or ended without a word",
            safe(session)
        )?;
    }
    Ok(())
}

fn filter(args: &AuditFilter) -> Result<Filter, Failure> {
    let event = args
        .event
        .as_deref()
        .map(str::parse::<Event>)
        .transpose()
        .map_err(|error| usage(&error.to_string()))?;
    let since_ms = match &args.since {
        Some(text) => {
            let age = units::duration(text)
                .map_err(|why| usage(&format!("`{text}` is not an age: {why}")))?;
            Some(now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
        }
        None => None,
    };
    Ok(Filter {
        session: args.session.clone(),
        event,
        since_ms,
        text: args.text.clone(),
        ..Filter::default()
    })
}

fn usage(what: &str) -> Failure {
    Failure::new(exit::USAGE, Problem::new(what))
}

/// The log, unless there is none yet.
fn open(desk: &mut Desk<'_>) -> Result<Option<Reader>, Failure> {
    if !desk.places.state.exists() {
        return Ok(None);
    }
    Ok(Some(Reader::open(&desk.places.state)?))
}

/// Verifying a log that is not there is no success: it may have been taken away.
fn no_log(state: &Path) -> Failure {
    let problem = Problem::new(format!("there is no log in `{}`", state.display()));
    Failure::new(
        exit::STATE,
        problem.hint("nothing was run yet, --state is not right, or somebody took the log away"),
    )
}

/// A checkpoint is a few lines.
fn small_file(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    file.take(64 * 1024).read_to_string(&mut text).map_err(|error| {
        Failure::new(
            exit::STATE,
            Problem::new(format!("cannot read `{}`: {}", path.display(), plain(&error))),
        )
    })?;
    Ok(text)
}

fn print(desk: &mut Desk<'_>, record: &Record, json: bool) -> io::Result<()> {
    if json {
        return writeln!(desk.voice.out(), "{}", record.json);
    }
    let value = record.value();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let when = value.get("time_ms").and_then(Value::as_u64).map_or_else(String::new, date);
    let session = text("session").get(..8).unwrap_or(text("session"));
    let (word, paint) = outcome(&value);
    let event = display_line(text("event"), 14);
    let line = format!(
        "{:>6}  {when}  {event:<13}  {:<8}  {}",
        record.seq,
        display_line(session, 8),
        display_line(&what(&value), 90)
    );
    let word = desk.voice.paint(paint, &display_line(&word, 60));
    writeln!(desk.voice.out(), "{}", format!("{line}  {word}").trim_end())
}
