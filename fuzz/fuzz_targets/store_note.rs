//! Does any text make the reader of keys or of signed notes panic, or pass for signed?
#![no_main]

use bartizan_store::PublicKey;
use libfuzzer_sys::fuzz_target;

const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fuzz_target!(|input: &str| {
    if let Ok(key) = input.parse::<PublicKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    let key: PublicKey = KEY.parse().expect("it is the example of Go's note package");
    assert!(key.open(input).is_err());
});
