//! How is the session bus reached? By its socket alone, as its own user's, one call at a time.

use super::wire::{Call, Message, Reader, rest};
use crate::fault::{Fault, FaultKind};
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// A connection to the bus.
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
}

/// Where the bus listens. No other kind of address is followed: they would start programs or leave the machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address(PathBuf);

impl Address {
    /// From `DBUS_SESSION_BUS_ADDRESS`, or else `XDG_RUNTIME_DIR`.
    pub(super) fn find(
        address: Option<OsString>,
        runtime: Option<OsString>,
    ) -> Result<Self, Fault> {
        if let Some(address) = address.filter(|text| !text.is_empty()) {
            let text = address.into_string().unwrap_or_default();
            return text.split(';').find_map(Self::parse).ok_or_else(|| {
                let what = "`DBUS_SESSION_BUS_ADDRESS` names no socket of this machine";
                Fault::new(FaultKind::Malformed, what).remedy("unix:path=/run/user/UID/bus is one")
            });
        }
        let runtime = runtime.map(PathBuf::from).filter(|path| path.is_absolute());
        runtime.map(|runtime| Self(runtime.join("bus"))).ok_or_else(|| {
            let what = "there is no session bus, by which the keyring is reached";
            Fault::new(FaultKind::Down, what).remedy(
                "run it in your desktop's session, or use `file://`: bartizan secret set NAME",
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let pairs = text.strip_prefix("unix:")?.split(',');
        pairs.filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
            let value = unescaped(value)?;
            match key {
                "path" if value.starts_with(b"/") => Some(Self(path(value))),
                "abstract" => Some(Self(path([&[0], value.as_slice()].concat()))),
                _ => None,
            }
        })
    }

    /// Whether an agent, who writes below `workspace`, could have put it there.
    pub(super) fn lies_in(&self, workspace: &Path) -> bool {
        self.0.canonicalize().is_ok_and(|real| real.starts_with(workspace))
    }
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// Undoes `%2F` and its like.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        out.push(u8::from_str_radix(code, 16).ok().filter(|&byte| byte != 0)?);
        out.extend_from_slice(rest.as_bytes());
    }
    Some(out)
}

impl Bus {
    /// Connects, and says who we are.
    pub(super) async fn reach(address: &Address) -> Result<Self, Fault> {
        let stream = UnixStream::connect(&address.0).await.map_err(|error| {
            let what = format!("the session bus cannot be reached: {}", error.kind());
            Fault::new(FaultKind::Down, what).remedy("run it in your desktop's session")
        })?;
        let listens = stream.peer_cred().map_err(|_| cut())?.uid();
        if listens != geteuid().as_raw() && listens != 0 {
            let what = format!("the session bus belongs to user {listens}");
            return Err(Fault::new(FaultKind::Unsafe, what).remedy("use your own session's"));
        }
        let mut bus = Self { stream, serial: 0 };
        bus.authenticate().await?;
        bus.call(BUS_HELLO, "s", |name| name.text().map(drop)).await?;
        Ok(bus)
    }

    /// Calls, and reads an answer of these types.
    pub(super) async fn call<T>(
        &mut self,
        call: Call<'_>,
        signature: &str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        self.serial += 1;
        let message = call.encode(self.serial).ok_or_else(too_long)?;
        self.stream.write_all(&message).await.map_err(|_| cut())?;
        for _ in 0..OTHERS {
            let message = self.message().await?;
            match message.answer_to(self.serial) {
                None => {}
                Some(Err(name)) => return Err(refused(name)),
                Some(Ok(mut body)) if message.signature() == signature => {
                    return read(&mut body).ok_or_else(malformed);
                }
                Some(Ok(_)) => return Err(malformed()),
            }
        }
        Err(malformed())
    }

