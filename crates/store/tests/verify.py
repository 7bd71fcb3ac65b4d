#!/usr/bin/env python3
"""A second verifier for exported audit logs, written from docs/audit-record.md with the standard library alone.

usage: verify.py LOG.jsonl VKEY [--from SEQ] [--witness VKEY]... [CHECKPOINT-KEPT-ELSEWHERE...]
       each witness must have cosigned each checkpoint that was kept
exit:  0 whole, 1 broken, 2 cut off at the end, 3 whole with an unanchored end
"""
import base64
import hashlib
import json
import sys

# Ed25519 (RFC 8032), slow and plain.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        raise ValueError("no point")
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * ROOT % P
    if (x * x - xx) % P or (x == 0 and sign):
        raise ValueError("no point")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, p):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, p)
        p, n = add(p, p), n >> 1
    return out


GY = 4 * pow(5, P - 2, P) % P
G = point(GY.to_bytes(32, "little"))


def signed(key, message, signature):
    r, s = point(signature[:32]), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, G), add(r, times(h, point(key)))
    return s < L and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value):
    """RFC 8785 for values without floating-point numbers."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(canonical(key) + ":" + canonical(value[key]) for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float) or (type(value) is int and abs(value) >= 2**53):
        raise ValueError("a number that is no safe integer")
    return json.dumps(value, ensure_ascii=False)


class Key:
    """A verifier key of a signed note: kind 1 signs the note, kind 4 cosigns it at a time (C2SP tlog-cosignature)."""

    def __init__(self, vkey, kind):
        self.name, key_id, key = vkey.split("+", 2)
        self.id, key = bytes.fromhex(key_id), base64.b64decode(key)
        fits = len(key) == 33 and key[0] == kind and sha(self.name.encode(), b"\n", key)[:4] == self.id
        assert fits, f"{vkey} is no key of that kind"
        self.key, self.kind = key[1:], kind

    def opens(self, note):
        text, signatures = note.rsplit("\n\n", 1)
        for line in signatures.splitlines():
            mark, name, value = line.split(" ")
            value = base64.b64decode(value)
            if mark != "\u2014" or name != self.name or value[:4] != self.id:
                continue
            value, message = value[4:], text + "\n"
            if self.kind == 4:
                message = f"cosignature/v1\ntime {int.from_bytes(value[:8], 'big')}\n{message}"
                value = value[8:]
            whole = len(value) == 64 and signed(self.key, message.encode(), value)
            assert whole, f"the signature of {name} does not verify"
            return text
        raise AssertionError(f"not signed by {self.name}")


class Log:
    def __init__(self, vkey, witnesses):
        self.own, self.witnesses = Key(vkey, 1), [Key(witness, 4) for witness in witnesses]
        self.origin = self.own.name
        self.size, self.last, self.peaks, self.anchored, self.notes = 0, bytes(32), [], 0, 0
        self.begins, self.pruned, self.most, self.kept = 0, 0, 0, {}

    def root(self):
        peaks = list(self.peaks)
        if not peaks:
            return sha(b"")
        node = peaks.pop()
        while peaks:
            node = sha(b"\1", peaks.pop(), node)
        return node

    def record(self, line):
        record = json.loads(line)
        assert canonical(record).encode() == line, "not canonical"
        assert record["v"] == 1 and record["seq"] == self.size, "missing or moved"
        assert record["prev"] == self.last.hex(), "does not hang on the record before it"
        assert self.origin.endswith("/" + record["log_id"]), "of another log"
        if record["event"] == "prune":
            self.pruned = max(self.pruned, min(record["to"], self.size))
        node = self.last = sha(b"\0", line)
        rest = self.size
        while rest & 1:
            node, rest = sha(b"\1", self.peaks.pop(), node), rest >> 1
        self.peaks.append(node)
        self.size += 1
        self.hold()

    def hold(self):
        """The log is the one that was kept elsewhere, at the sizes that were."""
        assert self.kept.get(self.size, self.root()) == self.root(), "not the log that was kept elsewhere"

    def keep(self, note):
        size, root = self.open(note)
        for witness in self.witnesses:
            witness.opens(note)
        assert self.kept.setdefault(size, root) == root, "two logs of one size were signed"
        self.most = max(self.most, size)

    def base(self, base):
        size, root = self.open(base["checkpoint"])
        tree = bytes.fromhex(base["frontier"])
        peaks, last = [tree[at : at + 32] for at in range(0, len(tree), 32)], bytes.fromhex(base["leaf"])
        if self.size:
            assert (size, peaks, last) == (self.size, self.peaks, self.last), "a part that belongs elsewhere"
            return
        assert len(tree) == 32 * size.bit_count() and len(last) == 32, "no such tree"
        self.size, self.peaks, self.last = size, peaks, last
        self.begins = self.anchored = size
        assert root == self.root(), "not the tree that was signed"
        self.hold()

    def checkpoint(self, note):
        size, root = self.open(note)
        self.most = max(self.most, size)
        if size > self.size:
            return
        assert (size, root) == (self.size, self.root()), "not what was signed"
        self.anchored, self.notes = self.size, self.notes + 1

    def open(self, note):
        origin, size, root = self.own.opens(note).split("\n")[:3]
        assert origin == self.origin, "a checkpoint of another log"
        return int(size), base64.b64decode(root)


def replay(log, file):
    for line in file:
        try:
            assert line.endswith(b"\n"), "cut off"
            line = line[:-1]
            if line.startswith(b'{"checkpoint":'):
                log.checkpoint(json.loads(line)["checkpoint"])
            elif line.startswith(b'{"base":'):
                log.base(json.loads(line)["base"])
            else:
                log.record(line)
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            return f"broken at record {log.size}: {error}"
    return None


def main():
    path, vkey, *rest = sys.argv[1:]
    first, witnesses = 0, []
    while rest[:1] == ["--from"] or rest[:1] == ["--witness"]:
        flag, value, *rest = rest
        if flag == "--from":
            first = int(value)
        else:
            witnesses.append(value)
    log = Log(vkey, witnesses)
    for anchor in rest:
        with open(anchor, encoding="utf-8") as file:
            log.keep(file.read())
    with open(path, "rb") as file:
        broken = replay(log, file)
    if not broken and log.begins > max(first, log.pruned):
        broken = f"broken: the records before {log.begins} are missing"
    if broken:
        print(broken)
        return 1
    if log.most > log.size:
        print(f"cut off: {log.most} records were signed, {log.size} are here")
        return 2
    bare = log.size - log.anchored
    print(f"whole: {log.size} records, root {log.root().hex()}, {log.notes} checkpoints, {bare} unanchored")
    return 3 if bare else 0


sys.exit(main())
