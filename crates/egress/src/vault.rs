//! How does the name of a secret become its value? At the moment of use, outside every box, for as long as needed.
//!
//! A secret is configured as a [`SecretRef`] and known by its name. [`Vault::open`] takes the name from a warrant, asks
//! the back end, and lends the value as [`SecretValue`]. Answers are kept as long as they live and no longer;
//! callers that come together share one question to the back end; every wait is bounded; and a back end that is
//! down, sealed or slow is a [`Fault`] with its reason.

mod age;
mod aws;
mod bech32;
pub(crate) mod exec;
mod folder;
mod form;
mod hashi;
pub(crate) mod http;
mod keyring;
mod lease;
mod material;
mod placeholder;
mod roles;
mod shelf;
mod take_back;
mod token;
mod turned;

pub use crate::fault::{Fault, FaultKind};
pub use crate::reference::SecretRef;
pub use age::{AgeError, Identity};
pub use aws::{AwsIdentity, AwsKeys, AwsRole};
pub use folder::Folder;
pub use hashi::{Login, Server};
pub use lease::{Forgetful, Lease, LeaseBook};
pub use material::Material;
pub use placeholder::{Placeholders, SecretKind};
pub use token::{ClientCredentials, ClientProof, GithubApp, TokenMint};

use crate::postgres::RoleMint;
use crate::reference::Source;
use crate::resolve::Resolver;
use crate::secret::{SecretError, SecretValue};
use bartizan_gate::effect::Warrant;
use bartizan_gate::name::SecretName;
use bartizan_scan::Redactor;
use exec::Program;
use hashi::{Proof, Prover, Proving, Session};
use http::Client;
use shelf::Shelf;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

/// A secret as it is configured: where it is found and how it may be kept.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Where it comes from.
    pub from: Origin,
    /// How long its value is kept at most; `None` leaves that to its back end.
    pub lifetime: Option<Duration>,
    /// How long a caller waits for it at most.
    pub timeout: Duration,
    /// Variables of our environment that its command gets.
    pub pass: Vec<String>,
}

impl Declared {
    /// A secret of which nothing but its reference is said.
    pub fn new(from: SecretRef) -> Self {
        Self { from: Origin::At(from), lifetime: None, timeout: PATIENCE, pass: Vec::new() }
    }

    /// Keys that sign requests to AWS.
    pub fn aws(identity: AwsIdentity) -> Self {
        Self { from: Origin::Aws(identity), lifetime: None, timeout: PATIENCE, pass: Vec::new() }
    }

    /// A token that is minted when it is needed.
    pub fn token(mint: TokenMint) -> Self {
        Self { from: Origin::Token(mint), lifetime: None, timeout: PATIENCE, pass: Vec::new() }
    }

    /// A role of `PostgreSQL` that is made for the session.
    pub fn role(mint: RoleMint) -> Self {
        Self { from: Origin::Role(mint), lifetime: None, timeout: PATIENCE, pass: Vec::new() }
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// They are keys of AWS, its own or a role's.
    Aws(AwsIdentity),
    /// It is found there.
    At(SecretRef),
    /// It is made for the session, and ends with it.
    Role(RoleMint),
    /// It is minted for a while.
    Token(TokenMint),
}

impl Origin {
    /// The reference, of a secret that is found.
    pub fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::At(reference) => Some(reference),
            Self::Aws(_) | Self::Role(_) | Self::Token(_) => None,
        }
    }

    /// Whether a command hands over all of it, which may need variables of its own.
    pub fn is_a_commands(&self) -> bool {
        match self {
            Self::At(reference) => reference.scheme() == "exec",
            Self::Aws(identity) => identity.is_a_commands(),
            Self::Role(_) | Self::Token(_) => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(reference) => reference.fmt(f),
            Self::Aws(identity) => identity.fmt(f),
            Self::Token(mint) => mint.fmt(f),
            Self::Role(mint) => {
                write!(
                    f,
                    "a role of the database `{}` at {}",
                    mint.admin.database, mint.admin.target
                )
            }
        }
    }
}

/// Resolves references to values at the moment of use. Cheap to clone; clones share what is kept.
#[expect(missing_debug_implementations, reason = "it holds the way to every secret")]
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    secrets: BTreeMap<SecretName, Declared>,
    /// One that is known only once it is settled what runs.
    late: OnceLock<(SecretName, Declared)>,
    environment: Box<Environment>,
    folder: Option<Folder>,
    workspace: Option<PathBuf>,
    server: Option<Session>,
    book: Option<Arc<dyn LeaseBook>>,
    roles: Mutex<HashMap<SecretName, (RoleMint, Lease)>>,
    /// Tokens that can be ended before their time.
    tokens: Mutex<Vec<Lease>>,
    resolver: Resolver,
    client: Client,
    shelf: Shelf,
    /// When each secret was last forgotten because a host turned it away.
    turned: turned::Turned,
    redactor: OnceLock<Redactor>,
}

