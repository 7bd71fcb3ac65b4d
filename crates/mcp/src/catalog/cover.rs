//! Could this template have made this address? RFC 6570 read backwards, as far as that can be told.

/// How a hole of a template is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "made here, chosen everywhere")]
pub enum Reading {
    /// A plain `{name}` stands for one segment, and what is too much to read covers nothing: for what was accepted.
    Narrow,
    /// Every hole stands for anything, and what is too much to read covers everything: for what is held back.
    Wide,
}

/// Whether the address is one of the template's.
pub fn covers(template: &str, address: &str, reading: Reading) -> bool {
    let Some(pieces) = pieces(template, reading) else { return reading == Reading::Wide };
    if address.len() > ADDRESS_MAX {
        return reading == Reading::Wide;
    }
    let text = address.as_bytes();
    // Up to where what was read so far of the template could reach.
    let mut reached = vec![false; text.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for piece in pieces {
        reached = match piece {
            Piece::Plain(plain) => after(&reached, text, plain.as_bytes()),
            Piece::Hole { anything } => through(&reached, text, anything),
        };
    }
    reached.last() == Some(&true)
}

enum Piece<'t> {
    Plain(&'t str),
    Hole { anything: bool },
}

/// The template in pieces. `None` when it cannot be read.
fn pieces(template: &str, reading: Reading) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    if template.len() > TEMPLATE_MAX {
        return None;
    }
    while let Some((plain, more)) = rest.split_once('{') {
        let (inner, more) = more.split_once('}')?;
        if inner.contains('{') || plain.contains('}') || pieces.len() >= PIECES_MAX {
            return None;
        }
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '%');
        let anything = reading == Reading::Wide || !inner.chars().all(named);
        pieces.extend([Piece::Plain(plain), Piece::Hole { anything }]);
        rest = more;
    }
    if rest.contains('}') {
        return None;
    }
    pieces.push(Piece::Plain(rest));
    Some(pieces)
}

fn after(reached: &[bool], text: &[u8], plain: &[u8]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
        let follows = text.get(at..).is_some_and(|rest| rest.starts_with(plain));
        if let Some(end) = next.get_mut(at + plain.len()).filter(|_| follows) {
            *end = true;
        }
    }
    next
}

fn through(reached: &[bool], text: &[u8], anything: bool) -> Vec<bool> {
    let mut inside = false;
    let open = reached.iter().enumerate().map(|(at, starts)| {
        // What a plain hole stands for ends with its segment: these are encoded in it.
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let ends = !anything && before.is_some_and(|byte| b"/?#".contains(byte));
        inside = *starts || (inside && !ends);
        inside
    });
    open.collect()
}

const TEMPLATE_MAX: usize = 1024;
const ADDRESS_MAX: usize = 8192;
const PIECES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_the_template_that_made_it_and_of_no_other() {
        for (template, address) in [
            ("demo://{id}", "demo://7"),
            ("demo://{id}", "demo://"),
            ("demo://page/{a}/of/{b}", "demo://page/1/of/2%2F3"),
            ("file:///{+path}", "file:///a/b/c"),
            ("demo://x{?q,r}", "demo://x?q=1&r=2"),
            ("demo://plain", "demo://plain"),
            ("demo://{id}/end", "demo://end/end"),
        ] {
            assert!(covers(template, address, Reading::Narrow), "{template} {address}");
            assert!(covers(template, address, Reading::Wide), "{template} {address}");
        }
        for (template, address) in [
            ("demo://{id}", "demo:/7"),
            ("demo://page/{id}", "demo://pages/1"),
            ("demo://{id}/end", "demo://1/end/more"),
            ("demo://plain", "demo://plain/more"),
            ("", "x"),
        ] {
            assert!(!covers(template, address, Reading::Narrow), "{template} {address}");
            assert!(!covers(template, address, Reading::Wide), "{template} {address}");
        }
    }

    #[test]
    fn what_was_accepted_is_read_narrowly_and_what_is_held_widely() {
        let (long, holes) = ("x".repeat(TEMPLATE_MAX + 1), "{a}".repeat(PIECES_MAX));
        for (template, address) in [
            ("demo://{id}", "demo://a/b"),
            ("demo://{id}", "demo://a?b"),
            ("demo://{id", "demo://a"),
            ("demo://{i{d}", "demo://a"),
            ("demo://id}", "demo://a"),
            (long.as_str(), "x"),
            (holes.as_str(), "x"),
        ] {
            assert!(!covers(template, address, Reading::Narrow), "{template} {address}");
            assert!(covers(template, address, Reading::Wide), "{template} {address}");
        }
        let address = format!("demo://{}", "a".repeat(ADDRESS_MAX));
        assert!(!covers("demo://{id}", &address, Reading::Narrow));
        assert!(covers("demo://{id}", &address, Reading::Wide));
    }
}
