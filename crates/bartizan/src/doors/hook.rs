//! What does the client's own hook ask, and what does it hear? The courtesy door: early, readable
//! refusals. No wall depends on it, because the client in the box is the attacker's too.
//!
//! Two halves share one frame format over a Unix socket that is bound into the box: [`ask`] runs in
//! the box as `bartizan hook CLIENT`, [`serve`] in the supervisor. The answer that every client
//! understands (CONTRACTS §9): deny = exit code 2 and one line on stderr; no opinion = silence.

mod before;
mod deferring;
mod gemini;
mod mentions;

use crate::app::Gate;
use crate::doors::calls::{Act, Calls};
use crate::doors::codex;
use crate::doors::commands::{Commands, Ticket};
use bartizan_gate::call::{Delegated, Door, Outcome, Proposed};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_scan::display_line;
use bartizan_store::Event;
use deferring::Said;
use mentions::mentions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Where the socket is inside the box.
pub(crate) const SOCKET: &str = "/run/bartizan/hook.sock";

/// The exit code that every client takes for "deny".
pub(crate) const DENY: u8 = 2;

/// What the client hears.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The exit code.
    pub(crate) code: u8,
    /// At most one line for stderr.
    pub(crate) sentence: Option<String>,
    /// What the client shall do in the place of what it asked for, in its own language.
    pub(crate) instead: Option<String>,
}

/// The box's half: hands standard input to the supervisor. Whatever goes wrong is a denial.
pub(crate) fn ask(socket: &Path) -> Heard {
    match exchange(socket) {
        Ok(Answer { deny: Some(sentence), .. }) => {
            Heard { code: DENY, sentence: Some(sentence), instead: None }
        }
        Ok(Answer { deny: None, defer: Some(reason), .. }) => {
            Heard { code: 0, sentence: None, instead: Some(deferring::document(&reason)) }
        }
        Ok(Answer { deny: None, defer: None, instead }) => {
            let instead = instead.map(|input| {
                json!({ "hookSpecificOutput": { "hookEventName": "PreToolUse", "updatedInput": input } })
                    .to_string()
            });
            Heard { code: 0, sentence: None, instead }
        }
        Err(error) => {
            let sentence = format!(
                "hook-unavailable: the gate did not answer ({error}), so this does not happen"
            );
            Heard { code: DENY, sentence: Some(sentence), instead: None }
        }
    }
}

fn exchange(socket: &Path) -> std::io::Result<Answer> {
    let mut payload = Vec::new();
    std::io::stdin().lock().take(PAYLOAD_MAX + 1).read_to_end(&mut payload)?;
    let mut stream = BlockingStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&payload)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(std::io::Error::from)
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// One sentence, when the act must not happen.
    deny: Option<String>,
    /// The tool's whole input, when another shall happen.
    #[serde(default)]
    instead: Option<Value>,
    /// One sentence, when the client shall end its turn and make the call again in its next run.
    #[serde(default)]
    defer: Option<String>,
}

impl From<Option<String>> for Answer {
    fn from(deny: Option<String>) -> Self {
        Self { deny, instead: None, defer: None }
    }
}

/// What a client tells its hooks (CONTRACTS §2). Unknown fields are the client's business.
#[derive(Debug, Deserialize)]
struct Payload {
    hook_event_name: String,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    tool_name: Option<String>,
    #[serde(default)]
    tool_input: Option<Value>,
    #[serde(default)]
    tool_use_id: Option<String>,
    #[serde(default)]
    tool_response: Option<Value>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    agent_type: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    file_path: Option<String>,
    #[serde(default)]
    tool_calls: Vec<BatchedCall>,
}

/// One call of a batch that the client is about to report to the model.
#[derive(Debug, Deserialize)]
struct BatchedCall {
    #[serde(default, rename = "tool_name")]
    tool: String,
    #[serde(default, rename = "tool_input")]
    input: Value,
    #[serde(default, rename = "tool_use_id")]
    id: String,
}

/// Makes the session's socket. It is bound by way of its folder's descriptor, because the name of a socket has
/// 107 bytes at the most, and a home directory may lie deeper.
pub(crate) fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    let listener = bind(socket)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// The same for a thread that waits.
pub(crate) fn bind(socket: &Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let folder = std::fs::File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let listener = std::os::unix::net::UnixListener::bind(short)?;
    // The box's uid may be another than ours; the folder is ours alone.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The supervisor's half: answers every connection on the session's own socket.
pub(crate) async fn serve(
    listener: UnixListener,
    gate: Arc<Gate>,
    caller: Caller,
    calls: Arc<Calls>,
    commands: Option<Arc<Commands>>,
) {
    let desk = Arc::new(Judge { gate, caller, calls, commands });
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            // A client that does not listen to its answer has denied itself.
            drop(tokio::time::timeout(ANSWER_WITHIN, one(stream, desk)).await);
            drop(place);
        });
    }
}

