//! What is behind every way? The smallest server that speaks the protocol.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Answers on our own standard streams.
pub(crate) fn stdio(tools: usize) {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        if let Some(answer) = answer(&line.unwrap(), tools) {
            writeln!(out, "{answer}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// Answers at a port of its own, which it says.
pub(crate) fn http(tools: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    eprintln!("serving at http://{}/mcp", listener.local_addr().unwrap());
    for stream in listener.incoming().flatten() {
        thread::spawn(move || connection(&stream, tools));
    }
}

fn connection(mut stream: &TcpStream, tools: usize) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(length) = super::client::head(&mut reader).length {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let answer = match answer(&body, tools) {
            Some(answer) => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: one\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            ),
            None => "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned(),
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(text: &str, tools: usize) -> Option<String> {
    let message: Value = serde_json::from_str(text).unwrap();
    let id = message.get("id")?;
    let result = match message["method"].as_str()? {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "bench", "version": "1" },
        }),
        "tools/list" => json!({ "tools": (0..tools).map(tool).collect::<Vec<_>>() }),
        "tools/call" => {
            let said = message["params"]["arguments"]["text"].as_str().unwrap_or_default();
            json!({ "content": [{ "type": "text", "text": said }], "isError": false })
        }
        _ => json!({}),
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
}

fn tool(number: usize) -> Value {
    json!({
        "name": format!("tool{number}"),
        "description": "Says what it is told.",
        "inputSchema": { "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"] },
    })
}
