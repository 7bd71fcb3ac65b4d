//! Does this name say that a secret stands behind it?

use crate::bytes::{is, kind};
use crate::values::Place;

/// A word of which names of secrets are made, and what it says.
pub(crate) struct Word {
    pub(crate) text: &'static str,
    pub(crate) place: Place,
    /// Whether it counts inside a run of letters, as in `dbpassword`.
    pub(crate) inside: bool,
}

const fn word(text: &'static str, place: Place, inside: bool) -> Word {
    Word { text, place, inside }
}

impl Word {
    /// Whether a sentence may say the value: `the password is …`. A name that is often another is one in a place of its own.
    pub(crate) fn speaks(&self) -> bool {
        self.place != Place::Likely || self.text == "key" || TONGUE_KEYS.contains(&self.text)
    }

    /// Whether the word, found at `at` in a line, may be part of a name that says what it says. Quick, and at times wrongly
    /// yes.
    pub(crate) fn may_name(&self, line: &[u8], at: usize) -> bool {
        let Some((head, rest)) = line.split_at_checked(at) else { return true };
        let Some((found, tail)) = rest.split_at_checked(self.text.len()) else { return true };
        begins(head, found, self.inside) && (!joins(found, tail) || may_follow(tail))
    }
}

/// Whether one of the words that may follow without a sign may begin so.
fn may_follow(tail: &[u8]) -> bool {
    let first = |b: u8| JOINED.iter().any(|j| j.as_bytes().first() == Some(&b));
    tail.first().is_some_and(|b| first(b.to_ascii_lowercase()))
}

/// What a name says, judged around the word that was found in it; `None` if it is another name.
pub(crate) fn judge(name: &[u8], word: &Word, at: usize) -> Option<Place> {
    let (head, rest) = name.split_at_checked(at)?;
    let (found, tail) = rest.split_at_checked(word.text.len())?;
    if !begins(head, found, word.inside) || !ends(found, tail) {
        return None;
    }
    // `defaultpass` and `ldapPass`, but neither `bypass` nor `lampass2`: what goes on is another word.
    let run_on = word.text == "pass" && !begins(head, found, false);
    if run_on && (!tail.is_empty() || OTHER_PASSES.iter().any(|w| ends_with(head, w))) {
        return None;
    }
    let paged = |head: &[u8]| {
        word.text == "token" && PAGES.iter().any(|page| head.ends_with(page.as_bytes()))
    };
    if tail.is_empty() && word.place != Place::Likely {
        return (!paged(Bare::of(head).bytes())).then_some(word.place);
    }
    let (head, tail) = (Bare::of(head), Bare::of(tail));
    let (head, tail) = (head.bytes(), tail.bytes());
    let denied = !tail.is_empty()
        && (TAILS.iter().any(|t| tail == t.as_bytes())
            || TAIL_STARTS.iter().any(|t| tail.starts_with(t.as_bytes()))
            || TAIL_ENDS.iter().any(|t| tail.ends_with(t.as_bytes())));
    let other = word.place == Place::Likely
        && !matches!(word.text, "pat" | "salt" | "webhook")
        && HEADS.iter().any(|h| head.ends_with(h.as_bytes()));
    let sure = word.text == "key" && STRONG_HEADS.iter().any(|h| head.ends_with(h.as_bytes()));
    (!denied && !other && !paged(head)).then_some(if sure { Place::Secret } else { word.place })
}

