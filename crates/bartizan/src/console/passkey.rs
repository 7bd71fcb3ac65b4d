//! How does a person show that it is them, and that an answer is theirs? By a passkey, which signs what they mean.
//!
//! What is meant is a text ([`challenge`]), what comes back is held against it and the key ([`said`]), and who holds which key the
//! store knows. Coming in ([`entering`]), one's own passkeys ([`own`]) and answers ([`confirming`]) are the same act.

mod cbor;
mod challenge;
mod confirming;
mod entering;
mod form;
mod own;
mod said;

use super::Console;
use super::request::Request;
use crate::cli::exit;
use crate::report::{Failure, Problem};
use bartizan_store::{
    Digest, Durability, Entry, Event, Ledger as _, Passkey, PasskeyUse, Store, StoreError,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use challenge::{Challenges, Meaning};
pub(super) use confirming::{Confirmed, confirm};
pub(super) use entering::{enter, invitation};
pub(super) use own::{further, list, make};
use said::{Assertion, Site, Why};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// What a console needs to ask for passkeys.
#[derive(Debug)]
pub(super) struct Passkeys {
    /// None where no browser lets one be used.
    site: Option<Site>,
    challenges: Challenges,
    log_id: String,
}

impl Passkeys {
    /// For a console at this address, under TLS or not.
    pub(super) fn new(host: &str, secure: bool, store: &Store) -> Result<Self, Failure> {
        let name = secure.then(|| name(host)).flatten();
        let site =
            name.map(|name| Site { host: name.to_owned(), origin: format!("https://{host}") });
        let log_id = store.public_key().log_id().to_owned();
        Ok(Self { site, challenges: Challenges::new(&log_id)?, log_id })
    }

    /// What an authenticator keeps to know its owner again: the same for each of their passkeys.
    fn handle(&self, person: &str) -> Digest {
        Digest::of(format!("bartizan.local/person/1\n{}\n{person}\n", self.log_id).as_bytes())
    }

    fn site(&self) -> Result<&Site, Failure> {
        self.site.as_ref().ok_or_else(|| {
            let problem = Problem::new(NO_NAME);
            Failure::new(
                exit::NO,
                problem.hint("answer with bartizan approvals, or at the console's own name"),
            )
        })
    }
}

/// The name of an address, without its port; none for a number. A browser takes whatever ends in a number for one.
pub(crate) fn name(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    let number = number || name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    (!number).then_some(name)
}

/// The good passkeys of a person.
fn good(store: &Store, person: &str) -> Result<Vec<Passkey>, StoreError> {
    let mut all = store.passkeys(Some(person))?;
    all.retain(|passkey| passkey.revoked_ms.is_none());
    Ok(all)
}

impl Console {
    /// Holds the use of a passkey that this form carries against what is meant by it; gives the passkey, and what shows anybody
    /// later that it was used. It must be that of `person`, where they are known already.
    fn proven(
        &self,
        (request, form): (&Request, &str),
        meaning: Meaning<'_>,
        person: Option<&str>,
    ) -> Result<(Passkey, Value), Failure> {
        let proven = self.held((request, form), meaning, person);
        if let (Err(failure), Some(person)) = (&proven, person) {
            // Whoever is in under a name and has not its passkey is worth a look.
            let entry = Entry::new(Event::ConfigChange)
                .with("act", "passkey-refused")
                .with("person", person)
                .with("why", failure.in_words());
            let recorded = self.store.append(entry, Durability::Durable);
            let _receipt = recorded.map_err(|error| Failure::from(StoreError::from(error)))?;
        }
        proven
    }

    fn held(
        &self,
        (request, form): (&Request, &str),
        meaning: Meaning<'_>,
        person: Option<&str>,
    ) -> Result<(Passkey, Value), Failure> {
        let (site, challenges) = (self.passkeys.site()?, &self.passkeys.challenges);
        let ticket = request.given("ticket").unwrap_or_default();
        let challenge = challenges.known(form, meaning, ticket).map_err(refused)?;
        let said = assertion(request).ok_or_else(|| refused("it is not whole"))?;
        let passkey = self.store.passkey(&said.credential)?;
        let passkey = passkey
            .filter(|passkey| passkey.revoked_ms.is_none() && passkey.host == site.host)
            .filter(|passkey| person.is_none_or(|person| person == passkey.person))
            .ok_or_else(|| refused("it is unknown here, another's, or was revoked"))?;
        // Who is not known yet is whom the passkey knows, and both have to agree.
        let user = bytes(request, "user");
        let handle = self.passkeys.handle(&passkey.person);
        let same = user.as_deref().map(|user| user == handle.as_bytes());
        if !same.unwrap_or(person.is_some()) {
            return Err(refused("it is another's"));
        }
        let digest = challenge.digest();
        let counter = said::used(site, &digest, (&passkey.key, passkey.synced), &said);
        let counter = counter.map_err(refused)?;
        challenges.spend(&challenge).map_err(refused)?;
        self.approver(&passkey.person)?;
        let whereto = match meaning {
            Meaning::Enter => PasskeyUse::Enter,
            Meaning::Further { .. } | Meaning::Make { .. } | Meaning::Answer { .. } => {
                PasskeyUse::Confirm
            }
        };
        let passkey = self.store.use_passkey(&said.credential, counter, whereto)?;
        let proof = json!({
            "id": passkey.id,
            "signed": challenge.text,
            "authenticator": BASE64.encode(&said.authenticator),
            "client": BASE64.encode(&said.client),
            "signature": BASE64.encode(&said.signature),
        });
        Ok((passkey, proof))
    }
}

fn assertion(request: &Request) -> Option<Assertion> {
    let field = |name: &str| bytes(request, name);
    Some(Assertion {
        credential: field("credential")?,
        authenticator: field("authenticator")?,
        client: field("client")?,
        signature: field("signature")?,
    })
}

/// The bytes that a field of a form carries.
fn bytes(request: &Request, name: &str) -> Option<Vec<u8>> {
    BASE64.decode(request.given(name)?).ok()
}

fn refused(why: Why) -> Failure {
    let problem = Problem::new(format!("the passkey was not taken: {why}"));
    Failure::new(exit::NO, problem.hint("go back, and try again"))
}

/// Why there are none.
const NO_NAME: &str =
    "a browser uses passkeys only under TLS and at a name, not at an address of numbers";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_needs_a_name() {
        for (host, wanted) in [
            ("console.example.com:8485", Some("console.example.com")),
            ("console.example.com", Some("console.example.com")),
            ("localhost:1", Some("localhost")),
            ("desk", Some("desk")),
            ("192.0.2.1", None),
            ("127.0.0.1:8485", None),
            ("[::1]:8485", None),
            ("127.1:8485", None),
            ("1.0x7f", None),
            ("2130706433", None),
        ] {
            assert_eq!(name(host), wanted, "{host}");
        }
    }
}
