//! Which client program runs in the box, and what must it find there?

pub(crate) mod claude_code;
pub(crate) mod kept;

use crate::cli::ClientChoice;
use std::path::{Path, PathBuf};

/// A client program whose manners are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Anthropic's Claude Code.
    ClaudeCode,
}

/// What a client finds in its box: files that do not exist on the host, and its environment.
#[derive(Debug)]
pub(crate) struct Outfit {
    /// Files to lay into the box.
    pub(crate) files: Vec<SyntheticFile>,
    /// Variables to set, over whatever else the box's environment holds.
    pub(crate) env: Vec<(String, String)>,
}

/// A file that exists in the box alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntheticFile {
    /// Where it lies, inside the box.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) contents: Vec<u8>,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// Whether the client may change it; the others must lie on a read-only mount.
    pub(crate) writable: bool,
}

impl Client {
    /// The client that was chosen with `--client`, or else the one that `program` is by its file
    /// name; none for an ordinary command.
    pub(crate) fn choose(choice: ClientChoice, program: &Path) -> Option<Self> {
        match choice {
            ClientChoice::ClaudeCode => Some(Self::ClaudeCode),
            ClientChoice::None => None,
            ClientChoice::Auto => {
                let named = program.file_name().is_some_and(|name| name == "claude");
                named.then_some(Self::ClaudeCode)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_called_claude_is_claude_code() {
        for program in ["claude", "/usr/local/bin/claude", "./node_modules/.bin/claude"] {
            let client = Client::choose(ClientChoice::Auto, Path::new(program));
            assert_eq!(client, Some(Client::ClaudeCode), "{program}");
        }
    }

    #[test]
    fn any_other_program_is_an_ordinary_command() {
        for program in ["bash", "claude.sh", "/opt/claude/run", "Claude", "..", ""] {
            let client = Client::choose(ClientChoice::Auto, Path::new(program));
            assert_eq!(client, None, "{program}");
        }
    }

    #[test]
    fn a_chosen_client_leads_over_the_programs_name() {
        let bash = Client::choose(ClientChoice::ClaudeCode, Path::new("bash"));
        assert_eq!(bash, Some(Client::ClaudeCode));
        assert_eq!(Client::choose(ClientChoice::None, Path::new("claude")), None);
    }
}
