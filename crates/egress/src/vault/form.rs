//! How does text travel in a form? `application/x-www-form-urlencoded`, by bytes.

use zeroize::Zeroizing;

/// A form of these fields.
pub(super) fn encode<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::new());
    for (name, value) in fields {
        if !out.is_empty() {
            out.push(b'&');
        }
        out.extend_from_slice(&text(name.as_bytes()));
        out.push(b'=');
        out.extend_from_slice(&text(value.as_bytes()));
    }
    out
}

/// One name or value.
pub(super) fn text(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                let digit = |half: u8| b"0123456789ABCDEF".get(usize::from(half)).copied();
                out.extend([Some(b'%'), digit(byte >> 4), digit(byte & 15)].into_iter().flatten());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        let form = encode([("scope", "a b&c=d%"), ("x", "ä\0")]);
        assert_eq!(String::from_utf8_lossy(&form), "scope=a+b%26c%3Dd%25&x=%C3%A4%00");
    }
}
