//! Prints what `scripts/train-injection` learns from: for each reading of each line's `text`, a binary record.
//!
//! `cargo run --release -p bartizan-scan --example injection_features -- FILE.jsonl >features.bin`
#![expect(clippy::print_stderr, reason = "a tool for developers")]

use bartizan_scan::training_readings;
use std::io::{BufRead, BufReader, BufWriter, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: injection_features FILE.jsonl")?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut rows = 0_u32;
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let text = row.get("text").and_then(|text| text.as_str()).ok_or("a row without `text`")?;
        for reading in training_readings(text) {
            let (mut slots, mut ideas) = (reading.slots, reading.ideas);
            for hashes in [&mut slots, &mut ideas] {
                hashes.sort_unstable();
                hashes.dedup();
            }
            for number in [
                rows,
                u32::from(reading.candidate) | reading.disguises << 1,
                reading.signatures,
                u32::try_from(slots.len())?,
                u32::try_from(ideas.len())?,
            ] {
                out.write_all(&number.to_le_bytes())?;
            }
            for slot in slots.into_iter().chain(ideas) {
                out.write_all(&slot.to_le_bytes())?;
            }
        }
        rows += 1;
    }
    eprintln!("{rows} rows");
    Ok(())
}