    async fn message(&mut self) -> Result<Message, Fault> {
        let mut fixed = [0; 16];
        self.stream.read_exact(&mut fixed).await.map_err(|_| cut())?;
        let lengths = rest(&fixed).ok_or_else(malformed)?;
        let mut bytes = Zeroizing::new(vec![0; lengths.sum()]);
        self.stream.read_exact(&mut bytes).await.map_err(|_| cut())?;
        Message::decode(&fixed, &bytes, lengths).ok_or_else(malformed)
    }

    /// The kernel tells the bus which user this is; the name that is sent must agree.
    async fn authenticate(&mut self) -> Result<(), Fault> {
        let mut hello = String::from("\0AUTH EXTERNAL ");
        for digit in geteuid().as_raw().to_string().bytes() {
            // Writing into a text cannot fail.
            _ = write!(hello, "{digit:02x}");
        }
        hello.push_str("\r\n");
        self.stream.write_all(hello.as_bytes()).await.map_err(|_| cut())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > LINE {
                return Err(malformed());
            }
            line.push(self.stream.read_u8().await.map_err(|_| cut())?);
        }
        if !line.starts_with(b"OK ") {
            return Err(Fault::new(FaultKind::Denied, "the session bus does not let us in")
                .remedy("run it as the user whose session it is"));
        }
        self.stream.write_all(b"BEGIN\r\n").await.map_err(|_| cut())
    }
}

/// What an error of the bus, or of who keeps the secrets, means.
fn refused(name: &str) -> Fault {
    match name {
        "org.freedesktop.Secret.Error.IsLocked" => super::locked(),
        "org.freedesktop.Secret.Error.NoSuchObject"
        | "org.freedesktop.DBus.Error.UnknownObject"
        | "org.freedesktop.DBus.Error.UnknownMethod" => {
            Fault::new(FaultKind::Missing, "the keyring no longer has it")
        }
        "org.freedesktop.DBus.Error.AccessDenied" => {
            Fault::new(FaultKind::Denied, "the session bus does not let us ask the keyring")
        }
        "org.freedesktop.DBus.Error.NoReply" | "org.freedesktop.DBus.Error.TimedOut" => {
            Fault::new(FaultKind::Slow, "the keyring does not answer")
        }
        _ => Fault::new(FaultKind::Down, "nobody on the session bus keeps secrets, or they fail")
            .remedy("start a keyring, such as gnome-keyring-daemon or KeePassXC"),
    }
}

fn cut() -> Fault {
    Fault::new(FaultKind::Down, "the session bus ended the conversation")
}

fn malformed() -> Fault {
    Fault::new(FaultKind::Malformed, "the keyring's answer is none that it may give")
}

fn too_long() -> Fault {
    Fault::new(FaultKind::Malformed, "a secret is at most 64 KiB")
}

const BUS_HELLO: Call<'static> = Call {
    to: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
    args: &[],
};
/// The longest line of the bus before messages begin.
const LINE: usize = 256;
/// How many messages that are no answer may come before it.
const OTHERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Address, Fault> {
        Address::find(Some(OsString::from(text)), None)
    }

    #[test]
    fn only_a_socket_of_this_machine_is_an_address() {
        for (text, expected) in [
            ("unix:path=/run/user/1000/bus", "/run/user/1000/bus"),
            ("unix:guid=0,path=/tmp/a%2db,x=y", "/tmp/a-b"),
            ("tcp:host=x,port=1;unix:path=/b", "/b"),
            ("unix:abstract=/tmp/x", "\0/tmp/x"),
        ] {
            assert_eq!(found(text).unwrap().0, Path::new(expected), "{text}");
        }
        for text in
            ["tcp:host=x,port=1", "autolaunch:", "unixexec:path=/bin/sh", "unix:path=x", "x"]
        {
            assert_eq!(found(text).unwrap_err().kind(), FaultKind::Malformed, "{text}");
        }
        let runtime = Address::find(None, Some(OsString::from("/run/user/7"))).unwrap();
        assert_eq!(runtime.0, Path::new("/run/user/7/bus"));
        assert_eq!(Address::find(None, None).unwrap_err().kind(), FaultKind::Down);
    }
}
