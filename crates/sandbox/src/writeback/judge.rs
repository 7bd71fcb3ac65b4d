//! Would a tool of the host execute or obey this path?

use super::change::{DropReason, HoldReason, Kind, Notable, Verdict};
use super::contents::Contents;
use super::fold::fold;
use super::git::{self, GitPlace};
use super::list::BARE_PARTS;
use super::names;
use super::path::{RelPath, escape};

/// Where a directory stands, as far as judging its entries goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The folded names from the workspace down.
    pub(crate) folded: Vec<String>,
    /// How many of them name the git directory that this is in, when it is in one.
    pub(crate) git_root: Option<usize>,
    /// Set when nothing below here lands either.
    pub(crate) withheld: Option<Verdict>,
    /// The session completed a bare repository here.
    pub(crate) bare: bool,
}

/// The entry being judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) form: Form<'a>,
    /// The host has nothing by this name.
    pub(crate) is_new: bool,
}

/// What the session made of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// A directory, adding to the host's if there is one.
    Dir,
    /// A directory in the place of what the host has there.
    NewDir,
    /// Anything with contents.
    File,
    /// Nothing any more.
    Gone,
    /// A link and where it points.
    Link(&'a [u8]),
}

/// What judging by name came to.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) contents: Option<Contents>,
    pub(crate) in_git_unit: bool,
    /// The place to judge its entries from, when it is a directory.
    pub(crate) inside: Place,
    /// The folded names of where a link leads, from the workspace down.
    pub(crate) leads_to: Vec<String>,
}

impl Place {
    /// Judges one entry of this directory.
    pub(crate) fn judge(&self, entry: Entry<'_>) -> Judgement {
        let folded = fold(entry.name);
        let mut inside = self.clone();
        inside.folded.push(folded.clone());
        inside.bare = false;
        let mut judged = Judgement {
            verdict: Verdict::Apply,
            contents: None,
            in_git_unit: false,
            inside,
            leads_to: Vec::new(),
        };
        if let Some(withheld) = &self.withheld {
            judged.verdict = withheld.clone();
        } else if let Some(root) = self.git_root {
            judged.judge_in_git(root, entry);
        } else {
            self.judge_name(&folded, entry, &mut judged);
        }
        judged
    }

    fn judge_name(&self, folded: &str, entry: Entry<'_>, judged: &mut Judgement) {
        if self.bare && BARE_PARTS.contains(&folded) {
            return judged.withhold(HoldReason::BareRepository);
        }
        if folded == ".git" && entry.name == b".git" {
            if entry.form != Form::Dir {
                return judged.withhold(HoldReason::GitDir);
            }
            judged.inside.git_root = Some(judged.inside.folded.len());
            return;
        }
        if let Some(reason) =
            names::protected(self.folded.last().map(String::as_str), folded, entry.name)
        {
            return judged.withhold(reason);
        }
        if entry.form != Form::Gone && entry.name.iter().any(u8::is_ascii_control) {
            return judged.withhold(HoldReason::ControlName);
        }
        match entry.form {
            // What is held in it would go with it.
            Form::Gone | Form::NewDir
                if self.folded.is_empty() && !entry.is_new && names::is_shared_folder(folded) =>
            {
                judged.withhold(HoldReason::TakesHeld);
            }
            // What lies behind it would be obeyed under this name and judged under another.
            Form::Link(_) if names::is_shared_folder(folded) => {
                judged.withhold(HoldReason::Lookalike { of: format!("{folded}/") });
            }
            Form::Link(target) if leads_out(target, self.folded.len()) => {
                judged.withhold(HoldReason::OutwardLink);
            }
            Form::Link(target) if self.leads_into(target, judged).is_some() => {}
            Form::Dir | Form::NewDir | Form::Link(_) if folded == ".gitattributes" => {
                judged
                    .withhold(HoldReason::GitAttributes { line: "not a regular file".to_owned() });
            }
            Form::File | Form::Gone if folded == ".gitattributes" => {
                judged.contents = Some(Contents::GitAttributes);
            }
            Form::File if matches!(folded, "rust-toolchain" | "rust-toolchain.toml") => {
                judged.contents = Some(Contents::Toolchain);
            }
            Form::File | Form::Link(_) | Form::Dir | Form::NewDir | Form::Gone => {}
        }
    }

    /// Holds a link into what is held: whoever of the host writes to it, an editor or a command's `>`, would write there. Says so
    /// with `Some`.
    fn leads_into(&self, target: &[u8], judged: &mut Judgement) -> Option<()> {
        let parts = || target.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b"."));
        let climbs = parts().take_while(|name| *name == b"..").count();
        let above = self.folded.len().checked_sub(climbs)?;
        judged.leads_to = self.folded.get(..above)?.to_vec();
        let mut held = None;
        let mut rest = parts().skip(climbs).peekable();
        while let Some(name) = rest.next() {
            let folded = fold(name);
            let parent = judged.leads_to.last().map(String::as_str);
            // A folder of which a part is held has that part under any other name of it too.
            let is_held = folded == ".git"
                || (rest.peek().is_none() && names::is_shared_folder(&folded))
                || names::protected(parent, &folded, name).is_some();
            held = held.or(is_held.then_some(()));
            judged.leads_to.push(folded);
        }
        held.map(|()| judged.withhold(HoldReason::InwardLink { to: escape(target) }))
    }
}

