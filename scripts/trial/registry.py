"""A registry for crates, npm packages and wheels on loopback, for scripts/try-toolchains.

It makes one small package of each kind, prints its port, and serves until it is killed. `registry.py WHEELS` serves the
wheels of that folder as well.
"""

import base64
import hashlib
import http.server
import io
import json
import pathlib
import sys
import tarfile
import zipfile


def tarball(files):
    """A .tgz of `{name: text}`."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, text in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))
    return whole.getvalue()


def wheel():
    files = {
        "answer.py": "def answer():\n    return 42\n",
        "answer-1.0.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: answer\nVersion: 1.0.0\n",
        "answer-1.0.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: trial\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files["answer-1.0.0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files) + "answer-1.0.0.dist-info/RECORD,,\n"
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return whole.getvalue()


CRATE = tarball(
    {
        "answer-1.0.0/Cargo.toml": '[package]\nname = "answer"\nversion = "1.0.0"\nedition = "2021"\n',
        "answer-1.0.0/src/lib.rs": "pub fn answer() -> u32 { 42 }\n",
    }
)
PACKAGE = tarball(
    {
        "package/package.json": '{"name":"answer","version":"1.0.0","main":"index.js"}',
        "package/index.js": "module.exports = () => 42;\n",
    }
)
WHEELS = {"answer-1.0.0-py3-none-any.whl": wheel()}
if len(sys.argv) > 1:
    WHEELS |= {path.name: path.read_bytes() for path in pathlib.Path(sys.argv[1]).glob("*.whl")}


def answer(path, origin):
    """What stands at a path: its kind and its bytes, or nothing."""
    if path == "/crates/config.json":
        return "application/json", json.dumps({"dl": f"{origin}/crates/dl"}).encode()
    if path == "/crates/an/sw/answer":
        line = {"name": "answer", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False}
        line["cksum"] = hashlib.sha256(CRATE).hexdigest()
        return "text/plain", json.dumps(line).encode()
    if path == "/crates/dl/answer/1.0.0/download":
        return "application/gzip", CRATE
    if path == "/npm/answer":
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(PACKAGE).digest()).decode()
        dist = {"tarball": f"{origin}/npm/answer-1.0.0.tgz", "integrity": integrity}
        version = {"name": "answer", "version": "1.0.0", "main": "index.js", "dist": dist}
        whole = {"name": "answer", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        return "application/json", json.dumps(whole).encode()
    if path == "/npm/answer-1.0.0.tgz":
        return "application/gzip", PACKAGE
    if path.startswith("/simple/"):
        wanted = path.removeprefix("/simple/").strip("/").replace("-", "_")
        found = [name for name in WHEELS if name.split("-")[0].lower() == wanted]
        links = "".join(f'<a href="/wheels/{name}">{name}</a>' for name in found)
        return ("text/html", links.encode()) if found else None
    if path.startswith("/wheels/") and path.removeprefix("/wheels/") in WHEELS:
        return "application/zip", WHEELS[path.removeprefix("/wheels/")]
    return None


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = answer(self.path, f"http://127.0.0.1:{self.server.server_port}")
        kind, contents = found or ("text/plain", b"not here\n")
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(contents)))
        self.end_headers()
        self.wfile.write(contents)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
