//! Where in a text do words stand, and what stands between its spaces?

use super::bits::Bits;
use super::features;

/// A bit for each byte of a text, for what its words are told by.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Letters and digits.
    pub(super) words: Bits,
    /// All that is no space.
    pub(super) chunks: Bits,
    /// What may make more than words and signs of what stands between two spaces.
    pub(super) special: Bits,
    colons: Bits,
    slashes: Bits,
}

impl Shape {
    /// That of a text; what was known before is forgotten.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.words.read(bytes, |byte| byte.is_ascii_alphanumeric());
        self.chunks.read(bytes, |byte| !features::space(byte));
        self.special.read(bytes, features::special);
        self.colons.read(bytes, |byte| byte == b':');
        self.slashes.read(bytes, |byte| byte == b'/');
        self.special.add_followed(&self.colons, &self.slashes);
    }
}
