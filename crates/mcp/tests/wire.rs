//! Has every message one reading, and does it keep what it says?

use bartizan_mcp::wire::{INVALID_REQUEST, Id, Kind, Limits, Message, PARSE_ERROR};
use proptest::prelude::*;

fn read(text: &str) -> Result<Message, i64> {
    Message::parse(text.as_bytes(), &Limits::default()).map_err(|error| error.code())
}

#[test]
fn each_kind_is_told() {
    let request = read(r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x"}}"#);
    let request = request.unwrap();
    let id = Id::Text("a".to_owned());
    assert_eq!(request.kind(), Kind::Request { id: &id, method: "tools/call" });
    assert_eq!(request.params().unwrap().text_of("name").unwrap(), "x");
    let told = read(r#"{"method":"notifications/initialized","jsonrpc":"2.0"}"#).unwrap();
    assert_eq!(told.kind(), Kind::Notification { method: "notifications/initialized" });
    let answer = read(r#"{"jsonrpc":"2.0","id":7,"result":{"x":1.50}}"#).unwrap();
    assert_eq!(answer.kind(), Kind::Response { id: Some(&Id::Number(7)) });
    assert_eq!(answer.result().unwrap().raw(), r#"{"x":1.50}"#);
    let unread = read(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#).unwrap();
    assert_eq!(unread.kind(), Kind::Response { id: None });
}

#[test]
fn what_two_parsers_would_read_differently_is_refused() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"METHOD":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":[{"y":1,"\u0079":2}]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"ProgressToken":1}}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1e2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":99999999999999999999,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools call"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        "7",
    ] {
        assert_eq!(read(text).unwrap_err(), INVALID_REQUEST, "{text}");
    }
    for text in ["", "{", "{}{}", "\u{feff}{}", "{\"a\":01}", "{'a':1}"] {
        assert_eq!(read(text).unwrap_err(), PARSE_ERROR, "{text}");
    }
}

#[test]
fn a_message_is_bounded_in_bytes_depth_and_values() {
    let within =
        |params: String| read(&format!(r#"{{"jsonrpc":"2.0","method":"x","params":{params}}}"#));
    assert!(within(format!("{{\"a\":{}{}}}", "[".repeat(50), "]".repeat(50))).is_ok());
    assert_eq!(
        within(format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70))).unwrap_err(),
        PARSE_ERROR
    );
    assert_eq!(within(format!("{{\"a\":[{}0]}}", "0,".repeat(300_000))).unwrap_err(), PARSE_ERROR);
    let small = Limits { bytes: 40, ..Limits::default() };
    let long = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(Message::parse(long, &small).unwrap_err().code(), PARSE_ERROR);
}

#[test]
fn an_error_carries_the_id_that_could_be_read() {
    let bytes = br#"{"jsonrpc":"2.0","id":"q","method":"m","params":7}"#;
    let error = Message::parse(bytes, &Limits::default()).unwrap_err();
    assert_eq!(error.id(), Some(&Id::Text("q".to_owned())));
    let answer = Message::refusing(&error);
    assert_eq!(answer.id(), error.id());
    assert!(answer.error().unwrap().text_of("message").unwrap().contains("params"));
}

#[test]
fn under_another_id_every_other_byte_stays() {
    let text = "{ \"id\" : \"x\",\"zeta\":1.500, \"jsonrpc\":\"2.0\",\n\"method\":\"tools/list\" }";
    let moved = read(text).unwrap().with_id(&Id::Number(9)).unwrap();
    assert_eq!(moved.as_str(), text.replace("\"x\"", "9"));
    let line = moved.to_line();
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|f| serde_json::json!(f)),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_json_travels_in_a_message_arrives(arguments in json(), id in any::<i64>()) {
        let params = serde_json::json!({"name": "t", "arguments": arguments}).to_string();
        let sent = Message::request(&Id::Number(id), "tools/call", Some(&params)).unwrap();
        let came = Message::parse(&sent.to_line(), &Limits::default()).unwrap();
        prop_assert_eq!(came.id(), Some(&Id::Number(id)));
        let got = came.params().unwrap().get("arguments").unwrap();
        prop_assert_eq!(got.exact(), Some(arguments));
        prop_assert_eq!(got.compact(), got.raw());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Message::parse(&bytes, &Limits::default()) {
            prop_assert!(Message::refusing(&error).error().is_some());
        }
    }

    #[test]
    fn an_ids_text_arrives(id in ".{0,40}") {
        let id = Id::Text(id);
        let sent = Message::request(&id, "ping", None).unwrap();
        let came = Message::parse(&sent.to_line(), &Limits::default()).unwrap();
        prop_assert_eq!(came.id(), Some(&id));
    }
}
