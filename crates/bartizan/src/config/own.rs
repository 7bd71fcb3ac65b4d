//! Which tools are our own, so that no server's and no declared one may have their names?

/// Reads on in an answer that was too long to pass at once.
pub(crate) const READ_ON: &str = "bartizan_read_on";

/// Whether a name is ours, or could be taken for it by a client that writes `_` for some letters.
pub(crate) fn is_ours(name: &str) -> bool {
    let plain = |letter: char| if matches!(letter, '-' | '.') { '_' } else { letter };
    name.chars().map(plain).collect::<String>().eq_ignore_ascii_case(READ_ON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_taken_for_ours_is_ours() {
        for name in [READ_ON, "Bartizan_Read_On", "bartizan-read.on"] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["bartizan_read", "docs__bartizan_read_on", "bartizan_read_on2", ""] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
