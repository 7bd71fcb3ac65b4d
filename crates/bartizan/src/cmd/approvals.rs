//! What do agents ask for, and what does a person say? The call is shown exactly as it would be made.

mod origins;

use super::clock::{age, left};
use super::{Desk, here, outside_a_box};
use crate::cli::{
    AnswerArgs, ApprovalsCommand, ApprovalsListArgs, ApprovalsShowArgs, Endorse, exit,
};
use crate::config::{self, Purpose};
use crate::report::{Failure, Paint, Problem, safe};
use bartizan_scan::display_line;
use bartizan_store::{Answer, Desk as _, Question, QuestionFilter, QuestionState, Store, Verdict};
use serde_json::Value;
use std::fs;
use std::io;

/// `bartizan approvals …`.
pub(super) fn run(command: &ApprovalsCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or answering approvals")?;
    match command {
        ApprovalsCommand::List(args) => list(args, desk),
        ApprovalsCommand::Show(args) => show(args, desk),
        ApprovalsCommand::Approve(args) => {
            answer(&args.answer, Verdict::Approve, args.endorse, desk)
        }
        ApprovalsCommand::Deny(args) => answer(args, Verdict::Deny, None, desk),
    }
}

fn list(args: &ApprovalsListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut questions = match open(desk)? {
        Some(store) => store.questions(&QuestionFilter::default())?,
        None => Vec::new(),
    };
    if !args.all {
        questions.retain(|question| question.state == QuestionState::Pending);
    }
    if args.json {
        return json(desk, &questions);
    }
    if questions.is_empty() {
        desk.voice.say("nothing waits for an answer")?;
    }
    for question in &questions {
        let state = paint_state(desk, question.state);
        let when = match question.state {
            QuestionState::Pending | QuestionState::Approved => left(question.expires_ms),
            QuestionState::Denied | QuestionState::Expired | QuestionState::Used => {
                age(question.asked_ms)
            }
        };
        let Question { id, agent, tool, .. } = question;
        let (agent, what) =
            (display_line(agent, 30), display_line(&format!("{tool} {}", brief(question)), 100));
        let votes = format!("{}/{}", question.approvers().len(), question.quorum);
        writeln!(
            desk.voice.out(),
            "{}  {state}  {votes}  {when:<12}  {agent:<12}  {what}",
            short(id)
        )?;
    }
    Ok(exit::DONE)
}

fn show(args: &ApprovalsShowArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let store = open_or_nothing(desk, &args.id)?;
    let question = store.question(&args.id)?;
    if args.json {
        return json(desk, &question);
    }
    print(desk, &question)?;
    if question.state == QuestionState::Pending {
        let id = short(&question.id);
        desk.voice.say(&format!(
            "  hint: bartizan approvals approve {id}, or: bartizan approvals deny {id} --reason '…'"
        ))?;
        if origins::keys(&question, Endorse::Value).is_ok() {
            desk.voice.say(
                "  hint: add `--endorse value` (or `source`) to be asked no more about it in this session",
            )?;
        }
    }
    Ok(exit::DONE)
}

fn answer(
    args: &AnswerArgs,
    verdict: Verdict,
    endorse: Option<Endorse>,
    desk: &mut Desk<'_>,
) -> Result<u8, Failure> {
    let approver = approver(desk)?;
    let store = open_or_nothing(desk, &args.id)?;
    let question = store.question(&args.id)?;
    if !args.json {
        print(desk, &question)?;
    }
    let vouched = endorse.map(|endorse| origins::keys(&question, endorse)).transpose()?;
    let act = match (verdict, endorse) {
        (Verdict::Approve, None) => "approve exactly this call, once",
        (Verdict::Approve, Some(Endorse::Value)) => {
            "approve exactly this call, once, and vouch for its values in this session"
        }
        (Verdict::Approve, Some(Endorse::Source)) => {
            "approve exactly this call, once, and vouch for every value of the same text in this session"
        }
        (Verdict::Deny, _) => "deny this call",
    };
    if !args.yes && !args.json && !desk.confirms(&format!("{act}, as {approver}?"))? {
        desk.voice.say("nothing was answered")?;
        return Ok(exit::NO);
    }
    let reason = args.reason.clone().unwrap_or_default();
    // By the full id: what was shown is what is answered.
    let question =
        store.answer(&question.id, Answer { approver: approver.clone(), verdict, reason })?;
    if let Some(keys) = vouched {
        store.endorse(&question.id, &approver, &keys)?;
    }
    // The answer is durable by now; a signed checkpoint over it too, before the terminal says so.
    store.checkpoint()?;
    if args.json {
        return json(desk, &question);
    }
    let given = question.approvers().len();
    let outcome = match question.state {
        QuestionState::Approved => "approved: the agent may make this call once".to_owned(),
        QuestionState::Denied => "denied".to_owned(),
        _ => format!("{given} of {} approvals are given", question.quorum),
    };
    desk.voice.say(&format!("{outcome} (as {approver})"))?;
    Ok(exit::DONE)
}

