//! What may stand in a request? Whatever is not named here is not passed on.

/// Every part of a request that Claude Code sends and the API documents. Another one could be a new way for
/// the vendor's machines to act, as `mcp_servers` is.
pub(super) const KNOWN_KEYS: [&str; 24] = [
    "anthropic_beta",
    "anthropic_version",
    "cache_control",
    "context_management",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "safeguards",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];
/// Blocks of the vendor's own machines in a conversation.
pub(super) const SERVER_BLOCKS: [&str; 5] = [
    "compaction",
    "server_tool_use",
    "tool_search_tool_result",
    "web_search_tool_result",
    "tool_reference",
];
/// Kinds of tools that the client carries out, or that look through the tool list alone, without the day of their version.
pub(super) const CLIENT_TOOLS: [&str; 6] = [
    "bash_",
    "computer_",
    "memory_",
    "text_editor_",
    "tool_search_tool_bm25_",
    "tool_search_tool_regex_",
];
