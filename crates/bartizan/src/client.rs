//! Which client program runs in the box, and what must it find there?

mod claude_code;
mod codex;
mod gemini;
pub(crate) mod kept;

pub(crate) use claude_code::{leads, placeholder};

use crate::cli::ClientChoice;
use crate::config::Provider;
use crate::doors::calls::Naming;
use crate::doors::model::Api;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A client program whose manners are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// `OpenAI`'s Codex.
    Codex,
    /// Google's Gemini CLI.
    GeminiCli,
}

/// What a client's files are made from. All paths are paths inside the box.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// The `bartizan` program, which the client starts as its hook.
    pub(crate) bartizan: &'a Path,
    /// The model API as the client sees it, without a trailing slash.
    pub(crate) model_url: &'a str,
    /// Whose API that is, for a client that knows several.
    pub(crate) cloud: &'a Cloud,
    /// The client's home directory.
    pub(crate) home: &'a Path,
    /// The folder it works in.
    pub(crate) workspace: &'a Path,
    /// What the client calls the MCP servers that it reaches through us.
    pub(crate) servers: &'a [String],
    /// Fresh random bytes: the placeholder of this session.
    pub(crate) entropy: [u8; 36],
}

/// Who serves the model, where, and on whose account; empty words where that is of no matter.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Cloud {
    /// Who.
    pub(crate) provider: Provider,
    /// Where.
    pub(crate) region: String,
    /// On whose account with Google.
    pub(crate) project: String,
}

/// A path that a client's files cannot hold.
#[derive(Debug, Error)]
#[error(
    "path `{}` is not UTF-8, which the client's settings cannot hold; run from another folder",
    .0.display()
)]
pub(crate) struct NotUtf8(PathBuf);

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
            ClientChoice::Codex => Some(Self::Codex),
            ClientChoice::GeminiCli => Some(Self::GeminiCli),
            ClientChoice::None => None,
            ClientChoice::Auto => match program.file_name()?.to_str()? {
                "claude" => Some(Self::ClaudeCode),
                "codex" => Some(Self::Codex),
                "gemini" => Some(Self::GeminiCli),
                _ => None,
            },
        }
    }

    /// What it finds in its box.
    ///
    /// # Errors
    /// A path is not UTF-8.
    pub(crate) fn outfit(self, setup: &Setup<'_>) -> Result<Outfit, NotUtf8> {
        match self {
            Self::ClaudeCode => claude_code::outfit(setup),
            Self::Codex => codex::outfit(setup),
            Self::GeminiCli => gemini::outfit(setup),
        }
    }

    /// Whether its conversations can be kept for the next run.
    pub(crate) fn is_kept(self) -> bool {
        match self {
            Self::ClaudeCode => true,
            Self::Codex | Self::GeminiCli => false,
        }
    }

    /// Whether it can end its turn with a call and make it again in its next run.
    pub(crate) fn puts_calls_off(self) -> bool {
        match self {
            Self::ClaudeCode => true,
            Self::Codex | Self::GeminiCli => false,
        }
    }

    /// Where in `home` it keeps what it tells the model to read: output that is too long to be shown. The box alone has
    /// this folder, so reading in it is reading what the agent has made.
    pub(crate) fn scratch(self, home: &Path) -> Option<PathBuf> {
        match self {
            Self::ClaudeCode => Some(home.join(".claude/projects")),
            Self::Codex | Self::GeminiCli => None,
        }
    }

    /// How it names the tools of servers.
    pub(crate) fn naming(self) -> Naming {
        match self {
            Self::ClaudeCode => Naming::ClaudeCode,
            Self::Codex => Naming::Codex,
            Self::GeminiCli => Naming::GeminiCli,
        }
    }

    /// What it speaks with its model.
    pub(crate) fn api(self) -> Api {
        match self {
            Self::ClaudeCode => Api::Messages,
            Self::Codex => Api::Responses,
            Self::GeminiCli => Api::Gemini,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_clients_are_known_by_their_names() {
        let client = Client::choose(ClientChoice::Auto, Path::new("/usr/local/bin/codex"));
        assert_eq!(client, Some(Client::Codex));
        let client = Client::choose(ClientChoice::Auto, Path::new("bin/gemini"));
        assert_eq!(client, Some(Client::GeminiCli));
        assert_eq!(Client::choose(ClientChoice::None, Path::new("codex")), None);
    }

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
