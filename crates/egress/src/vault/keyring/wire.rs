//! How does a message of D-Bus read? The few types that a keeper of secrets speaks, in wiped memory, each of bounded length.

use zeroize::Zeroizing;

/// A call of `member`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) to: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) args: &'a [Arg<'a>],
}

/// One argument.
#[derive(Clone, Copy)]
pub(super) enum Arg<'a> {
    /// A variant with an empty text.
    Empty,
    Flag(bool),
    /// The properties of a new item: its label and its attributes.
    Item {
        label: &'a str,
        attributes: &'a [(&'a str, &'a str)],
    },
    Pairs(&'a [(&'a str, &'a str)]),
    Path(&'a str),
    Paths(&'a [String]),
    /// A secret as it travels in this session.
    Secret {
        session: &'a str,
        value: &'a [u8],
    },
    Text(&'a str),
}

impl std::fmt::Debug for Arg<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.signature())
    }
}

impl Arg<'_> {
    fn signature(&self) -> &'static str {
        match self {
            Self::Empty => "v",
            Self::Flag(_) => "b",
            Self::Item { .. } => "a{sv}",
            Self::Pairs(_) => "a{ss}",
            Self::Path(_) => "o",
            Self::Paths(_) => "ao",
            Self::Secret { .. } => "(oayays)",
            Self::Text(_) => "s",
        }
    }

    fn write(&self, out: &mut Writer) -> Option<()> {
        match self {
            Self::Empty => {
                out.signature("s")?;
                out.text("")
            }
            Self::Flag(flag) => out.number(u32::from(*flag)),
            Self::Item { label, attributes } => out.array(8, |out| {
                out.align(8)?;
                out.text(LABEL)?;
                out.signature("s")?;
                out.text(label)?;
                out.align(8)?;
                out.text(ATTRIBUTES)?;
                out.signature("a{ss}")?;
                out.pairs(attributes)
            }),
            Self::Pairs(pairs) => out.pairs(pairs),
            Self::Path(text) | Self::Text(text) => out.text(text),
            Self::Paths(paths) => {
                out.array(4, |out| paths.iter().try_for_each(|path| out.text(path)))
            }
            Self::Secret { session, value } => {
                out.align(8)?;
                out.text(session)?;
                out.bytes(b"")?;
                out.bytes(value)?;
                out.text("text/plain; charset=utf8")
            }
        }
    }
}

impl Call<'_> {
    /// The whole message; `None` when it would be too long.
    pub(super) fn encode(&self, serial: u32) -> Option<Zeroizing<Vec<u8>>> {
        let mut body = Writer::new();
        self.args.iter().try_for_each(|arg| arg.write(&mut body))?;
        let signature: String = self.args.iter().map(Arg::signature).collect();
        let mut out = Writer::new();
        out.raw(&[LITTLE, METHOD_CALL, 0, VERSION])?;
        out.number(u32::try_from(body.0.len()).ok()?)?;
        out.number(serial)?;
        out.array(8, |out| {
            let texts = [
                (PATH, "o", self.path),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (DESTINATION, "s", self.to),
            ];
            for (code, kind, text) in texts {
                out.field(code, kind)?;
                out.text(text)?;
            }
            if signature.is_empty() {
                return Some(());
            }
            out.field(SIGNATURE, "g")?;
            out.signature(&signature)
        })?;
        out.align(8)?;
        out.raw(&body.0)?;
        Some(out.0)
    }
}

/// A message that came.
pub(super) struct Message {
    kind: u8,
    answers: Option<u32>,
    error: Option<String>,
    signature: String,
    body: Zeroizing<Vec<u8>>,
}

/// How much of a message follows its first 16 bytes; `None` when it is none, or too long.
pub(super) fn rest(fixed: &[u8; 16]) -> Option<Lengths> {
    let mut reader = Reader { bytes: fixed, at: 0 };
    let &[LITTLE, _, _, VERSION] = reader.take(4)? else { return None };
    let (body, _serial, fields) = (reader.number()?, reader.number()?, reader.number()?);
    let length = |number| usize::try_from(number).ok().filter(|&length| length <= LONGEST);
    Some(Lengths { fields: length(fields)?, body: length(body)? })
}

