use super::*;
use crate::desk::Ear;
use crate::desk::patience::Patience;
use crate::doors::calls::Act;
use crate::doors::calls::Subagent;
use crate::doors::calls::{Calls, STAND_IN, Seen, TakeUp};
use crate::doors::model::Budget;
use crate::doors::trial::Trial;
use serde_json::{Value, json};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

pub(in crate::doors::model) fn bench(trial: &Trial) -> Bench {
    Bench {
        gate: Arc::clone(&trial.gate),
        caller: trial.caller.clone(),
        calls: Arc::new(Calls::default()),
        budget: Arc::new(Budget::default()),
        agent: None,
        conversation: None,
    }
}

fn event(kind: &str, mut data: Value) -> String {
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n")
}

fn text_block(index: u64, text: &str) -> String {
    let start = json!({"index": index, "content_block": {"type": "text", "text": ""}});
    let delta = json!({"index": index, "delta": {"type": "text_delta", "text": text}});
    event("content_block_start", start)
        + &event("content_block_delta", delta)
        + &event("content_block_stop", json!({"index": index}))
}

fn call_block(index: u64, id: &str, name: &str, input: &str) -> String {
    let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let start = json!({"index": index, "content_block": block});
    let (one, two) = input.split_at(input.len() / 2);
    let part = |part: &str| {
        let delta = json!({"type": "input_json_delta", "partial_json": part});
        event("content_block_delta", json!({"index": index, "delta": delta}))
    };
    event("content_block_start", start)
        + &part(one)
        + &part(two)
        + &event("content_block_stop", json!({"index": index}))
}

fn begin() -> String {
    let usage = json!({"input_tokens": 100, "cache_read_input_tokens": 20, "output_tokens": 1});
    event("message_start", json!({"message": {"id": "m", "content": [], "usage": usage}}))
}

