//! What does a client call a tool of a server that it reaches through us? Each has a form of its own for it, and letters that it
//! puts in the place of those that its model's API does not take.

/// One client's way to name tools of servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `mcp__SERVER__TOOL`, with dashes as they are.
    #[default]
    ClaudeCode,
    /// The same, of letters, digits and `_` alone.
    Codex,
    /// `mcp_SERVER_TOOL`, with a server's name in which no `_` is.
    GeminiCli,
}

impl Naming {
    /// The client's name of a server; `None` where no such name would tell it from others.
    pub(crate) fn entry(self, server: &str) -> Option<String> {
        let entry = match self {
            Self::ClaudeCode => server.replace('.', "-"),
            Self::Codex => self.tool(server),
            Self::GeminiCli => server.replace(['.', '_'], "-"),
        };
        // The last one's tools would begin as the names of all do.
        let is_odd = entry.contains("__")
            || entry.ends_with('_')
            || (self == Self::GeminiCli && entry == "mcp");
        (!is_odd).then_some(entry)
    }

    /// The client's word for a tool that its server calls `own`.
    pub(super) fn tool(self, own: &str) -> String {
        let keeps = |letter: char| match self {
            Self::ClaudeCode => letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'),
            Self::Codex => letter.is_ascii_alphanumeric() || letter == '_',
            Self::GeminiCli => letter.is_ascii_alphanumeric() || "_-.:".contains(letter),
        };
        own.chars().map(|letter| if keeps(letter) { letter } else { '_' }).collect()
    }

    /// Whether it is a tool of the client's own that looks at what servers have beside their tools, and what its argument is called
    /// that names a server.
    pub(super) fn looks(self, tool: &str) -> Option<&'static str> {
        let (tools, server): (&[&str], _) = match self {
            Self::ClaudeCode => (&["ListMcpResourcesTool", "ReadMcpResourceTool"], "server"),
            Self::Codex => (
                &["list_mcp_resource_templates", "list_mcp_resources", "read_mcp_resource"],
                "server",
            ),
            Self::GeminiCli => (&["list_mcp_resources", "read_mcp_resource"], "serverName"),
        };
        tools.contains(&tool).then_some(server)
    }

    /// The whole name.
    pub(super) fn join(self, entry: &str, own: &str) -> String {
        let own = self.tool(own);
        match self {
            Self::ClaudeCode | Self::Codex => format!("mcp__{entry}__{own}"),
            Self::GeminiCli => shortened(format!("mcp_{entry}_{own}")),
        }
    }

    /// Whether it is this client's name for a tool of a server, though other names have no such letters.
    pub(super) fn says(self, name: &str) -> bool {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        let rest = name.strip_prefix("mcp_").filter(|rest| !rest.starts_with('_'));
        self == Self::GeminiCli
            && name.len() <= GEMINI_MAX
            && rest.is_some_and(|rest| rest.bytes().all(known))
    }

    /// The client's names of a server and of a tool of it.
    pub(super) fn split(self, name: &str) -> Option<(&str, &str)> {
        match self {
            Self::ClaudeCode | Self::Codex => name.strip_prefix("mcp__")?.split_once("__"),
            Self::GeminiCli => name.strip_prefix("mcp_")?.split_once('_'),
        }
    }
}

/// A name as Gemini CLI makes it fit, version 0.61.0: its beginning, dots and its end.
fn shortened(name: String) -> String {
    let end = name.len().checked_sub(GEMINI_ENDS).and_then(|at| name.get(at..));
    match (name.get(..GEMINI_ENDS), end) {
        (Some(begin), Some(end)) if name.len() > GEMINI_MAX => format!("{begin}...{end}"),
        _ => name,
    }
}

/// The longest name of a tool in Gemini CLI, and what is left of either end of a longer one.
const GEMINI_MAX: usize = 63;
const GEMINI_ENDS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_its_name_as_far_as_its_client_can_say_it() {
        for (naming, server, entry) in [
            (Naming::ClaudeCode, "a.b-c", Some("a-b-c")),
            (Naming::ClaudeCode, "a_b", Some("a_b")),
            (Naming::Codex, "a.b-c", Some("a_b_c")),
            (Naming::Codex, "a_-b", None),
            (Naming::Codex, "ab-", None),
            (Naming::GeminiCli, "a.b_c", Some("a-b-c")),
            (Naming::GeminiCli, "mcp", None),
        ] {
            assert_eq!(naming.entry(server).as_deref(), entry, "{naming:?} {server}");
        }
    }

    #[test]
    fn a_name_leads_back_to_its_server() {
        for (naming, own, name) in [
            (Naming::ClaudeCode, "do-it.now", "mcp__shop__do-it_now"),
            (Naming::Codex, "do-it.now", "mcp__shop__do_it_now"),
            (Naming::Codex, "a__b", "mcp__shop__a__b"),
            (Naming::GeminiCli, "do-it_now", "mcp_shop_do-it_now"),
            (Naming::GeminiCli, "a.b:c/d", "mcp_shop_a.b:c_d"),
            (Naming::GeminiCli, &"x".repeat(54), &format!("mcp_shop_{}", "x".repeat(54))),
            (
                Naming::GeminiCli,
                &format!("{}{}", "x".repeat(40), "y".repeat(40)),
                &format!("mcp_shop_{}...{}", "x".repeat(21), "y".repeat(30)),
            ),
        ] {
            assert!(naming != Naming::GeminiCli || naming.says(name), "{name}");
            assert_eq!(naming.join("shop", own), name);
            assert_eq!(naming.split(name).map(|(entry, _)| entry), Some("shop"));
        }
    }

    #[test]
    fn no_name_of_the_doors_own_is_one_that_a_client_says() {
        for name in ["mcp_shop_a.b", "mcp_shop_a:b", "mcp_a.b_c"] {
            assert!(Naming::GeminiCli.says(name), "{name}");
            assert!(!Naming::ClaudeCode.says(name) && !Naming::Codex.says(name), "{name}");
        }
        for name in ["net.connect", "mcp.shop.resource", "mcp__shop__a.b", "mcp_a/b", "mcp_\u{e4}"]
        {
            assert!(!Naming::GeminiCli.says(name), "{name}");
        }
        assert!(!Naming::GeminiCli.says(&format!("mcp_shop_{}", "x".repeat(55))));
    }
}
