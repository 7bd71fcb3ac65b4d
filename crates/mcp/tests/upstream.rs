//! Does a hostile server's word reach only who asked for it?
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use bartizan_mcp::stdio::{self, Line};
use bartizan_mcp::upstream::{Gone, Heard, Progress, Upstream};
use bartizan_mcp::wire::{Id, Limits, Message};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

struct Server {
    upstream: Arc<Upstream>,
    sent: Receiver<Message>,
    says: Option<Sender<Line>>,
    heard: Receiver<Heard>,
    ended: JoinHandle<Gone>,
}

fn server() -> Server {
    let (to, sent) = mpsc::channel(2000);
    let (says, lines) = mpsc::channel(2000);
    let (hear, heard) = mpsc::channel(2);
    let upstream = Upstream::new(to);
    let ended = tokio::spawn(Arc::clone(&upstream).attend(lines, hear));
    Server { upstream, sent, says: Some(says), heard, ended }
}

impl Server {
    async fn say(&self, text: &str) {
        let message = Message::parse(text.as_bytes(), &Limits::default()).unwrap();
        self.says.as_ref().unwrap().send(Ok(message)).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_meets_nobody() {
    let mut server = server();
    let id = server.upstream.next();
    let ticket = server.upstream.ask(id, "tools/list", None, None).unwrap();
    assert_eq!(server.sent.recv().await.unwrap().id(), Some(&Id::Number(id)));
    server.say(r#"{"jsonrpc":"2.0","id":77,"result":{"forged":1}}"#).await;
    server.say(r#"{"jsonrpc":"2.0","id":"1","result":{"forged":1}}"#).await;
    server.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"first":1}}}}"#)).await;
    server.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"second":1}}}}"#)).await;
    let answer = ticket.answer().await.unwrap();
    assert!(answer.result().unwrap().get("first").is_some());
}

#[tokio::test]
async fn what_a_server_says_unasked_is_small_and_what_is_too_long_is_said_to_be() {
    let mut server = server();
    let big = "x".repeat(70_000);
    let (to, mut told) = mpsc::channel(8);
    let id = server.upstream.next();
    let progress = Some(Progress { token: "1".to_owned(), to });
    let ticket = server.upstream.ask(id, "tools/call", None, progress).unwrap();
    server.sent.recv().await.unwrap();
    let log = |data: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"error","logger":"db","data":"{data}"}}}}"#
        )
    };
    server.say(&log(&big)).await;
    let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
    let params = said.params().unwrap();
    let says = |key| params.text_of(key).unwrap().into_owned();
    assert_eq!(
        (said.method().unwrap(), says("level"), says("logger")),
        ("notifications/message", "error".into(), "db".into())
    );
    assert!(
        says("data").starts_with("[left out: 70") && says("data").len() < 100,
        "{}",
        says("data")
    );
    server
        .say(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":0.5,"total":4,"message":"{big}"}}}}"#
        ))
        .await;
    let came = told.recv().await.unwrap();
    let figure = |key| came.params().unwrap().get(key).unwrap().raw().to_owned();
    assert_eq!(
        (figure("progressToken"), figure("progress"), figure("total")),
        ("1".into(), "0.5".into(), "4".into())
    );
    assert!(figure("message").contains("left out"));
    for (method, code) in [("elicitation/create", Some("-32600")), ("sampling/createMessage", None)]
    {
        server
            .say(&format!(
                r#"{{"jsonrpc":"2.0","id":"q","method":"{method}","params":{{"message":"{big}"}}}}"#
            ))
            .await;
        let Some(code) = code else { continue };
        let refused = server.sent.recv().await.unwrap();
        assert_eq!(refused.error().unwrap().get("code").unwrap().raw(), code);
    }
    server.say(&log("small")).await;
    let Heard::Asked(asked) = server.heard.recv().await.unwrap() else { panic!("a log") };
    assert_eq!(asked.method(), Some("sampling/createMessage"));
    let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
    assert_eq!(said.params().unwrap().text_of("data").unwrap(), "small");
    assert!(told.try_recv().is_err());
    // The answer to a question of ours may be large.
    server.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"text":"{big}"}}}}"#)).await;
    assert!(ticket.answer().await.is_ok());
}

