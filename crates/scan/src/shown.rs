//! What does the line below a command, a path or a title show that asks for a secret: `printenv API_TOKEN`?

use crate::assign::Given;
use crate::bytes::{is, kind};
use crate::extent::named;
use crate::names;
use crate::segment;
use crate::spoken::{random_with_sign, said_of, stripped};
use crate::values::{Place, regular_case};

/// Whether a line asks for what it ends with the name of, a word of which stands at `at`: a command's last argument, what is
/// typed at a prompt, a path.
pub(crate) fn asks(line: &[u8], at: usize) -> bool {
    let body = line.trim_ascii_end();
    if body.len() <= MAX_ASKED && prompted(body) {
        return true;
    }
    let in_name = |b: &u8| is(*b, kind::NAME);
    let closers = |b: &u8| matches!(b, b'"' | b'\'' | b']' | b')');
    let Some((head, tail)) = body.split_at_checked(at) else { return false };
    let tail = tail.iter().skip_while(|b| in_name(b));
    let left = head.iter().rev().take_while(|b| in_name(b)).count();
    let before = head.len().checked_sub(left + 1).and_then(|at| head.get(at));
    body.len() - at <= names::MAX_PART
        && left <= names::MAX_PART
        && tail.clone().count() <= 3
        && tail.clone().all(closers)
        && before.is_none_or(|b| {
            matches!(b, b' ' | b'/' | b'"' | b'\'' | b'.' | b':' | b'>' | b'$' | b'{')
        })
        && body.len() <= MAX_ASKED
        && (head.contains(&b' ') || body.starts_with(b"/") || titled(body))
        && !body.contains(&b'+')
}

/// Whether a line is a label of its own over what stands below it: `Password`, `ACCESS_TOKEN`, `access_token`.
fn titled(line: &[u8]) -> bool {
    line.len() <= MAX_TITLE
        && (line.first().is_some_and(u8::is_ascii_uppercase) || line.contains(&b'_'))
        && line.iter().all(|b| is(*b, kind::NAME))
        && regular_case(line)
}

/// What a command shows, alone in the line below, whose own line the name at `at` ends: `printenv API_TOKEN`,
/// `get-login-password`, `ENV["API_TOKEN"]`.
pub(crate) fn shown(text: &[u8], (name, at): (usize, usize), place: Place) -> Option<Given> {
    let head = text.get(name.saturating_sub(MAX_ASKED)..at)?;
    let line = memchr::memrchr(b'\n', head).map_or(0, |at| at + 1);
    let asking = head.get(line..)?;
    let end = asked_end(text, at).or_else(|| {
        let rest = text.get(at..(at + MAX_ASKED).min(text.len()))?;
        let end = memchr::memchr(b'\n', rest)?;
        let whole = prompted(text.get(at - asking.len()..at + end)?);
        whole.then_some(at + end)
    })?;
    // A file of the name of a key may hold many a thing, and is one when it is shown.
    let file = || memchr::memmem::find(asking, b"cat ").is_some();
    let asked = text.get(at - asking.len()..end)?;
    if !asks(asked, asking.len() - (at - name)) || (place < Place::Secret && !file()) {
        return None;
    }
    let start = end + 1 + segment::fillers(text.get(end + 1..)?);
    let line = text.get(start..(start + MAX_SHOWN).min(text.len()))?;
    let line = memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line);
    let body = answer(line);
    let start = start + line.len() - body.len();
    let range = stripped(text, start..start + body.trim_ascii_end().len());
    let value = text.get(range.clone())?;
    let one = !value
        .iter()
        .any(|b| is(*b, kind::SPACE) || matches!(b, b'(' | b'{' | b'<' | b'[' | b',' | b';'));
    let quoted = range.start > start && text.get(range.start - 1) != Some(&b'[');
    let other = memchr::memchr2(b'=', b':', value).is_some()
        && !quoted
        && named(value)
        && !random_with_sign(value, true);
    let secret = one && !other && body.len() < MAX_SHOWN && said_of(value, place);
    secret.then_some(Given { value: range, place })
}

/// Where the line ends that a name, up to `at`, ends but for what closes it.
fn asked_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let closers =
        rest.iter().take(4).take_while(|b| matches!(b, b'"' | b'\'' | b']' | b')')).count();
    let breaks = usize::from(rest.get(closers) == Some(&b'\r'));
    (rest.get(closers + breaks) == Some(&b'\n')).then_some(at + closers + breaks)
}

/// Whether a line is a command typed at a prompt, of those that show what they are asked for: `$ az keyvault secret show …`.
fn prompted(line: &[u8]) -> bool {
    let ahead = line.get(..MAX_PROMPT.min(line.len())).unwrap_or_default();
    let Some(at) = memchr::memchr3(b'$', b'#', b'>', ahead) else { return false };
    let (head, rest) = line.split_at_checked(at).unwrap_or((line, &[]));
    let head = head.trim_ascii_start();
    let [sign, command @ ..] = rest else { return false };
    let command = command.iter().take(2).take_while(|b| **b == b'>').count();
    let command = rest.get(1 + command..).unwrap_or_default();
    // `# …` and `> …` are titles and quotations.
    let alone = head.is_empty() && *sign != b'$' && !rest.starts_with(b">>>");
    let spaces = memchr::memchr_iter(b' ', head).count();
    let Some(command) = command.strip_prefix(b" ").filter(|_| !alone && spaces <= 1) else {
        return false;
    };
    !OTHER_COMMANDS.iter().any(|other| command.starts_with(other))
}

/// What a shell of a language shows: `=> …`, `Out[3]: …`, `$1 = …`.
fn answer(line: &[u8]) -> &[u8] {
    // The members of a list, as redis shows them: `2) "…"`.
    let listed = line.first().filter(|b| b.is_ascii_digit()).map(|_| line);
    let numbered = line.strip_prefix(b"Out[").or_else(|| line.strip_prefix(b"$")).or(listed);
    let behind = numbered.map(|rest| {
        let digits = rest.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        rest.get(digits..).unwrap_or_default()
    });
    let body = behind.and_then(|rest| {
        rest.strip_prefix(b"]: ")
            .or_else(|| rest.strip_prefix(b" = "))
            .or_else(|| rest.strip_prefix(b") "))
    });
    let body = body.or_else(|| line.strip_prefix(b"=> ")).unwrap_or(line);
    // A debugger says where it stands.
    let digits = body.strip_prefix(b"0x").unwrap_or_default();
    let len = digits.iter().take(16).take_while(|b| is(**b, kind::HEX)).count();
    let quoted = len > 0 && matches!(digits.get(len..), Some([b' ', b'"', ..]));
    if quoted { body.get(len + 3..).unwrap_or(body) } else { body }
}

/// A longer prompt is none.
const MAX_PROMPT: usize = 48;
/// What shows digests, or numbers of its own, whatever it is asked for.
const OTHER_COMMANDS: [&[u8]; 14] = [
    b"git ", b"sha", b"md5", b"docker ", b"podman ", b"uuid", b"ls ", b"find ", b"grep ", b"rg ",
    b"cd ", b"hg ", b"wc ", b"b3sum",
];
/// A longer line of one word is no label.
const MAX_TITLE: usize = 32;
/// A longer line asks for more than a value.
const MAX_ASKED: usize = 200;
/// A longer line is no value alone.
const MAX_SHOWN: usize = 512;
