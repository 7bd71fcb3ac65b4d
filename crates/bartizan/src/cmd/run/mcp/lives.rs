//! `bartizan mcp --idle-after … -- CMD`: how does a server come and go behind one conversation? Its first box is the session's
//! own; each later one has a session beside it, so that the log tells which of them did what.

use super::super::ground::{Ground, Newcomer, Session};
use super::super::{Run, facts, finish};
use super::fares::Word;
use super::streams::{self, HEARD, SAID, SENT, Wire};
use super::{Started, tell};
use crate::doors::mcp::Talk;
use crate::doors::run::RunReport;
use crate::report::Failure;
use crate::stop::Stop;
use bartizan_gate::name::ServerName;
use bartizan_mcp::rest::{self, Life};
use bartizan_mcp::wire::{Message, WireError};
use bartizan_scan::Redactor;
use bartizan_store::Fares;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// On what later lives stand.
pub(super) struct Beside<'a> {
    pub(super) ground: &'a Ground,
    /// The client's own, which is also the first server's.
    pub(super) session: &'a Session,
    pub(super) server: &'a ServerName,
    pub(super) word: &'a Word,
}

/// Carries the conversation with a server that is ended when nobody has needed it for `after`. Gives the report of the last
/// box, but of the first one's caller: that one is still to be ended on the log.
pub(super) async fn rest(
    (first, beside): (&mut Run, Beside<'_>),
    what: Started<'_>,
    (talk, sent, after): (&Arc<Talk>, mpsc::Receiver<Message>, Duration),
    whose: (Redactor, String),
) -> Result<RunReport, Failure> {
    let (births, wanted) = mpsc::channel(1);
    let (lines, from_server) = mpsc::channel(SAID);
    let (hear, heard) = mpsc::channel(HEARD);
    let news = tokio::spawn(Arc::clone(talk).attend(heard));
    let attended = tokio::spawn(talk.upstream().attend(from_server, hear));
    let carried = tokio::spawn(rest::carry(sent, lines, after, births));
    // While it rests there is no box that would be told to end.
    let mut stop = Stop::heed()?;
    let spoken = async {
        let own = Arc::clone(talk);
        let unreadable = move |error: &WireError| own.unreadable(error);
        let over = async {
            tokio::select! {
                ended = attended => drop(ended),
                _ = stop.told() => {}
            }
        };
        streams::client(talk, unreadable, over).await;
        // Nobody asks for another life any more, and the one there is ends.
        carried.abort();
        news.abort();
    };
    let lived = lives((first, beside), what, (talk, wanted), whose);
    tokio::join!(lived, spoken).0
}

async fn lives(
    (first, beside): (&mut Run, Beside<'_>),
    what: Started<'_>,
    (talk, mut wanted): (&Arc<Talk>, mpsc::Receiver<oneshot::Sender<Life>>),
    whose: (Redactor, String),
) -> Result<RunReport, Failure> {
    let Some(born) = wanted.recv().await else {
        return Err(super::super::not_started("nobody wants the server"));
    };
    let word = beside.word;
    let life = live(first, what, (talk, born), whose.clone());
    let mut report = Box::pin(word.follows(talk, life)).await?;
    word.says(Fares::Resting).await;
    while let Some(born) = wanted.recv().await {
        tell(&report);
        let begun = Instant::now();
        let mut run = beside.again(what)?;
        let life = live(&mut run, what, (talk, born), whose.clone());
        let lived = Box::pin(word.follows(talk, life)).await;
        word.says(Fares::Resting).await;
        let noted = finish(&run.gate, &run.caller, &lived, begun);
        run.clean();
        (report, ()) = (lived?, noted?);
    }
    Ok(report)
}

/// One life of the server: it ends by itself, or when its conversation has dropped what was born.
async fn live(
    run: &mut Run,
    what: Started<'_>,
    (talk, born): (&Arc<Talk>, oneshot::Sender<Life>),
    whose: (Redactor, String),
) -> Result<RunReport, Failure> {
    let (held, started) = oneshot::channel();
    let (done, box_ended) = oneshot::channel::<()>();
    let boxed = async {
        let report = run.serve(what.typed, what.program, what.argv, held).await;
        drop(done);
        report
    };
    let led = async {
        // The other half tells why there is no box.
        let Ok(held) = started.await else { return };
        let ((to, sent), (lines, from)) = (mpsc::channel(SENT), mpsc::channel(SAID));
        let wire = Wire::lay(talk.gate(), (sent, lines), whose, held);
        let (over, ends) = oneshot::channel();
        if born.send(Life { to, from, over }).is_ok() {
            // Nothing is ever sent: the other end goes.
            drop(ends.await);
        }
        wire.take_up(box_ended).await;
    };
    tokio::join!(boxed, led).0
}

impl Beside<'_> {
    /// A run for another life of the server.
    fn again(&self, what: Started<'_>) -> Result<Run, Failure> {
        let mut about = facts(None, what.typed);
        about.insert("server".to_owned(), json!(self.server));
        about.insert("for_session".to_owned(), json!(self.session.caller.seat().session));
        let who = Newcomer::plain(what.program, what.argv, about);
        let session = self.ground.join(who, self.session)?;
        self.ground.clone().run(session, None)
    }
}
