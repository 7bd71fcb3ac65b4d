//! What do a box and its supervisor say to each other?
//!
//! Short fixed messages on a pair of packet sockets made for one box. The box's side is code of ours until the program
//! runs, and the program never holds that socket; even so nothing is believed beyond its range.

/// A message from the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The descriptors that come with this message, one tag each, and whether `nf_tables` redirects.
    Descriptors { tags: [u8; MAX_DESCRIPTORS], redirect: bool },
    /// The program has ended with this wait status.
    Ended { status: i32 },
    /// The program could not be executed.
    ExecFault { errno: i32 },
    /// An act of the plan failed.
    Fault { step: u32, errno: i32 },
    /// The first process of a box within another, as the host numbers it; its descriptor comes with this.
    Made { pid: i32 },
    /// The program runs.
    Started,
    /// The box's time was up.
    TimeUp,
}

impl Message {
    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let (kind, value, errno, tags) = match self {
            Self::Descriptors { tags, redirect } => (1, u32::from(redirect), 0, tags),
            Self::Ended { status } => (2, 0, status, NO_TAGS),
            Self::ExecFault { errno } => (3, 0, errno, NO_TAGS),
            Self::Fault { step, errno } => (4, step, errno, NO_TAGS),
            Self::Started => (5, 0, 0, NO_TAGS),
            Self::TimeUp => (6, 0, 0, NO_TAGS),
            Self::Made { pid } => (7, 0, pid, NO_TAGS),
        };
        let mut bytes = [0; LENGTH];
        let parts =
            [kind].into_iter().chain(u32::to_le_bytes(value)).chain(i32::to_le_bytes(errno));
        for (place, byte) in bytes.iter_mut().zip(parts.chain(tags)) {
            *place = byte;
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        let (kind, rest) = bytes.split_first()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (errno, rest) = rest.split_first_chunk()?;
        let (value, errno) = (u32::from_le_bytes(*value), i32::from_le_bytes(*errno));
        Some(match kind {
            1 => Self::Descriptors { tags: rest.try_into().ok()?, redirect: value != 0 },
            2 => Self::Ended { status: errno },
            3 => Self::ExecFault { errno },
            4 => Self::Fault { step: value, errno },
            5 => Self::Started,
            6 => Self::TimeUp,
            7 => Self::Made { pid: errno },
            _ => return None,
        })
    }
}

/// The most descriptors one box hands over.
pub(crate) const MAX_DESCRIPTORS: usize = 24;
/// Length of every message.
pub(crate) const LENGTH: usize = 9 + MAX_DESCRIPTORS;
const NO_TAGS: [u8; MAX_DESCRIPTORS] = [0; MAX_DESCRIPTORS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_as_it_was() {
        let mut tags = NO_TAGS;
        tags[..3].copy_from_slice(&[1, 7, 3]);
        for message in [
            Message::Descriptors { tags, redirect: true },
            Message::Ended { status: -1 },
            Message::ExecFault { errno: 2 },
            Message::Fault { step: u32::MAX, errno: i32::MIN },
            Message::Started,
            Message::TimeUp,
            Message::Made { pid: 4_000_000 },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn a_message_of_another_length_or_kind_is_none() {
        let good = Message::Started.encode();
        assert_eq!(Message::decode(&good[1..]), None);
        assert_eq!(Message::decode(&[&good[..], b"x"].concat()), None);
        for kind in [0, 8, 255] {
            let mut bad = good;
            bad[0] = kind;
            assert_eq!(Message::decode(&bad), None);
        }
    }
}
