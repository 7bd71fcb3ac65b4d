//! Could git on the host do anything it did not do before, because of this configuration?

use super::change::HoldReason;
use super::path::escape;

/// Judges a changed `config` file of a git directory against the one on the host (`None` = new repository).
///
/// Every entry outside the list of harmless ones must be there already, in the same order. Harmless is what a clone, a commit or a
/// branch writes and what neither executes a program nor sends the next push or pull of an existing branch elsewhere. `has_branch` says
/// which branches the host has.
pub(crate) fn judge_config(
    new: &[u8],
    old: Option<&[u8]>,
    has_branch: &dyn Fn(&str) -> bool,
) -> Result<(), HoldReason> {
    let new = parse(new).ok_or(HoldReason::GitConfigUnreadable)?;
    let fresh = old.is_none();
    let old = match old {
        Some(bytes) => parse(bytes).ok_or(HoldReason::GitConfigUnreadable)?,
        None => Vec::new(),
    };
    if let Some(entry) = new
        .iter()
        .find(|e| is_shape_harmless(e) && !fresh && !is_harmless_beside(e, &old, has_branch))
    {
        return Err(HoldReason::GitConfig { key: entry.key(), value: Some(shorten(&entry.value)) });
    }
    // Git lets the last entry win, so what has power must stand there in the order it had.
    let powerful = |e: &&Entry| !(is_shape_harmless(e) || fresh && e.section == "user");
    // An old remote stays as it was: one that a session took away would be new in the next.
    let is_kept = |e: &&Entry| powerful(e) || is_remote_of(e, &old);
    let mut had = old.iter().filter(is_kept);
    for entry in new.iter().filter(is_kept) {
        match had.next() {
            Some(same) if same == entry => {}
            Some(gone) if old.contains(entry) => {
                return Err(HoldReason::GitConfig { key: gone.key(), value: None });
            }
            _ => {
                return Err(HoldReason::GitConfig {
                    key: entry.key(),
                    value: Some(shorten(&entry.value)),
                });
            }
        }
    }
    match had.next() {
        Some(gone) => Err(HoldReason::GitConfig { key: gone.key(), value: None }),
        None => Ok(()),
    }
}

/// The entries of a host's configuration that make git execute or read something, as `(key, value)`.
pub(crate) fn powers(config: &[u8]) -> Vec<(String, String)> {
    let entries = parse(config).unwrap_or_default();
    entries.into_iter().filter(|e| !is_shape_harmless(e)).map(|e| (e.key(), e.value)).collect()
}

/// One `key = value` of a git configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    section: String,
    sub: Option<String>,
    name: String,
    value: String,
}

impl Entry {
    fn key(&self) -> String {
        let key = match &self.sub {
            Some(sub) => format!("{}.{sub}.{}", self.section, self.name),
            None => format!("{}.{}", self.section, self.name),
        };
        shorten(&key)
    }
}

/// Harmless by its key and value alone.
fn is_shape_harmless(entry: &Entry) -> bool {
    let value = entry.value.as_str();
    match (entry.section.as_str(), entry.sub.as_deref(), entry.name.as_str()) {
        ("core", None, "repositoryformatversion") => matches!(value, "0" | "1"),
        (
            "core",
            None,
            "filemode" | "bare" | "logallrefupdates" | "ignorecase" | "precomposeunicode"
            | "symlinks",
        )
        | ("submodule", Some(_), "active") => is_bool(value),
        ("core", None, "autocrlf") => is_bool(value) || value == "input",
        ("extensions", None, "objectformat") => matches!(value, "sha1" | "sha256"),
        ("extensions", None, "refstorage") => matches!(value, "files" | "reftable"),
        ("lfs", None, "repositoryformatversion") => value == "0",
        ("remote", Some(name), "url") => is_plain(name) && is_remote_url(value),
        ("remote", Some(name), "fetch") => is_plain(name) && is_tracking_refspec(value, name),
        ("remote", Some(name), "tagopt") => {
            is_plain(name) && matches!(value, "--tags" | "--no-tags")
        }
        ("branch", Some(_), "remote") => value == "." || is_plain(value),
        ("branch", Some(_), "merge") => value.starts_with("refs/heads/"),
        ("branch", Some(_), "rebase") => is_bool(value) || value == "merges",
        ("branch", Some(_), "description" | "vscode-merge-base" | "gh-merge-base") => true,
        _ => false,
    }
}

