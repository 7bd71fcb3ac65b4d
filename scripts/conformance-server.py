"""The MCP server that scripts/mcp-conformance measures with: what the official suite asks for, by the official Python SDK, in
both revisions. It says nothing of bartizan.

    conformance-server.py stdio | http PORT
"""
import asyncio, base64, json, sys
from typing import Any

from conformance_tasks import Tasks
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.shared.exceptions import MCPError
from mcp.types import (
    AudioContent, Completion, CreateMessageRequest, CreateMessageRequestParams, ElicitRequest, ElicitRequestFormParams,
    EmbeddedResource, EmptyResult, ImageContent, InputRequiredResult, ListRootsRequest, SamplingMessage, SetLevelRequestParams,
    SubscribeRequestParams, TextContent, TextResourceContents, UnsubscribeRequestParams,
)
from pydantic import BaseModel

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
server = MCPServer("conformance", version="1.0.0", extensions=[Tasks()])

def text(said: str) -> TextContent: return TextContent(type="text", text=said)
def image() -> ImageContent: return ImageContent(type="image", data=PIXEL, mime_type="image/png")
def embedded(uri: str, mime: str, said: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime, text=said))

tool = lambda name, about: server.tool(name=name, description=about, structured_output=False)

@tool("test_simple_text", "Text.")
def simple_text() -> Any: return text("This is a simple text response for testing.")
@tool("test_image_content", "An image.")
def image_content() -> Any: return image()
@tool("test_audio_content", "A sound.")
def audio_content() -> Any: return AudioContent(type="audio", data=SOUND, mime_type="audio/wav")
@tool("test_embedded_resource", "A resource.")
def embedded_resource() -> Any:
    return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
