//! Is this a password that a person has put together of words, or a name with a number in it?

use crate::values::Place;

/// Whether a value is words with a number behind one of them, none of which is a word of names: `tiger-saddle-harbor99`,
/// `Bridge7376_maple`, `Summer2024`, `Canyon.Lantern20!`. Only where a password stands does that make one: elsewhere it may
/// be a host or a branch.
///
/// Where a secret stands that is no password, it takes three words, and no sign but `-` and `_`.
pub(crate) fn typed(value: &[u8], place: Place) -> bool {
    let least = match place {
        Place::Password => 2,
        Place::Secret => 3,
        Place::Likely | Place::Near => return false,
    };
    // `user:password`.
    let value =
        memchr::memrchr(b':', value).map_or(value, |at| value.get(at + 1..).unwrap_or_default());
    let sign = |b: &u8| {
        matches!(b, b'-' | b'_')
            || place == Place::Password
                && matches!(b, b'.' | b'!' | b'@' | b'#' | b'$' | b'%' | b'*' | b'+' | b'^' | b'~')
    };
    let signs = value.iter().all(|b| b.is_ascii_alphanumeric() || sign(b));
    if !signs || !(LEAST..=MOST).contains(&value.len()) {
        return false;
    }
    let Some(Made { words, capitals, longest, number }) = Made::of(value) else { return false };
    let capital = capitals == words;
    // Parts with a dot between are a path in code, or a file, unless each begins as a name of a person does.
    if value.contains(&b'.') && !capital {
        return false;
    }
    let lone = words == 1 && ((capital && number >= 4) || (longest >= LONE && number >= 2));
    let several = words >= least && (number >= 2 || (capital && number > 0));
    several || (place == Place::Password && lone)
}

/// What a value is made of.
#[derive(Default)]
struct Made {
    words: usize,
    /// How many of them begin with a capital.
    capitals: usize,
    /// How many letters the longest has.
    longest: usize,
    /// How many digits the longest number behind a word has.
    number: usize,
}

impl Made {
    /// `None` if a word is one of names, or none.
    fn of(value: &[u8]) -> Option<Self> {
        let mut made = Self::default();
        let mut rest = value;
        while let Some(first) = rest.first() {
            let len = if first.is_ascii_digit() {
                rest.iter().take_while(|b| b.is_ascii_digit()).count()
            } else if first.is_ascii_alphabetic() {
                letters(rest)
            } else {
                1
            };
            let (part, next) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            if first.is_ascii_alphabetic() {
                if !is_word(part) {
                    return None;
                }
                made.words += 1;
                made.capitals += usize::from(first.is_ascii_uppercase());
                made.longest = made.longest.max(len);
            } else if first.is_ascii_digit() && made.words > 0 {
                made.number = made.number.max(len);
            }
            rest = next;
        }
        Some(made)
    }
}

/// Whether a value is four words or more with a sign between, as generators of passphrases make them:
/// `canyon-glacier-meadow-dynamo`. A word of names, or one of which sentences are made, says that it is none.
pub(crate) fn passphrase(value: &[u8], sign: u8) -> bool {
    let words = || value.split(|b| *b == sign);
    let word = |part: &[u8]| {
        let said = SAID.split_ascii_whitespace().any(|w| part.eq_ignore_ascii_case(w.as_bytes()));
        !said && part.iter().all(u8::is_ascii_alphabetic) && is_word(part)
    };
    value.len() <= MOST && (4..=10).contains(&words().count()) && words().all(word)
}

/// How long the word at the beginning is: letters up to the next capital.
fn letters(text: &[u8]) -> usize {
    let more = text.iter().skip(1).take_while(|b| b.is_ascii_lowercase()).count();
    let capitals = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
    if capitals > 1 { capitals } else { 1 + more }
}

/// A word that is none of those of which names in configuration are made.
fn is_word(part: &[u8]) -> bool {
    let small = part.iter().skip(1).all(u8::is_ascii_lowercase);
    (3..=14).contains(&part.len())
        && small
        && !NAMES.split_ascii_whitespace().any(|name| part.eq_ignore_ascii_case(name.as_bytes()))
}

