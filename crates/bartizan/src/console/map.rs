//! Who had to do with what? Lines from the roles to the tools and hosts, drawn here, and the same as a table.

use super::html::Html;
use super::inbox::effect;
use crate::report::Failure;
use bartizan_store::{Reader, Tie};
use std::collections::{BTreeMap, BTreeSet};

/// The map of one role, or of all; nothing when nothing was done.
pub(super) fn draw(body: &mut Html, reader: &Reader, role: Option<&str>) -> Result<(), Failure> {
    let ties = reader.ties(role)?;
    if ties.is_empty() {
        return Ok(());
    }
    body.raw("<h2>Map</h2><figure class=\"panel plot map\"><figcaption>Who had to do with what, in the log's last 50,000 records: ")
        .raw("<b class=\"made\">— made</b>, <b class=\"asked\">·· asked</b>, <b class=\"denied\">- - denied</b>; a box's edge is the effect, ")
        .raw("as in the table. The busiest ")
        .number(DRAWN).raw(" are drawn.</figcaption>");
    picture(body, &ties);
    body.raw("</figure><details class=\"panel own\"><summary>The same as a table</summary>");
    table(body, &ties);
    body.raw("</details>");
    Ok(())
}

fn picture(body: &mut Html, ties: &[Tie]) {
    let drawn = ties.get(..DRAWN.min(ties.len())).unwrap_or_default();
    let roles: BTreeSet<&str> = drawn.iter().map(|tie| tie.role.as_str()).collect();
    let mut targets: BTreeMap<(bool, &str), &str> = BTreeMap::new();
    for tie in drawn {
        let effect = targets.entry(target(tie)).or_default();
        *effect = weightier(effect, &tie.effect);
    }
    let lines = roles.len().max(targets.len());
    body.raw("<svg viewBox=\"0 0 760 ").number(lines * LINE + LINE);
    body.raw("\" role=\"img\" aria-label=\"Lines from roles to the tools and hosts that they used; the table after it says the same\">");
    let left: BTreeMap<&str, usize> =
        roles.iter().copied().zip(heights(roles.len(), lines)).collect();
    let right: BTreeMap<_, usize> =
        targets.keys().copied().zip(heights(targets.len(), lines)).collect();
    for tie in drawn {
        if let (Some(from), Some(to)) = (left.get(tie.role.as_str()), right.get(&target(tie))) {
            line(body, *from, *to, tie);
        }
    }
    for (role, y) in &left {
        node(body, (10, *y), "role", role);
    }
    for (key, effect) in &targets {
        let y = right.get(key).copied().unwrap_or_default();
        node(body, (450, y), effect, key.1);
    }
    body.raw("</svg>");
}

/// The right end of a line: a host where there is one, or else the tool; tools stand above hosts.
fn target(tie: &Tie) -> (bool, &str) {
    if tie.host.is_empty() { (false, &tie.tool) } else { (true, &tie.host) }
}

fn weightier<'a>(one: &'a str, other: &'a str) -> &'a str {
    let weight = |effect: &str| {
        ["", "read", "write", "irreversible"].iter().position(|known| *known == effect)
    };
    if weight(other) > weight(one) { other } else { one }
}

/// So many places, spread over the height of so many lines.
fn heights(count: usize, lines: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| (at * 2 + 1) * lines * LINE / (count * 2) + LINE / 2)
}

fn line(body: &mut Html, from: usize, to: usize, tie: &Tie) {
    // What was denied is seen though more was allowed.
    body.raw(if tie.denied > 0 {
        "<path class=\"denied\" d=\"M240 "
    } else if tie.asked > 0 {
        "<path class=\"asked\" d=\"M240 "
    } else {
        "<path class=\"made\" d=\"M240 "
    });
    body.number(from).raw(" C350 ").number(from).raw(" 340 ").number(to).raw(" 450 ").number(to);
    let width = (tie.made + tie.asked + tie.denied).ilog2().min(5) + 1;
    body.raw("\" stroke-width=\"").number(width).raw("\"/>");
}

fn node(body: &mut Html, (x, y): (usize, usize), kind: &str, label: &str) {
    body.raw(match kind {
        "role" => "<rect class=\"role\" x=\"",
        "read" => "<rect class=\"read\" x=\"",
        "write" => "<rect class=\"write\" x=\"",
        "irreversible" => "<rect class=\"final\" x=\"",
        _ => "<rect class=\"unknown\" x=\"",
    });
    let (width, shown) = if kind == "role" { (230_usize, 24) } else { (300, 34) };
    body.number(x).raw("\" y=\"").number(y.saturating_sub(HALF)).raw("\" width=\"").number(width);
    body.raw("\" height=\"22\" rx=\"4\"/><text x=\"").number(x + 10).raw("\" y=\"").number(y + 4);
    body.raw("\">").brief(label, shown).raw("</text>");
}

fn table(body: &mut Html, ties: &[Tie]) {
    body.raw("<div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Role</th><th>Tool</th><th>Host</th><th>Effect</th>")
        .raw("<th>Made</th><th>Asked</th><th>Denied</th></tr></thead><tbody>");
    for tie in ties {
        body.raw("<tr><td><a href=\"/agents/").segment(&tie.role).raw("\">").brief(&tie.role, 40);
        body.raw("</a></td><td><a href=\"/log?tool=").segment(&tie.tool).raw("\">");
        body.brief(&tie.tool, 60).raw("</a></td><td class=\"wide\">");
        if !tie.host.is_empty() {
            body.raw("<a href=\"/log?host=").segment(&tie.host).raw("\">").brief(&tie.host, 80);
            body.raw("</a>");
        }
        body.raw("</td><td>");
        effect(body, &tie.effect);
        for count in [tie.made, tie.asked, tie.denied] {
            body.raw("</td><td class=\"n\">").number(count);
        }
        body.raw("</td></tr>");
    }
    body.raw("</tbody></table></div>");
}

/// Lines that are drawn; the table has them all.
const DRAWN: usize = 40;
/// The height of a line, and half of a box.
const LINE: usize = 28;
const HALF: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_over_the_whole_height_and_stay_in_it() {
        let all: Vec<usize> = heights(4, 4).collect();
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] == LINE), "{all:?}");
        let one: Vec<usize> = heights(1, 4).collect();
        assert_eq!(one, [2 * LINE + LINE / 2]);
        assert_eq!(weightier("read", "irreversible"), "irreversible");
        assert_eq!(weightier("write", ""), "write");
    }
}
