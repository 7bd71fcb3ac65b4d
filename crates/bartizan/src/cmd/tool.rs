//! Which tools are declared, and what does one do? A person tries it as an agent of a role would call it.

use super::run::ground::{Ground, Newcomer, Session};
use super::{Desk, here, outside_a_box, run as runs, secret};
use crate::cli::{ToolCallArgs, ToolCommand, ToolListArgs, exit};
use crate::config::{self, Config, Purpose, Tool};
use crate::doors::calls::Whose;
use crate::doors::tools::{Answer, Boxes, ToolsDoor};
use crate::report::{Failure, Problem, did_you_mean, safe};
use bartizan_egress::{Clients, Courier, Resolver};
use bartizan_gate::call::Door;
use bartizan_gate::refusal::Refusal;
use bartizan_mcp::declare::Act;
use bartizan_scan::{ScanKey, display_line};
use bartizan_store::{Desk as _, QuestionState, Store};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// `bartizan tool …`.
pub(super) fn run(command: &ToolCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    match command {
        ToolCommand::List(args) => list(args, desk),
        ToolCommand::Show(args) => show(&args.name, desk),
        ToolCommand::Call(args) => {
            outside_a_box("trying a declared tool")?;
            call(args, desk)
        }
    }
}

fn list(args: &ToolListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = config::load(&desk.places, &here()?, Purpose::Look)?;
    if args.json {
        let rows: Vec<Value> = config.tools.values().map(described).collect();
        writeln!(desk.voice.out(), "{}", Value::Array(rows))?;
        return Ok(exit::DONE);
    }
    if config.tools.is_empty() {
        desk.voice.say("no tool is declared; docs/tools.md says how")?;
    }
    for (name, tool) in &config.tools {
        let (effect, does) = (tool.declared.effect().as_str(), does(tool));
        let told = display_line(tool.declared.description(), 60);
        writeln!(desk.voice.out(), "{name:<24} {effect:<13} {}  {told}", safe(&does))?;
    }
    Ok(exit::DONE)
}

fn show(name: &str, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = config::load(&desk.places, &here()?, Purpose::Look)?;
    let tool = known(&config, name)?;
    let text = serde_json::to_string_pretty(&described(tool)).map_err(std::io::Error::from)?;
    for line in text.lines() {
        writeln!(desk.voice.out(), "{}", safe(line))?;
    }
    Ok(exit::DONE)
}

fn described(tool: &Tool) -> Value {
    json!({
        "name": tool.declared.name(),
        "description": tool.declared.description(),
        "effect": tool.declared.effect(),
        "does": does(tool),
        "secret": tool.declared.secret(),
        "input": tool.declared.schema(),
        "result": tool.declared.projection().fields().collect::<Vec<_>>(),
    })
}

fn does(tool: &Tool) -> String {
    match tool.declared.act() {
        Act::Command(command) => command.program(),
        Act::Http(http) => format!("{} {}", http.method(), http.target()),
    }
}

fn known<'a>(config: &'a Config, name: &str) -> Result<&'a Tool, Failure> {
    config.tools.get(name).ok_or_else(|| {
        let problem = Problem::new(format!("no tool `{}` is declared", safe(name)));
        let hint = match did_you_mean(name, config.tools.keys().map(String::as_str)) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "see those that are: bartizan tool list".to_owned(),
        };
        Failure::new(exit::NO, problem.hint(hint))
    })
}

fn arguments(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let problem = Problem::new(format!("the arguments are not JSON: {error}"));
        Failure::new(
            exit::USAGE,
            problem.hint("write them in single quotes: --json '{\"id\":\"cus_123\"}'"),
        )
    })
}

