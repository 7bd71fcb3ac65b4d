//! With which key, and to where, does the agent reach its model? Settled before the box exists, outside it.

use crate::cli::exit;
use crate::cmd::run::random;
use crate::cmd::run::surroundings::Surroundings;
use crate::config::{Config, CredentialHeader, Places};
use crate::doors::calls::{Calls, Past};
use crate::doors::model::{Budget, Conversation, Scrub};
use crate::report::{Failure, Problem};
use bartizan_egress::{
    Credential, ModelLimits, ModelRoute, Resolver, SecretRef, SecretValue, Upstream, Vault,
};
use bartizan_gate::name::RoleName;
use bartizan_scan::{Frames, KnownSecret, Redactor, ScanKey};
use std::sync::Arc;

/// The way to the model, its key inside.
pub(crate) struct ModelAccess {
    /// The route; it alone holds the key in usable form.
    pub(crate) route: ModelRoute,
    /// Where it leads.
    pub(crate) upstream: Upstream,
    known: Option<KnownSecret>,
}

impl ModelAccess {
    /// The key as the redactor needs it, once.
    pub(crate) fn known(&self) -> Option<KnownSecret> {
        self.known.clone()
    }
}

/// Resolves the model's credential. Without one a client that needs a model is refused; any other
/// command runs without a model.
pub(crate) async fn access(
    config: &Config,
    around: &Surroundings,
    vault: &Vault,
    needed: bool,
) -> Result<Option<ModelAccess>, Failure> {
    let Some((reference, header)) = credential(config, around) else {
        return if needed { Err(missing(config)) } else { Ok(None) };
    };
    let upstream = upstream(config, around)?;
    let value = vault.resolve(&reference).await.map_err(|error| unusable(&error.to_string()))?;
    let known = known(&value);
    let credential = match header {
        CredentialHeader::XApiKey => Credential::api_key(value),
        CredentialHeader::Bearer => Credential::bearer(value),
    };
    let credential = credential.map_err(|error| unusable(&error.to_string()))?;
    let route =
        ModelRoute::new(upstream.clone(), credential, Resolver::system(), ModelLimits::default())
            .map_err(|error| unusable(&error.to_string()))?;
    Ok(Some(ModelAccess { route, upstream, known }))
}

/// Where the key is, and the header it goes in: the configured one, or, when the launching shell has
/// only a bearer token, that.
fn credential(config: &Config, around: &Surroundings) -> Option<(SecretRef, CredentialHeader)> {
    let configured = config.model.credential.clone();
    match config.model.credential.environment_name() {
        Some(variable) if !around.has(variable) => around
            .has(BEARER_VARIABLE)
            .then(|| (SecretRef::of_variable(BEARER_VARIABLE), CredentialHeader::Bearer)),
        _ => Some((configured, config.model.header)),
    }
}

fn upstream(config: &Config, around: &Surroundings) -> Result<Upstream, Failure> {
    let text = match &config.model.upstream {
        Some(configured) => configured.to_string(),
        None => around.text("ANTHROPIC_BASE_URL").unwrap_or_else(|| VENDOR.to_owned()),
    };
    Upstream::parse(&text).map_err(|error| {
        let problem = Problem::new(format!("the model's base URL cannot be used: {error}"));
        Failure::new(
            exit::NOT_STARTED,
            problem.hint("set ANTHROPIC_BASE_URL, or `upstream` under `[model]`"),
        )
    })
}

/// What is said on both sides of the door is held against this; the redactor also keeps the log clean.
pub(crate) fn conversation(
    (config, role): (&Config, &RoleName),
    around: &Surroundings,
    places: &Places,
    known: Option<KnownSecret>,
) -> Result<(Redactor, Conversation), Failure> {
    let key = ScanKey::new(random()?);
    let redactor = Redactor::new(key.clone(), known).map_err(|error| {
        let what = format!("the model credential cannot be kept out of the log: {error}");
        let hint = "use a real key; a test needs one of at least 8 different characters";
        Failure::new(exit::CONFIG, Problem::new(what).hint(hint))
    })?;
    let folder = places.state.join("calls");
    let past = Past::open(&folder, &around.workspace.to_string_lossy())
        .map_err(|error| Failure::file("keep calls in", &folder, &error))?;
    let limits = config.roles.iter().map(|(name, role)| (name.clone(), role.budget));
    let conversation = Conversation {
        scrub: Scrub::new(redactor.clone(), Frames::new(key, config.way_out_of(role).form())),
        calls: Arc::new(Calls::after(past)),
        budget: Arc::new(Budget::new(limits)),
    };
    Ok((redactor, conversation))
}

fn known(value: &SecretValue) -> Option<KnownSecret> {
    value.danger_expose(|bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(KnownSecret { name: "model".to_owned(), value: text.to_owned().into() })
    })
}

fn missing(config: &Config) -> Failure {
    let variable = config.model.credential.environment_name().unwrap_or("ANTHROPIC_API_KEY");
    let problem = Problem::new("this client needs its model API, and there is no key for it");
    let hint = format!(
        "set {variable} (or {BEARER_VARIABLE}) here, outside the box, or `credential` under `[model]`; the box never sees it"
    );
    Failure::new(exit::NOT_STARTED, problem.hint(hint))
}

fn unusable(why: &str) -> Failure {
    let problem = Problem::new(format!("the model credential cannot be used: {why}"));
    Failure::new(
        exit::NOT_STARTED,
        problem.hint("`credential` under `[model]` says where it comes from"),
    )
}

const BEARER_VARIABLE: &str = "ANTHROPIC_AUTH_TOKEN";
const VENDOR: &str = "https://api.anthropic.com";
