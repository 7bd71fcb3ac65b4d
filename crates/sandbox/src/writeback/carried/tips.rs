//! Which objects do the references of a repository name?

use super::Unread;
use super::oid::{Algo, Oid};
use super::store::{Sides, join};
use std::collections::HashSet;

/// Every name of an object in a file of references.
pub(super) fn named(algo: Algo, text: &[u8]) -> Vec<Oid> {
    let words = text.split(|b| !b.is_ascii_hexdigit());
    words.filter_map(|word| Oid::from_hex(algo, word)).filter(|oid| !oid.is_null()).collect()
}

/// What a file of references names that the host's did not.
pub(super) fn fresh(algo: Algo, new: &[u8], old: &[u8]) -> Vec<Oid> {
    let had: HashSet<&[u8]> = old.split(|b| *b == b'\n').collect();
    let lines = new.split(|b| *b == b'\n').filter(|line| !had.contains(line));
    lines.flat_map(|line| named(algo, line)).collect()
}

/// Whether packed references hold one that gives an object other contents, and that the host's did not hold.
pub(super) fn replaces(new: &[u8], old: &[u8]) -> bool {
    let had: HashSet<&[u8]> = old.split(|b| *b == b'\n').collect();
    new.split(|b| *b == b'\n')
        .filter(|line| !had.contains(line))
        .any(|line| line.windows(REPLACE.len()).any(|part| part == REPLACE))
}

/// The host's references: what `HEAD` names comes first.
pub(super) fn of_host(algo: Algo, sides: Sides<'_>, dir: &[u8]) -> Vec<Oid> {
    let read = |name: &[u8]| sides.host_text(&join(dir, name), MAX_REFS).unwrap_or_default();
    let packed = read(b"packed-refs");
    let mut tips = named(algo, &head(&read, &packed));
    let mut folders = vec![join(dir, b"refs")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for name in sides.host_names(&folder) {
            seen += 1;
            let path = join(&folder, &name);
            if seen > MAX_TIPS || path.ends_with(b"refs/replace") {
                continue;
            }
            match sides.host_text(&path, MAX_REF) {
                Some(text) => tips.extend(named(algo, &text)),
                None => folders.push(path),
            }
        }
    }
    let lines = packed.split(|b| *b == b'\n');
    let lines = lines.filter(|line| !line.windows(REPLACE.len()).any(|part| part == REPLACE));
    tips.extend(lines.flat_map(|line| named(algo, line)));
    let mut known = HashSet::new();
    tips.retain(|oid| known.insert(oid.clone()));
    tips
}

/// What `HEAD` comes to: a name, or the line of the reference that it points to.
fn head(read: &dyn Fn(&[u8]) -> Vec<u8>, packed: &[u8]) -> Vec<u8> {
    let head = read(b"HEAD");
    let Some(name) = head.strip_prefix(b"ref:").map(<[u8]>::trim_ascii) else { return head };
    let loose = read(name);
    if !loose.is_empty() {
        return loose;
    }
    let mut lines = packed.split(|b| *b == b'\n');
    let line = lines.find(|line| line.strip_suffix(name).is_some_and(|rest| rest.ends_with(b" ")));
    line.and_then(|line| line.split(|b| *b == b' ').next()).unwrap_or_default().to_vec()
}

/// A file of references that the session wrote.
pub(super) fn written(sides: Sides<'_>, path: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Unread> {
    let new = sides.upper_text(path, MAX_REFS)?;
    Ok((new, sides.host_text(path, MAX_REFS).unwrap_or_default()))
}

const REPLACE: &[u8] = b" refs/replace/";
/// Bytes of a reference by itself.
const MAX_REF: u64 = 4096;
/// Bytes of a file of many.
const MAX_REFS: u64 = 64 << 20;
/// References of the host that are looked at one by one.
const MAX_TIPS: usize = 20_000;
