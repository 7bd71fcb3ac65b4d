//! Does a text give a secret away, or orders to a model? The way out as a tool of its own: for pipes, hooks before a commit, and corpora.

use crate::cli::{ScanArgs, exit};
use crate::machine::random;
use crate::report::{Failure, Problem, Voice, safe};
use bartizan_scan::json::{Doc, Node};
use bartizan_scan::{Confidence, Detector, Finding, KnownSecret, Redactor, ScanKey, Signal};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// `bartizan scan`.
pub(super) fn run(args: &ScanArgs, voice: &mut Voice) -> Result<u8, Failure> {
    let scan = Scan { key: ScanKey::new(random()?), known: known_in(args.known.as_deref())?, args };
    let mut found = false;
    if args.files.is_empty() {
        found |= scan.input("-", &mut io::stdin().lock(), voice)?;
    }
    for path in &args.files {
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        found |= scan.input(&path.display().to_string(), &mut BufReader::new(file), voice)?;
    }
    Ok(if found && args.check { exit::NO } else { exit::DONE })
}

/// What one item is answered with, and whether anything was found in it.
type Answer = (Map<String, Value>, bool);

struct Scan<'a> {
    key: ScanKey,
    known: Vec<String>,
    args: &'a ScanArgs,
}

impl Scan<'_> {
    /// Scans one input in the form that was asked for. Whether anything was found.
    fn input(
        &self,
        name: &str,
        from: &mut dyn BufRead,
        voice: &mut Voice,
    ) -> Result<bool, Failure> {
        if self.args.jsonl {
            self.items(name, from, voice)
        } else if self.args.json {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map_err(|e| unreadable(name, &e))?;
            let (mut answer, found) = self.judge(&bytes, &[])?;
            answer.insert("source".to_owned(), name.into());
            print(voice, &answer)?;
            Ok(found)
        } else if self.args.redact {
            self.filter(name, from, voice)
        } else {
            self.report(name, from, voice)
        }
    }

    /// Copies an input without its secrets, as it comes in.
    fn filter(
        &self,
        name: &str,
        from: &mut dyn BufRead,
        voice: &mut Voice,
    ) -> Result<bool, Failure> {
        let (redactor, _) = self.redactor(&[])?;
        let mut stream = redactor.stream();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut out = Vec::new();
        loop {
            let len = from.read(&mut chunk).map_err(|e| unreadable(name, &e))?;
            if len == 0 {
                break;
            }
            stream.push(chunk.get(..len).unwrap_or_default(), &mut out);
            voice.out().write_all(&out)?;
            voice.flush()?;
            out.clear();
        }
        let findings = stream.finish(&mut out);
        voice.out().write_all(&out)?;
        Ok(!findings.is_empty())
    }

    /// Tells of each finding in a line: where, what, how sure. Never the value.
    fn report(
        &self,
        name: &str,
        from: &mut dyn BufRead,
        voice: &mut Voice,
    ) -> Result<bool, Failure> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|e| unreadable(name, &e))?;
        let (redactor, _) = self.redactor(&[])?;
        let findings = redactor.redact_bytes(&bytes).1;
        let (mut line, mut start, mut at) = (1, 0, 0);
        for finding in &findings {
            let between = bytes.get(at..finding.span.start).unwrap_or_default();
            for (offset, _) in between.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
                (line, start) = (line + 1, at + offset + 1);
            }
            at = finding.span.start;
            let (kind, sure) = (&finding.kind, confidence(finding));
            let column = at - start + 1;
            writeln!(voice.out(), "{}:{line}:{column}: {kind} ({sure})", safe(name))?;
        }
        Ok(!findings.is_empty())
    }

    /// Answers each line of JSON with one.
    fn items(
        &self,
        name: &str,
        from: &mut dyn BufRead,
        voice: &mut Voice,
    ) -> Result<bool, Failure> {
        let mut any = false;
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let len = from.read_until(b'\n', &mut line).map_err(|e| unreadable(name, &e))?;
            if len == 0 {
                break;
            }
            let item = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line).trim_ascii();
            if item.is_empty() {
                continue;
            }
            let (answer, found) = self.item(item, &format!("{} line {number}", safe(name)))?;
            print(voice, &answer)?;
            any |= found;
        }
        Ok(any)
    }

    /// Answers one line. What cannot be read counts as found: nobody has looked at it.
    fn item(&self, line: &[u8], place: &str) -> Result<Answer, Failure> {
        let doc = match Doc::read(line) {
            Ok(doc) => doc,
            Err(flaw) => {
                return Ok((Map::from_iter([error_in(&format!("{place}: {flaw}"))]), true));
            }
        };
        let id = doc.root().get("id").map(|id| ("id".to_owned(), value(&doc, id)));
        let wrong = |what: &str| {
            let error = error_in(&format!("{place}: {what}"));
            Ok((id.clone().into_iter().chain([error]).collect(), true))
        };
        let Some(text) = doc.text_of(doc.root(), "text") else {
            return wrong("`text` is missing or no string");
        };
        let Some(known) = values(&doc, doc.root().get("known")) else {
            return wrong("`known` is neither a string nor a list or table of strings");
        };
        let (answer, found) = self.judge(text.as_bytes(), &known)?;
        Ok((id.into_iter().chain(answer).collect(), found))
    }

    fn judge(&self, bytes: &[u8], known: &[String]) -> Result<Answer, Failure> {
        let (redactor, refused) = self.redactor(known)?;
        let (clean, findings) = redactor.redact_bytes(bytes);
        let spans: Vec<Value> = findings.iter().map(span).collect();
        let mut answer = Map::new();
        // Bytes that are no text can only be shown as far as they are; `--redact` alone copies every one.
        let text = String::from_utf8(clean);
        if text.is_err() {
            answer.insert("lossy".to_owned(), true.into());
        }
        let text =
            text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        // An order to the model is an order in whatever bytes it comes.
        let detection = Detector::new().score(&String::from_utf8_lossy(bytes));
        let signals: Vec<Value> = detection.signals.iter().map(signal).collect();
        answer.insert("redacted".to_owned(), text.into());
        answer.insert("spans".to_owned(), spans.into());
        answer.insert(
            "injection".to_owned(),
            json!({ "score": detection.score, "findings": signals }),
        );
        if !refused.is_empty() {
            answer.insert("refused".to_owned(), refused.into());
        }
        Ok((answer, !findings.is_empty()))
    }

    /// A redactor for the values given on the command line and with an item, and why the others cannot be hidden.
    fn redactor(&self, more: &[String]) -> Result<(Redactor, Vec<String>), Failure> {
        let mut usable: Vec<KnownSecret> = Vec::new();
        let mut refused = Vec::new();
        for (number, value) in self.known.iter().chain(more).enumerate() {
            let secret =
                KnownSecret { name: format!("known-{}", number + 1), value: value.clone().into() };
            match Redactor::new(self.key.clone(), [secret.clone()]) {
                Ok(_) => usable.push(secret),
                Err(error) => refused.push(error.to_string()),
            }
        }
        let redactor = Redactor::new(self.key.clone(), usable)
            .map_err(|error| Failure::new(exit::NO, Problem::new(error.to_string())))?;
        Ok((redactor, refused))
    }
}

