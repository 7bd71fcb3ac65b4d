//! What came from outside in a request, and how is it made data?

use super::place::Place;
use super::{Reader, Unfit, envelope, unread, with_cache_control};
use bartizan_scan::display_line;
use bartizan_scan::json::{Node, quoted};

impl<'a> Reader<'a> {
    /// A block that came from outside.
    pub(super) fn outside(
        &mut self,
        block: &'a Node,
        kind: &str,
        place: &Place,
    ) -> Result<(), Unfit> {
        match kind {
            "text" => {
                let text = block.get("text").ok_or_else(|| unread("a text block has no text"))?;
                self.framed(text, place)
            }
            "image" => {
                self.notes.pictures += 1;
                self.source(block, kind, place)
            }
            "document" => {
                self.notes.documents += 1;
                self.source(block, kind, place)
            }
            "search_result" => {
                for (at, part) in block
                    .get("content")
                    .and_then(Node::items)
                    .unwrap_or_default()
                    .iter()
                    .enumerate()
                {
                    envelope(part, "a block")?;
                    let kind = self.kind(part)?;
                    self.outside(part, &kind, &place.part(at))?;
                }
                ["source", "title"]
                    .into_iter()
                    .filter_map(|key| block.get(key))
                    .try_for_each(|text| self.redact(text))
            }
            // A name of the session's own tool list.
            "tool_reference" => Ok(()),
            _ => {
                self.withhold(block, kind, "is not known here");
                Ok(())
            }
        }
    }

    /// Where a picture or document comes from: bytes that are here pass, text in it becomes data, and what
    /// the vendor's machines would fetch is a request that no gate has seen.
    fn source(&mut self, block: &'a Node, kind: &str, place: &Place) -> Result<(), Unfit> {
        let source = block.get("source").ok_or_else(|| unread("a document has no source"))?;
        envelope(source, "a source")?;
        for key in ["title", "context"] {
            block
                .get(key)
                .filter(|text| text.is_text())
                .map_or(Ok(()), |text| self.redact(text))?;
        }
        match &*self.kind(source)? {
            "base64" => Ok(()),
            "text" => {
                let data = source.get("data").ok_or_else(|| unread("a document has no text"))?;
                self.framed(data, place)
            }
            "content" => match source.get("content") {
                Some(content) if content.is_text() => self.framed(content, place),
                Some(content) => {
                    for (at, part) in content.items().unwrap_or_default().iter().enumerate() {
                        envelope(part, "a block")?;
                        let kind = self.kind(part)?;
                        self.outside(part, &kind, &place.part(at))?;
                    }
                    Ok(())
                }
                None => Ok(()),
            },
            _ => {
                self.withhold(block, kind, "would be fetched from elsewhere");
                Ok(())
            }
        }
    }

    pub(super) fn framed(&mut self, node: &'a Node, place: &Place) -> Result<(), Unfit> {
        self.strings().framed(node, place)
    }

    pub(super) fn withhold(&mut self, block: &Node, kind: &str, why: &str) {
        let kind = display_line(kind, 64);
        let sentence = format!("[withheld by bartizan: a block of type `{kind}`, which {why}]");
        let text = format!("{{\"type\":\"text\",\"text\":{}}}", quoted(&sentence));
        let text = with_cache_control(&text, self.doc, block);
        self.edits.replace(block, text);
        self.notes.withheld.insert(kind);
    }
}
