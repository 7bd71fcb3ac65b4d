//! What do bytes in the Zstandard coding (RFC 8878, with the window of RFC 9659) say?
//!
//! The decoder takes block after block, and would take all that it is shown; a block of four bytes can say 128 KiB. So
//! it is shown one block at a time, and what that says is taken away before the next.

use super::{Coded, Garbled, STEP};
use ruzstd::decoding::FrameDecoder;

/// One or more frames, one after the other.
pub(super) struct Zstd {
    frame: Option<Frame>,
    frames: usize,
}

struct Frame {
    decoder: Box<FrameDecoder>,
    summed: bool,
    ended: bool,
}

impl Zstd {
    pub(super) fn new() -> Self {
        Self { frame: None, frames: 0 }
    }
}

impl Coded for Zstd {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Garbled> {
        let Some(frame) = &mut self.frame else {
            let Some((length, summed)) = head(input)? else { return Ok(0) };
            let mut decoder = Box::new(FrameDecoder::new());
            decoder.set_max_window_size(WINDOW);
            let head = input.get(..length).ok_or(Garbled)?;
            decoder.init(head).map_err(|_| Garbled)?;
            self.frame = Some(Frame { decoder, summed, ended: false });
            return Ok(length);
        };
        if frame.drain(&[], out)? {
            return Ok(0);
        }
        if frame.ended {
            self.frames += 1;
            self.frame = None;
            return if input.is_empty() { Ok(0) } else { self.step(input, out) };
        }
        let Some((length, last)) = block(input, frame.summed)? else { return Ok(0) };
        frame.ended = last;
        frame.drain(input.get(..length).ok_or(Garbled)?, out)?;
        Ok(length)
    }

    fn is_whole(&self) -> bool {
        match &self.frame {
            None => self.frames > 0,
            Some(frame) => frame.ended && frame.decoder.can_collect() == 0,
        }
    }
}

impl Frame {
    /// Decodes one block, or none, and takes away what can be; whether there was anything.
    fn drain(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<bool, Garbled> {
        out.resize(STEP, 0);
        let (_, written) = self.decoder.decode_from_to(block, out).map_err(|_| Garbled)?;
        out.truncate(written);
        Ok(written > 0)
    }
}

/// The length of a frame's head, and whether a checksum stands at its end; `None` when it is not all there.
fn head(input: &[u8]) -> Result<Option<(usize, bool)>, Garbled> {
    let Some(&[magic @ .., says]) = input.first_chunk::<5>() else { return Ok(None) };
    if u32::from_le_bytes(magic) != MAGIC {
        return Err(Garbled);
    }
    let single = says & 0x20 != 0;
    let dictionary = says & 3;
    // What we do not have is not used.
    if dictionary != 0 {
        return Err(Garbled);
    }
    let size = match says >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let length = 5 + usize::from(!single) + size;
    Ok((input.len() >= length).then_some((length, says & 4 != 0)))
}

/// The length of the next block with its head, and whether it is the last, then with the frame's checksum.
fn block(input: &[u8], summed: bool) -> Result<Option<(usize, bool)>, Garbled> {
    let Some(&[a, b, c]) = input.first_chunk::<3>() else { return Ok(None) };
    let head = u32::from_le_bytes([a, b, c, 0]);
    let (last, kind) = (head & 1 == 1, head >> 1 & 3);
    let size = usize::try_from(head >> 3).map_err(|_| Garbled)?;
    if size > BLOCK || kind == 3 {
        return Err(Garbled);
    }
    let content = if kind == REPEATED { 1 } else { size };
    let length = 3 + content + if last && summed { 4 } else { 0 };
    Ok((input.len() >= length).then_some((length, last)))
}

const MAGIC: u32 = 0xFD2F_B528;
const REPEATED: u32 = 1;
const BLOCK: usize = 128 * 1024;
/// No larger window may be asked of who reads from the web.
const WINDOW: u64 = 8 * 1024 * 1024;
