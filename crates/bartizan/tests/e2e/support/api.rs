//! What does the model say next? A scripted Messages API on loopback that also remembers what it was
//! sent.
//!
//! It keeps no state between requests: the turn is the count of assistant messages in a request, so
//! retries, parallel subagents and resumed sessions replay correctly.

use super::{bedrock, gemini, responses};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What the "model" does, turn by turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// The session's own agent.
    pub(crate) main: Vec<Turn>,
    /// Every subagent.
    pub(crate) subagent: Vec<Turn>,
}

/// One answer of the model; the blocks of a turn run in parallel when the client lets them.
pub(crate) type Turn = Vec<Block>;

/// A part of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Text(String),
    Tool {
        name: String,
        input: Value,
    },
    /// No block: the answer waits until the test says so.
    Wait(Hold),
}

/// Holds an answer back until it is let go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hold(Arc<(Mutex<bool>, Condvar)>);

impl Hold {
    pub(crate) fn let_go(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let held = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(held, IDLE, |gone| !*gone).unwrap());
    }
}

/// A turn that calls one tool.
pub(crate) fn tool(name: &str, input: Value) -> Turn {
    vec![Block::Tool { name: name.to_owned(), input }]
}

/// A turn that runs one shell command.
pub(crate) fn bash(command: &str) -> Turn {
    tool("Bash", json!({ "command": command, "description": "a step" }))
}

/// A turn that ends the loop.
pub(crate) fn say(text: &str) -> Turn {
    vec![Block::Text(text.to_owned())]
}

/// What the API says, status and body, of a request whose credential it does not take.
pub(crate) type Guard = dyn Fn(&Request) -> Option<(u16, Value)> + Send + Sync;

/// A request as it arrived, with header names in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Everything that was sent, to look for what should not be in it.
    pub(crate) fn text(&self) -> String {
        let headers: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {}\n{}\n\n{body}", self.method, self.path, headers.join("\n"))
    }

    fn is_subagent(&self) -> bool {
        self.header("x-claude-code-agent-id").is_some()
    }

    /// The results of tools, by the id of the call, as the model would read them.
    pub(crate) fn tool_results(&self) -> Vec<(String, String)> {
        let body = self.json();
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
        blocks
            .filter(|block| block["type"] == "tool_result")
            .map(|block| (plain(&block["tool_use_id"]), plain(&block["content"])))
            .collect()
    }
}

/// The API; its threads end with the test's process.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    /// Listens on a free loopback port.
    pub(crate) fn start(script: Script) -> Self {
        Self::guarded(script, |_| None)
    }

    /// The same, but each request has to pass `guard`.
    pub(crate) fn guarded(
        script: Script,
        guard: impl Fn(&Request) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        let guard: Arc<Guard> = Arc::new(guard);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let log = Arc::clone(&requests);
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                let guard = Arc::clone(&guard);
                thread::spawn(move || converse(&stream, &log, (&script, &*guard)));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// What the model read of the call that turn `turn` of a thread made with its first block.
    pub(crate) fn result(&self, thread: &str, turn: usize) -> String {
        self.result_of(&call_id(thread, turn, 0))
    }

    /// What the model read of this call.
    pub(crate) fn result_of(&self, id: &str) -> String {
        let requests = self.requests();
        let found = requests.iter().flat_map(Request::tool_results).find(|(call, _)| call == id);
        let Some((_, text)) = found else { panic!("no result of call `{id}` arrived") };
        text
    }
}

/// The id of a scripted call: `toolu_<thread>_<turn>_<block>`.
pub(crate) fn call_id(thread: &str, turn: usize, block: usize) -> String {
    format!("toolu_{thread}_{turn}_{block}")
}

/// Serves one connection until either side has enough of it.
fn converse(stream: &TcpStream, log: &Mutex<Vec<Request>>, (script, guard): (&Script, &Guard)) {
    stream.set_read_timeout(Some(IDLE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let count = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len()
        };
        // A script that never ends would keep the client busy until the test's patience is over.
        let answered = match guard(&request) {
            Some((status, body)) => send_json(stream, status, &body),
            None => answer(stream, &request, script),
        };
        if count > REQUESTS_MAX || answered.is_err() {
            return;
        }
    }
}

/// Reads one request; `None` at the end of the connection or for anything malformed.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    request.body = if request.header("transfer-encoding").is_some() {
        chunked(reader)?
    } else {
        let length = request.header("content-length").map_or(Ok(0), str::parse).ok()?;
        exactly(reader, length)?
    };
    Some(request)
}

