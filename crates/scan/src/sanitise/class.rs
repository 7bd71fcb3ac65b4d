//! Of what kind is what hides in a text, or deceives its reader?

/// A kind of what hides or deceives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a new class must break whoever decides on each")]
pub enum Class {
    /// Characters that turn the direction of text.
    Bidi,
    /// Control characters that are no escape: C0, C1, DEL.
    Control,
    /// Terminal escapes: ANSI, CSI, OSC.
    Escape,
    /// Elements of HTML whose own style says that nobody shall see them.
    HiddenStyle,
    /// Comments of HTML.
    HtmlComment,
    /// Letters of another script that look like those around them.
    LookAlike,
    /// Unicode's tag characters.
    Tag,
    /// Zero-width and other default-ignorable characters.
    ZeroWidth,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Bidi,
        Self::Control,
        Self::Escape,
        Self::HiddenStyle,
        Self::HtmlComment,
        Self::LookAlike,
        Self::Tag,
        Self::ZeroWidth,
    ];

    /// The class of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Its name, in a configuration and on the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bidi => "bidi-control",
            Self::Control => "control-character",
            Self::Escape => "terminal-escape",
            Self::HiddenStyle => "hidden-style",
            Self::HtmlComment => "html-comment",
            Self::LookAlike => "look-alike",
            Self::Tag => "tag-character",
            Self::ZeroWidth => "zero-width",
        }
    }

    /// Whether a reader sees nothing of it as it stands, or worse: such must not stay.
    pub const fn is_unseen(self) -> bool {
        match self {
            Self::Bidi | Self::Control | Self::Escape | Self::Tag | Self::ZeroWidth => true,
            Self::HiddenStyle | Self::HtmlComment | Self::LookAlike => false,
        }
    }
}
