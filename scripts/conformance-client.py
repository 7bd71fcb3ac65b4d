"""The MCP client that scripts/mcp-conformance measures with: what the official suite asks of a client, by the official Python
SDK, in both revisions. It says nothing of bartizan, and has no keys: where it is asked for any, somebody else has them.

    conformance-client.py URL | COMMAND ARGUMENT…

The suite says in MCP_CONFORMANCE_SCENARIO what to do, and in MCP_CONFORMANCE_PROTOCOL_VERSION in which revision.
"""
import asyncio, json, os, sys
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import CreateMessageResult, ElicitResult, ListRootsResult, TextContent

scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))

async def fill(_: Any, asked: Any) -> ElicitResult:
    """Accepts a form with its own defaults, and yes where there is none."""
    fields = getattr(asked, "requested_schema", {}).get("properties", {})
    return ElicitResult(action="accept", content={name: field.get("default", True) for name, field in fields.items()})

async def write(_: Any, asked: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", model="none", content=TextContent(type="text", text="Paris"))

async def roots(_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[])

async def look(client: Client) -> None:
    await client.list_tools()

async def add(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 2, "b": 3})

async def one(client: Client) -> None:
    """Calls the one tool that there is."""
    tool, = (await client.list_tools()).tools
    await client.call_tool(tool.name, {})

async def each(client: Client) -> None:
    """Calls every tool that the client knows, whatever becomes of it."""
    for tool in (await client.list_tools()).tools:
        known = tool.input_schema.get("properties", {})
        try:
            await client.call_tool(tool.name, {name: "x" for name in known})
        except Exception as error:
            print(tool.name, error, file=sys.stderr)

async def rounds(client: Client) -> None:
    await client.list_tools()
    first = asyncio.create_task(client.call_tool("test_mrtr_echo_state", {}))
    await client.call_tool("test_mrtr_unrelated", {})
    await first
    await client.call_tool("test_mrtr_no_state", {})
    await client.call_tool("test_mrtr_no_result_type", {})

async def headers(client: Client) -> None:
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {})
    for resource in (await client.list_resources()).resources:
        await client.read_resource(str(resource.uri))
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)

async def told(client: Client) -> None:
    """Makes the calls that the suite names."""
    await client.list_tools()
    for call in context["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])

async def let_in(client: Client) -> None:
    """Calls what is there only for whoever was let in; a gateway may still be at it."""
    for _ in range(50):
        if tools := (await client.list_tools()).tools: break
        await asyncio.sleep(0.2)
    answer = await client.call_tool(tools[0].name, {})
    assert not answer.is_error, answer

async def echo(client: Client) -> None:
    """Sends the schema of one tool back to the other, as it arrived."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    schema = tools["json_schema_2020_12_tool"].input_schema
    await client.call_tool("json_schema_echo", {"schema": schema})

ACTS = {
    "initialize": look, "tools_call": add, "elicitation-sep1034-client-defaults": one, "sse-retry": one,
    "request-metadata": look, "sep-2322-client-request-state": rounds, "http-standard-headers": headers,
    "http-custom-headers": told, "http-invalid-tool-headers": each, "json-schema-ref-no-deref": look,
    "json-schema-2020-12-preservation": echo, "auth/client-credentials-basic": let_in,
}

async def main() -> None:
    command = sys.argv[1:]
    server: Any = command[0]
    if len(command) > 1:
        server = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    mode = "legacy" if revision < "2026" else "auto"
    async with Client(server, mode=mode, elicitation_callback=fill, sampling_callback=write, list_roots_callback=roots) as client:
        await ACTS[scenario](client)

asyncio.run(main())
