use super::*;
use crate::wire::Limits;
use serde_json::{Value, json};

fn message(value: &Value) -> Message {
    Message::parse(value.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn listed(tools: &Value) -> Message {
    message(&json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools, "more": 1 } }))
}

fn call(name: &str, arguments: &Value) -> Message {
    let meta = json!({ era::VERSION: "2026-07-28" });
    let params = json!({ "name": name, "arguments": arguments, "_meta": meta });
    message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
}

fn tool(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "inputSchema": schema })
}

fn header(headers: &[(String, String)], name: &str) -> Option<String> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

#[test]
fn a_request_is_mirrored_and_one_of_a_session_is_not() {
    let headers = Headers::default();
    let of = headers.of(&call("t", &json!({})));
    assert_eq!(header(&of, VERSION).as_deref(), Some("2026-07-28"));
    assert_eq!(header(&of, METHOD).as_deref(), Some("tools/call"));
    assert_eq!(header(&of, NAME).as_deref(), Some("t"));
    let plain =
        message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }));
    assert!(headers.of(&plain).is_empty());
}

#[test]
fn marked_arguments_are_mirrored_wherever_they_lie_and_whatever_they_hold() {
    let headers = Headers::default();
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "n": { "type": "integer", "x-mcp-header": "N" },
        "in": { "type": "object", "properties": { "on": { "type": "boolean", "x-mcp-header": "On" } } },
        "x-mcp-header": { "type": "string" },
    } });
    let list = listed(&json!([tool("t", &schema)]));
    assert_eq!(headers.learn(&list).unwrap().as_str(), list.as_str());
    let arguments =
        json!({ "region": "us-west1", "n": -7, "in": { "on": true }, "x-mcp-header": "no" });
    let of = headers.of(&call("t", &arguments));
    assert_eq!(header(&of, "mcp-param-Region").as_deref(), Some("us-west1"));
    assert_eq!(header(&of, "mcp-param-N").as_deref(), Some("-7"));
    assert_eq!(header(&of, "mcp-param-On").as_deref(), Some("true"));
    assert_eq!(of.len(), 6);
    // What is not there, or says nothing, has no header.
    let of = headers.of(&call("t", &json!({ "region": null })));
    assert_eq!(of.len(), 3);
}

#[test]
fn a_value_can_forge_no_header() {
    for (text, fit) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", "=?base64??="),
    ] {
        assert_eq!(encoded(text), fit);
        assert_eq!(decoded(fit).as_deref(), Some(text));
    }
}

#[test]
fn a_tool_that_wants_what_no_header_can_say_is_left_out_alone() {
    let property = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
    let mark = |name: Value| property(json!({ "type": "string", "x-mcp-header": name }));
    let twice = json!({ "type": "object", "properties": {
        "a": { "type": "string", "x-mcp-header": "A" }, "b": { "type": "string", "x-mcp-header": "a" } } });
    for bad in [
        mark(json!("")),
        mark(json!("a b")),
        mark(json!("a\r\nb: c")),
        mark(json!(7)),
        property(json!({ "type": "number", "x-mcp-header": "A" })),
        property(json!({ "type": "array", "x-mcp-header": "A" })),
        property(json!({ "type": "array", "items": { "type": "string", "x-mcp-header": "A" } })),
        property(json!({ "oneOf": [{ "type": "string", "x-mcp-header": "A" }] })),
        json!({ "type": "object", "x-mcp-header": "A" }),
        twice,
    ] {
        let good = tool("good", &mark(json!("A")));
        let left = Headers::default().learn(&listed(&json!([tool("bad", &bad), good]))).unwrap();
        let left: Value = serde_json::from_str(left.as_str()).unwrap();
        assert_eq!(left["result"]["tools"].as_array().unwrap().len(), 1, "{bad}");
        assert_eq!(
            (&left["result"]["tools"][0]["name"], &left["result"]["more"]),
            (&json!("good"), &json!(1))
        );
    }
}

