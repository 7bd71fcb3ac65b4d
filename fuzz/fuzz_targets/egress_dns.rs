//! Does any DNS message make the answerer panic, or give an answer out of shape?
#![no_main]

use bartizan_egress::SyntheticNames;
use bartizan_egress::dns::answer;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static NAMES: LazyLock<SyntheticNames> =
    LazyLock::new(|| SyntheticNames::with_capacity(64, |_| {}));

fuzz_target!(|bytes: &[u8]| {
    if let Some(reply) = answer(bytes, &NAMES) {
        assert!(reply.len() >= 12 && reply.len() <= bytes.len() + 16);
        assert_eq!(reply[..2], bytes[..2], "the answer has another id");
        assert_eq!(reply[2] & 0x80, 0x80, "the answer is no answer");
        assert_eq!(answer(&reply, &NAMES), None, "an answer was answered");
    }
});
