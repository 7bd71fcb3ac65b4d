//! What exactly would happen, and what does the person say to it? One question, whole, and its answer.

use super::Visit;
use super::html::Html;
use super::inbox::{effect, stands};
use super::page::{Room, carried, see};
use super::passkey::{self, Confirmed};
use crate::cli::{Endorse, exit};
use crate::config::units;
use crate::desk::answering::{Say, Word};
use crate::desk::origins;
use crate::desk::telling::{Part, Telling};
use crate::report::{Failure, Problem};
use bartizan_egress::Page;
use bartizan_store::{Answered, Desk as _, Question, QuestionState, Verdict};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::time::Duration;

/// The page of a question.
pub(super) fn show(visit: &Visit<'_>, id: &str) -> Result<Page, Failure> {
    let question = visit.console.store.question(id)?;
    Ok(told(visit, &question, None))
}

/// Takes the answer of a form down. The same answer again is no other one.
pub(super) fn answer(visit: &Visit<'_>, id: &str) -> Result<Page, Failure> {
    let store = &visit.console.store;
    let question = store.question(id)?;
    let given = |name: &str| visit.request.given(name).unwrap_or_default();
    // What was shown is what is answered.
    let shown = (given("digest"), given("policy"));
    if shown != (&*question.digest.to_string(), &*question.policy.to_string()) {
        let problem = Problem::new("this form is not of that question");
        return Err(Failure::new(exit::NO, problem.hint("open the question anew")));
    }
    let say = said(given("say"), given("life"), given("endorse"))?;
    let verdict = if matches!(say, Say::No) { Verdict::Deny } else { Verdict::Approve };
    let approver = visit.approver()?;
    let word = Word::new(&question, say, given("reason").to_owned())?;
    let place = format!("/questions/{}", question.id);
    let given = match passkey::confirm(visit, &question, (say, &word), &approver) {
        Ok(Confirmed::Asked(page)) => return Ok(page),
        Ok(Confirmed::Signed(proof)) => Ok(word.signed(proof)),
        Ok(Confirmed::Plain) => Ok(word),
        Err(failure) => Err((403, failure)),
    };
    let given = given.and_then(|word| {
        let given = word.give(store, &question, &approver);
        given.map_err(|failure| (if failure.code == exit::NO { 409 } else { 500 }, failure))
    });
    let Err((status, failure)) = given else { return Ok(see(&place)) };
    // The same form came twice, or somebody was faster: the page says how it stands.
    let now = store.question(&question.id)?;
    let same = |one: &Answered| one.approver == approver && one.verdict == verdict;
    if failure.code == exit::NO && now.answers.iter().any(same) {
        return Ok(see(&place));
    }
    let mut page = told(visit, &now, Some(failure));
    page.status = status;
    Ok(page)
}

fn said(say: &str, life: &str, endorse: &str) -> Result<Say, Failure> {
    let odd = |what: &str| Failure::new(exit::USAGE, Problem::new(what));
    match say {
        "deny" => return Ok(Say::No),
        "approve" => {}
        _ => return Err(odd("the form says neither yes nor no")),
    }
    let life = match life {
        "once" => None,
        life => Some(units::duration(life).map_err(|_| odd("the form names no time"))?),
    };
    let endorse = match endorse {
        "" => None,
        "host" => Some(Endorse::Host),
        "value" => Some(Endorse::Value),
        "source" => Some(Endorse::Source),
        _ => return Err(odd("the form vouches for what is nothing")),
    };
    Ok(Say::Yes { life, endorse })
}

fn told(visit: &Visit<'_>, question: &Question, problem: Option<Failure>) -> Page {
    let telling = Telling::of(question);
    let mut body = Html::default();
    if let Some(failure) = problem {
        for problem in failure.problems {
            body.raw("<div class=\"note bad\" role=\"alert\">").text(&problem.into_parts().0);
            body.raw("</div>");
        }
    }
    body.raw("<h1>").text(&question.tool).raw("</h1><p class=\"lead\">");
    stands(&mut body, question);
    body.raw(" ");
    effect(&mut body, question.shown.get("effect").and_then(Value::as_str).unwrap_or_default());
    body.raw(" asked by agent ").text(&question.agent).raw(" in <a href=\"/runs/");
    body.segment(&question.session).raw("\">its run</a></p>");
    if !telling.arguments.is_empty() {
        parts(&mut body, "What it would be called with", &telling.arguments);
    }
    difference(&mut body, question.shown.get("arguments").unwrap_or(&Value::Null));
    parts(&mut body, "All that is known of it", &telling.facts);
    if !telling.answers.is_empty() {
        parts(&mut body, "What people said", &telling.answers);
    }
    forms(&mut body, visit, question);
    visit.page(&question.tool, Room::Inbox, &body)
}

