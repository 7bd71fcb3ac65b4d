//! Whose keys sign requests to AWS? `[secrets.NAME.aws]`.

use super::check::Flaw;
use super::page::Page;
use super::raw::At;
use super::raw_secret::RawAws;
use super::secret::{reference, span};
use crate::report::Problem;
use bartizan_egress::Upstream;
use bartizan_egress::vault::{AwsIdentity, AwsKeys, AwsRole};
use std::time::Duration;

pub(super) fn read(page: &mut Page<'_>, raw: &At<RawAws>) -> Option<AwsIdentity> {
    let own = own(page, raw);
    let role = if let Some(arn) = &raw.get_ref().role_arn {
        Some(role(page, raw, arn)?)
    } else {
        own_keys_alone(page, raw);
        None
    };
    Some(AwsIdentity { own: own?, role })
}

/// Where the identity's own keys are: each by itself, or all in what a command of AWS's tools prints.
fn own(page: &mut Page<'_>, raw: &At<RawAws>) -> Option<AwsKeys> {
    let RawAws { access_key_id, secret_access_key, session_token, credentials, .. } = raw.get_ref();
    match (access_key_id, secret_access_key, session_token, credentials) {
        (Some(id), Some(secret), token, None) => {
            let id = page.take_unshown(id, |text| reference(text));
            let secret = page.take_unshown(secret, |text| reference(text));
            let token = match token {
                Some(token) => Some(page.take_unshown(token, |text| reference(text))?),
                None => None,
            };
            Some(AwsKeys::Apart { id: id?, secret: secret?, token })
        }
        (None, None, None, Some(keys)) => {
            page.take_unshown(keys, |text| reference(text)).map(AwsKeys::Together)
        }
        _ => {
            let problem = Problem::new("keys of AWS come each by itself, or all together");
            page.complain(raw.span(), problem.hint("write `access_key_id` and `secret_access_key`, with a `session_token` if there is one; or `credentials` alone"));
            None
        }
    }
}

fn role(page: &mut Page<'_>, raw: &At<RawAws>, arn: &At<String>) -> Option<AwsRole> {
    let RawAws { external_id, session, lives, region, sts, .. } = raw.get_ref();
    let arn = page.take(arn, |text| {
        let hint = "write it as arn:aws:iam::123456789012:role/NAME";
        let fits =
            text.starts_with("arn:aws") && text.contains(":iam::") && text.contains(":role/");
        let flaw = || (format!("`{text}` is no role's ARN"), Some(hint.to_owned()));
        word(text, 2048, b":/+=,.@_-").filter(|_| fits).ok_or_else(flaw)
    });
    let external_id = page.take_option(external_id.as_ref(), |text| {
        let flaw = || ("this is no external id".to_owned(), None);
        word(text, 1224, b"+=,.@:/_-").ok_or_else(flaw)
    });
    let session = page.take_option(session.as_ref(), |text| {
        let flaw = || (format!("`{text}` is no name of a session"), None);
        word(text, 64, b"+=,.@_-").ok_or_else(flaw)
    });
    let lives = page.take_option(lives.as_ref(), |text| lifetime(text));
    let region = page.take_option(region.as_ref(), |text| {
        let hint = Some("write it as \"eu-west-1\"".to_owned());
        word(text, 64, b"-").ok_or_else(|| (format!("`{text}` is no region"), hint))
    });
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let sts = match sts {
        Some(sts) => page.take(sts, |text| {
            let hint = "write it as https://sts.eu-west-1.amazonaws.com";
            Upstream::parse(text).map_err(|error| (error.to_string(), Some(hint.to_owned())))
        }),
        None => Upstream::parse(&format!("https://sts.{region}.amazonaws.com")).ok(),
    };
    Some(AwsRole {
        arn: arn?,
        session: session.unwrap_or_else(|| "bartizan".to_owned()),
        external_id,
        lives: lives.unwrap_or(LIVES),
        sts: sts?,
        region,
    })
}

