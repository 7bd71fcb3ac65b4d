"""Checks a signature of AWS (version 4) from the standard's own description: "good" or "bad"."""
import hashlib
import hmac
import json
import re
import sys
import urllib.parse

secret, host = sys.argv[1:]
request = json.load(sys.stdin)
method, target = request["line"].split(" ", 1)
path, _, query = target.partition("?")
headers = {}
for name, value in request["headers"]:
    headers.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
headers.setdefault("host", [host])
proof = headers["authorization"][0]
key_id, day, region, service, _ = re.search("Credential=([^,]+)", proof)[1].split("/")
names = re.search("SignedHeaders=([^,]+)", proof)[1].split(";")
digest = headers.get("x-amz-content-sha256", [hashlib.sha256(request["body"].encode()).hexdigest()])[0]
if service == "s3":
    path = urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~")
else:
    segments = [urllib.parse.quote(urllib.parse.unquote(segment), safe="-_.~") for segment in path.split("/")]
    path = urllib.parse.quote("/".join(segments), safe="/-_.~")
pairs = sorted(
    (urllib.parse.quote(urllib.parse.unquote(name), safe="-_.~"), urllib.parse.quote(urllib.parse.unquote(value), safe="-_.~"))
    for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
)
canonical = "\n".join(
    [method, path, "&".join(f"{name}={value}" for name, value in pairs)]
    + [f"{name}:{','.join(headers[name])}" for name in names]
    + ["", ";".join(names), digest]
)
scope = f"{day}/{region}/{service}/aws4_request"
stamp = headers["x-amz-date"][0]
text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
key = b"AWS4" + secret.encode()
for part in (day, region, service, "aws4_request"):
    key = hmac.digest(key, part.encode(), "sha256")
signature = hmac.digest(key, text.encode(), "sha256").hex()
must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
good = must <= set(names) and proof.endswith("Signature=" + signature) and stamp.startswith(day)
print("good" if good else "bad")
