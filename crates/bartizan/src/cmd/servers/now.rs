//! How do the servers fare? Those of the configuration and those that command lines name, as the gateways that live now have them,
//! each its own; one that nobody keeps is not started.

use super::open;
use crate::cli::{ServersListArgs, exit};
use crate::clock::{age, left};
use crate::cmd::{Desk, here};
use crate::config::{self, Purpose};
use crate::report::{Failure, Paint, safe};
use bartizan_scan::display_line;
use bartizan_store::{Kept, Store};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `bartizan servers list`.
pub(super) fn list(args: &ServersListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = config::load(&desk.places, &here()?, Purpose::Look)?;
    let store = open(desk)?;
    let kept = store.as_ref().map(Store::kept_servers).transpose()?.unwrap_or_default();
    let mut names: BTreeSet<String> = config.servers.keys().map(ToString::to_string).collect();
    // What was configured when a gateway began, it keeps; one that a command line names is in no configuration.
    names.extend(kept.iter().map(|kept| kept.server.clone()));
    let mut all = Vec::new();
    for name in names {
        let own: Vec<&Kept> = kept.iter().filter(|kept| kept.server == name).collect();
        let last = match &store {
            Some(store) if own.is_empty() => store.why_down(&name)?,
            _ => None,
        };
        all.push((name, own, last));
    }
    if args.json {
        let rows: Vec<Value> = all.iter().flat_map(rows).collect();
        writeln!(desk.voice.out(), "{}", Value::from(rows))?;
        return Ok(exit::DONE);
    }
    if all.is_empty() {
        desk.voice.say("no server is configured: write [servers.NAME]")?;
        return Ok(exit::DONE);
    }
    for (name, own, last) in &all {
        show((name, own, last.as_deref()), desk)?;
    }
    if kept.is_empty() {
        desk.voice.say("no gateway lives now: a server is started when a client of `bartizan mcp`, `serve` or `run` begins")?;
    }
    Ok(exit::DONE)
}

type Row<'k> = (String, Vec<&'k Kept>, Option<String>);

/// What a script reads: a row for each gateway that keeps the server, or one that says that none does.
fn rows((name, own, last): &Row<'_>) -> Vec<Value> {
    if own.is_empty() {
        return vec![json!({ "server": name, "state": NOBODYS, "last_down": last })];
    }
    own.iter().map(|kept| json!(kept)).collect()
}

fn show(
    (name, own, last): (&str, &[&Kept], Option<&str>),
    desk: &mut Desk<'_>,
) -> Result<(), Failure> {
    let name = display_line(name, 30);
    if own.is_empty() {
        let state = desk.voice.paint(Paint::Dim, &format!("{NOBODYS:<8}"));
        writeln!(desk.voice.out(), "{state}  {name}")?;
        if let Some(why) = last {
            let why = display_line(why, WHY);
            writeln!(
                desk.voice.out(),
                "          it was not there when it was last needed: {why}"
            )?;
        }
    }
    for kept in own {
        let paint = match kept.state.as_str() {
            "up" => Paint::Green,
            "down" => Paint::Red,
            "starting" => Paint::Yellow,
            _ => Paint::Dim,
        };
        let state = desk.voice.paint(paint, &format!("{:<8}", safe(&kept.state)));
        let (agent, session) = (display_line(&kept.agent, 20), display_line(&kept.session, 40));
        let since = format!("since {}", age(kept.since_ms));
        writeln!(
            desk.voice.out(),
            "{state}  {name:<20}  {since:<14}  for {agent}, session {session}, process {}",
            kept.pid
        )?;
        if let Some(why) = &kept.why {
            writeln!(desk.voice.out(), "          {}", display_line(why, WHY))?;
        }
        if let Some(at) = kept.again_ms {
            writeln!(desk.voice.out(), "          it is started again {}", left(at))?;
        }
    }
    Ok(())
}

/// The state of a server that no gateway keeps.
const NOBODYS: &str = "absent";
/// So many characters of why a server is down are shown.
const WHY: usize = 600;
