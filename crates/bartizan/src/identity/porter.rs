//! Who is let in to `bartizan serve`? Asked for every request; the first time of each identity, and each refusal, is on the
//! log.

use super::admits::{Admits, Known};
use super::bearer::{Bearer, PREFIX};
use super::oauth::{Issuer, Refused};
use crate::config::mtls::{Demand, Mtls};
use bartizan_mcp::conversation::{Evidence, Who};
use bartizan_mcp::front::{Certificate, Doorman, Pass, Shown, Turned};
use bartizan_scan::display_line;
use bartizan_store::{
    Durability, Entry, Event, Ledger as _, Store, Token, TokenState, Tokens as _,
};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::spawn_blocking;

/// Keeps the door.
pub(crate) struct Porter {
    store: Store,
    admits: Admits,
    issuer: Option<Issuer>,
    /// The role of everybody, where the operator demands nothing (`--dev-no-auth`).
    undemanded: Option<String>,
    seen: Mutex<HashMap<String, Instant>>,
    /// Held while it is put on the log that somebody came in.
    recording: tokio::sync::Mutex<()>,
    refused: Mutex<Pace>,
}

/// How many refusals were recorded lately: whoever knocks without a token must not fill the disk.
struct Pace {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Porter {
    /// A porter who knows the tokens of `store`, the roles that are configured, and perhaps an issuer.
    pub(crate) fn new(store: Store, roles: BTreeSet<String>, issuer: Option<Issuer>) -> Self {
        let pace = Pace { since: Instant::now(), written: 0, left_out: 0 };
        let (seen, refused) = (Mutex::default(), Mutex::new(pace));
        let recording = tokio::sync::Mutex::default();
        let admits = Admits::new(roles, None);
        Self { store, admits, issuer, undemanded: None, seen, recording, refused }
    }

    /// The same, who looks at certificates too.
    pub(crate) fn certifying(self, mtls: Option<Mtls>) -> Self {
        let known = self.admits.known();
        Self { admits: Admits::new(known.roles().clone(), mtls), ..self }
    }

    /// Whom this lets in, to be changed while clients are in.
    pub(crate) fn admits(&self) -> Admits {
        self.admits.clone()
    }

    /// The same, who lets everybody in as `role`.
    pub(crate) fn demanding_nothing(self, role: String) -> Self {
        Self { undemanded: Some(role), ..self }
    }

    async fn judge(&self, shown: Shown<'_>) -> Result<Pass, (Turned, &'static str)> {
        if let Some(role) = &self.undemanded {
            let who = Who { role: role.clone(), by: Evidence::Undemanded, tools: None };
            return Ok(Pass { who: Arc::new(who), ends_s: None });
        }
        let known = self.admits.known();
        let (certificate, beside) = match (known.demand(), shown.certificate) {
            (None, _) | (Some(Demand::Either), None) => {
                return self.bearer(&known, shown).await;
            }
            (Some(_), None) => return Err((Turned::Uncertified, "certificate-missing")),
            (Some(_), Some(shown)) if shown.ends_s < now_s() => {
                return Err((Turned::Uncertified, "certificate-expired"));
            }
            // Whatever is shown must hold, needed or not.
            (Some(demand), Some(certificate)) => {
                let alone = demand != Demand::Both && shown.authorization.is_none();
                let beside = self.bearer(&known, shown);
                (certificate, if alone { None } else { Some(beside.await?) })
            }
        };
        certified(&known, certificate, beside)
    }

