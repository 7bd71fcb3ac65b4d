//! What does the desktop's keyring hold? The Secret Service of freedesktop.org, spoken to without a prompt.
//!
//! The `keyring` crate would bring 50 crates with executors and process starts of their own, a wait without an end
//! for a prompt, and buffers that nobody wipes. What is needed of it is eight calls.

mod bus;
mod wire;

use super::material::Material;
use super::{PATIENCE, Vault, at_fault, late};
use crate::fault::{Fault, FaultKind};
use crate::reference::{SecretRef, Source};
use crate::secret::{SecretError, SecretValue};
use bus::{Address, Bus};
use std::future::Future;
use tokio::time::timeout;
use wire::{Arg, Call};

/// The item that a reference names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    service: &'a str,
    account: &'a str,
}

impl<'a> Item<'a> {
    pub(super) fn of(from: &'a SecretRef) -> Result<Self, Fault> {
        match &from.source {
            Source::Keyring { service, account } => Ok(Self { service, account }),
            Source::Env(_)
            | Source::Exec(_)
            | Source::FileAt(_)
            | Source::FileNamed(_)
            | Source::Vault { .. } => {
                let what = "only `keyring://` is a place in the keyring";
                Err(Fault::new(FaultKind::Malformed, what))
            }
        }
    }

    /// By which attributes programs find their items: those of `secret-tool`'s users, Go's and Python's keyring, and
    /// this crate's namesake say `username`, those of node-keytar `account`.
    fn attributes(&self) -> [[(&'a str, &'a str); 2]; 2] {
        ["username", "account"].map(|key| [("service", self.service), (key, self.account)])
    }
}

impl Vault {
    /// Puts a value where `at`, a place in the keyring, finds it from then on.
    pub async fn put(&self, at: &SecretRef, value: &SecretValue) -> Result<(), SecretError> {
        self.patiently(at, async {
            let item = Item::of(at)?;
            if value.is_empty() {
                return Err(Fault::new(FaultKind::Malformed, "the value is empty"));
            }
            self.keyring().await?.put(item, value).await
        })
        .await
    }

    /// Takes what `at`, a place in the keyring, finds out of it; false when there is nothing.
    pub async fn remove(&self, at: &SecretRef) -> Result<bool, SecretError> {
        self.patiently(at, async { self.keyring().await?.remove(Item::of(at)?).await }).await
    }

    pub(super) async fn in_keyring(&self, item: Item<'_>) -> Result<Material, Fault> {
        self.keyring().await?.open(item).await.map(Material::single)
    }

    async fn keyring(&self) -> Result<Keyring, Fault> {
        let variable = |name| (self.0.environment)(name);
        let address =
            Address::find(variable("DBUS_SESSION_BUS_ADDRESS"), variable("XDG_RUNTIME_DIR"))?;
        if self.0.workspace.as_ref().is_some_and(|workspace| address.lies_in(workspace)) {
            let what = "the session bus is in the workspace, where an agent writes";
            return Err(Fault::new(FaultKind::Unsafe, what).remedy("use your desktop session's"));
        }
        Keyring::begin(&address).await
    }

    async fn patiently<T>(
        &self,
        at: &SecretRef,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, SecretError> {
        let done = timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late(at)));
        done.map_err(|fault| at_fault(at, fault))
    }
}

/// A conversation with who keeps the secrets.
struct Keyring {
    bus: Bus,
    /// Secrets travel as they are: the bus is a socket of this user's, and whoever could listen there could ask, too.
    session: String,
}

impl Keyring {
    async fn begin(address: &Address) -> Result<Self, Fault> {
        let mut bus = Bus::reach(address).await?;
        let call = service("OpenSession", &[Arg::Text("plain"), Arg::Empty]);
        let session = bus.call(call, "vo", |body| {
            body.variant()?;
            body.text().map(str::to_owned)
        });
        let session = session.await?;
        Ok(Self { bus, session })
    }

    async fn open(&mut self, item: Item<'_>) -> Result<SecretValue, Fault> {
        let path = self.find(item).await?.ok_or_else(missing)?;
        let args = [Arg::Path(&self.session)];
        let call = at(&path, ITEM, "GetSecret", &args);
        self.bus
            .call(call, "(oayays)", |body| {
                body.secret().map(|value| SecretValue::new(value.to_vec()))
            })
            .await
    }

