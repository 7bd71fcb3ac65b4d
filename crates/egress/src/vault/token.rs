//! How does a credential that lasts become a token that ends by itself? OAuth 2.0 clients, and GitHub Apps.
//!
//! The lasting credential is used here alone. What is minted lives for minutes to an hour, is kept no longer than
//! that, and opens what its scope says.

use super::fault::{Fault, FaultKind};
use super::http::{Answer, Call, Json};
use super::material::{self, Material};
use super::reference::SecretRef;
use super::{Declared, Origin, Vault, at_fault, bounded, form, in_time};
use crate::model::Upstream;
use crate::secret::{SecretError, SecretValue};
use bartizan_gate::name::SecretName;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::Method;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// A token that is minted when it is needed.
#[derive(Debug, Clone)]
pub enum TokenMint {
    /// The client credentials grant of OAuth 2.0 (RFC 6749 §4.4).
    Client(ClientCredentials),
    /// An installation token of a GitHub App.
    GithubApp(GithubApp),
}

/// Who asks for a token, where, and for what.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    /// The token endpoint.
    pub endpoint: Upstream,
    /// The client's id.
    pub id: String,
    /// Where its secret is found.
    pub secret: SecretRef,
    /// What the token may do, in the service's words, separated by spaces.
    pub scope: Option<String>,
    /// For whom the token is, where the service wants to hear that.
    pub audience: Option<String>,
    /// How the client says who it is.
    pub proof: ClientProof,
}

/// Where a client puts its id and its secret (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientProof {
    /// `authorization: Basic …`, which every server takes.
    #[default]
    Basic,
    /// In the body, for servers that know no better.
    Body,
}

/// Which app asks for which installation's token, and how much of it.
#[derive(Debug, Clone)]
pub struct GithubApp {
    /// The API: `https://api.github.com`, or an Enterprise server's `https://HOST/api/v3`.
    pub api: Upstream,
    /// The app's id, or its client id.
    pub app: String,
    /// The installation.
    pub installation: u64,
    /// Where the app's private key is found (PEM, PKCS #1 or #8).
    pub key: SecretRef,
    /// The repositories that the token is for; empty means all of the installation.
    pub repositories: Vec<String>,
    /// What it may do, such as `contents = "read"`; empty means all that the app may.
    pub permissions: BTreeMap<String, String>,
}

impl fmt::Display for TokenMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => {
                write!(f, "an OAuth token of `{}` from {}", client.id, client.endpoint.target())
            }
            Self::GithubApp(app) => {
                write!(f, "a token of the GitHub App `{}` from {}", app.app, app.api.target())
            }
        }
    }
}

impl Vault {
    /// The token of this name; requests that come together mint one.
    pub(super) async fn token(
        &self,
        name: &SecretName,
        mint: &TokenMint,
        declared: &Declared,
    ) -> Result<Arc<SecretValue>, SecretError> {
        let minted =
            Box::pin(async { self.mint(mint).await.map_err(|fault| at_fault(name, fault)) });
        let usual = declared.lifetime.unwrap_or(UNSAID);
        let key = key(name);
        let asked = self.0.shelf.get(&key, usual, minted);
        let material = bounded(declared, name, asked).await?;
        material.field(material::VALUE).map_err(|fault| at_fault(name, fault))
    }

