//! Which paths does a prompt mention that the client would read without asking?

/// The paths that a prompt mentions as the client reads them: `@` at the start of a word. Only those
/// that could lead out of the workspace matter, so quoting and escapes are read generously.
pub(super) fn mentions(prompt: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut before = ' ';
    let mut rest = prompt.chars();
    while let Some(c) = rest.next() {
        if c == '@' && !before.is_alphanumeric() {
            let path = mention(rest.as_str());
            let leads_out = path.starts_with(['/', '~']) || path.contains("..");
            if leads_out && found.len() < MENTIONS_MAX {
                found.push(path);
            }
        }
        before = c;
    }
    found
}

/// The path right after an `@`, in quotes or up to the next space; sentence marks do not belong to it.
fn mention(text: &str) -> String {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split('"').next().unwrap_or_default().to_owned();
    }
    let mut path = String::new();
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            c if c.is_whitespace() && !escaped => break,
            c => {
                escaped = false;
                path.push(c);
            }
        }
    }
    path.trim_end_matches([',', ';', ':', ')', ']', '}', '!', '?', '\'', '"']).to_owned()
}

/// Mentions judged in one prompt.
const MENTIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_that_leads_out_is_found() {
        let prompt = "see @~/.ssh/id_rsa, (@/etc/passwd) and @../x\nand @\"/a b/c\" @src/../../y but mail a@/b";
        assert_eq!(
            mentions(prompt),
            ["~/.ssh/id_rsa", "/etc/passwd", "../x", "/a b/c", "src/../../y"]
        );
    }

    #[test]
    fn a_mention_inside_the_workspace_is_left_alone() {
        assert!(mentions("@src/main.rs @types/node hello@example.com/x").is_empty());
    }
}
