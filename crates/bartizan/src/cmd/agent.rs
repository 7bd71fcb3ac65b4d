//! Who may come in over the network? Bearer tokens: made here, shown once, listed, taken back.

use super::approvals::approver;
use super::{Desk, here, outside_a_box};
use crate::cli::{AgentCommand, TokenCommand, TokenCreateArgs, TokenIdArgs, TokenListArgs, exit};
use crate::clock::{age, left, now_ms};
use crate::config::{self, Purpose, units};
use crate::identity::bearer::Bearer;
use crate::machine::random;
use crate::report::{Failure, Paint, Problem};
use bartizan_scan::display_line;
use bartizan_store::{NewToken, Store, Token, TokenState, Tokens as _};
use serde_json::json;

/// `bartizan agent …`.
pub(super) fn run(command: &AgentCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("handling the tokens of agents")?;
    let AgentCommand::Token(command) = command;
    match command {
        TokenCommand::Create(args) => create(args, desk),
        TokenCommand::List(args) => list(args, desk),
        TokenCommand::Revoke(args) => revoke(args, desk),
    }
}

fn create(args: &TokenCreateArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let by = approver(desk)?;
    let config = config::load_own(&desk.places, &here()?, Purpose::Look)?;
    let role = config.role(Some(&args.role))?;
    let lives = units::duration(&args.expires).map_err(|why| {
        let problem = Problem::new(format!("`--expires {}`: {why}", args.expires));
        Failure::new(exit::USAGE, problem.hint("such as --expires 30d"))
    })?;
    let token = Bearer::mint(random()?);
    let store = Store::open(&desk.places.state)?;
    let issued = store.issue(NewToken {
        hash: token.hash(),
        name: args.name.clone().unwrap_or_else(|| role.to_string()),
        role: role.to_string(),
        tools: args.tools.clone(),
        lives,
        by,
    })?;
    // Durable, and signed, before anybody can use it.
    store.checkpoint()?;
    if args.json {
        let whole = json!({ "token": token.danger_text(), "about": shown(&issued) });
        writeln!(desk.voice.out(), "{whole}")?;
        return Ok(exit::DONE);
    }
    writeln!(desk.voice.out(), "{}", token.danger_text())?;
    desk.voice.say(&format!(
        "token {} for role {}, good until {}; this is the only time it is shown\n  hint: a client sends it as `Authorization: Bearer …`; take it back with: bartizan agent token revoke {}",
        short(&issued.id),
        issued.role,
        crate::clock::date(issued.expires_ms),
        short(&issued.id),
    ))?;
    Ok(exit::DONE)
}

fn list(args: &TokenListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut tokens = if desk.places.state.exists() {
        Store::open(&desk.places.state)?.tokens()?
    } else {
        Vec::new()
    };
    if !args.all {
        tokens.retain(|token| token.state() == TokenState::Good);
    }
    if args.json {
        let all: Vec<_> = tokens.iter().map(shown).collect();
        writeln!(desk.voice.out(), "{}", json!(all))?;
        return Ok(exit::DONE);
    }
    if tokens.is_empty() {
        desk.voice
            .say("no token is good now; make one: bartizan agent token create --role ROLE")?;
    }
    for token in &tokens {
        let (paint, word, when) = standing(token);
        let state = desk.voice.paint(paint, &format!("{word:<8}"));
        let narrowed = match token.tools.as_slice() {
            [] => String::new(),
            tools => format!("  only {}", display_line(&tools.join(", "), 100)),
        };
        let Token { id, role, name, .. } = token;
        let (role, name) = (display_line(role, 20), display_line(name, 30));
        let id = short(id);
        writeln!(desk.voice.out(), "{id}  {state}  {when:<14}  {role:<12}  {name}{narrowed}")?;
    }
    Ok(exit::DONE)
}

/// Whether a token is good, and since when it is not or for how long it is.
fn standing(token: &Token) -> (Paint, &'static str, String) {
    match (token.state(), token.revoked_ms) {
        (TokenState::Revoked, at) => (Paint::Red, "revoked", age(at.unwrap_or_default())),
        (TokenState::Good, _) => (Paint::Green, "good", format!("ends {}", left(token.expires_ms))),
        // By this clock it was not issued yet: somebody has set that back, and gains nothing by it.
        (TokenState::Expired, _) if token.issued_ms > now_ms() => {
            (Paint::Dim, "not yet", format!("begins {}", left(token.issued_ms)))
        }
        (TokenState::Expired, _) => (Paint::Dim, "expired", age(token.expires_ms)),
    }
}

fn revoke(args: &TokenIdArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let by = approver(desk)?;
    if !desk.places.state.exists() {
        let problem = Problem::new(format!("there is no token `{}`", args.id));
        let hint = format!("nothing was ever issued in {}", desk.places.state.display());
        return Err(Failure::new(exit::NO, problem.hint(hint)));
    }
    let store = Store::open(&desk.places.state)?;
    let token = store.revoke(&args.id, &by)?;
    store.checkpoint()?;
    desk.voice.say(&format!(
        "revoked {} ({}); whoever is in with it is out",
        short(&token.id),
        display_line(&token.name, 30)
    ))?;
    Ok(exit::DONE)
}

fn shown(token: &Token) -> serde_json::Value {
    let mut whole = json!(token);
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("state".to_owned(), json!(token.state()));
    }
    whole
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_whose_time_has_not_come_is_said_to_begin_and_not_to_end() {
        const HOUR_MS: u64 = 3_600_000;
        const HALF_MS: u64 = HOUR_MS / 2;
        let token = |issued_ms: u64, expires_ms: u64, revoked_ms: Option<u64>| {
            let (id, name, role, by) = Default::default();
            Token { id, name, role, by, tools: Vec::new(), issued_ms, expires_ms, revoked_ms }
        };
        let now = now_ms();
        for (token, word, when) in [
            (token(now - HOUR_MS, now + 4 * HOUR_MS + HALF_MS, None), "good", "ends in 4h"),
            (
                token(now + 4 * HOUR_MS + HALF_MS, now + 9 * HOUR_MS, None),
                "not yet",
                "begins in 4h",
            ),
            (token(now - 9 * HOUR_MS, now - 5 * HOUR_MS, None), "expired", "5h ago"),
            (
                token(now - 9 * HOUR_MS, now + 5 * HOUR_MS, Some(now - 3 * HOUR_MS)),
                "revoked",
                "3h ago",
            ),
        ] {
            let (_, said, at) = standing(&token);
            assert_eq!((said, at.as_str()), (word, when));
        }
    }
}
