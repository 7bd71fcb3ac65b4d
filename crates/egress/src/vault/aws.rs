//! With which keys are requests to AWS signed? An identity's own, or those of a role that it takes for a while.

use super::http::{Answer, Call, Json};
use super::material::{self, Material};
use super::{Declared, Origin, Vault, at_fault, bounded, form, keeping};
use crate::fault::{Fault, FaultKind};
use crate::http::host_value;
use crate::reference::SecretRef;
use crate::secret::{SecretError, SecretValue};
use crate::sigv4::{self, Keys, Scope, Signed};
use crate::upstream::Upstream;
use crate::when;
use bartizan_gate::name::SecretName;
use hyper::Method;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// An identity at AWS.
#[derive(Debug, Clone)]
pub struct AwsIdentity {
    /// Its own keys.
    pub own: AwsKeys,
    /// The role that it takes (`sts:AssumeRole`); without one its own keys sign.
    pub role: Option<AwsRole>,
}

/// Where an identity's own keys are found.
#[derive(Debug, Clone)]
pub enum AwsKeys {
    /// Each by itself.
    Apart {
        /// The access key id.
        id: SecretRef,
        /// The secret access key.
        secret: SecretRef,
        /// The session token, with keys that end by themselves.
        token: Option<SecretRef>,
    },
    /// In one text, and with the time of their end, as the tools of AWS hand them over (`credential_process`).
    Together(SecretRef),
}

/// A role that an identity takes.
#[derive(Debug, Clone)]
pub struct AwsRole {
    /// The role's ARN.
    pub arn: String,
    /// The name of the session, which AWS puts on its own trail.
    pub session: String,
    /// The external id, where the role asks for one.
    pub external_id: Option<String>,
    /// How long its keys live: between 15 minutes and what the role allows.
    pub lives: Duration,
    /// The security token service.
    pub sts: Upstream,
    /// The region it is in.
    pub region: String,
}

impl fmt::Display for AwsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Some(role) => write!(f, "keys of `{}` from {}", role.arn, role.sts.target()),
            None => match &self.own {
                AwsKeys::Apart { id, secret, .. } => write!(f, "the AWS keys {id} and {secret}"),
                AwsKeys::Together(keys) => write!(f, "the AWS keys {keys}"),
            },
        }
    }
}

impl AwsIdentity {
    pub(super) fn is_a_commands(&self) -> bool {
        match &self.own {
            AwsKeys::Apart { .. } => false,
            AwsKeys::Together(keys) => keys.scheme() == "exec",
        }
    }

    /// How long its keys are kept that do not say when they end: as long as the slowest place they come from is usually
    /// trusted.
    pub(super) fn keeping(&self, declared: &Declared) -> Duration {
        if let Some(role) = &self.role {
            return role.kept();
        }
        let usual = |from: &SecretRef| keeping(from, declared);
        match &self.own {
            AwsKeys::Apart { id, secret, token } => {
                let all = [Some(id), Some(secret), token.as_ref()];
                all.into_iter().flatten().map(usual).max().unwrap_or_default()
            }
            AwsKeys::Together(keys) => usual(keys),
        }
    }
}

impl AwsRole {
    fn kept(&self) -> Duration {
        self.lives.saturating_sub(self.lives / 10)
    }
}

impl Vault {
    /// The keys that sign for the secret called `name`.
    pub(crate) async fn aws_keys(&self, name: &SecretName) -> Result<Keys, SecretError> {
        let declared = self.declared(name)?;
        let Origin::Aws(identity) = &declared.from else {
            return Err(SecretError::Unknown(name.to_string()));
        };
        let keys = self.keys(name, identity, declared).await?;
        self.hide(name, &keys.secret)?;
        if let Some(token) = &keys.token {
            self.hide(name, token)?;
        }
        Ok(keys)
    }

    pub(super) async fn keys(
        &self,
        name: &SecretName,
        identity: &AwsIdentity,
        declared: &Declared,
    ) -> Result<Keys, SecretError> {
        let key = key(name);
        let fetched = Box::pin(async {
            let own = self.own_keys(identity, &declared.pass).await;
            let made = match (own, &identity.role) {
                (Ok(own), Some(role)) => self.assume(&own, role).await,
                (Ok(own), None) => Ok(own),
                (Err(fault), _) => Err(fault),
            };
            made.map_err(|fault| at_fault(name, fault))
        });
        let asked = self.0.shelf.get(&key, identity.keeping(declared), fetched);
        let material = bounded(declared, name, asked).await?;
        read(&material).map_err(|fault| at_fault(name, fault))
    }

