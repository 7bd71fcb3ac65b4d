//! Which tokens are minted for a run? `[secrets.NAME.oauth]` and `[secrets.NAME.github_app]`.

use super::check::Flaw;
use super::page::Page;
use super::raw::At;
use super::raw_secret::{RawGithubApp, RawOauth};
use super::secret::reference;
use bartizan_egress::Upstream;
use bartizan_egress::vault::{ClientCredentials, ClientProof, GithubApp, TokenMint};
use std::collections::BTreeMap;

/// Reads `[secrets.NAME.oauth]`.
pub(super) fn oauth(page: &mut Page<'_>, raw: &RawOauth) -> Option<TokenMint> {
    let RawOauth { token_url, client_id, client_secret, scope, audience, proof } = raw;
    let endpoint = page.take(token_url, |text| address(text, "https://auth.example/oauth/token"));
    let id = page.take(client_id, |text| visible(text));
    let secret = page.take_unshown(client_secret, |text| reference(text));
    let scope = page.list(scope.as_ref(), |text| visible(text));
    let audience = page.take_option(audience.as_ref(), |text| visible(text));
    let proof = page.take_option(proof.as_ref(), |text| match text.as_str() {
        "basic" => Ok(ClientProof::Basic),
        "body" => Ok(ClientProof::Body),
        _ => Err((format!("`{text}` is no way to prove who a client is"), known("basic, body"))),
    });
    let scope = scope.filter(|words| !words.is_empty()).map(|words| words.join(" "));
    let proof = proof.unwrap_or_default();
    let (endpoint, id, secret) = (endpoint?, id?, secret?);
    Some(TokenMint::Client(ClientCredentials { endpoint, id, secret, scope, audience, proof }))
}

/// Reads `[secrets.NAME.github_app]`.
pub(super) fn github_app(page: &mut Page<'_>, raw: &RawGithubApp) -> Option<TokenMint> {
    let RawGithubApp { app, installation, key, api, repositories, permissions } = raw;
    let api = match api {
        Some(api) => page.take(api, |text| address(text, GITHUB)),
        None => Upstream::parse(GITHUB).ok(),
    };
    let app = page.take(app, |text| visible(text));
    let key = page.take_unshown(key, |text| reference(text));
    let repositories = page.list(repositories.as_ref(), |text| repository(text));
    let mut allowed = BTreeMap::new();
    for (name, level) in permissions.iter().flat_map(At::get_ref) {
        let name = page.take(name, |text| visible(text));
        let level = page.take(level, |text| match text.as_str() {
            "read" | "write" | "admin" => Ok(text.clone()),
            _ => Err((format!("`{text}` is no level of access"), known("read, write, admin"))),
        });
        allowed.extend(name.zip(level));
    }
    let (installation, repositories) = (*installation.get_ref(), repositories.unwrap_or_default());
    let (api, app, key) = (api?, app?, key?);
    Some(TokenMint::GithubApp(GithubApp {
        api,
        app,
        installation,
        key,
        repositories,
        permissions: allowed,
    }))
}

fn address(text: &str, such: &str) -> Result<Upstream, Flaw> {
    Upstream::parse(text).map_err(|error| {
        let hint = format!("write it as {such}; http is for loopback addresses alone");
        (error.to_string(), Some(hint))
    })
}

/// A word without spaces.
fn visible(text: &str) -> Result<String, Flaw> {
    if !text.is_empty() && text.len() <= 500 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(("this is not one word of visible characters".to_owned(), None))
}

/// A repository's own name: the installation says whose it is.
fn repository(text: &str) -> Result<String, Flaw> {
    let hint = || Some("write its own name, without the owner: \"bartizan\"".to_owned());
    let name = visible(text).map_err(|(what, _)| (what, hint()))?;
    if name.contains('/') { Err((format!("`{text}` has an owner"), hint())) } else { Ok(name) }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where a hint does")]
fn known(words: &str) -> Option<String> {
    Some(format!("known: {words}"))
}

const GITHUB: &str = "https://api.github.com";

#[cfg(test)]
mod tests {
    use super::super::tests::world;

    const OAUTH: &str = "[secrets.api.oauth]\ntoken_url = \"https://auth.example/token\"\n\
         client_id = \"us\"\nclient_secret = \"file://api-client\"\nscope = [\"read\"]\n";
    const APP: &str = "[secrets.gh.github_app]\napp = \"Iv1.x\"\ninstallation = 7\n\
         key = \"file://app-key\"\nrepositories = [\"site\"]\npermissions = { contents = \"read\" }\n";

    #[test]
    fn minted_tokens_are_read() {
        let world = world();
        let config = world.user(&format!("{OAUTH}{APP}")).load();
        let said: Vec<String> =
            config.secrets.values().map(|secret| secret.declared.from.to_string()).collect();
        assert_eq!(
            said,
            [
                "an OAuth token of `us` from auth.example:443",
                "a token of the GitHub App `Iv1.x` from api.github.com:443"
            ]
        );
    }

    #[test]
    fn mistakes_name_their_place_and_what_to_write() {
        let world = world();
        for (from, to, said) in [
            ("https://auth.example/token", "http://auth.example/token", "http is for loopback"),
            ("file://api-client", "hunter2-hunter2", "this is not a reference"),
            ("scope = [\"read\"]", "proof = \"magic\"", "known: basic, body"),
            ("scope = [\"read\"]", "scope = [\"a b\"]", "one word"),
            ("[\"site\"]", "[\"me/site\"]", "without the owner"),
            ("contents = \"read\"", "contents = \"own\"", "known: read, write, admin"),
            ("[secrets.gh", "[secrets.api", "comes from one place"),
        ] {
            let text = format!("{OAUTH}{APP}").replace(from, to);
            let errors = world.user(&text).errors();
            assert!(errors.contains(said) && errors.contains("bartizan.toml"), "{errors}");
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }
}
