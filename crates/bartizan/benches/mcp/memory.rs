//! How much memory does a process hold, with all that it has started? Each page is counted once, among those who share it.

use std::collections::BTreeMap;
use std::fs;

/// Megabytes of a process and of its descendants.
pub(crate) fn tree(of: u32) -> f64 {
    let parents: BTreeMap<u32, u32> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let within = |pid: &u32| {
        let mut at = Some(pid);
        while let Some(here) = at.filter(|here| **here != of) {
            at = parents.get(here);
        }
        at.is_some()
    };
    let kilobytes: u64 =
        parents.keys().filter(|pid| within(pid)).filter_map(|pid| held(*pid)).sum();
    kilobytes as f64 / 1024.0
}

fn held(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
