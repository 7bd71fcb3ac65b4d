//! What does a program in the box hold that insists on a token? Something of the vendor's own shape, worth nothing.
//!
//! A placeholder is made for one session, from the secret's declared kind. It buys something at the egress alone,
//! for the granted host, in the granted place. Seen anywhere else it is an alarm, never a substitution: nobody
//! but an agent of this session can have sent it.

use crate::fault::{Fault, FaultKind};
use bartizan_gate::name::SecretName;
use bartizan_scan::{KnownSecret, Redactor, ScanKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use std::str::FromStr;

/// What a secret is, as its vendor makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SecretKind {
    /// Anthropic's API key.
    Anthropic,
    /// The id of an AWS access key.
    AwsAccessKey,
    /// The secret half of an AWS access key.
    AwsSecretKey,
    /// crates.io's API token.
    CratesIo,
    /// GitHub's fine-grained personal access token.
    GithubFineGrained,
    /// GitHub's classic personal access token.
    GithubToken,
    /// GitLab's personal access token.
    Gitlab,
    /// Google's API key.
    GoogleApiKey,
    /// npm's access token.
    Npm,
    /// `OpenAI`'s API key.
    Openai,
    /// Nothing that is known.
    #[default]
    Opaque,
    /// `PyPI`'s upload token.
    Pypi,
    /// Slack's bot token.
    SlackBot,
    /// Stripe's secret key.
    Stripe,
}

impl SecretKind {
    /// Every kind, by its name in the configuration.
    pub const ALL: [(&'static str, Self); 14] = [
        ("anthropic", Self::Anthropic),
        ("aws-access-key", Self::AwsAccessKey),
        ("aws-secret-key", Self::AwsSecretKey),
        ("crates-io", Self::CratesIo),
        ("github-fine-grained", Self::GithubFineGrained),
        ("github-token", Self::GithubToken),
        ("gitlab", Self::Gitlab),
        ("google-api-key", Self::GoogleApiKey),
        ("npm", Self::Npm),
        ("openai", Self::Openai),
        ("opaque", Self::Opaque),
        ("pypi", Self::Pypi),
        ("slack-bot", Self::SlackBot),
        ("stripe", Self::Stripe),
    ];

    /// A text of this shape with at least 80 random bits, mostly more than 128.
    fn imitate(self) -> Result<String, Fault> {
        let text = match self {
            Self::Anthropic => format!("sk-ant-api03-{}AA", random(URL64, 93)?),
            Self::AwsAccessKey => format!("AKIA{}", random(BASE32, 16)?),
            Self::AwsSecretKey => random(BASE64, 40)?,
            Self::CratesIo => format!("cio{}", random(BASE62, 32)?),
            Self::GithubFineGrained => {
                format!("github_pat_{}_{}", random(BASE62, 22)?, random(BASE62, 59)?)
            }
            Self::GithubToken => checked("ghp_")?,
            Self::Gitlab => format!("glpat-{}", random(URL64, 20)?),
            Self::GoogleApiKey => format!("AIza{}", random(URL64, 35)?),
            Self::Npm => checked("npm_")?,
            Self::Openai => format!("sk-proj-{}T3BlbkFJ{}", random(URL64, 74)?, random(URL64, 74)?),
            Self::Opaque => random(BASE62, 40)?,
            Self::Pypi => format!("pypi-AgEIcHlwaS5vcmc{}", random(URL64, 150)?),
            Self::SlackBot => {
                format!(
                    "xoxb-{}-{}-{}",
                    random(DIGITS, 12)?,
                    random(DIGITS, 13)?,
                    random(BASE62, 24)?
                )
            }
            Self::Stripe => format!("sk_test_{}", random(BASE62, 24)?),
        };
        Ok(text)
    }
}

impl FromStr for SecretKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, kind)| kind).ok_or(())
    }
}

impl Placeholder {
    fn make(secret: SecretName, kind: SecretKind, is_canary: bool) -> Result<Self, Fault> {
        let text = kind.imitate()?;
        let encoded = encodings(&text);
        Ok(Self { secret, text, encoded, is_canary })
    }
}

/// The placeholders of one session.
#[derive(Debug, Default)]
pub struct Placeholders {
    made: Vec<Placeholder>,
    /// Knows what was planted, in every form in which it could be echoed.
    planted: Option<Redactor>,
}

#[derive(Debug)]
struct Placeholder {
    secret: SecretName,
    text: String,
    /// What it becomes inside base64, at each of the three places in a group where it can begin.
    encoded: Vec<String>,
    /// Whether it stands for nothing.
    is_canary: bool,
}