type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// Puts a vault together.
#[expect(missing_debug_implementations, reason = "it holds the way to every secret")]
pub struct VaultBuilder(Inner);

impl VaultBuilder {
    /// Declares a secret.
    #[must_use = "a builder is a value"]
    pub fn declare(mut self, name: SecretName, declared: Declared) -> Self {
        self.0.secrets.insert(name, declared);
        self
    }

    /// Finds `file://NAME` in this folder.
    #[must_use = "a builder is a value"]
    pub fn folder(mut self, folder: Folder) -> Self {
        self.0.folder = Some(folder);
        self
    }

    /// Asks this server for `vault://`.
    #[must_use = "a builder is a value"]
    pub fn server(mut self, server: Server) -> Self {
        self.0.server = Some(Session::new(server, Client::new(Resolver::system())));
        self
    }

    /// Believes these roots instead of the machine's where tokens are minted.
    #[must_use = "a builder is a value"]
    pub fn minting_over(mut self, tls: Arc<rustls::ClientConfig>) -> Self {
        self.0.client = Client::believing(Resolver::system(), tls);
        self
    }

    /// The same server, believed for these roots instead of the machine's.
    #[must_use = "a builder is a value"]
    pub fn server_over(mut self, server: Server, tls: Arc<rustls::ClientConfig>) -> Self {
        self.0.server = Some(Session::new(server, Client::believing(Resolver::system(), tls)));
        self
    }

    /// Writes down in `book` what must be taken back. Without one nothing is minted.
    #[must_use = "a builder is a value"]
    pub fn leases(mut self, book: Arc<dyn LeaseBook>) -> Self {
        self.0.book = Some(book);
        self
    }

    /// Neither reads nor starts what is below `workspace`, since an agent writes there.
    #[must_use = "a builder is a value"]
    pub fn workspace(mut self, workspace: PathBuf) -> Self {
        self.0.workspace = Some(workspace);
        self
    }

    /// Reads these variables instead of our own environment.
    #[must_use = "a builder is a value"]
    pub fn environment(mut self, variables: HashMap<String, OsString>) -> Self {
        self.0.environment = Box::new(move |name| variables.get(name).cloned());
        self
    }

    /// The vault.
    pub fn build(mut self) -> Vault {
        if let Some(workspace) = &self.0.workspace {
            self.0.folder = self.0.folder.map(|folder| folder.beside(workspace.clone()));
        }
        Vault(Arc::new(self.0))
    }
}

impl Vault {
    /// A vault over this process's environment, with no secrets declared yet.
    pub fn builder() -> VaultBuilder {
        VaultBuilder(Inner {
            secrets: BTreeMap::new(),
            late: OnceLock::new(),
            environment: Box::new(|name| std::env::var_os(name)),
            folder: None,
            workspace: None,
            server: None,
            book: None,
            roles: Mutex::default(),
            tokens: Mutex::default(),
            resolver: Resolver::system(),
            client: Client::new(Resolver::system()),
            shelf: Shelf::default(),
            turned: turned::Turned::default(),
            redactor: OnceLock::new(),
        })
    }

    /// The vault of this process: its own environment.
    pub fn system() -> Self {
        Self::builder().build()
    }

    /// A vault over the given variables instead.
    pub fn with_environment(variables: HashMap<String, OsString>) -> Self {
        Self::builder().environment(variables).build()
    }

    /// The value of the one secret that the warrant grants.
    pub async fn open(&self, warrant: &Warrant<'_>) -> Result<Arc<SecretValue>, SecretError> {
        let name = warrant.secret().ok_or_else(|| SecretError::Unknown("(none)".to_owned()))?;
        self.named(name).await
    }

    /// The value of the secret called `name`, for a person who tries it, or for the vault's own use.
    pub async fn named(&self, name: &SecretName) -> Result<Arc<SecretValue>, SecretError> {
        let declared = self.declared(name)?;
        let value = match &declared.from {
            Origin::At(reference) => self.obtain(reference, declared).await?,
            Origin::Aws(identity) => self.keys(name, identity, declared).await?.secret,
            Origin::Role(mint) => self.role(name, mint, declared).await?.1,
            Origin::Token(mint) => self.token(name, mint, declared).await?,
        };
        self.hide(name, &value)?;
        Ok(value)
    }

    /// From now on `redactor` learns each value before it is lent, so that what a program echoes, by whatever way, and
    /// what is put on the log is without it. A value that it cannot hide is not lent. Only the first redactor counts.
    pub fn hide_in(&self, redactor: &Redactor) {
        drop(self.0.redactor.set(redactor.clone()));
    }

