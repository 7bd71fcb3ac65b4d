//! What becomes of each class of what hides: is it shown, taken out, or only told of?

use super::class::Class;
use super::{Mode, letters, markup, pass};
use std::borrow::Cow;
use std::collections::BTreeMap;
use thiserror::Error;

/// What is done with one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever shows them must know each")]
pub enum Treatment {
    /// It stays as it is, and is told of.
    Note,
    /// It is taken out.
    Remove,
    /// It is made visible.
    Show,
}

impl Treatment {
    /// The treatment of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "note" => Self::Note,
            "remove" => Self::Remove,
            "show" => Self::Show,
            _ => return None,
        })
    }
}

/// Why a class cannot have a treatment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what no reader sees must not stay as it is")]
pub struct StaysUnseen(());

/// What becomes of each class, for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sanitiser {
    treatments: [Treatment; Class::ALL.len()],
}

/// A text made safe, and what was found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sanitised<'t> {
    /// The text.
    pub text: Cow<'t, str>,
    /// How often each class was found.
    pub found: BTreeMap<Class, usize>,
    /// Whether anything was taken out, so that what stood apart may now stand together.
    pub cut: bool,
}

impl Default for Sanitiser {
    /// What a reader cannot see is shown; markup and letters stay, since files would read otherwise than they are.
    fn default() -> Self {
        let usual =
            |class: Class| if class.is_unseen() { Treatment::Show } else { Treatment::Note };
        Self { treatments: Class::ALL.map(usual) }
    }
}

impl Sanitiser {
    /// The same with another treatment of one class.
    pub fn with(mut self, class: Class, treatment: Treatment) -> Result<Self, StaysUnseen> {
        if class.is_unseen() && treatment == Treatment::Note {
            return Err(StaysUnseen(()));
        }
        for (own, slot) in Class::ALL.into_iter().zip(&mut self.treatments) {
            if own == class {
                *slot = treatment;
            }
        }
        Ok(self)
    }

    /// Makes a text safe. What comes of it contains nothing that a second call would change.
    pub fn clean(self, text: &str) -> Sanitised<'_> {
        let mut found: BTreeMap<Class, usize> = BTreeMap::new();
        let removes = |class| self.of(class) == Treatment::Remove;
        let (text, findings) = pass(text, Mode::Agent, &removes);
        for finding in findings {
            if let Some(class) = Class::parse(finding.kind.as_str()) {
                *found.entry(class).or_default() += 1;
            }
        }
        let mut text = text;
        // What one takes away may put together what the next looks for.
        for class in [Class::LookAlike, Class::HtmlComment, Class::HiddenStyle] {
            let treatment = self.of(class);
            let (changed, times) = match class {
                Class::LookAlike => letters::treat(&text, treatment),
                _ => markup::treat(&text, class, treatment),
            };
            if times > 0 {
                found.insert(class, times);
            }
            if let Some(changed) = changed {
                text = Cow::Owned(changed);
            }
        }
        let cut = found.keys().any(|class| removes(*class));
        Sanitised { text, found, cut }
    }

    /// Scrubs a text, makes it safe, and scrubs it again where something was taken out of it: that may have stood within a
    /// secret. Adds what was found to `found`.
    pub fn wash(
        self,
        text: &str,
        scrub: &mut dyn FnMut(&str) -> String,
        found: &mut BTreeMap<Class, usize>,
    ) -> String {
        let scrubbed = scrub(text);
        let clean = self.clean(&scrubbed);
        for (class, times) in clean.found {
            *found.entry(class).or_default() += times;
        }
        if clean.cut { scrub(&clean.text) } else { clean.text.into_owned() }
    }

    fn of(self, class: Class) -> Treatment {
        let mut all = Class::ALL.into_iter().zip(self.treatments);
        all.find(|(own, _)| *own == class).map_or(Treatment::Show, |(_, treatment)| treatment)
    }
}

#[cfg(test)]
mod tests;