impl Placeholders {
    /// Makes one for each secret.
    pub fn make(
        secrets: impl IntoIterator<Item = (SecretName, SecretKind)>,
    ) -> Result<Self, Fault> {
        let made = secrets.into_iter().map(|(secret, kind)| Placeholder::make(secret, kind, false));
        Ok(Self { made: made.collect::<Result<_, Fault>>()?, planted: None })
    }

    /// Adds values that stand for nothing: nobody has a reason to send one anywhere.
    pub fn plant(
        &mut self,
        canaries: impl IntoIterator<Item = (SecretName, SecretKind)>,
    ) -> Result<(), Fault> {
        for (name, kind) in canaries {
            // Looked for first: where both stand, it is this one that counts.
            self.made.insert(0, Placeholder::make(name, kind, true)?);
        }
        let known: Vec<KnownSecret> = self.canaries().map(known).collect();
        if !known.is_empty() {
            // Its labels are thrown away, so their key is nobody's concern.
            let planted = Redactor::of_values(ScanKey::new([0; 32]), known);
            self.planted = Some(planted.map_err(|error| {
                Fault::new(FaultKind::Unsafe, format!("a canary cannot be looked for: {error}"))
            })?);
        }
        Ok(())
    }

    /// What was planted, each with its value.
    pub fn canaries(&self) -> impl Iterator<Item = (&SecretName, &str)> {
        let planted = self.made.iter().filter(|made| made.is_canary);
        planted.map(|made| (&made.secret, made.text.as_str()))
    }

    /// Whether anything was planted.
    pub fn has_canaries(&self) -> bool {
        self.made.iter().any(|made| made.is_canary)
    }

    /// Whether what has this name was planted.
    pub fn is_canary(&self, name: &SecretName) -> bool {
        self.canaries().any(|(planted, _)| planted == name)
    }

    /// What stands for this secret in the box.
    pub fn of(&self, secret: &SecretName) -> Option<&str> {
        self.made.iter().find(|made| made.secret == *secret).map(|made| made.text.as_str())
    }

    /// Which secret's placeholder stands in `bytes`, as it is or within base64 (as in a Basic header); what was planted, in
    /// every form that the way out knows.
    ///
    /// Bytes that arrive in parts are looked at with an overlap of [`Self::longest`].
    pub fn seen_in(&self, bytes: &[u8]) -> Option<&SecretName> {
        self.planted_in(bytes).or_else(|| self.plain_in(bytes))
    }

    fn planted_in(&self, bytes: &[u8]) -> Option<&SecretName> {
        let (_, found) = self.planted.as_ref()?.redact_bytes(bytes);
        let kind = found.first()?.kind.as_str();
        // A long name is cut there. Whatever was found, something was: it is never nothing.
        let named = self.canaries().find(|(name, _)| name.as_str().starts_with(kind));
        named.or_else(|| self.canaries().next()).map(|(name, _)| name)
    }

    fn plain_in(&self, bytes: &[u8]) -> Option<&SecretName> {
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let found = self
            .made
            .iter()
            .find(|made| holds(&made.text) || made.encoded.iter().any(|text| holds(text)));
        found.map(|made| &made.secret)
    }

    /// The length of the longest form that is looked for.
    pub fn longest(&self) -> usize {
        if self.planted.is_some() {
            return ESCAPED;
        }
        let forms = self.made.iter().flat_map(|made| made.encoded.iter().chain([&made.text]));
        forms.map(String::len).max().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }
}

fn known((name, value): (&SecretName, &str)) -> KnownSecret {
    KnownSecret { name: name.to_string(), value: value.to_owned().into() }
}

/// Base64 of the text with nought to two bytes before it, less the digits at both ends that its neighbours change.
fn encodings(text: &str) -> Vec<String> {
    let form = |before: usize| {
        let bytes = [vec![0; before], text.as_bytes().to_vec()].concat();
        let whole = STANDARD_NO_PAD.encode(&bytes);
        let from = [0, 2, 3].get(before).copied().unwrap_or(0);
        let to = bytes.len() * 8 / 6;
        whole.get(from..to).map(str::to_owned)
    };
    (0..3).filter_map(form).collect()
}

/// GitHub's and npm's classic form: 30 random characters, then their CRC-32 in base 62.
fn checked(prefix: &str) -> Result<String, Fault> {
    let body = random(BASE62, 30)?;
    let mut sum = u64::from(crc32(body.as_bytes()));
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        let at = usize::try_from(sum % 62).unwrap_or(0);
        *digit = BASE62.get(at).copied().unwrap_or(b'0');
        sum /= 62;
    }
    Ok(format!("{prefix}{body}{}", String::from_utf8_lossy(&digits)))
}

