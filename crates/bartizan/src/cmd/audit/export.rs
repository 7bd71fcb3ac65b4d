//! How does the log get to where it is kept or watched, and go on there after a break? At least once, never with a gap.

use super::{Desk, open};
use crate::cli::{AuditExportArgs, ExportFormat, exit};
use crate::report::{Failure, Problem, plain};
use bartizan_store::{Digest, ExportError, Filter, Reader, Start};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// `bartizan audit export`.
pub(super) fn run(args: &AuditExportArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if let Some(url) = &args.url {
        if args.format != ExportFormat::Otlp {
            let problem = Problem::new("only `--format otlp` is sent to an address");
            return Err(Failure::new(exit::USAGE, problem.hint("write the others to a file")));
        }
        return super::push::run(args, url, desk);
    }
    let Some(reader) = open(desk)? else { return Ok(exit::DONE) };
    if let Some(path) = &args.to {
        let (next, _) = to_file(&reader, path, args.format)?;
        desk.voice.say(&format!("{}: every record before {next}", path.display()))?;
        return Ok(exit::DONE);
    }
    write(&reader, Start::At(args.from.unwrap_or(0)), args.format, desk.voice.out())?;
    Ok(exit::DONE)
}

/// Goes on in `path` with what is not in it yet; gives the place of the next record, and the file.
pub(super) fn to_file(
    reader: &Reader,
    path: &Path,
    format: ExportFormat,
) -> Result<(u64, File), Failure> {
    let failed = |error: io::Error| Failure::file("write", path, &error);
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).mode(0o600).open(path).map_err(failed)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let what = format!("another export writes to `{}`", path.display());
        return Err(Failure::new(exit::STATE, Problem::new(what).hint("wait until it is done")));
    }
    let start = match last_record(&mut file, format).map_err(failed)? {
        Last::Nothing => Start::At(0),
        Last::Foreign(why) => return Err(foreign(path, &why)),
        Last::Record { seq, leaf } => continue_after(reader, path, seq, &leaf)?,
    };
    let mut out = BufWriter::new(file);
    let next = write(reader, start, format, &mut out)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok((next, file))
}

/// The file goes on only behind a record that the log has, as the file has it.
fn continue_after(reader: &Reader, path: &Path, seq: u64, leaf: &Digest) -> Result<Start, Failure> {
    match reader.leaf(seq)? {
        Some(ours) if ours == *leaf => Ok(Start::After(seq)),
        // What is pruned cannot be compared, but nothing may be missing between it and what is there.
        None if seq + 1 == reader.begins()? => Ok(Start::After(seq)),
        None if seq < reader.begins()? => {
            let why = format!("the records after {seq} were pruned before they got here");
            Err(foreign(path, &why))
        }
        _ => Err(foreign(path, &format!("its record {seq} is not the log's"))),
    }
}

fn foreign(path: &Path, why: &str) -> Failure {
    let what = format!("the export cannot go on in `{}`: {why}", path.display());
    let hint = "run `bartizan audit verify`, keep the file as it is, and name another";
    Failure::new(exit::NO, Problem::new(what).hint(hint))
}

/// What a file ends with.
enum Last {
    /// It is empty.
    Nothing,
    /// Its last line is none of ours.
    Foreign(String),
    /// This record.
    Record { seq: u64, leaf: Digest },
}

/// Finds the last whole record of a file, cuts off a line that was broken off, and stands at the end.
fn last_record(file: &mut File, format: ExportFormat) -> io::Result<Last> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let broken = tail.split_off(whole);
    if whole == 0 && from > 0 {
        return Ok(Last::Foreign("its last line is longer than any of a log".to_owned()));
    }
    let found = newest(&tail, format);
    if matches!(found, Last::Nothing) && !tail.is_empty() {
        return Ok(Last::Foreign("it ends with no record".to_owned()));
    }
    // A line that is none of ours, even a broken one, is somebody's who meant another file.
    if !broken.is_empty() && !broken.starts_with(b"{") {
        return Ok(Last::Foreign("it is no export of a log".to_owned()));
    }
    if !matches!(found, Last::Foreign(_)) {
        file.set_len(length - u64::try_from(broken.len()).unwrap_or(0))?;
        file.seek(SeekFrom::End(0))?;
    }
    Ok(found)
}

