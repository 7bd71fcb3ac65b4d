//! How does a client in a box reach a server behind the gateway? By one socket that is bound into the box: the first line
//! says which server is meant, and all else is the conversation. It holds nothing that the box may not know.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

/// Where the socket is inside the box.
pub(crate) const SOCKET: &str = "/run/bartizan/mcp.sock";

/// The box's half: carries our standard streams to the gateway and back, until either side ends.
pub(crate) fn carry(socket: &Path, name: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{name}")?;
    let away = stream.try_clone()?;
    // It may wait for its input for ever; the process does not wait for it.
    drop(thread::spawn(move || {
        drop(copy(&mut io::stdin().lock(), &mut &away));
        drop(away.shutdown(Shutdown::Write));
    }));
    copy(&mut stream, &mut io::stdout().lock())
}

/// Whatever has come is passed on at once.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut bytes = vec![0; PIECE];
    loop {
        let count = match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(bytes.get(..count).unwrap_or_default())?;
        to.flush()?;
    }
}

/// The gateway's half: which server is meant. `None` when nobody says so in time.
pub(crate) async fn meant(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let line = async {
        let mut line = Vec::new();
        while line.len() <= NAME_MAX {
            match stream.read_u8().await.ok()? {
                b'\n' => return String::from_utf8(line).ok(),
                byte => line.push(byte),
            }
        }
        None
    };
    timeout(SAID_WITHIN, line).await.ok()?
}

const PIECE: usize = 64 * 1024;
const NAME_MAX: usize = 128;
const SAID_WITHIN: Duration = Duration::from_secs(10);
