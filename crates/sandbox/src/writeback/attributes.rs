//! Could git on the host hand files to another program than before, or to none, because of these attributes?

use super::change::HoldReason;
use super::gitconfig::shorten;

/// Judges changed git attributes against those on the host: no line may newly hand files to a program that a configuration names, nor may
/// one that the host has be taken away. What is to be encrypted before it is committed would be committed as it is.
pub(crate) fn judge_attributes(new: &[u8], old: Option<&[u8]>) -> Result<(), HoldReason> {
    let (had, has) = (lines(old.unwrap_or_default()), lines(new));
    let fresh = has.iter().find(|line| has_power(line) && !had.contains(line));
    let gone = had.iter().find(|line| names_driver(line) && !has.contains(line));
    let told = |line: &[u8]| shorten(&String::from_utf8_lossy(line));
    match (fresh, gone) {
        (Some(line), _) if names_driver(line) => {
            Err(HoldReason::GitAttributes { line: told(line) })
        }
        (Some(line), _) | (None, Some(line)) => Err(HoldReason::GitUnfiltered { line: told(line) }),
        (None, None) => Ok(()),
    }
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).collect()
}

/// Whether a line hands files to a program, or takes them from one that a line above it, or in a directory above, hands them to.
fn has_power(line: &[u8]) -> bool {
    names_driver(line)
        || (!line.starts_with(b"#")
            && tokens(line).any(|token| matches!(token.as_str(), "-filter" | "!filter")))
}

fn tokens(line: &[u8]) -> impl Iterator<Item = String> {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let tokens: Vec<String> =
        text.split(|c: char| c.is_whitespace() || c == '"').map(str::to_owned).collect();
    tokens.into_iter()
}

/// Whether an attributes line sets a filter, or a diff or merge driver that git does not have built in.
fn names_driver(line: &[u8]) -> bool {
    if line.starts_with(b"#") {
        return false;
    }
    tokens(line).any(|token| match token.split_once('=') {
        Some(("filter", driver)) => !driver.is_empty(),
        Some(("diff", driver)) => !BUILT_IN_DIFFS.contains(&driver),
        Some(("merge", driver)) => !matches!(driver, "text" | "binary" | "union"),
        _ => token == "filter",
    })
}

/// Diff drivers compiled into git (`userdiff.c`): patterns only, they start nothing unless the configuration redefines them.
const BUILT_IN_DIFFS: [&str; 29] = [
    "ada",
    "bash",
    "bibtex",
    "cpp",
    "csharp",
    "css",
    "dts",
    "elixir",
    "fortran",
    "fountain",
    "golang",
    "html",
    "ini",
    "java",
    "kotlin",
    "markdown",
    "matlab",
    "objc",
    "pascal",
    "perl",
    "php",
    "python",
    "r",
    "ruby",
    "rust",
    "scheme",
    "tex",
    "typescript",
    "default",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_held_only_when_a_line_newly_names_a_driver() {
        assert_eq!(
            judge_attributes(
                b"*.rs text eol=lf diff=rust\n*.bin -diff -merge\nx merge=union\n# filter=x\n",
                None
            ),
            Ok(())
        );
        for line in [
            "* filter=x",
            "*.c diff=evil",
            "a merge=m",
            "[attr]z filter=x",
            "* FILTER=x",
            "\"a b\" filter=x",
            "*\tfilter",
        ] {
            assert!(judge_attributes(line.as_bytes(), None).is_err(), "{line}");
            assert_eq!(
                judge_attributes(format!("{line}\nb text\n").as_bytes(), Some(line.as_bytes())),
                Ok(()),
                "{line}"
            );
        }
        assert!(judge_attributes(b"* filter=lfs", Some(b"*.psd filter=lfs")).is_err());
    }

    #[test]
    fn files_are_not_taken_from_the_program_that_encrypts_them() {
        let old = b"*.key filter=git-crypt diff=git-crypt\n*.rs text\n".as_slice();
        for new in [
            "",
            "*.rs text\n",
            "# *.key filter=git-crypt diff=git-crypt\n",
            "*.key filter=git-crypt diff=git-crypt\na.key -filter\n",
            "*.key filter=git-crypt diff=git-crypt\na.key !filter\n",
            "*.key filter=git-crypt diff=git-crypt\n[attr]z -filter\n",
        ] {
            assert!(judge_attributes(new.as_bytes(), Some(old)).is_err(), "{new:?}");
        }
        assert!(judge_attributes(b"* -filter", None).is_err());
        let more = [old, b"*.md text\n"].concat();
        assert_eq!(judge_attributes(&more, Some(old)), Ok(()));
        assert_eq!(judge_attributes(&old[..38], Some(old)), Ok(()));
    }
}