    /// Whoever shows a token.
    async fn bearer(
        &self,
        known: &Known,
        shown: Shown<'_>,
    ) -> Result<Pass, (Turned, &'static str)> {
        let text = shown.authorization.ok_or((Turned::Nothing, "nothing-shown"))?;
        let (scheme, token) = text.split_once(' ').ok_or((Turned::Worthless, "no-bearer"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err((Turned::Worthless, "no-bearer"));
        }
        if token.starts_with(PREFIX) {
            return self.issued(known, token);
        }
        match &self.issuer {
            Some(issuer) => {
                let holder = shown.certificate.map(|certificate| &certificate.sha256);
                let pass = self.signed(issuer, token, holder).await?;
                let known = known.has_role(&pass.who.role);
                if known { Ok(pass) } else { Err((Turned::NoRole, "role-unknown")) }
            }
            None => Err((Turned::Worthless, "token-malformed")),
        }
    }

    /// One of our own.
    fn issued(&self, known: &Known, token: &str) -> Result<Pass, (Turned, &'static str)> {
        let token = Bearer::parse(token).ok_or((Turned::Worthless, "token-malformed"))?;
        let found = self.store.token_of(&token.hash());
        let found = found.map_err(|_| (Turned::Unavailable, "store-unavailable"))?;
        let token = found.ok_or((Turned::Worthless, "token-unknown"))?;
        match token.state() {
            TokenState::Good => {}
            TokenState::Expired => return Err((Turned::Worthless, "token-expired")),
            TokenState::Revoked => return Err((Turned::Worthless, "token-revoked")),
        }
        if !known.has_role(&token.role) {
            return Err((Turned::NoRole, "role-unknown"));
        }
        let tools = (!token.tools.is_empty()).then(|| token.tools.into_iter().collect());
        let who = Who { role: token.role, by: Evidence::Token(token.id), tools };
        Ok(Pass { who: Arc::new(who), ends_s: Some(token.expires_ms / 1000) })
    }

    /// The token of ours that was shown, whatever it is worth now: whoever goes on with one that was taken back is worth a look.
    fn once_issued(&self, shown: Shown<'_>) -> Option<Token> {
        let (_, token) = shown.authorization?.split_once(' ')?;
        self.store.token_of(&Bearer::parse(token)?.hash()).ok().flatten()
    }

    /// One of the issuer's.
    async fn signed(
        &self,
        issuer: &Issuer,
        token: &str,
        holder: Option<&[u8; 32]>,
    ) -> Result<Pass, (Turned, &'static str)> {
        let judged = issuer.judge(token, now_s(), holder).await;
        let (claims, role, ends_s) = judged.map_err(|refused| match refused {
            Refused::NoRole => (Turned::NoRole, "scope-insufficient"),
            Refused::NoKeys => (Turned::Unavailable, "issuer-keys-unavailable"),
            Refused::Worthless(flaw) => (Turned::Worthless, code_of(flaw)),
        })?;
        let (issuer, subject) = (issuer.name().to_owned(), claims.subject().to_owned());
        let who = Who { role, by: Evidence::Signed { issuer, subject }, tools: None };
        Ok(Pass { who: Arc::new(who), ends_s: Some(ends_s) })
    }

    /// Whether what somebody showed is still worth that role. What an issuer signed ends with its time; nobody asks it
    /// again before.
    fn holds(&self, by: &Evidence, role: &str) -> bool {
        match by {
            Evidence::Token(id) => {
                self.store.token(id).is_ok_and(|token| token.state() == TokenState::Good)
            }
            Evidence::Certificate(name) => self.admits.known().gives(name, role),
            Evidence::Both { certificate, and } => {
                self.admits.known().gives(certificate, role) && self.holds(and, role)
            }
            Evidence::Signed { .. } | Evidence::Undemanded => true,
            // Nobody comes in here by anything else.
            _ => false,
        }
    }

    /// Puts it on the log that somebody came in, unless they did a while ago. Without a log nobody comes in. Whoever is known
    /// waits for nobody's record.
    async fn came_in(&self, who: &Who) -> bool {
        let key = described(who).to_string();
        if self.has_seen(&key) {
            return true;
        }
        // One at a time, so that a crowd of one identity is one record.
        let _recording = self.recording.lock().await;
        if self.has_seen(&key) {
            return true;
        }
        let entry = Entry::new(Event::Token).with("act", "use").with("who", described(who));
        let store = self.store.clone();
        let recorded = spawn_blocking(move || store.append(entry, Durability::Durable).is_ok());
        if !recorded.await.unwrap_or(false) {
            return false;
        }
        let (mut seen, now) = (self.seen(), Instant::now());
        seen.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        seen.insert(key, now);
        true
    }

    /// Whether it is on the log that somebody came in, a while ago at most.
    fn has_seen(&self, key: &str) -> bool {
        self.seen().get(key).is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a refusal on the log, up to a number a minute; beyond that they are counted.
    fn turned_away(&self, code: &str, who: Option<&Who>, shown: Option<Shown<'_>>) {
        let Some(left_out) = self.pace() else { return };
        let mut entry = Entry::new(Event::Token).with("act", "refuse").with("code", code);
        if let Some(who) = who {
            entry = entry.with("who", described(who));
        }
        if let Some(certificate) = shown.and_then(|shown| shown.certificate) {
            entry = entry.with("certificate", named(certificate));
        }
        if let Some(token) = shown.and_then(|shown| self.once_issued(shown)) {
            entry = entry.with("token", token.id).with("name", token.name);
        }
        if left_out > 0 {
            entry = entry.with("left_out", left_out);
        }
        // They stay out whether it could be recorded or not.
        drop(self.store.append(entry, Durability::Soon));
    }

    /// Whether one more refusal is written, and how many were not before it.
    fn pace(&self) -> Option<u64> {
        let mut pace = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.since.elapsed() >= MINUTE {
            (pace.since, pace.written) = (Instant::now(), 0);
        }
        if pace.written >= PER_MINUTE {
            pace.left_out += 1;
            return None;
        }
        pace.written += 1;
        Some(std::mem::take(&mut pace.left_out))
    }
}

impl Doorman for Porter {
    async fn identify(&self, shown: Shown<'_>) -> Result<Pass, Turned> {
        match self.judge(shown).await {
            Ok(pass) if self.came_in(&pass.who).await => Ok(pass),
            Ok(_) => Err(Turned::Unavailable),
            Err((turned, code)) => {
                self.turned_away(code, None, Some(shown));
                Err(turned)
            }
        }
    }

    fn stands(&self, who: &Who) -> bool {
        self.admits.known().has_role(&who.role) && self.holds(&who.by, &who.role)
    }

    fn challenge(&self, turned: Turned) -> String {
        let mut parts = Vec::new();
        match turned {
            Turned::Worthless => parts.push("error=\"invalid_token\"".to_owned()),
            Turned::NoRole => parts.push("error=\"insufficient_scope\"".to_owned()),
            Turned::Nothing | Turned::Uncertified | Turned::Unavailable => {}
        }
        if let Some(issuer) = &self.issuer {
            let scopes = issuer.scopes().join(" ");
            if !scopes.is_empty()
                && scopes
                    .bytes()
                    .all(|b| b == b' ' || (b.is_ascii_graphic() && b != b'"' && b != b'\\'))
            {
                parts.push(format!("scope=\"{scopes}\""));
            }
            if let Some(url) = metadata_url(issuer.audience()) {
                parts.push(format!("resource_metadata=\"{url}\""));
            }
        }
        format!("Bearer {}", parts.join(", ")).trim_end().to_owned()
    }

    fn metadata(&self) -> Option<String> {
        let issuer = self.issuer.as_ref()?;
        let metadata = json!({
            "resource": issuer.audience(),
            "authorization_servers": [issuer.name()],
            "bearer_methods_supported": ["header"],
            "scopes_supported": issuer.scopes(),
        });
        Some(metadata.to_string())
    }

    fn noted(&self, who: Option<&Who>, code: &'static str) {
        self.turned_away(code, who, None);
    }
}

/// Who, for the log; nothing in it is a secret.
fn described(who: &Who) -> serde_json::Value {
    json!({ "role": who.role, "by": shown_by(&who.by), "tools": who.tools })
}

fn shown_by(evidence: &Evidence) -> serde_json::Value {
    match evidence {
        Evidence::Token(id) => json!({ "token": id }),
        Evidence::Signed { issuer, subject } => json!({ "issuer": issuer, "subject": subject }),
        Evidence::Certificate(name) => json!({ "certificate": name }),
        Evidence::Both { certificate, and } => {
            let mut by = shown_by(and);
            if let Some(fields) = by.as_object_mut() {
                fields.insert("certificate".to_owned(), json!(certificate));
            }
            by
        }
        Evidence::Undemanded => json!("undemanded"),
        _ => json!("socket"),
    }
}

/// What a certificate calls its owner, for the log: a few of its names, since an authority may have put in many.
fn named(certificate: &Certificate) -> serde_json::Value {
    let dns = certificate.dns.iter().map(|name| format!("dns:{name}"));
    let names = dns.chain(certificate.uris.iter().map(|name| format!("uri:{name}")));
    names.take(NAMES).map(|name| display_line(&name, NAME)).collect()
}

/// Somebody whose certificate holds, and whose token, where there is one beside it.
fn certified(
    known: &Known,
    certificate: &Certificate,
    beside: Option<Pass>,
) -> Result<Pass, (Turned, &'static str)> {
    let role = beside.as_ref().map(|pass| pass.who.role.as_str());
    let named = known.certified(certificate, role);
    let (name, role) = named.map_err(|nameless| (Turned::NoRole, nameless.code()))?;
    if !known.has_role(&role) {
        return Err((Turned::NoRole, "role-unknown"));
    }
    let ends_s = certificate.ends_s.saturating_add(1);
    let Some(Pass { who, ends_s: other }) = beside else {
        let who = Who { role, by: Evidence::Certificate(name), tools: None };
        return Ok(Pass { who: Arc::new(who), ends_s: Some(ends_s) });
    };
    let by = Evidence::Both { certificate: name, and: Box::new(who.by.clone()) };
    let who = Who { role, by, tools: who.tools.clone() };
    let ends_s = other.map_or(ends_s, |other| other.min(ends_s));
    Ok(Pass { who: Arc::new(who), ends_s: Some(ends_s) })
}

fn code_of(flaw: bartizan_mcp::signed::Flaw) -> &'static str {
    use bartizan_mcp::signed::Flaw;
    match flaw {
        Flaw::Algorithm => "jwt-algorithm",
        Flaw::Audience => "jwt-audience",
        Flaw::Bound => "jwt-bound",
        Flaw::Expired => "jwt-expired",
        Flaw::Issuer => "jwt-issuer",
        Flaw::KeyUnknown => "jwt-key-unknown",
        Flaw::NotYet => "jwt-not-yet",
        Flaw::Signature => "jwt-signature",
        _ => "jwt-malformed",
    }
}

/// Where the metadata of a resource is: between its host and its path (RFC 9728 section 3.1).
fn metadata_url(resource: &str) -> Option<String> {
    let (scheme, rest) = resource.split_once("://")?;
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| {
        (host, format!("/{}", path.trim_end_matches('/')))
    });
    let path = path.trim_end_matches('/');
    Some(format!("{scheme}://{host}/.well-known/oauth-protected-resource{path}"))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const MINUTE: Duration = Duration::from_mins(1);
const PER_MINUTE: u32 = 60;
/// How long somebody who came in is not put on the log again.
const REMEMBERED: Duration = Duration::from_mins(10);
/// So many names of a certificate are put on the log, and of each so many characters.
const NAMES: usize = 8;
const NAME: usize = 200;

#[cfg(test)]
mod tests;
