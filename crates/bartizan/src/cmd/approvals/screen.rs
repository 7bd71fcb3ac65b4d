//! `bartizan approvals` on the whole screen: who draws, who listens, and who puts the terminal back?

use super::board::{Act, Board, Key, Look};
use super::{Desk, approver, open};
use crate::cli::exit;
use crate::desk::answering::{Word, outcome};
use crate::doors::run::terminal::{self, Raw};
use crate::report::{Failure, Problem};
use bartizan_store::{Desk as _, QuestionState, Store};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// How often it looks at the store: every 200 ms.
const PULSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// So many questions can be chosen from; who has answered some sees the next.
const SHOWN: usize = 200;

/// Shows what waits until the person leaves. The terminal is put back on every way out: an error, a panic, a signal.
pub(super) fn run(desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let problem = Problem::new("there is no terminal to show questions on");
        return Err(Failure::new(exit::USAGE, problem.hint("see `bartizan approvals list`")));
    }
    let me = approver(desk)?;
    let ends = told_to_end()?;
    desk.voice.flush()?;
    let _taken = Taken::take()?;
    show(desk, &me, &ends)
}

fn show(desk: &Desk<'_>, me: &str, ends: &AtomicBool) -> Result<u8, Failure> {
    let mut store = open(desk)?;
    let mut board = Board::default();
    while !ends.load(Ordering::Relaxed) {
        if store.is_none() {
            store = open(desk)?;
        }
        if let Some(store) = &store {
            waits(store, &mut board)?;
        }
        draw(&mut board)?;
        let Some(keys) = keys()? else { break };
        for key in keys {
            match (board.key(key), &store) {
                (Some(Act::Leave), _) => return Ok(exit::DONE),
                (Some(Act::Answer(question, say, reason)), Some(store)) => {
                    let given = Word::new(&question, say, reason)
                        .and_then(|word| word.give(store, &question, me));
                    match given {
                        Ok(now) => board.says(&format!("{} (as {me})", outcome(&now))),
                        Err(failure) => board.says(&failure.in_words()),
                    }
                }
                _ => {}
            }
        }
    }
    Ok(exit::DONE)
}

fn draw(board: &mut Board) -> io::Result<()> {
    let (rows, columns) = terminal::size().unwrap_or((24, 80));
    let mut screen = String::new();
    for (at, row) in board.drawn((rows.into(), columns.into())).into_iter().enumerate() {
        _ = write!(screen, "\x1b[{};1H", at + 1);
        for (text, look) in row {
            let look = match look {
                Look::Bold => "1",
                Look::Chosen => "7",
                Look::Dim => "2",
                Look::Plain => "0",
                Look::Warning => "1;31",
            };
            _ = write!(screen, "\x1b[0;{look}m{text}\x1b[0m");
        }
        screen.push_str("\x1b[K");
    }
    let mut out = io::stdout().lock();
    out.write_all(screen.as_bytes())?;
    out.flush()
}

/// The keys of one pulse; nothing when the terminal has gone away.
fn keys() -> io::Result<Option<Vec<Key>>> {
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut ready, Some(&PULSE)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Some(Vec::new())),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut bytes = [0; 4096];
    let read = stdin.lock().read(&mut bytes)?;
    Ok((read > 0).then(|| meant(bytes.get(..read).unwrap_or_default())))
}

/// What was typed at once: one key that a terminal spells by an escape, or text.
fn meant(bytes: &[u8]) -> Vec<Key> {
    match bytes {
        b"\x1b" => vec![Key::Escape],
        b"\x1b[A" | b"\x1bOA" => vec![Key::Up],
        b"\x1b[B" | b"\x1bOB" => vec![Key::Down],
        b"\x1b[5~" => vec![Key::PageUp],
        b"\x1b[6~" => vec![Key::PageDown],
        [0x1b, ..] => Vec::new(),
        text => String::from_utf8_lossy(text)
            .chars()
            .filter_map(|c| match c {
                '\r' | '\n' => Some(Key::Enter),
                '\u{7f}' | '\u{8}' => Some(Key::Back),
                '\u{3}' => Some(Key::Interrupt),
                c => (!c.is_control()).then_some(Key::Sign(c)),
            })
            .collect(),
    }
}

/// The terminal while it is ours; put back when dropped.
struct Taken(Option<Raw>);

impl Taken {
    fn take() -> io::Result<Self> {
        let taken = Self(Some(Raw::enter()));
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?1049h\x1b[?25l\x1b[2J")?;
        out.flush()?;
        drop(out);
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nothing more can be done for a terminal that has gone away.
        drop(out.write_all(b"\x1b[0m\x1b[?25h\x1b[?1049l").and_then(|()| out.flush()));
        drop(self.0.take());
    }
}

/// Puts what waits on the board: the first in the order, and the chosen one wherever it stands now.
fn waits(store: &Store, board: &mut Board) -> Result<(), Failure> {
    let mut waiting = store.waiting(0, SHOWN)?;
    if let Some(id) = board.chosen_id()
        && waiting.questions.iter().all(|question| question.id != id)
    {
        let chosen = store.question(id)?;
        waiting.questions.extend((chosen.state == QuestionState::Pending).then_some(chosen));
    }
    board.waits(waiting);
    Ok(())
}

/// Becomes true when somebody wants us to end.
fn told_to_end() -> io::Result<Arc<AtomicBool>> {
    let told = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async {
        Ok::<_, io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::hangup())?))
    });
    let (mut terminate, mut hangup) = signals?;
    let flag = Arc::clone(&told);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    });
    Ok(told)
}