/// What is said of a role has no meaning without one.
fn own_keys_alone(page: &mut Page<'_>, raw: &At<RawAws>) {
    let RawAws { external_id, session, lives, region, sts, .. } = raw.get_ref();
    let said = [external_id, session, lives, region, sts].into_iter().flatten().next();
    if let Some(said) = said {
        let problem = Problem::new("this is about a role, and no `role_arn` is given");
        page.complain(said.span(), problem.hint("give one, or leave this out"));
    }
}

fn word(text: &str, most: usize, more: &[u8]) -> Option<String> {
    let fits = (2..=most).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte));
    fits.then(|| text.to_owned())
}

fn lifetime(text: &str) -> Result<Duration, Flaw> {
    let found = span(text, LIVES_MAX)?;
    if found < LIVES_MIN {
        return Err((
            format!("`{text}` is too short: AWS gives keys for at least 15 minutes"),
            None,
        ));
    }
    Ok(found)
}

const LIVES: Duration = Duration::from_hours(1);
const LIVES_MIN: Duration = Duration::from_mins(15);
const LIVES_MAX: Duration = Duration::from_hours(12);

#[cfg(test)]
mod tests {
    use super::super::tests::world;

    const ROLE: &str = "[secrets.cloud.aws]\naccess_key_id = \"file://aws-id\"\n\
         secret_access_key = \"file://aws-secret\"\nrole_arn = \"arn:aws:iam::123456789012:role/agent\"\n\
         region = \"eu-west-1\"\nlives = \"15m\"\n";

    #[test]
    fn keys_and_roles_are_read() {
        let world = world();
        let said = |text: &str| {
            let config = world.user(text).load();
            config.secrets.values().next().unwrap().declared.from.to_string()
        };
        assert_eq!(
            said(ROLE),
            "keys of `arn:aws:iam::123456789012:role/agent` from sts.eu-west-1.amazonaws.com:443"
        );
        let own = ROLE.split("role_arn").next().unwrap();
        assert_eq!(said(own), "the AWS keys file://aws-id and file://aws-secret");
        let with_token = format!("{own}session_token = \"env://AWS_SESSION_TOKEN\"\n");
        assert_eq!(said(&with_token), "the AWS keys file://aws-id and file://aws-secret");
        let together =
            "[secrets.cloud.aws]\ncredentials = \"exec://aws configure export-credentials\"\n";
        assert_eq!(said(together), "the AWS keys exec://aws configure export-credentials");
        let named = "[secrets.cloud]\nenv = [\"AWS_PROFILE\"]\n";
        let config = world.user(&format!("{together}{named}")).load();
        assert_eq!(config.secrets.values().next().unwrap().declared.pass, ["AWS_PROFILE"]);
        let why = world.user(&format!("{own}{named}")).errors();
        assert!(why.contains("has an `env`"), "{why}");
    }

    #[test]
    fn mistakes_name_their_place() {
        let world = world();
        for (from, to, said) in [
            ("file://aws-secret", "wJalrXUtnFEMI/K7MDENG", "this is not a reference"),
            ("arn:aws:iam::123456789012:role/agent", "agent", "is no role's ARN"),
            ("access_key_id = \"file://aws-id\"", "", "each by itself, or all together"),
            (
                "access_key_id",
                "credentials = \"file://aws-all\"\naccess_key_id",
                "each by itself, or all together",
            ),
            ("secret_access_key", "session_token", "each by itself, or all together"),
            ("lives = \"15m\"", "lives = \"5m\"", "at least 15 minutes"),
            ("eu-west-1", "eu west", "is no region"),
            ("role_arn = \"arn:aws:iam::123456789012:role/agent\"\n", "", "no `role_arn` is given"),
        ] {
            let errors = world.user(&ROLE.replace(from, to)).errors();
            assert!(errors.contains(said) && errors.contains("bartizan.toml"), "{errors}");
            assert!(!errors.contains("wJalrXUt"), "{errors}");
        }
    }
}
