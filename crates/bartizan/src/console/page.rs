//! What do all pages have in common? Their frame, what holds the browser to it, and how an error is told.

use super::html::Html;
use crate::cli::exit;
use crate::report::Failure;
use bartizan_egress::Page;

/// The rooms of the console, in the order of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Inbox,
    Runs,
    Flagged,
    Agents,
    Log,
}

impl Room {
    const ALL: [Self; 5] = [Self::Inbox, Self::Runs, Self::Flagged, Self::Agents, Self::Log];

    const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Inbox => ("/", "Inbox"),
            Self::Runs => ("/runs", "Runs"),
            Self::Flagged => ("/flagged", "Flagged"),
            Self::Agents => ("/agents", "Agents"),
            Self::Log => ("/log", "Log"),
        }
    }
}

/// What the frame of a page says.
#[derive(Debug, Default)]
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) room: Option<Room>,
    /// Whether the browser asks for the page again every few seconds.
    pub(super) live: bool,
    /// Whether a form on it asks for a passkey, which takes a script: ours, and nobody else's.
    pub(super) script: bool,
    /// Who looks, and what their forms carry; nobody on the pages before the door.
    pub(super) visitor: Option<(&'a str, &'a str)>,
}

/// A whole page.
pub(super) fn page(status: u16, frame: &Frame<'_>, body: &Html) -> Page {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .raw(if frame.live { "<meta http-equiv=\"refresh\" content=\"5\">" } else { "" })
        .raw("<title>")
        .text(frame.title)
        .raw(" · Bartizan</title><link rel=\"stylesheet\" href=\"/style.css\">")
        .raw("<link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">")
        .raw(if frame.script { "<script src=\"/passkey.js\" defer></script>" } else { "" })
        .raw("</head><body>")
        .raw("<a class=\"skip\" href=\"#main\">Skip to the content</a>");
    top(&mut html, frame);
    html.raw("<main id=\"main\">").part(body).raw("</main></body></html>\n");
    let mut page = answer(status, "text/html; charset=utf-8", html.into_bytes());
    if frame.script {
        page.fields.retain(|(name, _)| *name != POLICY);
        page.fields.push((POLICY, format!("{CSP}; {SCRIPTED}")));
    }
    page
}

fn top(html: &mut Html, frame: &Frame<'_>) {
    html.raw("<header class=\"top\"><div><a class=\"brand\" href=\"/\">");
    html.raw(TOWER).raw("<span>Bartizan</span></a>");
    if let Some((name, form)) = frame.visitor {
        html.raw("<nav aria-label=\"Console\"><ul>");
        for room in Room::ALL {
            let (link, label) = room.link();
            html.raw("<li><a href=\"").raw(link).raw("\"");
            html.raw(if frame.room == Some(room) { " aria-current=\"page\">" } else { ">" });
            html.raw(label).raw("</a></li>");
        }
        html.raw("</ul></nav><div class=\"who\"><a href=\"/passkeys\">").text(name).raw("</a>");
        html.raw("<form class=\"inline\" method=\"post\" action=\"/leave\">");
        carried(html, form);
        html.raw("<button>Sign out</button></form></div>");
    }
    html.raw("</div></header>");
}

/// What every form of ours carries.
pub(super) fn carried(html: &mut Html, form: &str) {
    html.raw("<input type=\"hidden\" name=\"form\" value=\"").text(form).raw("\">");
}

/// The ways to the pages before and after: where this one begins, how long it is, and how much there is.
pub(super) fn pages(body: &mut Html, link: &'static str, (from, size, all): (usize, usize, usize)) {
    body.raw("<p class=\"pages\">");
    if from > 0 {
        body.raw("<a href=\"").raw(link).number(from.saturating_sub(size)).raw("\">Before</a>");
    }
    if from.saturating_add(size) < all {
        body.raw("<a href=\"").raw(link).number(from + size).raw("\">After</a>");
    }
    body.raw("</p>");
}

/// A page that says one thing and has no more.
pub(super) fn notice(
    status: u16,
    title: &str,
    sentence: &str,
    visitor: Option<(&str, &str)>,
) -> Page {
    let mut body = Html::default();
    body.raw("<h1>").text(title).raw("</h1><p class=\"lead\">").text(sentence).raw("</p>");
    page(status, &Frame { title, visitor, ..Frame::default() }, &body)
}

/// What went wrong, and its remedy.
pub(super) fn failed(failure: &Failure, visitor: Option<(&str, &str)>) -> Page {
    let (status, title) = match failure.code {
        exit::NO => (404, "That is not possible"),
        exit::USAGE => (400, "That is not understood"),
        _ => (500, "That did not work"),
    };
    let told = failure.problems.iter().cloned().map(|problem| {
        let (what, hint) = problem.into_parts();
        hint.map_or_else(|| what.clone(), |hint| format!("{what} ({hint})"))
    });
    notice(status, title, &told.collect::<Vec<_>>().join("; "), visitor)
}

/// To another page, by a GET.
pub(super) fn see(place: &str) -> Page {
    let mut page = answer(303, "text/plain; charset=utf-8", Vec::new());
    page.fields.push(("location", place.to_owned()));
    page
}

/// The style sheet, the icon and the script, which are no secret.
pub(super) fn asset(path: &[String]) -> Option<Page> {
    let [name] = path else { return None };
    match name.as_str() {
        "style.css" => Some(answer(200, "text/css; charset=utf-8", STYLE.into())),
        "passkey.js" => Some(answer(200, "text/javascript; charset=utf-8", SCRIPT.into())),
        "icon.svg" => Some(answer(200, "image/svg+xml", TOWER.into())),
        _ => None,
    }
}

/// An answer with what holds the browser to it: no script runs that is not asked for, nothing comes from elsewhere, nobody frames the page,
/// nothing is kept, and no address of ours is told to another page.
fn answer(status: u16, kind: &'static str, body: Vec<u8>) -> Page {
    let mut fields = vec![("content-type", kind.to_owned())];
    fields.extend(ALWAYS.map(|(name, value)| (name, value.to_owned())));
    Page { status, fields, body }
}

const ALWAYS: [(&str, &str); 8] = [
    (POLICY, CSP),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), clipboard-read=()"),
    ("cache-control", "no-store"),
];
const POLICY: &str = "content-security-policy";
const CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                   frame-ancestors 'none'; base-uri 'none'";
/// For pages that ask for a passkey: a file of ours, which makes no markup.
const SCRIPTED: &str =
    "script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";
const SCRIPT: &str = include_str!("passkey/script.js");
const STYLE: &str = include_str!("style.css");
const TOWER: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\" fill=\"#5b7a99\" \
                     aria-hidden=\"true\"><path d=\"M2 1h3v2h1.5V1h3v2H11V1h3v6l-2 2v6H4V9L2 7z\"/></svg>";
