//! Does what a request carries hold something that was planted in its box?
//!
//! Where anything was planted, a body is read before any of it leaves, and one that came packed is unpacked for the look;
//! what leaves are the bytes that came. Of a longer body the rest is looked at piece by piece as it passes. It is a
//! tripwire: whoever writes a value in a code of their own passes it.

use super::RequestJudge;
use super::body::{BodyFlaw, Payload};
use super::decode::{Decoder, Garbled};
use crate::name::{HostPort, SecretName};
use crate::refuse::{Refusal, Status};
use crate::vault::Placeholders;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use std::sync::Arc;

/// Who is told of what was seen.
pub(super) trait Witness: Send + Sync {
    /// A placeholder is on its way in a body.
    fn seen(&self, secret: &SecretName);
    /// A body cannot be read; whether it may leave all the same.
    fn unread(&self, why: &str) -> bool;
}

/// A judge, told of the requests to one host.
pub(super) struct Told<J> {
    judge: Arc<J>,
    target: HostPort,
}

impl<J: RequestJudge> Told<J> {
    pub(super) fn new(judge: &Arc<J>, target: &HostPort) -> Self {
        Self { judge: Arc::clone(judge), target: target.clone() }
    }
}

impl<J: RequestJudge> Witness for Told<J> {
    fn seen(&self, secret: &SecretName) {
        self.judge.alarm(secret, &self.target, "body");
    }

    fn unread(&self, why: &str) -> bool {
        self.judge.unread(&self.target, why)
    }
}

/// Looks for placeholders in a body as it passes, and tells of one once. What was planted does not pass.
pub(super) struct Watch {
    sought: Arc<Placeholders>,
    witness: Box<dyn Witness>,
    told: bool,
    packed: Packed,
    /// The last bytes as they came, and as they read unpacked.
    tails: [Vec<u8>; 2],
}

/// How the bytes came.
enum Packed {
    /// They do not say so yet: these are the first.
    Unclear(Vec<u8>),
    Plainly,
    /// In a coding that the head announces, or that they begin with the mark of.
    In {
        decoder: Box<Decoder>,
        announced: bool,
        said: usize,
    },
    /// In a coding that nobody here reads.
    Unknown,
}

impl Watch {
    pub(super) fn new(
        sought: Arc<Placeholders>,
        witness: impl Witness + 'static,
        headers: &HeaderMap,
    ) -> Self {
        let packed = match Decoder::of_request(headers) {
            _ if !sought.has_canaries() => Packed::Plainly,
            Ok(None) => Packed::Unclear(Vec::new()),
            Ok(Some(decoder)) => Packed::of(decoder, true),
            Err(Garbled) => Packed::Unknown,
        };
        let witness = Box::new(witness);
        Self { sought, witness, told: false, packed, tails: Default::default() }
    }

    /// Looks at what comes next; whether it may pass.
    pub(super) fn see(&mut self, chunk: &[u8]) -> Result<(), BodyFlaw> {
        if self.told && !self.sought.has_canaries() {
            return Ok(());
        }
        self.look(0, chunk)?;
        let decoded = match &mut self.packed {
            Packed::Plainly => return Ok(()),
            Packed::Unclear(first) => {
                first.extend_from_slice(chunk);
                if first.len() < MARK {
                    return Ok(());
                }
                let first = std::mem::take(first);
                self.packed = Decoder::by_mark(&first)
                    .map_or(Packed::Plainly, |decoder| Packed::of(decoder, false));
                self.unpack(&first)
            }
            Packed::In { .. } => self.unpack(chunk),
            Packed::Unknown => Err(Unpacking::Garbled(UNKNOWN)),
        };
        self.or_unread(decoded)
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) -> Result<(), BodyFlaw> {
        let whole = match &self.packed {
            Packed::In { decoder, announced: true, .. } if !decoder.is_whole() => {
                Err(Unpacking::Garbled(CUT))
            }
            _ => Ok(()),
        };
        self.or_unread(whole)
    }

    /// Looks into a stretch, with what came before it.
    fn look(&mut self, which: usize, stretch: &[u8]) -> Result<(), BodyFlaw> {
        let Some(tail) = self.tails.get_mut(which) else { return Ok(()) };
        tail.extend_from_slice(stretch);
        if let Some(secret) = self.sought.seen_in(tail) {
            let planted = self.sought.is_canary(secret);
            if planted || !self.told {
                self.witness.seen(secret);
                self.told = true;
            }
            if planted {
                return Err(BodyFlaw::Withheld);
            }
        }
        let from = tail.len().saturating_sub(self.sought.longest());
        tail.drain(..from);
        Ok(())
    }