/// CRC-32 as in zip and png.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// `count` characters of the alphabet, each as likely as any other.
fn random(alphabet: &[u8], count: usize) -> Result<String, Fault> {
    let source = SystemRandom::new();
    let even = 256 - 256 % alphabet.len().max(1);
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let mut bytes = [0; 64];
        let filled = source.fill(&mut bytes);
        filled.map_err(|_| Fault::new(FaultKind::Down, "the kernel gives no random bytes"))?;
        let fair = bytes.iter().map(|&b| usize::from(b)).filter(|&b| b < even);
        let symbols = fair.filter_map(|b| alphabet.get(b % alphabet.len().max(1)));
        text.extend(symbols.take(count - text.len()).copied().map(char::from));
    }
    Ok(text)
}

/// The longest value in the longest form: some 200 characters, each an escape, and that in a code again.
const ESCAPED: usize = 8 * 1024;
const DIGITS: &[u8] = b"0123456789";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    #[test]
    fn each_kind_has_its_vendors_shape() {
        for (kind, prefix, length) in [
            ("github-token", "ghp_", 40),
            ("github-fine-grained", "github_pat_", 93),
            ("anthropic", "sk-ant-api03-", 108),
            ("aws-access-key", "AKIA", 20),
            ("aws-secret-key", "", 40),
            ("npm", "npm_", 40),
            ("gitlab", "glpat-", 26),
            ("google-api-key", "AIza", 39),
            ("opaque", "", 40),
        ] {
            let text = kind.parse::<SecretKind>().unwrap().imitate().unwrap();
            assert!(text.starts_with(prefix) && text.len() == length, "{kind}: {text}");
        }
        for (_, kind) in SecretKind::ALL {
            assert_ne!(kind.imitate().unwrap(), kind.imitate().unwrap());
        }
    }

    #[test]
    fn the_checksum_is_the_one_that_github_computes() {
        // CRC-32's own check value, and a token that GitHub's secret scanning documents as well-formed.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let token = checked("ghp_").unwrap();
        let (body, sum) = token.strip_prefix("ghp_").unwrap().split_at(30);
        let value = sum.bytes().fold(0u64, |value, digit| {
            value * 62 + BASE62.iter().position(|&known| known == digit).unwrap() as u64
        });
        assert_eq!(value, u64::from(crc32(body.as_bytes())));
    }

    #[test]
    fn what_is_planted_is_told_from_what_stands_for_a_secret() {
        let mut made = Placeholders::make([(name("git"), SecretKind::GithubToken)]).unwrap();
        made.plant([(name("canary-old"), SecretKind::Npm)]).unwrap();
        let planted: Vec<_> = made.canaries().collect();
        assert!(
            matches!(*planted, [(planted, value)] if planted.as_str() == "canary-old" && value.starts_with("npm_"))
        );
        assert!(made.is_canary(&name("canary-old")) && !made.is_canary(&name("git")));
        let value = made.of(&name("canary-old")).unwrap();
        assert_eq!(made.seen_in(value.as_bytes()), Some(&name("canary-old")));
    }

    #[test]
    fn a_placeholder_is_seen_wherever_it_stands() {
        let secrets = [("git", SecretKind::GithubToken), ("db", SecretKind::Opaque)];
        let made = Placeholders::make(secrets.map(|(text, kind)| (name(text), kind))).unwrap();
        let token = made.of(&name("git")).unwrap();
        for user in ["", "x", "xy", "x-access-token"] {
            let basic = STANDARD.encode(format!("{user}:{token}"));
            assert_eq!(made.seen_in(basic.as_bytes()), Some(&name("git")), "{user}");
            let longer = STANDARD.encode(format!("{user}:{token}@host"));
            assert_eq!(made.seen_in(longer.as_bytes()), Some(&name("git")), "{user}");
        }
        assert_eq!(made.seen_in(format!("?token={token}&x").as_bytes()), Some(&name("git")));
        assert_eq!(made.seen_in(&token.as_bytes()[1..]), None);
        assert_eq!(made.seen_in(b""), None);
        assert!(made.longest() >= token.len());
        let other = Placeholders::make([(name("git"), SecretKind::GithubToken)]).unwrap();
        assert_eq!(
            other.seen_in(token.as_bytes()),
            None,
            "another session's is nothing to this one"
        );
    }
}
