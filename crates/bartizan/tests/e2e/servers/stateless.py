"""An MCP server that speaks 2026-07-28 and nothing else, over stdio or HTTP. Standard library only."""
import json, queue, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERA = "io.modelcontextprotocol/"
VERSION, SERVER, SUBSCRIPTION = ERA + "protocolVersion", ERA + "serverInfo", ERA + "subscriptionId"
TEXT = {"type": "string"}
MARKED = {"type": "string", "x-mcp-header": "Region"}
SCHEMAS = {"echo": {"text": TEXT}, "form": {"text": TEXT}, "roots": {}, "marked": {"region": MARKED}, "tell": {},
           "unmarked": {"region": {"type": "number", "x-mcp-header": "Region"}}}
STATE = "AKIAIOSFODNN7EXAMPLQ-and-what-only-the-server-may-change"
changes = queue.Queue()

def text(said, **more): return {"resultType": "complete", "content": [{"type": "text", "text": said}], **more}

def call(params, headers):
    own, arguments = params["name"], params.get("arguments", {})
    if own == "echo": return text("echo " + arguments.get("text", ""))
    if own == "marked": return text("region %s" % headers.get("mcp-param-region"))
    if own == "tell": changes.put("tools"); return text("told")
    asked = {"method": "elicitation/create", "params": {"message": "who?", "mode": "form",
             "requestedSchema": {"type": "object", "properties": {"name": TEXT}}}}
    if own == "roots": asked = {"method": "roots/list"}
    said = params.get("inputResponses")
    if said is None: return {"resultType": "input_required", "inputRequests": {"who": asked}, "requestState": STATE}
    if params.get("requestState") != STATE: return {"error": {"code": -32602, "message": "whose state is that?"}}
    return text("it is %s" % json.dumps(said["who"]))

def answer(message, headers):
    method, params = message["method"], message.get("params", {})
    if params.get("_meta", {}).get(VERSION) != "2026-07-28":
        return {"error": {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2026-07-28"]}}}
    if method == "server/discover":
        return {"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "public",
                "capabilities": {"tools": {"listChanged": True}}, "_meta": {SERVER: {"name": "stateless", "version": "1"}}}
    if method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object", "properties": schema}} for name, schema in SCHEMAS.items()]
        return {"resultType": "complete", "tools": tools, "ttlMs": 5, "cacheScope": "public"}
    if method == "tools/call": return call(params, headers)
    return {"error": {"code": -32601, "message": "no " + method}}

def whole(id, said): return {"jsonrpc": "2.0", "id": id, **({"error": said["error"]} if "error" in said else {"result": said})}

def watch(id, filter, say):
    """Tells of changes until nobody listens."""
    meta = {"_meta": {SUBSCRIPTION: id}}
    say({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {**meta, "notifications": filter}})
    while True:
        say({"jsonrpc": "2.0", "method": "notifications/%s/list_changed" % changes.get(), "params": meta})

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self): self.reply(405)
    def reply(self, status, body=b""):
        self.send_response(status)
        if body: self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def event(self, message):
        data = b"data: " + json.dumps(message).encode() + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data)); self.wfile.flush()
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        id, method, params = message.get("id"), message["method"], message.get("params", {})
        headers = {name.lower(): value for name, value in self.headers.items()}
        mirrored = (headers.get("mcp-protocol-version"), headers.get("mcp-method"), headers.get("mcp-name"))
        if mirrored != (params.get("_meta", {}).get(VERSION), method, params.get("name")) or "mcp-session-id" in headers:
            return self.reply(400, json.dumps(whole(id, {"error": {"code": -32020, "message": "Header mismatch"}})).encode())
        if method == "subscriptions/listen":
            self.send_response(200); self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            return watch(id, params["notifications"], self.event)
        said = answer(message, headers)
        self.reply(404 if said.get("error", {}).get("code") == -32601 else 200, json.dumps(whole(id, said)).encode())

def stdio():
    lock = threading.Lock()
    def say(message):
        with lock: sys.stdout.write(json.dumps(message) + "\n"); sys.stdout.flush()
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message or message.get("id") is None: continue
        if message["method"] == "subscriptions/listen":
            threading.Thread(target=watch, args=(message["id"], message["params"]["notifications"], say), daemon=True).start()
        else: say(whole(message["id"], answer(message, {})))

if sys.argv[1] == "stdio": stdio()
else:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
