//! Does every message that is read say the same when it is written, under any id, and to serde?
#![no_main]

use bartizan_mcp::wire::{Id, Limits, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    match Message::parse(bytes, &limits) {
        Ok(message) => {
            let line = message.to_line();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let again = Message::parse(&line, &limits).expect("a line of ours is read");
            assert_eq!(again.kind(), message.kind());
            if message.id().is_some() {
                let id = Id::Text("x\"y".to_owned());
                let moved = message.with_id(&id).expect("another id fits");
                assert_eq!(moved.id(), Some(&id));
            }
            if let Some(value) = message.root().exact() {
                let anew: serde_json::Value =
                    serde_json::from_str(&message.root().compact()).expect("JSON");
                assert_eq!(anew, value);
            }
        }
        Err(error) => assert!(Message::refusing(&error).error().is_some()),
    }
});
