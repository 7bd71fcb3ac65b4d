//! Does any byte make the client hello parser panic, or change its mind as more bytes arrive?
#![no_main]

use bartizan_egress::hello::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    let half = parse(&bytes[..bytes.len() / 2]);
    match half {
        Ok(None) => {}
        decided => assert_eq!(decided, whole, "further bytes changed the verdict"),
    }
});
