//! What do agents ask for, and what does a person say? The call is shown exactly as it would be made.

mod board;
mod place;
mod screen;
mod share;
mod watch;

use super::{Desk, here, outside_a_box};
use crate::cli::{
    AnswerArgs, ApprovalsArgs, ApprovalsCommand, ApprovalsListArgs, ApprovalsShowArgs, Endorse,
    exit,
};
use crate::clock::{age, date, left};
use crate::config::{self, Purpose, units};
use crate::desk::answering::{self, Say, Word};
use crate::desk::origins;
use crate::desk::telling::{self, Part, Telling, brief, short, votes};
use crate::report::{Failure, Paint, Problem, safe};
use bartizan_scan::display_line;
use bartizan_store::{Question, QuestionState, Store};
use place::Place;
use std::io;
use std::time::Duration;

/// `bartizan approvals …`.
pub(super) fn run(args: &ApprovalsArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("seeing or answering approvals")?;
    let Some(command) = &args.command else { return screen::run(desk) };
    match command {
        ApprovalsCommand::List(args) => list(args, desk),
        ApprovalsCommand::Show(args) => show(args, desk),
        ApprovalsCommand::Approve(args) => {
            let life = args.life.as_deref().map(life).transpose()?;
            answer(&args.answer, Say::Yes { life, endorse: args.endorse }, desk)
        }
        ApprovalsCommand::Deny(args) => answer(args, Say::No, desk),
        ApprovalsCommand::Watch(args) => watch::run(args, desk),
        ApprovalsCommand::Share(args) => share::run(args, desk),
    }
}

fn list(args: &ApprovalsListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let questions = Place::find(args.at.socket.as_deref(), desk)?.list(args.all)?;
    if args.json {
        return json(desk, &questions);
    }
    if questions.is_empty() {
        desk.voice.say("nothing waits for an answer")?;
    }
    for question in &questions {
        line(desk, question)?;
    }
    Ok(exit::DONE)
}

/// One question on one line.
fn line(desk: &mut Desk<'_>, question: &Question) -> io::Result<()> {
    let state = paint_stand(desk, question);
    let when = match question.state {
        QuestionState::Pending | QuestionState::Approved => left(question.expires_ms),
        QuestionState::Denied | QuestionState::Expired | QuestionState::Used => {
            age(question.asked_ms)
        }
    };
    let Question { id, agent, tool, .. } = question;
    let (agent, what) =
        (display_line(agent, 30), display_line(&format!("{tool} {}", brief(question)), 100));
    let votes = votes(question);
    writeln!(desk.voice.out(), "{}  {state}  {votes}  {when:<12}  {agent:<12}  {what}", short(id))
}

fn life(text: &str) -> Result<Duration, Failure> {
    units::duration(text).map_err(|why| {
        let problem = Problem::new(format!("`{text}` is not a time: {why}"));
        Failure::new(exit::USAGE, problem)
    })
}

fn show(args: &ApprovalsShowArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let question = Place::find(args.at.socket.as_deref(), desk)?.question(&args.id, desk)?;
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
                "  hint: add `--endorse value` (or `host`, `source`) to be asked no more about it in this session",
            )?;
        }
    }
    Ok(exit::DONE)
}

fn answer(args: &AnswerArgs, say: Say, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let place = Place::find(args.at.socket.as_deref(), desk)?;
    let approver = place.approver(desk)?;
    let question = place.question(&args.id, desk)?;
    if !args.json {
        print(desk, &question)?;
    }
    let reason = args.reason.clone().unwrap_or_default();
    let word = Word::new(&question, say, reason)?;
    if !args.yes && !args.json && !desk.confirms(&format!("{}, as {approver}?", word.in_words()))? {
        desk.voice.say("nothing was answered")?;
        return Ok(exit::NO);
    }
    let question = place.give(word, &question, (&approver, desk))?;
    if args.json {
        return json(desk, &question);
    }
    desk.voice.say(&format!("{} (as {approver})", answering::outcome(&question)))?;
    Ok(exit::DONE)
}

/// Everything that an approval would be bound to.
fn print(desk: &mut Desk<'_>, question: &Question) -> Result<(), Failure> {
    let told = Telling::of(question);
    let state = paint_stand(desk, question);
    writeln!(desk.voice.out(), "{:<10} {state}", "state")?;
    told.facts.iter().try_for_each(|part| print_part(desk, part, "", " "))?;
    if !told.arguments.is_empty() {
        writeln!(desk.voice.out(), "arguments")?;
    }
    told.arguments.iter().try_for_each(|part| print_part(desk, part, "  ", ": "))?;
    if !told.answers.is_empty() {
        writeln!(desk.voice.out(), "answers")?;
    }
    told.answers.iter().try_for_each(|part| print_part(desk, part, "  ", ": "))?;
    Ok(())
}

/// One part: its name and its line; a text of several lines stands below, each line behind a bar, so that none of them
/// can pass for one of ours.
fn print_part(desk: &mut Desk<'_>, part: &Part, indent: &str, gap: &str) -> io::Result<()> {
    let kind = part.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    let name = format!("{}{kind}", part.name);
    let width = if indent.is_empty() { 10 } else { 0 };
    match part.lines.as_slice() {
        [line] => writeln!(desk.voice.out(), "{indent}{name:<width$}{gap}{line}")?,
        lines => {
            writeln!(desk.voice.out(), "{indent}{name}{}", gap.trim_end())?;
            lines.iter().try_for_each(|line| writeln!(desk.voice.out(), "    | {line}"))?;
        }
    }
    for note in &part.notes {
        let warned = desk.voice.paint(Paint::Red, "careful:");
        writeln!(desk.voice.out(), "{indent}{warned} {note}")?;
    }
    Ok(())
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

fn paint_stand(desk: &Desk<'_>, question: &Question) -> String {
    paint_word(desk, question.state, telling::stand(question))
}

fn paint_word(desk: &Desk<'_>, state: QuestionState, word: &str) -> String {
    let paint = match state {
        QuestionState::Approved => Paint::Green,
        QuestionState::Denied => Paint::Red,
        QuestionState::Expired | QuestionState::Used => Paint::Dim,
        QuestionState::Pending => Paint::Yellow,
    };
    desk.voice.paint(paint, &format!("{word:<9}"))
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

fn nothing_asked(id: &str, desk: &Desk<'_>) -> Failure {
    let problem = Problem::new(format!("there is no question `{id}`"));
    let state = desk.places.state.display();
    let hint = format!("nothing was ever asked in {state}; is --state right?");
    Failure::new(exit::NO, problem.hint(hint))
}

/// Who answers here, if the configuration lets them.
pub(super) fn approver(desk: &Desk<'_>) -> Result<String, Failure> {
    // A project has no say in who answers, so its state does not matter here.
    let config = config::load_own(&desk.places, &here()?, Purpose::Look)?;
    answering::approver(&config)
}
