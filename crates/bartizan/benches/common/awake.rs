//! What is left when no core sleeps? On a machine with nothing else to do, waking a core costs a virtual machine some 40 µs
//! and a laptop a few to a hundred, for each process that a call passes; a machine at work does not pay that.

use std::process::{Child, Command, Stdio};
use std::thread;

/// A program on each core that runs when nobody else wants to, until this goes.
pub(crate) struct Awake(Vec<Child>);

impl Awake {
    /// `None` where `chrt` (util-linux) is missing.
    #[expect(clippy::disallowed_methods, reason = "it needs nothing of the host's but its cores")]
    pub(crate) fn begin() -> Option<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut awake = Self(Vec::new());
        for _ in 0..cores {
            let mut command = Command::new("chrt");
            command.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
            awake.0.push(command.stdin(Stdio::null()).spawn().ok()?);
        }
        Some(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}
