//! What does a patch of Codex's change? One proposal for each file, as if each had been written by itself.

use serde_json::{Value, json};
use std::path::Path;

/// The writes that a patch stands for, in order, each with its part of the patch. None when it is no patch that can be
/// read in one way.
pub(super) fn writes(patch: &str, folder: &str) -> Option<Vec<Value>> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in patch.lines() {
        match header(line) {
            Some(path) => files.push((within(folder, path)?, String::new())),
            None if line.trim_start().starts_with("***") && !MARKS.contains(&line.trim()) => {
                return None;
            }
            None => {}
        }
        if let Some((_, part)) = files.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    let write = |(path, part)| json!({ "file_path": path, "content": part });
    (!files.is_empty() && files.len() <= FILES_MAX).then(|| files.into_iter().map(write).collect())
}

/// The path that a line names as one that changes.
fn header(line: &str) -> Option<&str> {
    HEADERS.iter().find_map(|header| line.trim_start().strip_prefix(header)).map(str::trim)
}

fn within(folder: &str, path: &str) -> Option<String> {
    let path = Path::new(folder).join(path);
    path.is_absolute().then(|| path.to_str().map(str::to_owned)).flatten()
}

const HEADERS: [&str; 4] =
    ["*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:"];
const MARKS: [&str; 3] = ["*** Begin Patch", "*** End Patch", "*** End of File"];
/// Files of one patch; each is a record on the log.
const FILES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(patch: &str) -> Option<Vec<String>> {
        let writes = writes(patch, "/w")?;
        Some(writes.iter().map(|write| write["file_path"].as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn every_file_that_a_patch_touches_is_a_write_with_its_own_part() {
        let patch = "*** Begin Patch\n*** Add File: a.txt\n+one\n*** Update File: sub/b\n*** Move to: /etc/c\n@@\n-x\n+y\n\
                     *** End of File\n  *** Delete File: ../d\n*** End Patch\n";
        assert_eq!(paths(patch).unwrap(), ["/w/a.txt", "/w/sub/b", "/etc/c", "/w/../d"]);
        let first = writes(patch, "/w").unwrap().remove(0);
        assert_eq!(first["content"], "*** Add File: a.txt\n+one\n");
    }

    #[test]
    fn what_cannot_be_read_in_one_way_is_no_patch() {
        for patch in [
            "",
            "nothing",
            "*** Begin Patch\n*** End Patch",
            "*** Begin Patch\n*** Rename File: a\n*** Add File: b\n",
        ] {
            assert_eq!(paths(patch), None, "{patch}");
        }
        assert_eq!(writes("*** Add File: a", "w"), None, "of no folder");
    }
}