async fn one(mut stream: UnixStream, desk: Arc<Judge>) -> std::io::Result<()> {
    let mut payload = Vec::new();
    (&mut stream).take(PAYLOAD_MAX + 1).read_to_end(&mut payload).await?;
    let judged = tokio::task::spawn_blocking(move || desk.judge(&payload)).await;
    let failed = || Some("hook-failed: the gate could not judge this".to_owned()).into();
    let answer = serde_json::to_vec(&judged.unwrap_or_else(|_| failed()))?;
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// One session's judge.
#[derive(Debug)]
struct Judge {
    gate: Arc<Gate>,
    caller: Caller,
    /// The session's calls; the model door has judged most of them before the client knew of them.
    calls: Arc<Calls>,
    /// Makes boxes for the commands of narrower subagents, if there are any.
    commands: Option<Arc<Commands>>,
}

impl Judge {
    fn judge(&self, payload: &[u8]) -> Answer {
        if payload.len() as u64 > PAYLOAD_MAX {
            return Some("hook-payload: the call is larger than the gate reads".to_owned()).into();
        }
        let Ok(payload) = serde_json::from_slice::<Payload>(payload) else {
            let what = "hook-payload: the client sent something that is no hook payload";
            return Some(what.to_owned()).into();
        };
        let workspace = self.caller.seat().workspace.to_string();
        let payload = gemini::translated(payload, &self.calls, &workspace);
        self.calls.hook_is_heard();
        if payload.hook_event_name != "PreToolUse" {
            return self.event(payload).into();
        }
        let ticket = self.ticket(&payload);
        let input = payload.tool_input.clone();
        match (self.before(payload), ticket) {
            (Said::Nothing, Some((commands, ticket))) => boxed(&commands, ticket, input),
            (said, _) => said.into(),
        }
    }

    /// The box that this call's command needs, when its agent's role has a narrower one than the session's.
    fn ticket(&self, payload: &Payload) -> Option<(Arc<Commands>, Ticket)> {
        let (id, kind) =
            (payload.agent_id.as_ref()?, payload.agent_type.as_deref().unwrap_or("agent"));
        let seat = self.caller.seat();
        let role = seat.subagents.get(&(seat.role.clone(), kind.to_owned()))?;
        let commands = self.commands.as_ref().filter(|commands| commands.boxes(role))?;
        if payload.tool_name.as_deref() != Some("Bash") {
            return None;
        }
        let command = payload.tool_input.as_ref()?.get("command")?.as_str()?.to_owned();
        let agent = (kind.to_owned(), id.clone());
        let reference = payload.tool_use_id.clone().unwrap_or_default();
        Some((Arc::clone(commands), Ticket { role: role.clone(), command, agent, reference }))
    }

    /// A sentence, when the act must not happen.
    fn event(&self, payload: Payload) -> Option<String> {
        match payload.hook_event_name.as_str() {
            "PostToolUse" | "PostToolUseFailure" => self.after(payload),
            "PostToolBatch" => self.batch(&payload),
            "UserPromptSubmit" => self.prompt(&payload),
            "ConfigChange" => Some(self.settings(&payload)),
            _ => self.note(&payload),
        }
    }

    /// What a call is judged as: itself, or what the tool of Codex's means that it names.
    fn means(&self, tool: &str, arguments: Value, folder: Option<&str>) -> Vec<(String, Value)> {
        if self.gate.pipeline().catalogue().get(tool).is_some() {
            return vec![(tool.to_owned(), arguments)];
        }
        codex::means(tool, &arguments, folder.unwrap_or_default())
    }

    fn act(&self, tool: &str, arguments: &Value, folder: Option<&str>) -> Act {
        let (tool, arguments) = codex::told(tool, arguments, folder.unwrap_or_default());
        Act::of(&tool, &arguments, &self.caller.seat().workspace.to_string())
    }

    fn decide(&self, proposed: Proposed) -> Result<Delegated, String> {
        self.judged(proposed).map_err(|refused| format!("{}: {refused}", refused.code()))
    }

    fn judged(&self, proposed: Proposed) -> Result<Delegated, Refusal> {
        let authorized = self.gate.decide(proposed)?;
        Ok(self.gate.pipeline().delegate(authorized))
    }

    fn after(&self, payload: Payload) -> Option<String> {
        let id = payload.tool_use_id.as_deref().unwrap_or_default();
        let open = self.calls.close(id);
        if open.is_empty() {
            return self.note(&payload);
        }
        let bytes = payload.tool_response.map(|value| value.to_string().len()).unwrap_or_default();
        let outcome = match &payload.error {
            None => Outcome::succeeded(json!({ "by": "client", "bytes": bytes })),
            Some(error) => Outcome::failed(
                "tool-failed",
                json!({ "by": "client", "error": display_line(error, 500) }),
            ),
        };
        self.end(open, &outcome)
    }

    fn end(&self, open: Vec<Delegated>, outcome: &Outcome) -> Option<String> {
        let pipeline = self.gate.pipeline();
        open.into_iter().find_map(|delegated| {
            let executed = pipeline.returned(delegated, outcome.clone(), String::new());
            let released = pipeline.release(executed);
            released.err().map(|refused| format!("{}: {refused}", refused.code()))
        })
    }

    /// Calls that the client refused by itself (a tool it does not know, arguments of another shape)
    /// never met the hook before; here they come on the log, with what the gate says of them.
    fn batch(&self, payload: &Payload) -> Option<String> {
        let subagent = payload
            .agent_id
            .as_ref()
            .map(|id| (payload.agent_type.clone().unwrap_or_default(), id.clone()));
        for call in &payload.tool_calls {
            if self.calls.met_hook(&call.id) {
                continue;
            }
            let outcome = Outcome::failed("never-asked", json!({ "by": "client" }));
            let mut open = self.calls.close(&call.id);
            if open.is_empty() {
                let mut proposed =
                    Proposed::new(&self.caller, Door::Hook, &*call.tool, call.input.clone())
                        .referring_to(display_line(&call.id, 128));
                if let Some((kind, id)) = &subagent {
                    proposed = proposed.by_subagent(kind, id);
                }
                let act = self.act(&call.tool, &call.input, payload.cwd.as_deref());
                self.calls.hooked(&call.id, payload.agent_id.as_deref(), &act, None);
                open.extend(self.decide(proposed).ok());
            }
            if let Some(sentence) = self.end(open, &outcome) {
                return Some(sentence);
            }
        }
        self.note(payload)
    }

    /// A prompt can carry `@path` mentions, which the client reads without any tool event
    /// (CONTRACTS §4). Each one is proposed; one refusal stops the prompt.
    fn prompt(&self, payload: &Payload) -> Option<String> {
        let text = payload.prompt.as_deref().unwrap_or_default();
        for path in mentions(text) {
            let arguments = json!({ "path": path });
            let proposed = Proposed::new(&self.caller, Door::Hook, "FileMention", arguments);
            if let Err(sentence) = self.decide(proposed) {
                return Some(sentence);
            }
        }
        self.gate.heard(&self.caller, text);
        self.note(payload)
    }

    /// Settings that appear during a session come from the agent's side of the wall.
    fn settings(&self, payload: &Payload) -> String {
        let unwritten = self.note(payload);
        unwritten.unwrap_or_else(|| {
            "settings-fixed: settings cannot be changed while a session runs behind the gate"
                .to_owned()
        })
    }

    /// Puts an event that asks for nothing on the log.
    fn note(&self, payload: &Payload) -> Option<String> {
        let mut about = Map::new();
        about.insert("hook".to_owned(), json!(display_line(&payload.hook_event_name, 64)));
        let texts = [
            ("tool", &payload.tool_name),
            ("reference", &payload.tool_use_id),
            ("subagent", &payload.agent_id),
            ("subagent_kind", &payload.agent_type),
            ("source", &payload.source),
            ("path", &payload.file_path),
            ("error", &payload.error),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                about.insert(key.to_owned(), json!(display_line(text, 500)));
            }
        }
        if let Some(prompt) = &payload.prompt {
            about.insert("prompt".to_owned(), json!(prompt));
        }
        let noted = self.gate.pipeline().remark(&self.caller, Event::Client, about);
        noted.err().map(|refused| format!("{}: {refused}", refused.code()))
    }
}

