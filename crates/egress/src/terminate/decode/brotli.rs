//! What do bytes in the Brotli coding (RFC 7932) say?

use super::{Coded, Garbled, STEP};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) struct Brotli {
    /// The window is at most 16 MiB: larger ones are no part of the RFC.
    state: Box<State>,
    ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: Box::new(State::new_strict(alloc(), alloc(), alloc())), ended: false }
    }
}

impl Coded for Brotli {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Garbled> {
        if self.ended {
            return if input.is_empty() { Ok(0) } else { Err(Garbled) };
        }
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (STEP, 0, 0);
        out.resize(STEP, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            out,
            &mut total,
            &mut self.state,
        );
        out.truncate(written);
        match result {
            BrotliResult::ResultSuccess => self.ended = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(Garbled),
        }
        Ok(read)
    }

    fn is_whole(&self) -> bool {
        self.ended
    }
}
