//! A conversation and what stands behind it: here a script that answers as a door would.
use super::*;
use bartizan_mcp::conversation::Evidence;
use bartizan_mcp::method::CLIENT_REQUESTS;
use bartizan_mcp::wire::Limits;
use tempfile::TempDir;
use tokio::time::timeout;

const DOOR: &str = r#"
import json, signal, sys
told, waiting = [], []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
if sys.argv[1:4] != ["mcp", "--agent", "reader"]:
    sys.exit(2)
def say(message):
    print(json.dumps(message), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    method, params = asked.get("method"), asked.get("params", {})
    if "id" not in asked:
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    elif method == "tools/list":
        tools = [{"name": "echo", "inputSchema": {}, "x": 1.50}, {"name": "rm", "inputSchema": {}}, {"name": "bartizan_read_on", "inputSchema": {}}]
        say({"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": tools, "y": 1}})
    elif params.get("name") == "die":
        sys.exit(1)
    elif params.get("name") == "wait":
        waiting.append(params.get("_meta", {}).get("progressToken"))
    elif params.get("name") == "stir":
        for at, token in enumerate(waiting):
            say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": at}})
        say({"jsonrpc": "2.0", "id": asked["id"], "result": {}})
    else:
        token = params.get("_meta", {}).get("progressToken")
        if token:
            say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
        say({"jsonrpc": "2.0", "id": asked["id"], "result": {"called": params.get("name"), "told": len(told)}})
"#;
const PATIENCE: Duration = Duration::from_mins(1);

fn open(tools: Option<&[&str]>) -> (TempDir, Arc<Talk>) {
    let (dir, _, talk) = beside(tools);
    (dir, talk)
}

/// The same, with what starts the doors.
fn beside(tools: Option<&[&str]>) -> (TempDir, Behind, Arc<Talk>) {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("door.py");
    std::fs::write(&script, DOOR).unwrap();
    let global = vec!["python3".into(), script.into()];
    let behind = Behind::new("/usr/bin/env".into(), global, Vec::new(), Some("s".to_owned()));
    let tools = tools.map(|tools| tools.iter().map(|tool| (*tool).to_owned()).collect());
    let who = Who { role: "reader".to_owned(), by: Evidence::Token("t".to_owned()), tools };
    let talk = behind.open(&who, Revision::V2025_11_25).unwrap();
    (dir, behind, talk)
}

async fn ask(talk: &Arc<Talk>, text: &str) -> Vec<String> {
    let (out, mut rest) = mpsc::channel(8);
    let message = Message::parse(text.as_bytes(), &Limits::default()).unwrap();
    timeout(PATIENCE, Arc::clone(talk).take(message, out)).await.unwrap();
    let mut all = Vec::new();
    while let Ok(message) = rest.try_recv() {
        all.push(message.as_str().to_owned());
    }
    all
}

fn call(id: u64, name: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","_meta":{{"progressToken":{id}}}}}}}"#
    )
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;

