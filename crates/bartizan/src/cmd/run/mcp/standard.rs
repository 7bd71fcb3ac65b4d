//! How are our own standard streams read and written without a thread between? As pipes or sockets, which is what a client
//! gives a server that it starts; anything else goes the slow way.

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Where the client speaks to us.
pub(super) fn input() -> Box<dyn AsyncRead + Send + Unpin> {
    match kind(io::stdin()) {
        Some(FileType::Fifo) => reopened("/proc/self/fd/0", OFlags::RDONLY)
            .and_then(pipe::Receiver::from_owned_fd)
            .map_or_else(|_| Box::new(tokio::io::stdin()) as _, |pipe| Box::new(pipe) as _),
        Some(FileType::Socket) => Socket::of(io::stdin())
            .map_or_else(|_| Box::new(tokio::io::stdin()) as _, |socket| Box::new(socket) as _),
        _ => Box::new(tokio::io::stdin()),
    }
}

/// Where the client hears us.
pub(super) fn output() -> Box<dyn AsyncWrite + Send + Unpin> {
    match kind(io::stdout()) {
        Some(FileType::Fifo) => reopened("/proc/self/fd/1", OFlags::WRONLY)
            .and_then(pipe::Sender::from_owned_fd)
            .map_or_else(|_| Box::new(tokio::io::stdout()) as _, |pipe| Box::new(pipe) as _),
        Some(FileType::Socket) => Socket::of(io::stdout())
            .map_or_else(|_| Box::new(tokio::io::stdout()) as _, |socket| Box::new(socket) as _),
        _ => Box::new(tokio::io::stdout()),
    }
}

fn kind(fd: impl AsFd) -> Option<FileType> {
    fstat(fd).ok().map(|found| FileType::from_raw_mode(found.st_mode))
}

/// The same pipe, opened once more: that this one does not block is no concern of others who have it.
fn reopened(path: &str, way: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, way | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}

/// A socket that others may have too: it stays one that blocks, and each call says by itself that it does not wait.
struct Socket(UnixStream);

impl Socket {
    fn of(fd: impl AsFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(fd.as_fd().try_clone_to_owned()?);
        let seen = socket.try_clone()?;
        // The runtime takes none that blocks.
        socket.set_nonblocking(true)?;
        let taken = UnixStream::from_std(socket);
        seen.set_nonblocking(false)?;
        Ok(Self(taken?))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            let room = into.initialize_unfilled();
            let receive = || Ok(recv(&self.0, room, RecvFlags::DONTWAIT)?.0);
            match self.0.try_io(Interest::READABLE, receive) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                got => {
                    into.advance(got?);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match self.0.try_io(Interest::WRITABLE, || Ok(send(&self.0, bytes, flags)?)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream as Plain;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_socket_carries_more_than_it_holds_and_stays_one_that_blocks() {
        let (ours, theirs) = Plain::pair().unwrap();
        let mut socket = Socket::of(&ours).unwrap();
        let flags = rustix::fs::fcntl_getfl(&ours).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "others would be told to try again");
        let much = vec![b'x'; 4 << 20];
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; 4 << 20];
            io::Read::read_exact(&mut &theirs, &mut got).unwrap();
            io::Write::write_all(&mut &theirs, b"well received").unwrap();
            got
        });
        socket.write_all(&much).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "well received");
        assert!(reader.join().unwrap() == much);
    }
}
