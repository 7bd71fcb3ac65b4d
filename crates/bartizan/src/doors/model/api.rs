//! Which API does the session's client speak with its model, and what is a path of it for?

use bartizan_egress::{ModelRequest, Refusal as Told, Status};
use std::sync::Arc;

/// The form of a conversation. A session has one: what does not speak it does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Api {
    /// Anthropic's, as Amazon Bedrock has it: the model in the path, and answers in frames of its own.
    Bedrock,
    /// Google's: the same, in other words.
    Gemini,
    /// Anthropic's: everything is looked into, and each proposed call is judged here.
    Messages,
    /// `OpenAI`'s: the same, in other words.
    Responses,
    /// Anthropic's, as Google's Vertex has it: the model in the path, behind this, which names project and region.
    Vertex(Arc<str>),
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
pub(super) fn way(api: &Api, request: &ModelRequest) -> Result<Way, Told> {
    let refused =
        |code: &'static str, text: &'static str| Err(Told::new(Status::Forbidden, code, text));
    let unknown = || {
        refused(
            "path-unknown",
            "this part of the model API is not understood here, and does not pass",
        )
    };
    let way = match (request.method(), request.path(), api) {
        ("POST", "/v1/messages", Api::Messages) | ("POST", "/v1/responses", Api::Responses) => {
            Way::Turn
        }
        ("POST", "/v1/messages/count_tokens", Api::Messages) => Way::Count,
        ("POST", path, Api::Vertex(place))
            if is_vertex_turn(place, path) && is_bare(request.query()) =>
        {
            Way::Turn
        }
        ("POST", path, Api::Bedrock) if is_bedrock_turn(path) && is_bare(request.query()) => {
            Way::Turn
        }
        (method, path, Api::Gemini) if is_plain(request.query()) => match gemini(method, path) {
            Some(way) => way,
            None => return unknown(),
        },
        ("GET", "/v1/models", Api::Messages | Api::Responses) => Way::Look,
        ("GET", path, Api::Messages | Api::Responses)
            if path.strip_prefix("/v1/models/").is_some_and(|model| !model.contains('/')) =>
        {
            Way::Look
        }
        _ => return unknown(),
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

/// The same messages under the path that Vertex gives them. The token is the session's own: on another's project it would pay,
/// or be let in by whom that project is of, who reads in its logs what was asked.
fn is_vertex_turn(place: &str, path: &str) -> bool {
    let model = path.strip_prefix(place).filter(|model| !model.contains('/'));
    model
        .and_then(|model| model.split_once(':'))
        .is_some_and(|(_, act)| matches!(act, "rawPredict" | "streamRawPredict"))
}

impl Api {
    /// Vertex's, of this project in this region.
    pub(crate) fn vertex(project: &str, region: &str) -> Self {
        let place =
            format!("/v1/projects/{project}/locations/{region}/publishers/anthropic/models/");
        Self::Vertex(place.into())
    }
}

/// The same messages under the path that Bedrock gives them.
fn is_bedrock_turn(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(&*parts, ["", "model", _, "invoke" | "invoke-with-response-stream"])
}

/// The model that a path names, where the body names none.
pub(super) fn model_of(path: &str) -> &str {
    let models = ["/model/", "/publishers/anthropic/models/"];
    let rest = models.iter().find_map(|before| path.split_once(before)).map(|(_, rest)| rest);
    let rest = rest.unwrap_or_default();
    let model = rest.split('/').next().unwrap_or_default();
    let act = model.rsplit_once(':').filter(|(_, act)| act.ends_with("Predict"));
    act.map_or(model, |(model, _)| model)
}

/// What Google's API does at a path.
fn gemini(method: &str, path: &str) -> Option<Way> {
    let path =
        ["/v1beta/models", "/v1/models"].iter().find_map(|start| path.strip_prefix(start))?;
    let model = match (method, path) {
        ("GET", "") => return Some(Way::Look),
        (_, path) => path.strip_prefix('/').filter(|model| !model.contains('/'))?,
    };
    match (method, model.split_once(':')) {
        ("GET", None) => Some(Way::Look),
        ("POST", Some((_, "generateContent" | "streamGenerateContent"))) => Some(Way::Turn),
        ("POST", Some((_, "countTokens"))) => Some(Way::Count),
        _ => None,
    }
}

/// A query can bring a key, leave parts of an answer out, or make a script of it; one says how an answer is streamed.
fn is_plain(query: Option<&str>) -> bool {
    matches!(query, None | Some("alt=json" | "alt=sse"))
}

/// A cloud takes credentials from a query too, and settings of an answer's form.
fn is_bare(query: Option<&str>) -> bool {
    matches!(query, None | Some("beta=true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_vertex_only_the_sessions_own_project_and_region_are_asked() {
        let place = |project: &str, region: &str| match Api::vertex(project, region) {
            Api::Vertex(place) => place,
            other => panic!("{other:?}"),
        };
        let ours = place("shop-1", "europe-west1");
        let path =
            |project: &str, region: &str, model: &str| format!("{}{model}", place(project, region));
        for (path, is_turn) in [
            (path("shop-1", "europe-west1", "claude-x@1:streamRawPredict"), true),
            (path("shop-1", "europe-west1", "count-tokens:rawPredict"), true),
            (path("mallory-1", "europe-west1", "claude-x@1:streamRawPredict"), false),
            (path("shop-1", "us-east5", "claude-x@1:streamRawPredict"), false),
            (path("shop-1", "europe-west1", "m:predict"), false),
            (path("shop-1", "europe-west1", "m:x:rawPredict"), false),
            (path("shop-1", "europe-west1", "a/m:rawPredict"), false),
            (path("shop-1", "europe-west1", "m"), false),
            ("/v1/messages".to_owned(), false),
        ] {
            assert_eq!(is_vertex_turn(&ours, &path), is_turn, "{path}");
        }
        assert!(is_bare(None) && is_bare(Some("beta=true")));
        for query in [
            "",
            "access_token=ya29.mine",
            "key=AIza",
            "X-Amz-Credential=AKIA",
            "$alt=x",
            "beta=true&key=x",
        ] {
            assert!(!is_bare(Some(query)), "{query}");
        }
    }

    #[test]
    fn of_bedrocks_paths_only_those_of_a_turn_pass_and_each_names_its_model() {
        for (path, is_turn) in [
            ("/model/eu.anthropic.claude-x-v1:0/invoke", true),
            ("/model/arn%3Aaws%3Abedrock%2Fx/invoke-with-response-stream", true),
            ("/model/m/converse", false),
            ("/model/m/converse-stream", false),
            ("/model/m/count-tokens", false),
            ("/model/m/invoke/x", false),
            ("/model/m/a/invoke", false),
            ("/v1/model/m/invoke", false),
            ("/inference-profiles", false),
        ] {
            assert_eq!(is_bedrock_turn(path), is_turn, "{path}");
        }
        assert_eq!(model_of("/model/eu.anthropic.x-v1:0/invoke"), "eu.anthropic.x-v1:0");
        let vertex = "/v1/projects/p/locations/l/publishers/anthropic/models/m@1:streamRawPredict";
        assert_eq!(model_of(vertex), "m@1");
        assert_eq!(model_of("/v1/messages"), "");
    }

    #[test]
    fn of_googles_api_only_turns_counts_and_lists_pass() {
        for (method, path, way) in [
            ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", Some(Way::Turn)),
            ("POST", "/v1/models/gemini-2.5-pro:streamGenerateContent", Some(Way::Turn)),
            ("POST", "/v1beta/models/m:countTokens", Some(Way::Count)),
            ("GET", "/v1beta/models", Some(Way::Look)),
            ("GET", "/v1beta/models/m", Some(Way::Look)),
            ("POST", "/v1beta/models/m:batchGenerateContent", None),
            ("POST", "/v1beta/models/m:generateContent:x", None),
            ("POST", "/v1beta/models/a/b:generateContent", None),
            ("POST", "/v1beta/cachedContents", None),
            ("POST", "/v1beta/files", None),
            ("POST", "/v1beta/models", None),
            ("GET", "/v1beta/models/m:generateContent", None),
            ("DELETE", "/v1beta/models/m", None),
            ("POST", "/v1beta/modelsx:generateContent", None),
        ] {
            assert_eq!(gemini(method, path), way, "{method} {path}");
        }
        assert!(is_plain(None) && is_plain(Some("alt=sse")));
        for query in
            ["key=AIza", "alt=sse&key=AIza", "alt=proto", "fields=candidates", "callback=f", ""]
        {
            assert!(!is_plain(Some(query)), "{query}");
        }
    }
}
