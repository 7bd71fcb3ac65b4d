//! How does a credential that lasts become a token that ends by itself? OAuth 2.0 clients, and GitHub Apps.
//!
//! The lasting credential is used here alone. What is minted lives for minutes to an hour, is kept no longer than
//! that, and opens what its scope says.

pub(super) mod github;
mod sealed;

use super::http::{Answer, Call, Json};
use super::material::{self, Material};
use super::{Declared, Vault, at_fault, bounded, form};
use crate::fault::{Fault, FaultKind};
use crate::reference::SecretRef;
use crate::secret::{SecretError, SecretValue};
use crate::upstream::Upstream;
use bartizan_gate::name::SecretName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
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
            Box::pin(async { self.mint(name, mint).await.map_err(|fault| at_fault(name, fault)) });
        let usual = declared.lifetime.unwrap_or(UNSAID);
        let key = key(name);
        let asked = self.0.shelf.get(&key, usual, minted);
        let material = bounded(declared, name, asked).await?;
        material.field(material::VALUE).map_err(|fault| at_fault(name, fault))
    }

    async fn mint(&self, name: &SecretName, mint: &TokenMint) -> Result<Material, Fault> {
        match mint {
            TokenMint::Client(client) => self.client_token(client).await,
            TokenMint::GithubApp(app) => {
                // In a task of its own: who no longer waits must not leave a token half written down.
                let (vault, name, app) = (self.clone(), name.clone(), app.clone());
                let minted = tokio::spawn(async move { vault.installation(&name, &app).await });
                minted.await.unwrap_or_else(|_| Err(Fault::new(FaultKind::Down, "minting failed")))
            }
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

/// Under which a token stands on the shelf.
pub(super) fn key(name: &SecretName) -> String {
    format!("token of {name}")
}

/// How long a token is taken to live whose server does not say.
const UNSAID: Duration = Duration::from_mins(5);
const MARGIN: Duration = Duration::from_secs(10);
const KEPT_MAX: Duration = Duration::from_hours(1);
const TOKEN_MAX: usize = 16 << 10;
