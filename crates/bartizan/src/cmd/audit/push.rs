//! What has a collector not been sent yet? Each batch once it has taken the one before; a mark says how far it got.

use super::elsewhere::Elsewhere;
use super::{Desk, no_log, otlp};
use crate::cli::{AuditExportArgs, exit};
use crate::report::{Failure, safe};
use bartizan_store::{Filter, Record, Store};
use std::thread;
use std::time::Duration;

/// `bartizan audit export --format otlp --url URL`.
pub(super) fn run(args: &AuditExportArgs, url: &str, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::super::outside_a_box("exporting the log")?;
    if !desk.places.state.exists() {
        return Err(no_log(&desk.places.state));
    }
    let store = Store::open(&desk.places.state)?;
    let way = Elsewhere::new(desk, &store, ("--url", url, args.bearer.as_deref()))?;
    let reader = otlp::reader(url);
    let mut next = store.mark(&reader)?.unwrap_or(0);
    loop {
        let batch = batch(&store, next)?;
        let Some(last) = batch.last() else {
            if !args.follow {
                break;
            }
            thread::sleep(PULSE);
            continue;
        };
        let body = otlp::request(&batch).to_string().into_bytes();
        let answer = way.send(false, ("application/json", body))?;
        // Not sent again, since it would be dropped again.
        if let Some(what) = otlp::rejected(&answer) {
            desk.voice.say(&safe(&what))?;
        }
        next = last.seq + 1;
        store.set_mark(&reader, next)?;
    }
    desk.voice.say(&format!("{}: every record before {next}", safe(url)))?;
    Ok(exit::DONE)
}

/// The next records, as many as one request takes.
fn batch(store: &Store, from: u64) -> Result<Vec<Record>, Failure> {
    let filter = Filter { from_seq: Some(from), ..Filter::default() };
    let mut records = store.reader().page(&filter, BATCH_RECORDS)?;
    let mut bytes = 0;
    let fit = records.iter().take_while(|record| {
        bytes += record.json.len();
        bytes <= BATCH_BYTES
    });
    // One that is too long by itself goes alone.
    let fit = fit.count().max(1);
    records.truncate(fit);
    Ok(records)
}

const BATCH_RECORDS: usize = 512;
/// Collectors take 4 MiB and more; in JSON, and with attributes, a record about doubles.
const BATCH_BYTES: usize = 1 << 20;
const PULSE: Duration = Duration::from_millis(500);