/// A shorter word with a number behind it may be the name of anything.
const LONE: usize = 6;
/// Of which sentences and their like are made.
const SAID: &str = "about after again all and any are because been before below both but can cannot change characters contain correct could did does \
    during each enter expired for from generate generated get had has have here incorrect into invalid its leave like long make may \
    might more most must need needs never not only other our over please random required same see set shall should some strong such than that the their them \
    then there these they this those through too under unknown until use used using very was weak were what when where which while who will with without wrong would you your";
const LEAST: usize = 8;
const MOST: usize = 64;
const NAMES: &str = "access account admin agent alias alpha alpine api app archive arn array asset async auth aws azure \
    backend backup base batch beta bin block body branch bucket build bytes cache cert chart check cipher class client cloud \
    cluster code column commit common component conf config connection const container content cookie core count cred \
    credential credentials creds cron crypto csv daemon dash data database date debian debug default demo deploy \
    deployment dev digest dir disk docker domain dummy edge email enc encrypted endpoint engine entry env error event \
    example expires export external fake feature field file filter fixture flag folder form format frontend function gateway \
    gcp get git github gitlab group guest handler hash header helm hex hook host http https image import index infra \
    input instance int internal issue item java job json key keystore kube label lambda layer legacy level lib line link \
    linux list local log login machine mail main manager map master max member message meta method metric migration min \
    mock mode model module mongo mysql name namespace network new node null number oauth object old one operator option \
    order org output page param parameter pass passphrase passwd password path payload phase php pid pin pipeline plain \
    platform plugin pod policy pool port postgres prefix preview primary private process prod production profile project \
    property proxy public push pwd python query queue read redis ref region registry release remote replica report \
    repo request reset resource response result role root route row rule runner runtime safe salt sample schema \
    script search secondary secret section server service session set setting setup sha shard share shared sign site size slot \
    snapshot socket source space sql ssh ssl stack stage staging standby state static status step storage store stream string \
    style sub svc sys system table tag target task team temp template tenant terraform test tests text theme thread time \
    tls tmp token tool topic trace type ubuntu unit update upload uri url use user username usr utf uuid valid value \
    var vault vendor version view volume web webhook windows worker workflow workspace write xml yaml your zone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_a_number_are_a_password_and_names_are_not() {
        for word in [
            "tiger-saddle-harbor99",
            "Bridge7376_maple",
            "RiverStone22",
            "Summer2024",
            "Canyon.Lantern20!",
            "!Dragon4Meadow",
            "Harbour_Lantern_4",
            "saddle99",
        ] {
            assert!(typed(word.as_bytes(), Place::Password), "{word}");
        }
        for name in [
            "my-secret-name-1",
            "app-credentials-v2",
            "db_password_12",
            "postgres-14",
            "release-2024",
            "billing-v22",
            "MAX_RETRY_12",
            "anvil99",
            "canyon.lantern20",
            "Config.File20",
            "river-stone",
            "10-tiger-saddle",
            "passwordField22",
        ] {
            assert!(!typed(name.as_bytes(), Place::Password), "{name}");
        }
        for phrase in ["canyon-glacier-meadow-dynamo", "almond.ember.jasmine.saddle"] {
            let sign = if phrase.contains('.') { b'.' } else { b'-' };
            assert!(passphrase(phrase.as_bytes(), sign), "{phrase}");
        }
        for words in
            ["see-the-docs-page", "my-app-db-credentials", "use-a-strong-one", "river-stone-mill"]
        {
            assert!(!passphrase(words.as_bytes(), b'-'), "{words}");
        }
        assert!(typed(b"tiger-saddle-harbor99", Place::Secret));
        assert!(!typed(b"tiger-saddle99", Place::Secret));
        assert!(!typed(b"tiger-saddle-harbor99", Place::Likely));
    }
}