/// The last record among whole lines; checkpoints stand behind records.
fn newest(lines: &[u8], format: ExportFormat) -> Last {
    let lines = lines.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut records = lines.filter(|line| !line.starts_with(b"{\"checkpoint\":"));
    let Some(line) = records.next() else { return Last::Nothing };
    let foreign = || Last::Foreign("its last line is no record".to_owned());
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return foreign() };
    let (seq, leaf) = match format {
        ExportFormat::Jsonl => {
            (value.get("seq").and_then(Value::as_u64), Some(Digest::of_parts(&[&[0], line])))
        }
        ExportFormat::Ocsf => (
            value.pointer("/metadata/sequence").and_then(Value::as_u64),
            value.pointer("/metadata/uid").and_then(|uid| uid.as_str()?.parse().ok()),
        ),
        ExportFormat::Otlp => {
            let body = value.pointer("/resourceLogs/0/scopeLogs/0/logRecords/0/body/stringValue");
            let body = body.and_then(Value::as_str).unwrap_or_default();
            let record: Value = serde_json::from_str(body).unwrap_or_default();
            let leaf = Digest::of_parts(&[&[0], body.as_bytes()]);
            (record.get("seq").and_then(Value::as_u64), Some(leaf))
        }
    };
    match seq.zip(leaf) {
        Some((seq, leaf)) => Last::Record { seq, leaf },
        None => foreign(),
    }
}

/// Writes the records; gives the place of the next.
fn write(
    reader: &Reader,
    start: Start,
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    let next = match format {
        ExportFormat::Jsonl => reader.export(start, out).map_err(|error| match error {
            ExportError::Store(error) => Failure::from(error),
            ExportError::Write(error) => Failure::from(error),
        })?,
        ExportFormat::Ocsf | ExportFormat::Otlp => {
            let mut next = match start {
                Start::At(seq) => seq,
                Start::After(seq) => seq.saturating_add(1),
            };
            let filter = Filter { from_seq: Some(next), ..Filter::default() };
            let mut written = Ok(());
            reader.each(&filter, |record| {
                next = record.seq.saturating_add(1);
                let line = if format == ExportFormat::Otlp {
                    super::otlp::request(std::slice::from_ref(&record))
                } else {
                    super::ocsf::event(&record)
                };
                written = writeln!(out, "{line}");
                if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            written?;
            next
        }
    };
    out.flush()?;
    Ok(next)
}

/// The digest of a whole file.
pub(super) fn digest(mut file: &File) -> Result<Digest, Failure> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| io::copy(&mut file, &mut hash));
    read.map_err(|error| {
        let what = format!("the export cannot be read back: {}", plain(&error));
        Failure::new(exit::STATE, Problem::new(what))
    })?;
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// So much is looked at of a file's end: a record, its event around it, and some checkpoints.
const WINDOW: u64 = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn kind(text: &[u8]) -> (String, u64) {
        let mut file = file_of(text);
        let found = match last_record(&mut file, ExportFormat::Jsonl).unwrap() {
            Last::Nothing => "nothing".to_owned(),
            Last::Foreign(_) => "foreign".to_owned(),
            Last::Record { seq, .. } => seq.to_string(),
        };
        (found, file.metadata().unwrap().len())
    }

    #[test]
    fn a_file_goes_on_behind_its_last_whole_record_and_no_foreign_file_is_touched() {
        assert_eq!(kind(b""), ("nothing".to_owned(), 0));
        assert_eq!(kind(b"{\"seq\":4}\n"), ("4".to_owned(), 10));
        assert_eq!(kind(b"{\"seq\":4}\n{\"checkpoint\":\"x\"}\n"), ("4".to_owned(), 29));
        assert_eq!(
            kind(b"{\"seq\":4}\n{\"checkpoint\":\"x\"}\n{\"seq\":5,\"to"),
            ("4".to_owned(), 29)
        );
        assert_eq!(kind(b"{\"seq\":4"), ("nothing".to_owned(), 0));
        for foreign in [
            &b"hello\n"[..],
            b"hello",
            b"{}\n",
            b"{\"checkpoint\":\"x\"}\n",
            b"{\"seq\":4}\nhello",
            b"\n\n",
        ] {
            assert_eq!(
                kind(foreign),
                ("foreign".to_owned(), u64::try_from(foreign.len()).unwrap()),
                "{foreign:?}"
            );
        }
    }
}
