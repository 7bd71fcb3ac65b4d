"""What does the model say? A scripted Messages API on loopback for `scripts/try-sdk`: each agent turn is the next of TURNS.

Prints its port; writes every request to the file that is named, one JSON line each.
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOG, TURNS = open(sys.argv[1], "a", buffering=1), json.loads(sys.argv[2])
USAGE = {"input_tokens": 10, "output_tokens": 5}


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(raw)
        headers = {name.lower(): value for name, value in self.headers.items()}
        LOG.write(json.dumps({"path": self.path, "headers": headers, "body": body}) + "\n")
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        scripted = TURNS[turn] if body.get("tools") and turn < len(TURNS) else "Done."
        if isinstance(scripted, str):
            block, stop = {"type": "text", "text": scripted}, "end_turn"
        else:
            block, stop = {"type": "tool_use", "id": f"toolu_{turn}", **scripted}, "tool_use"
        message = {"id": f"msg_{turn}", "type": "message", "role": "assistant", "model": body["model"],
                   "content": [block], "stop_reason": stop, "stop_sequence": None, "usage": USAGE}
        if body.get("stream"):
            self.send("text/event-stream", b"".join(self.events(message, block, stop)))
        else:
            self.send("application/json", json.dumps(message).encode())

    @staticmethod
    def events(message, block, stop):
        def event(kind, **members):
            return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()

        if block["type"] == "text":
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield event("message_start", message={**message, "content": [], "stop_reason": None})
        yield event("content_block_start", index=0, content_block=start)
        yield event("content_block_delta", index=0, delta=delta)
        yield event("content_block_stop", index=0)
        yield event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=USAGE)
        yield event("message_stop")

    def send(self, kind, body):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("request-id", "req_scripted")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
print(server.server_port, flush=True)
server.serve_forever()
