//! Has whoever opened a connection given it up, while nobody reads from it?

use std::io;
use std::os::fd::AsFd as _;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Watches a connection beside whoever reads it, and takes no byte of it.
#[derive(Debug)]
pub struct Closing(TcpStream);

impl Closing {
    /// Watches `stream`, on a descriptor of its own.
    pub fn of(stream: &TcpStream) -> io::Result<Self> {
        let fd = stream.as_fd().try_clone_to_owned()?;
        TcpStream::from_std(fd.into()).map(Self)
    }

    /// Returns once the other side sends no more: it has closed the connection, or its half of it.
    pub async fn closed(&self) {
        // With this interest, bytes that wait to be read do not count, and the end does. An error is an end.
        drop(self.0.ready(Interest::PRIORITY).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_end_is_seen_behind_bytes_that_nobody_has_read_and_takes_none_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let closing = Closing::of(&server).unwrap();
        client.write_all(b"hello").await.unwrap();
        server.readable().await.unwrap();
        let open = tokio::time::timeout(Duration::from_millis(50), closing.closed()).await;
        assert!(open.is_err(), "bytes are no end");
        drop(client);
        closing.closed().await;
        let mut read = Vec::new();
        server.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"hello");
    }
}
