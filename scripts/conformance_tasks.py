"""The tasks of scripts/conformance-server.py: the extension `io.modelcontextprotocol/tasks` (SEP-2663), as the official suite asks
for it. A task here is a coroutine of this process.
"""
import asyncio, datetime, uuid
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.extension import Extension, MethodBinding, ToolBinding
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolRequestParams, RequestParams
from pydantic import ConfigDict, Field

NAME = "io.modelcontextprotocol/tasks"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
MISSING = {"requiredCapabilities": {"extensions": {NAME: {}}}}
Answers = dict[str, Any]

def said(text: str, failed: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": failed, "resultType": "complete"}
def form(message: str, name: str, kind: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}

class Task:
    """A job under way, what it still asks, and what became of it."""
    def __init__(self, job: Callable[["Task"], Awaitable[dict[str, Any]]]):
        self.id, self.status, self.ended = str(uuid.uuid4()), "working", {}
        self.begun = self.changed = self.now()
        self.asked: dict[str, Any] = {}
        self.answers: Answers = {}
        self.answered = asyncio.Event()
        self.run = asyncio.create_task(self.work(job))
    @staticmethod
    def now() -> str: return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    def turn(self, status: str, **ended: Any) -> None: self.status, self.ended, self.changed = status, ended, self.now()
    async def work(self, job: Callable[["Task"], Awaitable[dict[str, Any]]]) -> None:
        try:
            result = await job(self)
            self.turn("completed", result=result)
        except asyncio.CancelledError: self.turn("cancelled")
        except Exception as error: self.turn("failed", error={"code": -32603, "message": str(error)})
    async def ask(self, **asked: Any) -> Answers:
        self.asked = asked
        self.turn("input_required")
        await self.answered.wait()
        self.turn("working")
        return self.answers
    def answer(self, given: Answers) -> None:
        for key in [key for key in given if key in self.asked]:
            self.answers[key] = given[key]
            del self.asked[key]
        if not self.asked: self.answered.set()
    def seen(self) -> dict[str, Any]:
        at = {"taskId": self.id, "status": self.status, "createdAt": self.begun, "lastUpdatedAt": self.changed}
        return at | {"ttlMs": 600_000, "pollIntervalMs": 100}

async def slow(seconds: float) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return said(f"computed for {seconds} seconds")
async def failing(_: Task) -> dict[str, Any]:
    await asyncio.sleep(1)
    return said("the job failed", failed=True)
async def breaking(_: Task) -> dict[str, Any]: raise RuntimeError("the server broke")
async def deleting(task: Task, filename: str) -> dict[str, Any]:
    given = await task.ask(confirm=form(f"Delete {filename}?", "confirm", "boolean"))
    agreed = given["confirm"].get("action") == "accept"
    return said(f"{'deleted' if agreed else 'kept'} {filename}")
async def asking(task: Task) -> dict[str, Any]:
    given = await task.ask(first=form("The first?", "value", "string"), second=form("The second?", "value", "string"))
    return said(f"{sorted(given)}")

JOBS: dict[str, Callable[[Task, dict[str, Any]], Awaitable[dict[str, Any]]]] = {
    "slow_compute": lambda task, given: slow(given.get("seconds", 0)),
    "failing_job": lambda task, given: failing(task),
    "protocol_error_job": lambda task, given: breaking(task),
    "confirm_delete": lambda task, given: deleting(task, given.get("filename", "")),
    "multi_input": lambda task, given: asking(task),
}
ALWAYS = {"failing_job", "test_tool_with_task"}

class TaskParams(RequestParams):
    model_config = ConfigDict(extra="allow")
    task: str = Field(alias="taskId")
    answers: Answers = Field(alias="inputResponses", default_factory=dict)

class Tasks(Extension):
    identifier = NAME
    def __init__(self) -> None: self.tasks: dict[str, Task] = {}

    def negotiated(self, ctx: Any) -> bool:
        can = (ctx.meta or {}).get(CAPABILITIES) or {}
        return NAME in (can.get("extensions") or {})

    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: Any, call_next: Any) -> Any:
        if params.name not in JOBS and params.name not in ALWAYS: return await call_next(ctx)
        if not self.negotiated(ctx):
            if params.name in ALWAYS: raise MCPError(code=-32021, message="Missing required client capability", data=MISSING)
            return await call_next(ctx)
        if params.name in JOBS:
            return self.begin(lambda task: JOBS[params.name](task, params.arguments or {}))
        result = await call_next(ctx)
        if not getattr(result, "content", None): return result
        async def done(_: Task) -> dict[str, Any]: return said(result.content[0].text)
        return self.begin(done)

    def begin(self, job: Callable[[Task], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        task = Task(job)
        self.tasks[task.id] = task
        return {"resultType": "task"} | task.seen()

    def found(self, ctx: Any, params: TaskParams) -> Task:
        if not self.negotiated(ctx): raise MCPError(code=-32021, message="Missing required client capability", data=MISSING)
        headers = getattr(ctx.request, "headers", None)
        if headers is not None and headers.get("mcp-name") != params.task:
            raise MCPError(code=-32020, message="Mcp-Name is not the task of the body")
        if params.task not in self.tasks: raise MCPError(code=-32602, message="There is no such task")
        return self.tasks[params.task]

    async def get(self, ctx: Any, params: TaskParams) -> dict[str, Any]:
        task = self.found(ctx, params)
        more = {"inputRequests": task.asked} if task.status == "input_required" else task.ended
        return {"resultType": "complete"} | task.seen() | more
    async def update(self, ctx: Any, params: TaskParams) -> dict[str, Any]:
        self.found(ctx, params).answer(params.answers)
        return {"resultType": "complete"}
    async def cancel(self, ctx: Any, params: TaskParams) -> dict[str, Any]:
        self.found(ctx, params).run.cancel()
        return {"resultType": "complete"}

    def methods(self) -> list[MethodBinding]:
        new = frozenset({"2026-07-28"})
        served = {"tasks/get": self.get, "tasks/update": self.update, "tasks/cancel": self.cancel}
        return [MethodBinding(name, TaskParams, handler, new) for name, handler in served.items()]

    def tools(self) -> list[ToolBinding]:
        """What each does for a client that knows no tasks."""
        async def slow_compute(seconds: float = 0, label: str = "") -> str: return (await slow(seconds))["content"][0]["text"]
        def failing_job() -> str: raise ValueError("the job failed")
        def protocol_error_job() -> str: raise MCPError(code=-32603, message="the server broke")
        def confirm_delete(filename: str) -> str: return f"kept {filename}"
        def multi_input() -> str: return "nothing was asked"
        plain = {"structured_output": False, "description": "May become a task."}
        return [ToolBinding(fn, kwargs=plain) for fn in (slow_compute, failing_job, protocol_error_job, confirm_delete, multi_input)]
