// An agent on the Claude Agent SDK for Node, whose client is the program in $CLIENT; its own hook and its own permission
// callback say yes to all.
import { query } from "@anthropic-ai/claude-agent-sdk";

async function hook(payload) {
  console.log("HOOK", payload.tool_name);
  return { hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision: "allow" } };
}

const options = {
  pathToClaudeCodeExecutable: process.env.CLIENT,
  cwd: process.cwd(),
  permissionMode: "bypassPermissions",
  allowDangerouslySkipPermissions: true,
  hooks: { PreToolUse: [{ hooks: [hook] }] },
};
for await (const message of query({ prompt: "start", options })) {
  if (message.type === "assistant") {
    for (const block of message.message.content) {
      if (block.type === "text") console.log("SAYS", block.text);
    }
  } else if (message.type === "result") {
    console.log("RESULT", message.subtype, message.session_id);
  }
}
