//! Who is at the console? Whoever opened the link that the terminal showed, once; and from our own pages alone.

use super::At;
use super::request::Request;
use super::sent::OPEN;
use crate::report::Failure;
use bartizan_store::Digest;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The one link that is good, and whoever came in by one.
#[derive(Debug)]
pub(super) struct Door {
    /// Where we are, as a browser writes it in `Host`.
    host: String,
    /// Whether that is under TLS.
    secure: bool,
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
    person: String,
    form: String,
    /// The passkey that they came in by.
    passkey: Option<Vec<u8>>,
    since: Instant,
    until: Instant,
}

/// Somebody who is in: who they are, and what their forms carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) person: String,
    pub(super) form: String,
    /// The passkey that they came in by; they are in for as long as it is good.
    pub(super) passkey: Option<Vec<u8>>,
    /// Whether they came in just now.
    pub(super) fresh: bool,
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
    /// A door at this place; nobody is in, and no link is good.
    pub(super) fn new(at: At) -> Self {
        let (host, secure, cookie) = match at {
            // Cookies do not keep ports apart, so that of another console on this host has another name.
            At::Loopback(address) => {
                (address.to_string(), false, format!("bartizan-{}", address.port()))
            }
            // The prefix has the browser see to it that no other host, and nothing in the clear, has set it.
            At::Named(host) => {
                let port = host.rsplit_once(':').map_or("443", |(_, port)| port);
                let cookie = format!("__Host-bartizan-{port}");
                (host, true, cookie)
            }
        };
        Self { host, secure, cookie, state: Mutex::default() }
    }

    /// Whether people come in under TLS, from wherever; or else from this machine alone.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The address, as a browser writes it in `Host`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.host)
    }

    /// A link that lets one browser in, once. The one before is good no more.
    pub(super) fn link(&self) -> Result<String, Failure> {
        let token = random()?;
        self.state().link = Some((digest(&token), Instant::now() + LINK));
        Ok(format!("{}/enter/{token}", self.origin()))
    }

    /// Whether the request is for us, and none that another's page has made: names of other hosts may lead to our
    /// address too, and any page may send a form to it.
    pub(super) fn ours(&self, request: &Request) -> Result<(), Refused> {
        let own = self.origin();
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

    /// Whether this is the token of the link that the terminal shows; it is used up by that.
    pub(super) fn redeem(&self, token: &str) -> bool {
        let mut state = self.state();
        // Digests are compared, so the time it takes says nothing of the token.
        let fits = |(link, until)| link == digest(token) && Instant::now() < until;
        let fits = state.link.is_some_and(fits);
        if fits {
            state.link = None;
        }
        fits
    }

    /// Lets somebody in, by this passkey if it was one; gives the line that sets their cookie.
    pub(super) fn admit(&self, person: &str, passkey: Option<&[u8]>) -> Result<String, Failure> {
        let (cookie, form) = (random()?, random()?);
        let (mut state, now) = (self.state(), Instant::now());
        state.visitors.retain(|visitor| now < visitor.until);
        let own = |visitor: &Visitor| visitor.person == person;
        if state.visitors.iter().filter(|visitor| own(visitor)).count() >= VISITORS
            && let Some(first) = state.visitors.iter().position(own)
        {
            state.visitors.remove(first);
        }
        state.visitors.push(Visitor {
            cookie: digest(&cookie),
            person: person.to_owned(),
            form,
            passkey: passkey.map(<[u8]>::to_vec),
            since: now,
            until: now + STAY,
        });
        let (name, seconds) = (&self.cookie, STAY.as_secs());
        let secure = if self.secure { "; Secure" } else { "" };
        Ok(format!("{name}={cookie}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"))
    }

    /// Who this visitor is, and what their forms must carry. A form that does not carry it was not made by us.
    pub(super) fn visitor(&self, request: &Request) -> Result<Known, Refused> {
        let cookie = digest(request.cookie(&self.cookie).ok_or(Refused::Stranger)?);
        let (state, now) = (self.state(), Instant::now());
        let known = |visitor: &&Visitor| visitor.cookie == cookie && now < visitor.until;
        let visitor = state.visitors.iter().find(known).ok_or(Refused::Stranger)?;
        let carried = request.given("form").map(digest);
        if request.post && carried != Some(digest(&visitor.form)) {
            return Err(Refused::Foreign);
        }
        Ok(Known {
            person: visitor.person.clone(),
            form: visitor.form.clone(),
            passkey: visitor.passkey.clone(),
            fresh: visitor.since.elapsed() < FRESH,
        })
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
pub(crate) fn random() -> Result<String, Failure> {
    Ok(Digest::of(&crate::machine::random::<32>()?).to_string())
}

/// Where a link leads.
pub(super) const ENTER: &str = "enter";
pub(crate) const LINK: Duration = Duration::from_mins(10);
/// For how long somebody counts as having come in just now.
const FRESH: Duration = Duration::from_mins(10);
const STAY: Duration = Duration::from_hours(12);
/// Browsers in which one person is in at the same time; the first one goes when there is one more.
const VISITORS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_egress::Asked;

    const HERE: &str = "127.0.0.1:7";

    fn door() -> Door {
        Door::new(At::Loopback(HERE.parse().unwrap()))
    }

    /// Comes in by a link, if it is good.
    fn enter(door: &Door, token: &str) -> Option<String> {
        door.redeem(token).then(|| door.admit("local:ann", None).unwrap())
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
        assert_eq!(enter(&door, ""), None, "there is no link yet");
        let (old, token) = (token(&door), token(&door));
        assert_eq!(enter(&door, &old), None, "a new link takes the place of the old");
        assert_eq!(enter(&door, &"0".repeat(64)), None);
        let set = enter(&door, &token).unwrap();
        assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
        assert_eq!(enter(&door, &token), None, "it was used");
        let sent = cookie(&set);
        let known = door.visitor(&request(false, &[("cookie", &sent)], "")).unwrap();
        let form = known.form.clone();
        assert_eq!(door.visitor(&request(true, &[("cookie", &sent)], &form)), Ok(known));
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
        let enter = |person: &str| cookie(&door.admit(person, None).unwrap());
        let (first, other) = (enter("local:ann"), enter("web:ben"));
        let mut others: Vec<String> = (0..VISITORS).map(|_| enter("local:ann")).collect();
        others.push(other);
        let seen = |sent: &str| door.visitor(&request(false, &[("cookie", sent)], "")).is_ok();
        assert!(!seen(&first) && others.iter().all(|other| seen(other)));
    }

    #[test]
    fn under_tls_the_cookie_is_bound_to_the_host_and_a_page_in_the_clear_is_not_ours() {
        let door = Door::new(At::Named("c.example:8485".to_owned()));
        assert!(door.link().unwrap().starts_with("https://c.example:8485/enter/"));
        let set = door.admit("web:ben", None).unwrap();
        assert!(set.starts_with("__Host-bartizan-8485=") && set.ends_with("; Secure"), "{set}");
        let ours = |origin: &str| {
            door.ours(&request(true, &[("host", "c.example:8485"), ("origin", origin)], ""))
        };
        assert_eq!(ours("https://c.example:8485"), Ok(()));
        for origin in ["http://c.example:8485", "https://c.example", "https://b.example:8485"] {
            assert_eq!(ours(origin), Err(Refused::Foreign), "{origin}");
        }
    }
}
