//! Can the client that asks this put a call off until its next run? One that runs without a person, in a version that was
//! tried: another may carry out what it shall put off.

use bartizan_egress::ModelRequest;

/// The conversation whose calls can be put off, by what a request says of its client. It can only narrow: whether any call
/// is put off is for the run to say.
pub(super) fn conversation(request: &ModelRequest) -> Option<String> {
    let header = |name: &str| request.header(name).unwrap_or_default();
    told(header("user-agent"), header("x-claude-code-session-id"))
}

fn told(agent: &str, conversation: &str) -> Option<String> {
    let (version, more) = agent.strip_prefix("claude-cli/")?.split_once(' ')?;
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    // `sdk-cli` is `claude -p`; at a terminal it is `cli`.
    let alone = more.starts_with("(external, sdk-");
    (version >= TRIED && alone && is_id(conversation)).then(|| conversation.to_owned())
}

/// Whether this is how a client writes the id of a conversation; it goes into the words for a person.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    text.len() == 36 && text.bytes().all(plain)
}

/// The oldest version whose `defer` was tried.
const TRIED: (u32, u32, u32) = (2, 1, 329);

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "23190ca2-77bd-445a-8721-62b2761389d6";

    #[test]
    fn a_client_without_a_person_in_a_version_that_was_tried_can_put_calls_off() {
        let can = |agent: &str| told(agent, ID).as_deref() == Some(ID);
        assert!(can("claude-cli/2.1.329 (external, sdk-cli)"));
        assert!(
            can("claude-cli/2.2.0 (external, sdk-py)")
                && can("claude-cli/3.0.1 (external, sdk-ts)")
        );
        for other in [
            "claude-cli/2.1.329 (external, cli)",
            "claude-cli/2.1.328 (external, sdk-cli)",
            "claude-cli/2.1 (external, sdk-cli)",
            "claude-cli/2.1.x (external, sdk-cli)",
            "codex_exec/0.169.0 (external, sdk-cli)",
            "",
        ] {
            assert!(!can(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_id_of_a_conversation_is_none() {
        let agent = "claude-cli/2.1.329 (external, sdk-cli)";
        for bad in [
            "",
            "23190ca2",
            "../../../../../../../../../../../../x",
            "23190ca2-77bd-445a-8721-62b2761389d\u{1b}",
        ] {
            assert_eq!(told(agent, bad), None, "{bad:?}");
        }
    }
}