    async fn put(&mut self, item: Item<'_>, value: &SecretValue) -> Result<(), Fault> {
        let secret = Arg::Secret { session: &self.session.clone(), value: value.bytes() };
        if let Some(path) = self.find(item).await? {
            return self.bus.call(at(&path, ITEM, "SetSecret", &[secret]), "", |_| Some(())).await;
        }
        let collection = self.collection().await?;
        let label = format!("{}/{}", item.service, item.account);
        let [attributes, _] = item.attributes();
        let new = Arg::Item { label: &label, attributes: &attributes };
        let args = [new, secret, Arg::Flag(false)];
        let call = at(&collection, COLLECTION, "CreateItem", &args);
        let made = self
            .bus
            .call(call, "oo", |body| Some((body.text()?.to_owned(), body.text()?.to_owned())));
        let (made, prompt) = made.await?;
        if made == NONE || prompt != NONE { Err(locked()) } else { Ok(()) }
    }

    async fn remove(&mut self, item: Item<'_>) -> Result<bool, Fault> {
        let Some(path) = self.find(item).await? else { return Ok(false) };
        let prompt = self.bus.call(at(&path, ITEM, "Delete", &[]), "o", owned).await?;
        if prompt == NONE { Ok(true) } else { Err(locked()) }
    }

    /// The one item, open.
    async fn find(&mut self, item: Item<'_>) -> Result<Option<String>, Fault> {
        for attributes in item.attributes() {
            let args = [Arg::Pairs(&attributes)];
            let call = service("SearchItems", &args);
            let found = self.bus.call(call, "aoao", |body| Some((body.paths()?, body.paths()?)));
            let (open, shut) = found.await?;
            match (open.as_slice(), shut.as_slice()) {
                ([], []) => {}
                ([path], []) => return Ok(Some(path.clone())),
                ([], [path]) => return self.unlock(path).await.map(Some),
                _ => {
                    let what = "the keyring has several items of this service and account";
                    let remedy = "remove all but one, so that it is clear which is meant";
                    return Err(Fault::new(FaultKind::Malformed, what).remedy(remedy));
                }
            }
        }
        Ok(None)
    }

    /// Where new items go, open.
    async fn collection(&mut self) -> Result<String, Fault> {
        let path = self.bus.call(service("ReadAlias", &[Arg::Text("default")]), "o", owned).await?;
        if path == NONE {
            let what = "there is no default keyring to put it into";
            return Err(Fault::new(FaultKind::Missing, what)
                .remedy("make one in your desktop's password manager"));
        }
        self.unlock(&path).await
    }

    /// Opens what opens without a person. A prompt is not shown: an agent's request must not make one appear, and
    /// nobody may be there to answer it.
    async fn unlock(&mut self, path: &str) -> Result<String, Fault> {
        let paths = [path.to_owned()];
        let args = [Arg::Paths(&paths)];
        let call = service("Unlock", &args);
        let opened = self.bus.call(call, "aoo", |body| {
            let opened = body.paths()?;
            body.text().map(|prompt| (opened, prompt == NONE))
        });
        match opened.await? {
            (opened, true) if opened == paths => Ok(path.to_owned()),
            _ => Err(locked()),
        }
    }
}

fn owned(body: &mut wire::Reader<'_>) -> Option<String> {
    body.text().map(str::to_owned)
}

fn service<'a>(member: &'a str, args: &'a [Arg<'a>]) -> Call<'a> {
    at(SERVICE_PATH, SERVICE, member, args)
}

fn at<'a>(path: &'a str, interface: &'a str, member: &'a str, args: &'a [Arg<'a>]) -> Call<'a> {
    Call { to: KEEPER, path, interface, member, args }
}

fn locked() -> Fault {
    Fault::new(FaultKind::Sealed, "the keyring is locked")
        .remedy("unlock it in your desktop's password manager")
}

fn missing() -> Fault {
    Fault::new(FaultKind::Missing, "the keyring has no such item")
        .remedy("put it there with: bartizan secret set keyring://SERVICE/ACCOUNT")
}

const KEEPER: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
const ITEM: &str = "org.freedesktop.Secret.Item";
/// The path that stands for nothing.
const NONE: &str = "/";
