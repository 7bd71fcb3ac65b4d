//! Does a run of letters look like a word, or like chance?

use crate::bytes::byte_table;

/// Whether `letters` hardly reads as words of English or of code: the mean, over each pair of neighbours, of how
/// usual the second is after the first. Below ten letters chance decides too much, so short runs never are.
pub(crate) fn gibberish(letters: &[u8]) -> bool {
    letters.len() >= LEAST && gibberish_of(letters.iter().copied())
}

/// The same of letters that come one by one.
pub(crate) fn gibberish_of(letters: impl Iterator<Item = u8>) -> bool {
    let (mut sum, mut pairs, mut count) = (0_u32, 0_u32, 0);
    let mut before = NONE;
    for byte in letters {
        let letter = INDEX.get(usize::from(byte)).copied().unwrap_or(NONE);
        if letter != NONE {
            count += 1;
            if let Some(usual) = USUAL.get(before * 26 + letter) {
                sum += u32::from(usual.saturating_sub(b'0'));
                pairs += 1;
            }
        }
        before = letter;
    }
    count >= LEAST && pairs > 0 && sum * 10 < pairs * 39
}

/// The place of a letter in the alphabet, or more than any pair has.
const fn index(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => (byte - b'a') as usize,
        b'A'..=b'Z' => (byte - b'A') as usize,
        _ => NONE,
    }
}

const LEAST: usize = 10;
/// No letter: no pair begins with it.
const NONE: usize = 26;
static INDEX: [usize; 256] = byte_table!(index);

/// For each pair of letters from `aa` to `zz`, how usual the second is after the first, from 0 to 9: the binary
/// logarithm of its share among all that follow the first, plus 9. Counted over documentation and source code.
const USUAL: &[u8; 676] = b"\
14540240403656042656332231634362326416325315535100416242611640553172143641002063247330711422522453531130\
52564430201546242665132420523356307105326215445010305232724550153551165352211072237201613342611435410030\
44544440001547540456040204634362145252226333536521225234734162052443236331412061347200701622620144420050\
74247210601342560244501020525664615033135201663400202355233030355745065454410062236214502612651645411030\
42255235213423105443824342614473306033436304554310404242722560343245125751203061327205700322530654411040\
45534330400656350666000102643182126110325133222121116124633560031562165311331154646403621432460346221430\
4435543251145546236523424352238130621242521232313434";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_identifiers_read_and_random_letters_do_not() {
        for word in ["authentication", "getUserCredentials", "kubernetes-dashboard", "nginx"] {
            assert!(!gibberish(word.as_bytes()), "{word}");
        }
        for noise in ["rqejuuafjhsvkyse", "hfzymgjakldxvpulj", "XqZvbnKwpTgh"] {
            assert!(gibberish(noise.as_bytes()), "{noise}");
        }
    }
}
