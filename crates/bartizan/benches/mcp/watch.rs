//! Does it still go on? A way that stops answering ends the bench with its name, and everything that was started with it.

use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

static ANSWERS: AtomicU64 = AtomicU64::new(0);
static WATCHED: Mutex<Watched> = Mutex::new(Watched { way: String::new(), started: Vec::new() });

struct Watched {
    way: String,
    started: Vec<Pid>,
}

/// Watches from now on.
pub(crate) fn begin() {
    thread::spawn(|| {
        let mut last = ANSWERS.load(Ordering::Relaxed);
        loop {
            thread::sleep(PATIENCE);
            let now = ANSWERS.load(Ordering::Relaxed);
            if now == last {
                stop();
            }
            last = now;
        }
    });
}

/// Something was answered.
pub(crate) fn answered() {
    ANSWERS.fetch_add(1, Ordering::Relaxed);
}

/// Says which way is asked from now on.
pub(crate) fn turns_to(way: &str) {
    answered();
    way.clone_into(&mut watched().way);
}

/// A program was started.
pub(crate) fn started(child: &Child) {
    watched().started.push(Pid::from_child(child));
}

/// It has ended.
pub(crate) fn ended(child: &Child) {
    watched().started.retain(|pid| *pid != Pid::from_child(child));
}

fn stop() {
    let watched = watched();
    eprintln!("`{}` has answered nothing for {} s", watched.way.trim(), PATIENCE.as_secs());
    for pid in &watched.started {
        let _killed = kill_process(*pid, Signal::KILL);
    }
    std::process::exit(1);
}

fn watched() -> MutexGuard<'static, Watched> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long nothing may be answered.
const PATIENCE: Duration = Duration::from_mins(2);
