//! What stands where a secret stood, and how do we know our own label again?

use crate::finding::Kind;
use crate::key::{ScanKey, hex};

/// The label that replaces `value`: its kind and a 16-bit keyed tag. Equal values get equal tags within a
/// session, so that a model can tell two secrets apart without knowing either.
pub(crate) fn label(key: &ScanKey, kind: &Kind, value: &[u8]) -> Vec<u8> {
    let mut label = Vec::new();
    write(key, kind, value, &mut label);
    label
}

/// Appends the label that replaces `value` to `out`.
pub(crate) fn write(key: &ScanKey, kind: &Kind, value: &[u8], out: &mut Vec<u8>) {
    let tag: [u8; 2] = key.mac("tag", &[value]);
    for part in [OPEN, kind.as_str(), ":", &hex(&tag), "]"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Whether `text` is one label and nothing else.
///
/// Only *shapes* (never known values) are spared for standing in a label, and only kinds in our alphabet with a
/// tag of four hex digits count, so a hostile text that imitates a label hides at most itself.
pub(crate) fn is_label(text: &[u8]) -> bool {
    let Some(body) = text.strip_prefix(OPEN.as_bytes()).and_then(|t| t.strip_suffix(b"]")) else {
        return false;
    };
    let Some(colon) = memchr::memrchr(b':', body) else { return false };
    let (kind, tag) = body.split_at(colon);
    let kind_ok = (1..=48).contains(&kind.len())
        && kind.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    kind_ok && tag.len() == 5 && tag.iter().skip(1).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What every label opens with.
pub(crate) const OPEN: &str = "[REDACTED:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_known_again_and_an_imitation_with_a_payload_is_not() {
        let key = ScanKey::new([7; 32]);
        let made = label(&key, &Kind::slug("Anthropic key"), b"value");
        assert!(is_label(&made));
        assert!(made.starts_with(b"[REDACTED:anthropic-key:"));
        assert!(!is_label(b"[REDACTED:PAYLOAD:0000]"));
        assert!(!is_label(b"[REDACTED:kind:0000]x"));
        assert!(!is_label(b"[REDACTED::0000]"));
    }

    #[test]
    fn equal_values_get_equal_tags_only_within_a_session() {
        let kind = Kind::slug("k");
        let (one, two) = (ScanKey::new([1; 32]), ScanKey::new([2; 32]));
        assert_eq!(label(&one, &kind, b"v"), label(&one, &kind, b"v"));
        assert_ne!(label(&one, &kind, b"v"), label(&one, &kind, b"w"));
        assert_ne!(label(&one, &kind, b"v"), label(&two, &kind, b"v"));
    }
}
