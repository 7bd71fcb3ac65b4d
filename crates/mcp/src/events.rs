//! Where does an event end? What a server streams over HTTP, one event after the other, each bounded.

use std::time::Duration;

/// Reads a stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    most: usize,
    line: Vec<u8>,
    kind: Option<String>,
    data: Vec<u8>,
    returned: bool,
    id: Option<String>,
    last: Option<String>,
    pause: Option<Duration>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an event has a type and data")]
pub struct Event {
    /// What it is called; `None` is a message.
    pub kind: Option<String>,
    /// What it says.
    pub data: Vec<u8>,
}

/// An event is longer than one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent an event that is larger than one may be")]
pub struct TooLong(());

impl Events {
    /// Events of at most so many bytes.
    pub fn new(most: usize) -> Self {
        let (line, data, (kind, id, last, pause)) = Default::default();
        Self { most, line, kind, data, returned: false, id, last, pause }
    }

    /// The id of the last event that had one, which a stream can be taken up after.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// How long a server wants to be left alone before its stream is taken up, at most a minute.
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// Each event that ends in `bytes`, in order.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut whole = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                // It belongs to the line end before.
                b'\n' if after_return => {}
                b'\n' | b'\r' => whole.extend(self.line_ends()),
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.data.len() > self.most {
                return Err(TooLong(()));
            }
        }
        Ok(whole)
    }

    fn line_ends(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            self.last.clone_from(&self.id);
            let (kind, mut data) = (self.kind.take(), std::mem::take(&mut self.data));
            data.pop()?;
            return Some(Event { kind, data });
        }
        // Other fields say nothing about a message.
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            self.data.push(b'\n');
        } else if line == b"data" {
            self.data.push(b'\n');
        } else if let Some(kind) = line.strip_prefix(b"event:") {
            let kind = String::from_utf8_lossy(kind.strip_prefix(b" ").unwrap_or(kind));
            // A name that is longer than any of ours is cut, and is still none of ours.
            let kind: String = kind.chars().take(KIND_MAX).collect();
            self.kind = Some(kind).filter(|kind| !matches!(kind.as_str(), "" | "message"));
        } else if let Some(id) = line.strip_prefix(b"id:") {
            let id = std::str::from_utf8(id.strip_prefix(b" ").unwrap_or(id)).ok();
            // What is sent back in a header is printable, and not long.
            let tame = |id: &&str| id.len() <= ID_MAX && id.bytes().all(|b| b.is_ascii_graphic());
            self.id = id.filter(tame).map(str::to_owned);
        } else if let Some(pause) = line.strip_prefix(b"retry:") {
            let ms = std::str::from_utf8(pause.trim_ascii()).ok().and_then(|ms| ms.parse().ok());
            let told = ms.map(|ms| Duration::from_millis(ms).min(PAUSE_MAX));
            self.pause = told.or(self.pause);
        }
        None
    }
}

/// So many characters of what an event is called are kept.
const KIND_MAX: usize = 32;
/// The longest id of an event that is sent back.
const ID_MAX: usize = 256;
/// The longest pause that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, step: usize) -> Vec<String> {
        let mut events = Events::new(64);
        let pieces = text.as_bytes().chunks(step).flat_map(|piece| events.feed(piece).unwrap());
        pieces.map(|event| String::from_utf8(event.data).unwrap()).collect()
    }

    #[test]
    fn an_event_is_called_what_it_says_until_the_next() {
        let text = "event: endpoint\ndata: /x\n\ndata: {}\n\nevent:message\ndata: {}\n\nevent: \ndata: {}\n\n\
                    event: a\nevent: endpoint\r\ndata: y\r\n\r\nevent: gone\n\ndata: z\n\n";
        for step in 1..=text.len() {
            let mut events = Events::new(64);
            let pieces = text.as_bytes().chunks(step);
            let kinds: Vec<_> = pieces.flat_map(|piece| events.feed(piece).unwrap()).collect();
            let kinds: Vec<_> = kinds.iter().map(|event| event.kind.as_deref()).collect();
            assert_eq!(
                kinds,
                [Some("endpoint"), None, None, None, Some("endpoint"), None],
                "{step}"
            );
        }
        let mut events = Events::new(1024);
        let named = format!("event: endpoint{}\ndata: x\n\n", " ".repeat(500));
        let kind = events.feed(named.as_bytes()).unwrap().pop().unwrap().kind.unwrap();
        assert!(kind.len() == KIND_MAX && kind != "endpoint");
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text = ": hello\n\nevent: message\nid: 1\ndata: {\"a\":1}\n\ndata:x\r\ndata: y\r\n\r\ndata\r\rdata:last";
        for step in 1..=text.len() {
            assert_eq!(read(text, step), ["{\"a\":1}", "x\ny", ""], "{step}");
        }
    }

    #[test]
    fn the_last_id_is_one_that_a_header_can_hold() {
        let mut events = Events::new(1024);
        for (text, last) in [
            ("data: x\n\n", None),
            ("id: one\ndata: x\n\n", Some("one")),
            ("data: y\n\nid:two\n\n", Some("two")),
            ("id: a\tb\n\n", None),
        ] {
            events.feed(text.as_bytes()).unwrap();
            assert_eq!(events.last(), last, "{text}");
        }
        events.feed(format!("id: {}\n\n", "x".repeat(257)).as_bytes()).unwrap();
        assert_eq!(events.last(), None);
        // What broke off before its end was not heard.
        events.feed(b"id: three\ndata: x\n\nid: four\ndata: y\n").unwrap();
        assert_eq!(events.last(), Some("three"));
    }

    #[test]
    fn a_pause_is_one_that_can_be_waited_for() {
        let mut events = Events::new(1024);
        for (text, ms) in [
            ("data: x\n\n", None),
            ("retry: 500\n", Some(500)),
            ("retry: soon\nretry: -1\nretry:\n", Some(500)),
            ("retry:99999999999999\n", Some(60_000)),
            ("retry: 99999999999999999999999\n", Some(60_000)),
            ("id: a\nretry: 0\ndata: \n\n", Some(0)),
        ] {
            events.feed(text.as_bytes()).unwrap();
            assert_eq!(events.pause(), ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn an_event_that_does_not_end_is_given_up() {
        let mut events = Events::new(64);
        assert!(events.feed(&[b'x'; 64]).is_ok());
        assert_eq!(events.feed(b"x"), Err(TooLong(())));
        let mut events = Events::new(64);
        let fed = (0..20).try_for_each(|_| events.feed(b"data: 1234\n").map(drop));
        assert_eq!(fed, Err(TooLong(())));
    }
}