#[test]
fn a_call_whose_headers_say_another_thing_than_its_arguments_is_found() {
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "n": { "type": "integer", "x-mcp-header": "N" },
        "in": { "type": "object", "properties": { "on": { "type": "boolean", "x-mcp-header": "On" } } },
        "free": { "type": "string" },
    } });
    let tool = message(&json!({ "jsonrpc": "2.0", "id": 1, "result": tool("t", &schema) }));
    let marks = Marks::of(tool.result().unwrap().get("inputSchema").unwrap()).unwrap();
    let against = |arguments: &Value, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let call = call("t", arguments).with_beside(headers.collect());
        marks.contradicted(&call).map(str::to_owned)
    };
    let region = |value: &str| against(&json!({ "region": "eu" }), &[("mcp-param-region", value)]);
    assert_eq!(region("eu"), None);
    assert_eq!(region("=?base64?ZXU=?="), None);
    for value in ["us", "EU", "", "eu ", "=?base64?ZXU?=", "=?base64?Z!!U=?=", "=?base64?dXM=?="] {
        assert_eq!(region(value).as_deref(), Some("mcp-param-Region"), "{value}");
    }
    let twice = [("mcp-param-region", "eu"), ("mcp-param-region", "eu")];
    assert!(against(&json!({ "region": "eu" }), &twice).is_some());
    assert!(against(&json!({ "region": "eu" }), &[]).is_some(), "left out");
    for empty in [json!({}), json!({ "region": null })] {
        assert!(against(&empty, &[]).is_none());
        assert!(against(&empty, &[("mcp-param-region", "eu")]).is_some(), "{empty}");
    }
    let number = |value: &Value, header: &str| {
        against(&json!({ "n": value }), &[("mcp-param-n", header)]).is_none()
    };
    assert!(number(&json!(42), "42") && number(&json!(42.0), "42"));
    assert!(!number(&json!(42), "43") && !number(&json!(42), "NaN") && !number(&json!(42), "true"));
    assert!(!number(&json!(9_007_199_254_740_993_i64), "9007199254740992"));
    let within = json!({ "in": { "on": true } });
    assert!(against(&within, &[("mcp-param-on", "true")]).is_none());
    assert!(against(&within, &[("mcp-param-on", "false")]).is_some());
    // A header that nothing marks says nothing, and what came over no HTTP has none.
    assert!(against(&json!({ "free": "a" }), &[("mcp-param-free", "b")]).is_none());
    assert!(marks.contradicted(&call("t", &json!({ "region": "eu" }))).is_none());
    // However it is edited, what came with it stays.
    let beside = call("t", &json!({})).with_beside(vec![("mcp-param-region".into(), "eu".into())]);
    let edited = beside.with_id(&crate::wire::Id::Number(9)).unwrap();
    assert!(marks.contradicted(&edited).is_some());
}

#[test]
fn what_no_header_can_carry_keeps_no_other_of_the_tool_from_being_held() {
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "odd": { "type": "string", "x-mcp-header": "a b" },
        "list": { "type": "array", "items": { "type": "string", "x-mcp-header": "List" } },
        "part": { "type": "number", "x-mcp-header": "Part" },
        "one": { "type": "string", "x-mcp-header": "Twice" },
        "two": { "type": "string", "x-mcp-header": "twice" },
    } });
    let tool = message(&json!({ "jsonrpc": "2.0", "id": 1, "result": tool("t", &schema) }));
    let schema = tool.result().unwrap().get("inputSchema").unwrap();
    assert!(Marks::of(schema).is_none(), "we call no such tool");
    let marks = Marks::held(schema);
    let against = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let arguments =
            json!({ "region": "eu", "part": 1.5, "list": ["a"], "one": "a", "two": "a" });
        let call = call("t", &arguments).with_beside(headers.collect());
        marks.contradicted(&call).map(str::to_owned)
    };
    let good = ("mcp-param-region", "eu");
    assert_eq!(against(&[good]), None);
    assert_eq!(against(&[]).as_deref(), Some("mcp-param-Region"), "left out");
    assert_eq!(against(&[("mcp-param-region", "us")]).as_deref(), Some("mcp-param-Region"));
    // What they say cannot be held against one argument, whatever they say.
    for odd in ["mcp-param-list", "mcp-param-part", "mcp-param-twice"] {
        for value in ["a", "1.5", "[\"a\"]", ""] {
            assert_eq!(against(&[good, (odd, value)]).as_deref(), Some(odd), "{value}");
        }
    }
    assert_eq!(against(&[good, ("mcp-param-other", "a")]), None, "nothing marks it");
}
