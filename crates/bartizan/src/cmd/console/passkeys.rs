//! `bartizan console passkeys`, `revoke`: who has which passkey, and which is good no more?

use crate::cli::{PasskeyIdArgs, PasskeyListArgs, exit};
use crate::clock::{age, date};
use crate::cmd::{Desk, approvals};
use crate::report::{Failure, Paint, Problem};
use bartizan_scan::display_line;
use bartizan_store::{Passkey, Store};
use serde_json::json;

/// Lists them, the newest first.
pub(super) fn list(args: &PasskeyListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut all = if desk.places.state.exists() {
        Store::open(&desk.places.state)?.passkeys(None)?
    } else {
        Vec::new()
    };
    if !args.all {
        all.retain(|passkey| passkey.revoked_ms.is_none());
    }
    if args.json {
        writeln!(desk.voice.out(), "{}", json!(all))?;
        return Ok(exit::DONE);
    }
    if all.is_empty() {
        desk.voice.say(
            "nobody has a passkey; who is in the console makes one there, under their own name",
        )?;
    }
    for passkey in &all {
        let (paint, word) = match passkey.revoked_ms {
            Some(_) => (Paint::Red, "revoked"),
            None => (Paint::Green, "good"),
        };
        let state = desk.voice.paint(paint, &format!("{word:<8}"));
        let used = passkey
            .used_ms
            .map_or_else(|| "never used".to_owned(), |at| format!("used {}", age(at)));
        let Passkey { id, person, host, name, registered_ms, .. } = passkey;
        let (person, host) = (display_line(person, 30), display_line(host, 40));
        let (name, made) = (display_line(name, 30), date(*registered_ms));
        writeln!(
            desk.voice.out(),
            "{id}  {state}  {person:<14}  {host}  made {made}  {used}  {name}"
        )?;
    }
    Ok(exit::DONE)
}

/// Makes one worthless: nobody comes in by it, signs with it, or stays in who came in by it.
pub(super) fn revoke(args: &PasskeyIdArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let by = approvals::approver(desk)?;
    if !desk.places.state.exists() {
        let problem = Problem::new(format!("there is no passkey `{}`", args.id));
        let hint = format!("nobody has made one in {}", desk.places.state.display());
        return Err(Failure::new(exit::NO, problem.hint(hint)));
    }
    let store = Store::open(&desk.places.state)?;
    let passkey = store.revoke_passkey(&args.id, &by)?;
    store.checkpoint()?;
    let (person, name) = (display_line(&passkey.person, 30), display_line(&passkey.name, 30));
    desk.voice
        .say(&format!("revoked {} of {person} ({name}); whoever is in by it is out", passkey.id))?;
    Ok(exit::DONE)
}