fn parts(body: &mut Html, title: &'static str, parts: &[Part]) {
    body.raw("<h2>").raw(title).raw("</h2><div class=\"panel\"><dl class=\"facts\">");
    for part in parts {
        body.raw("<dt>").text(&part.name);
        if let Some(kind) = part.kind {
            body.raw(" <span class=\"dim\">(").raw(kind).raw(")</span>");
        }
        body.raw("</dt><dd><pre>").lines(&part.lines.join("\n")).raw("</pre>");
        for note in &part.notes {
            body.raw("<div class=\"tag no wrap\">careful: ").text(note).raw("</div>");
        }
        body.raw("</dd>");
    }
    body.raw("</dl></div>");
}

/// What an edit takes away and puts there, when the call is one.
fn difference(body: &mut Html, arguments: &Value) {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let (Some(old), Some(new)) = (text("old_string"), text("new_string")) else { return };
    body.raw("<h2>The change</h2><div class=\"panel\"><pre class=\"diff\">");
    // Two hostile texts can make a comparison take minutes, and nobody could say no meanwhile; past the time it gets coarser.
    let diff = TextDiff::configure().timeout(COMPARES).diff_lines(old, new);
    for change in diff.iter_all_changes() {
        body.raw(match change.tag() {
            ChangeTag::Delete => "<del>- ",
            ChangeTag::Equal => "<span>  ",
            ChangeTag::Insert => "<ins>+ ",
        });
        body.lines(change.value().trim_end_matches('\n'));
        body.raw(match change.tag() {
            ChangeTag::Delete => "</del>\n",
            ChangeTag::Equal => "</span>\n",
            ChangeTag::Insert => "</ins>\n",
        });
    }
    body.raw("</pre></div>");
}

/// Yes and no are forms of their own, so that no key can send the other one. An approved question can still be denied, and
/// by who approved it where the approval stands for a time.
fn forms(body: &mut Html, visit: &Visit<'_>, question: &Question) {
    let open = matches!(question.state, QuestionState::Pending | QuestionState::Approved);
    let said = question.answers.iter().any(|answer| answer.approver == visit.person);
    if !open || said && question.until_ms.is_none() {
        return;
    }
    body.raw("<h2>Your answer, as ").text(visit.person).raw("</h2><div class=\"answer\">");
    if question.state == QuestionState::Pending && !said {
        begin(body, visit, question, "approve");
        body.raw("<label>How far<select name=\"life\"><option value=\"once\">exactly this call, once</option>")
            .raw("<option value=\"15m\">this call in this session, for 15 minutes</option>")
            .raw("<option value=\"1h\">this call in this session, for an hour</option>")
            .raw("<option value=\"8h\">this call in this session, for 8 hours</option></select></label>");
        if origins::keys(question, Endorse::Value).is_ok() {
            body.raw(
                "<label>Also vouch for<select name=\"endorse\"><option value=\"\">nothing</option>",
            )
            .raw("<option value=\"value\">these values, in this session</option>");
            if origins::keys(question, Endorse::Host).is_ok() {
                body.raw("<option value=\"host\">every address of the same host</option>");
            }
            if origins::keys(question, Endorse::Source).is_ok() {
                body.raw("<option value=\"source\">every value of the same text</option>");
            }
            body.raw("</select></label>");
        }
        end(body, "<button class=\"go\">Approve</button></form>");
    }
    begin(body, visit, question, "deny");
    end(body, "<button class=\"no\">Deny</button></form>");
    body.raw("</div>");
}

fn begin(body: &mut Html, visit: &Visit<'_>, question: &Question, say: &'static str) {
    body.raw("<form class=\"panel\" method=\"post\" action=\"/questions/").segment(&question.id);
    body.raw("\">");
    carried(body, visit.form);
    body.raw("<input type=\"hidden\" name=\"say\" value=\"").raw(say);
    body.raw("\"><input type=\"hidden\" name=\"digest\" value=\"")
        .text(&question.digest.to_string());
    body.raw("\"><input type=\"hidden\" name=\"policy\" value=\"")
        .text(&question.policy.to_string());
    body.raw("\">");
}

fn end(body: &mut Html, button: &'static str) {
    body.raw(
        "<label>Reason<textarea name=\"reason\" maxlength=\"1000\" rows=\"2\"></textarea></label>",
    );
    body.raw(button);
}

/// How long the lines of an edit are compared.
const COMPARES: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Instant;

    #[test]
    fn an_edit_that_is_hard_to_compare_keeps_nobody_from_its_page() {
        let noise = |mut state: u32| -> String {
            let mut line = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 31 == 0 { "a\n" } else { "b\n" }
            };
            (0..40_000).map(|_| line()).collect()
        };
        let (mut body, begun) = (Html::default(), Instant::now());
        let edit = json!({ "old_string": noise(1) + "last\n", "new_string": noise(7) + "kept\n" });
        difference(&mut body, &edit);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let page = String::from_utf8(body.into_bytes()).unwrap();
        assert!(
            page.contains("- last") && page.contains("+ kept"),
            "the change is shown all the same"
        );
    }
}