/// Whether an entry is of a remote that the host has.
fn is_remote_of(entry: &Entry, old: &[Entry]) -> bool {
    entry.section == "remote" && old.iter().any(|e| e.section == "remote" && e.sub == entry.sub)
}

/// Harmless also beside what the host already has: a new remote is, another address for an old one is not.
fn is_harmless_beside(entry: &Entry, old: &[Entry], has_branch: &dyn Fn(&str) -> bool) -> bool {
    if old.contains(entry) {
        return true;
    }
    let is_known = |remote: &str| {
        old.iter().any(|e| e.section == "remote" && e.sub.as_deref() == Some(remote))
    };
    match (entry.section.as_str(), entry.sub.as_deref(), entry.name.as_str()) {
        ("remote", Some(name), _) => !is_known(name),
        // `git push` of a branch goes where these say. One that the host has goes where it went; a new one to a remote there was.
        ("branch", Some(branch), "remote" | "merge") if has_branch(branch) => false,
        ("branch", Some(_), "remote") => entry.value == "." || is_known(&entry.value),
        _ => true,
    }
}

fn is_bool(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "1" | "0"
    )
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

/// `https://host/…`, `ssh://[user@]host/…` or `user@host:path`: no helper (`ext::`), no local path, no password, nothing that reads as an option.
fn is_remote_url(url: &str) -> bool {
    if !url.chars().all(|c| c.is_ascii_graphic() && !"\\'\"`$;|&<>(){}".contains(c))
        || url.contains("::")
    {
        return false;
    }
    let (host, https) = match (url.strip_prefix("https://"), url.strip_prefix("ssh://")) {
        (Some(rest), _) => (rest.split('/').next().unwrap_or_default(), true),
        (_, Some(rest)) => (rest.split('/').next().unwrap_or_default(), false),
        _ => match url.split_once(':') {
            Some((host, path))
                if !host.contains('/') && !path.starts_with('-') && host.contains('@') =>
            {
                (host, false)
            }
            _ => return false,
        },
    };
    let (user, host) = host.split_once('@').map_or(("", host), |(user, host)| (user, host));
    let sound = |s: &str| {
        !s.starts_with('-') && s.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
    };
    !host.is_empty()
        && sound(host)
        && sound(user)
        && !user.contains(':')
        && (user.is_empty() || !https)
}

fn is_tracking_refspec(spec: &str, remote: &str) -> bool {
    let spec = spec.strip_prefix('+').unwrap_or(spec);
    spec.split_once(':').is_some_and(|(from, to)| {
        from.starts_with("refs/")
            && (to.starts_with(&format!("refs/remotes/{remote}/")) || to == "refs/tags/*")
    })
}

/// Reads git's own syntax, or gives up (`None`) on anything it is not sure git would read the same way.
fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.replace("\r\n", "\n");
    if text.contains(['\0', '\r', '\u{feff}']) {
        return None;
    }
    let mut entries = Vec::new();
    let mut section: Option<(String, Option<String>)> = None;
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        let mut line = line.trim_start_matches([' ', '\t']);
        if let Some(rest) = line.strip_prefix('[') {
            let (head, after) = parse_section(rest)?;
            section = Some(head);
            line = after.trim_start_matches([' ', '\t']);
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (section, sub) = section.clone()?;
        let end =
            line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(line.len());
        let (name, rest) = line.split_at_checked(end)?;
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let rest = rest.trim_start_matches([' ', '\t']);
        let value = match rest.strip_prefix('=') {
            Some(value) => parse_value(value, &mut lines)?,
            None if rest.is_empty() => "true".to_owned(),
            None => return None,
        };
        entries.push(Entry { section, sub, name: name.to_ascii_lowercase(), value });
    }
    Some(entries)
}

/// What follows `[`: the section, its subsection, and the rest of the line.
fn parse_section(rest: &str) -> Option<((String, Option<String>), &str)> {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)))?;
    let (name, rest) = rest.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    if let Some(after) = rest.strip_prefix(']') {
        // `[branch.main]` is an old spelling of `[branch "main"]`, case folded.
        let head = name.split_once('.').map_or((name.clone(), None), |(section, sub)| {
            (section.to_owned(), Some(sub.to_owned()))
        });
        return Some((head, after));
    }
    if name.contains('.') {
        return None;
    }
    let quoted = rest.trim_start_matches([' ', '\t']).strip_prefix('"')?;
    let mut sub = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = quoted.get(at + 1..)?.strip_prefix(']')?;
                return Some(((name, Some(sub)), after));
            }
            '\\' => sub.push(chars.next()?.1),
            c => sub.push(c),
        }
    }
    None
}

