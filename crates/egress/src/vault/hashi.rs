//! What does the Vault server have at this path? `HashiCorp` Vault and `OpenBao`, over their HTTP API.

use super::http::{Answer, Call, Client, Json};
use super::lease::{Lease, LeaseBook, unwritten};
use super::material::Material;
use crate::fault::{Fault, FaultKind};
use crate::reference::SecretRef;
use crate::secret::SecretValue;
use crate::upstream::Upstream;
use hyper::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The Vault server, as it is configured.
#[derive(Debug, Clone)]
pub struct Server {
    /// `https://vault.example:8200`; http for loopback addresses alone.
    pub base: Upstream,
    /// Its namespace, if it has any.
    pub namespace: Option<String>,
    /// How we show who we are.
    pub login: Login,
}

/// How we show who we are.
#[derive(Debug, Clone)]
pub enum Login {
    /// With a token that is found here.
    Token(SecretRef),
    /// With a role and its secret.
    AppRole {
        /// Where the method is mounted; usually `approle`.
        mount: String,
        /// The role's id.
        role: SecretRef,
        /// Its secret id.
        secret: SecretRef,
        /// Whether what `secret` gives is a wrapping token, good once, around the secret id.
        wrapped: bool,
    },
}

/// Where leases are written down, if anywhere.
pub(super) type Book<'a> = Option<&'a Arc<dyn LeaseBook>>;

/// What a login needs, later.
pub(super) type Proving<'a> = Pin<Box<dyn Future<Output = Result<Proof, Fault>> + Send + 'a>>;

/// Who can say what a login needs.
pub(super) trait Prover: Send + Sync {
    /// Finds it.
    fn prove<'a>(&'a self, login: &'a Login) -> Proving<'a>;
}

/// What the login needs, resolved by the vault that asks.
pub(super) struct Proof {
    pub(super) role: Option<Arc<SecretValue>>,
    pub(super) secret: Arc<SecretValue>,
}

/// A server and what we hold of it.
pub(super) struct Session {
    server: Server,
    client: Client,
    token: tokio::sync::Mutex<Option<Token>>,
    /// By path; what could not be taken back when its time was over, by its lease.
    held: Mutex<HashMap<String, Held>>,
}

struct Token {
    value: Zeroizing<Vec<u8>>,
    until: Option<Instant>,
    ours: bool,
}

#[derive(Clone)]
struct Held {
    lease: Lease,
    handle: String,
    renewable: bool,
    material: Arc<Material>,
}

impl Session {
    pub(super) fn new(server: Server, client: Client) -> Self {
        Self { server, client, token: tokio::sync::Mutex::default(), held: Mutex::default() }
    }

    /// What is at `path`. A lease that is still held is renewed; else it is written down, then asked for.
    pub(super) async fn read(
        &self,
        path: &str,
        book: Book<'_>,
        prove: &dyn Prover,
    ) -> Result<Material, Fault> {
        let held = self.lock().get(path).cloned();
        if let Some(held) = held {
            if let Some(material) = self.renew(&held, prove).await {
                return Ok(material);
            }
            self.give_back(path, book, prove).await?;
        }
        // Whether a path gives leases shows only in its answer, so each is written down first.
        let lease = Lease::new("vault", path)?;
        if let Some(book) = book {
            book.write(&lease).map_err(unwritten)?;
        }
        let answer = self.ask(|| Ok(Call::new(Method::GET, format!("/v1/{path}"))), prove).await;
        let json = match answer.and_then(|answer| answer.json()) {
            Ok(json) => json,
            Err(fault) => {
                // A refusal has minted nothing; after a lost answer the entry stays, for the next start.
                if fault.kind() != FaultKind::Down && fault.kind() != FaultKind::Slow {
                    strike(book, &lease)?;
                }
                return Err(fault);
            }
        };
        let Some(handle) = json.text("/lease_id").map(str::to_owned) else {
            strike(book, &lease)?;
            return static_fields(&json);
        };
        let lease = lease.held_as(&handle);
        let Some(book) = book else {
            // What nobody would take back at the next start is taken back now.
            drop(self.revoke(&handle, prove).await);
            let what = "it gives leases, and there is nowhere to write them down";
            return Err(Fault::new(FaultKind::Down, what));
        };
        let written = book.write(&lease).map_err(unwritten);
        let material = match written.and_then(|()| fields(json.0.pointer("/data"))) {
            Ok(material) => Arc::new(material),
            // What is of no use, or nobody would take back later, is taken back now.
            Err(fault) => {
                self.revoke(&handle, prove).await?;
                return strike(Some(book), &lease).and(Err(fault));
            }
        };
        let lives = seconds(&json, "/lease_duration");
        let renewable = json.0.pointer("/renewable").and_then(Value::as_bool) == Some(true);
        let held = Held { lease, handle, renewable, material: Arc::clone(&material) };
        self.lock().insert(path.to_owned(), held);
        Ok(material.again().living(usable(lives)))
    }

