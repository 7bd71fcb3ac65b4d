//! Who is at the console? Whoever opened the link that the terminal showed, once; and from our own pages alone.

use super::request::Request;
use super::sent::OPEN;
use crate::cli::exit;
use crate::report::{Failure, Problem};
use bartizan_store::Digest;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The one link that is good, and whoever came in by one.
#[derive(Debug)]
pub(super) struct Door {
    /// Where we listen, as a browser writes it.
    host: String,
    cookie: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<(Digest, Instant)>,
    visitors: Vec<Visitor>,
}

/// Somebody who came in: the digest of their cookie, what their forms carry, and until when.
#[derive(Debug)]
struct Visitor {
    cookie: Digest,
    form: String,
    until: Instant,
}

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request was meant for another host, or came from another's page.
    Foreign,
    /// Nobody has come in by a link here.
    Stranger,
}

impl Door {
    /// A door at this address; nobody is in, and no link is good.
    pub(super) fn new(address: SocketAddr) -> Self {
        // Cookies do not keep ports apart, so that of another console on this host has another name.
        let cookie = format!("bartizan-{}", address.port());
        Self { host: address.to_string(), cookie, state: Mutex::default() }
    }

    /// A link that lets one browser in, once. The one before is good no more.
    pub(super) fn link(&self) -> Result<String, Failure> {
        let token = random()?;
        self.state().link = Some((digest(&token), Instant::now() + LINK));
        Ok(format!("http://{}/enter/{token}", self.host))
    }

    /// Whether the request is for us, and none that another's page has made: names of other hosts may lead to our
    /// address too, and any page may send a form to it.
    pub(super) fn ours(&self, request: &Request) -> Result<(), Refused> {
        let own = format!("http://{}", self.host);
        let origin = request.origin.as_ref().is_none_or(|origin| *origin == own);
        let site = request.site.as_deref();
        let whence = if request.post {
            // What changes something has to say where it comes from.
            let told = request.origin.is_some() || site.is_some();
            told && origin && site.is_none_or(|site| site == "same-origin")
        } else {
            // A link may be followed from wherever it was shown; a page of ours from ours, or by typing its address.
            let entering =
                matches!(request.path.as_slice(), [first, _] if first == ENTER || first == OPEN);
            entering || origin && site.is_none_or(|site| matches!(site, "none" | "same-origin"))
        };
        let host = request.host.as_deref() == Some(self.host.as_str());
        if host && whence { Ok(()) } else { Err(Refused::Foreign) }
    }

    /// Takes the link's token, which is used up by that; gives the line that sets the cookie.
    pub(super) fn enter(&self, token: &str) -> Result<String, Failure> {
        let mut state = self.state();
        let now = Instant::now();
        // Digests are compared, so the time it takes says nothing of the token.
        let fits = state.link.is_some_and(|(link, until)| link == digest(token) && now < until);
        if !fits {
            let problem = Problem::new("this link was used, has expired, or is none of ours");
            return Err(Failure::new(exit::NO, problem.hint("press Enter in the terminal")));
        }
        let (cookie, form) = (random()?, random()?);
        state.link = None;
        state.visitors.retain(|visitor| now < visitor.until);
        if state.visitors.len() >= VISITORS {
            state.visitors.remove(0);
        }
        let visitor = Visitor { cookie: digest(&cookie), form, until: now + STAY };
        state.visitors.push(visitor);
        let (name, seconds) = (&self.cookie, STAY.as_secs());
        Ok(format!("{name}={cookie}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"))
    }

    /// What this visitor's forms must carry. A form that does not carry it was not made by us.
    pub(super) fn visitor(&self, request: &Request) -> Result<String, Refused> {
        let cookie = digest(request.cookie(&self.cookie).ok_or(Refused::Stranger)?);
        let (state, now) = (self.state(), Instant::now());
        let known = |visitor: &&Visitor| visitor.cookie == cookie && now < visitor.until;
        let visitor = state.visitors.iter().find(known).ok_or(Refused::Stranger)?;
        let carried = request.given("form").map(digest);
        if request.post && carried != Some(digest(&visitor.form)) {
            return Err(Refused::Foreign);
        }
        Ok(visitor.form.clone())
    }

    /// The visitor goes, and the cookie is good no more.
    pub(super) fn leave(&self, request: &Request) {
        let cookie = request.cookie(&self.cookie).map(digest);
        self.state().visitors.retain(|visitor| Some(visitor.cookie) != cookie);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// What nobody can guess: 32 random bytes, hashed, as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if got != Ok(bytes.len()) {
        return Err(Failure::new(exit::STATE, Problem::new("the kernel gives no random bytes")));
    }
    Ok(Digest::of(&bytes).to_string())
}