/// The same call, with the command that leads to its box.
fn boxed(commands: &Commands, ticket: Ticket, input: Option<Value>) -> Answer {
    match (commands.stand_in(ticket), input) {
        (Ok(command), Some(Value::Object(mut input))) => {
            input.insert("command".to_owned(), Value::String(command));
            Answer { deny: None, instead: Some(Value::Object(input)), defer: None }
        }
        (Ok(_), _) => Some("hook-payload: the call has no arguments".to_owned()).into(),
        (Err(sentence), _) => Some(sentence).into(),
    }
}

/// Largest payload read from a hook, in bytes.
const PAYLOAD_MAX: u64 = 16 * 1024 * 1024;
/// Largest answer, in bytes.
const ANSWER_MAX: u64 = 64 * 1024;
/// How long either half waits for the other.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// Hook processes answered at the same time.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_deep_in_the_file_system_has_its_socket() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("deep".repeat(30)).join("deeper".repeat(30));
        std::fs::create_dir_all(&folder).unwrap();
        let listener = listen(&folder.join("hook.sock")).unwrap();
        let opened = std::fs::File::open(&folder).unwrap();
        let short = format!("/proc/self/fd/{}/hook.sock", opened.as_raw_fd());
        let (asked, answered) = tokio::join!(UnixStream::connect(short), listener.accept());
        assert!(asked.is_ok() && answered.is_ok());
        let mode = std::fs::metadata(folder.join("hook.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
    }
}
