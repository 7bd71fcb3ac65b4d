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
mod peer;
mod plot;
mod question;
mod request;
mod run;
mod runs;
mod sent;

use crate::config::{self, Places, Purpose};
use crate::desk::answering;
use crate::report::Failure;
use bartizan_egress::{Asked, Inbound, Page};
use bartizan_store::Store;
use door::{Door, ENTER, Refused};
use html::Html;
use page::{Frame, failed, notice, page, see};
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
    store: Store,
    /// Whom the kernel says this process is run by.
    user: String,
    places: Places,
    /// Where it was started.
    folder: PathBuf,
}

/// A request of somebody who is in.
struct Visit<'a> {
    console: &'a Console,
    request: &'a Request,
    /// What the visitor's forms carry.
    form: &'a str,
}

impl Console {
    /// A console at this address, started in this folder.
    pub(crate) fn new(
        address: SocketAddr,
        store: Store,
        (places, folder): (Places, PathBuf),
    ) -> Arc<Self> {
        let user = answering::local_user();
        Arc::new(Self { door: Door::new(address), store, user, places, folder })
    }

    /// The name under which an answer is taken down, if the configuration lets them answer, as it stands now.
    fn approver(&self) -> Result<String, Failure> {
        // A project has no say in who answers, so its state does not matter here.
        let config = config::load_own(&self.places, &self.folder, Purpose::Look)?;
        answering::approver(&config)
    }

    /// An address that lets one browser in, once.
    pub(crate) fn link(&self) -> Result<String, Failure> {
        self.door.link()
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr()) else { return };
        // A user of the same machine who has learnt the link or a cookie is still not this user.
        if !peer::is_this_user(peer, own).unwrap_or(false) {
            return;
        }
        let Ok(client) = Inbound::plain().take(stream).await else { return };
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
        if let ([first, token], false) = (request.path.as_slice(), request.post)
            && first == ENTER
        {
            return self.enter(token);
        }
        if let ([first, link], false) = (request.path.as_slice(), request.post)
            && first == OPEN
            && sent::is_link(link)
        {
            return sent::arrive(link);
        }
        match self.door.visitor(&request) {
            Ok(form) => Visit { console: self, request: &request, form: &form }.answer(),
            Err(Refused::Foreign) => foreign(),
            Err(Refused::Stranger) => notice(401, "Not signed in", STRANGER, None),
        }
    }

    /// A page of ours that leads on: a redirect would still be a part of what led here, and carry no strict cookie.
    fn enter(&self, token: &str) -> Page {
        let cookie = match self.door.enter(token) {
            Ok(cookie) => cookie,
            Err(failure) => return failed(&failure, None),
        };
        let mut body = Html::default();
        body.raw("<meta http-equiv=\"refresh\" content=\"0; url=/\"><h1>You are in</h1>")
            .raw("<p class=\"lead\"><a href=\"/\">Go on to the console</a></p>");
        let frame = Frame { title: "Signed in", room: None, live: false, visitor: None };
        let mut page = page(200, &frame, &body);
        page.fields.push(("set-cookie", cookie));
        page
    }
}

impl Visit<'_> {
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
        (&self.console.user, self.form)
    }

    /// A page is asked for again only when the person has said so: who reads it slowly must not lose their place.
    fn page(&self, title: &str, room: page::Room, body: &Html) -> Page {
        let live = self.request.asked("live").is_some();
        page(200, &Frame { title, room: Some(room), live, visitor: Some(self.visitor()) }, body)
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

const STRANGER: &str = "The console lets in who opens the link that its terminal shows. Press Enter there for a new one.";
