//! What do the MCP servers offer (tools, prompts, resources), what changed about it, and what does a person accept?

mod known;
mod now;

pub(crate) use known::{catalogue, known, take_down};

use super::{Desk, approvals, here, outside_a_box};
use crate::cli::{ServersAcceptArgs, ServersArgs, ServersCommand, ServersSeeArgs, exit};
use crate::config::{self, Purpose};
use crate::report::{Failure, Paint, Problem, did_you_mean, safe};
use bartizan_gate::name::ServerName;
use bartizan_mcp::catalog::{Change, Judged, Kind, Sight, Standing};
use bartizan_scan::display_line;
use bartizan_store::{Digest, Store};
use known::{kept, record};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};

/// `bartizan servers …`.
pub(super) fn run(command: &ServersCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or accepting the tools of servers")?;
    match command {
        ServersCommand::List(args) => now::list(args, desk),
        ServersCommand::Tools(args) => tools(args, desk),
        ServersCommand::Diff(args) => diff(args, desk),
        ServersCommand::Accept(args) => accept(args, desk),
        ServersCommand::Forget(args) => forget(args, desk),
        ServersCommand::See(args) => see(args, desk),
    }
}

fn tools(args: &ServersArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let Some(store) = open(desk)? else { return nothing(args.json, desk) };
    let servers = match &args.server {
        Some(server) => vec![server.clone()],
        None => store.pinned_servers()?,
    };
    let mut all = Vec::new();
    for server in &servers {
        down(&store, server, desk)?;
        let known = known(&store, server)?;
        all.push((server.clone(), known.judged(&store, server)?, known.gone()));
    }
    if args.json {
        let shown: Vec<Value> = all
            .iter()
            .flat_map(|(server, judged, _)| judged.iter().map(move |item| row(server, item)))
            .collect();
        writeln!(desk.voice.out(), "{}", Value::from(shown))?;
        return Ok(exit::DONE);
    }
    if all.is_empty() {
        return nothing(false, desk);
    }
    for (server, judged, gone) in all {
        for item in judged {
            let (paint, word) = word(&item);
            let state = desk.voice.paint(paint, &format!("{word:<8}"));
            let name = display_line(&format!("{server}/{}", item.name), 80);
            writeln!(desk.voice.out(), "{state}  {name}")?;
            for reason in &item.reasons {
                writeln!(desk.voice.out(), "          {}", display_line(&reason.to_string(), 200))?;
            }
        }
        for name in gone {
            let name = display_line(&format!("{server}/{name}"), 80);
            writeln!(desk.voice.out(), "{:<8}  {name}", "gone")?;
        }
    }
    Ok(exit::DONE)
}