fn ends_with(text: &[u8], word: &str) -> bool {
    let from = text.len().saturating_sub(word.len());
    text.get(from..).is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the word at the end of `head`, before a space, says of a `key` that it opens something: `API key`.
pub(crate) fn strong_before(head: &[u8]) -> bool {
    let Some(head) = head.strip_suffix(b" ") else { return false };
    let word = head.iter().rev().take(16).take_while(|b| is(**b, kind::LETTER)).count();
    let word = head.get(head.len() - word..).unwrap_or_default();
    STRONG_HEADS.iter().any(|strong| word.eq_ignore_ascii_case(strong.as_bytes()))
}

/// Whether a word behind the name of a secret makes it another: `password policy`, `token count`.
pub(crate) fn turned_by(next: &[u8]) -> bool {
    let next = Bare::of(next.get(..MAX_PART).unwrap_or(next));
    let next = next.bytes();
    !next.is_empty()
        && (TAIL_STARTS.iter().any(|t| next.starts_with(t.as_bytes()))
            || TAIL_ENDS.iter().any(|t| next.ends_with(t.as_bytes())))
}

/// A word begins a name, follows a sign, or begins with a capital after a small letter.
fn begins(head: &[u8], found: &[u8], inside: bool) -> bool {
    match (head.last(), found.first()) {
        (Some(before), Some(first)) => {
            !before.is_ascii_alphabetic()
                || inside
                || (before.is_ascii_lowercase() && first.is_ascii_uppercase())
        }
        _ => true,
    }
}

/// What follows must not make it another word, as in `tokenizer` and `passport`; small words may follow.
fn ends(found: &[u8], tail: &[u8]) -> bool {
    !joins(found, tail) || {
        let tail = Bare::of(tail);
        JOINED.iter().any(|j| tail.bytes().starts_with(j.as_bytes()))
    }
}

/// Whether a word goes on behind `found`.
fn joins(found: &[u8], tail: &[u8]) -> bool {
    let small = found.last().is_some_and(u8::is_ascii_lowercase);
    tail.first().is_some_and(|b| is(*b, if small { kind::LOWER } else { kind::LETTER }))
}

/// Part of a name in lower case, without the signs between words.
struct Bare {
    bytes: [u8; MAX_PART],
    len: usize,
}

impl Bare {
    fn of(part: &[u8]) -> Self {
        let mut bare = Self { bytes: [0; MAX_PART], len: 0 };
        for byte in part.iter().filter(|b| is(**b, kind::ALNUM)) {
            if let Some(slot) = bare.bytes.get_mut(bare.len) {
                *slot = byte.to_ascii_lowercase();
                bare.len += 1;
            }
        }
        bare
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The words, in no order that matters. A longer one that is found together with a shorter is a name of its own.
pub(crate) const WORDS: [Word; 158] = [
    word("password", Place::Password, true),
    word("passwd", Place::Password, true),
    word("passwort", Place::Password, true),
    word("passphrase", Place::Password, true),
    word("mot_de_passe", Place::Password, true),
    word("contrase", Place::Password, true),
    word("pass", Place::Password, true),
    word("pwd", Place::Password, true),
    word("pw", Place::Password, true),
    word("passcode", Place::Password, true),
    word("psw", Place::Password, false),
    word("psk", Place::Password, false),
    word("requirepass", Place::Password, false),
    word("masterauth", Place::Password, false),
    word("dbpass", Place::Password, true),
    word("userpass", Place::Password, true),
    word("rootpass", Place::Password, true),
    word("adminpass", Place::Password, true),
    word("bindpass", Place::Password, true),
    word("mailpass", Place::Password, true),
    word("creds", Place::Secret, false),
    word("unseal", Place::Secret, false),
    word("totp", Place::Secret, false),
    word("signing", Place::Likely, false),
    word("pin", Place::Likely, false),
    word("secret", Place::Secret, true),
    word("secret_id", Place::Secret, true),
    word("secretid", Place::Secret, true),
    word("secret-id", Place::Secret, true),
    word("login", Place::Near, false),
    word("logged", Place::Near, false),
    word("signed", Place::Near, false),
    word("authenticated", Place::Near, false),
    word("credentials", Place::Secret, true),
    word("token", Place::Secret, true),
    word("accesstoken", Place::Secret, true),
    word("apikey", Place::Secret, true),
    word("api_key", Place::Secret, true),
    word("api-key", Place::Secret, true),
    word("access_key", Place::Secret, true),
    word("access-key", Place::Secret, true),
    word("accesskey", Place::Secret, true),
    word("accountkey", Place::Secret, true),
    word("account_key", Place::Secret, true),
    word("private_key", Place::Secret, true),
    word("private-key", Place::Secret, true),
    word("privatekey", Place::Secret, true),
    word("signing_key", Place::Secret, true),
    word("signingkey", Place::Secret, true),
    word("encryption_key", Place::Secret, true),
    word("encryptionkey", Place::Secret, true),
    word("master_key", Place::Secret, true),
    word("license_key", Place::Secret, true),
    word("credential", Place::Secret, true),
    word("azure_storage_key", Place::Secret, true),
    word("azurestoragekey", Place::Secret, true),
    word("azure-storage-key", Place::Secret, true),
    word("salt", Place::Likely, false),
    word("pass phrase", Place::Password, false),
    word("pass-phrase", Place::Password, false),
    word("pass_phrase", Place::Password, false),
    word("credencial", Place::Secret, true),
    word("macaroon", Place::Secret, false),
    word("device_code", Place::Secret, true),
    word("code_verifier", Place::Secret, true),
    word("authorization", Place::Secret, false),
    word("auth", Place::Secret, false),
    word("bearer", Place::Secret, false),
    word("jwt", Place::Secret, false),
    word("mnemonic", Place::Password, false),
    word("webhook", Place::Likely, false),
    word("cookie", Place::Likely, false),
    word("sessionid", Place::Likely, true),
    word("session_id", Place::Likely, true),
    word("sessid", Place::Likely, true),
    word("sid", Place::Likely, false),
    word("csrf", Place::Likely, false),
    word("xsrf", Place::Likely, false),
    word("sso", Place::Likely, false),
    word("session", Place::Likely, false),
    word("sig", Place::Likely, false),
    word("signature", Place::Likely, false),
    word("dsn", Place::Likely, false),
    word("pat", Place::Likely, false),
    word("key", Place::Likely, false),
    // Other languages. The first letter of a word is left out where it has another form as a capital.
    word("passord", Place::Password, true),
    word("passordet", Place::Password, true),
    word("passwoord", Place::Password, true),
    word("wachtwoord", Place::Password, true),
    word("kennwort", Place::Password, true),
    word("l\u{f6}senord", Place::Password, true),
    word("l\u{f6}senordet", Place::Password, true),
    word("losenord", Place::Password, true),
    word("adgangskode", Place::Password, true),
    word("adgangskoden", Place::Password, true),
    word("salasana", Place::Password, true),
    word("mot de passe", Place::Password, true),
    word("motdepasse", Place::Password, true),
    word("senha", Place::Password, true),
    word("parola", Place::Password, true),
    word("parol\u{103}", Place::Password, true),
    word("has\u{142}o", Place::Password, true),
    word("has\u{142}a", Place::Password, true),
    word("heslo", Place::Password, true),
    word("hesla", Place::Password, true),
    word("geslo", Place::Password, true),
    word("lozinka", Place::Password, true),
    word("jelsz\u{f3}", Place::Password, true),
    word("slapta\u{17e}odis", Place::Password, true),
    word("\u{15f}ifresi", Place::Password, true),
    word("parool", Place::Password, false),
    word("\u{15f}ifre", Place::Password, true),
    word("\u{15e}ifre", Place::Password, true),
    word("kata sandi", Place::Password, true),
    word("m\u{1ead}t kh\u{1ea9}u", Place::Password, true),
    word("\u{430}\u{440}\u{43e}\u{43b}", Place::Password, true),
    word("\u{3c9}\u{3b4}\u{3b9}\u{3ba}\u{3cc}", Place::Password, true),
    word("\u{5e1}\u{5d9}\u{5e1}\u{5de}", Place::Password, true),
    word(
        "\u{643}\u{644}\u{645}\u{629} \u{627}\u{644}\u{645}\u{631}\u{648}\u{631}",
        Place::Password,
        true,
    ),
    word("\u{643}\u{644}\u{645}\u{629} \u{627}\u{644}\u{633}\u{631}", Place::Password, true),
    word("\u{631}\u{645}\u{632} \u{639}\u{628}\u{648}\u{631}", Place::Password, true),
    word("\u{92a}\u{93e}\u{938}\u{935}\u{930}\u{94d}\u{921}", Place::Password, true),
    word(
        "\u{9aa}\u{9be}\u{9b8}\u{993}\u{9af}\u{9bc}\u{9be}\u{9b0}\u{9cd}\u{9a1}",
        Place::Password,
        true,
    ),
    word("\u{e23}\u{e2b}\u{e31}\u{e2a}\u{e1c}\u{e48}\u{e32}\u{e19}", Place::Password, true),
    word("\u{5bc6}\u{7801}", Place::Password, true),
    word("\u{5bc6}\u{78bc}", Place::Password, true),
    word("\u{53e3}\u{4ee4}", Place::Password, true),
    word("\u{30d1}\u{30b9}\u{30ef}\u{30fc}\u{30c9}", Place::Password, true),
    word("\u{30d1}\u{30b9}\u{30d5}\u{30ec}\u{30fc}\u{30ba}", Place::Password, true),
    word("\u{6697}\u{8a3c}\u{756a}\u{53f7}", Place::Password, true),
    word("\u{be44}\u{bc00}\u{bc88}\u{d638}", Place::Password, true),
    word("\u{c554}\u{d638}", Place::Password, true),
    word("\u{5bc6}\u{94a5}", Place::Secret, true),
    word("\u{5bc6}\u{9470}", Place::Secret, true),
    word("\u{4ee4}\u{724c}", Place::Secret, true),
    word("\u{79d8}\u{5bc6}\u{9375}", Place::Secret, true),
    word("\u{30c8}\u{30fc}\u{30af}\u{30f3}", Place::Secret, true),
    word("\u{d1a0}\u{d070}", Place::Secret, true),
    word("\u{442}\u{43e}\u{43a}\u{435}\u{43d}", Place::Secret, true),
    word("\u{43b}\u{44e}\u{447}", Place::Likely, true),
    word("schl\u{fc}ssel", Place::Likely, true),
    word("cl\u{e9}", Place::Likely, true),
    word("clave", Place::Password, false),
    word("mdp", Place::Password, false),
    word("pswd", Place::Password, true),
    word("psswd", Place::Password, true),
    word("pword", Place::Password, false),
    word("passw", Place::Password, false),
    word("chave", Place::Likely, true),
    word("chiave", Place::Likely, true),
    word("klucz", Place::Likely, true),
    word("kl\u{ed}\u{10d}", Place::Likely, true),
    word("sleutel", Place::Likely, true),
    word("nyckel", Place::Likely, true),
    word("anahtar", Place::Likely, true),
    word("\u{30ad}\u{30fc}", Place::Likely, true),
    word("\u{d0a4}", Place::Likely, true),
    word("\u{645}\u{641}\u{62a}\u{627}\u{62d}", Place::Likely, true),
];

/// What a key is called in other languages.
const TONGUE_KEYS: [&str; 13] = [
    "\u{43b}\u{44e}\u{447}",
    "schl\u{fc}ssel",
    "cl\u{e9}",
    "clave",
    "chave",
    "chiave",
    "klucz",
    "kl\u{ed}\u{10d}",
    "sleutel",
    "nyckel",
    "\u{30ad}\u{30fc}",
    "\u{d0a4}",
    "\u{645}\u{641}\u{62a}\u{627}\u{62d}",
];
/// With `pass` behind them these are no passwords.
const OTHER_PASSES: [&str; 14] = [
    "com", "by", "sur", "tres", "over", "under", "encom", "im", "out", "tran", "multi", "single",
    "two", "render",
];

/// No part of a name is longer: what is looked at on either side of a word.
pub(crate) const MAX_PART: usize = 64;

/// What may follow a word without a sign between: `tokenvalue`, `keydata`.
const JOINED: [&str; 16] = [
    "key", "value", "data", "string", "text", "plain", "hash", "base", "code", "salt", "prod",
    "dev", "live", "test", "id", "env",
];

/// A name that ends so after the word is not a secret's.
const TAILS: [&str; 26] = [
    "s", "id", "ids", "is", "in", "at", "by", "for", "on", "to", "of", "or", "kid", "ref", "map",
    "max", "min", "set", "size", "ttl", "type", "url", "uri", "usage", "use", "v",
];
const TAIL_STARTS: [&str; 40] = [
    "count",
    "expir",
    "endpoint",
    "policy",
    "length",
    "len",
    "limit",
    "manager",
    "provider",
    "rotation",
    "field",
    "label",
    "header",
    "hint",
    "format",
    "index",
    "error",
    "status",
    "regex",
    "pattern",
    "placeholder",
    "helper",
    "fingerprint",
    "checksum",
    "algorithm",
    "alg",
    "version",
    "interval",
    "enabled",
    "required",
    "reset",
    "prefix",
    "suffix",
    "path",
    "file",
    "dir",
    "created",
    "updated",
    "budget",
    "window",
];
const TAIL_ENDS: [&str; 20] = [
    "name", "path", "file", "arn", "url", "uri", "count", "type", "policy", "ttl", "seconds",
    "enabled", "endpoint", "expiry", "limit", "ref", "version", "date", "time", "keyid",
];
/// A `key` of these, and the like, is none that opens anything.
const HEADS: [&str; 36] = [
    "public",
    "primary",
    "foreign",
    "cache",
    "idempotency",
    "idempotence",
    "partition",
    "sort",
    "hash",
    "index",
    "object",
    "routing",
    "row",
    "lookup",
    "composite",
    "natural",
    "unique",
    "group",
    "shard",
    "site",
    "publishable",
    "map",
    "dict",
    "json",
    "sub",
    "s3",
    "dedup",
    "dedupe",
    "storage",
    "translation",
    "message",
    "i18n",
    "metric",
    "trace",
    "websocket",
    "surrogate",
];
/// A `token` of these says where a listing goes on.
const PAGES: [&str; 9] =
    ["page", "next", "continuation", "cursor", "pagination", "paging", "sync", "resume", "skip"];
/// And a `key` of these is surely one that does.
const STRONG_HEADS: [&str; 33] = [
    "api",
    "app",
    "application",
    "auth",
    "oauth",
    "access",
    "secret",
    "private",
    "signing",
    "encryption",
    "decryption",
    "master",
    "license",
    "account",
    "admin",
    "service",
    "server",
    "consumer",
    "client",
    "personal",
    "integration",
    "ingest",
    "write",
    "deploy",
    "shared",
    "security",
    "activation",
    "recovery",
    "wifi",
    "wpa",
    "vpn",
    "stream",
    "bot",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Option<Place> {
        let lower = name.to_ascii_lowercase();
        WORDS
            .iter()
            .flat_map(|word| lower.match_indices(word.text).map(move |(at, _)| (word, at)))
            .filter_map(|(word, at)| judge(name.as_bytes(), word, at))
            .max()
    }

    #[test]
    fn names_of_secrets_are_told_from_names_about_them() {
        for name in [
            "DB_PASSWORD",
            "dbPassword",
            "githubToken",
            "apiKey",
            "SECRET_KEY_BASE",
            "client_secret",
            "authToken",
            "x-api-key",
            "PGPASSWORD",
            "FERNET_KEY",
            "_authToken",
            "wifi_psk",
            "MYDBPASS",
            "requirepass",
            "HOOK_SIGNING",
        ] {
            assert!(place(name).is_some(), "{name}");
        }
        for name in [
            "token_count",
            "tokens",
            "tokenizer",
            "author",
            "password_policy",
            "secretName",
            "public_key",
            "idempotency_key",
            "cacheKey",
            "monkey",
            "compass",
            "keyboard",
            "token_type",
            "SECRET_ROTATION_INTERVAL",
            "passport",
            "nextPageToken",
            "continuation_token",
            "sec-websocket-key",
        ] {
            assert_eq!(place(name), None, "{name}");
        }
    }
}
