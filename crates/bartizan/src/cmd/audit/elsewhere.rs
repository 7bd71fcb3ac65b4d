//! How does what the log says reach an address that a person typed? With their own token, which is named, never typed.

use super::Desk;
use crate::cli::exit;
use crate::cmd::secret;
use crate::config::{self, Purpose};
use crate::machine::runtime;
use crate::report::{Failure, Problem};
use bartizan_egress::{Dispatch, Parcel, Proof, SecretRef, SecretValue, Upstream};
use bartizan_store::Store;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// The way to one address.
pub(super) struct Elsewhere {
    runtime: Runtime,
    dispatch: Dispatch,
    token: Option<Arc<SecretValue>>,
}

impl Elsewhere {
    /// The way to `url`, which was typed behind `option`; `bearer` says where its token is. Who types an address means it,
    /// wherever it leads.
    pub(super) fn new(
        desk: &mut Desk<'_>,
        store: &Store,
        (option, url, bearer): (&str, &str, Option<&str>),
    ) -> Result<Self, Failure> {
        let usage = |what: String| Failure::new(exit::USAGE, Problem::from_text(&what));
        let to = Upstream::parse(url).map_err(|error| usage(format!("`{option}`: {error}")))?;
        let runtime = runtime()?;
        let token = match bearer {
            None => None,
            Some(bearer) => {
                let reference = SecretRef::parse(bearer)
                    .map_err(|error| usage(format!("`--bearer`: {error}")))?;
                let config = config::load_own(&desk.places, &crate::cmd::here()?, Purpose::Look)?;
                let vault = secret::vault(&config, &desk.places, None, store);
                let found = runtime.block_on(vault.resolve(&reference));
                Some(found.map_err(|error| failed(&error.to_string()))?)
            }
        };
        Ok(Self { runtime, dispatch: Dispatch::new(to, true), token })
    }

    /// Sends it; gives what was answered. It was taken when this returns.
    pub(super) fn send(
        &self,
        replaces: bool,
        (kind, body): (&'static str, Vec<u8>),
    ) -> Result<Vec<u8>, Failure> {
        let proof = self.token.as_deref().map_or(Proof::None, Proof::Bearer);
        let parcel = Parcel { replaces, path: None, kind, body, proof };
        let sent = self.runtime.block_on(self.dispatch.send(parcel));
        sent.map_err(|fault| failed(&fault.to_string()))
    }

    /// Sends one more there; gives the status and what was answered.
    pub(super) fn ask(
        &self,
        (kind, body): (&'static str, Vec<u8>),
    ) -> Result<(u16, Vec<u8>), Failure> {
        let proof = self.token.as_deref().map_or(Proof::None, Proof::Bearer);
        let parcel = Parcel { replaces: false, path: None, kind, body, proof };
        let asked = self.runtime.block_on(self.dispatch.ask(parcel));
        asked.map_err(|fault| failed(&fault.to_string()))
    }
}

fn failed(what: &str) -> Failure {
    Failure::new(exit::STATE, Problem::from_text(what))
}
