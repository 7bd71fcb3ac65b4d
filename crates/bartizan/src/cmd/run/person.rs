//! Does somebody sit at the terminal who may be asked? Then questions of the run are put before them there.

use super::ground::Ground;
use crate::cli::RunArgs;
use crate::config::{self, Purpose};
use crate::desk::{answering, chance};
use crate::doors::run::asks::Asks;
use crate::doors::run::terminal;
use crate::report::{Failure, Voice};
use std::sync::Arc;

/// Who puts questions before the person, and tells them now, before any program could draw, how to know ours.
pub(super) fn at_the_terminal(
    args: &RunArgs,
    ground: &Ground,
    voice: &mut Voice,
) -> Result<Option<Arc<Asks>>, Failure> {
    let [input, output, error] = terminal::terminals();
    if args.no_tty_approvals || !input || !(output || error) {
        return Ok(None);
    }
    // A project has no say in who answers, so its state does not matter here.
    let own = config::load_own(&ground.places, &ground.around.workspace, Purpose::Look)?;
    let (Ok(approver), Some(mark)) = (answering::approver(&own), chance::mark()) else {
        return Ok(None);
    };
    if !args.json && !args.no_summary {
        voice.say(&format!(
            "bartizan: questions of this run are asked here, each under the mark [{mark}]"
        ))?;
    }
    Ok(Some(Asks::new(ground.store.clone(), approver, mark)))
}