    /// Ends what can be ended of the tokens that are still good.
    pub(super) async fn end_tokens(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, declared) in &self.0.secrets {
            let Origin::Token(mint) = &declared.from else { continue };
            let Some(kept) = self.0.shelf.kept(&key(name)).await else { continue };
            let Ok(token) = kept.field(material::VALUE) else { continue };
            faults.extend(in_time(Box::pin(self.end_token(mint, &token))).await.err());
        }
        faults
    }

    async fn mint(&self, mint: &TokenMint) -> Result<Material, Fault> {
        match mint {
            TokenMint::Client(client) => self.client_token(client).await,
            TokenMint::GithubApp(app) => self.installation_token(app).await,
        }
    }

    async fn client_token(&self, client: &ClientCredentials) -> Result<Material, Fault> {
        let secret = self.inner(&client.secret).await?;
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(client.scope.as_deref().map(|scope| ("scope", scope)));
        fields.extend(client.audience.as_deref().map(|audience| ("audience", audience)));
        let mut body = form::encode(fields);
        let mut call = Call::new(Method::POST, "")
            .header("content-type", b"application/x-www-form-urlencoded")?
            .header("accept", b"application/json")?;
        match client.proof {
            ClientProof::Basic => {
                // Both are encoded as in a form before they are joined (RFC 6749 §2.3.1).
                let pair = secret.danger_expose(|secret| {
                    [form::text(client.id.as_bytes()).as_slice(), b":", &form::text(secret)]
                        .concat()
                });
                let pair = Zeroizing::new(pair);
                let proof = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
                call = call.header("authorization", proof.as_bytes())?;
            }
            ClientProof::Body => {
                body.extend_from_slice(b"&client_id=");
                body.extend_from_slice(&form::text(client.id.as_bytes()));
                body.extend_from_slice(b"&client_secret=");
                secret.danger_expose(|secret| body.extend_from_slice(&form::text(secret)));
            }
        }
        let answer = self.0.client.send(&client.endpoint, call.body(body.to_vec())).await?;
        let answer = accepted(&answer, &client.endpoint)?;
        let kind = answer.text("/token_type").unwrap_or_default();
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(Fault::new(FaultKind::Malformed, "the answer is no bearer token"));
        }
        let lives = answer.0.get("expires_in").and_then(seconds).map(Duration::from_secs);
        Ok(token(answer.text("/access_token"))?.living(early(lives.unwrap_or(UNSAID))))
    }

    async fn installation_token(&self, app: &GithubApp) -> Result<Material, Fault> {
        let key = self.inner(&app.key).await?;
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

    /// Ends an installation token before its time. Tokens of OAuth clients end by themselves.
    async fn end_token(&self, mint: &TokenMint, token: &SecretValue) -> Result<(), Fault> {
        let TokenMint::GithubApp(app) = mint else { return Ok(()) };
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

fn accepted(answer: &Answer, base: &Upstream) -> Result<Json, Fault> {
    let target = base.target();
    match answer.status {
        200 | 201 => answer.json(),
        400 | 401 | 403 | 404 | 422 => {
            let what = format!("`{target}` gives no token (status {})", answer.status);
            Err(Fault::new(FaultKind::Denied, what)
                .remedy("check the id, its secret or key, and what the token is asked for"))
        }
        status => {
            Err(Fault::new(FaultKind::Down, format!("`{target}` answers with status {status}")))
        }
    }
}

fn token(text: Option<&str>) -> Result<Material, Fault> {
    let sound = |text: &&str| text.len() <= TOKEN_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    let text = text.filter(sound);
    let text = text.ok_or_else(|| Fault::new(FaultKind::Malformed, "there is no token in it"))?;
    Ok(Material::single(SecretValue::new(text.as_bytes().to_vec())))
}

/// Some servers write the number as text.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A token is given up before it ends: what is on its way when it ends would be refused.
fn early(lives: Duration) -> Duration {
    lives.saturating_sub((lives / 10).max(MARGIN)).min(KEPT_MAX)
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

/// Under which a token stands on the shelf.
pub(super) fn key(name: &SecretName) -> String {
    format!("token of {name}")
}

/// How long GitHub lets an installation token live.
const INSTALLATION_LIVES: Duration = Duration::from_hours(1);
/// How long a token is taken to live whose server does not say.
const UNSAID: Duration = Duration::from_mins(5);
const MARGIN: Duration = Duration::from_secs(10);
const KEPT_MAX: Duration = Duration::from_hours(1);
const TOKEN_MAX: usize = 16 << 10;
