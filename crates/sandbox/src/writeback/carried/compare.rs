//! What in a tree differs from what the host has, and would be held as a file?

use super::super::change::{HoldReason, Verdict};
use super::super::configured::Used;
use super::super::contents::Theirs;
use super::super::fold::fold;
use super::super::judge::{Entry, Form, Place};
use super::super::path::escape;
use super::Unread;
use super::index::{self, Index};
use super::oid::{Kind, Oid};
use super::parse::{self, Node};
use super::store::{Sides, Store, join};
use super::tips;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A repository of the session beside the host's.
pub(super) struct Compare<'a> {
    sides: Sides<'a>,
    store: Store<'a>,
    /// Where its working tree begins, as far as judging goes.
    top: Place,
    configured: &'a [Used],
    /// The host's references, its `HEAD` first.
    tips: Vec<Oid>,
    /// The trees of those, as far as they were needed.
    trees: Vec<Option<Oid>>,
    /// All commits that the host's references lead to, once it was asked.
    history: Option<HashSet<Oid>>,
    seen: HashSet<(Oid, Vec<u8>)>,
    entries: usize,
}

/// A tree beside the one that the host has at the same place.
struct Pair {
    new: Option<Oid>,
    old: Option<Oid>,
    path: Vec<u8>,
    place: Place,
}

type Found = Result<Option<HoldReason>, Unread>;

impl<'a> Compare<'a> {
    pub(super) fn new(
        sides: Sides<'a>,
        store: Store<'a>,
        dir: &[u8],
        configured: &'a [Used],
    ) -> Self {
        let mut top = Place::default();
        // Where the working tree of a submodule is, its own configuration says.
        if let (above, b".git") = split(dir) {
            let names = above.split(|b| *b == b'/').filter(|name| !name.is_empty());
            top.folded = names.map(fold).collect();
        }
        let tips = tips::of_host(store.algo, sides, dir);
        let (trees, history, seen, entries) = (Vec::new(), None, HashSet::new(), 0);
        Self { sides, store, top, configured, tips, trees, history, seen, entries }
    }