/// Where a link leads.
pub(super) const ENTER: &str = "enter";
const LINK: Duration = Duration::from_mins(10);
const STAY: Duration = Duration::from_hours(12);
/// Browsers that are in at the same time; the first one goes when there is one more.
const VISITORS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_egress::Asked;

    const HERE: &str = "127.0.0.1:7";

    fn door() -> Door {
        Door::new(HERE.parse().unwrap())
    }

    fn token(door: &Door) -> String {
        door.link().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    fn cookie(set: &str) -> String {
        set.split(';').next().unwrap().to_owned()
    }

    fn request(post: bool, fields: &[(&str, &str)], form: &str) -> Request {
        let mut asked = Asked::get("/", fields);
        if post {
            let fields = [fields, &[("content-type", "application/x-www-form-urlencoded")]];
            asked = Asked::get("/", &fields.concat());
            (asked.post, asked.body) = (true, format!("form={form}").into_bytes());
        }
        Request::read(&asked).unwrap()
    }

    #[test]
    fn a_link_lets_in_once_and_each_form_is_the_visitors_own() {
        let door = door();
        assert!(door.enter("").is_err(), "there is no link yet");
        let (old, token) = (token(&door), token(&door));
        assert!(door.enter(&old).is_err(), "a new link takes the place of the old");
        assert!(door.enter(&"0".repeat(64)).is_err());
        let set = door.enter(&token).unwrap();
        assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
        assert!(door.enter(&token).is_err(), "it was used");
        let sent = cookie(&set);
        let form = door.visitor(&request(false, &[("cookie", &sent)], "")).unwrap();
        assert_eq!(door.visitor(&request(true, &[("cookie", &sent)], &form)), Ok(form.clone()));
        for wrong in ["", "0", &sent] {
            let forged = request(true, &[("cookie", &sent)], wrong);
            assert_eq!(door.visitor(&forged), Err(Refused::Foreign));
        }
        let forged = format!("bartizan-7={form}");
        for stranger in ["", "bartizan-7=", &forged, &format!("{sent}; {forged}")] {
            let stranger = request(true, &[("cookie", stranger)], &form);
            assert_eq!(door.visitor(&stranger), Err(Refused::Stranger));
        }
        door.leave(&request(true, &[("cookie", &sent)], &form));
        assert_eq!(door.visitor(&request(false, &[("cookie", &sent)], "")), Err(Refused::Stranger));
    }

    #[test]
    fn what_another_site_has_made_is_not_ours() {
        let (door, own) = (door(), format!("http://{HERE}"));
        let ours = |post, fields: &[(&str, &str)]| door.ours(&request(post, fields, ""));
        assert_eq!(ours(true, &[("host", HERE), ("origin", &own)]), Ok(()));
        assert_eq!(ours(true, &[("host", HERE), ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(ours(false, &[("host", HERE)]), Ok(()));
        assert_eq!(ours(true, &[("host", HERE)]), Err(Refused::Foreign), "it says nothing");
        for host in ["evil.example:7", "127.0.0.1", "localhost:7", "127.0.0.1:8"] {
            for post in [false, true] {
                assert_eq!(ours(post, &[("host", host), ("origin", &own)]), Err(Refused::Foreign));
            }
        }
        for origin in ["http://127.0.0.1:8", "https://127.0.0.1:7", "http://evil.example", "null"] {
            assert_eq!(ours(true, &[("host", HERE), ("origin", origin)]), Err(Refused::Foreign));
        }
        for site in ["cross-site", "same-site", "none"] {
            let fields = [("host", HERE), ("origin", &own), ("sec-fetch-site", site)];
            assert_eq!(ours(true, &fields), Err(Refused::Foreign), "{site}");
            assert_eq!(ours(false, &fields).is_ok(), site == "none", "{site}");
        }
        let twice = [("host", HERE), ("host", HERE), ("origin", own.as_str())];
        assert_eq!(ours(true, &twice), Err(Refused::Foreign));
    }

    #[test]
    fn the_first_of_too_many_visitors_goes() {
        let door = door();
        let enter = || cookie(&door.enter(&token(&door)).unwrap());
        let first = enter();
        let others: Vec<String> = (0..VISITORS).map(|_| enter()).collect();
        let seen = |sent: &str| door.visitor(&request(false, &[("cookie", sent)], "")).is_ok();
        assert!(!seen(&first) && others.iter().all(|other| seen(other)));
    }
}