fn end() -> String {
    event(
        "message_delta",
        json!({"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}}),
    ) + &event("message_stop", json!({}))
}

/// What reaches the client of an answer that arrives in chunks of this size.
pub(in crate::doors::model) async fn passed<D: Dialect>(
    bench: &Bench,
    tally: &Shared,
    answer: &str,
    size: usize,
) -> String {
    let mut filter = Streamed::<D>::new(bench.clone(), Arc::clone(tally));
    let mut out = Vec::new();
    for chunk in answer.as_bytes().chunks(size) {
        filter.push(Bytes::copy_from_slice(chunk));
        drain(&mut filter, &mut out).await;
    }
    filter.end();
    drain(&mut filter, &mut out).await;
    String::from_utf8(out).unwrap()
}

pub(in crate::doors::model) async fn drain(filter: &mut impl Filter, out: &mut Vec<u8>) {
    loop {
        let passed = poll_fn(|cx| filter.poll_pass(cx)).await;
        if passed.is_empty() {
            return;
        }
        out.extend_from_slice(&passed);
    }
}

async fn pass(bench: &Bench, answer: &str) -> String {
    passed::<Messages>(bench, &Shared::default(), answer, 4096).await
}

const LS: &str = r#"{"command": "ls","n":[1,2]}"#;
const ECHO: &str = r#"{"command":"echo hi"}"#;

#[tokio::test]
async fn what_is_allowed_passes_byte_for_byte_however_it_is_cut() {
    let trial = Trial::new(&["Bash"], &[]);
    let answer = begin()
        + ": a comment\n\n"
        + &text_block(0, "hello")
        + &call_block(1, "toolu_1", "Bash", ECHO)
        + &call_block(2, "toolu_2", "Bash", ECHO)
        + &event("ping", json!({}))
        + &end();
    for size in [1, 7, 100_000] {
        let tally = Shared::default();
        assert_eq!(passed::<Messages>(&bench(&trial), &tally, &answer, size).await, answer);
        let tally = tally.lock().unwrap().clone();
        assert_eq!((tally.tokens(0), tally.calls, tally.refused), (127, 2, 0));
    }
    let calls = trial.records("call");
    assert_eq!(calls[0]["reference"], "toolu_1");
    assert_eq!(
        (&calls[0]["door"], &calls[0]["arguments"]["command"]),
        (&json!("model"), &json!("echo hi"))
    );
}

#[tokio::test]
async fn a_refused_call_never_reaches_the_client() {
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let bench = bench(&trial);
    let answer = begin()
        + &text_block(0, "I will")
        + &call_block(1, "toolu_1", "Bash", r#"{"command":"rm -rf precious"}"#)
        + &call_block(2, "toolu_2", "Bash", r#"{"command":"ls"}"#)
        + &end();
    let passed = pass(&bench, &answer).await;
    assert!(!passed.contains("precious"), "{passed}");
    assert!(passed.starts_with(&(begin() + &text_block(0, "I will"))), "{passed}");
    assert!(
        passed.ends_with(&(call_block(2, "toolu_2", "Bash", r#"{"command":"ls"}"#) + &end())),
        "{passed}"
    );
    let events: Vec<Value> = passed
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let stand_in = events.iter().find(|event| event["content_block"]["name"] == STAND_IN).unwrap();
    assert_eq!(
        (&stand_in["index"], &stand_in["content_block"]["id"]),
        (&json!(1), &json!("toolu_1"))
    );
    let input = events.iter().find_map(|event| event["delta"]["partial_json"].as_str()).unwrap();
    let input: Value = serde_json::from_str(input).unwrap();
    assert_eq!(input, json!({"tool": "Bash", "refusal": "policy-denied", "question": null}));
    assert_eq!(trial.records("refusal")[0]["reference"], "toolu_1");
    assert!(matches!(bench.calls.seen("toolu_1", || None, STAND_IN), Seen::StandIn(_)));
}

#[tokio::test]
async fn arguments_with_two_readings_are_refused() {
    let trial = Trial::new(&["Bash"], &[]);
    for input in [r#"{"command":"ls","command":"rm x"}"#, "[1]", "{", "\"x\"", "{} {}"] {
        let passed =
            pass(&bench(&trial), &(begin() + &call_block(0, "toolu_1", "Bash", input) + &end()))
                .await;
        assert!(passed.contains(STAND_IN) && !passed.contains("rm x"), "{input}: {passed}");
    }
    assert_eq!(trial.records("call").len(), 0);
    assert_eq!(trial.records("refusal").len(), 5);
}

#[tokio::test]
async fn a_pseudo_tool_is_no_tool_of_a_model() {
    let trial = Trial::new(&["*"], &[]);
    for name in ["model.request", "process.start", "FileMention", STAND_IN, "Nonsense"] {
        let passed =
            pass(&bench(&trial), &(begin() + &call_block(0, "toolu_1", name, "{}") + &end())).await;
        assert!(passed.contains(STAND_IN), "{name}: {passed}");
    }
    assert_eq!(trial.records("call").len(), 0);
}

#[tokio::test]
async fn an_answer_without_one_reading_ends_before_it() {
    let trial = Trial::new(&["Bash"], &[]);
    let call = |index: u64| json!({"index": index, "content_block": {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}});
    let part = json!({"index": 0, "delta": {"type": "input_json_delta", "partial_json": ECHO}});
    let bad = [
        "event: content_block_start\ndata: {\"type\":\"ping\",\"type\":\"content_block_start\"}\n\n".to_owned(),
        "event: ping\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n".to_owned(),
        "data: {\"type\":\"ping\"\rdata: x}\n\n".to_owned(),
        "event: a\nevent: b\ndata: {\"type\":\"b\"}\n\n".to_owned(),
        "data: nonsense\n\n".to_owned(),
        event("content_block_delta", part.clone()),
        event("content_block_start", call(0)) + &event("content_block_start", call(1)),
        event("content_block_start", call(0)) + &event("content_block_stop", json!({"index": 1})),
        event("content_block_start", call(0)) + &end(),
        event("something_new", json!({"content_block": {"type": "tool_use"}})),
        "data: {\"type\":\"something_new\",\"block\":[{\"type\":\"tool\\u005fuse\",\"name\":\"Bash\"}]}\n\n".to_owned(),
        "data: {\"type\":\"something_new\",\"tool\\u005fuse\":{\"name\":\"Bash\"}}\n\n".to_owned(),
        event("message_start", json!({"message": {"content": [{"type": "tool_use"}]}})),
    ];
    for bad in bad {
        let passed =
            pass(&bench(&trial), &(bad.clone() + &call_block(7, "toolu_9", "Bash", ECHO))).await;
        assert!(passed.contains("answer-unread"), "{bad}: {passed}");
        assert!(!passed.contains("echo hi") && !passed.contains("toolu_9"), "{bad}: {passed}");
    }
}

#[tokio::test]
async fn a_call_that_breaks_off_does_not_reach_the_client() {
    let trial = Trial::new(&["Bash"], &[]);
    let whole = begin() + &call_block(0, "toolu_1", "Bash", ECHO);
    let (cut, _) = whole.split_at(whole.len() - 30);
    let passed = pass(&bench(&trial), cut).await;
    assert!(passed.starts_with(&begin()) && !passed.contains("toolu_1"), "{passed}");
    assert!(passed.contains("answer-unread"), "{passed}");
}

#[tokio::test]
async fn blocks_that_are_not_known_are_withheld_and_thinking_passes() {
    let trial = Trial::new(&[], &[]);
    let thinking = event(
        "content_block_start",
        json!({"index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
    ) + &event(
        "content_block_delta",
        json!({"index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
    ) + &event("content_block_stop", json!({"index": 0}));
    let strange = event(
        "content_block_start",
        json!({"index": 1, "content_block": {"type": "mcp_tool_use", "id": "x"}}),
    ) + &event(
        "content_block_delta",
        json!({"index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
    ) + &event("content_block_stop", json!({"index": 1}));
    let passed = pass(&bench(&trial), &(begin() + &thinking + &strange + &end())).await;
    assert!(passed.starts_with(&(begin() + &thinking)) && passed.ends_with(&end()), "{passed}");
    assert!(passed.contains("[withheld by bartizan: a block of type `mcp_tool_use`"), "{passed}");
    assert!(!passed.contains("partial_json"), "{passed}");
}

#[tokio::test]
async fn one_yes_is_one_act_and_nobody_is_asked_twice() {
    let trial = Trial::new(&[], &["Bash"]);
    let bench = bench(&trial);
    let answer = |id: &str| begin() + &call_block(0, id, "Bash", ECHO) + &end();
    let asked = pass(&bench, &answer("toolu_1")).await;
    assert!(asked.contains("approval-required") && !asked.contains("echo hi"), "{asked}");
    trial.approve();
    assert_eq!(pass(&bench, &answer("toolu_2")).await, answer("toolu_2"));
    // The client's hook asks for the same call: the yes has been used, and is not asked for again.
    let act = Act::of("Bash", &serde_json::from_str(ECHO).unwrap(), "/w");
    assert_eq!(bench.calls.take_up("toolu_2", None, &act), TakeUp::Joined);
    assert_eq!(bench.calls.take_up("toolu_2", None, &act), TakeUp::Unjudged, "once is once");
    let other = Act::of("Bash", &json!({"command": "rm x"}), "/w");
    assert_eq!(bench.calls.take_up("toolu_2", None, &other), TakeUp::Unjudged);
    assert!(matches!(bench.calls.take_up("toolu_1", None, &act), TakeUp::Refused(_)));
    assert!(
        pass(&bench, &answer("toolu_3")).await.contains("approval-required"),
        "it counted once"
    );
    assert_eq!(trial.records("call").len(), 1);
}

#[tokio::test]
async fn a_call_of_one_agent_is_not_taken_up_by_another() {
    let trial = Trial::new(&["Bash"], &[]);
    let agent = Subagent { id: "a1".to_owned(), kind: "Explore".to_owned() };
    let bench = Bench { agent: Some(agent), ..bench(&trial) };
    pass(&bench, &(begin() + &call_block(0, "toolu_1", "Bash", ECHO) + &end())).await;
    let act = Act::of("Bash", &serde_json::from_str(ECHO).unwrap(), "/w");
    assert_eq!(bench.calls.take_up("toolu_1", None, &act), TakeUp::Unjudged);
    assert_eq!(bench.calls.take_up("toolu_1", Some("a1"), &act), TakeUp::Joined);
    assert_eq!(trial.records("call")[0]["agent"], "main/Explore.a1");
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_judged_as_one_that_streams() {
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let bench = bench(&trial);
    let message = json!({
        "type": "message", "usage": {"input_tokens": 3, "output_tokens": 4}, "content": [
            {"type": "text", "text": "I will"},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
            {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "rm precious"}},
            {"type": "mcp_tool_use", "id": "x"},
        ],
    });
    let tally = Shared::default();
    let judged = whole(&bench, &tally, message.to_string().as_bytes()).await;
    let judged: Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(judged["content"][0], message["content"][0]);
    assert_eq!(judged["content"][1], message["content"][1]);
    assert_eq!(judged["content"][2]["name"], STAND_IN);
    assert!(!judged.to_string().contains("precious"), "{judged}");
    assert!(judged["content"][3]["text"].as_str().unwrap().contains("withheld"), "{judged}");
    assert_eq!(tally.lock().unwrap().tokens(0), 7);
    for bad in ["{}", "nonsense", r#"{"type":"message","content":[],"content":[]}"#] {
        assert!(whole(&bench, &tally, bad.as_bytes()).await.contains("answer-unread"), "{bad}");
    }
}

async fn whole(bench: &Bench, tally: &Shared, body: &[u8]) -> String {
    whole_of::<Messages>(bench, tally, body).await
}

pub(in crate::doors::model) async fn whole_of<D: Dialect>(
    bench: &Bench,
    tally: &Shared,
    body: &[u8],
) -> String {
    // A client that has no time for anybody's word.
    let until = std::time::Instant::now();
    let mut filter = Whole::<D>::new(bench.clone(), Arc::clone(tally), until);
    let mut out = Vec::new();
    filter.push(Bytes::copy_from_slice(body));
    drain(&mut filter, &mut out).await;
    assert!(out.is_empty(), "nothing passes before all is judged");
    filter.end();
    drain(&mut filter, &mut out).await;
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn a_client_that_hears_nothing_until_all_is_judged_is_told_in_time_what_waits_for_a_person() {
    let trial = Trial::new(&[], &["Bash"]);
    let slow = Arc::<Slow>::default();
    trial.gate.asks(Arc::clone(&slow) as Arc<dyn Ear>);
    let call =
        json!({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}});
    let body = json!({"type": "message", "content": [call]}).to_string();
    let judged = whole(&bench(&trial), &Shared::default(), body.as_bytes()).await;
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let input = &judged["content"][0]["input"];
    assert_eq!(input["refusal"], "approval-required", "{judged}");
    assert!(input["question"].is_string() && slow.is_asked.load(Ordering::SeqCst), "{judged}");
}

#[tokio::test]
async fn a_model_cannot_pass_on_a_call_with_unknown_arguments_as_it_likes() {
    let trial = Trial::new(&["Bash"], &[]);
    let passed =
        pass(&bench(&trial), &(begin() + &call_block(0, "toolu_1", "Bash", LS) + &end())).await;
    assert!(passed.contains("arguments-invalid"), "{passed}");
}

#[tokio::test]
async fn of_a_mangled_stream_no_call_passes_unjudged() {
    let trial = Trial::new(&["Bash(ls)"], &[]);
    let whole = begin()
        + &text_block(0, "hello")
        + &call_block(1, "toolu_1", "Bash", r#"{"command":"rm precious"}"#)
        + &call_block(2, "toolu_2", "Bash", r#"{"command":"ls"}"#)
        + &end();
    let mut seed = 11_u64;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % (limit as u64)).unwrap()
    };
    for _ in 0..150 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..=below(2) {
            let at = below(bytes.len());
            let marks = b"\"\\{}[],:\n\r \xff";
            match below(3) {
                0 => bytes[at] = marks[below(marks.len())],
                1 => bytes.insert(at, marks[below(marks.len())]),
                _ => drop(bytes.drain(at..(at + below(60)).min(bytes.len()))),
            }
        }
        let mut filter = Streamed::<Messages>::new(bench(&trial), Shared::default());
        let mut out = Vec::new();
        for chunk in bytes.chunks(1 + below(300)) {
            filter.push(Bytes::copy_from_slice(chunk));
            drain(&mut filter, &mut out).await;
        }
        filter.end();
        drain(&mut filter, &mut out).await;
        let passed = String::from_utf8_lossy(&out).into_owned();
        assert!(!passed.contains("precious"), "{passed}");
    }
}

/// Somebody at the terminal who takes their time.
#[derive(Debug, Default)]
struct Slow {
    is_asked: AtomicBool,
    has_spoken: Mutex<bool>,
    changed: Condvar,
}

impl Slow {
    fn speaks(&self) {
        *self.has_spoken.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Ear for Slow {
    fn hears(&self, _: &str) {}

    fn answers(&self, _: &str, patience: &Patience) -> bool {
        self.is_asked.store(true, Ordering::SeqCst);
        if patience.left() == Some(Duration::ZERO) {
            return false;
        }
        let waits = |spoken: &mut bool| !*spoken && !patience.is_over();
        let spoken = self.changed.wait_while(self.has_spoken.lock().unwrap(), waits).unwrap();
        *spoken && !patience.is_over()
    }

    fn stirs(&self) {
        drop(self.has_spoken.lock().unwrap());
        self.changed.notify_all();
    }
}

/// An answer with one call that a person is asked about, as far as it passes until the client has heard two pings.
async fn held(
    trial: &Trial,
    bench: &Bench,
    answer: &str,
) -> (Arc<Slow>, Streamed<Messages>, Vec<u8>) {
    let slow = Arc::<Slow>::default();
    trial.gate.asks(Arc::clone(&slow) as Arc<dyn Ear>);
    let mut filter = Streamed::<Messages>::new(bench.clone(), Shared::default());
    filter.beat = Duration::from_millis(1);
    filter.push(Bytes::copy_from_slice(answer.as_bytes()));
    let mut out = Vec::new();
    let pings = |out: &[u8]| String::from_utf8_lossy(out).matches("event: ping").count();
    while pings(&out) < 2 || !slow.is_asked.load(Ordering::SeqCst) {
        out.extend_from_slice(&poll_fn(|cx| filter.poll_pass(cx)).await);
    }
    (slow, filter, out)
}

#[tokio::test]
async fn a_client_hears_that_we_are_there_while_a_person_is_asked() {
    let trial = Trial::new(&[], &["Bash"]);
    let answer = begin() + &call_block(0, "toolu_1", "Bash", ECHO) + &end();
    let (slow, mut filter, mut out) = held(&trial, &bench(&trial), &answer).await;
    assert!(!String::from_utf8_lossy(&out).contains("toolu_1"), "nobody has said yes");
    trial.approve();
    slow.speaks();
    drain(&mut filter, &mut out).await;
    filter.end();
    drain(&mut filter, &mut out).await;
    let passed = String::from_utf8(out).unwrap();
    assert_eq!(passed.replace(std::str::from_utf8(Messages::PING).unwrap(), ""), answer);
    assert_eq!(trial.records("call").len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_gives_its_call_up() {
    let trial = Trial::new(&[], &["Bash"]);
    let bench = bench(&trial);
    let answer = begin() + &call_block(0, "toolu_1", "Bash", ECHO) + &end();
    let (_slow, filter, _) = held(&trial, &bench, &answer).await;
    drop(filter);
    let act = Act::of("Bash", &json!({"command": "echo hi"}), "/w");
    while !matches!(bench.calls.take_up("toolu_1", None, &act), TakeUp::Refused(_)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(trial.records("call"), Vec::<Value>::new());
}