/// Everything that an approval would be bound to, nothing shortened out of sight: what does not fit
/// says how long it is.
fn print(desk: &mut Desk<'_>, question: &Question) -> Result<(), Failure> {
    let state = paint_state(desk, question.state);
    let head = [
        ("question", question.id.clone()),
        ("session", question.session.clone()),
        ("agent", question.agent.clone()),
        ("tool", question.tool.clone()),
        ("call", format!("sha256:{}", question.digest)),
        ("policy", format!("sha256:{}", question.policy)),
        ("approvals", format!("{} of {}", question.approvers().len(), question.quorum)),
        ("asked", age(question.asked_ms)),
        ("expires", left(question.expires_ms)),
    ];
    writeln!(desk.voice.out(), "{:<10} {state}", "state")?;
    for (name, value) in head {
        writeln!(desk.voice.out(), "{name:<10} {}", safe(&value))?;
    }
    if let Value::Object(shown) = &question.shown {
        for (name, value) in shown.iter().filter(|(name, value)| {
            !value.is_null() && !matches!(name.as_str(), "agent" | "tool" | "arguments" | "origins")
        }) {
            writeln!(desk.voice.out(), "{:<10} {}", display_line(name, 20), value_line(value))?;
        }
        for line in origins::lines(shown.get("origins").unwrap_or(&Value::Null)) {
            writeln!(desk.voice.out(), "{:<10} {line}", "origin")?;
        }
        if let Some(arguments) = shown.get("arguments") {
            print_arguments(desk, arguments)?;
        }
    }
    for given in &question.answers {
        let reason = if given.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", display_line(&given.reason, 400))
        };
        let approver = display_line(&given.approver, 128);
        writeln!(
            desk.voice.out(),
            "{:<10} {approver} {}{reason}",
            "answer",
            age(given.answered_ms)
        )?;
    }
    Ok(())
}

/// Each argument on a line of its own; a text keeps its lines, each behind a bar, so that no line of
/// it can pass for one of ours.
fn print_arguments(desk: &mut Desk<'_>, arguments: &Value) -> io::Result<()> {
    writeln!(desk.voice.out(), "arguments")?;
    let Value::Object(arguments) = arguments else {
        return writeln!(desk.voice.out(), "  {}", value_line(arguments));
    };
    for (name, value) in arguments {
        let name = display_line(name, 60);
        match value {
            Value::String(text) if text.contains('\n') => {
                writeln!(desk.voice.out(), "  {name}:")?;
                for line in text.lines() {
                    writeln!(desk.voice.out(), "    | {}", safe(line))?;
                }
            }
            _ => writeln!(desk.voice.out(), "  {name}: {}", value_line(value))?,
        }
    }
    Ok(())
}

fn value_line(value: &Value) -> String {
    match value {
        Value::String(text) => safe(text),
        _ => safe(&value.to_string()),
    }
}

/// The target, or the arguments, for a table.
fn brief(question: &Question) -> String {
    let text = |key: &str| question.shown.get(key).and_then(Value::as_str).map(str::to_owned);
    let arguments = || question.shown.get("arguments").map(Value::to_string);
    text("target").or_else(|| text("host")).or_else(arguments).unwrap_or_default()
}

fn paint_state(desk: &Desk<'_>, state: QuestionState) -> String {
    let (paint, word) = match state {
        QuestionState::Approved => (Paint::Green, "approved"),
        QuestionState::Denied => (Paint::Red, "denied"),
        QuestionState::Expired => (Paint::Dim, "expired"),
        QuestionState::Pending => (Paint::Yellow, "pending"),
        QuestionState::Used => (Paint::Dim, "used"),
    };
    desk.voice.paint(paint, &format!("{word:<8}"))
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn json(desk: &mut Desk<'_>, value: &impl serde::Serialize) -> Result<u8, Failure> {
    let text = serde_json::to_string(value).map_err(io::Error::from)?;
    writeln!(desk.voice.out(), "{text}")?;
    Ok(exit::DONE)
}

/// The store, unless nothing was ever kept in it: looking does not make one.
fn open(desk: &Desk<'_>) -> Result<Option<Store>, Failure> {
    if !desk.places.state.exists() {
        return Ok(None);
    }
    Ok(Some(Store::open(&desk.places.state)?))
}

fn open_or_nothing(desk: &Desk<'_>, id: &str) -> Result<Store, Failure> {
    open(desk)?.ok_or_else(|| {
        let problem = Problem::new(format!("there is no question `{id}`"));
        Failure::new(
            exit::NO,
            problem.hint(format!(
                "nothing was ever asked in {}; is --state right?",
                desk.places.state.display()
            )),
        )
    })
}

/// Who answers: the user that the kernel says runs this process, if the configuration lets them.
pub(super) fn approver(desk: &Desk<'_>) -> Result<String, Failure> {
    let name = format!("local:{}", user_name(rustix::process::getuid().as_raw()));
    // A project has no say in who answers, so its state does not matter here.
    let config = config::load_own(&desk.places, &here()?, Purpose::Look)?;
    if config.approvers.is_empty() || config.approvers.iter().any(|known| known.as_str() == name) {
        return Ok(name);
    }
    let problem = Problem::new(format!("`{name}` is not an approver"));
    Err(Failure::new(exit::NO, problem.hint("the configuration names them under [approvers]")))
}

/// The name that /etc/passwd gives a user; the number itself when it gives none. The environment is
/// not asked: it says what it was told to say.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}
