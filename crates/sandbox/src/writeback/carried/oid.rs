//! What is the name of a git object, and do these bytes bear it?

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// The digest that a repository names its objects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algo {
    Sha1,
    Sha256,
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Oid(Box<[u8]>);

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Algo {
    /// Bytes of a name.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The name that an object with these contents bears.
    pub(super) fn name(self, kind: Kind, data: &[u8]) -> Oid {
        let head = format!("{} {}\0", kind.word(), data.len());
        Oid(match self {
            Self::Sha1 => Sha1::new().chain_update(head).chain_update(data).finalize()[..].into(),
            Self::Sha256 => {
                Sha256::new().chain_update(head).chain_update(data).finalize()[..].into()
            }
        })
    }
}

impl Oid {
    pub(super) fn new(algo: Algo, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algo.len()).then(|| Self(bytes.into()))
    }

    /// From hexadecimal digits, in either case, and nothing else.
    pub(super) fn from_hex(algo: Algo, hex: &[u8]) -> Option<Self> {
        if hex.len() != algo.len() * 2 {
            return None;
        }
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let bytes: Option<Vec<u8>> = hex
            .chunks_exact(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect();
        Some(Self(bytes?.into()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn hex(&self) -> String {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digit = |d: u8| DIGITS.get(usize::from(d)).copied().unwrap_or_default();
        self.0.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
    }

    /// The name that stands for none.
    pub(super) fn is_null(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    pub(super) fn from_word(word: &[u8]) -> Option<Self> {
        [Self::Commit, Self::Tree, Self::Blob, Self::Tag]
            .into_iter()
            .find(|kind| kind.word().as_bytes() == word)
    }
}
