//! Where is a secret found? Parsed once from configuration into a type that has no room for a value.

use crate::secret::SecretError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A reference to a secret, as configuration writes it. Safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    pub(crate) source: Source,
    text: String,
}

/// The back end that a reference names, and the place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A variable of our own environment.
    Env(String),
    /// What a host command prints; the words, program first.
    Exec(Vec<String>),
    /// An age file at this path.
    FileAt(PathBuf),
    /// An age file of this name in our own folder.
    FileNamed(String),
    /// An item of the desktop's keyring.
    Keyring { service: String, account: String },
    /// One field of what the Vault server has at this path of its API.
    Vault { path: String, field: String },
}

impl SecretRef {
    /// Parses `env://NAME`, `file://NAME`, `file:///PATH`, `exec://COMMAND`, `keyring://SERVICE/ACCOUNT` or
    /// `vault://PATH#FIELD`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let fail = |why| {
            // Somebody may have pasted the secret itself here: show only what can be a scheme.
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            let shown = if SCHEMES.contains(&scheme) { scheme } else { "" };
            Err(SecretError::BadReference { given: format!("{shown}…"), why })
        };
        let Some((scheme, rest)) = text.split_once("://") else { return fail("it has no `://`") };
        if rest.is_empty() || rest.len() > LONGEST || rest.chars().any(char::is_control) {
            return fail("after `://` stand 1 to 1024 printable characters");
        }
        let source = match scheme {
            "env" => env(rest),
            "exec" => exec(rest),
            "file" => file(rest),
            "keyring" => keyring(rest),
            "vault" => vault(rest),
            _ => Err("the part before `://` is none of env, exec, file, keyring, vault"),
        };
        source.map_or_else(fail, |source| Ok(Self { source, text: text.to_owned() }))
    }

    /// The reference to an environment variable of this name.
    pub fn of_variable(name: &'static str) -> Self {
        Self { source: Source::Env(name.to_owned()), text: format!("env://{name}") }
    }

    /// The environment variable that the reference names.
    ///
    /// The process that starts children must leave it out of their environment; the box's environment is an
    /// allow-list, so it is.
    pub fn environment_name(&self) -> Option<&str> {
        match &self.source {
            Source::Env(name) => Some(name),
            _ => None,
        }
    }

    /// The name of the age file in our own folder that the reference stands for.
    pub fn file_name(&self) -> Option<&str> {
        match &self.source {
            Source::FileNamed(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the Vault server is asked.
    pub fn needs_server(&self) -> bool {
        matches!(self.source, Source::Vault { .. })
    }

    /// Which back end it is: `env`, `exec`, `file`, `keyring` or `vault`.
    pub fn scheme(&self) -> &'static str {
        match self.source {
            Source::Env(_) => "env",
            Source::Exec(_) => "exec",
            Source::FileAt(_) | Source::FileNamed(_) => "file",
            Source::Keyring { .. } => "keyring",
            Source::Vault { .. } => "vault",
        }
    }
}

type Parsed = Result<Source, &'static str>;

fn env(rest: &str) -> Parsed {
    let head = !rest.starts_with(|c: char| c.is_ascii_digit());
    if head && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(Source::Env(rest.to_owned()))
    } else {
        Err("after `env://` stands the name of a variable")
    }
}

/// The words stand between single spaces. There is no shell and no quoting: a space within a word is `%20`, a
/// per cent sign `%25`.
fn exec(rest: &str) -> Parsed {
    let words: Option<Vec<String>> = rest.split(' ').map(word).collect();
    let words =
        words.ok_or("in a command, `%` is written `%25` and a space within a word `%20`")?;
    match words.first() {
        Some(program) if program.starts_with('/') || !program.contains('/') => {}
        _ => return Err("a command begins with a plain name or an absolute path"),
    }
    if words.iter().any(String::is_empty) {
        return Err("the words of a command stand between single spaces");
    }
    Ok(Source::Exec(words))
}

fn word(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut word = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(code, 16).ok().filter(|byte| (0x20..0x7f).contains(byte))?;
        word.push(char::from(byte));
        word.push_str(rest);
    }
    Some(word)
}

fn file(rest: &str) -> Parsed {
    if rest.starts_with('/') {
        let path = Path::new(rest);
        let plain = !rest.split('/').any(|part| part == ".." || part == ".");
        return if plain && path.file_name().is_some() {
            Ok(Source::FileAt(path.to_path_buf()))
        } else {
            Err("after `file://` stands the name of a secret, or an absolute path without `..`")
        };
    }
    if is_file_name(rest) {
        Ok(Source::FileNamed(rest.to_owned()))
    } else {
        Err("after `file://` stands the name of a secret, or an absolute path")
    }
}

/// Whether a secret of this name can be kept as a file: letters, digits, `.`, `_` and `-`, not hidden.
pub(crate) fn is_file_name(text: &str) -> bool {
    let tame = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= 64 && !text.starts_with(['.', '-']) && text.bytes().all(tame)
}

fn keyring(rest: &str) -> Parsed {
    match rest.split_once('/') {
        Some((service, account)) if !service.is_empty() && !account.is_empty() => {
            Ok(Source::Keyring { service: service.to_owned(), account: account.to_owned() })
        }
        _ => Err("after `keyring://` stand a service and an account, with a `/` between"),
    }
}

fn vault(rest: &str) -> Parsed {
    let Some((path, field)) = rest.split_once('#') else {
        return Err("after `vault://` stand a path of its API, `#` and a field");
    };
    let tame = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    let segments = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !segments || !path.bytes().all(tame) {
        return Err("a path of Vault has letters, digits, `.`, `_`, `-` and single `/`");
    }
    if field.is_empty() || !field.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("after `#` stands the name of a field");
    }
    Ok(Source::Vault { path: path.to_owned(), field: field.to_owned() })
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SecretRef {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::parse(text)
    }
}

const SCHEMES: [&str; 5] = ["env", "exec", "file", "keyring", "vault"];
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_printed_as_it_was_written() {
        for text in [
            "env://ANTHROPIC_API_KEY",
            "file:///etc/x.age",
            "file://github",
            "exec://op read op://v/i",
            "exec:///usr/bin/pass show my%20token",
            "vault://secret/data/a#b",
            "keyring://github.com/anna",
        ] {
            assert_eq!(SecretRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_without_being_shown() {
        for text in [
            "sk-ant-api03-secret",
            "sk-ant-x://y",
            "env://",
            "env://A B",
            "env://1A",
            "http://x/sk-ant-secret",
            "env://A=\n",
            "://x",
            "file://../x",
            "file:///a/../b",
            "file://.x",
            "file://a/b",
            "exec://./x",
            "exec://a/b",
            "exec://a  b",
            "exec://a %",
            "exec://a %00",
            "keyring://x",
            "vault://a",
            "vault://a/../b#c",
            "vault:///a#c",
            "vault://a?x#c",
        ] {
            let error = SecretRef::parse(text).unwrap_err().to_string();
            assert!(!error.contains("sk-ant"), "{error}");
        }
    }

    #[test]
    fn a_command_is_words_and_never_a_shell_line() {
        let parsed = SecretRef::parse("exec://pass show a%20b ;reboot $(id)").unwrap();
        let Source::Exec(words) = parsed.source else { panic!("not a command") };
        assert_eq!(words, ["pass", "show", "a b", ";reboot", "$(id)"]);
    }
}
