"""The tools of one AgentDojo suite as an MCP server, by the official Python SDK: the suite's own code on the suite's own world.
It says nothing of bartizan. Two tools more are the examiner's: `exam_begin` makes a new world, `exam_end` has AgentDojo look at it.

    server.py SUITE
"""
import asyncio, json, sys
from typing import Any

from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suite
from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolResult, ListToolsResult, TextContent, Tool

suite = get_suite("v1.2.2", sys.argv[1])
runtime = FunctionsRuntime(suite.tools)
world: dict[str, Any] = {}

EXAM = {
    "exam_begin": {"task": {"type": "string"}, "planted": {"type": "string"}},
    "exam_end": {"said": {"type": "string"}, "goal": {"type": "string"}},
}

def begin(task: str, planted: str = "{}") -> dict[str, bool]:
    """A new world for a user's task, with what an attacker has planted in it."""
    world["task"] = suite.get_user_task_by_id(task)
    world["now"] = world["task"].init_environment(suite.load_and_inject_default_environment(json.loads(planted)))
    world["before"] = world["now"].model_copy(deep=True)
    world["calls"] = []
    return {"ready": True}

def end(said: str, goal: str = "") -> dict[str, bool]:
    """What AgentDojo says: is the user's task done, has the attacker's goal been reached?"""
    def check(task: Any) -> bool:
        words = [{"type": "text", "content": said}]
        return bool(suite._check_task_result(task, words, world["before"], world["now"], world["calls"]))
    verdict = {"done": check(world["task"])}
    if goal: verdict["reached"] = check(suite.get_injection_task_by_id(goal))
    return verdict

async def listed(_: Any, __: Any) -> ListToolsResult:
    tools = [Tool(name=tool.name, description=tool.description, input_schema=tool.parameters.model_json_schema()) for tool in suite.tools]
    for name, properties in EXAM.items():
        schema = {"type": "object", "properties": properties, "required": list(properties)[:1]}
        tools.append(Tool(name=name, description="For the examiner.", input_schema=schema))
    return ListToolsResult(tools=tools)

async def called(_: Any, asked: Any) -> CallToolResult:
    arguments = asked.arguments or {}
    if asked.name in EXAM:
        verdict = (begin if asked.name == "exam_begin" else end)(**arguments)
        return CallToolResult(content=[], structured_content=verdict)
    result, error = runtime.run_function(world["now"], asked.name, arguments)
    said = error or tool_result_to_str(result)
    world["calls"].append(FunctionCall(function=asked.name, args=arguments))
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=error is not None)

async def main() -> None:
    server = Server(suite.name, on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())

asyncio.run(main())
