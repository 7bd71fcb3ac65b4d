//! What does a form look like that a passkey fills in? Its attributes say what is asked; its fields stand empty until then.

use super::challenge::Challenge;
use crate::console::html::Html;
use crate::console::page::carried;
use bartizan_store::{Digest, Passkey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

/// A form, until it is closed.
#[derive(Debug)]
pub(super) struct Form<'a> {
    /// Where it is sent.
    pub(super) path: &'a [&'a str],
    pub(super) asks: Asks<'a>,
    /// The name that the passkey is for.
    pub(super) host: &'a str,
    pub(super) challenge: &'a Challenge,
    /// Which passkeys may be used, or must not be where another is made.
    pub(super) ids: &'a [Passkey],
    /// What the visitor's forms carry, when somebody is in.
    pub(super) visitor: Option<&'a str>,
}

/// What the browser is to do.
#[derive(Debug)]
pub(super) enum Asks<'a> {
    /// Use a passkey.
    Use,
    /// Make one for this person, under this handle.
    Make { person: &'a str, handle: Digest },
}

impl Form<'_> {
    /// Writes its beginning; what else it holds may follow.
    pub(super) fn begin(&self, body: &mut Html) {
        body.raw("<form class=\"panel\" method=\"post\" action=\"");
        for part in self.path {
            body.raw("/").segment(part);
        }
        body.raw(match self.asks {
            Asks::Use => "\" data-passkey=\"use\" data-challenge=\"",
            Asks::Make { .. } => "\" data-passkey=\"make\" data-challenge=\"",
        });
        body.text(&BASE64.encode(self.challenge.digest().as_bytes()));
        body.raw("\" data-host=\"").text(self.host).raw("\" data-ids=\"");
        let ids: Vec<String> =
            self.ids.iter().map(|passkey| BASE64.encode(&passkey.credential)).collect();
        body.text(&ids.join(" "));
        if let Asks::Make { person, handle } = self.asks {
            body.raw("\" data-user=\"").text(&BASE64.encode(handle.as_bytes()));
            body.raw("\" data-person=\"").text(person);
        }
        body.raw("\">");
        if let Some(visitor) = self.visitor {
            carried(body, visitor);
        }
        hidden(body, "ticket", &self.challenge.ticket);
        body.raw(match self.asks {
            Asks::Use => USED,
            Asks::Make { .. } => MADE,
        });
    }
}

/// Writes the end of a form, with this button.
pub(super) fn end(body: &mut Html, button: &'static str) {
    body.raw("<p class=\"dim\" role=\"alert\"></p>")
        .raw("<noscript><p>A passkey is asked by a script of this console, and none runs here.</p></noscript>")
        .raw(button)
        .raw("</form>");
}

/// A field that nobody sees.
pub(super) fn hidden(body: &mut Html, name: &'static str, value: &str) {
    body.raw("<input type=\"hidden\" name=\"").raw(name).raw("\" value=\"").text(value);
    body.raw("\">");
}

const USED: &str = "<input type=\"hidden\" name=\"credential\"><input type=\"hidden\" name=\"authenticator\">\
                    <input type=\"hidden\" name=\"client\"><input type=\"hidden\" name=\"signature\">\
                    <input type=\"hidden\" name=\"user\">";
const MADE: &str =
    "<input type=\"hidden\" name=\"client\"><input type=\"hidden\" name=\"attestation\">";
