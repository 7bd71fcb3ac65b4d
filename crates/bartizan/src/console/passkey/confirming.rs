//! Is this answer that of the person in whose name it is given? Who has a passkey signs it, so that a stolen cookie is no yes.

use super::challenge::Meaning;
use super::form::{self, Asks, Form, hidden};
use super::good;
use crate::cli::exit;
use crate::console::Visit;
use crate::console::html::Html;
use crate::console::page::Room;
use crate::desk::answering::{Say, Word};
use crate::desk::telling::brief;
use crate::report::{Failure, Problem};
use bartizan_egress::Page;
use bartizan_store::{Passkey, Question};
use serde_json::Value;

/// What became of it.
#[derive(Debug)]
pub(in crate::console) enum Confirmed {
    /// Nothing has to be signed.
    Plain,
    /// It was signed, and this shows it.
    Signed(Value),
    /// It is still to be signed, on this page.
    Asked(Page),
}

/// Asks for a signature under an answer, or takes the one that came with it.
pub(in crate::console) fn confirm(
    visit: &Visit<'_>,
    question: &Question,
    (say, word): (Say, &Word),
    person: &str,
) -> Result<Confirmed, Failure> {
    let own = good(&visit.console.store, person)?;
    if !is_weighty(question, say) || own.is_empty() && !visit.console.requires_passkey()? {
        return Ok(Confirmed::Plain);
    }
    if own.is_empty() {
        let problem = Problem::new("this console takes no such answer without a passkey");
        let hint =
            "make yours at Passkeys (your name, at the top), within ten minutes of coming in";
        return Err(Failure::new(exit::NO, problem.hint(hint)));
    }
    let site = visit.console.passkeys.site()?;
    let reason = visit.request.given("reason").unwrap_or_default();
    let meaning = Meaning::Answer { person, question, say, reason };
    if visit.request.given("ticket").is_some() {
        let form = (visit.request, visit.form);
        let (_, proof) = visit.console.proven(form, meaning, Some(person))?;
        return Ok(Confirmed::Signed(proof));
    }
    let own: Vec<Passkey> = own.into_iter().filter(|passkey| passkey.host == site.host).collect();
    if own.is_empty() {
        let problem = Problem::new(format!("none of your passkeys is for `{}`", site.host));
        let hint = "have the old ones revoked (bartizan console revoke), and make one here";
        return Err(Failure::new(exit::NO, problem.hint(hint)));
    }
    let challenge = visit.console.passkeys.challenges.give(visit.form, meaning)?;
    let form = Form {
        path: &["questions", &question.id],
        asks: Asks::Use,
        host: &site.host,
        challenge: &challenge,
        ids: &own,
        visitor: Some(visit.form),
    };
    Ok(Confirmed::Asked(asked(visit, question, word, &form)))
}

/// Whether more than a cookie is wanted: for each yes, and for a no to what cannot be undone or is not known.
fn is_weighty(question: &Question, say: Say) -> bool {
    let effect = question.shown.get("effect").and_then(Value::as_str);
    matches!(say, Say::Yes { .. }) || !matches!(effect, Some("read" | "write"))
}

fn asked(visit: &Visit<'_>, question: &Question, word: &Word, form: &Form<'_>) -> Page {
    let mut body = Html::default();
    body.raw("<h1>Confirm with your passkey</h1><p class=\"lead\">You ").text(&word.in_words());
    body.raw(", as ").text(visit.person).raw(".</p><div class=\"panel\"><dl class=\"facts\">");
    for (name, text) in [("tool", question.tool.as_str()), ("about", &brief(question))] {
        body.raw("<dt>").raw(name).raw("</dt><dd><pre>").lines(text).raw("</pre></dd>");
    }
    body.raw("<dt>call</dt><dd><pre>sha256:").text(&question.digest.to_string());
    body.raw("</pre></dd></dl></div><h2>Your passkey signs exactly this answer</h2><div class=\"answer\">");
    form.begin(&mut body);
    for name in ["say", "digest", "policy", "life", "endorse", "reason"] {
        hidden(&mut body, name, visit.request.given(name).unwrap_or_default());
    }
    form::end(&mut body, "<button class=\"go\" autofocus>Confirm</button>");
    body.raw("</div><p class=\"pages\"><a href=\"/questions/").segment(&question.id);
    body.raw("\">Back to the question</a></p>");
    visit.asking("Confirm", Some(Room::Inbox), &body)
}
