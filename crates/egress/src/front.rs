//! By which front does a connection say whom it wants?

/// How a connection says whom it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An HTTP request to a proxy, with the whole URL in its first line.
    Absolute,
    /// An HTTP `CONNECT`.
    Connect,
    /// A SOCKS5 `CONNECT`.
    Socks,
    /// By its destination address alone.
    Transparent,
}

impl Kind {
    /// The word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absolute => "absolute",
            Self::Connect => "connect",
            Self::Socks => "socks",
            Self::Transparent => "transparent",
        }
    }
}