    async fn own_keys(&self, identity: &AwsIdentity, pass: &[String]) -> Result<Material, Fault> {
        let (id, secret, token) = match &identity.own {
            AwsKeys::Apart { id, secret, token } => (id, secret, token.as_ref()),
            AwsKeys::Together(keys) => {
                let text = self.inner_passing(keys, pass).await?;
                return text.danger_expose(handed_over);
            }
        };
        let (id, secret) = (self.inner(id).await?, self.inner(secret).await?);
        Ok(match token {
            Some(token) => {
                let token = self.inner(token).await?;
                Material::shared([(ID, id), (material::VALUE, secret), (TOKEN, token)])
            }
            None => Material::shared([(ID, id), (material::VALUE, secret)]),
        })
    }

    /// Asks for the role's keys. The request is signed, so it cannot be used for another role or longer than minutes.
    async fn assume(&self, own: &Material, role: &AwsRole) -> Result<Material, Fault> {
        let seconds = role.lives.as_secs().to_string();
        let mut fields = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &role.arn),
            ("RoleSessionName", &role.session),
            ("DurationSeconds", &seconds),
        ];
        fields.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
        let body = form::encode(fields);
        let stamp = sigv4::now();
        let host = host_value(role.sts.target(), if role.sts.is_secure() { 443 } else { 80 });
        let headers = [("content-type", FORM), ("host", &host), ("x-amz-date", &stamp)]
            .map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())));
        let scope = Scope { region: role.region.clone(), service: "sts".to_owned() };
        let digest = sigv4::hash(&body);
        let signed =
            Signed { method: "POST", path: "/", query: "", headers: &headers, body: &digest };
        let proof = sigv4::authorization(&read(own)?, &scope, &stamp, &signed);
        let call = Call::new(Method::POST, "/")
            .header("content-type", FORM.as_bytes())?
            .header("x-amz-date", stamp.as_bytes())?
            .header("authorization", proof.as_bytes())?
            .body(body.to_vec());
        let answer = self.0.client.send(&role.sts, call).await?;
        Ok(taken(&answer, role)?.living(role.kept()))
    }
}

/// The keys in an answer of the service (XML; every value in it is of base64's letters, so nothing is escaped).
fn taken(answer: &Answer, role: &AwsRole) -> Result<Material, Fault> {
    let target = role.sts.target();
    match answer.status {
        200 => {}
        400 | 401 | 403 => {
            let what = format!("`{target}` does not give the role (status {})", answer.status);
            return Err(Fault::new(FaultKind::Denied, what).remedy(
                "check the keys, the role's ARN, its trust policy and how long it may be taken",
            ));
        }
        status => {
            let what = format!("`{target}` answers with status {status}");
            return Err(Fault::new(FaultKind::Down, what));
        }
    }
    let text = std::str::from_utf8(answer.bytes()).unwrap_or_default();
    let value = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        let (value, _) = rest.split_once(&format!("</{tag}>"))?;
        let value = value.trim();
        let sound = !value.is_empty()
            && value.len() <= 16 << 10
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b));
        sound.then(|| SecretValue::new(value.as_bytes().to_vec()))
    };
    let bad = || Fault::new(FaultKind::Malformed, "there are no keys in the answer");
    Ok(Material::new([
        (ID.to_owned(), value("AccessKeyId").ok_or_else(bad)?),
        (material::VALUE.to_owned(), value("SecretAccessKey").ok_or_else(bad)?),
        (TOKEN.to_owned(), value("SessionToken").ok_or_else(bad)?),
    ]))
}

