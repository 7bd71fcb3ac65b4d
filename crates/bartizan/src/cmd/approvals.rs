//! What do agents ask for, and what does a person say? The call is shown exactly as it would be made.

mod origins;
mod watch;

use super::clock::{age, date, left};
use super::{Desk, here, outside_a_box};
use crate::cli::{
    AnswerArgs, ApprovalsCommand, ApprovalsListArgs, ApprovalsShowArgs, Endorse, exit,
};
use crate::config::{self, Purpose, units};
use crate::report::{Failure, Paint, Problem, safe};
use bartizan_scan::display_line;
use bartizan_store::{Answer, Desk as _, Question, QuestionFilter, QuestionState, Store, Verdict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

/// `bartizan approvals …`.
pub(super) fn run(command: &ApprovalsCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or answering approvals")?;
    match command {
        ApprovalsCommand::List(args) => list(args, desk),
        ApprovalsCommand::Show(args) => show(args, desk),
        ApprovalsCommand::Approve(args) => {
            let life = args.life.as_deref().map(life).transpose()?;
            answer(
                &args.answer,
                &Say { verdict: Verdict::Approve, endorse: args.endorse, life },
                desk,
            )
        }
        ApprovalsCommand::Deny(args) => {
            answer(args, &Say { verdict: Verdict::Deny, endorse: None, life: None }, desk)
        }
        ApprovalsCommand::Watch(args) => watch::run(args, desk),
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
    fairly(&mut questions);
    for question in &questions {
        line(desk, question)?;
    }
    Ok(exit::DONE)
}

/// One question on one line.
fn line(desk: &mut Desk<'_>, question: &Question) -> io::Result<()> {
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
    writeln!(desk.voice.out(), "{}  {state}  {votes}  {when:<12}  {agent:<12}  {what}", short(id))
}

/// An agent that asks a great deal stands behind those that ask little, so that its questions bury nobody's; in one
/// session the irreversible comes first, and the older before the newer.
fn fairly(questions: &mut [Question]) {
    let mut many: BTreeMap<String, usize> = BTreeMap::new();
    for question in questions.iter().filter(|one| one.state == QuestionState::Pending) {
        *many.entry(question.session.clone()).or_default() += 1;
    }
    questions.sort_by_key(|one| {
        let undone = one.shown.get("effect").and_then(Value::as_str) != Some("irreversible");
        let asks = many.get(&one.session).copied().unwrap_or(0);
        (one.state != QuestionState::Pending, asks, one.session.clone(), undone, one.asked_ms)
    });
}

/// What a person has to say to a question.
struct Say {
    verdict: Verdict,
    endorse: Option<Endorse>,
    /// For how long, when not for one call.
    life: Option<Duration>,
}

impl Say {
    fn in_words(&self) -> String {
        let act = match (self.verdict, self.life) {
            (Verdict::Deny, _) => return "deny this call".to_owned(),
            (Verdict::Approve, None) => "approve exactly this call, once".to_owned(),
            (Verdict::Approve, Some(life)) => {
                let minutes = life.as_secs().div_ceil(60);
                format!(
                    "approve exactly this call in this session, as often as it is made within {minutes} min"
                )
            }
        };
        match self.endorse {
            None => act,
            Some(Endorse::Value) => format!("{act}, and vouch for its values in this session"),
            Some(Endorse::Source) => {
                format!("{act}, and vouch for every value of the same text in this session")
            }
        }
    }
}

fn life(text: &str) -> Result<Duration, Failure> {
    units::duration(text).map_err(|why| {
        let problem = Problem::new(format!("`{text}` is not a time: {why}"));
        Failure::new(exit::USAGE, problem)
    })
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

fn answer(args: &AnswerArgs, say: &Say, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let approver = approver(desk)?;
    let store = open_or_nothing(desk, &args.id)?;
    let question = store.question(&args.id)?;
    if !args.json {
        print(desk, &question)?;
    }
    let vouched = say.endorse.map(|endorse| origins::keys(&question, endorse)).transpose()?;
    let act = say.in_words();
    if !args.yes && !args.json && !desk.confirms(&format!("{act}, as {approver}?"))? {
        desk.voice.say("nothing was answered")?;
        return Ok(exit::NO);
    }
    let reason = args.reason.clone().unwrap_or_default();
    // By the full id: what was shown is what is answered.
    let question = match (say.verdict, say.life) {
        (Verdict::Approve, Some(life)) => {
            store.approve_for(&question.id, &approver, &reason, life)?
        }
        (verdict, _) => {
            store.answer(&question.id, Answer { approver: approver.clone(), verdict, reason })?
        }
    };
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
        QuestionState::Approved => match question.until_ms {
            None => "approved: the agent may make this call once".to_owned(),
            Some(until_ms) => {
                format!("approved: the agent may make this call until {}", date(until_ms))
            }
        },
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
    if let (QuestionState::Approved, Some(until_ms)) = (question.state, question.until_ms) {
        let until = date(until_ms);
        writeln!(desk.voice.out(), "{:<10} every such call until {until}", "stands")?;
    }
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
        return print_value(desk, "", arguments);
    };
    for (name, value) in arguments {
        print_value(desk, &format!("{}: ", display_line(name, 60)), value)?;
    }
    Ok(())
}

fn print_value(desk: &mut Desk<'_>, name: &str, value: &Value) -> io::Result<()> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pieces = paged(&text);
    match pieces.as_slice() {
        [line] => writeln!(desk.voice.out(), "  {name}{line}"),
        lines => {
            writeln!(desk.voice.out(), "  {}", name.trim_end())?;
            lines.iter().try_for_each(|line| writeln!(desk.voice.out(), "    | {line}"))
        }
    }
}

/// The lines of a text, each harmless; a long one goes on in the next, so that nothing of it is hidden.
fn paged(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let signs: Vec<char> = line.chars().collect();
        if signs.is_empty() {
            lines.push(String::new());
        }
        // Every invisible character becomes a few visible ones, so a piece is far from the length that is cut.
        lines.extend(signs.chunks(PIECE).map(|piece| safe(&piece.iter().collect::<String>())));
    }
    lines
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

/// The approvals that stand for a time, one line each: what was granted, to whom, by whom, until when.
pub(super) fn standing(desk: &Desk<'_>) -> Result<Vec<String>, Failure> {
    let Some(store) = open(desk)? else { return Ok(Vec::new()) };
    let told = store.standing()?.into_iter().map(|question| {
        let until = date(question.until_ms.unwrap_or(question.expires_ms));
        let Question { id, session, agent, tool, .. } = &question;
        let what = display_line(&brief(&question), 200);
        let by = question.approvers().join(", ");
        safe(&format!(
            "{} until {until}: {agent} may call {tool} {what} in session {session}, by {by}",
            short(id)
        ))
    });
    Ok(told.collect())
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

/// Characters of a value on one line.
const PIECE: usize = 400;
