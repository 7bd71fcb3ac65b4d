//! Who can predict a tag or a marker? Only the holder of the session's key.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// A session's key for tags and frame markers. It decides nothing and opens nothing; whoever knows it can
/// predict markers and test guesses of a redacted value against its tag, so it is kept like a secret.
#[derive(Clone)]
pub struct ScanKey(Zeroizing<[u8; 32]>);

impl ScanKey {
    /// Takes 32 bytes from the caller, who draws them from the system's random source once per session (this
    /// crate does no I/O). Equal keys give equal tags and markers.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The first `N` bytes of HMAC-SHA-256 over the parts. `purpose` keeps the uses of one key apart, and each
    /// part is preceded by its length so that no two lists of parts are the same bytes.
    pub(crate) fn mac<const N: usize>(&self, purpose: &str, parts: &[&[u8]]) -> [u8; N] {
        let mut out = [0; N];
        // `new_from_slice` takes keys of every length for HMAC, so the error arm cannot be reached.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else { return out };
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        for (to, from) in out.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        out
    }
}

impl fmt::Debug for ScanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScanKey(..)")
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .filter_map(|nibble| DIGITS.get(usize::from(nibble)))
        .map(|&digit| char::from(digit))
        .collect()
}
