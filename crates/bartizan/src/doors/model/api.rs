//! Which API does the session's client speak with its model, and what is a path of it for?

use bartizan_egress::{ModelRequest, Refusal as Told, Status};

/// The form of a conversation. A session has one: what does not speak it does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// Anthropic's: everything is looked into, and each proposed call is judged here.
    Messages,
    /// `OpenAI`'s: the same, in other words.
    Responses,
}

/// What a path of the API is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A turn of the model.
    Turn,
    /// How many tokens a turn would have.
    Count,
    /// Which models there are.
    Look,
}

/// What a request is for, if it is for anything that is understood here.
pub(super) fn way(api: Api, request: &ModelRequest) -> Result<Way, Told> {
    let refused =
        |code: &'static str, text: &'static str| Err(Told::new(Status::Forbidden, code, text));
    let way = match (request.method(), request.path(), api) {
        ("POST", "/v1/messages", Api::Messages) | ("POST", "/v1/responses", Api::Responses) => {
            Way::Turn
        }
        ("POST", "/v1/messages/count_tokens", Api::Messages) => Way::Count,
        ("POST", path, Api::Messages) if is_vertex_turn(path) => Way::Turn,
        ("GET", "/v1/models", _) => Way::Look,
        ("GET", path, _)
            if path.strip_prefix("/v1/models/").is_some_and(|model| !model.contains('/')) =>
        {
            Way::Look
        }
        _ => {
            return refused(
                "path-unknown",
                "this part of the model API is not understood here, and does not pass",
            );
        }
    };
    let plain = |value: &str| value.trim().eq_ignore_ascii_case("identity");
    if !request.values("content-encoding").into_iter().all(plain) {
        return refused("unscannable", "the request is in an encoding that cannot be looked into");
    }
    let json =
        ["application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"];
    let kinds = request.values("content-type");
    let is_json =
        matches!(&*kinds, [kind] if json.contains(&kind.trim().to_ascii_lowercase().as_str()));
    if way != Way::Look && !is_json {
        return refused("unscannable", "the request is no JSON by its own word");
    }
    Ok(way)
}

/// The same messages under the path that Vertex gives them.
fn is_vertex_turn(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match &*parts {
        ["v1", "projects", _, "locations", _, "publishers", "anthropic", "models", model] => model
            .split_once(':')
            .is_some_and(|(_, act)| matches!(act, "rawPredict" | "streamRawPredict")),
        _ => false,
    }
}