    fn hide(&self, name: &SecretName, value: &SecretValue) -> Result<(), SecretError> {
        let Some(redactor) = self.0.redactor.get() else { return Ok(()) };
        let learnt = value.known_as(name).map(|known| redactor.learn(known));
        if let Some(Ok(())) = learnt { Ok(()) } else { Err(SecretError::Unfit(name.clone())) }
    }

    /// Declares one more secret, once. A name that is taken stays whose it is.
    pub fn settle(&self, name: SecretName, declared: Declared) -> Result<(), SecretError> {
        let taken = SecretError::Taken(name.clone());
        if self.0.secrets.contains_key(&name) {
            return Err(taken);
        }
        self.0.late.set((name, declared)).map_err(|_| taken)
    }

    fn declared(&self, name: &SecretName) -> Result<&Declared, SecretError> {
        let late = || self.0.late.get().filter(|(late, _)| late == name).map(|(_, late)| late);
        let found = self.0.secrets.get(name).or_else(late);
        found.ok_or_else(|| SecretError::Unknown(name.to_string()))
    }

    /// The value behind `reference`, with the usual patience.
    pub async fn resolve(&self, reference: &SecretRef) -> Result<Arc<SecretValue>, SecretError> {
        self.obtain(reference, &Declared::new(reference.clone())).await
    }

    /// Forgets what is kept of a secret, so that the next use asks its back end again.
    pub fn forget(&self, name: &SecretName) {
        let Ok(declared) = self.declared(name) else { return };
        match &declared.from {
            Origin::At(reference) => self.0.shelf.forget(&key(reference)),
            Origin::Role(_) => self.0.shelf.forget(&roles::key(name)),
            Origin::Aws(_) => self.0.shelf.forget(&aws::key(name)),
            Origin::Token(_) => self.0.shelf.forget(&token::key(name)),
        }
    }

    /// Forgets every value that is kept.
    pub fn clear(&self) {
        self.0.shelf.clear();
    }

    async fn obtain(
        &self,
        from: &SecretRef,
        declared: &Declared,
    ) -> Result<Arc<SecretValue>, SecretError> {
        let (key, usual) = (key(from), keeping(from, declared));
        let asked = self.0.shelf.get(&key, usual, self.fetch(from, &declared.pass));
        let material = bounded(declared, from, asked).await?;
        let field = match &from.source {
            Source::Vault { field, .. } => field,
            _ => material::VALUE,
        };
        material.field(field).map_err(|fault| match from.source {
            Source::Env(_) => SecretError::Missing(from.clone()),
            _ => at_fault(from, fault),
        })
    }

    /// A secret that another one needs.
    async fn inner(&self, from: &SecretRef) -> Result<Arc<SecretValue>, Fault> {
        self.inner_passing(from, &[]).await
    }

    /// The same, from a command that gets these variables besides the fixed ones.
    async fn inner_passing(
        &self,
        from: &SecretRef,
        pass: &[String],
    ) -> Result<Arc<SecretValue>, Fault> {
        let missing = |_| Fault::new(FaultKind::Missing, format!("`{from}` is missing or empty"));
        if let Source::Vault { path, field } = &from.source {
            let found = timeout(PATIENCE, self.ask_server(path)).await;
            return found.unwrap_or_else(|_| Err(late(from)))?.field(field).map_err(missing);
        }
        let found = timeout(PATIENCE, self.fetch_here(from, pass)).await;
        found.unwrap_or_else(|_| Err(late(from)))?.field(material::VALUE).map_err(missing)
    }

    async fn fetch(&self, from: &SecretRef, pass: &[String]) -> Result<Material, SecretError> {
        let fetched = match &from.source {
            Source::Vault { path, .. } => self.ask_server(path).await,
            _ => self.fetch_here(from, pass).await,
        };
        fetched.map_err(|fault| at_fault(from, fault))
    }

    /// From the back ends of this machine.
    async fn fetch_here(&self, from: &SecretRef, pass: &[String]) -> Result<Material, Fault> {
        match &from.source {
            Source::Env(name) => {
                let value = (self.0.environment)(name).map(OsString::into_encoded_bytes);
                Ok(Material::single(SecretValue::new(value.unwrap_or_default())))
            }
            Source::Exec(words) => self.run(words, pass).await,
            Source::FileAt(_) | Source::FileNamed(_) => self.unseal(from).await,
            Source::Keyring { .. } => self.in_keyring(keyring::Item::of(from)?).await,
            Source::Vault { .. } => {
                Err(Fault::new(FaultKind::Malformed, "the way into Vault cannot be in Vault"))
            }
        }
    }

    /// Reads from the server in a task of its own: who no longer waits must not leave a lease half written down.
    async fn ask_server(&self, path: &str) -> Result<Material, Fault> {
        let (vault, path) = (self.clone(), path.to_owned());
        let asked = tokio::spawn(async move {
            let session = vault.session()?;
            session.read(&path, vault.0.book.as_ref(), &vault).await
        });
        asked.await.unwrap_or_else(|_| Err(Fault::new(FaultKind::Down, "asking it failed")))
    }

