//! How much of a labelled corpus does redaction find, and how much does it hide that it should not?
//!
//! `cargo run --release -p bartizan-scan --example score -- [--misses N] [--preds OUT] FILE…`
//!
//! A corpus is JSON lines: `text`, `spans` (`[start, end, kind]`, UTF-8 bytes), and, if the item has any, `known`
//! (a value or a list of them, to be treated as secrets of the session), `tier` and `source`. U+2063, by which such
//! files are kept from being secrets themselves, is taken out of `text` first; spans count without it.
//! `--preds` writes one JSON list of `[start, end]` a line, for another scorer.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a tool for developers, which may stop at what it cannot read"
)]

use bartizan_scan::{Finding, KnownSecret, Redactor, ScanKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

struct Item {
    text: String,
    spans: Vec<(Range<usize>, String)>,
    known: Vec<String>,
    tier: String,
    source: String,
}

#[derive(Default)]
struct Score {
    rows: BTreeMap<String, [usize; 3]>,
    negative: Vec<(String, String)>,
    misses: Vec<(String, String)>,
    negative_bytes: usize,
    bytes: usize,
    over: usize,
    unequal: usize,
    spent: Duration,
}

fn main() {
    let mut misses = 0;
    let mut preds = None;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--misses" => misses = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(20),
            "--preds" => preds = arguments.next(),
            _ => files.push(argument),
        }
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let items: Vec<Item> = text.lines().filter(|l| !l.is_empty()).map(item).collect();
        let mut score = Score::default();
        let mut out = String::new();
        for item in &items {
            let findings = judge(item, &mut score);
            let spans: Vec<_> =
                findings.iter().map(|f| json!([f.span.start, f.span.end])).collect();
            out.push_str(&Value::from(spans).to_string());
            out.push('\n');
        }
        if let Some(path) = &preds {
            let mut to = std::fs::File::create(path).unwrap_or_else(|e| panic!("{path}: {e}"));
            to.write_all(out.as_bytes()).unwrap_or_else(|e| panic!("{path}: {e}"));
        }
        print(&file, items.len(), &score, misses);
    }
}

fn item(line: &str) -> Item {
    let raw: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let word = |name: &str| raw[name].as_str().unwrap_or_default().to_owned();
    let place = |v: &Value| usize::try_from(v.as_u64().unwrap_or(0)).unwrap_or(0);
    let known = match &raw["known"] {
        Value::String(value) => vec![value.clone()],
        Value::Array(values) => {
            values.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let source = word("source");
    let tier = match word("tier") {
        tier if tier.is_empty() => source.rsplit('/').next().unwrap_or_default().to_owned(),
        tier => tier,
    };
    let spans = raw["spans"].as_array().into_iter().flatten();
    Item {
        text: word("text").replace('\u{2063}', ""),
        spans: spans
            .map(|s| (place(&s[0])..place(&s[1]), s[2].as_str().unwrap_or_default().to_owned()))
            .collect(),
        known,
        tier,
        source,
    }
}

/// Redacts an item whole and in pieces, and counts.
fn judge(item: &Item, score: &mut Score) -> Vec<Finding> {
    let known = item.known.iter().enumerate();
    let known = known.map(|(n, v)| KnownSecret { name: format!("k{n}"), value: v.clone().into() });
    let redactor = Redactor::new(ScanKey::new([1; 32]), known).unwrap_or_else(|e| panic!("{e}"));
    let bytes = item.text.as_bytes();
    let begun = Instant::now();
    let (whole, findings) = redactor.redact_bytes(bytes);
    score.spent += begun.elapsed();
    for size in [1, 7, 64, 1024] {
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        for chunk in bytes.chunks(size) {
            stream.push(chunk, &mut out);
        }
        let same = stream.finish(&mut out) == findings && out == whole;
        score.unequal += usize::from(!same);
    }
    count(item, &findings, score);
    findings
}

fn count(item: &Item, findings: &[Finding], score: &mut Score) {
    let bytes = item.text.as_bytes();
    let mut hidden = vec![false; bytes.len()];
    let mut secret = vec![false; bytes.len()];
    for finding in findings {
        hidden[finding.span.clone()].fill(true);
    }
    let show = |span: &Range<usize>| {
        let from = span.start.saturating_sub(50);
        let to = (span.end.min(span.start + 80) + 20).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..to]).replace('\n', "⏎")
    };
    for (span, kind) in &item.spans {
        secret[span.clone()].fill(true);
        let covered = hidden[span.clone()].iter().filter(|h| **h).count();
        let (detected, whole) = (covered * 2 >= span.len(), covered * 10 >= span.len() * 9);
        for row in ["all".to_owned(), item.tier.clone(), format!("kind {kind}")] {
            let row = score.rows.entry(row).or_default();
            row[0] += 1;
            row[1] += usize::from(detected);
            row[2] += usize::from(whole);
        }
        if !whole {
            score.misses.push((format!("{} {kind}", item.source), show(span)));
        }
    }
    score.over += hidden.iter().zip(&secret).filter(|(h, s)| **h && !**s).count();
    score.bytes += bytes.len();
    if item.spans.is_empty() {
        score.negative_bytes += bytes.len();
        let all = findings.iter().map(|f| (format!("{} {}", item.source, f.kind), show(&f.span)));
        score.negative.extend(all);
    }
}

fn print(file: &str, items: usize, score: &Score, misses: usize) {
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let percent = |n: usize, of: usize| 100.0 * n as f64 / of.max(1) as f64;
    println!("{file}: {items} items, {:.2} MB", mb(score.bytes));
    for (row, [all, detected, whole]) in &score.rows {
        if !row.starts_with("kind ") || detected < all {
            println!(
                "  {row:40} n={all:5} detected {:5.1} %  covered {:5.1} %",
                percent(*detected, *all),
                percent(*whole, *all)
            );
        }
    }
    let alarms = score.negative.len();
    println!(
        "  false alarms {alarms} = {:.1} per MB of {:.2} MB without secrets",
        alarms as f64 / mb(score.negative_bytes).max(1e-6),
        mb(score.negative_bytes)
    );
    println!("  over-redacted bytes {} = {:.3} %", score.over, percent(score.over, score.bytes));
    println!("  items whose outcome depends on chunks {}", score.unequal);
    println!(
        "  {:.1} MB/s in items of {} bytes",
        mb(score.bytes) / score.spent.as_secs_f64(),
        score.bytes / items.max(1)
    );
    for (what, text) in score.negative.iter().take(misses) {
        println!("  alarm {what}: {text}");
    }
    let step = (score.misses.len() / misses.max(1)).max(1);
    for (what, text) in score.misses.iter().step_by(step).take(misses) {
        println!("  miss {what}: {text}");
    }
}