/// What follows `=`, with quotes, escapes, comments and continuation lines.
fn parse_value<'a>(first: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let mut value = String::new();
    let (mut quoted, mut kept) = (false, 0);
    let mut line = first;
    'line: loop {
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            // Git skips space as long as there is no value, also on the next line.
            if matches!(c, ' ' | '\t') && !quoted {
                if !value.is_empty() {
                    value.push(c);
                }
                continue;
            }
            if matches!(c, '#' | ';') && !quoted {
                break 'line;
            }
            // Space is dropped at the end only: a backslash or a quote behind it keeps it. A tab there is a space for git
            // before 2.45, and a tab since.
            if value.get(kept..)?.contains('\t') {
                return None;
            }
            kept = value.len();
            match c {
                '"' => quoted = !quoted,
                '\\' => match chars.next() {
                    None => {
                        line = lines.next()?;
                        continue 'line;
                    }
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some(c @ ('\\' | '"')) => value.push(c),
                    Some(_) => return None,
                },
                c if c.is_control() && c != '\t' => return None,
                c => value.push(c),
            }
            kept = value.len();
        }
        break;
    }
    if quoted {
        return None;
    }
    value.truncate(kept);
    Some(value)
}

pub(super) fn shorten(text: &str) -> String {
    let escaped = escape(text.as_bytes());
    match escaped.char_indices().nth(120) {
        Some((at, _)) => format!("{}…", escaped.get(..at).unwrap_or_default()),
        None => escaped,
    }
}

