//! What may be said at all? The methods of MCP, by who may send them; any other is refused.

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two ends")]
pub enum Side {
    /// The client: the agent's end.
    Client,
    /// The server: the tools' end.
    Server,
}

/// Requests that a client may make.
pub const CLIENT_REQUESTS: [&str; 20] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// Notifications that a client may send.
pub const CLIENT_NOTIFICATIONS: [&str; 5] = [
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
];

/// Requests that a server may make.
pub const SERVER_REQUESTS: [&str; 8] = [
    "elicitation/create",
    "ping",
    "roots/list",
    "sampling/createMessage",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
];

/// Notifications that a server may send.
pub const SERVER_NOTIFICATIONS: [&str; 10] = [
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
];

/// Whether `side` may make a request of this method.
pub fn is_request(side: Side, method: &str) -> bool {
    match side {
        Side::Client => CLIENT_REQUESTS.contains(&method),
        Side::Server => SERVER_REQUESTS.contains(&method),
    }
}

/// Whether `side` may send a notification of this method.
pub fn is_notification(side: Side, method: &str) -> bool {
    match side {
        Side::Client => CLIENT_NOTIFICATIONS.contains(&method),
        Side::Server => SERVER_NOTIFICATIONS.contains(&method),
    }
}