#[tokio::test]
async fn each_answer_comes_to_its_request_with_what_belongs_to_it() {
    let (_dir, talk) = open(None);
    let (first, second) = (call(1, "a"), call(2, "b"));
    let (first, second) = tokio::join!(ask(&talk, &first), ask(&talk, &second));
    assert!(
        first[0].contains(r#""progressToken": 1"#) && first[1].contains(r#""called": "a""#),
        "{first:?}"
    );
    assert!(second[0].contains(r#""progressToken": 2"#) && second[1].contains(r#""called": "b""#));
    assert!(ask(&talk, LIST).await[0].contains("rm"));
    let (out, mut heard) = mpsc::channel(8);
    talk.listen(out);
    ask(&talk, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let told = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(told.method(), Some("notifications/tools/list_changed"));
}

#[tokio::test]
async fn of_two_clients_that_count_alike_each_hears_of_its_own_request() {
    let (_dir, talk) = open(None);
    let mut heard = Vec::new();
    for id in [1u64, 2] {
        let (out, from) = mpsc::channel(8);
        let asked =
            call(id, "wait").replace(&format!(r#""progressToken":{id}"#), r#""progressToken":7"#);
        let asked = Message::parse(asked.as_bytes(), &Limits::default()).unwrap();
        drop(tokio::spawn(Arc::clone(&talk).take(asked, out)));
        while talk.state().open.len() < heard.len() + 1 {
            tokio::task::yield_now().await;
        }
        heard.push(from);
    }
    ask(&talk, r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"stir"}}"#).await;
    for (at, from) in heard.iter_mut().enumerate() {
        let told = timeout(PATIENCE, from.recv()).await.unwrap().unwrap();
        let params = told.params().unwrap();
        assert_eq!(params.get("progressToken").unwrap().raw(), "7", "as its client knows it");
        assert_eq!(params.get("progress").unwrap().raw(), at.to_string());
        assert!(from.try_recv().is_err(), "nothing of the other's");
    }
}

#[tokio::test]
async fn a_token_for_one_tool_sees_and_calls_no_other() {
    let (_dir, talk) = open(Some(&["mcp__s__echo", "mcp__other__rm"]));
    let listed = ask(&talk, LIST).await;
    assert!(listed[0].contains(r#"{"name": "echo", "inputSchema": {}, "x": 1.5}"#), "{listed:?}");
    assert!(!listed[0].contains("rm") && listed[0].contains(r#""y": 1"#), "{listed:?}");
    assert!(ask(&talk, &call(1, "echo")).await[1].contains("called"));
    // What a call that it was good for has returned, it is good for to the end.
    assert!(listed[0].contains("bartizan_read_on"), "{listed:?}");
    assert!(ask(&talk, &call(9, "bartizan_read_on")).await[1].contains("called"));
    for refused in [call(2, "rm"), call(3, "mcp__other__rm"), call(4, "")] {
        let said = ask(&talk, &refused).await;
        assert!(said.len() == 1 && said[0].contains("not good for that tool"), "{said:?}");
    }
    let harmless = ["initialize", "logging/setLevel", "ping", "server/discover"];
    let others = CLIENT_REQUESTS.into_iter().filter(|method| !method.starts_with("tools/"));
    for method in others.chain(["tools/other"]) {
        let asked = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"{method}","params":{{}}}}"#);
        let said = ask(&talk, &asked).await;
        let refused = said[0].contains("tools alone");
        assert_eq!(refused, !harmless.contains(&method), "{method}: {said:?}");
    }
}

#[tokio::test]
async fn a_door_that_dies_answers_what_is_open_and_a_closed_one_is_gone() {
    let (_dir, talk) = open(None);
    let (wait, die) = (call(1, "wait"), call(2, "die"));
    let (waited, died) = tokio::join!(ask(&talk, &wait), ask(&talk, &die));
    assert!(waited[0].contains("has ended") && died[0].contains("has ended"));
    assert!(ask(&talk, LIST).await[0].contains("has ended"));
    let (_dir, talk) = open(None);
    ask(&talk, LIST).await;
    talk.close();
    assert!(ask(&talk, LIST).await[0].contains("has ended"));
}

#[tokio::test]
async fn what_is_cancelled_is_waited_for_no_more() {
    let (_dir, talk) = open(None);
    let waiting = tokio::spawn({
        let talk = Arc::clone(&talk);
        async move { ask(&talk, &call(7, "wait")).await }
    });
    while talk.state().open.is_empty() {
        tokio::task::yield_now().await;
    }
    ask(&talk, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#)
        .await;
    assert!(timeout(PATIENCE, waiting).await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn each_door_is_told_of_another_policy() {
    let (_dir, behind, talk) = beside(None);
    let before = ask(&talk, &call(1, "echo")).await;
    assert!(before.last().unwrap().contains(r#""told": 0"#), "{before:?}");
    let doors = behind.doors.clone();
    tokio::task::spawn_blocking(move || doors.tell()).await.unwrap();
    let after = ask(&talk, &call(2, "echo")).await;
    assert!(after.last().unwrap().contains(r#""told": 1"#), "{after:?}");
}