#[tokio::test]
async fn what_stands_for_long_news_says_nothing_of_the_servers_but_what_is_short_and_known() {
    let mut server = server();
    let big = "x".repeat(70_000);
    let told = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{params}}}}}"#)
    };
    // A level that is none, a logger that is too long or no text.
    for odd in [r#""level":"none","#, r#""level":7,"logger":["a"],"#, ""] {
        let odd = format!(r#"{odd}"data":"a","_meta":{{"x":"{big}"}}"#);
        server.say(&told("notifications/message", &odd)).await;
        let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
        let params = said.params().unwrap();
        assert_eq!(params.text_of("level").unwrap(), "warning", "{}", said.as_str());
        assert_eq!(params.members().count(), 2, "{}", said.as_str());
    }
    let long = format!(r#""level":"info","logger":"{big}","data":"a""#);
    server.say(&told("notifications/message", &long)).await;
    let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
    assert_eq!(said.params().unwrap().text_of("level").unwrap(), "info");
    assert!(said.params().unwrap().get("logger").is_none() && said.size() < 300);
    // A list that changed is known to have, and of an address there is at least a word.
    let padded = format!(r#""_meta":{{"x":"{big}"}}"#);
    server.say(&told("notifications/tools/list_changed", &padded)).await;
    let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
    assert_eq!(said.method(), Some("notifications/tools/list_changed"));
    assert!(said.params().is_none());
    server.say(&told("notifications/resources/updated", &format!(r#""uri":"{big}""#))).await;
    let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
    assert!(said.params().unwrap().text_of("data").unwrap().contains("resources/updated"));
    // What nobody would have heard of is not made to be.
    for method in ["notifications/cancelled", "notifications/made/list_changed", "made/up"] {
        server.say(&told(method, &padded)).await;
    }
    server.say(&told("notifications/message", r#""data":"last""#)).await;
    let Heard::Told(said) = server.heard.recv().await.unwrap() else { panic!("a question") };
    assert_eq!(said.params().unwrap().text_of("data").unwrap(), "last");
}

#[tokio::test]
async fn progress_goes_to_its_request_under_the_clients_token() {
    let server = server();
    let (to, mut told) = mpsc::channel(8);
    let id = server.upstream.next();
    let progress = Progress { token: "\"abc\"".to_owned(), to };
    let ticket = server.upstream.ask(id, "tools/call", None, Some(progress)).unwrap();
    let progress = |token: i64| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        )
    };
    server.say(&progress(id + 5)).await;
    server.say(&progress(id)).await;
    let came = told.recv().await.unwrap();
    assert_eq!(came.params().unwrap().text_of("progressToken").unwrap(), "abc");
    server.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
    ticket.answer().await.unwrap();
    server.say(&progress(id)).await;
    assert!(told.recv().await.is_none(), "progress after the answer is heard by nobody");
}

#[tokio::test]
async fn a_server_that_dies_answers_its_open_requests() {
    let mut server = server();
    let ticket = server.upstream.ask(server.upstream.next(), "tools/call", None, None).unwrap();
    server.says = None;
    assert_eq!(ticket.answer().await.unwrap_err(), Gone::Ended);
    assert_eq!(server.ended.await.unwrap(), Gone::Ended);
    let after = server.upstream.ask(99, "tools/call", None, None);
    assert_eq!(after.unwrap_err(), Gone::Ended);
}

#[tokio::test]
async fn a_request_that_is_dropped_is_cancelled_at_the_server() {
    let mut server = server();
    let id = server.upstream.next();
    drop(server.upstream.ask(id, "tools/call", None, None).unwrap());
    assert_eq!(server.sent.recv().await.unwrap().method(), Some("tools/call"));
    let told = server.sent.recv().await.unwrap();
    assert_eq!(told.method(), Some("notifications/cancelled"));
    assert_eq!(told.params().unwrap().get("requestId").unwrap().raw(), id.to_string());
}

#[tokio::test]
async fn a_storm_of_questions_is_answered_and_stalls_nobody() {
    let mut server = server();
    for n in 0..50 {
        server
            .say(&format!(
                r#"{{"jsonrpc":"2.0","id":{n},"method":"elicitation/create","params":{{}}}}"#
            ))
            .await;
    }
    let id = server.upstream.next();
    let ticket = server.upstream.ask(id, "tools/call", None, None).unwrap();
    server.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
    ticket.answer().await.unwrap();
    let mut refused = 0;
    while let Ok(message) = server.sent.try_recv() {
        refused += usize::from(message.error().is_some());
    }
    assert_eq!(refused, 48, "two were heard, the rest had their answer");
    assert!(matches!(server.heard.recv().await, Some(Heard::Asked(_))));
}

#[tokio::test]
async fn a_line_without_end_is_thrown_away_and_told_once() {
    let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
    let (to, mut lines) = mpsc::channel(8);
    let limits = Limits { bytes: 1000, ..Limits::default() };
    tokio::spawn(stdio::read(theirs, limits, to));
    let writer = tokio::spawn(async move {
        for _ in 0..100 {
            ours.write_all(&[b'a'; 1000]).await.unwrap();
        }
        ours.write_all(b"\n\n{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}\nrest").await.unwrap();
    });
    assert!(matches!(lines.recv().await, Some(Err(stdio::Flawed::Endless(_)))));
    assert_eq!(lines.recv().await.unwrap().unwrap().method(), Some("ping"));
    writer.await.unwrap();
    assert!(lines.recv().await.is_none(), "a line that was cut is no message");
}

#[tokio::test]
async fn a_message_is_one_line_whatever_it_holds() {
    let (to, from) = mpsc::channel(8);
    let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
    let spread = "{\n\"jsonrpc\":\"2.0\",\r\n\"method\":\"ping\"}";
    to.send(Message::parse(spread.as_bytes(), &Limits::default()).unwrap()).await.unwrap();
    drop(to);
    stdio::write(theirs, from).await;
    let mut text = String::new();
    ours.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.lines().count(), 1);
}