/// What a script reads of one item.
fn row(server: &str, item: &Judged) -> Value {
    json!({
        "server": server,
        "name": item.name,
        "digest": item.digest.to_string(),
        "state": word(item).1,
        "reasons": item.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn diff(args: &ServersArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let Some((store, server)) = named(args.server.as_deref(), desk)? else {
        return nothing(args.json, desk);
    };
    let known = known(&store, &server)?;
    if known.seen.is_empty() && known.accepted.is_empty() {
        return Err(unseen(&store, &server, desk)?);
    }
    down(&store, &server, desk)?;
    let judged = known.judged(&store, &server)?;
    let waiting: Vec<&Judged> =
        judged.iter().filter(|item| item.standing != Standing::Accepted).collect();
    for item in &waiting {
        print(item, known.seen.get(&item.name), desk)?;
    }
    if waiting.is_empty() {
        desk.voice.say(&format!("everything of `{}` is as it was accepted", safe(&server)))?;
        return Ok(exit::DONE);
    }
    desk.voice
        .say(&format!("  hint: bartizan servers accept {} NAME…, or --all", safe(&server)))?;
    Ok(exit::ASK)
}

/// Everything that would be accepted, nothing shortened out of sight.
fn print(item: &Judged, seen: Option<&Value>, desk: &mut Desk<'_>) -> Result<(), Failure> {
    let (paint, word) = word(item);
    let head = desk.voice.paint(paint, word);
    writeln!(desk.voice.out(), "{head} {} (sha256:{})", safe(&item.name), item.digest)?;
    for reason in &item.reasons {
        writeln!(desk.voice.out(), "  ! {}", safe(&reason.to_string()))?;
    }
    match (&item.standing, seen) {
        (Standing::Changed(changes), _) => {
            for Change { pointer, before, after } in changes {
                writeln!(desk.voice.out(), "  {}", safe(pointer))?;
                lines("-", before.as_ref(), desk)?;
                lines("+", after.as_ref(), desk)?;
            }
        }
        (_, seen) => lines("+", seen, desk)?,
    }
    Ok(())
}

/// Each line behind a mark, so that no line of a server's can pass for one of ours.
fn lines(mark: &str, value: Option<&Value>, desk: &mut Desk<'_>) -> io::Result<()> {
    let text = match value {
        None => return Ok(()),
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_json::to_string_pretty(value).unwrap_or_default(),
    };
    for line in text.lines() {
        writeln!(desk.voice.out(), "    {mark} {}", safe(line))?;
    }
    Ok(())
}

fn accept(args: &ServersAcceptArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let approver = approvals::approver(desk)?;
    let Some((store, server)) = named(Some(&args.server), desk)? else {
        return nothing(false, desk);
    };
    let known = known(&store, &server)?;
    if known.seen.is_empty() && known.accepted.is_empty() {
        return Err(unseen(&store, &server, desk)?);
    }
    down(&store, &server, desk)?;
    let judged = known.judged(&store, &server)?;
    let chosen = choose(args, &judged)?;
    if chosen.is_empty() {
        desk.voice.say("nothing waits to be accepted")?;
        return Ok(exit::DONE);
    }
    for item in &chosen {
        print(item, known.seen.get(&item.name), desk)?;
    }
    let question = format!("accept {} as shown, as {approver}?", count(chosen.len()));
    if !args.yes && !desk.confirms(&question)? {
        desk.voice.say("nothing was accepted")?;
        return Ok(exit::NO);
    }
    // By digest: what was shown is what is accepted.
    let items: Vec<(String, Digest)> =
        chosen.iter().map(|item| (item.name.clone(), kept(item.digest))).collect();
    let accepted = store.accept_items(&server, &items, &approver)?;
    store.checkpoint()?;
    desk.voice.say(&format!("{} accepted (as {approver})", count(accepted)))?;
    if accepted < items.len() {
        let problem = Problem::new("some changed while they were looked at, and are still held");
        return Err(Failure::new(
            exit::NO,
            problem.hint(format!("look again: bartizan servers diff {server}")),
        ));
    }
    Ok(exit::DONE)
}

/// Whether a server is, or may be, one of the configuration: of one that was taken away nobody wants to know why it was not
/// there, and it is not started again.
fn is_configured(server: &str, desk: &Desk<'_>) -> bool {
    let config = here().and_then(|here| config::load(&desk.places, &here, Purpose::Look));
    // What is wrong with the configuration is for others to say.
    config.map_or(true, |config| config.servers.keys().any(|known| known.as_str() == server))
}

/// Why a configured server was not there when it was last needed.
fn why_down(store: &Store, server: &str, desk: &Desk<'_>) -> Result<Option<String>, Failure> {
    Ok(store.why_down(server)?.filter(|_| is_configured(server, desk)))
}

/// Nothing of the server was ever seen: it may not have started, and then that is why.
fn unseen(store: &Store, server: &str, desk: &Desk<'_>) -> Result<Failure, Failure> {
    let name = safe(server);
    let problem = match why_down(store, server, desk)? {
        Some(why) => Problem::new(format!("`{name}` did not start, so nothing of it was seen: {}", safe(&why)))
            .hint("mend that, and let a client of `bartizan mcp` or `bartizan serve` begin; it is tried again by itself while one is there"),
        None => Problem::new(format!("nothing of `{name}` was ever seen"))
            .hint("it is started, and seen, when a client of `bartizan mcp` or `bartizan serve` begins"),
    };
    Ok(Failure::new(exit::NO, problem))
}

/// Says why a server was not there, which explains what is missing of it. Nobody may have needed it since.
fn down(store: &Store, server: &str, desk: &mut Desk<'_>) -> Result<(), Failure> {
    if let Some(why) = why_down(store, server, desk)? {
        desk.voice.say(&format!(
            "`{}` was not there when it was last needed: {}",
            safe(server),
            safe(&why)
        ))?;
    }
    Ok(())
}

/// The items that were named, or all that wait.
fn choose<'j>(args: &ServersAcceptArgs, judged: &'j [Judged]) -> Result<Vec<&'j Judged>, Failure> {
    let waits = |item: &&Judged| item.standing != Standing::Accepted;
    if args.all {
        return Ok(judged.iter().filter(waits).collect());
    }
    let mut chosen = Vec::new();
    for name in &args.tools {
        let Some(item) = judged.iter().find(|item| item.name == *name) else {
            let problem = Problem::new(format!("`{}` lists no `{name}`", args.server));
            let likely = did_you_mean(name, judged.iter().map(|item| item.name.as_str()));
            let hint = likely.map_or_else(
                || format!("see what it lists: bartizan servers tools {}", args.server),
                |likely| format!("did you mean `{likely}`?"),
            );
            return Err(Failure::new(exit::NO, problem.hint(hint)));
        };
        chosen.extend(Some(item).filter(waits));
    }
    if args.tools.is_empty() {
        let problem = Problem::new("no tool is named");
        return Err(Failure::new(exit::USAGE, problem.hint("name tools, or give --all")));
    }
    Ok(chosen)
}

fn forget(args: &ServersAcceptArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let approver = approvals::approver(desk)?;
    let Some((store, server)) = named(Some(&args.server), desk)? else {
        return nothing(false, desk);
    };
    let accepted = known(&store, &server)?.accepted;
    let names: Vec<String> =
        if args.all { accepted.into_keys().collect() } else { args.tools.clone() };
    store.forget_items(&server, &names, &approver)?;
    desk.voice.say(&format!("{} no longer accepted", count(names.len())))?;
    Ok(exit::DONE)
}

/// Takes down lists that somebody saved, so that they can be looked at before the server is ever used.
fn see(args: &ServersSeeArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let server = server_name(&args.server)?;
    let text = read(&args.list)?;
    let unread = |what: &str| {
        let problem = Problem::new(format!("`{}` {what}", args.list.display()));
        Failure::new(exit::USAGE, problem.hint("save the result of tools/list there"))
    };
    let said: Value =
        serde_json::from_str(&text).map_err(|error| unread(&format!("is not JSON: {error}")))?;
    let said = said.get("result").unwrap_or(&said);
    let list = |kind: Kind| Some((kind, said.get(kind.list())?.as_array()?));
    let mut lists: Vec<(Kind, &Vec<Value>)> = Kind::ALL.into_iter().filter_map(list).collect();
    lists.extend(said.as_array().map(|tools| (Kind::Tool, tools)));
    if lists.is_empty() {
        return Err(unread("holds no list of tools, prompts or resources"));
    }
    let store = Store::open(&desk.places.state)?;
    let mut seen = 0;
    for (kind, entries) in lists {
        let instructions = said.get("instructions").filter(|_| kind == Kind::Tool);
        let sight = Sight::of(kind, entries)
            .and_then(|sight| {
                sight.and_said(&[("instructions", instructions.cloned().unwrap_or_default())])
            })
            .map_err(|error| Failure::new(exit::NO, Problem::new(error.to_string())))?;
        record(&store, &server, kind, &sight)?;
        seen += entries.len();
    }
    desk.voice.say(&format!("{} seen; look: bartizan servers diff {server}", count(seen)))?;
    Ok(exit::DONE)
}

fn read(path: &std::path::Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LIST_MAX).read_to_string(&mut text));
    read.map_err(|error| Failure::file("read", path, &error))?;
    Ok(text)
}

