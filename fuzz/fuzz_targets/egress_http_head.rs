//! Does any byte make the head parser panic, or change its mind as more bytes arrive?
#![no_main]

use bartizan_egress::head::{authority, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    let half = parse(&bytes[..bytes.len() / 2]);
    match half {
        Ok(None) => {}
        decided => assert_eq!(decided, whole, "further bytes changed the verdict"),
    }
    if let Ok(Some(head)) = whole {
        assert!(head.len() <= bytes.len());
        if let Ok(target) = authority(head.target(), 80) {
            assert_eq!(
                authority(&target.to_string(), 80).as_ref(),
                Ok(&target),
                "an authority is not canonical"
            );
        }
    }
});