/// The keys that a `credential_process` of AWS hands over, a little shorter than they live.
fn handed_over(text: &[u8]) -> Result<Material, Fault> {
    let bad = |what: &str| {
        let what = format!("these are no keys as the tools of AWS hand them over: {what}");
        Fault::new(FaultKind::Malformed, what).remedy(
            "let the command print them so: aws configure export-credentials --format process",
        )
    };
    // What the parser would say of it could hold a part of it.
    let json = serde_json::from_slice::<Value>(text).map_err(|_| bad("no JSON"))?;
    let json = Json(json);
    if json.0.get("Version").and_then(Value::as_u64) != Some(1) {
        return Err(bad("`Version` is not 1"));
    }
    let value = |field: &str| {
        let text = json.text(field).filter(|text| {
            (1..=16 << 10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        text.map(|text| SecretValue::new(text.as_bytes().to_vec()))
    };
    let id = value("/AccessKeyId").ok_or_else(|| bad("no `AccessKeyId`"))?;
    let secret = value("/SecretAccessKey").ok_or_else(|| bad("no `SecretAccessKey`"))?;
    let fields = [(ID.to_owned(), id), (material::VALUE.to_owned(), secret)];
    let token = value("/SessionToken").map(|token| (TOKEN.to_owned(), token));
    let keys = Material::new(fields.into_iter().chain(token));
    let Some(end) = json.text("/Expiration") else { return Ok(keys) };
    let end = when::rfc3339(end).ok_or_else(|| bad("`Expiration` is no time"))?;
    match end.checked_sub(when::now()) {
        None | Some(0) => Err(Fault::new(FaultKind::Denied, "the keys that it gives have ended")
            .remedy("log in again, such as with: aws sso login")),
        Some(left) => {
            let left = Duration::from_secs(left);
            Ok(keys.living(left.saturating_sub((left / 10).max(MARGIN)).min(KEPT_MAX)))
        }
    }
}

fn read(material: &Material) -> Result<Keys, Fault> {
    Ok(Keys {
        id: material.field(ID)?,
        secret: material.field(material::VALUE)?,
        token: material.field(TOKEN).ok(),
    })
}

/// Under which the keys stand on the shelf.
pub(super) fn key(name: &SecretName) -> String {
    format!("aws keys of {name}")
}

const ID: &str = "id";
const TOKEN: &str = "token";
const FORM: &str = "application/x-www-form-urlencoded";
/// Before their end keys are asked for anew by at least so much.
const MARGIN: Duration = Duration::from_secs(10);
/// Longer than this nobody's word for their end is taken.
const KEPT_MAX: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(text: &str) -> Result<Material, Fault> {
        handed_over(text.as_bytes())
    }

    #[test]
    fn keys_that_are_handed_over_live_a_little_less_than_they_say() {
        let end = sigv4::stamp(when::now() + 1800);
        let part = |from: usize, to: usize| end.get(from..to).unwrap();
        let in_half_an_hour = format!(
            "{}-{}-{}:{}:{}",
            part(0, 4),
            part(4, 6),
            part(6, 11),
            part(11, 13),
            part(13, 16)
        );
        let keys = handed(&format!(
            r#"{{"Version":1,"AccessKeyId":"ASIA1","SecretAccessKey":"kestrel","SessionToken":"umber","Expiration":"{in_half_an_hour}"}}"#
        ))
        .unwrap();
        let lives = keys.lives.unwrap().as_secs();
        assert!((1600..=1620).contains(&lives), "{lives}");
        let keys = read(&keys).unwrap();
        assert_eq!((keys.id.text(), keys.secret.text()), (Some("ASIA1"), Some("kestrel")));
        assert_eq!(keys.token.unwrap().text(), Some("umber"));
        let lasting =
            handed(r#"{"Version":1,"AccessKeyId":"AKIA1","SecretAccessKey":"kestrel"}"#).unwrap();
        assert!(lasting.lives.is_none() && read(&lasting).unwrap().token.is_none());
    }

    #[test]
    fn what_is_no_handing_over_is_refused_without_a_word_of_it() {
        for (text, kind) in [
            ("kestrel-umber", FaultKind::Malformed),
            (r#"{"AccessKeyId":"A","SecretAccessKey":"kestrel"}"#, FaultKind::Malformed),
            (
                r#"{"Version":2,"AccessKeyId":"A","SecretAccessKey":"kestrel"}"#,
                FaultKind::Malformed,
            ),
            (r#"{"Version":1,"AccessKeyId":"A"}"#, FaultKind::Malformed),
            (
                r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"kestrel\r\nx"}"#,
                FaultKind::Malformed,
            ),
            (
                r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"kestrel","Expiration":"soon"}"#,
                FaultKind::Malformed,
            ),
            (
                r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"kestrel","Expiration":"2020-01-01T00:00:00Z"}"#,
                FaultKind::Denied,
            ),
        ] {
            let Err(fault) = handed(text) else { panic!("{text}") };
            assert_eq!(fault.kind(), kind, "{text}");
            assert!(!fault.to_string().contains("kestrel"), "{fault}");
        }
    }
}
