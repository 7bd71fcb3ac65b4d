//! What must an argument look like where it stands, so that it can be nothing but itself there?

use std::fmt::Write as _;

/// Part of one segment of a URL's path. A slash is taken only where the input says that it may have one, because
/// many servers undo the escape before they look which resource is meant.
pub(super) fn segment(text: &str, slashes: bool) -> Result<String, &'static str> {
    if text.contains('\\') {
        return Err("has a backslash, which some servers take for a slash");
    }
    if text.contains('/') && !slashes {
        return Err("has a slash, which could name another resource");
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("is empty or a dot segment where it names a resource");
    }
    if text.contains('%') {
        return Err("has a percent sign, which would be escaped twice");
    }
    escaped(text)
}

/// A name or a value of a query, or of a form.
pub(super) fn pair(text: &str) -> Result<String, &'static str> {
    escaped(text)
}

/// A header's value.
pub(super) fn header(text: &str) -> Result<String, &'static str> {
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("has a character that no header carries");
    }
    if text.trim() != text || text.is_empty() {
        return Err("is empty, or begins or ends with a space, which a header loses");
    }
    Ok(text.to_owned())
}

/// One argument of a command.
pub(super) fn word(text: &str) -> Result<String, &'static str> {
    if text.contains('\0') {
        return Err("has a NUL, which ends an argument");
    }
    Ok(text.to_owned())
}

/// Everything but what no reader of a URL could take for structure (RFC 3986 section 2.3).
fn escaped(text: &str) -> Result<String, &'static str> {
    if text.contains('\0') {
        return Err("has a NUL");
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out)
}
