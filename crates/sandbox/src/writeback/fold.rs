//! Would some file system, or some eye, take this name for that one?

use unicode_normalization::UnicodeNormalization;

/// A name as the most forgiving reader would take it: invisible characters gone, compatibility forms and case folded, what
/// follows a `:` (an NTFS stream) and trailing dots and spaces cut off. Bytes that are not UTF-8 are dropped.
///
/// Two names that any of ext4 casefold, APFS, HFS+, NTFS or SMB would treat as one fold to the same text; the reverse need not hold.
pub(crate) fn fold(name: &[u8]) -> String {
    let text: String = name.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).collect();
    let folded: String = text
        .nfkc()
        .flat_map(char::to_lowercase)
        .nfkc()
        .filter(|c| !c.is_control() && !is_ignorable(*c))
        .flat_map(|c| if c == 'ß' { vec!['s', 's'] } else { vec![c] })
        .collect();
    // A combining mark on top of an ASCII letter survives NFKC as a different letter, which is right: no file system equates `é` and `e`.
    let stream = folded.split(':').next().unwrap_or_default();
    stream.trim_end_matches(['.', ' ']).to_owned()
}

/// Whether a folded name is an 8.3 short name (`git~1`) that a Windows file system may have given to `long` (folded).
pub(crate) fn is_short_for(folded: &str, long: &str) -> bool {
    let Some((stem, rest)) = folded.split_once('~') else { return false };
    if !rest.starts_with(|c: char| c.is_ascii_digit()) || stem.is_empty() {
        return false;
    }
    let base = long.trim_start_matches('.');
    let base = base.rsplit_once('.').map_or(base, |(base, _)| base);
    let letters: String = base.chars().filter(|c| !matches!(c, '.' | ' ')).take(6).collect();
    if stem == letters {
        return true;
    }
    // After four collisions Windows keeps two letters and adds four hex digits of a hash.
    let (Some(head), Some(tail)) = (stem.get(..2), stem.get(2..)) else { return false };
    tail.len() == 4 && tail.chars().all(|c| c.is_ascii_hexdigit()) && letters.starts_with(head)
}

/// Characters that leave no mark on the screen, or reorder what does (Unicode `Default_Ignorable_Code_Point` and the bidi controls).
pub(crate) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disguise_of_the_git_directory_folds_to_it() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".ｇｉｔ",
            ".git.",
            ".git ",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            ".\u{e0067}git",
            ".gİt",
        ] {
            let folded = fold(name.as_bytes());
            assert!(folded == ".git" || name == ".gİt", "{name:?} folds to {folded:?}");
        }
        assert_eq!(fold(b".g\xffit"), ".git");
    }

    #[test]
    fn a_ligature_and_a_long_s_fold_as_a_casefolding_file_system_folds_them() {
        assert_eq!(fold("conﬁg".as_bytes()), "config");
        assert_eq!(fold("hooKſ".as_bytes()), "hooks");
    }

    #[test]
    fn ordinary_names_stay_apart() {
        for (one, other) in
            [(".git", ".gitignore"), (".git", "git"), ("é", "e"), (".vscode", ".vscod")]
        {
            assert_ne!(fold(one.as_bytes()), fold(other.as_bytes()));
        }
    }

    #[test]
    fn short_names_are_known_for_what_they_stand_for() {
        assert!(is_short_for("git~1", ".git"));
        assert!(is_short_for("gitmod~1", ".gitmodules"));
        assert!(is_short_for("gi7eba~1", ".gitmodules"));
        assert!(is_short_for("mcp~1.jso", ".mcp.json"));
        assert!(!is_short_for("backup~", ".git"));
        assert!(!is_short_for("main.rs~", ".git"));
    }
}
