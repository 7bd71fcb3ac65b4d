//! How does a person see and decide in a browser? Pages that this process writes, for whoever opened the terminal's link.
//!
//! In this order, and nothing skips one: is the other end of the connection this machine's same user ([`peer`]); is the
//! request one that has one reading ([`request`]); is it for us, and from no page of somebody else's; has who sends it
//! come in ([`door`]). Only then is a page made. Nothing of what is shown can become a part of a page ([`html`]).

mod agents;
mod door;
mod flagged;
mod html;
mod inbox;
mod log;
mod map;
mod page;
mod passkey;
mod peer;
mod plot;
mod question;
mod request;
mod run;
mod runs;
mod sent;
mod servers;

use crate::cli::exit;
use crate::config::{self, Places, Purpose};
use crate::desk::answering;
use crate::report::{Failure, Problem};
use bartizan_egress::{Asked, Inbound, Page};
use bartizan_store::{Digest, Store};
use door::{Door, ENTER, Known, Refused};
pub(crate) use door::{LINK as LINK_LIVES, random as danger_secret};
use html::Html;
use page::{Frame, failed, notice, page, see};
use passkey::Passkeys;
pub(crate) use passkey::name as passkey_name;
use request::Request;
use sent::OPEN;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;

/// The console of one store, at one address.
#[derive(Debug)]
pub(crate) struct Console {
    door: Door,
    passkeys: Passkeys,
    store: Store,
    /// Whom the kernel says this process is run by.
    user: String,
    places: Places,
    /// Where it was started.
    folder: PathBuf,
    /// Whether it was started to take no answer of weight without a passkey.
    strict: bool,
}

/// Where a console is.
#[derive(Debug, Clone)]
pub(crate) enum At {
    /// On this machine, for its user alone.
    Loopback(SocketAddr),
    /// Under TLS and this name, for whoever is invited.
    Named(String),
}

/// A request of somebody who is in.
struct Visit<'a> {
    console: &'a Console,
    request: &'a Request,
    /// Who they are.
    person: &'a str,
    /// What the visitor's forms carry.
    form: &'a str,
    /// Whether they came in just now.
    fresh: bool,
}

impl Console {
    /// A console at this place, started in this folder.
    pub(crate) fn new(
        at: At,
        store: Store,
        (places, folder): (Places, PathBuf),
    ) -> Result<Arc<Self>, Failure> {
        let (user, door) = (answering::local_user(), Door::new(at));
        let passkeys = Passkeys::new(door.host(), door.is_secure(), &store)?;
        let mut console = Self { door, passkeys, store, user, places, folder, strict: false };
        console.strict = console.requires_passkey()?;
        Ok(Arc::new(console))
    }

    /// Whether nobody answers without a passkey here: as it was when it started, or as the configuration stands now. What is
    /// taken out of it by somebody in between lets nobody in.
    fn requires_passkey(&self) -> Result<bool, Failure> {
        let config = config::load_own(&self.places, &self.folder, Purpose::Look)?;
        Ok(self.strict || config.console.is_some_and(|console| console.require_passkey))
    }

    /// The name under which this person's answer is taken down, if the configuration lets them answer, as it stands now.
    fn approver(&self, person: &str) -> Result<String, Failure> {
        // A project has no say in who answers, so its state does not matter here.
        let config = config::load_own(&self.places, &self.folder, Purpose::Look)?;
        if person == self.user {
            return answering::approver(&config);
        }
        answering::named(&config, person)
    }

    /// An address that lets one browser in, once.
    pub(crate) fn link(&self) -> Result<String, Failure> {
        self.door.link()
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream, inbound: Inbound) {
        let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr()) else { return };
        // A user of the same machine who has learnt the link or a cookie is still not this user.
        if !self.door.is_secure() && !peer::is_this_user(peer, own).unwrap_or(false) {
            return;
        }
        let Ok(client) = inbound.take(stream).await else { return };
        let answer = move |asked: Asked| self.answer(&asked);
        drop(client.pages(Arc::new(answer)).await);
    }

    fn answer(&self, asked: &Asked) -> Page {
        let Some(request) = Request::read(asked) else {
            return notice(400, "Not understood", "This request has no one reading.", None);
        };
        if self.door.ours(&request).is_err() {
            return foreign();
        }
        if let Some(asset) = page::asset(&request.path) {
            return asset;
        }
        if let [first, token] = request.path.as_slice()
            && first == ENTER
        {
            // A link that was sent is looked at by programs, too; they press no button.
            let pressed = request.post == self.door.is_secure();
            return if pressed { self.enter(token) } else { welcome(token) };
        }
        if let ([first, link], false) = (request.path.as_slice(), request.post)
            && first == OPEN
            && sent::is_link(link)
        {
            return sent::arrive(link);
        }
        if request.post && request.path == ["sign-in"] {
            return passkey::enter(self, &request);
        }
        match self.door.visitor(&request) {
            Ok(known) if !self.stays(&known) => passkey::invitation(self),
            Ok(Known { person, form, fresh, passkey: _ }) => {
                Visit { console: self, request: &request, person: &person, form: &form, fresh }
                    .answer()
            }
            Err(Refused::Foreign) => foreign(),
            Err(Refused::Stranger) => passkey::invitation(self),
        }
    }

    /// Who is named no more is in no more, nor is who came in by a passkey that was revoked.
    fn stays(&self, known: &Known) -> bool {
        let named = known.person == self.user || self.approver(&known.person).is_ok();
        let good = known.passkey.as_ref().is_none_or(|credential| {
            let found = self.store.passkey(credential).ok().flatten();
            found.is_some_and(|passkey| passkey.revoked_ms.is_none())
        });
        named && good
    }

    /// Whom a link lets in that was made by `bartizan console invite`, as long as the configuration names them.
    fn invited(&self, token: &str) -> Result<String, Failure> {
        let hash = Digest::of(token.as_bytes());
        // Nobody from elsewhere comes in where there is no TLS.
        let person = if self.door.is_secure() { self.store.redeem(hash)? } else { None };
        let person = person.ok_or_else(|| {
            let problem = Problem::new("this link was used, has expired, or is none of ours");
            let hint = "press Enter in the terminal, or ask for another invitation";
            Failure::new(exit::NO, problem.hint(hint))
        })?;
        self.approver(&person)
    }

    /// A page of ours that leads on: a redirect would still be a part of what led here, and carry no strict cookie.
    fn enter(&self, token: &str) -> Page {
        let person =
            if self.door.redeem(token) { Ok(self.user.clone()) } else { self.invited(token) };
        match person.and_then(|person| self.door.admit(&person, None)) {
            Ok(cookie) => arrived(cookie),
            Err(failure) => failed(&failure, None),
        }
    }
}

