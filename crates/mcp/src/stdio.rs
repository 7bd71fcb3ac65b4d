//! Where does a message end on a stream? One message a line, each bounded, whatever the other side does.

use crate::wire::{Limits, Message, WireError};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::{Receiver, Sender};

/// A line that came: a message, or why it is none.
pub type Line = Result<Message, Flawed>;

/// What is no message.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "nothing else comes in a message's place")]
pub enum Flawed {
    /// It was read to its end.
    Unread(WireError),
    /// It is longer than a line may be; what follows of it is thrown away.
    Endless(WireError),
    /// Nothing more comes, and this is why; of a stream that simply ends, nothing is known.
    Over(String),
}

/// Reads lines until the stream ends or nobody listens any more.
pub async fn read(from: impl AsyncRead + Unpin, limits: Limits, to: Sender<Line>) {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    let mut line = Vec::new();
    let mut over = false;
    loop {
        let Ok(part) = from.fill_buf().await else { return };
        if part.is_empty() {
            // A line without an end is one that was cut.
            return;
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(part.len(), |end| end + 1);
        if !over && line.len() + taken > limits.bytes {
            over = true;
            line = Vec::new();
            let what = format!("a message may have {} bytes", limits.bytes);
            if to.send(Err(Flawed::Endless(WireError::parse(what)))).await.is_err() {
                return;
            }
        }
        if !over {
            line.extend_from_slice(part.get(..taken).unwrap_or_default());
        }
        from.consume(taken);
        if end.is_none() {
            continue;
        }
        let whole = std::mem::take(&mut line);
        if std::mem::take(&mut over) || whole.trim_ascii().is_empty() {
            continue;
        }
        let message = Message::parse(whole.trim_ascii(), &limits).map_err(Flawed::Unread);
        if to.send(message).await.is_err() {
            return;
        }
    }
}

/// Writes each message as one line, until there are no more or nobody reads them.
pub async fn write(mut to: impl AsyncWrite + Unpin, mut from: Receiver<Message>) {
    while let Some(message) = from.recv().await {
        if to.write_all(&message.to_line()).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    // Nothing is left to be said to who has closed already.
    drop(to.shutdown().await);
}