    /// Takes everything back: leases, then the token if we logged in for it. Returns what could not be.
    pub(super) async fn close(&self, book: Book<'_>, prove: &dyn Prover) -> Vec<Fault> {
        let paths: Vec<String> = self.lock().keys().cloned().collect();
        let mut faults = Vec::new();
        for path in paths {
            faults.extend(self.give_back(&path, book, prove).await.err());
        }
        let token = self.token.lock().await.take();
        if let Some(token) = token.filter(|token| token.ours) {
            let call = self.call(Method::POST, "/v1/auth/token/revoke-self", Some(&token.value));
            let gone = match call {
                Ok(call) => self.client.send(&self.server.base, call).await.and_then(judged),
                Err(fault) => Err(fault),
            };
            faults.extend(gone.err());
        }
        faults
    }

    /// Takes back a lease that another process has left behind.
    pub(super) async fn revoke(&self, handle: &str, prove: &dyn Prover) -> Result<(), Fault> {
        let body = json!({ "lease_id": handle }).to_string();
        let call =
            || Ok(Call::new(Method::PUT, "/v1/sys/leases/revoke").body(body.clone().into_bytes()));
        match self.ask(call, prove).await {
            // 400 and 404: there is no such lease any more.
            Err(fault) if fault.kind() != FaultKind::Missing => Err(fault),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn give_back(&self, path: &str, book: Book<'_>, prove: &dyn Prover) -> Result<(), Fault> {
        let Some(held) = self.lock().remove(path) else { return Ok(()) };
        if let Err(fault) = self.revoke(&held.handle, prove).await {
            // It is tried again at the end. Until then it is in nobody's way, who asks for another.
            self.lock().insert(held.lease.id.clone(), held);
            return Err(fault);
        }
        strike(book, &held.lease)
    }

    async fn renew(&self, held: &Held, prove: &dyn Prover) -> Option<Material> {
        if !held.renewable {
            return None;
        }
        let body = json!({ "lease_id": held.handle }).to_string();
        let call =
            || Ok(Call::new(Method::PUT, "/v1/sys/leases/renew").body(body.clone().into_bytes()));
        let json = self.ask(call, prove).await.ok()?.json().ok()?;
        let lives = seconds(&json, "/lease_duration");
        // One that would end at once is as good as gone: a new one lives longer.
        (lives >= SHORTEST).then(|| held.material.again().living(usable(lives)))
    }

    /// Asks with our token; when that is refused and we got it by logging in, once more with a new one.
    async fn ask(
        &self,
        call: impl Fn() -> Result<Call, Fault>,
        prove: &dyn Prover,
    ) -> Result<Answer, Fault> {
        let mut again = true;
        loop {
            let (token, fresh) = self.token(prove).await?;
            let call = self.dress(call()?, Some(&token))?;
            let answer = self.client.send(&self.server.base, call).await?;
            if answer.status == 403
                && again
                && !fresh
                && matches!(self.server.login, Login::AppRole { .. })
            {
                again = false;
                *self.token.lock().await = None;
                continue;
            }
            return judged(answer);
        }
    }

    /// Our token, and whether it was just got. Whoever asks while we log in waits for that one login.
    async fn token(&self, prove: &dyn Prover) -> Result<(Zeroizing<Vec<u8>>, bool), Fault> {
        let mut kept = self.token.lock().await;
        if let Some(token) =
            kept.as_ref().filter(|token| token.until.is_none_or(|until| Instant::now() < until))
        {
            return Ok((token.value.clone(), false));
        }
        let proof = prove.prove(&self.server.login).await?;
        let token = match &self.server.login {
            Login::Token(_) => Token {
                value: Zeroizing::new(proof.secret.bytes().to_vec()),
                until: Some(Instant::now() + GIVEN),
                ours: false,
            },
            Login::AppRole { mount, wrapped, .. } => self.app_role(mount, *wrapped, &proof).await?,
        };
        let value = token.value.clone();
        *kept = Some(token);
        Ok((value, true))
    }

    async fn app_role(&self, mount: &str, wrapped: bool, proof: &Proof) -> Result<Token, Fault> {
        let odd = || Fault::new(FaultKind::Malformed, "the role id or secret id is no text");
        let role = proof.role.as_ref().and_then(|role| role.text()).ok_or_else(odd)?;
        let given = proof.secret.text().ok_or_else(odd)?;
        let opened;
        let secret = if wrapped {
            opened = self.unwrap(given).await?;
            opened.text("/data/secret_id").ok_or_else(odd)?
        } else {
            given
        };
        let mut body = json!({ "role_id": role, "secret_id": secret });
        let call = self.call(Method::POST, &format!("/v1/auth/{mount}/login"), None)?;
        let call = call.body(body.to_string().into_bytes());
        super::http::wipe(&mut body);
        let answer = judged(self.client.send(&self.server.base, call).await?)?.json()?;
        let token = answer
            .text("/auth/client_token")
            .ok_or_else(|| Fault::new(FaultKind::Malformed, "the login gives no token"))?;
        let lives = seconds(&answer, "/auth/lease_duration");
        let until = (!lives.is_zero()).then(|| Instant::now() + usable(lives));
        Ok(Token { value: Zeroizing::new(token.as_bytes().to_vec()), until, ours: true })
    }

    /// Opens a wrapping token. It is good once: when somebody else was first, that is an alarm.
    async fn unwrap(&self, token: &str) -> Result<Json, Fault> {
        let call = self.call(Method::POST, "/v1/sys/wrapping/unwrap", Some(token.as_bytes()))?;
        let answer = judged(self.client.send(&self.server.base, call).await?);
        let answer = answer.map_err(|fault| match fault.kind() {
            FaultKind::Denied | FaultKind::Missing => {
                let what = "the wrapping token is used up or has expired";
                Fault::new(FaultKind::Denied, what)
                    .remedy("if you did not use it, somebody else did: revoke the secret id, then make a new one")
            }
            _ => fault,
        })?;
        answer.json()
    }

    fn call(&self, method: Method, path: &str, token: Option<&[u8]>) -> Result<Call, Fault> {
        self.dress(Call::new(method, path), token)
    }

    fn dress(&self, mut call: Call, token: Option<&[u8]>) -> Result<Call, Fault> {
        call = call.header("x-vault-request", b"true")?;
        if let Some(namespace) = &self.server.namespace {
            call = call.header("x-vault-namespace", namespace.as_bytes())?;
        }
        match token {
            Some(token) => call.header("x-vault-token", token),
            None => Ok(call),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A status is what it says; bodies of errors are not shown, since they may echo what was sent.
fn judged(answer: Answer) -> Result<Answer, Fault> {
    let fault = |kind, what: &str, remedy: &str| Err(Fault::new(kind, what).remedy(remedy));
    match answer.status {
        200 | 204 => Ok(answer),
        400 if answer.bytes().windows(5).any(|part| part == b"lease") => {
            fault(FaultKind::Missing, "Vault knows no such lease", "none is needed")
        }
        400 | 401 | 403 => fault(
            FaultKind::Denied,
            "Vault does not let us",
            "look at the token's policies, or log in again",
        ),
        404 => {
            fault(FaultKind::Missing, "Vault has nothing there", "look at the path: vault read …")
        }
        503 => fault(FaultKind::Sealed, "Vault is sealed or in maintenance", "unseal it"),
        300..=399 => fault(
            FaultKind::Down,
            "Vault answers with a redirect, which is not followed",
            "set `address` under `[vault]` to the address of the active node",
        ),
        429 | 472 | 473 => fault(FaultKind::Down, "Vault is busy or a standby", "try again later"),
        _ => fault(FaultKind::Down, "Vault fails", "look at its log"),
    }
}

/// Fields without a lease. KV version 2 keeps them below `data.data`, beside their `metadata`.
fn static_fields(json: &Json) -> Result<Material, Fault> {
    let nested = json.0.pointer("/data/metadata/version").and(json.0.pointer("/data/data"));
    let deleted =
        json.0.pointer("/data/metadata/version").is_some() && !nested.is_some_and(Value::is_object);
    if deleted {
        return Err(Fault::new(FaultKind::Missing, "this version of the secret was deleted"));
    }
    fields(nested.or_else(|| json.0.pointer("/data")))
}

fn fields(data: Option<&Value>) -> Result<Material, Fault> {
    let odd = || Fault::new(FaultKind::Malformed, "Vault's answer has no fields");
    let data = data.and_then(Value::as_object).ok_or_else(odd)?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_) => None,
    };
    let fields = data
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), SecretValue::new(text(value)?))));
    Ok(Material::new(fields))
}

fn seconds(json: &Json, pointer: &str) -> Duration {
    Duration::from_secs(json.0.pointer(pointer).and_then(Value::as_u64).unwrap_or(0))
}

/// How long something is used that lives for `lives`: a tenth is left for what is under way.
fn usable(lives: Duration) -> Duration {
    lives.saturating_sub(lives / 10)
}

fn strike(book: Book<'_>, lease: &Lease) -> Result<(), Fault> {
    let struck = book.map_or(Ok(()), |book| book.strike(&lease.id));
    struck.map_err(|_| Fault::new(FaultKind::Down, "the lease cannot be struck out of the book"))
}

/// How long a token that was given to us is used before it is looked for again.
const GIVEN: Duration = Duration::from_mins(1);
/// A renewal to less than this is not worth having.
const SHORTEST: Duration = Duration::from_secs(10);