/// What a person should know of a change, though it lands.
///
/// Installed packages bring thousands of build files of their own; only the workspace's are worth a person's eye.
pub(super) fn notable(path: &RelPath, kind: &Kind) -> Option<Notable> {
    let folded: Vec<String> = path.names().map(fold).collect();
    let (last, above) = folded.split_last()?;
    let is_packaged =
        |dir: &String| matches!(dir.as_str(), "node_modules" | "site-packages" | "vendor");
    if above.iter().any(is_packaged) {
        return None;
    }
    let is_written =
        matches!(kind, Kind::Created | Kind::Modified | Kind::ModeChanged | Kind::Symlink { .. });
    match kind {
        Kind::CreatedDir if last == ".git" => Some(Notable::NestedRepository),
        _ if !is_written && *kind != Kind::CreatedDir => None,
        _ if last.starts_with('-') => Some(Notable::OptionName),
        _ if !is_written => None,
        _ if above.iter().any(|dir| dir == ".git") => {
            (last == "config" && *kind == Kind::Modified).then_some(Notable::GitConfig)
        }
        _ => names::notable(above.last().map(String::as_str), last),
    }
}

impl Judgement {
    fn judge_in_git(&mut self, root: usize, entry: Entry<'_>) {
        let names = self.inside.folded.get(root..).unwrap_or_default();
        // Without one of these it is no repository, and git looks for another around it.
        let lost = match names {
            [name] if name == "head" => entry.form == Form::Gone,
            [name] if name == "objects" || name == "refs" => entry.form != Form::Dir,
            _ => false,
        };
        if lost {
            return self.withhold(HoldReason::GitDir);
        }
        let is_dir = matches!(entry.form, Form::Dir | Form::NewDir);
        if entry.form == Form::File && !entry.is_new && is_object(names) {
            return self.withhold(HoldReason::GitReplace);
        }
        match git::place(names, is_dir, matches!(entry.form, Form::Link(_)), entry.is_new) {
            GitPlace::Object | GitPlace::Plain => {}
            GitPlace::Unit => self.in_git_unit = true,
            GitPlace::Config if entry.form == Form::Gone => {
                self.withhold(HoldReason::GitConfig { key: "config".to_owned(), value: None });
            }
            GitPlace::Config => self.contents = Some(Contents::GitConfig),
            GitPlace::Exclude => self.contents = Some(Contents::GitExclude),
            GitPlace::Shallow => self.contents = Some(Contents::GitShallow),
            GitPlace::LfsObject => self.contents = Some(Contents::LfsObject),
            // Without it git reads the objects themselves.
            GitPlace::Withheld(Verdict::Drop(DropReason::GitCache), _)
                if entry.form == Form::Gone => {}
            GitPlace::Withheld(verdict, below) => {
                self.inside.withheld = below.then(|| verdict.clone());
                self.verdict = verdict;
            }
        }
    }

    /// Holds the entry and all below it.
    fn withhold(&mut self, reason: HoldReason) {
        self.verdict = Verdict::Hold(reason);
        self.inside.withheld = Some(self.verdict.clone());
    }

    /// Drops the entry.
    pub(crate) fn discard(&mut self, reason: DropReason) {
        self.verdict = Verdict::Drop(reason);
        self.inside.withheld = Some(self.verdict.clone());
    }

    /// Holds the entry and all below it, for a reason seen elsewhere; a verdict that is already stricter stays.
    pub(crate) fn hold(&mut self, reason: HoldReason) {
        if self.verdict == Verdict::Apply {
            self.withhold(reason);
        }
    }
}

/// Whether these names, below a git directory, are those of an object, or of a pack of them, which git writes once.
fn is_object(names: &[String]) -> bool {
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    match names {
        [.., objects, pack, name] if objects == "objects" && pack == "pack" => {
            [".pack", ".idx"].iter().any(|end| name.ends_with(end))
        }
        [.., objects, folder, rest] if objects == "objects" => {
            folder.len() == 2 && is_hex(folder) && rest.len() >= 38 && is_hex(rest)
        }
        _ => false,
    }
}

/// Whether a link, `depth` directories below the workspace, could lead out of it.
///
/// After a name that is not `..`, a `..` climbs from wherever that name leads, which may be another link: only leading ones are counted on.
fn leads_out(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    let mut names = target.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let climbs = names.by_ref().take_while(|name| *name == b"..").count();
    climbs > depth || names.any(|name| name == b"..")
}
