//! Does a token of a GitHub App end with the run that needed it, also when that was killed? GitHub takes one back from whoever
//! shows it, so it is kept, sealed for the app's own key: who could open that could mint another.

use super::super::http::Call;
use super::super::lease::{self, Lease};
use super::super::material::{self, Material};
use super::super::{Origin, Vault, in_time};
use super::{GithubApp, TokenMint, accepted, early, sealed, token};
use crate::fault::{Fault, FaultKind};
use crate::secret::SecretValue;
use bartizan_gate::name::SecretName;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::Method;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

impl Vault {
    /// A token of its own for this run, in the book before it is asked for.
    pub(super) async fn installation(
        &self,
        name: &SecretName,
        app: &GithubApp,
    ) -> Result<Material, Fault> {
        let key = self.inner(&app.key).await?;
        let lease = Lease::new(BACK_END, name.as_str())?;
        self.note(&lease)?;
        let minted = self.ask_installation(app, &key).await;
        let Ok(material) = &minted else {
            // What was lost on the way has no name and ends by itself.
            self.strike(&lease);
            return minted;
        };
        let value = material.field(material::VALUE)?;
        let handle = key.danger_expose(|key| sealed::seal(key, &lease.id, value.bytes()))?;
        let lease = lease.held_as(&handle);
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(lease.clone());
        if let Err(fault) = self.note(&lease) {
            // No record, no token.
            drop(self.end_installation(app, &value).await);
            return Err(fault);
        }
        minted
    }

    /// Ends the tokens that were minted; those that have ended by themselves, too.
    pub(in crate::vault) async fn end_tokens(&self) -> Vec<Fault> {
        let leases =
            std::mem::take(&mut *self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner));
        let mut faults = Vec::new();
        for lease in leases {
            match in_time(Box::pin(self.take_token_back(&lease))).await {
                Ok(()) => self.strike(&lease),
                Err(fault) => faults.push(fault),
            }
        }
        faults
    }

    /// Ends the token of a lease, of this run or of one that was killed.
    pub(in crate::vault) async fn take_token_back(&self, lease: &Lease) -> Result<(), Fault> {
        // What nothing here can open ends by itself within the hour, and was recorded.
        let Some(handle) = &lease.handle else { return Ok(()) };
        let name = SecretName::parse(&lease.subject).ok();
        let declared = name.and_then(|name| self.0.secrets.get(&name));
        let Some(Origin::Token(TokenMint::GithubApp(app))) = declared.map(|it| &it.from) else {
            return Ok(());
        };
        let key = self.inner(&app.key).await?;
        let opened = key.danger_expose(|key| sealed::open(key, &lease.id, handle));
        match opened {
            Some(token) => self.end_installation(app, &token).await,
            None => Ok(()),
        }
    }

    fn note(&self, lease: &Lease) -> Result<(), Fault> {
        self.0.book.as_ref().map_or(Ok(()), |book| book.write(lease)).map_err(lease::unwritten)
    }

    fn strike(&self, lease: &Lease) {
        // What stays in the book is taken back once more, which does nothing.
        if let Some(book) = &self.0.book {
            drop(book.strike(&lease.id));
        }
    }

    async fn ask_installation(
        &self,
        app: &GithubApp,
        key: &SecretValue,
    ) -> Result<Material, Fault> {
        let proof = key.danger_expose(|pem| app_proof(&app.app, pem, now()))?;
        let mut wanted = json!({});
        if let Value::Object(wanted) = &mut wanted {
            if !app.repositories.is_empty() {
                wanted.insert("repositories".to_owned(), json!(app.repositories));
            }
            if !app.permissions.is_empty() {
                wanted.insert("permissions".to_owned(), json!(app.permissions));
            }
        }
        let bearer = Zeroizing::new(format!("Bearer {}", *proof));
        let path = format!("/app/installations/{}/access_tokens", app.installation);
        let call = Call::new(Method::POST, path)
            .header("authorization", bearer.as_bytes())?
            .header("accept", b"application/vnd.github+json")?
            .header("user-agent", b"bartizan")?
            .header("x-github-api-version", b"2022-11-28")?
            .body(wanted.to_string().into_bytes());
        let answer = self.0.client.send(&app.api, call).await?;
        let answer = accepted(&answer, &app.api)?;
        Ok(token(answer.text("/token"))?.living(early(INSTALLATION_LIVES)))
    }

    /// Ends a token before its time.
    async fn end_installation(&self, app: &GithubApp, token: &SecretValue) -> Result<(), Fault> {
        let bearer = token.danger_expose(|token| Zeroizing::new([b"Bearer ", token].concat()));
        let call = Call::new(Method::DELETE, "/installation/token")
            .header("authorization", &bearer)?
            .header("user-agent", b"bartizan")?;
        let answer = self.0.client.send(&app.api, call).await?;
        // 401: it has ended already.
        if matches!(answer.status, 204 | 401) {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Down, "an installation token could not be taken back")
            .remedy("it ends by itself within the hour"))
    }
}

/// The JSON Web Token by which an app says who it is (RFC 7519, RS256).
fn app_proof(app: &str, pem: &[u8], now: u64) -> Result<Zeroizing<String>, Fault> {
    let key = rsa_key(pem)?;
    // A minute back, for clocks that differ; ten minutes ahead is the most that is taken.
    let claims = json!({ "iat": now.saturating_sub(60), "exp": now + 540, "iss": app }).to_string();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed =
        format!("{}.{}", encode(br#"{"alg":"RS256","typ":"JWT"}"#), encode(claims.as_bytes()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| Fault::new(FaultKind::Malformed, "the app's key does not sign"))?;
    Ok(Zeroizing::new(format!("{signed}.{}", encode(&signature))))
}

fn rsa_key(pem: &[u8]) -> Result<RsaKeyPair, Fault> {
    let bad = || {
        Fault::new(FaultKind::Malformed, "the app's key is no RSA key in PEM")
            .remedy("store the file that GitHub gave, whole")
    };
    let text = std::str::from_utf8(pem).map_err(|_| bad())?;
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN "));
    let kind = lines.next().ok_or_else(bad)?;
    let body: Zeroizing<String> =
        Zeroizing::new(lines.take_while(|line| !line.starts_with("-----")).collect());
    let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| bad())?);
    match kind {
        "-----BEGIN RSA PRIVATE KEY-----" => RsaKeyPair::from_der(&der),
        "-----BEGIN PRIVATE KEY-----" => RsaKeyPair::from_pkcs8(&der),
        _ => return Err(bad()),
    }
    .map_err(|_| bad())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What the book calls these leases.
pub(in crate::vault) const BACK_END: &str = "github";
/// How long GitHub lets an installation token live.
const INSTALLATION_LIVES: Duration = Duration::from_hours(1);
