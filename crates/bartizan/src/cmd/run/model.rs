//! With which key, and to where, does the agent reach its model? Settled before the box exists, outside it.

mod key;

use crate::cli::exit;
use crate::client::kept::place;
use crate::client::{Client, Cloud, leads, placeholder};
use crate::cmd::run::surroundings::Surroundings;
use crate::config::{Config, CredentialHeader, Network, Places, Provider};
use crate::doors::calls::{Calls, Past};
use crate::doors::model::{Api, Budget, Conversation, Scrub};
use crate::doors::net::MODEL_HOST;
use crate::machine::random;
use crate::report::{Failure, Problem};
use bartizan_egress::{ModelKey, ModelLimits, ModelRoute, Resolver, Upstream, Vault};
use bartizan_gate::name::RoleName;
use bartizan_scan::{Frames, KnownSecret, Redactor, ScanKey};
use key::Held;
use std::borrow::Cow;
use std::ffi::OsString;
use std::sync::Arc;

/// The way to the model, its key inside.
pub(crate) struct ModelAccess {
    /// The route; it alone holds the key in usable form.
    pub(crate) route: ModelRoute,
    /// Where it leads.
    pub(crate) upstream: Upstream,
    /// Whose API that is.
    pub(crate) cloud: Cloud,
    known: Vec<KnownSecret>,
}

impl ModelAccess {
    /// The key as it is now, for the redactor. It learns later ones from the vault.
    pub(crate) fn known(&self) -> Vec<KnownSecret> {
        self.known.clone()
    }

    /// What `client` speaks with it.
    pub(crate) fn api(&self, client: Option<Client>) -> Api {
        match (client.map_or(Api::Messages, Client::api), self.cloud.provider) {
            (Api::Messages, Provider::Bedrock) => Api::Bedrock,
            (Api::Messages, Provider::Vertex) => {
                Api::vertex(&self.cloud.project, &self.cloud.region)
            }
            (api, _) => api,
        }
    }
}

/// Resolves the model's credential. Without one a client that needs a model is refused; any other
/// command runs without a model.
pub(crate) async fn access(
    config: &Config,
    around: &Surroundings,
    vault: &Vault,
    client: Option<Client>,
) -> Result<Option<ModelAccess>, Failure> {
    let cloud = match client {
        Some(Client::Codex | Client::GeminiCli) => Cloud::default(),
        Some(Client::ClaudeCode) | None => cloud(config)?,
    };
    let vendor = match client {
        Some(Client::Codex) => OPENAI,
        Some(Client::GeminiCli) => GOOGLE,
        Some(Client::ClaudeCode) | None => vendor(&cloud),
    };
    let Some(held) = Held::find(config, around, &vendor) else {
        return if client.is_some() { Err(missing(config, &vendor)) } else { Ok(None) };
    };
    let upstream = upstream(config, around, &vendor)?;
    let (name, place) = held.settle(config, vault, &cloud)?;
    let opened = ModelKey::open(vault.clone(), name, place, ScanKey::new(random()?)).await;
    let (key, known) = opened.map_err(|error| unusable(&error.to_string()))?;
    let limits = ModelLimits::default();
    let route = ModelRoute::new(upstream.clone(), key, Resolver::system(), limits)
        .map_err(|error| unusable(&error.to_string()))?;
    Ok(Some(ModelAccess { route, upstream, cloud, known }))
}

/// Leads a program that is no known client to the model door by what the vendor's libraries look for, unless the person
/// has configured where they lead.
pub(crate) fn lead(
    env: &mut Vec<(OsString, OsString)>,
    (access, client): (Option<&ModelAccess>, Option<Client>),
    network: Network,
) -> Result<(), Failure> {
    let is_led = |name: &OsString| name.to_string_lossy().starts_with("ANTHROPIC_");
    let is_led = client.is_some() || env.iter().any(|(name, _)| is_led(name));
    let Some(access) = access.filter(|_| !is_led && network != Network::None) else {
        return Ok(());
    };
    let url = format!("http://{MODEL_HOST}");
    let leads = leads(&access.cloud, &url);
    if leads.is_empty() {
        env.push((ANTHROPIC.base.into(), url.into()));
        env.push((ANTHROPIC.key.into(), placeholder(&random()?).into()));
    }
    for (name, value) in leads {
        // A region of the person's own stays.
        if env.iter().all(|(known, _)| *known != *name) {
            env.push((name.into(), value.into()));
        }
    }
    Ok(())
}

/// Whose API the model's is, by the configuration.
fn cloud(config: &Config) -> Result<Cloud, Failure> {
    let model = &config.model;
    let word = |name: &str, word: &Option<String>| {
        let missing = || {
            let what = format!("`provider` under `[model]` needs a `{name}` beside it");
            Failure::new(exit::CONFIG, Problem::new(what))
        };
        word.clone().ok_or_else(missing)
    };
    let region = match model.provider {
        Provider::Anthropic => String::new(),
        Provider::Bedrock | Provider::Vertex => word("region", &model.region)?,
    };
    let project = match model.provider {
        Provider::Anthropic | Provider::Bedrock => String::new(),
        Provider::Vertex => word("project", &model.project)?,
    };
    Ok(Cloud { provider: model.provider, region, project })
}

fn vendor(cloud: &Cloud) -> Vendor {
    let region = &cloud.region;
    match cloud.provider {
        Provider::Anthropic => ANTHROPIC,
        Provider::Bedrock => Vendor {
            url: format!("https://bedrock-runtime.{region}.amazonaws.com").into(),
            ..AMAZON
        },
        Provider::Vertex if region == "global" => VERTEX,
        Provider::Vertex => {
            Vendor { url: format!("https://{region}-aiplatform.googleapis.com").into(), ..VERTEX }
        }
    }
}

