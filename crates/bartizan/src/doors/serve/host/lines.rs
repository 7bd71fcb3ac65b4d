//! How do messages go to a door behind us and come back? One a line, bounded.

use bartizan_mcp::wire::{Limits, Message};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::mpsc;

/// Reads messages until the end, or until a line is longer than any message; what is none is passed over.
pub(super) async fn read(from: impl AsyncRead + Unpin, to: mpsc::Sender<Message>) {
    let limits = Limits::default();
    let mut from = BufReader::with_capacity(BUFFER, from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = limits.bytes as u64 + 1;
        match (&mut from).take(most).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line.last() != Some(&b'\n') => return,
            Ok(_) => {}
        }
        let Ok(message) = Message::parse(&line, &limits) else { continue };
        if to.send(message).await.is_err() {
            return;
        }
    }
}

/// Writes messages until nobody sends any more.
pub(super) async fn write(mut to: impl AsyncWrite + Unpin, mut from: mpsc::Receiver<Message>) {
    while let Some(message) = from.recv().await {
        if to.write_all(&message.to_line()).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

const BUFFER: usize = 64 << 10;
