"""Stands for the operator of a gateway in front of a server that wants an OAuth client (the client credentials grant): what the
operator would read in the service's own pages is looked up, written down as configuration, and the suite's client started behind
`bartizan mcp`. A key goes over TLS alone, and the suite's server speaks none, so it gets a front that does.

    conformance-signed-in.py BARTIZAN PYTHON CLIENT URL
"""
import json, os, pathlib, socket, ssl, subprocess, sys, tempfile, threading, urllib.parse, urllib.request

bartizan, python, client, url = sys.argv[1:]
context = json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])
folder = tempfile.TemporaryDirectory()
home = pathlib.Path(folder.name)
(work := home / "work").mkdir()
cert, key = home / "cert.pem", home / "key.pem"
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                "-addext", "basicConstraints=critical,CA:FALSE"],
               check=True, capture_output=True)

def pump(source, sink):
    try:
        while piece := source.recv(65536): sink.sendall(piece)
    except OSError: pass
    try: sink.shutdown(socket.SHUT_WR)
    except OSError: pass

def front(of):
    """The same address over TLS."""
    at = urllib.parse.urlsplit(of)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))
    def one(plain):
        try: stream = tls.wrap_socket(plain, server_side=True)
        except OSError: return
        behind = socket.create_connection((at.hostname, at.port))
        threading.Thread(target=pump, args=(stream, behind), daemon=True).start()
        pump(behind, stream)
        # TLS has no half-closed streams to keep.
        stream.close()
    def serve():
        while True: threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    return f"https://localhost:{listener.getsockname()[1]}{at.path}"

def get(address): return json.load(urllib.request.urlopen(address, timeout=10))
at = urllib.parse.urlsplit(url)
issuer = get(f"{at.scheme}://{at.netloc}/.well-known/oauth-protected-resource{at.path}")["authorization_servers"][0]
issuer = urllib.parse.urlsplit(issuer)
known = get(f"{issuer.scheme}://{issuer.netloc}/.well-known/oauth-authorization-server{issuer.path.rstrip('/')}")
server = front(url)
host = urllib.parse.urlsplit(server).netloc
configuration = home / ".config/bartizan"
configuration.mkdir(parents=True, mode=0o700)
(configuration / "bartizan.toml").write_text(f"""
[servers.suite]
url = "{server}"
pin = "first-use"

[hosts."{host}"]
private = true

[secrets.suite.oauth]
token_url = "{known["token_endpoint"]}"
client_id = {json.dumps(context["client_id"])}
client_secret = "env://SUITE_SECRET"

[[inject]]
secret = "suite"
host = "{host}"
as = "bearer"

[roles.default]
allow = ["mcp__suite__*"]
""")
env = dict(os.environ, HOME=str(home), SSL_CERT_FILE=str(cert), SUITE_SECRET=context["client_secret"])
ended = subprocess.run([python, client, bartizan, "mcp"], env=env, cwd=work)
folder.cleanup()
sys.exit(ended.returncode)
