//! How many megabytes a second does the way out carry, against a plain copy and a set of patterns?
//!
//! `cargo bench -p bartizan-scan`. Each figure is over about 10 MB, on one core.
#![expect(clippy::panic, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "what is held back is a figure, not a time")]

mod peers;

use bartizan_scan::{Detector, KnownSecret, Mode, Redactor, ScanKey, sanitise};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn way_out(c: &mut Criterion) {
    for (name, text) in [("clean", clean()), ("dense", dense())] {
        let mut group = c.benchmark_group(name);
        group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("memcpy", |b| b.iter(|| black_box(text.as_bytes()).to_vec()));
        let peer = peers::PatternSet::new().unwrap_or_else(|e| panic!("{e}"));
        group.bench_function("patterns", |b| b.iter(|| peer.count(black_box(text.as_bytes()))));
        for known in [0, 10, 1000] {
            let redactor = redactor(known);
            group.bench_function(BenchmarkId::new("redact", known), |b| {
                b.iter(|| redactor.redact(black_box(&text)));
            });
        }
        // To a model, which the way out leads to, and to a person, who is asked about little.
        for (name, mode) in [("model", Mode::Agent), ("person", Mode::Person)] {
            group.bench_function(BenchmarkId::new("sanitise", name), |b| {
                b.iter(|| sanitise(black_box(&text), mode).0.len());
            });
        }
        group.bench_function("detect", |b| {
            b.iter(|| Detector::new().score(black_box(&text)).score);
        });
        let redactor = redactor(10);
        group.bench_function("both", |b| {
            b.iter(|| sanitise(&redactor.redact(black_box(&text)).text, Mode::Agent).0.len());
        });
        group.bench_function("all", |b| {
            b.iter(|| {
                let text = redactor.redact(black_box(&text)).text;
                let (said, _) = sanitise(&text, Mode::Agent);
                (Detector::new().score(&text).score, said.len())
            });
        });
        println!("{name}: a stream holds back at most {} bytes", held(&redactor, &text));
        for size in [64, 1024, 16 * 1024] {
            group.bench_function(BenchmarkId::new("stream", size), |b| {
                b.iter(|| stream(&redactor, &text, size));
            });
        }
        group.finish();
    }
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for known in [1, 10, 1000] {
        group.bench_function(BenchmarkId::new("redactor", known), |b| b.iter(|| redactor(known)));
    }
}

fn stream(redactor: &Redactor, text: &str, size: usize) -> usize {
    let mut out = Vec::new();
    let mut stream = redactor.stream();
    let mut total = 0;
    for chunk in text.as_bytes().chunks(size) {
        stream.push(chunk, &mut out);
        total += out.len();
        out.clear();
    }
    total + stream.finish(&mut out).len()
}

/// The most that a stream ever held back of the bytes that had come: how far the first byte may be delayed.
fn held(redactor: &Redactor, text: &str) -> usize {
    let mut out = Vec::new();
    let mut stream = redactor.stream();
    let most = text.as_bytes().chunks(64).map(|chunk| {
        stream.push(chunk, &mut out);
        stream.held()
    });
    most.max().unwrap_or(0)
}

fn redactor(known: u64) -> Redactor {
    let known = (0..known)
        .map(|n| KnownSecret { name: format!("secret {n}"), value: noise(n + 1, 40).into() });
    Redactor::new(ScanKey::new([1; 32]), known).unwrap_or_else(|e| panic!("{e}"))
}

/// What tools print when all is well: code, logs, JSON, tables, hashes, a little prose that is not ASCII.
fn clean() -> String {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < 10_000_000 {
        let hash = noise(line + 7, 40).to_lowercase();
        let next = match line % 8 {
            0 => format!("2026-11-21T09:{:02}:{:02}Z INFO server::http request id={hash} status=200 took=12ms\n", line % 60, line % 59),
            1 => format!("    pub fn handle_{line}(&self, request: &Request) -> Result<Response, Error> {{\n"),
            2 => format!("{{\"id\":{line},\"name\":\"item {line}\",\"token_count\":17,\"url\":\"https://example.org/a/{hash}\"}}\n"),
            3 => format!("-rw-r--r-- 1 user user {line} Nov 21 09:15 src/module_{line}.rs\n"),
            4 => "The authorization step asks a person before anything is published; größere Änderungen auch.\n".into(),
            5 => format!("checksum = \"{hash}{hash}\"\n"),
            6 => format!("    let value_{line} = self.cache.get(&key).map(|entry| entry.clone()).unwrap_or_default();\n"),
            _ => format!("test module_{line}::a_sentence_that_says_what_holds ... ok\n"),
        };
        text.push_str(&next);
        line += 1;
    }
    text
}

/// A secret on every line.
fn dense() -> String {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < 10_000_000 {
        let random = noise(line + 3, 48);
        let next = match line % 4 {
            0 => format!("export KEY{line}=sk-{}-api03-{random}\n", "ant"),
            1 => format!("Authorization: Bearer {random}\n"),
            2 => format!("postgres://app:{random}@db.internal/app\n"),
            _ => format!("echoed {}\n", noise(line % 10 + 1, 40)),
        };
        text.push_str(&next);
        line += 1;
    }
    text
}

/// Letters and digits, the same on every run.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .filter_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz0123456789"
                .get(usize::try_from(state >> 40).ok()? % 57)
        })
        .map(|&byte| char::from(byte))
        .collect()
}

criterion_group!(benches, way_out);
criterion_main!(benches);
