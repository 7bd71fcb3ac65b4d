//! What else is wrong with a file that cannot be read? The parser stops at the first mistake; it is asked again about the file
//! without that one, for as long as the rest still says what it said.

use super::raw::{RawConfig, explain};
use crate::report::Problem;
use std::ops::Range;
use std::path::Path;

/// Every mistake that can be told at once, in the order of the file.
pub(super) fn all(file: &Path, source: &str, first: toml::de::Error) -> Vec<Problem> {
    let place = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let mut problems = vec![(place(&first), explain(file, source, &first))];
    let (mut rest, mut error) = (source.to_owned(), first);
    while problems.len() < MOST {
        // Without it the file would be another one, in which other things are wrong.
        if error.message().starts_with(MISSING) || rest.parse::<toml::Table>().is_err() {
            break;
        }
        let Some(span) = error.span().filter(|span| !span.is_empty()) else { break };
        let Some(without) = without(&rest, &span) else { break };
        if without.parse::<toml::Table>().is_err() {
            break;
        }
        rest = without;
        let Err(next) = toml::from_str::<RawConfig>(&rest) else { break };
        if next.message().starts_with(MISSING) {
            break;
        }
        let problem = explain(file, source, &next);
        // A table of a wrong name has tables of its own under the same name.
        let is_head = next.span().is_some_and(|span| is_head(&rest, &span));
        if !is_head || problems.iter().all(|(_, known)| known.what() != problem.what()) {
            problems.push((place(&next), problem));
        }
        error = next;
    }
    problems.sort_by_key(|(place, _)| *place);
    problems.into_iter().map(|(_, problem)| problem).collect()
}

/// The file with spaces for the lines of the mistake: those of a key and its value, or of a table from its head to the next. The
/// places of everything else stay.
fn without(source: &str, span: &Range<usize>) -> Option<String> {
    let (start, is_head) = (line_start(source, span), is_head(source, span));
    let mut end = start;
    for (number, line) in source.get(start..)?.split_inclusive('\n').enumerate() {
        let next_head = is_head && number > 0 && line.trim_start().starts_with('[');
        if next_head || !is_head && end >= span.end {
            break;
        }
        end += line.len();
    }
    let blank = source.get(start..end)?.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    Some([source.get(..start)?, &blank.collect::<String>(), source.get(end..)?].concat())
}

fn line_start(source: &str, span: &Range<usize>) -> usize {
    source.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

fn is_head(source: &str, span: &Range<usize>) -> bool {
    let line = source.get(line_start(source, span)..).unwrap_or_default();
    line.trim_start().starts_with('[')
}

const MISSING: &str = "missing field";
/// A person mends so many at once.
const MOST: usize = 12;

#[cfg(test)]
mod tests {
    use super::super::raw::parse;
    use std::path::Path;

    fn told(source: &str) -> Vec<String> {
        let problems = parse(Path::new("b.toml"), source).unwrap_err();
        problems
            .iter()
            .map(|problem| format!("{} {}", problem.place().unwrap(), problem.what()))
            .collect()
    }

    #[test]
    fn each_mistake_of_a_file_is_told_and_none_that_it_does_not_have() {
        let source = "[roles.u] # ü\nalow = [\n  \"Read\",\n]\nask = \"Bash\"\n[rolls.x]\nallow = [1]\n[rolls.x.box]\npids = 3\n\
                      [roles.y.box]\npids = -1\nmemry = \"1GiB\"\nnetwork = \"none\"\n";
        // The list under `alow` is still there without its name: what follows would be guessed.
        assert_eq!(told(source), ["b.toml:2 unknown key `alow`"]);
        let source = source.replace("alow = [\n  \"Read\",\n]", "alow = [\"Read\"]");
        assert_eq!(
            told(&source),
            [
                "b.toml:2 unknown key `alow`",
                "b.toml:3 invalid type: string \"Bash\", expected a list",
                "b.toml:4 unknown key `rolls`",
                "b.toml:9 invalid value: integer `-1`, expected a whole number",
                "b.toml:10 unknown key `memry`",
            ]
        );
        // What only the absence of a mistaken line makes missing is no mistake of the file.
        let tool = "[tools.t]\neffect = 3\ndescription = 4\n[roles.x]\nask = 1\n";
        assert!(told(tool).iter().all(|problem| !problem.contains("missing")), "{:?}", told(tool));
        assert_eq!(told("[roles.x\nallow = 1\n").len(), 1);
        assert_eq!(told("[roles.a]\nask = 1\n[roles.b]\nask = 1\n").len(), 2);
    }
}
