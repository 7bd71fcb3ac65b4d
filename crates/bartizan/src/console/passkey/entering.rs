//! How does somebody come in who has a passkey here? They say nothing; the passkey says who they are.

use super::challenge::Meaning;
use super::form::{self, Asks, Form};
use crate::console::html::Html;
use crate::console::page::{Frame, failed, page};
use crate::console::request::Request;
use crate::console::{Console, STRANGER, arrived};
use bartizan_egress::Page;

/// What somebody is told who is not in, and the way in where there is one.
pub(in crate::console) fn invitation(console: &Console) -> Page {
    let mut body = Html::default();
    body.raw("<h1>Not signed in</h1>");
    let challenge = console.passkeys.challenges.give("", Meaning::Enter).ok();
    let site = console.passkeys.site.as_ref().zip(challenge);
    if let Some((site, challenge)) = &site {
        let form = Form {
            path: &["sign-in"],
            asks: Asks::Use,
            host: &site.host,
            challenge,
            ids: &[],
            visitor: None,
        };
        body.raw("<div class=\"answer\">");
        form.begin(&mut body);
        form::end(&mut body, "<button class=\"go\" autofocus>Sign in with a passkey</button>");
        body.raw("</div>");
    }
    body.raw("<p class=\"lead\">").text(STRANGER).raw("</p>");
    let frame = Frame { title: "Not signed in", script: site.is_some(), ..Frame::default() };
    page(401, &frame, &body)
}

/// Lets somebody in by a passkey.
pub(in crate::console) fn enter(console: &Console, request: &Request) -> Page {
    let admitted = console
        .proven((request, ""), Meaning::Enter, None)
        .and_then(|(passkey, _)| console.door.admit(&passkey.person, Some(&passkey.credential)));
    match admitted {
        Ok(cookie) => arrived(cookie),
        Err(failure) => failed(&failure, None),
    }
}
