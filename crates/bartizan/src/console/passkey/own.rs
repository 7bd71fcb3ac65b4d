//! Which passkeys has the person who is in, and how do they make another? By showing one, unless they have none.

use super::challenge::Meaning;
use super::form::{self, Asks, Form};
use super::{NO_NAME, bytes, good, refused, said};
use crate::cli::exit;
use crate::clock::{age, date};
use crate::console::Visit;
use crate::console::html::Html;
use crate::console::page::see;
use crate::report::{Failure, Problem};
use bartizan_egress::Page;
use bartizan_store::{NewPasskey, Passkey};

/// The page of one's own passkeys.
pub(in crate::console) fn list(visit: &Visit<'_>) -> Result<Page, Failure> {
    let store = &visit.console.store;
    let (all, good) = (store.passkeys(Some(visit.person))?, good(store, visit.person)?);
    let mut body = Html::default();
    body.raw("<h1>Passkeys of ")
        .text(visit.person)
        .raw("</h1><p class=\"lead\">Who has one comes in by it, and signs each approval with it: ")
        .raw("whoever steals the cookie of this browser can look, and approve nothing.</p>");
    table(&mut body, &all);
    if visit.console.passkeys.site.is_none() {
        body.raw("<div class=\"note\">There can be none here: ").text(NO_NAME);
        body.raw(". Give the console an <code>origin</code> under <code>[console]</code>.</div>");
    } else if !good.is_empty() {
        body.raw("<h2>Another one</h2><div class=\"answer\">");
        let person = visit.person;
        asks(visit, &mut body, (Meaning::Further { person }, &good), &["passkeys", "further"])?;
        body.raw("</div>");
    } else if visit.fresh {
        offer(visit, &mut body, &good)?;
    } else {
        body.raw("<div class=\"note\">The first is made right after coming in: sign out, and come in by a new link.</div>");
    }
    Ok(visit.asking("Passkeys", None, &body))
}

fn table(body: &mut Html, all: &[Passkey]) {
    if all.is_empty() {
        body.raw("<div class=\"panel empty\">There is none yet.</div>");
        return;
    }
    body.raw("<div class=\"panel scroll\"><table class=\"cards\"><thead><tr><th>Name</th><th>Where</th><th>Made</th>")
        .raw("<th>Used</th><th>Id</th><th>Stands</th></tr></thead><tbody>");
    for passkey in all {
        body.raw("<tr><td>").brief(&passkey.name, 60).raw("</td><td>").brief(&passkey.host, 80);
        body.raw("</td><td class=\"n\">made ").text(&date(passkey.registered_ms));
        body.raw("</td><td class=\"n\">");
        body.text(
            &passkey.used_ms.map_or("never used".to_owned(), |at| format!("used {}", age(at))),
        );
        body.raw("</td><td><code>").text(&passkey.id).raw("</code></td><td>");
        body.raw(match passkey.revoked_ms {
            Some(_) => "<span class=\"tag no\">revoked</span></td></tr>",
            None => "<span class=\"tag go\">good</span></td></tr>",
        });
    }
    body.raw("</tbody></table></div><p class=\"lead\">One that is lost is revoked on the host: <code>bartizan console revoke ID</code>.</p>");
}

/// A form that wants a passkey used.
fn asks(
    visit: &Visit<'_>,
    body: &mut Html,
    (meaning, ids): (Meaning<'_>, &[Passkey]),
    path: &[&str],
) -> Result<(), Failure> {
    let site = visit.console.passkeys.site()?;
    let challenge = visit.console.passkeys.challenges.give(visit.form, meaning)?;
    let (host, visitor) = (&site.host, Some(visit.form));
    let form = Form { path, asks: Asks::Use, host, challenge: &challenge, ids, visitor };
    form.begin(body);
    body.raw("<p>Show one that you have, to make another.</p>");
    form::end(body, "<button>Show it</button>");
    Ok(())
}

/// A form that makes one.
fn offer(visit: &Visit<'_>, body: &mut Html, good: &[Passkey]) -> Result<(), Failure> {
    let (passkeys, person) = (&visit.console.passkeys, visit.person);
    let meaning = Meaning::Make { person, first: good.is_empty() };
    let challenge = passkeys.challenges.give(visit.form, meaning)?;
    let form = Form {
        path: &["passkeys"],
        asks: Asks::Make { person, handle: passkeys.handle(person) },
        host: &passkeys.site()?.host,
        challenge: &challenge,
        ids: good,
        visitor: Some(visit.form),
    };
    body.raw("<h2>Make one</h2><div class=\"answer\">");
    form.begin(body);
    body.raw("<label>Its name<input name=\"name\" required maxlength=\"60\" value=\"my passkey\"></label>");
    form::end(body, "<button class=\"go\">Make a passkey</button>");
    body.raw("</div>");
    Ok(())
}

/// Somebody has shown a passkey, and may make another.
pub(in crate::console) fn further(visit: &Visit<'_>) -> Result<Page, Failure> {
    let person = visit.person;
    let form = (visit.request, visit.form);
    visit.console.proven(form, Meaning::Further { person }, Some(person))?;
    let mut body = Html::default();
    body.raw("<h1>Another passkey</h1>");
    offer(visit, &mut body, &good(&visit.console.store, person)?)?;
    Ok(visit.asking("Another passkey", None, &body))
}

/// Takes down the passkey that was made.
pub(in crate::console) fn make(visit: &Visit<'_>) -> Result<Page, Failure> {
    let (store, passkeys, person) = (&visit.console.store, &visit.console.passkeys, visit.person);
    visit.approver()?;
    let site = passkeys.site()?;
    let first = good(store, person)?.is_empty();
    if first && !visit.fresh {
        let problem = Problem::new("the first passkey is made right after coming in");
        return Err(Failure::new(exit::NO, problem.hint("sign out, and come in by a new link")));
    }
    let ticket = visit.request.given("ticket").unwrap_or_default();
    let meaning = Meaning::Make { person, first };
    let challenge = passkeys.challenges.known(visit.form, meaning, ticket).map_err(refused)?;
    let field = |name| bytes(visit.request, name).ok_or_else(|| refused("it is not whole"));
    let (client, attestation) = (field("client")?, field("attestation")?);
    let made = said::made(site, &challenge.digest(), &client, &attestation).map_err(refused)?;
    passkeys.challenges.spend(&challenge).map_err(refused)?;
    let new = NewPasskey {
        credential: made.credential,
        person: person.to_owned(),
        host: site.host.clone(),
        name: visit.request.given("name").unwrap_or("passkey").to_owned(),
        key: made.key,
        counter: made.counter,
        synced: made.synced,
    };
    store.register_passkey(new, if first { 0 } else { MOST - 1 })?;
    store.checkpoint()?;
    Ok(see("/passkeys"))
}

/// Passkeys of one person.
const MOST: u32 = 8;
