//! What do bytes in the gzip (RFC 1952) and deflate (RFC 1950) codings say?

use super::{Coded, Garbled, STEP};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// One or more members, one after the other. Their checksums are not looked at: whoever could change the bytes could
/// change the sums.
pub(super) struct Gzip {
    at: At,
    members: usize,
}

enum At {
    Head,
    Body(Box<InflateState>),
    Tail,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { at: At::Head, members: 0 }
    }
}

impl Coded for Gzip {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Garbled> {
        match &mut self.at {
            At::Head => {
                let Some(length) = head(input)? else { return Ok(0) };
                self.at = At::Body(InflateState::new_boxed(DataFormat::Raw));
                Ok(length)
            }
            At::Body(state) => {
                let (read, ended) = deflated(state, input, out)?;
                if ended {
                    self.at = At::Tail;
                }
                Ok(read)
            }
            At::Tail if input.len() < TAIL => Ok(0),
            At::Tail => {
                self.members += 1;
                self.at = At::Head;
                Ok(TAIL)
            }
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self.at, At::Head) && self.members > 0
    }
}

/// The length of a member's head; `None` when it is not all there.
fn head(input: &[u8]) -> Result<Option<usize>, Garbled> {
    let Some(fixed) = input.get(..10) else { return Ok(None) };
    let [0x1F, 0x8B, 8, flags, ..] = fixed else { return Err(Garbled) };
    if flags & 0xE0 != 0 {
        return Err(Garbled);
    }
    let mut at = fixed.len();
    if flags & 4 != 0 {
        let Some(&[low, high]) = input.get(at..at + 2) else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    // A name, then a comment, each ended by a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let rest = input.get(at..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { return Ok(None) };
            at += end + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    Ok((at <= input.len()).then_some(at))
}

/// What servers call `deflate`: zlib's form, or without its head, as some send it.
pub(super) struct Deflate {
    state: Option<Box<InflateState>>,
    ended: bool,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self { state: None, ended: false }
    }
}

impl Coded for Deflate {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Garbled> {
        if self.ended {
            return if input.is_empty() { Ok(0) } else { Err(Garbled) };
        }
        let state = if let Some(state) = &mut self.state {
            state
        } else {
            let [method, check, ..] = *input else { return Ok(0) };
            let zlib = method & 15 == 8 && u16::from_be_bytes([method, check]).is_multiple_of(31);
            let format = if zlib { DataFormat::Zlib } else { DataFormat::Raw };
            self.state.insert(InflateState::new_boxed(format))
        };
        let (read, ended) = deflated(state, input, out)?;
        self.ended = ended;
        Ok(read)
    }

    fn is_whole(&self) -> bool {
        self.ended
    }
}

/// How much was read, and whether that was the end.
fn deflated(
    state: &mut InflateState,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(usize, bool), Garbled> {
    out.resize(STEP, 0);
    let result = inflate(state, input, out, MZFlush::None);
    out.truncate(result.bytes_written);
    match result.status {
        Ok(MZStatus::StreamEnd) => Ok((result.bytes_consumed, true)),
        Ok(MZStatus::Ok) | Err(MZError::Buf) => Ok((result.bytes_consumed, false)),
        Ok(MZStatus::NeedDict) | Err(_) => Err(Garbled),
    }
}

/// A checksum and a length.
const TAIL: usize = 8;
