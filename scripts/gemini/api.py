"""What does the model say? A scripted Gemini API on 127.0.0.2 for `scripts/try-gemini`: each agent turn is the next of TURNS.

Prints its port, which speaks TLS with the certificate and key that are named; writes every request to the file that is named, one JSON line each.
"""
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOG, TURNS = open(sys.argv[1], "a", buffering=1), json.loads(sys.argv[2])


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        headers = {name.lower(): value for name, value in self.headers.items()}
        LOG.write(json.dumps({"path": self.path, "headers": headers, "body": body}) + "\n")
        turn = sum(part.get("role") == "model" for part in body["contents"])
        scripted = TURNS[turn] if body.get("tools") and turn < len(TURNS) else "Done."
        part = {"text": scripted} if isinstance(scripted, str) else {"functionCall": scripted}
        answer = json.dumps({
            "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14},
        })
        streams = "stream" in self.path
        sent = (f"data: {answer}\r\n\r\n" if streams else answer).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.2", 0), Model)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