fn word(item: &Judged) -> (Paint, &'static str) {
    match (&item.standing, item.reasons.is_empty()) {
        (Standing::Accepted, _) => (Paint::Green, "accepted"),
        (Standing::Changed(_), _) => (Paint::Red, "changed"),
        (Standing::New, true) => (Paint::Yellow, "new"),
        (Standing::New, false) => (Paint::Red, "held"),
    }
}

fn named(server: Option<&str>, desk: &Desk<'_>) -> Result<Option<(Store, String)>, Failure> {
    let server = server.ok_or_else(|| {
        let problem = Problem::new("no server is named");
        Failure::new(exit::USAGE, problem.hint("see which are known: bartizan servers tools"))
    })?;
    let server = server_name(server)?.to_string();
    Ok(open(desk)?.map(|store| (store, server)))
}

fn server_name(text: &str) -> Result<ServerName, Failure> {
    ServerName::parse(text)
        .map_err(|error| Failure::new(exit::USAGE, Problem::new(error.to_string())))
}

fn nothing(json: bool, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if json {
        writeln!(desk.voice.out(), "[]")?;
    } else {
        desk.voice.say("nothing of any server was ever seen")?;
    }
    Ok(exit::DONE)
}

fn count(number: usize) -> String {
    if number == 1 { "1 item".to_owned() } else { format!("{number} items") }
}

/// The store, unless nothing was ever kept in it: looking does not make one.
pub(super) fn open(desk: &Desk<'_>) -> Result<Option<Store>, Failure> {
    if !desk.places.state.exists() {
        return Ok(None);
    }
    Ok(Some(Store::open(&desk.places.state)?))
}

/// The longest list that is read, in bytes.
const LIST_MAX: u64 = 16 << 20;
