//! Has this string been dealt with before, in the same place? A conversation brings all of its strings with each turn, and
//! what became of one then is what becomes of it now: it is told from others by its bytes, before they are read as a text.

use super::{Against, From, Notes, Place, Unfit, unread};
use crate::doors::model::scrub::{Cleaned, Found};
use bartizan_scan::json::{Doc, Edits, Node, quoted};
use std::sync::Arc;

/// What is found in one string, and in how many parts of it markers stand.
#[derive(Debug, Default)]
pub(in super::super) struct Marks {
    pub(in super::super) found: Found,
    pub(in super::super) framed: usize,
    /// Whether what stands behind it in its message is none of a person's words.
    pub(in super::super) opens: bool,
}

/// A request whose strings are met one by one, whatever API it is for.
pub(in super::super) struct Strings<'a, 'r> {
    pub(in super::super) doc: &'a Doc<'a>,
    pub(in super::super) against: Against<'a>,
    pub(in super::super) edits: &'r mut Edits,
    pub(in super::super) notes: &'r mut Notes,
}

impl<'a> Strings<'a, '_> {
    /// Puts into the place of a string what `deal` makes of its text, or has made of it before. `form` says all of its place
    /// that decides about it. What `deal` tells others, they know when it is met again. Whether it opens what is not a
    /// person's.
    pub(in super::super) fn string(
        self,
        node: &'a Node,
        form: &str,
        deal: impl FnOnce(Against<'a>, &str, &mut Marks) -> String,
    ) -> Result<bool, Unfit> {
        let (doc, against) = (self.doc, self.against);
        self.met(node, form, |marks| {
            let text = doc.text(node).ok_or_else(|| unread("a text is no text"))?;
            let new = deal(against, &text, marks);
            // No JSON is empty: that is for what stays as it came.
            Ok(if *text == *new { String::new() } else { quoted(&new) })
        })
    }

    /// Hides the secrets in a string.
    pub(in super::super) fn redacted(self, node: &'a Node) -> Result<(), Unfit> {
        let hide = |against: Against<'a>, text: &str, marks: &mut Marks| {
            against.scrub.redact(text, &mut marks.found)
        };
        self.string(node, "redacted", hide).map(|_| ())
    }

    /// Makes a string that came from outside data.
    pub(in super::super) fn framed(self, node: &'a Node, place: &Place) -> Result<(), Unfit> {
        let deal = |against: Against<'a>, text: &str, marks: &mut Marks| {
            framed(against, text, place, marks)
        };
        self.string(node, &form("framed", place), deal).map(|_| ())
    }

    /// Makes data of something from outside that is no string: as the text that it stands in, in a table of this one key.
    pub(in super::super) fn framed_whole(
        self,
        node: &'a Node,
        place: &Place,
        key: &str,
    ) -> Result<(), Unfit> {
        let (doc, against) = (self.doc, self.against);
        let made = self.met(node, &form("framed whole", place), |marks| {
            let text = framed(against, doc.raw(node), place, marks);
            Ok(format!("{{{}:{}}}", quoted(key), quoted(&text)))
        });
        made.map(|_| ())
    }

    fn met(
        self,
        node: &'a Node,
        form: &str,
        make: impl FnOnce(&mut Marks) -> Result<String, Unfit>,
    ) -> Result<bool, Unfit> {
        let scrub = self.against.scrub;
        // Marked off from the texts themselves, which are remembered as well.
        let key = scrub.key(&format!("json {form}"), self.doc.raw(node));
        let dealt: Arc<Cleaned> = if let Some(dealt) = scrub.known(&key) {
            dealt
        } else {
            let mut marks = Marks::default();
            let text = make(&mut marks)?;
            let Marks { found, framed, opens } = marks;
            scrub.keep(key, Cleaned { text, found, framed, opens })
        };
        self.notes.found.add(&dealt.found);
        self.notes.framed += dealt.framed;
        if !dealt.text.is_empty() {
            self.edits.replace(node, dealt.text.clone());
        }
        Ok(dealt.opens)
    }
}

/// A text from outside between markers; whoever takes note of what is read hears of it.
pub(in super::super) fn framed(
    against: Against<'_>,
    text: &str,
    place: &Place,
    marks: &mut Marks,
) -> String {
    let Place { call, source, trust, tool } = place;
    let from = tool.as_deref().map_or(From::Client(*trust), From::Tool);
    against.ears.read(source, from, text);
    marks.framed += 1;
    match call {
        Some(call) => against.scrub.frame(call, source, *trust, text, &mut marks.found),
        None => against.scrub.frame_text(source, *trust, text, &mut marks.found),
    }
}

/// All of a place that decides what becomes of a text there.
fn form(how: &str, place: &Place) -> String {
    let Place { call, source, trust, tool } = place;
    format!("{how} {call:?} {source:?} {trust:?} {tool:?}")
}