/// A part of a document as it is given back.
fn value(doc: &Doc<'_>, node: &Node) -> Value {
    match doc.text(node) {
        Some(text) => text.into(),
        // A half of a surrogate pair deep within is all that does not come back.
        None => serde_json::from_str(doc.raw(node)).unwrap_or_default(),
    }
}

/// The values to treat as secrets: one, a list, or a table of them by name.
fn values(doc: &Doc<'_>, known: Option<&Node>) -> Option<Vec<String>> {
    let Some(known) = known.filter(|known| doc.raw(known) != "null") else {
        return Some(Vec::new());
    };
    let text = |node| doc.text(node).map(String::from);
    if let Some(items) = known.items() {
        items.iter().map(text).collect()
    } else if known.is_table() {
        known.members().map(|(_, node)| text(node)).collect()
    } else {
        text(known).map(|value| vec![value])
    }
}

fn span(finding: &Finding) -> Value {
    json!({
        "start": finding.span.start,
        "end": finding.span.end,
        "kind": finding.kind.as_str(),
        "confidence": confidence(finding),
    })
}

fn signal(signal: &Signal) -> Value {
    json!({
        "start": signal.span.start,
        "end": signal.span.end,
        "kind": signal.id,
        "confidence": sure(signal.confidence),
        "words": signal.words,
        "disguise": signal.disguise,
    })
}

const fn confidence(finding: &Finding) -> &'static str {
    sure(finding.confidence)
}

const fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Medium => "medium",
        Confidence::High => "high",
        Confidence::Certain => "certain",
    }
}

fn error_in(what: &str) -> (String, Value) {
    ("error".to_owned(), what.into())
}

fn print(voice: &mut Voice, answer: &Map<String, Value>) -> Result<(), Failure> {
    serde_json::to_writer(&mut *voice.out(), answer).map_err(io::Error::from)?;
    voice.out().write_all(b"\n")?;
    Ok(())
}

/// The values to treat as secrets, one a line.
fn known_in(path: Option<&Path>) -> Result<Vec<String>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    if name == "-" {
        Failure::new(exit::STATE, Problem::new(format!("cannot read standard input: {error}")))
    } else {
        Failure::file("read", &PathBuf::from(name), error)
    }
}

/// What some editors and shells put before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const CHUNK_BYTES: usize = 64 * 1024;
