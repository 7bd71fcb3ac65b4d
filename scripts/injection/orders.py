"""Orders to a model in many languages, and honest texts in the same words, from the grammars of `orders.txt`."""

import collections
import os

from families import choose

GRAMMARS = collections.defaultdict(lambda: collections.defaultdict(list))
with open(os.path.join(os.path.dirname(__file__), "orders.txt"), encoding="utf-8") as lines:
    for line in lines:
        if not line.startswith("#"):
            language, kind, grammar = line.rstrip("\n").split(" ", 2)
            GRAMMARS[kind][language].append(grammar)
# English is what most orders and most honest texts are in.
ENGLISH = 0.35


def _one(r, kind):
    of = GRAMMARS[kind]
    language = "en" if r.random() < ENGLISH else r.choice(sorted(of))
    return choose(r, r.choice(of[language]))


def attack(r):
    """One order."""
    return _one(r, "!")


def honest(r):
    """One honest sentence or two."""
    return _one(r, "=")
