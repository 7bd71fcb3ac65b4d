//! When was how much done, asked and denied? Bars of one day, drawn here.

use super::html::Html;
use crate::clock::{date, now_ms};
use crate::report::Failure;
use bartizan_store::{Activity, Reader};

/// The last day by the hour, with its sums in words; nothing when nothing was done.
pub(super) fn day(body: &mut Html, reader: &Reader) -> Result<(), Failure> {
    let end_ms = (now_ms() / HOUR_MS).saturating_add(1).saturating_mul(HOUR_MS);
    let begin_ms = end_ms.saturating_sub(DAY_MS);
    let hours = reader.activity(begin_ms, HOUR_MS, HOURS)?;
    let sum = |pick: fn(&Activity) -> u64| hours.iter().map(pick).sum::<u64>();
    let (made, asked, denied) = (sum(|one| one.made), sum(|one| one.asked), sum(|one| one.denied));
    if (made, asked, denied) == (0, 0, 0) {
        return Ok(());
    }
    body.raw("<figure class=\"panel plot\"><figcaption>Calls of the last day, by the hour: <b class=\"made\">");
    body.number(made).raw(" made</b>, <b class=\"asked\">").number(asked);
    body.raw(" asked</b>, <b class=\"denied\">").number(denied).raw(" denied</b></figcaption>");
    body.raw("<svg viewBox=\"0 0 480 84\" role=\"img\" aria-label=\"Calls by the hour\">");
    let most = hours.iter().map(|one| one.made + one.asked + one.denied).max().unwrap_or(0).max(1);
    for (left, (hour_ms, one)) in (begin_ms..).step_by(STEP).zip(&hours).enumerate() {
        bar(body, left * 20 + 2, &date(hour_ms), one, most);
    }
    body.raw("<line x1=\"0\" y1=\"80.5\" x2=\"480\" y2=\"80.5\"/></svg></figure>");
    Ok(())
}

/// One hour: what was made at the foot, what was denied on top.
fn bar(body: &mut Html, left: usize, hour: &str, one: &Activity, most: u64) {
    let parts = [
        (one.made, "<rect class=\"made\" x=\"", " made, "),
        (one.asked, "<rect class=\"asked\" x=\"", " asked, "),
        (one.denied, "<rect class=\"denied\" x=\"", " denied"),
    ];
    body.raw("<g><title>").text(hour).raw(": ");
    for (count, _, word) in parts {
        body.number(count).raw(word);
    }
    body.raw("</title>");
    let mut foot = 80_u64;
    for (count, rect, _) in parts.into_iter().filter(|(count, ..)| *count > 0) {
        // However little it is beside the rest, it is seen.
        let height = (count * 70 / most).max(3);
        foot = foot.saturating_sub(height);
        body.raw(rect).number(left).raw("\" y=\"").number(foot).raw("\" width=\"16\" height=\"");
        body.number(height).raw("\"/>");
    }
    body.raw("</g>");
}

const HOURS: usize = 24;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// An hour, as an iterator counts.
const STEP: usize = 3_600_000;
