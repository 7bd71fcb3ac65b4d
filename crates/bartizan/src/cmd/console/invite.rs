//! `bartizan console invite`: how is another person asked in? By a link that is good once, for one who is named.

use super::terminal_alone;
use crate::cli::{InviteArgs, exit};
use crate::cmd::{Desk, approvals, here};
use crate::config::{self, Purpose};
use crate::console::{LINK_LIVES, danger_secret};
use crate::report::{Failure, Problem};
use bartizan_store::{Digest, Store};

/// Makes the link, and shows it once.
pub(super) fn run(args: &InviteArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let by = approvals::approver(desk)?;
    let config = config::load_own(&desk.places, &here()?, Purpose::Look)?;
    let Some(console) = &config.console else {
        let problem = Problem::new("the console has no address at which others reach it");
        let hint = "give it `origin`, `tls_cert` and `tls_key` under [console]";
        return Err(Failure::new(exit::CONFIG, problem.hint(hint)));
    };
    let person = format!("web:{}", args.name);
    if !config.approvers.iter().any(|known| known.as_str() == person) {
        let problem = Problem::new(format!("`{person}` is not an approver"));
        let hint = "the configuration names them under [approvers], such as people = [\"local:anna\", \"web:ben\"]";
        return Err(Failure::new(exit::NO, problem.hint(hint)));
    }
    terminal_alone("an invitation")?;
    let token = danger_secret()?;
    let store = Store::open(&desk.places.state)?;
    store.invite(Digest::of(token.as_bytes()), &person, &by, LINK_LIVES)?;
    // Durable, and signed, before anybody can use it.
    store.checkpoint()?;
    writeln!(desk.voice.out(), "https://{}/enter/{token}", console.host)?;
    desk.voice.say(&format!(
        "  lets whoever opens it in as {person}, once, within ten minutes: hand it to them alone, by a way that nobody else reads"
    ))?;
    Ok(exit::DONE)
}
