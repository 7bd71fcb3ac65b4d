"""Honest texts of the kinds that tools return, from folders of this machine: sources, documents, configuration, logs.

usage: honest.py OUT.jsonl [--count N] [--seed N] FOLDER…

Whatever is under the folders was written for people and machines, not to deceive a model; a text that speaks of
attacks on models is left out all the same. One line of JSON a text, as `train.py` reads it.
"""

import argparse
import gzip
import json
import os
import random
import re

KINDS = {
    "readme": (".md", ".rst", ".txt", ".adoc", ""), "config": (".toml", ".json", ".yml", ".yaml", ".ini", ".cfg", ".conf", ".xml", ".lock"),
    "source_code": (".rs", ".py", ".c", ".h", ".js", ".ts", ".go", ".sh", ".pl", ".java", ".cpp", ".html", ".css", ".sql", ".rb"),
    "man": tuple(f".{n}" for n in range(1, 9)), "log": (".log", ".out", ".stderr", ".stdout", ".snap"),
}
ABOUT_ATTACKS = re.compile(r"jailbreak|prompt.injection|ignore (?:all |the )?(?:previous|prior|above) instruct", re.I)


def kind_of(path):
    name = path[:-3] if path.endswith(".gz") else path
    ending = os.path.splitext(name)[1].lower()
    for kind, endings in KINDS.items():
        if ending in endings:
            return kind
    return None


def read(path):
    opened = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
    with opened as file:
        raw = file.read(400_000)
    if b"\0" in raw:
        return None
    text = raw.decode("utf-8", "ignore")
    if ".gz" in path and re.search(r"\.[1-8]\.gz$", path):
        # A manual page as a reader sees it: without the marks of its typesetter.
        text = re.sub(r"(?m)^\.(?:\\\".*|[A-Za-z]{1,2}\b ?)", "", text)
        text = re.sub(r"\\f[A-Z]|\\\(..|\\[&|]", "", text).replace("\\-", "-")
    return text


def part(r, text):
    """A stretch as a tool would return it, beginning at a line."""
    length = r.choice([300, 800, 1500, 3000, 4000])
    if len(text) > length:
        start = r.randrange(len(text) - length)
        start = text.find("\n", start) + 1
        text = text[start:start + length]
    how = r.random()
    if how < 0.1:
        text = "\n".join(f"{n:6}\t{line}" for n, line in enumerate(text.split("\n"), r.randint(1, 900)))
    elif how < 0.16:
        text = json.dumps({"content": text, "bytes": len(text), "truncated": bool(r.randint(0, 1))})
    elif how < 0.24:
        words = [line for line in text.split("\n") if len(line) > 12]
        text = "\n".join(f"src/{r.choice('abcdef')}{r.randint(1, 99)}:{r.randint(1, 2000)}:{line}" for line in words)
    return text[:4000]


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("out"), parse.add_argument("folders", nargs="+")
    parse.add_argument("--count", type=int, default=5000), parse.add_argument("--seed", type=int, default=7)
    options = parse.parse_args()
    r = random.Random(options.seed)
    files = {}
    for folder in options.folders:
        for root, dirs, names in os.walk(folder):
            dirs.sort()
            for name in sorted(names):
                path = os.path.join(root, name)
                kind = kind_of(path)
                if kind and not os.path.islink(path) and os.path.getsize(path) > 200:
                    # Folders of one package share authors: they count as one source.
                    source = os.path.relpath(path, folder).split(os.sep)[0]
                    files.setdefault((kind, source), []).append(path)
    rows, groups = [], {}
    for (kind, source), paths in sorted(files.items()):
        groups.setdefault(kind, []).append((source, paths))
    while len(rows) < options.count:
        kind = r.choice(sorted(groups))
        source, paths = r.choice(groups[kind])
        text = read(r.choice(paths))
        if not text or ABOUT_ATTACKS.search(text):
            continue
        text = part(r, text)
        if len(text) > 100:
            rows.append({"text": text, "label": "benign", "source": "machine/" + source, "kind": kind})
    with open(options.out, "w") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")


main()
