//! How well does the detector tell injections from honest text?
//!
//! `cargo run --release -p bartizan-scan --example score_injection -- FILE.jsonl`
//!
//! Each line is an object with `text`, `label` (`injection` or `benign`), and optionally `source`, `kind`, `disguise`.
//! Figures over the file the table was trained on say nothing about other texts; `scripts/train-injection` prints those
//! over sources that were held out.
#![expect(clippy::print_stdout, reason = "a tool for developers")]

use bartizan_scan::Detector;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Instant;

#[derive(Deserialize)]
struct Row {
    text: String,
    label: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    disguise: Option<String>,
}

struct Scored {
    row: Row,
    score: f32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: score_injection FILE.jsonl")?;
    let mut rows: Vec<Row> = Vec::new();
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        rows.push(serde_json::from_str(&line?)?);
    }
    let detector = Detector::new();
    let bytes: usize = rows.iter().map(|row| row.text.len()).sum();
    let begun = Instant::now();
    let mut scored: Vec<Scored> = rows
        .into_iter()
        .map(|row| Scored { score: detector.score(&row.text).score, row })
        .collect();
    let seconds = begun.elapsed().as_secs_f64();
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    println!(
        "{} texts, {:.1} MB in {seconds:.1} s",
        scored.len(),
        f64::from(u32::try_from(bytes)?) / 1e6
    );
    println!("area under the curve {:.3}", area(&scored, |_| true));
    for (share, name) in [(0.01, "1 %"), (0.002, "0.2 %"), (0.05, "5 %")] {
        let threshold = threshold(&scored, share);
        println!("\nat {name} false positives on tool-like text: threshold {threshold:.4}");
        by(&scored, threshold);
    }
    for threshold in [0.5, 0.9, 0.99] {
        println!("\nat threshold {threshold}");
        by(&scored, threshold);
    }
    Ok(())
}

/// Prints the share at or above the threshold: of attacks by source and by disguise, of honest texts by kind.
fn by(scored: &[Scored], threshold: f32) {
    let mut groups: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for Scored { row, score } in scored {
        let mut count = |name: String| {
            let (hits, all) = groups.entry(name).or_default();
            *hits += u32::from(*score > threshold);
            *all += 1;
        };
        if row.label == "injection" {
            count("recall, all".to_owned());
            count(format!("recall, source {}", row.source));
            if let Some(disguise) = &row.disguise {
                count("recall, disguised".to_owned());
                count(format!("recall, disguise {disguise}"));
            }
        } else {
            count(format!("false positives, {}", row.kind));
            if tool_like(row) {
                count("false positives, tool-like".to_owned());
            }
        }
    }
    for (name, (hits, all)) in groups {
        println!("  {name:<44} {:.3} of {all}", f64::from(hits) / f64::from(all));
    }
}

/// The lowest threshold above which no more than this share of honest tool-like texts is. Without any such text, of
/// all honest ones.
fn threshold(scored: &[Scored], share: f64) -> f32 {
    let honest = |only_tools: bool| -> Vec<f32> {
        scored
            .iter()
            .filter(|s| s.row.label != "injection" && (!only_tools || tool_like(&s.row)))
            .map(|s| s.score)
            .collect()
    };
    let tools = honest(true);
    let scores = if tools.is_empty() { honest(false) } else { tools };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let allowed = (scores.len() as f64 * share) as usize;
    scores.get(allowed).copied().unwrap_or(1.0)
}

fn tool_like(row: &Row) -> bool {
    let other =
        ["user_prompt", "cyber_prompt", "security_doc_quoting", "docs_quoting", "notinject"];
    row.label != "injection" && !other.contains(&row.kind.as_str())
}

/// How often a random attack scores above a random honest text; ties count half.
fn area(scored: &[Scored], of: impl Fn(&Row) -> bool) -> f64 {
    let (mut above, mut attacks, mut honest) = (0.0, 0.0, 0.0);
    let mut at = 0;
    let rows: Vec<&Scored> = scored.iter().filter(|s| of(&s.row)).collect();
    while let Some(first) = rows.get(at) {
        let ties: Vec<&&Scored> =
            rows.iter().skip(at).take_while(|s| s.score.total_cmp(&first.score).is_eq()).collect();
        let tied = f64::from(u32::try_from(ties.len()).unwrap_or(u32::MAX));
        let bad = f64::from(
            u32::try_from(ties.iter().filter(|s| s.row.label == "injection").count())
                .unwrap_or(u32::MAX),
        );
        above += (tied - bad) * (attacks + bad / 2.0);
        attacks += bad;
        honest += tied - bad;
        at += ties.len();
    }
    above / (attacks * honest)
}
