//! What does a text say whose letters are turned by half the alphabet (rot13)?

use crate::views::View;

/// Turns every letter back. What was turned stands where it stood.
pub(crate) fn back(text: &[u8]) -> View {
    let mut view = View::default();
    for (at, &byte) in text.iter().enumerate() {
        let turned = match byte {
            b'a'..=b'm' | b'A'..=b'M' => byte + 13,
            b'n'..=b'z' | b'N'..=b'Z' => byte - 13,
            _ => byte,
        };
        view.changed += usize::from(turned != byte);
        view.push(turned, at..at + 1);
    }
    view
}
