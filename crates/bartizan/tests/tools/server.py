# A small server that does what its file `mode` says, and keeps what it was sent. Standard library only.
import base64, json, os, socket, ssl, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]


def mode():
    try:
        return open(os.path.join(folder, "mode")).read().strip()
    except FileNotFoundError:
        return "ok"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def take(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body.decode("utf-8", "replace"),
        }
        with open(os.path.join(folder, "seen"), "a") as log:
            log.write(json.dumps(seen) + "\n")
        now = mode()
        key = self.headers.get("authorization", "") + self.headers.get("x-mail-token", "") + self.headers.get("x-edr-key", "")
        token = key.split(" ")[-1]
        ok = {
            "id": "cus_1", "name": "Ada \u001b[31mred", "status": "paid", "amount": 1200, "message_id": "m1", "rule": "r1",
            "state": "isolated", "contact": {"email": "ada@example.com", "phone": "555"}, "internal": {"iban": "DE00"},
        }
        if now == "hang":
            time.sleep(600)
        elif now == "drop":
            self.hang_up()
        elif now == "slow":
            time.sleep(1)
            self.answer(200, ok)
        elif now == "half":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"id": ')
            self.wfile.flush()
            self.hang_up()
        elif now.isdigit():
            self.answer(int(now), {"id": "no", "detail": "key " + token})
        elif now.startswith("redirect "):
            _, status, where = now.split(" ")
            self.answer(int(status), {}, [("location", where)])
        elif now == "huge":
            self.answer(200, {"id": "x" * (1 << 20)})
        elif now == "packed":
            self.answer(200, b"\x1f\x8b00", [("content-encoding", "gzip")])
        elif now == "text":
            self.answer(200, b"<html>" + token.encode())
        elif now == "echo":
            escaped = "".join("\\u%04x" % ord(c) for c in token)
            raw = '{"id": "%s", "name": "%s", "contact": {"email": "%s"}}' % (
                token, escaped, base64.b64encode(token.encode()).decode())
            self.answer(200, raw.encode())
        else:
            self.answer(200, ok)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = take


class Server(ThreadingHTTPServer):
    # A client that hangs up is what some tests are about.
    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(os.path.join(folder, "port.new"), "w") as file:
    file.write(str(server.server_address[1]))
os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
server.serve_forever()