/// What somebody sees who has come in just now, with their cookie.
fn arrived(cookie: String) -> Page {
    let mut body = Html::default();
    body.raw("<meta http-equiv=\"refresh\" content=\"0; url=/\"><h1>You are in</h1>")
        .raw("<p class=\"lead\"><a href=\"/\">Go on to the console</a></p>");
    let mut page = page(200, &Frame { title: "Signed in", ..Frame::default() }, &body);
    page.fields.push(("set-cookie", cookie));
    page
}

/// The page on which an invited person comes in, by a form of ours.
fn welcome(token: &str) -> Page {
    let mut body = Html::default();
    body.raw("<h1>Come in</h1><p class=\"lead\">This link lets one person in, once, in this browser.</p>")
        .raw("<form method=\"post\" action=\"/enter/").segment(token);
    body.raw("\"><button class=\"go\">Come in</button></form>");
    page(200, &Frame { title: "Come in", ..Frame::default() }, &body)
}

impl Visit<'_> {
    /// The name under which their answer is taken down.
    fn approver(&self) -> Result<String, Failure> {
        self.console.approver(self.person)
    }

    fn answer(&self) -> Page {
        self.routed().unwrap_or_else(|failure| failed(&failure, Some(self.visitor())))
    }

    fn routed(&self) -> Result<Page, Failure> {
        let path: Vec<&str> = self.request.path.iter().map(String::as_str).collect();
        match (self.request.post, path.as_slice()) {
            (false, []) => inbox::list(self),
            (false, ["questions", id]) => question::show(self, id),
            (true, ["questions", id]) => question::answer(self, id),
            (false, ["runs"]) => runs::list(self),
            (false, ["runs", id]) => run::show(self, id),
            (true, ["runs", id]) => flagged::judge(self, id),
            (false, ["flagged"]) => flagged::list(self),
            (false, ["agents"]) => agents::list(self),
            (false, ["agents", role]) => agents::show(self, role),
            (false, [OPEN, link, "go"]) => sent::follow(self, link),
            (false, ["passkeys"]) => passkey::list(self),
            (true, ["passkeys"]) => passkey::make(self),
            (true, ["passkeys", "further"]) => passkey::further(self),
            (false, ["log"]) => log::search(self),
            (false, ["log", seq]) => log::show(self, seq),
            (true, ["leave"]) => {
                self.console.door.leave(self.request);
                Ok(see("/"))
            }
            _ => Ok(notice(404, "Nothing is here", "There is no such page.", Some(self.visitor()))),
        }
    }

    fn visitor(&self) -> (&str, &str) {
        (self.person, self.form)
    }

    /// A page is asked for again only when the person has said so: who reads it slowly must not lose their place.
    fn page(&self, title: &str, room: page::Room, body: &Html) -> Page {
        let live = self.request.asked("live").is_some();
        let visitor = Some(self.visitor());
        page(200, &Frame { title, room: Some(room), live, script: false, visitor }, body)
    }

    /// A page on which a passkey is asked for.
    fn asking(&self, title: &str, room: Option<page::Room>, body: &Html) -> Page {
        let visitor = Some(self.visitor());
        page(200, &Frame { title, room, live: false, script: true, visitor }, body)
    }
}

fn foreign() -> Page {
    notice(
        403,
        "Not from here",
        "This request is for another host, or was made by another's page. Open the console by its own address.",
        None,
    )
}

const STRANGER: &str = "The console lets in who opens the link that its terminal shows. Press Enter there for a new one. \
                        Others come in by an invitation (bartizan console invite NAME), and by a passkey once they have made one.";