    fn unpack(&mut self, chunk: &[u8]) -> Result<(), Unpacking> {
        if let Packed::In { decoder, .. } = &mut self.packed {
            decoder.take(chunk);
        }
        while let Some(stretch) = self.packed.next()? {
            self.look(1, &stretch).map_err(Unpacking::Flaw)?;
        }
        Ok(())
    }

    /// What cannot be read is told of, and passes if that is said; it is not tried any further.
    fn or_unread(&mut self, done: Result<(), Unpacking>) -> Result<(), BodyFlaw> {
        let why = match done {
            Ok(()) => return Ok(()),
            Err(Unpacking::Flaw(flaw)) => return Err(flaw),
            Err(Unpacking::Garbled(why)) => why,
        };
        let packed = std::mem::replace(&mut self.packed, Packed::Plainly);
        // Bytes that happen to begin like a packed file have promised nothing.
        let promised = !matches!(packed, Packed::In { announced: false, .. });
        if promised && !self.witness.unread(why) {
            self.packed = Packed::Unknown;
            return Err(BodyFlaw::Unread);
        }
        Ok(())
    }
}

/// Why unpacking went no further.
#[derive(Clone, Copy)]
enum Unpacking {
    Flaw(BodyFlaw),
    Garbled(&'static str),
}

impl Packed {
    fn of(decoder: Decoder, announced: bool) -> Self {
        Self::In { decoder: Box::new(decoder), announced, said: 0 }
    }

    /// The next piece of what is said.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Unpacking> {
        let Self::In { decoder, said, .. } = self else { return Ok(None) };
        let next = decoder.next().map_err(|Garbled| Unpacking::Garbled(GARBLED))?;
        *said += next.as_ref().map_or(0, Vec::len);
        if *said > UNPACKED { Err(Unpacking::Garbled(LONG)) } else { Ok(next) }
    }
}

/// A body as it leaves. Where anything was planted, its beginning has been read, and looked into, before any of it does.
pub(super) async fn looked_into(
    mut body: Incoming,
    watch: Option<Watch>,
    headers: &HeaderMap,
    limit: u64,
) -> Result<Payload, Refusal> {
    let Some(mut watch) = watch else { return Ok(Payload::streamed(body, None)) };
    if !watch.sought.has_canaries() || is_talk(headers) {
        return Ok(Payload::streamed(body, Some(watch)));
    }
    let mut front = BytesMut::new();
    while front.len() < HELD {
        let Some(frame) = body.frame().await else {
            watch.end().map_err(BodyFlaw::refusal)?;
            return Ok(Payload::Whole(Full::new(front.freeze())));
        };
        let frame = frame.map_err(|_| BodyFlaw::Cut.refusal())?;
        let Ok(data) = frame.into_data() else { continue };
        watch.see(&data).map_err(BodyFlaw::refusal)?;
        front.extend_from_slice(&data);
        if front.len() as u64 > limit {
            return Err(BodyFlaw::TooLarge.refusal());
        }
    }
    let front = Some(front.freeze()).filter(|front: &Bytes| !front.is_empty());
    Ok(Payload::Streamed { front, rest: body, watch: Some(watch) })
}

/// Whether a body goes on only when it is answered, so that it cannot be waited for.
fn is_talk(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// The answer to what holds a planted value; it does not say that there was one.
pub(super) fn withheld() -> Refusal {
    Refusal::new(Status::Forbidden, "request-withheld", "this request holds what must not leave")
}

/// The answer to what cannot be looked into.
pub(super) fn unread() -> Refusal {
    let text = "this request came packed in a way that cannot be looked into; send it as it is, or as gzip, deflate, br or zstd";
    Refusal::new(Status::Forbidden, "unscannable", text)
}

const UNKNOWN: &str = "its coding is not known, or there are several";
const GARBLED: &str = "it is not in the coding that it announces";
const CUT: &str = "it ends in the middle of its coding";
const LONG: &str = "it is too long unpacked";

/// How much of a body is waited for.
const HELD: usize = 1 << 20;
/// How much of what a body says unpacked is looked at; tests, which are slow, go to the end of less.
const UNPACKED: usize = if cfg!(test) { 64 << 10 } else { 16 << 20 };
/// So many bytes tell a packed file.
const MARK: usize = 4;

#[cfg(test)]
mod tests;
