//! Where does a link lead that somebody was sent? To its question, once, for who is in. It lets nobody in: who is not in
//! is told how to, and the link stays good.

use super::Visit;
use super::html::Html;
use super::page::{Frame, page, see};
use crate::report::Failure;
use bartizan_egress::Page;

/// Under which path such links stand.
pub(super) const OPEN: &str = "open";

/// A page of ours that leads on. What follows a link from elsewhere carries no strict cookie, and a program that looks at
/// every link in a chat must not use it up.
pub(super) fn arrive(link: &str) -> Page {
    let mut body = Html::default();
    body.raw("<meta http-equiv=\"refresh\" content=\"0; url=/open/").text(link).raw("/go\">");
    body.raw("<h1>A question waits</h1><p class=\"lead\"><a href=\"/open/").text(link);
    body.raw("/go\">Go on to it</a></p>");
    page(200, &Frame { title: "A question", ..Frame::default() }, &body)
}

/// On to the question, for who is in.
pub(super) fn follow(visit: &Visit<'_>, link: &str) -> Result<Page, Failure> {
    let question = visit.console.store.follow(link)?;
    Ok(see(&format!("/questions/{question}")))
}

/// Whether this can be the end of such a link; what cannot is not written into a page.
pub(super) fn is_link(text: &str) -> bool {
    let tame = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=256).contains(&text.len()) && text.bytes().all(tame)
}