fn upstream(config: &Config, around: &Surroundings, vendor: &Vendor) -> Result<Upstream, Failure> {
    let text = match &config.model.upstream {
        Some(configured) => configured.to_string(),
        None => around.text(vendor.base).unwrap_or_else(|| vendor.url.clone().into_owned()),
    };
    // Every path of the door begins with it.
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix(vendor.suffix).unwrap_or(text);
    Upstream::parse(text).map_err(|error| {
        let problem = Problem::new(format!("the model's base URL cannot be used: {error}"));
        Failure::new(
            exit::NOT_STARTED,
            problem.hint(format!("set {}, or `upstream` under `[model]`", vendor.base)),
        )
    })
}

/// What is said on both sides of the door is held against this; the redactor also keeps the log clean.
pub(crate) fn conversation(
    (config, role): (&Config, &RoleName),
    around: &Surroundings,
    places: &Places,
    known: Vec<KnownSecret>,
) -> Result<(Redactor, Conversation), Failure> {
    let key = ScanKey::new(random()?);
    let redactor = Redactor::new(key.clone(), known).map_err(|error| {
        let what = format!("the model credential cannot be kept out of the log: {error}");
        let hint = "use a real key; a test needs one of at least 8 different characters";
        Failure::new(exit::CONFIG, Problem::new(what).hint(hint))
    })?;
    let folder = places.state.join("calls");
    let past = Past::open(&folder, &place(&around.workspace.to_string_lossy(), role))
        .map_err(|error| Failure::file("keep calls in", &folder, &error))?;
    let limits = config.roles.iter().map(|(name, role)| (name.clone(), role.budget));
    let shown = config.way_out_of(role);
    let conversation = Conversation {
        scrub: Scrub::new(redactor.clone(), Frames::new(key, shown.form()), shown.sanitiser()),
        calls: Arc::new(Calls::after(past)),
        budget: Arc::new(Budget::new(limits)),
    };
    Ok((redactor, conversation))
}

fn missing(config: &Config, vendor: &Vendor) -> Failure {
    let configured = config.model.credential.environment_name();
    let variable = configured.filter(|name| *name != ANTHROPIC.key).unwrap_or(vendor.key);
    let or = vendor.token.map(|token| format!(" (or {token})")).unwrap_or_default();
    let problem = Problem::new("this client needs its model API, and there is no key for it");
    let hint = format!(
        "set {variable}{or} here, outside the box, or `credential` under `[model]`; the box never sees it"
    );
    let problem = problem.hint(hint);
    let problem = if vendor.key == AMAZON.key {
        problem.hint(
            "or sign with keys of AWS: [secrets.NAME.aws], and `secret = \"NAME\"` under `[model]`",
        )
    } else {
        problem
    };
    Failure::new(exit::NOT_STARTED, problem)
}

fn unusable(why: &str) -> Failure {
    let problem = Problem::new(format!("the model credential cannot be used: {why}"));
    Failure::new(
        exit::NOT_STARTED,
        problem.hint("`credential` or `secret` under `[model]` says where it comes from"),
    )
}

/// Where a client's vendor is, and what a person's shell says of that.
struct Vendor {
    key: &'static str,
    /// What carries the key of the launching shell.
    header: CredentialHeader,
    /// What carries a configured one, unless that is said too.
    usual: CredentialHeader,
    token: Option<&'static str>,
    base: &'static str,
    /// What its base URLs end in and our paths begin with.
    suffix: &'static str,
    url: Cow<'static, str>,
}

const ANTHROPIC: Vendor = Vendor {
    key: "ANTHROPIC_API_KEY",
    header: CredentialHeader::XApiKey,
    usual: CredentialHeader::XApiKey,
    token: Some("ANTHROPIC_AUTH_TOKEN"),
    base: "ANTHROPIC_BASE_URL",
    suffix: "",
    url: Cow::Borrowed("https://api.anthropic.com"),
};
const OPENAI: Vendor = Vendor {
    key: "OPENAI_API_KEY",
    header: CredentialHeader::Bearer,
    usual: CredentialHeader::XApiKey,
    token: None,
    base: "OPENAI_BASE_URL",
    suffix: "/v1",
    url: Cow::Borrowed("https://api.openai.com"),
};
const GOOGLE: Vendor = Vendor {
    key: "GEMINI_API_KEY",
    header: CredentialHeader::XGoogApiKey,
    usual: CredentialHeader::XApiKey,
    token: None,
    base: "GOOGLE_GEMINI_BASE_URL",
    suffix: "",
    url: Cow::Borrowed("https://generativelanguage.googleapis.com"),
};
const AMAZON: Vendor = Vendor {
    key: "AWS_BEARER_TOKEN_BEDROCK",
    header: CredentialHeader::Bearer,
    usual: CredentialHeader::Bearer,
    token: None,
    base: "ANTHROPIC_BEDROCK_BASE_URL",
    suffix: "",
    url: Cow::Borrowed(""),
};
const VERTEX: Vendor = Vendor {
    // What Google's own tools take a token from.
    key: "CLOUDSDK_AUTH_ACCESS_TOKEN",
    header: CredentialHeader::Bearer,
    usual: CredentialHeader::Bearer,
    token: None,
    base: "ANTHROPIC_VERTEX_BASE_URL",
    suffix: "/v1",
    url: Cow::Borrowed("https://aiplatform.googleapis.com"),
};
