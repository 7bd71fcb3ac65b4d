//! When is this process to end? By Control-C, by `SIGTERM`, and when its terminal is closed, unless it was started to outlive
//! that (`nohup`).

use std::future::pending;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Heeds the three from when it is made. Who makes one must wait for it: nothing else ends the process by them any more.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Stop {
    /// Fails where signals cannot be waited for.
    pub(crate) fn heed() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_ignored(hangup) { None } else { Some(signal(hangup)?) },
        })
    }

    /// Resolves when it is to end, with the signal's number.
    pub(crate) async fn told(&mut self) -> i32 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            () = hangup => SignalKind::hangup(),
        }
        .as_raw_value()
    }
}

/// Whether whoever started us has us ignore it; one that we heed ourselves is not ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (kind.as_raw_value() - 1)) != 0)
}
