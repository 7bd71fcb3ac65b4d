//! `bartizan notify`: who has not been told yet? For a timer, or a service of its own; every run tells as well.

use super::Desk;
use super::secret;
use crate::cli::{NotifyArgs, exit};
use crate::config::{self, Purpose, units};
use crate::desk::herald::Heralds;
use crate::machine::runtime;
use crate::report::{Failure, Problem};
use crate::stop::Stop;
use bartizan_store::Store;

/// Tells what waits.
pub(super) fn run(args: &NotifyArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::outside_a_box("telling people")?;
    let patience = units::duration(&args.patience)
        .map_err(|why| Failure::new(exit::USAGE, Problem::new(format!("--for: {why}"))))?;
    let config = config::load_own(&desk.places, &super::here()?, Purpose::Look)?;
    if config.notify.is_silent() {
        let problem = Problem::new("nobody is configured who would be told");
        let hint = "name a webhook under [notify.webhooks.NAME], or `desktop` under [notify]";
        return Err(Failure::new(exit::CONFIG, problem.hint(hint)));
    }
    let store = Store::open(&desk.places.state)?;
    let vault = secret::vault(&config, &desk.places, None, &store);
    let runtime = runtime()?;
    let heralds = Heralds::begin(&config.notify, (&store, &vault), runtime.handle())?;
    let told = runtime.block_on(async {
        if args.follow {
            Stop::heed()?.told().await;
        }
        Ok::<_, Failure>(heralds.finish(patience).await)
    })?;
    runtime.block_on(secret::take_back(&vault, desk.voice))?;
    if told {
        return Ok(exit::DONE);
    }
    desk.voice.say("not everybody could be told; what waits stays on the log for the next time")?;
    Ok(exit::NO)
}