fn chunked(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        body.extend(exactly(reader, size)?);
        reader.read_line(&mut line).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn exactly(reader: &mut BufReader<&TcpStream>, length: usize) -> Option<Vec<u8>> {
    assert!(length <= BODY_MAX, "a request of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn answer(mut stream: &TcpStream, request: &Request, script: &Script) -> std::io::Result<()> {
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", "/v1/messages/count_tokens") => {
            send_json(stream, 200, &json!({ "input_tokens": request.body.len() / 4 + 1 }))
        }
        ("POST", "/v1/messages") => {
            let body = request.json();
            let reply = reply(request, &body, script);
            if body["stream"] == true {
                stream.write_all(&stream_of(&body, &reply))
            } else {
                send_json(stream, 200, &message(&body, &reply, true))
            }
        }
        ("POST", path) if path.ends_with(":streamRawPredict") => {
            let body = request.json();
            stream.write_all(&stream_of(&body, &reply(request, &body, script)))
        }
        ("POST", path) if path.ends_with("/invoke-with-response-stream") => {
            let body = request.json();
            let frames = bedrock::frames(&events(&body, &reply(request, &body, script)));
            let mut out = head(200, bedrock::TYPE, &format!("content-length: {}", frames.len()));
            out.extend(frames);
            stream.write_all(&out)
        }
        ("POST", path) if path.ends_with("/invoke") => {
            let body = request.json();
            send_json(stream, 200, &message(&body, &reply(request, &body, script), true))
        }
        ("POST", "/v1/responses") => {
            send_stream(stream, &responses::stream_of(&request.json(), script))
        }
        ("POST", path)
            if path.starts_with("/v1beta/models/") && path.ends_with(":streamGenerateContent") =>
        {
            send_stream(stream, &gemini::stream_of(&request.json(), script))
        }
        ("POST", path)
            if path.starts_with("/v1beta/models/") && path.ends_with(":generateContent") =>
        {
            send_json(stream, 200, &gemini::answer_of(&request.json(), script))
        }
        ("GET", "/v1/models") => send_json(stream, 200, &json!({ "models": [], "data": [] })),
        _ => send_json(
            stream,
            404,
            &json!({ "type": "error", "error": { "type": "not_found_error", "message": path } }),
        ),
    }
}

/// The script's answer to one request.
struct Reply {
    /// Unlike that of any other turn: the client takes answers with one id for one answer.
    id: String,
    content: Vec<Value>,
    stop_reason: &'static str,
}

fn reply(request: &Request, body: &Value, script: &Script) -> Reply {
    let (thread, turns) =
        if request.is_subagent() { ("subagent", &script.subagent) } else { ("main", &script.main) };
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
    let has_tools = body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let scripted = if has_tools { turns.get(turn).cloned() } else { None };
    let mut blocks = scripted.unwrap_or_else(|| say("Done."));
    blocks.retain(|block| match block {
        Block::Wait(hold) => {
            hold.wait();
            false
        }
        Block::Text(_) | Block::Tool { .. } => true,
    });
    let calls = blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
    let block = |(index, block)| match block {
        Block::Text(text) => json!({ "type": "text", "text": text }),
        Block::Tool { name, input } => {
            let id = call_id(thread, turn, index);
            json!({ "type": "tool_use", "id": id, "name": name, "input": input })
        }
        Block::Wait(_) => Value::Null,
    };
    Reply {
        id: format!("msg_{thread}_{turn}"),
        content: blocks.into_iter().enumerate().map(block).collect(),
        stop_reason: if calls { "tool_use" } else { "end_turn" },
    }
}

/// The message object: whole, or empty as a stream begins with it.
fn message(body: &Value, reply: &Reply, whole: bool) -> Value {
    let (content, stop_reason) = if whole {
        (json!(reply.content), json!(reply.stop_reason))
    } else {
        (json!([]), Value::Null)
    };
    json!({
        "id": reply.id, "type": "message", "role": "assistant", "model": body["model"],
        "content": content, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(),
    })
}

fn usage() -> Value {
    json!({ "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5 })
}

/// A whole streamed answer, as chunked server-sent events.
fn stream_of(body: &Value, reply: &Reply) -> Vec<u8> {
    let mut out = head(200, "text/event-stream; charset=utf-8", "transfer-encoding: chunked");
    for data in events(body, reply) {
        let kind = data["type"].as_str().unwrap();
        let text = format!("event: {kind}\ndata: {data}\n\n");
        out.extend(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes());
    }
    out.extend(b"0\r\n\r\n");
    out
}

/// The events of a streamed answer.
fn events(body: &Value, reply: &Reply) -> Vec<Value> {
    let mut events = Vec::new();
    let mut event = |mut data: Value, kind: &str| {
        data["type"] = json!(kind);
        events.push(data);
    };
    event(json!({ "message": message(body, reply, false) }), "message_start");
    for (index, block) in reply.content.iter().enumerate() {
        let (start, delta) = if block["type"] == "text" {
            let delta = json!({ "type": "text_delta", "text": block["text"] });
            (json!({ "type": "text", "text": "" }), delta)
        } else {
            let mut start = block.clone();
            start["input"] = json!({});
            let delta =
                json!({ "type": "input_json_delta", "partial_json": block["input"].to_string() });
            (start, delta)
        };
        event(json!({ "index": index, "content_block": start }), "content_block_start");
        event(json!({ "index": index, "delta": delta }), "content_block_delta");
        event(json!({ "index": index }), "content_block_stop");
    }
    let delta = json!({ "stop_reason": reply.stop_reason, "stop_sequence": null });
    event(json!({ "delta": delta, "usage": usage() }), "message_delta");
    event(json!({}), "message_stop");
    events
}

fn send_stream(mut stream: &TcpStream, body: &str) -> std::io::Result<()> {
    let mut out = head(200, "text/event-stream", &format!("content-length: {}", body.len()));
    out.extend(body.as_bytes());
    stream.write_all(&out)
}

fn send_json(mut stream: &TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let mut out = head(status, "application/json", &format!("content-length: {}", body.len()));
    out.extend(body.into_bytes());
    stream.write_all(&out)
}

fn head(status: u16, kind: &str, framing: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\nrequest-id: req_scripted\r\n{framing}\r\n\r\n")
        .into_bytes()
}

/// A string as it is, text blocks joined, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) if blocks.iter().all(|block| block["text"].is_string()) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_mins(1);
/// Most requests of one test.
const REQUESTS_MAX: usize = 200;
/// Largest request body, in bytes.
const BODY_MAX: usize = 64 * 1024 * 1024;
