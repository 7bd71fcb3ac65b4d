//! Has this string been dealt with before, in the same place? A conversation brings all of its strings with each turn, and
//! what became of one then is what becomes of it now: it is told from others by its bytes, before they are read as a text.

use super::{Against, Reader, Unfit, unread};
use crate::doors::model::scrub::{Cleaned, Found};
use bartizan_scan::json::{Node, quoted};

/// What is found in one string, and in how many parts of it markers stand.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) found: Found,
    pub(super) framed: usize,
}

impl<'a> Reader<'a> {
    /// Puts into the place of a string what `deal` makes of its text, or has made of it before. `form` says all of its place
    /// that decides about it. What `deal` tells others, they know when it is met again.
    pub(super) fn string(
        &mut self,
        node: &'a Node,
        form: &str,
        deal: impl FnOnce(Against<'a>, &str, &mut Marks) -> String,
    ) -> Result<(), Unfit> {
        let (doc, against) = (self.doc, self.against);
        // Marked off from the texts themselves, which are remembered as well.
        let key = against.scrub.key(&format!("json {form}"), doc.raw(node));
        let dealt = if let Some(dealt) = against.scrub.known(&key) {
            dealt
        } else {
            let text = doc.text(node).ok_or_else(|| unread("a text is no text"))?;
            let mut marks = Marks::default();
            let new = deal(against, &text, &mut marks);
            // No JSON is empty: that is for what stays as it came.
            let json = if *text == *new { String::new() } else { quoted(&new) };
            let Marks { found, framed } = marks;
            against.scrub.keep(key, Cleaned { text: json, found, framed })
        };
        self.notes.found.add(&dealt.found);
        self.notes.framed += dealt.framed;
        if !dealt.text.is_empty() {
            self.edits.replace(node, dealt.text.clone());
        }
        Ok(())
    }
}