/// The lengths of the two parts of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    fields: usize,
    body: usize,
}

impl Lengths {
    pub(super) fn sum(self) -> usize {
        self.fields.next_multiple_of(8) + self.body
    }
}

impl Message {
    /// Takes what follows the first 16 bytes apart.
    pub(super) fn decode(fixed: &[u8; 16], rest: &[u8], lengths: Lengths) -> Option<Self> {
        let (fields, body) = rest.split_at_checked(lengths.fields.next_multiple_of(8))?;
        let body = Zeroizing::new(body.get(..lengths.body)?.to_vec());
        let [_, kind, ..] = *fixed;
        let mut found = Self { kind, answers: None, error: None, signature: String::new(), body };
        let mut reader = Reader { bytes: fields.get(..lengths.fields)?, at: 0 };
        while reader.at < lengths.fields {
            reader.align(8)?;
            let code = reader.byte()?;
            match (code, reader.signature()?) {
                (ANSWERS, "u") => found.answers = Some(reader.number()?),
                (ERROR, "s") => found.error = Some(reader.text()?.to_owned()),
                (SIGNATURE, "g") => reader.signature()?.clone_into(&mut found.signature),
                (_, "s" | "o") => _ = reader.text()?,
                (_, "u") => _ = reader.number()?,
                _ => return None,
            }
        }
        Some(found)
    }

    /// The name of the error, when this is one that answers `serial`; what was answered, when it is that.
    pub(super) fn answer_to(&self, serial: u32) -> Option<Result<Reader<'_>, &str>> {
        if self.answers != Some(serial) {
            return None;
        }
        match self.kind {
            METHOD_RETURN => Some(Ok(Reader { bytes: &self.body, at: 0 })),
            ERROR_RETURN => Some(Err(self.error.as_deref().unwrap_or_default())),
            _ => None,
        }
    }

    /// Which types the body has.
    pub(super) fn signature(&self) -> &str {
        &self.signature
    }
}

/// Reads a body, one value after the other; `None` for whatever is not there.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        let text = self.take(usize::try_from(length).ok()?)?;
        (self.byte()? == 0).then_some(())?;
        std::str::from_utf8(text).ok()
    }

    /// An array of paths.
    pub(super) fn paths(&mut self) -> Option<Vec<String>> {
        let end = self.number()?;
        let end = self.at.checked_add(usize::try_from(end).ok()?)?;
        let mut paths = Vec::new();
        while self.at < end {
            paths.push(self.text()?.to_owned());
        }
        (self.at == end).then_some(paths)
    }

    /// A variant with a text.
    pub(super) fn variant(&mut self) -> Option<&'a str> {
        if self.signature()? == "s" { self.text() } else { None }
    }

    /// The value of a secret that travels as it is.
    pub(super) fn secret(&mut self) -> Option<&'a [u8]> {
        self.align(8)?;
        self.text()?;
        let parameters = self.blob()?;
        let value = self.blob()?;
        parameters.is_empty().then_some(value)
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        let text = self.take(usize::from(length))?;
        (self.byte()? == 0).then_some(())?;
        std::str::from_utf8(text).ok()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let padding = self.take(self.at.next_multiple_of(to) - self.at)?;
        padding.iter().all(|&byte| byte == 0).then_some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
}

