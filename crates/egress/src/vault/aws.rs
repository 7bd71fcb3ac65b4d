//! With which keys are requests to AWS signed? An identity's own, or those of a role that it takes for a while.

use super::http::{Answer, Call};
use super::material::{self, Material};
use super::{Declared, Origin, Vault, at_fault, bounded, form};
use crate::fault::{Fault, FaultKind};
use crate::http::host_value;
use crate::reference::SecretRef;
use crate::secret::{SecretError, SecretValue};
use crate::sigv4::{self, Keys, Scope, Signed};
use crate::upstream::Upstream;
use bartizan_gate::name::SecretName;
use hyper::Method;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// An identity at AWS.
#[derive(Debug, Clone)]
pub struct AwsIdentity {
    /// Where its access key id is found.
    pub id: SecretRef,
    /// Where its secret access key is found.
    pub secret: SecretRef,
    /// The role that it takes (`sts:AssumeRole`); without one its own keys sign.
    pub role: Option<AwsRole>,
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
            None => write!(f, "the AWS keys {} and {}", self.id, self.secret),
        }
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
            let own = self.own_keys(identity).await;
            let made = match (own, &identity.role) {
                (Ok(own), Some(role)) => self.assume(&own, role).await,
                (Ok(own), None) => Ok(own),
                (Err(fault), _) => Err(fault),
            };
            made.map_err(|fault| at_fault(name, fault))
        });
        let usual = declared.lifetime.unwrap_or_default();
        let asked = self.0.shelf.get(&key, usual, fetched);
        let material = bounded(declared, name, asked).await?;
        read(&material).map_err(|fault| at_fault(name, fault))
    }

    async fn own_keys(&self, identity: &AwsIdentity) -> Result<Material, Fault> {
        let (id, secret) = (self.inner(&identity.id).await?, self.inner(&identity.secret).await?);
        Ok(Material::shared([(ID, id), (material::VALUE, secret)]))
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
        let lives = role.lives.saturating_sub(role.lives / 10);
        Ok(taken(&answer, role)?.living(lives))
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
