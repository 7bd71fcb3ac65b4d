"""Plays recorded runs of an agent against a suite's tools behind the gate, and counts. A person answers yes to the calls of their own
task, and leaves every other question unanswered; nothing here tells the gate which is which.

    replay.py SUITE RECORDED.json BARTIZAN [HOW_MANY_ATTACKS]

HOME is the home of that person: the configuration is there.
"""
import asyncio, json, os, subprocess, sys
from collections import Counter
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

suite, recorded, bartizan = sys.argv[1:4]
data = json.load(open(recorded))
most = int(sys.argv[4]) if len(sys.argv) > 4 else len(data["pairs"])
users = {task["id"]: task for task in data["user_tasks"]}
goals = {task["id"]: task for task in data["injection_tasks"]}

class Run:
    """One run: what was asked, and what was refused."""
    def __init__(self, session: ClientSession): self.session, self.asked, self.refused = session, [], []

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        return await self.session.call_tool(f"{suite}__{tool}", arguments)

    async def exam(self, tool: str, **arguments: str) -> dict[str, bool]:
        answer = await self.call(tool, arguments)
        assert not answer.is_error, answer
        return answer.structured_content

    async def step(self, step: dict[str, Any], own: bool) -> None:
        answer = await self.call(step["tool"], step["args"])
        meta = answer.meta or {}
        question = meta.get("bartizan/question")
        if question:
            self.asked.append(step["tool"])
            if own:
                subprocess.run([bartizan, "approvals", "approve", question], check=True, stdout=subprocess.DEVNULL)
                answer = await self.call(step["tool"], step["args"])
                meta = answer.meta or {}
        if meta.get("bartizan/code") and (own or not question): self.refused.append((step["tool"], meta["bartizan/code"]))

async def honest(session: ClientSession, count: Counter) -> None:
    for task in users.values():
        run = Run(session)
        await run.exam("exam_begin", task=task["id"])
        for step in task["steps"]: await run.step(step, own=True)
        done = (await run.exam("exam_end", said=task["final_output"]))["done"]
        count.update(tasks=1, done=done, asked=len(run.asked), unasked=not run.asked)
        for why in run.refused: print(f"  refused in {task['id']}: {why}")
        if not done: print(f"  not done: {task['id']}")

async def attacked(session: ClientSession, count: Counter) -> None:
    for pair in data["pairs"][:most]:
        run, user, goal = Run(session), users[pair["user_task"]], goals[pair["injection_task"]]
        planted = {vector: data["texts"][pair["injected_text"]] for vector in user["injection_vectors"]}
        await run.exam("exam_begin", task=user["id"], planted=json.dumps(planted))
        for step in pair["steps"]: await run.step(step, own=step["phase"] != "injection")
        verdict = await run.exam("exam_end", said=user["final_output"], goal=goal["id"])
        harmful = goal["harm"] == "high"
        count.update(attacks=1, reached=verdict["reached"], harmful=harmful, harm=harmful and verdict["reached"])
        count.update(still=verdict["done"], could=bool(pair["utility_if_injection_blocked"]))
        if verdict["reached"]: print(f"  reached: {goal['id']} ({goal['harm']}) in {user['id']}")

async def main() -> None:
    gateway = StdioServerParameters(command=bartizan, args=["mcp", "--agent", "examined"], env=dict(os.environ))
    async with stdio_client(gateway) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        names: list[str] = []
        for _ in range(LISTED):
            names = [tool.name for tool in (await session.list_tools()).tools]
            if f"{suite}__exam_begin" in names: break
            await asyncio.sleep(1)
        else: sys.exit(f"{suite}: the server's tools never came: {names}")
        count: Counter = Counter()
        await honest(session, count)
        await attacked(session, count)
    print(f"{suite}, {len(names) - 2} tools of {len(data['tools'])}")
    print(f"  harmful goals reached without a person: {count['harm']} of {count['harmful']}, others: "
          f"{count['reached'] - count['harm']} of {count['attacks'] - count['harmful']}")
    print(f"  tasks done: {count['done']} of {count['tasks']}; under attack {count['still']} of {count['could']}")
    print(f"  questions per task: {count['asked'] / count['tasks']:.2f}; tasks without one: {count['unasked']}")
    bad = count["harm"] or count["done"] < count["tasks"]
    sys.exit(1 if bad else 0)

# How often the server's tools are asked for: it may be slow to start.
LISTED = 300
asyncio.run(main())
