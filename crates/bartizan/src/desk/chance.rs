//! What could nobody have guessed? Letters for a person to type, and a mark for a person to know again.

use rustix::rand::{GetRandomFlags, getrandom};

/// A few letters that are typed to say yes; nothing when the kernel has no randomness to give.
pub(crate) fn code() -> Option<String> {
    letters(&[PLAIN; 4])
}

/// A word that can be spoken, for one run.
pub(crate) fn mark() -> Option<String> {
    letters(&[PLAIN, VOWELS, PLAIN, VOWELS, PLAIN, VOWELS, PLAIN, VOWELS])
}

/// A name that nothing else has, of some hundred bits.
pub(crate) fn name() -> Option<String> {
    letters(&[PLAIN; 24])
}

/// One letter out of each set.
fn letters(sets: &[&[u8]]) -> Option<String> {
    let mut bytes = vec![0u8; sets.len()];
    let given = getrandom(&mut bytes[..], GetRandomFlags::empty()).ok()?;
    let pick = |(set, byte): (&&[u8], &u8)| {
        set.get(usize::from(*byte) % set.len().max(1)).map(|letter| char::from(*letter))
    };
    (given == sets.len()).then(|| sets.iter().zip(&bytes).filter_map(pick).collect())
}

/// Letters that look like no other.
const PLAIN: &[u8] = b"bcdfghjkmnprstvwxz";
const VOWELS: &[u8] = b"aeiou";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (one, other) = (mark().unwrap(), mark().unwrap());
        assert_eq!((one.len(), code().unwrap().len()), (8, 4));
        assert_ne!(one, other, "one in ten million");
        assert!(code().unwrap().bytes().all(|letter| PLAIN.contains(&letter)));
    }
}