    fn session(&self) -> Result<&Session, Fault> {
        self.0.server.as_ref().ok_or_else(|| {
            Fault::new(FaultKind::Missing, "no Vault server is configured")
                .remedy("say where it is: [vault] address = \"https://vault.example:8200\"")
        })
    }

    /// What the login needs. It cannot itself be in Vault.
    async fn proof(&self, login: &Login) -> Result<Proof, Fault> {
        let fetch = async |from: &SecretRef| {
            let found = timeout(PATIENCE, self.fetch_here(from, &[])).await;
            found.unwrap_or_else(|_| Err(late(from)))?.field(material::VALUE)
        };
        match login {
            Login::Token(token) => Ok(Proof { role: None, secret: fetch(token).await? }),
            Login::AppRole { role, secret, .. } => {
                Ok(Proof { role: Some(fetch(role).await?), secret: fetch(secret).await? })
            }
        }
    }

    async fn run(&self, words: &[String], pass: &[String]) -> Result<Material, Fault> {
        let names = FIXED.into_iter().chain(pass.iter().map(String::as_str));
        let found = names.filter_map(|name| {
            (self.0.environment)(name).map(|value| (OsString::from(name), value))
        });
        let fixed = [("PATH", exec::PATH), ("LANG", "C.UTF-8")];
        let fixed = fixed.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment = found.chain(fixed).collect();
        let workspace = self.0.workspace.as_deref();
        Program { words, environment, workspace }.output().await.map(Material::single)
    }

    async fn unseal(&self, from: &SecretRef) -> Result<Material, Fault> {
        let folder = self.0.folder.clone().ok_or_else(|| {
            Fault::new(FaultKind::Missing, "there is no configuration directory to find it in")
        })?;
        let source = from.source.clone();
        let opened = tokio::task::spawn_blocking(move || match &source {
            Source::FileAt(path) => folder.open_at(path),
            Source::FileNamed(name) => folder.open(name),
            Source::Env(_) | Source::Exec(_) | Source::Keyring { .. } | Source::Vault { .. } => {
                Err(Fault::new(FaultKind::Malformed, "it is no file"))
            }
        });
        let opened = opened.await;
        opened
            .unwrap_or_else(|_| Err(Fault::new(FaultKind::Down, "opening it failed")))
            .map(Material::single)
    }
}

/// How long an answer is kept that does not itself say how long it lives. What is quick to ask again is not
/// kept at all; a password manager may want a finger on a sensor each time.
fn keeping(from: &SecretRef, declared: &Declared) -> Duration {
    let usual = match from.source {
        Source::Env(_) | Source::FileAt(_) | Source::FileNamed(_) => Duration::ZERO,
        Source::Exec(_) | Source::Keyring { .. } | Source::Vault { .. } => KEPT,
    };
    declared.lifetime.unwrap_or(usual)
}

/// Waits as long as the secret's declaration says.
async fn bounded<T>(
    declared: &Declared,
    secret: &impl fmt::Display,
    asked: impl Future<Output = Result<T, SecretError>>,
) -> Result<T, SecretError> {
    timeout(declared.timeout, asked).await.unwrap_or_else(|_| {
        let what = format!("no answer within {} s", declared.timeout.as_secs_f32());
        Err(at_fault(secret, Fault::new(FaultKind::Slow, what)))
    })
}

/// Waits as long as the end of a session may be held up.
async fn in_time<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = || Err(Fault::new(FaultKind::Slow, "it was not taken back in time"));
    timeout(CLOSING, work).await.unwrap_or_else(|_| late())
}

impl Prover for Vault {
    fn prove<'a>(&'a self, login: &'a Login) -> Proving<'a> {
        Box::pin(self.proof(login))
    }
}

/// What stands on the shelf together: all fields of one answer of Vault.
fn key(from: &SecretRef) -> String {
    match &from.source {
        Source::Vault { path, .. } => format!("vault://{path}"),
        _ => from.to_string(),
    }
}

fn late(from: &SecretRef) -> Fault {
    Fault::new(FaultKind::Slow, format!("`{from}` takes too long"))
}

fn at_fault(from: &impl fmt::Display, fault: Fault) -> SecretError {
    SecretError::BackEnd { secret: from.to_string(), fault }
}

/// What a command finds in its environment, as far as we have it, so that it finds its own configuration and agents.
const FIXED: [&str; 6] =
    ["HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
/// How long a caller waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long taking back may hold up the end of a session, or its beginning.
const CLOSING: Duration = Duration::from_secs(20);
/// How long an answer is kept that does not say how long it lives.
const KEPT: Duration = Duration::from_mins(5);