fn call(args: &ToolCallArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let arguments = arguments(&args.json)?;
    let around = runs::surroundings(&desk.places)?;
    let config = config::load(&desk.places, &around.workspace, Purpose::Run)?;
    for warning in &config.warnings {
        desk.voice.warn(warning)?;
    }
    let role = config.role(args.agent.as_deref())?;
    known(&config, &args.name)?;
    let runtime = crate::machine::runtime()?;
    let stands = (desk.places.clone(), around, config);
    let ground = Ground::lay(stands, role, &runtime, desk.voice)?;
    let doubted = ground.store.doubt_the_dead()?;
    if doubted > 0 {
        desk.voice.say(&format!(
            "{doubted} irreversible acts of killed processes are in doubt: bartizan effects list"
        ))?;
    }
    let argv = ["bartizan".to_owned(), "tool".to_owned(), "call".to_owned(), args.name.clone()];
    let who = Newcomer::plain(Path::new("/bin/sh"), &argv, Map::new());
    let opened = ground.open(who, (Vec::new(), false), desk.voice)?;
    let Session { gate, caller, keep, allowances, .. } = opened;
    let Ground { places, around, config, role, store, vault, .. } = ground;
    let tools = config.tools.clone();
    let key = ScanKey::new(crate::machine::random()?);
    let courier = Courier::new(vault.clone(), Resolver::system(), Clients::system(), key);
    let boxes = Boxes { around, config, places, role, vault: vault.clone(), allowances };
    let stands = (courier, boxes, store.clone());
    let door = Arc::new(ToolsDoor::new(Arc::clone(&gate), caller.clone(), tools, stands));
    let answer = ask(&runtime, &door, args, &arguments, (&store, desk))?;
    let code = tell(desk, &answer)?;
    drop(std::fs::remove_dir(keep));
    runtime.block_on(secret::take_back(&vault, desk.voice))?;
    gate.pipeline()
        .dismiss(&caller, Some(i32::from(code)), json!({}))
        .map_err(|refused| runs::state_failure(&refused.hint()))?;
    Ok(code)
}

/// Calls once, and again when a person has answered.
fn ask(
    runtime: &tokio::runtime::Runtime,
    door: &Arc<ToolsDoor>,
    args: &ToolCallArgs,
    arguments: &Value,
    (store, desk): (&Store, &mut Desk<'_>),
) -> Result<Result<Answer, Refusal>, Failure> {
    loop {
        let answer = runtime.block_on(door.call(
            Door::Tool,
            &Whose::default(),
            (&args.name, arguments.clone()),
        ));
        let Err(Refusal::ApprovalRequired { question, .. }) = &answer else { return Ok(answer) };
        if args.no_wait {
            return Ok(answer);
        }
        desk.voice.say(&format!("waiting for a person: bartizan approvals approve {question}"))?;
        if !answered(store, question)? {
            return Ok(answer);
        }
    }
}

/// Waits until people have answered, or the question has expired.
fn answered(store: &Store, question: &str) -> Result<bool, Failure> {
    loop {
        match store.question(question)?.state {
            QuestionState::Pending => std::thread::sleep(PATIENCE),
            QuestionState::Approved | QuestionState::Denied => return Ok(true),
            QuestionState::Expired | QuestionState::Used => return Ok(false),
        }
    }
}

fn tell(desk: &mut Desk<'_>, answer: &Result<Answer, Refusal>) -> Result<u8, Failure> {
    match answer {
        Ok(Answer { value, succeeded }) => {
            writeln!(desk.voice.out(), "{value}")?;
            Ok(if *succeeded { exit::DONE } else { exit::NO })
        }
        Err(refused) => {
            let what = format!("{refused} [{}]", refused.code());
            let asked = matches!(refused, Refusal::ApprovalRequired { .. });
            let hint = if asked { UNHEARD.to_owned() } else { refused.hint() };
            let code = if asked { exit::ASK } else { exit::NO };
            desk.voice.fail(&Failure::new(code, Problem::new(what).hint(hint)))?;
            Ok(code)
        }
    }
}

/// A call is a session of its own, and its question ends with it.
const UNHEARD: &str = "the question ended with this call; another asks anew, and waits for the answer without --no-wait";
/// Between two looks at a question.
const PATIENCE: Duration = Duration::from_millis(200);
