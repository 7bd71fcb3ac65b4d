//! Which secret is the model's key, and what of a request carries it?

use super::{ANTHROPIC, Vendor};
use crate::cli::exit;
use crate::client::Cloud;
use crate::cmd::run::surroundings::Surroundings;
use crate::config::{Config, CredentialHeader, Provider};
use crate::report::{Failure, Problem};
use bartizan_egress::vault::{Declared, Origin};
use bartizan_egress::{KeyPlace, SecretRef, Vault};
use bartizan_gate::name::SecretName;
use std::time::Duration;

/// Where the key is held, and the header it goes in.
pub(super) enum Held {
    /// There, and nothing more is said of it.
    At(SecretRef, CredentialHeader),
    /// It is a secret with a name, in the usual header if no other is said.
    Named(SecretName, CredentialHeader),
}

impl Held {
    /// The configured one, or else what the launching shell has: a key or, where the vendor knows one, a bearer token.
    pub(super) fn find(config: &Config, around: &Surroundings, vendor: &Vendor) -> Option<Self> {
        let model = &config.model;
        if let Some(name) = &model.secret {
            return Some(Self::Named(name.clone(), model.header.unwrap_or(vendor.usual)));
        }
        let is_default = model.credential.environment_name() == Some(ANTHROPIC.key);
        let (reference, header) = if is_default && vendor.key != ANTHROPIC.key {
            (SecretRef::of_variable(vendor.key), vendor.header)
        } else {
            let usual = if is_default { vendor.header } else { vendor.usual };
            (model.credential.clone(), model.header.unwrap_or(usual))
        };
        match reference.environment_name() {
            Some(variable) if !around.has(variable) => {
                let token = vendor.token.filter(|token| around.has(token))?;
                Some(Self::At(SecretRef::of_variable(token), CredentialHeader::Bearer))
            }
            _ => Some(Self::At(reference, header)),
        }
    }

    /// Its name in the vault, and where requests carry it.
    pub(super) fn settle(
        self,
        config: &Config,
        vault: &Vault,
        cloud: &Cloud,
    ) -> Result<(SecretName, KeyPlace), Failure> {
        match self {
            Self::Named(name, header) => {
                let place = match config.secrets.get(&name).map(|secret| &secret.declared.from) {
                    Some(Origin::Aws(_)) => signature(config, cloud)?,
                    Some(Origin::Role(_)) => {
                        return Err(wrong("a role of a database is no key of a model's"));
                    }
                    Some(Origin::At(_) | Origin::Token(_)) | None => place(header),
                };
                Ok((name, place))
            }
            Self::At(reference, header) => {
                let name = free_name(config)
                    .ok_or_else(|| wrong("there are too many secrets that are called `model`"))?;
                let mut declared = Declared::new(reference.clone());
                let is_quick = matches!(reference.scheme(), "env" | "file");
                // Not at each request: a file may have to be opened with a key.
                declared.lifetime = is_quick.then_some(KEPT);
                let settled = vault.settle(name.clone(), declared);
                settled.map_err(|error| wrong(&error.to_string()))?;
                Ok((name, place(header)))
            }
        }
    }
}

fn place(header: CredentialHeader) -> KeyPlace {
    match header {
        CredentialHeader::XApiKey => KeyPlace::ApiKey,
        CredentialHeader::Bearer => KeyPlace::Bearer,
        CredentialHeader::XGoogApiKey => KeyPlace::GoogleApiKey,
    }
}

/// Keys of AWS sign for Bedrock, and for nobody else.
fn signature(config: &Config, cloud: &Cloud) -> Result<KeyPlace, Failure> {
    if cloud.provider != Provider::Bedrock {
        return Err(wrong("keys of AWS sign requests to Bedrock alone: provider = \"bedrock\""));
    }
    if config.model.header.is_some() {
        return Err(wrong("keys of AWS sign the whole request and go in no `header`"));
    }
    Ok(KeyPlace::Aws(cloud.region.clone()))
}

/// What a key is called that has no name of its own.
fn free_name(config: &Config) -> Option<SecretName> {
    let names = std::iter::once("model".to_owned()).chain((2..100).map(|n| format!("model-{n}")));
    names
        .filter_map(|name| SecretName::parse(&name).ok())
        .find(|name| !config.secrets.contains_key(name) && !config.canaries.contains_key(name))
}

fn wrong(what: &str) -> Failure {
    Failure::new(exit::CONFIG, Problem::new(format!("the model's key cannot be used so: {what}")))
}

/// How long a key is kept that is quick to be asked for again.
const KEPT: Duration = Duration::from_mins(1);
