//! How does a notice get onto the person's own desktop? By the program for that, started without a shell.

use crate::fault::{Fault, FaultKind};
use crate::vault::exec::{PATH, Program};
use std::ffi::OsString;
use std::time::Duration;
use tokio::time::timeout;

/// Shows it by `program`, which is called as `notify-send` is: title, then text, which must hold no markup.
pub async fn show(program: &str, title: &str, text: &str) -> Result<(), Fault> {
    let words = [program, "--app-name=Bartizan", "--", title, text].map(str::to_owned);
    let found = SESSION.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let fixed = [("PATH", PATH), ("LANG", "C.UTF-8")];
    let fixed = fixed.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let environment = found.chain(fixed).collect();
    let shown = Program { words: &words, environment, workspace: None }.run();
    let slow = || Fault::new(FaultKind::Slow, format!("`{program}` does not end"));
    timeout(LIMIT, shown).await.map_err(|_| slow())?.map(drop)
}

/// By these a program finds the person's session.
const SESSION: [&str; 6] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOME",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
];
const LIMIT: Duration = Duration::from_secs(10);