#[cfg(test)]
mod differential;

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tpager = less -R\n[remote \"origin\"]\n\turl = https://github.com/a/b.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n";

    fn judge(new: &[u8], old: Option<&[u8]>) -> Result<(), HoldReason> {
        judge_config(new, old, &|branch| branch == "main")
    }

    fn with(more: &str) -> Result<(), HoldReason> {
        judge(format!("{HOST}{more}").as_bytes(), Some(HOST.as_bytes()))
    }

    #[test]
    fn what_a_clone_a_branch_and_a_new_remote_write_is_harmless() {
        assert_eq!(judge(HOST.replace("\tpager = less -R\n", "").as_bytes(), None), Ok(()));
        assert_eq!(with("[branch \"x\"]\n\tremote = origin\n\tmerge = refs/heads/x\n"), Ok(()));
        assert_eq!(
            with(
                "[remote \"fork\"]\n\turl = git@github.com:me/b.git\n\tfetch = +refs/heads/*:refs/remotes/fork/*\n"
            ),
            Ok(())
        );
        assert_eq!(judge(b"[core]\nbare=false\n[user]\nname = Agent\n", None), Ok(()));
    }

    #[test]
    fn every_key_that_executes_something_is_held_and_named() {
        for (section, key, value) in [
            ("core", "fsmonitor", "./p"),
            ("core", "sshCommand", "./p"),
            ("core", "hooksPath", "h"),
            ("core", "pager", "./p"),
            ("core", "editor", "./p"),
            ("core", "attributesFile", "a"),
            ("core", "worktree", ".."),
            ("core", "gitProxy", "p"),
            ("alias", "st", "!./p"),
            ("diff", "external", "./p"),
            ("include", "path", "../x"),
            ("credential", "helper", "!./p"),
            ("gpg", "program", "./p"),
            ("sequence", "editor", "./p"),
            ("extensions", "worktreeConfig", "true"),
            ("user", "email", "x@y"),
            ("http", "proxy", "http://evil"),
            ("uploadpack", "packObjectsHook", "./p"),
        ] {
            let held = with(&format!("[{section}]\n\t{key} = {value}\n")).unwrap_err();
            let HoldReason::GitConfig { key: named, value: Some(shown) } = held else {
                panic!("{held:?}")
            };
            assert_eq!(
                (named.to_lowercase(), shown.as_str()),
                (format!("{section}.{key}").to_lowercase(), value)
            );
        }
        for (head, line) in [
            ("filter \"x\"", "clean = ./p"),
            ("diff \"x\"", "textconv = ./p"),
            ("merge \"x\"", "driver = ./p"),
            ("url \"ext::sh -c\"", "insteadOf = https://"),
            ("remote \"evil\"", "url = ext::sh -c ./p"),
            ("remote \"evil\"", "url = /tmp/x"),
            ("remote \"evil\"", "url = --upload-pack=p"),
            ("remote \"evil\"", "url = file:///x"),
            ("remote \"evil\"", "url = https://user:pw@h/x"),
            ("remote \"evil\"", "uploadpack = ./p"),
            ("remote \"evil\"", "fetch = +refs/heads/*:refs/heads/*"),
            ("remote \"evil\"", "vcs = x"),
            ("submodule \"s\"", "update = !./p"),
            ("includeIf \"gitdir:/\"", "path = x"),
            ("branch \"main\"", "pushRemote = evil"),
            ("branch \"main\"", "mergeOptions = -s x"),
            ("core \"\"", "x = y"),
        ] {
            assert!(with(&format!("[{head}]\n\t{line}\n")).is_err(), "[{head}] {line}");
        }
    }

    #[test]
    fn spellings_that_hide_a_key_do_not_pass() {
        for text in [
            "[CORE] FSMonitor=./p",
            "[core]fsmonitor=./p",
            "[core]\n\tfilemode = true \\\n[core]\n\tfsmonitor = ./p",
            "[core]\n fsmonitor",
            "[alias] a = \"!./p\"",
            "[core]\n\tfilemode = true\r\tfsmonitor = ./p\r",
            "[core] [alias] a = !./p",
            "fsmonitor = ./p\n[x",
            "[branch \"a\\\"]\n[core]\n\tfsmonitor=./p",
            "[diff.x]\n\tcommand = ./p",
            "[core]\n\tfilemode = true\u{b}\n",
            "[core]\n\t\u{feff}fsmonitor = ./p",
            "[user]\n\tname = a\tb",
            "[user]\n\tname = a\t\\\n",
        ] {
            assert!(with(&format!("{text}\n")).is_err(), "{text:?}");
        }
        for text in ["[core]\n\tbare =\tfalse\t", "[core]\n\tbare = false\t# no\tmore"] {
            assert!(with(&format!("{text}\n")).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn an_old_remote_keeps_its_address_and_an_old_branch_its_remote() {
        assert!(
            judge(HOST.replace("github.com", "evil.example").as_bytes(), Some(HOST.as_bytes()))
                .is_err()
        );
        assert!(with("[remote \"origin\"]\n\turl = https://evil.example/x\n").is_err());
        assert!(with("[remote \"evil\"]\n\turl = https://evil.example/x\n[branch \"main\"]\n\tremote = evil\n").is_err());
    }

    #[test]
    fn removing_or_reordering_what_has_power_is_held_without_repeating_the_hosts_value() {
        let old =
            "[http]\n\textraHeader = Authorization: secret\n[core]\n\tpager = a\n\tpager = b\n";
        let held = judge(b"[core]\n\tpager = a\n\tpager = b\n", Some(old.as_bytes())).unwrap_err();
        assert_eq!(held, HoldReason::GitConfig { key: "http.extraheader".into(), value: None });
        assert!(!held.to_string().contains("secret"));
        let swapped = old.replace("pager = a\n\tpager = b", "pager = b\n\tpager = a");
        assert!(judge(swapped.as_bytes(), Some(old.as_bytes())).is_err());
    }

    #[test]
    fn a_branch_of_the_hosts_goes_where_it_went_and_no_remote_is_taken_away_for_the_next_session() {
        let old = format!(
            "{HOST}[remote \"public\"]\n\turl = https://github.com/a/public.git\n[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n"
        );
        let held = |new: &str| judge(new.as_bytes(), Some(old.as_bytes())).is_err();
        assert!(!held(&old));
        assert!(held(&old.replace("remote = origin", "remote = public")));
        assert!(held(&format!("{old}[branch \"main\"]\n\tremote = public\n")));
        assert!(held(&old.replace("merge = refs/heads/main", "merge = refs/heads/production")));
        assert!(held(&old.replace("\turl = https://github.com/a/b.git\n", "")));
        assert!(held(&old.replace("[remote \"origin\"]", "[remote \"upstream\"]")));
        assert!(held(&format!(
            "{HOST}[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n"
        )));
        // A branch of the host's that has no remote gets none; a new one may have any of the host's.
        let without = old.split("[branch").next().unwrap();
        let gets = |branch: &str| {
            let new = format!(
                "{without}[branch \"{branch}\"]\n\tremote = public\n\tmerge = refs/heads/{branch}\n"
            );
            judge(new.as_bytes(), Some(without.as_bytes()))
        };
        assert!(gets("main").is_err());
        assert_eq!(gets("feature"), Ok(()));
        assert_eq!(judge(without.as_bytes(), Some(old.as_bytes())), Ok(()));
    }
}
