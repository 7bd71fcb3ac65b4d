//! Does any byte make the SOCKS5 parsers panic or read past the end?
#![no_main]

use bartizan_egress::socks::{greeting, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(length)) = greeting(bytes) {
        assert!(length <= bytes.len());
        assert_eq!(greeting(&bytes[..length]), Ok(Some(length)));
    }
    if let Ok(Some((target, length))) = request(bytes) {
        assert!(length <= bytes.len());
        assert_eq!(request(&bytes[..length]).unwrap(), Some((target, length)));
    }
});
