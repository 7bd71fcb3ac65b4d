//! What does a client hear in the place of news that is too long to pass? That there was some, of what kind, and how long: what
//! is left out is never left out in silence.

use crate::method::{self, Side};
use crate::wire::Message;
use bartizan_scan::json::{View, quoted};

/// What stands for a notification of a server's that may not pass, since it has more than `most` bytes. `None` for what nobody
/// would have heard of anyway.
pub(super) fn shortened(message: &Message, most: usize) -> Option<Message> {
    let (method, params) = (message.method()?, message.params());
    let left_out = format!("[left out: {} bytes, of which {most} pass]", message.size());
    let field = |key: &str, fits: fn(View<'_>) -> bool| {
        let value = params?.get(key).filter(|value| value.raw().len() <= SHORT && fits(*value))?;
        Some(format!("{}:{}", quoted(key), value.raw()))
    };
    match method {
        "notifications/message" => {
            let level = field("level", is_level).unwrap_or_else(|| LEVEL.to_owned());
            log(&level, field("logger", is_text), &left_out)
        }
        "notifications/progress" => {
            let figures = ["progressToken", "progress", "total"].map(|key| field(key, is_plain));
            let said = format!("\"message\":{}", quoted(&left_out));
            let parts: Vec<_> = figures.into_iter().flatten().chain([said]).collect();
            Message::notification(method, Some(&format!("{{{}}}", parts.join(","))))
        }
        // That a list changed is all that it says.
        method if method.ends_with("/list_changed") => {
            Message::notification(method, None).filter(|_| is_known(method))
        }
        "notifications/cancelled" => None,
        method if is_known(method) => log(LEVEL, None, &format!("`{method}` {left_out}")),
        _ => None,
    }
}

fn log(level: &str, logger: Option<String>, what: &str) -> Option<Message> {
    let data = format!("\"data\":{}", quoted(what));
    let parts: Vec<_> = [level.to_owned()].into_iter().chain(logger).chain([data]).collect();
    Message::notification("notifications/message", Some(&format!("{{{}}}", parts.join(","))))
}

fn is_known(method: &str) -> bool {
    method::is_notification(Side::Server, method)
}

fn is_level(value: View<'_>) -> bool {
    value.text().is_some_and(|level| LEVELS.contains(&&*level))
}

fn is_text(value: View<'_>) -> bool {
    value.text().is_some()
}

/// A text or a number.
fn is_plain(value: View<'_>) -> bool {
    is_text(value) || value.raw().parse::<f64>().is_ok()
}

/// The longest that is kept of a field.
const SHORT: usize = 256;
/// The level of what did not say one.
const LEVEL: &str = "\"level\":\"warning\"";
const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
