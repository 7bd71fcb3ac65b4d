"""A small agent on the Messages API, as people write them: the vendor's library, one tool, a loop."""
import subprocess
import anthropic

TOOL = {"name": "Bash", "description": "Runs a command.", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}
client = anthropic.Anthropic()
messages = [{"role": "user", "content": "go"}]
for turn in range(8):
    asked = {"model": "claude-scripted", "max_tokens": 1000, "tools": [TOOL], "messages": messages}
    # Both ways in which the library asks.
    if turn % 2:
        with client.messages.stream(**asked) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**asked)
    messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]})
    results = []
    for block in answer.content:
        if block.type == "text":
            print("SAYS", block.text)
        elif block.type == "tool_use" and block.name == "Bash":
            ran = subprocess.run(block.input["command"], shell=True, capture_output=True, text=True)
            results.append({"type": "tool_result", "tool_use_id": block.id, "content": ran.stdout + ran.stderr})
        elif block.type == "tool_use":
            print("NO SUCH TOOL", block.name)
            results.append({"type": "tool_result", "tool_use_id": block.id, "content": "no such tool", "is_error": True})
    if not results:
        break
    messages.append({"role": "user", "content": results})
