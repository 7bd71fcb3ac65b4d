//! Is this a password that a person has put together of words, or a name with a number in it?

use crate::values::Place;

/// Whether a value is words with a number behind one of them, none of which is a word of names: `tiger-saddle-harbor99`,
/// `Bridge7376_maple`, `Summer2024`. Only where a password stands does that make one: elsewhere it may be a host or a branch.
///
/// Where a secret stands that is no password, it takes three words.
pub(crate) fn typed(value: &[u8], place: Place) -> bool {
    let least = match place {
        Place::Password => 2,
        Place::Secret => 3,
        Place::Likely | Place::Near => return false,
    };
    // `user:password`.
    let value =
        memchr::memrchr(b':', value).map_or(value, |at| value.get(at + 1..).unwrap_or_default());
    let signs = value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !signs || !(LEAST..=MOST).contains(&value.len()) {
        return false;
    }
    let (mut words, mut number) = (0, 0);
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
                return false;
            }
            words += 1;
        } else if first.is_ascii_digit() && words > 0 {
            number = number.max(len);
        }
        rest = next;
    }
    let capital = value.first().is_some_and(u8::is_ascii_uppercase);
    let lone = place == Place::Password && words == 1 && capital && number >= 4;
    number >= 2 && (words >= least || lone)
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
        for word in ["tiger-saddle-harbor99", "Bridge7376_maple", "RiverStone22", "Summer2024"] {
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
            "saddle99",
            "river-stone",
            "10-tiger-saddle",
            "passwordField22",
        ] {
            assert!(!typed(name.as_bytes(), Place::Password), "{name}");
        }
        assert!(typed(b"tiger-saddle-harbor99", Place::Secret));
        assert!(!typed(b"tiger-saddle99", Place::Secret));
        assert!(!typed(b"tiger-saddle-harbor99", Place::Likely));
    }
}