@tool("test_multiple_content_types", "All three.")
def multiple() -> Any:
    return [text("Multiple content types test:"), image(),
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')]
@tool("test_error_handling", "Fails.")
def error_handling() -> Any: raise ValueError("This tool intentionally returns an error for testing")

@tool("test_tool_with_logging", "Logs thrice.")
async def with_logging(ctx: Context) -> Any:
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(said)
        await asyncio.sleep(0.05)
    return text("Tool with logging executed successfully")
@tool("test_logging_tool", "Logs.")
async def logging_tool(ctx: Context) -> Any:
    await ctx.info("logged")
    return text("logged")
@tool("test_tool_with_progress", "Tells of progress.")
async def with_progress(ctx: Context) -> Any:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(0.05)
    return text("done")

class Person(BaseModel):
    username: str
    email: str
@tool("test_sampling", "Asks the model.")
async def sampling(prompt: str, ctx: Context) -> Any:
    asked = [SamplingMessage(role="user", content=text(prompt))]
    said = await ctx.session.create_message(messages=asked, max_tokens=100)
    return text(f"LLM response: {said.content.text}")
@tool("test_elicitation", "Asks the person.")
async def elicitation(message: str, ctx: Context) -> Any:
    said = await ctx.elicit(message=message, schema=Person)
    return text(f"User response: {said.action} {getattr(said, 'data', None)}")

@tool("test_elicitation_sep1034_defaults", "Asks with defaults.")
async def elicitation_defaults(ctx: Context) -> Any:
    return await filled(ctx, name={"type": "string", "default": "John Doe"}, age={"type": "integer", "default": 30},
                        score={"type": "number", "default": 95.5}, verified={"type": "boolean", "default": True},
                        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"})
@tool("test_elicitation_sep1330_enums", "Asks for a choice, in each form.")
async def elicitation_enums(ctx: Context) -> Any:
    plain = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
    return await filled(ctx, untitledSingle={"type": "string", "enum": plain}, titledSingle={"type": "string", "oneOf": titled},
                        legacyEnum={"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
                        untitledMulti={"type": "array", "items": {"type": "string", "enum": plain}},
                        titledMulti={"type": "array", "items": {"anyOf": titled}})
async def filled(ctx: Context, **properties: Any) -> Any:
    asked = {"type": "object", "properties": properties}
    given = await ctx.session.elicit_form("Please choose.", asked, ctx.request_id)
    return text(f"Elicitation completed: action={given.action}, content={json.dumps(given.content)}")

@tool("test_reconnection", "Ends its stream before it answers.")
async def reconnection(ctx: Context) -> Any:
    await ctx.close_sse_stream()
    await asyncio.sleep(1)
    return text("Reconnection test completed successfully")

@tool("greet", "Greets.")
def greet(name: str = "you") -> Any: return text(f"Hello, {name}!")
@tool("test_tool_with_task", "Wants a name, and works in a task.")
def with_task(ctx: Context) -> Any:
    given = answers(ctx, "user_name")
    named = ((given or {}).get("user_name", {}).get("content") or {}).get("name")
    return text(f"Hello, {named}!") if isinstance(named, str) else wants("task", user_name=form("What is your name?"))

@tool("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features")
def with_schema() -> Any: return text("it fits")
@tool("test_custom_headers", "Its region comes in a header too.")
def with_headers(region: str) -> Any: return text(region)

# What the SDK makes of a function's types has neither.
schemas = {
    "json_schema_2020_12_tool": {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": False,
        "$defs": {"address": {"$anchor": "addressDef", "type": "object",
                              "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
                       "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                       "phone": {"type": "string"}, "email": {"type": "string"}},
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]}, "else": {"required": ["email"]},
    },
    "test_custom_headers": {"type": "object", "required": ["region"],
                            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
}
for name, schema in schemas.items(): server._tool_manager.get_tool(name).parameters = schema

def form(message: str, **properties: Any) -> ElicitRequest:
    schema = {"type": "object", "properties": properties or {"name": {"type": "string"}}, "required": list(properties or ["name"])}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))
def model() -> CreateMessageRequest:
    asked = [SamplingMessage(role="user", content=text("What is the capital of France?"))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=asked, max_tokens=100))
def wants(state: str | None = None, **asked: Any) -> InputRequiredResult:
    return InputRequiredResult(input_requests=asked or None, request_state=state)
def answers(ctx: Context, *keys: str) -> dict[str, Any] | None:
    """What the client answered, once it is all there."""
    given = {key: value.model_dump(by_alias=True, exclude_none=True) for key, value in (ctx.input_responses or {}).items()}
    return given if all(key in given for key in keys) else None

@tool("test_input_required_result_elicitation", "Wants a name.")
def input_form(ctx: Context) -> Any:
    given = answers(ctx, "user_name")
    named = ((given or {}).get("user_name", {}).get("content") or {}).get("name")
    return text(f"Hello, {named}!") if isinstance(named, str) else wants(user_name=form("What is your name?"))
@tool("test_input_required_result_sampling", "Wants the model.")
def input_model(ctx: Context) -> Any:
    given = answers(ctx, "capital_question")
    return text(json.dumps(given)) if given else wants(capital_question=model())
@tool("test_input_required_result_list_roots", "Wants the roots.")
def input_roots(ctx: Context) -> Any:
    given = answers(ctx, "client_roots")
    return text(json.dumps(given)) if given else wants(client_roots=ListRootsRequest())
@tool("test_input_required_result_request_state", "Wants to be told its state.")
def input_state(ctx: Context) -> Any:
    given = answers(ctx, "confirm")
    if given and ctx.request_state == "state-1": return text("state-ok")
    return wants("state-1", confirm=form("Go on?", ok={"type": "boolean"}))
@tool("test_input_required_result_tampered_state", "Wants its own state alone.")
def input_tampered(ctx: Context) -> Any:
    given = answers(ctx, "confirm")
    if given and ctx.request_state == "state-2": return text("state-ok")
    return wants("state-2", confirm=form("Go on?", ok={"type": "boolean"}))
@tool("test_input_required_result_multiple_inputs", "Wants all three.")
def input_all(ctx: Context) -> Any:
    given = answers(ctx, "user_name", "greeting", "client_roots")
    if given: return text(json.dumps(given))
    return wants("state-3", user_name=form("What is your name?"), greeting=model(), client_roots=ListRootsRequest())
@tool("test_input_required_result_multi_round", "Wants twice.")
def input_rounds(ctx: Context) -> Any:
    if ctx.request_state == "round-2" and answers(ctx, "step2"): return text("all rounds done")
    if ctx.request_state == "round-1" and answers(ctx, "step1"):
        return wants("round-2", step2=form("Step 2: your colour?", color={"type": "string"}))
    return wants("round-1", step1=form("Step 1: your name?"))
@tool("test_input_required_result_capabilities", "Wants what its client can give.")
def input_capabilities(ctx: Context) -> Any:
    can, asked = ctx.client_capabilities, {}
    if can and can.elicitation is not None: asked["user_name"] = form("What is your name?")
    if can and can.sampling is not None: asked["greeting"] = model()
    if answers(ctx, *asked) and ctx.input_responses: return text("thanks")
    return wants("state-4", **asked)
@tool("test_missing_capability", "Needs sampling.")
def missing(ctx: Context) -> Any:
    can = ctx.client_capabilities
    if can is None or can.sampling is None:
        raise MCPError(code=-32021, message="Missing required client capability", data={"requiredCapabilities": {"sampling": {}}})
    return text("there")

@tool("test_trigger_tool_change", "Changes the tools.")
async def change_tools(ctx: Context) -> Any:
    await ctx.notify_tools_changed()
    return text("changed")
@tool("test_trigger_prompt_change", "Changes the prompts.")
async def change_prompts(ctx: Context) -> Any:
    await ctx.notify_prompts_changed()
    return text("changed")

@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str: return "This is the content of the static text resource."
@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes: return base64.b64decode(PIXEL)
@server.resource("test://watched-resource", mime_type="text/plain")
def watched() -> str: return "Watched resource content"
@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str: return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

def said(content: Any) -> UserMessage: return UserMessage(content=content)
@server.prompt("test_simple_prompt", description="Simple.")
def simple_prompt() -> Any: return [said(text("This is a simple prompt for testing."))]
@server.prompt("test_prompt_with_arguments", description="With arguments.")
def arguments_prompt(arg1: str, arg2: str) -> Any: return [said(text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]
@server.prompt("test_prompt_with_embedded_resource", description="With a resource.")
def resource_prompt(resourceUri: str) -> Any:
    return [said(embedded(resourceUri, "text/plain", "Embedded resource content for testing.")), said(text("Please process it."))]
@server.prompt("test_prompt_with_image", description="With an image.")
def image_prompt() -> Any: return [said(image()), said(text("Please analyze the image above."))]
@server.prompt("test_input_required_result_prompt", description="Wants a context.")
def input_prompt(ctx: Context) -> Any:
    given = answers(ctx, "user_context")
    if not given: return wants(user_context=form("What context should the prompt use?", context={"type": "string"}))
    return [said(text(json.dumps(given)))]

@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> Completion:
    return Completion(values=["test-value-1", "test-value-2"], total=2, has_more=False)

async def done(ctx: Any, params: Any) -> EmptyResult: return EmptyResult()
for method, params in (("logging/setLevel", SetLevelRequestParams), ("resources/subscribe", SubscribeRequestParams),
                       ("resources/unsubscribe", UnsubscribeRequestParams)):
    server._lowlevel_server.add_request_handler(method, params, done)

class Kept(EventStore):
    """What each stream said, so that a client can come back for it."""
    def __init__(self) -> None: self.said: list[tuple[str, Any]] = []
    async def store_event(self, stream_id: str, message: Any) -> str:
        self.said.append((stream_id, message))
        return str(len(self.said))
    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        at = int(last_event_id)
        if not 0 < at <= len(self.said): return None
        stream = self.said[at - 1][0]
        for number, (of, message) in enumerate(list(self.said[at:]), at + 1):
            if of == stream and message is not None: await send_callback(EventMessage(message, str(number)))
        return stream

if __name__ == "__main__":
    if sys.argv[1] == "stdio": server.run("stdio")
    else: server.run("streamable-http", port=int(sys.argv[2]), event_store=Kept(), retry_interval=500)
