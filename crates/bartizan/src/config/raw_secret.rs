//! What do `[secrets.NAME]`, `[canaries.NAME]` and `[vault]` say, word for word?

use super::raw::{At, Table};
use serde::Deserialize;

/// `[secrets.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    pub(super) from: Option<At<String>>,
    pub(super) role: Option<At<RawRoleMint>>,
    pub(super) oauth: Option<At<RawOauth>>,
    pub(super) github_app: Option<At<RawGithubApp>>,
    pub(super) aws: Option<At<RawAws>>,
    pub(super) kind: Option<At<String>>,
    pub(super) placeholder: Option<At<Vec<At<String>>>>,
    pub(super) lifetime: Option<At<String>>,
    pub(super) timeout: Option<At<String>>,
    pub(super) env: Option<At<Vec<At<String>>>>,
}

/// `[canaries.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCanary {
    pub(super) kind: Option<At<String>>,
    pub(super) file: Option<At<String>>,
    pub(super) variables: Option<At<Vec<At<String>>>>,
}

/// `[secrets.NAME.role]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoleMint {
    pub(super) host: At<String>,
    pub(super) database: At<String>,
    pub(super) user: At<String>,
    pub(super) password: At<String>,
    pub(super) member_of: At<Vec<At<String>>>,
    pub(super) lives: Option<At<String>>,
}

/// `[secrets.NAME.oauth]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOauth {
    pub(super) token_url: At<String>,
    pub(super) client_id: At<String>,
    pub(super) client_secret: At<String>,
    pub(super) scope: Option<At<Vec<At<String>>>>,
    pub(super) audience: Option<At<String>>,
    pub(super) proof: Option<At<String>>,
}

/// `[secrets.NAME.github_app]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGithubApp {
    pub(super) app: At<String>,
    pub(super) installation: At<u64>,
    pub(super) key: At<String>,
    pub(super) api: Option<At<String>>,
    pub(super) repositories: Option<At<Vec<At<String>>>>,
    pub(super) permissions: Option<At<Table<At<String>>>>,
}

/// `[secrets.NAME.aws]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAws {
    pub(super) access_key_id: Option<At<String>>,
    pub(super) secret_access_key: Option<At<String>>,
    pub(super) session_token: Option<At<String>>,
    pub(super) credentials: Option<At<String>>,
    pub(super) role_arn: Option<At<String>>,
    pub(super) external_id: Option<At<String>>,
    pub(super) session: Option<At<String>>,
    pub(super) lives: Option<At<String>>,
    pub(super) region: Option<At<String>>,
    pub(super) sts: Option<At<String>>,
}

/// `[vault]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVault {
    pub(super) address: At<String>,
    pub(super) namespace: Option<At<String>>,
    pub(super) token: Option<At<String>>,
    pub(super) approle: Option<At<RawAppRole>>,
}

/// `[vault.approle]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAppRole {
    pub(super) mount: Option<At<String>>,
    pub(super) role_id: At<String>,
    pub(super) secret_id: At<String>,
    #[serde(default)]
    pub(super) wrapped: bool,
}
