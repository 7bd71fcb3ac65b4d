"""An agent on the Claude Agent SDK, whose client is the program in $CLIENT; its own hook and its own permission callback say yes to all."""
import asyncio
import os
from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, HookMatcher, ResultMessage, TextBlock, query


async def hook(payload, tool_use_id, context):
    print("HOOK", payload["tool_name"], flush=True)
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow"}}


async def main():
    options = ClaudeAgentOptions(
        cli_path=os.environ["CLIENT"],
        cwd=os.getcwd(),
        permission_mode="bypassPermissions",
        hooks={"PreToolUse": [HookMatcher(hooks=[hook])]},
    )
    async for message in query(prompt="start", options=options):
        if isinstance(message, AssistantMessage):
            for block in message.content:
                if isinstance(block, TextBlock):
                    print("SAYS", block.text, flush=True)
        elif isinstance(message, ResultMessage):
            print("RESULT", message.subtype, message.session_id, flush=True)


asyncio.run(main())
