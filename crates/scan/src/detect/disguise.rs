//! What hid the text from a reader's eye?

/// One way of hiding text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disguise {
    /// Tag characters, or variation selectors that spell bytes.
    Tags,
    /// Terminal escapes between letters, or concealed text.
    Terminal,
    /// Zero-width and other ignorable characters between letters.
    ZeroWidth,
    /// A run that is written backwards behind a bidirectional override.
    Bidi,
    /// Full-width, mathematical, circled letters and the like.
    Styled,
    /// Letters of another script that look the same.
    Confusable,
    /// Plain letters written as entities or escapes.
    Escaped,
    /// Letters set apart by spaces or punctuation.
    Spaced,
    /// Digits and signs for letters.
    Leet,
    /// Base64, hex or binary.
    Encoded,
    /// Reversed or rotated letters.
    Turned,
    /// Markup between the letters of a word.
    Markup,
    /// Words written without gaps between them, as identifiers are too.
    Joined,
    /// A comment, a description of a picture, or an element that is not shown.
    Hidden,
}

impl Disguise {
    /// Each, in the order of its bit.
    pub(super) const ALL: [Self; 14] = [
        Self::Tags,
        Self::Terminal,
        Self::ZeroWidth,
        Self::Bidi,
        Self::Styled,
        Self::Confusable,
        Self::Escaped,
        Self::Spaced,
        Self::Leet,
        Self::Encoded,
        Self::Turned,
        Self::Markup,
        Self::Joined,
        Self::Hidden,
    ];

    /// Its name in findings.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tags => "tag-characters",
            Self::Terminal => "terminal-escapes",
            Self::ZeroWidth => "zero-width",
            Self::Bidi => "bidi-override",
            Self::Styled => "styled-letters",
            Self::Confusable => "confusable-letters",
            Self::Escaped => "escapes",
            Self::Spaced => "letter-spacing",
            Self::Leet => "leetspeak",
            Self::Encoded => "encoding",
            Self::Turned => "turned-text",
            Self::Markup => "markup-in-words",
            Self::Joined => "joined-words",
            Self::Hidden => "hidden-place",
        }
    }

    /// Whether there is no honest use for it at all, so that its presence alone is worth a finding.
    pub(super) const fn never_honest(self) -> bool {
        matches!(self, Self::Tags | Self::Bidi)
    }

    /// Whether honest texts have it too, so that it means something only together with what is said.
    pub(super) const fn everyday(self) -> bool {
        matches!(self, Self::Joined | Self::Hidden)
    }
}

/// A set of disguises, each with the place where it was first seen and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Disguises {
    seen: [Option<(usize, u32)>; Disguise::ALL.len()],
}

impl Disguises {
    /// Notes one use, at a place of the original.
    pub(super) fn note(&mut self, disguise: Disguise, at: usize) {
        if let Some(slot) = self.seen.get_mut(disguise as usize) {
            let (first, count) = slot.get_or_insert((at, 0));
            *first = (*first).min(at);
            *count = count.saturating_add(1);
        }
    }

    /// Each that was used more often than by chance, with its first place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Disguise, usize)> + '_ {
        Disguise::ALL.iter().zip(&self.seen).filter_map(|(&disguise, seen)| {
            seen.and_then(|(at, count)| (count >= needed(disguise)).then_some((disguise, at)))
        })
    }

    /// The strongest of them.
    pub(super) fn first(&self) -> Option<Disguise> {
        self.iter().map(|(disguise, _)| disguise).next()
    }
}

/// How many uses it takes to count: one escaped or foreign letter happens in honest text.
const fn needed(disguise: Disguise) -> u32 {
    match disguise {
        Disguise::Tags
        | Disguise::Spaced
        | Disguise::Joined
        | Disguise::Hidden
        | Disguise::Encoded
        | Disguise::Turned
        | Disguise::Bidi => 1,
        Disguise::Terminal | Disguise::Leet | Disguise::Confusable => 2,
        Disguise::ZeroWidth | Disguise::Markup => 3,
        Disguise::Styled | Disguise::Escaped => 6,
    }
}