/// INVARIANT: the buffer never grows, since what it would grow out of would not be wiped.
struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(LONGEST)))
    }

    fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        let room = self.0.capacity() - self.0.len();
        (bytes.len() <= room).then(|| self.0.extend_from_slice(bytes))
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let length = self.0.len();
        (0..length.next_multiple_of(to) - length).try_for_each(|_| self.raw(&[0]))
    }

    fn number(&mut self, number: u32) -> Option<()> {
        self.align(4)?;
        self.raw(&number.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        self.bytes(text.as_bytes())?;
        self.raw(&[0])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.number(u32::try_from(bytes.len()).ok()?)?;
        self.raw(bytes)
    }

    fn signature(&mut self, text: &str) -> Option<()> {
        self.raw(&[u8::try_from(text.len()).ok()?])?;
        self.raw(text.as_bytes())?;
        self.raw(&[0])
    }

    fn field(&mut self, code: u8, kind: &str) -> Option<()> {
        self.align(8)?;
        self.raw(&[code])?;
        self.signature(kind)
    }

    fn pairs(&mut self, pairs: &[(&str, &str)]) -> Option<()> {
        self.array(8, |out| {
            pairs.iter().try_for_each(|(name, value)| {
                out.align(8)?;
                out.text(name)?;
                out.text(value)
            })
        })
    }

    /// An array of elements that are aligned to `to`; its length counts from its first element on.
    fn array(&mut self, to: usize, fill: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.number(0)?;
        let length_at = self.0.len() - 4;
        self.align(to)?;
        let begin = self.0.len();
        fill(self)?;
        let length = u32::try_from(self.0.len() - begin).ok()?;
        self.0.get_mut(length_at..length_at + 4)?.copy_from_slice(&length.to_le_bytes());
        Some(())
    }
}

const LITTLE: u8 = b'l';
const VERSION: u8 = 1;
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR_RETURN: u8 = 3;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR: u8 = 4;
const ANSWERS: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;
const LABEL: &str = "org.freedesktop.Secret.Item.Label";
const ATTRIBUTES: &str = "org.freedesktop.Secret.Item.Attributes";
/// A secret of 64 KiB with what stands around it.
const LONGEST: usize = 96 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(bytes: &[u8]) -> Option<Message> {
        let (fixed, rest) = bytes.split_first_chunk::<16>()?;
        let lengths = super::rest(fixed)?;
        Message::decode(fixed, rest, lengths)
    }

    #[test]
    fn a_call_is_written_as_the_specification_says() {
        let args = [Arg::Text("plain"), Arg::Empty];
        let call = Call { to: "a.b", path: "/p", interface: "c.d", member: "E", args: &args };
        let bytes = call.encode(7).unwrap();
        let expected = [
            b"l\x01\0\x01\x15\0\0\0\x07\0\0\0\x48\0\0\0".as_slice(),
            b"\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0",
            b"\x02\x01s\0\x03\0\0\0c.d\0\0\0\0\0",
            b"\x03\x01s\0\x01\0\0\0E\0\0\0\0\0\0\0",
            b"\x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0",
            b"\x08\x01g\0\x02sv\0",
            b"\x05\0\0\0plain\0\x01s\0\0\0\0\0\0\0\0\0",
        ]
        .concat();
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn a_secret_of_64_kib_fits_and_one_that_is_longer_is_not_cut() {
        let encode = |length: usize| {
            let value = vec![b'x'; length];
            let args = [Arg::Secret { session: "/s", value: &value }];
            Call { to: "a", path: "/", interface: "b", member: "c", args: &args }.encode(1)
        };
        let message = parts(&encode(64 << 10).unwrap()).unwrap();
        let mut reader = Reader { bytes: &message.body, at: 0 };
        assert_eq!(reader.secret().unwrap().len(), 64 << 10);
        assert!(encode(LONGEST).is_none());
    }

    #[test]
    fn what_announces_more_than_it_may_have_is_not_read() {
        for fixed in [
            b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
            b"l\x02\0\x01\0\0\0\0\x01\0\0\0\xff\xff\xff\x7f",
            b"B\x02\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0",
            b"l\x02\0\x02\0\0\0\0\x01\0\0\0\0\0\0\0",
        ] {
            assert!(rest(fixed).is_none(), "{}", fixed.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_message_makes_the_reader_fail_otherwise_than_by_saying_so(
            fields in prop::collection::vec(any::<u8>(), 0..64),
            body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = b"l\x02\0\x01".to_vec();
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend(u32::try_from(fields.len()).unwrap().to_le_bytes());
            bytes.extend(&fields);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes.extend(&body);
            drop(parts(&bytes));
            for read in [
                |reader: &mut Reader<'_>| reader.secret().is_some(),
                |reader: &mut Reader<'_>| reader.paths().is_some(),
                |reader: &mut Reader<'_>| reader.variant().is_some(),
            ] {
                let mut reader = Reader { bytes: &body, at: 0 };
                read(&mut reader);
                prop_assert!(reader.at <= body.len());
            }
        }
    }
}