    /// Judges a file of references or an index that the session wrote; `names` is where it is in the git directory, folded.
    pub(super) fn file(&mut self, path: &[u8], names: &[String]) -> Found {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["index"] | ["worktrees", _, "index"] => self.index(path),
            ["reftable", ..] => Err(Unread("its references are in tables")),
            [.., "logs", "refs", "stash"] | ["refs", "stash"] => self.references(path, true),
            ["logs", ..] | ["worktrees", _, "logs", ..] => Ok(None),
            [name] | ["worktrees", _, name] if is_text(name) => Ok(None),
            [name] if name.starts_with("sharedindex.") => Err(Unread("the index is split")),
            _ => self.references(path, false),
        }
    }

    fn references(&mut self, path: &[u8], stash: bool) -> Found {
        let (new, old) = tips::written(self.sides, path)?;
        if path.ends_with(b"packed-refs") && tips::replaces(&new, &old) {
            return Ok(Some(HoldReason::GitReplace));
        }
        for oid in tips::fresh(self.store.algo, &new, &old) {
            if let Some(reason) = self.tip(&oid, stash)? {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    /// What a reference leads to; a stash keeps the index and new files in commits of their own.
    fn tip(&mut self, oid: &Oid, stash: bool) -> Found {
        // No path is like this; a stash is looked into further than a branch that leads to the same commit.
        let as_what = if stash { b"\0stash".as_slice() } else { b"\0" };
        if self.tips.contains(oid) || !self.seen.insert((oid.clone(), as_what.to_vec())) {
            return Ok(None);
        }
        let (kind, data) = self.store.read(oid)?;
        match kind {
            Kind::Blob => Ok(None),
            Kind::Tree => self.tree(oid.clone(), Vec::new(), self.top.clone()),
            Kind::Tag => self.tip(&parse::tag(self.store.algo, &data)?, stash),
            Kind::Commit => {
                let (tree, parents) = parse::commit(self.store.algo, &data)?;
                let found = self.tree(tree, Vec::new(), self.top.clone())?;
                if found.is_some() && !self.is_old(oid) {
                    return Ok(found);
                }
                for parent in parents.iter().filter(|_| stash) {
                    if let Some(found) = self.tip(parent, false)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Whether the host's references lead to a commit, so that it is the host's own.
    fn is_old(&mut self, oid: &Oid) -> bool {
        if self.history.is_none() {
            let (mut found, mut next) = (HashSet::new(), self.tips.clone());
            while let Some(oid) = next.pop() {
                if found.len() >= MAX_HISTORY || !found.insert(oid.clone()) {
                    continue;
                }
                match self.store.read(&oid) {
                    Ok((Kind::Commit, data)) => {
                        let parents = parse::commit(self.store.algo, &data).map(|(_, all)| all);
                        next.extend(parents.unwrap_or_default());
                    }
                    Ok((Kind::Tag, data)) => next.extend(parse::tag(self.store.algo, &data)),
                    _ => {}
                }
            }
            self.history = Some(found);
        }
        self.history.as_ref().is_some_and(|history| history.contains(oid))
    }

    /// Everything in a tree that is not as it is in the host's `HEAD`.
    fn tree(&mut self, new: Oid, path: Vec<u8>, place: Place) -> Found {
        let old = match self.host_tree(0) {
            Some(tree) => self.at(&tree, &path)?.filter(Node::is_dir).map(|node| node.oid),
            None => None,
        };
        let old = if path.is_empty() { self.host_tree(0) } else { old };
        let mut stack = vec![Pair { new: Some(new), old, path, place }];
        while let Some(pair) = stack.pop() {
            if let Some(reason) = self.pair(pair, &mut stack)? {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    fn pair(&mut self, pair: Pair, stack: &mut Vec<Pair>) -> Found {
        let Pair { new, old, path, mut place } = pair;
        let key = |oid: &Oid| (oid.clone(), path.clone());
        if new == old || new.as_ref().is_some_and(|new| !self.seen.insert(key(new))) {
            return Ok(None);
        }
        let new = self.entries(new.as_ref())?;
        let old = self.entries(old.as_ref())?;
        let folded: HashSet<String> =
            new.keys().filter(|name| name.len() < 16).map(|name| fold(name)).collect();
        place.bare = is_bare(&|name| folded.contains(name));
        let names: HashSet<&Vec<u8>> = new.keys().chain(old.keys()).collect();
        for name in names {
            let (ours, theirs) = (new.get(name), old.get(name));
            if ours == theirs {
                continue;
            }
            let path = join(&path, name);
            let (reason, inside) = self.entry(&place, name, ours, theirs)?;
            if let Some(reason) = reason {
                if !self.is_known(&path, ours)? {
                    return Ok(Some(carries(&path, &reason)));
                }
                continue;
            }
            let tree = |node: Option<&Node>| node.filter(|n| n.is_dir()).map(|n| n.oid.clone());
            let (new, old) = (tree(ours), tree(theirs));
            if new.is_some() || old.is_some() {
                stack.push(Pair { new, old, path, place: inside });
            }
        }
        Ok(None)
    }

    fn entries(&mut self, tree: Option<&Oid>) -> Result<BTreeMap<Vec<u8>, Node>, Unread> {
        let Some(tree) = tree else { return Ok(BTreeMap::new()) };
        let data = self.store.read_as(Kind::Tree, tree)?;
        let entries = parse::tree(self.store.algo, &data)?;
        let count = entries.len();
        self.entries += count;
        if self.entries > MAX_ENTRIES {
            return Err(Unread("its trees are too large to be looked through"));
        }
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        // Of two with one name, git may take the other.
        if entries.len() == count { Ok(entries) } else { Err(Unread("a tree has a name twice")) }
    }

    /// Why an entry would be held as a file, and the place below it.
    fn entry(
        &mut self,
        place: &Place,
        name: &[u8],
        new: Option<&Node>,
        old: Option<&Node>,
    ) -> Result<(Option<HoldReason>, Place), Unread> {
        let target = match new.filter(|node| node.is_link()) {
            Some(node) => Some(self.store.read_as(Kind::Blob, &node.oid)?),
            None => None,
        };
        let form = match (new, &target) {
            (None, _) => Form::Gone,
            (_, Some(target)) => Form::Link(target),
            (Some(node), None) if node.is_file() => Form::File,
            (Some(_), None) if old.is_some_and(|old| !old.is_dir()) => Form::NewDir,
            (Some(_), None) => Form::Dir,
        };
        let is_new = old.is_none();
        if new.is_some() && fold(name) == ".git" {
            return Ok((Some(HoldReason::GitDir), place.clone()));
        }
        let mut judged = place.judge(Entry { name, form, is_new });
        // All that a tree loses is looked at by itself.
        if judged.verdict == Verdict::Hold(HoldReason::TakesHeld) {
            (judged.verdict, judged.inside.withheld) = (Verdict::Apply, None);
        }
        if let Verdict::Hold(reason) = judged.verdict {
            return Ok((Some(reason), judged.inside));
        }
        if let Some(used) = self
            .configured
            .iter()
            .find(|u| u.covers(&judged.inside.folded) || u.covers(&judged.leads_to))
        {
            return Ok((Some(HoldReason::Configured { key: used.key.clone() }), judged.inside));
        }
        if let Some(contents) = judged.contents {
            let old = match old.filter(|node| node.is_file()) {
                Some(node) => Some(self.store.read_as(Kind::Blob, &node.oid)?),
                None => None,
            };
            let judged_by = match new {
                Some(node) => {
                    let text = self.store.read_as(Kind::Blob, &node.oid)?;
                    // Of what a git directory holds, nothing is in a tree.
                    let theirs = Theirs { workspace: self.sides.host, dir: None };
                    contents.judge(&text, old.as_deref(), &theirs)
                }
                None => contents.judge_gone(old.as_deref().unwrap_or_default()),
            };
            return Ok((judged_by.err(), judged.inside));
        }
        Ok((None, judged.inside))
    }

    /// Whether one of the host's references has exactly this at this path.
    fn is_known(&mut self, path: &[u8], node: Option<&Node>) -> Result<bool, Unread> {
        for at in 0..self.tips.len().min(MAX_ASKED) {
            if let Some(tree) = self.host_tree(at)
                && self.at(&tree, path)?.as_ref() == node
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The tree of one of the host's references. What cannot be read there vouches for nothing.
    fn host_tree(&mut self, at: usize) -> Option<Oid> {
        while self.trees.len() <= at {
            let tip = self.tips.get(self.trees.len())?.clone();
            let tree = self.tree_of(tip).ok();
            self.trees.push(tree);
        }
        self.trees.get(at).cloned().flatten()
    }

    fn tree_of(&mut self, mut oid: Oid) -> Result<Oid, Unread> {
        for _ in 0..MAX_TAGS {
            let (kind, data) = self.store.read(&oid)?;
            match kind {
                Kind::Tree => return Ok(oid),
                Kind::Commit => return parse::commit(self.store.algo, &data).map(|(tree, _)| tree),
                Kind::Tag => oid = parse::tag(self.store.algo, &data)?,
                Kind::Blob => break,
            }
        }
        Err(Unread("a reference leads to no tree"))
    }

    /// What a tree has at a path.
    fn at(&mut self, tree: &Oid, path: &[u8]) -> Result<Option<Node>, Unread> {
        let mut node = None;
        let mut tree = Some(tree.clone());
        for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            let Some(oid) = tree.take() else { return Ok(None) };
            node = self.entries(Some(&oid))?.remove(name);
            tree = node.as_ref().filter(|node| node.is_dir()).map(|node| node.oid.clone());
        }
        Ok(node)
    }

    fn index(&mut self, path: &[u8]) -> Found {
        let algo = self.store.algo;
        let new = index::read(algo, &self.sides.upper_text(path, MAX_INDEX)?)?;
        let old = match self.sides.host_text(path, MAX_INDEX) {
            Some(text) => index::read(algo, &text)?,
            None => Index::default(),
        };
        let had: HashMap<&[u8], &index::Entry> =
            old.entries.iter().map(|entry| (entry.path.as_slice(), entry)).collect();
        let mut places = Places::new(self.top.clone(), &new);
        let mut has = HashSet::new();
        for entry in &new.entries {
            has.insert(entry.path.as_slice());
            let theirs = had.get(entry.path.as_slice()).copied();
            if theirs == Some(entry) {
                continue;
            }
            if entry.is_hidden && !theirs.is_some_and(|theirs| theirs.is_hidden) {
                return Ok(Some(HoldReason::GitHidden { path: escape(&entry.path) }));
            }
            let theirs = theirs.map(|entry| &entry.node);
            if let Some(reason) =
                self.staged(&mut places, &entry.path, Some(&entry.node), theirs)?
            {
                return Ok(Some(reason));
            }
        }
        for entry in old.entries.iter().filter(|entry| !has.contains(entry.path.as_slice())) {
            let theirs = Some(&entry.node);
            if let Some(reason) = self.staged(&mut places, &entry.path, None, theirs)? {
                return Ok(Some(reason));
            }
        }
        for (path, tree) in new.trees {
            let place = places.of(self, &path)?;
            if let Some(reason) = self.tree(tree, path, place)? {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    /// An entry of the index beside the host's.
    fn staged(
        &mut self,
        places: &mut Places,
        path: &[u8],
        new: Option<&Node>,
        old: Option<&Node>,
    ) -> Found {
        if new == old || is_odd(path) {
            return if new == old { Ok(None) } else { Err(Unread("the index has an odd path")) };
        }
        let (above, name) = split(path);
        let place = places.of(self, above)?;
        let reason = match &place.withheld {
            Some(Verdict::Hold(reason)) => Some(reason.clone()),
            _ => self.entry(&place, name, new, old)?.0,
        };
        match reason {
            Some(reason) if !self.is_known(path, new)? => Ok(Some(carries(path, &reason))),
            _ => Ok(None),
        }
    }
}

/// The places of directories in an index.
struct Places {
    known: HashMap<Vec<u8>, Place>,
    bare: HashSet<Vec<u8>>,
}

impl Places {
    fn new(top: Place, index: &Index) -> Self {
        let mut parts: HashMap<&[u8], HashSet<String>> = HashMap::new();
        for entry in &index.entries {
            let ends = entry.path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
            for end in ends.chain([entry.path.len()]) {
                let (above, name) = split(entry.path.get(..end).unwrap_or_default());
                if matches!(name.len(), 4..=12) && name.first().is_some_and(u8::is_ascii_alphabetic)
                {
                    let name = fold(name);
                    if BARE.contains(&name.as_str()) {
                        parts.entry(above).or_default().insert(name);
                    }
                }
            }
        }
        let bare = parts.into_iter().filter(|(_, has)| is_bare(&|name| has.contains(name)));
        let bare: HashSet<Vec<u8>> = bare.map(|(dir, _)| dir.to_vec()).collect();
        let top = Place { bare: bare.contains(b"".as_slice()), ..top };
        Self { known: HashMap::from([(Vec::new(), top)]), bare }
    }

    fn of(&mut self, compare: &mut Compare<'_>, dir: &[u8]) -> Result<Place, Unread> {
        let mut known = dir;
        while !self.known.contains_key(known) {
            known = split(known).0;
        }
        let mut place = self.known.get(known).cloned().unwrap_or_default();
        let mut path = known.to_vec();
        let rest = dir.get(known.len()..).unwrap_or_default();
        for name in rest.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            path = join(&path, name);
            if place.withheld.is_none() {
                // A directory's own mode and name count for nothing here.
                let mode = 0o040_000;
                let node = Oid::new(compare.store.algo, &vec![0; compare.store.algo.len()]);
                let node = node.map(|oid| Node { mode, oid });
                let (reason, inside) = compare.entry(&place, name, node.as_ref(), node.as_ref())?;
                place = inside;
                place.withheld = place.withheld.or(reason.map(Verdict::Hold));
                place.bare = self.bare.contains(&path);
            }
            self.known.insert(path.clone(), place.clone());
        }
        Ok(place)
    }
}

fn carries(path: &[u8], reason: &HoldReason) -> HoldReason {
    HoldReason::GitCarries { path: escape(path), why: reason.to_string() }
}

/// The directory and the name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

fn is_odd(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|name| matches!(name, b"" | b"." | b".."))
}

fn is_bare(has: &dyn Fn(&str) -> bool) -> bool {
    has("head") && (has("objects") && has("refs") || has("commondir"))
}

/// What git keeps in words and no object's name has power in.
fn is_text(name: &str) -> bool {
    name.ends_with("_msg") || name.ends_with("_editmsg")
}

const BARE: [&str; 4] = ["head", "objects", "refs", "commondir"];
/// Entries of trees that one repository's changes are looked through for.
const MAX_ENTRIES: usize = 5_000_000;
/// Commits of the host that are walked to find one.
const MAX_HISTORY: usize = 50_000;
/// References of the host that are asked for a path.
const MAX_ASKED: usize = 256;
/// Tags on tags.
const MAX_TAGS: usize = 16;
/// Bytes of an index.
const MAX_INDEX: u64 = 256 << 20;
