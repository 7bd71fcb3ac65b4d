"""Trains the linear table of the injection detector and prints how it does on sources it has not seen.

usage: train.py DATA.jsonl FEATURES_COMMAND OUT.bin [--seed N]

Every source is held out once: the table is trained on the others, and only the held-out scores are counted. The second
layer (signatures, disguise) is trained on held-out scores of the first, so that it learns what the table is worth on
text it does not know.
"""

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import zlib

import augment
import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

SLOTS = 1 << 16
SIGNATURES = 12
DISGUISES = 12
# Disguises that next to no honest text has (at most 14 of 10,690 here): all but letter-spacing. Each speaks
# for an attack by at least so much, whatever attacks of the kind there were to learn from.
RARE, RARE_LEAST = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11], 2.5
HEADER = 32
TOOL_LIKE = {"agent_instructions", "readme", "config", "source_code", "command_output", "log", "tool_result", "security_doc"}
# Labels that are known to be noisy count for less.
TRUST = {"satml-ctf-2024": 0.2, "deepset/prompt-injections": 0.5, "trustai/in-the-wild": 0.6, "wildguard-benign": 0.5, "synthetic": 0.3}
TRUST_OF_MACHINE = 0.5
# Sources that share authors or templates are held out together.
FAMILY = {"agentdojo": "agents", "agentdyn": "agents"}


def family(row):
    head, _, rest = row["source"].partition("/")
    if head == "machine":
        return f"machine-{zlib.crc32(rest.encode()) % 7}"
    return FAMILY.get(head, head)


def trust_of(row):
    return TRUST_OF_MACHINE if row["source"].startswith("machine/") else TRUST.get(row["source"], 1.0)


def features(rows, command):
    """Readings of all rows, as numpy arrays and one sparse matrix."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for row in rows:
            file.write(json.dumps({"text": row["text"]}) + "\n")
        file.flush()
        raw = subprocess.run(command.split() + [file.name], stdout=subprocess.PIPE, check=True).stdout
    numbers = np.frombuffer(raw, dtype="<u4")
    at, of, flags, signatures, indices, starts = 0, [], [], [], [], [0]
    while at < len(numbers):
        row, flag, bits, count = numbers[at:at + 4]
        slots = np.unique(numbers[at + 4:at + 4 + count] & (SLOTS - 1))
        of.append(row), flags.append(flag), signatures.append(bits), indices.append(slots)
        starts.append(starts[-1] + len(slots))
        at += 4 + int(count)
    lengths = np.diff(starts)
    data = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    matrix = csr_matrix((data, np.concatenate(indices).astype(np.int32), np.array(starts)), shape=(len(of), SLOTS))
    return np.array(of, dtype=int), np.array(flags), np.array(signatures), matrix


def fit(matrix, of, positive, weights, signatures, rounds=2, strength=12.0):
    """A linear model in which of each attack's readings only the one that looks most like one counts."""
    score = np.array([bin(s).count("1") for s in signatures], dtype=float)
    model = None
    for _ in range(rounds):
        best = {}
        for n in np.flatnonzero(positive):
            if of[n] not in best or score[n] > score[best[of[n]]]:
                best[of[n]] = n
        keep = ~positive
        keep[list(best.values())] = True
        w = weights[keep].copy()
        y = positive[keep]
        w[y] *= w[~y].sum() / w[y].sum()
        model = LogisticRegression(C=strength, max_iter=120, tol=1e-3)
        model.fit(matrix[keep], y, sample_weight=w)
        score = model.decision_function(matrix)
    return model


def second(linear, signatures, disguises):
    """What the second layer looks at; `Table::odds` computes the same."""
    bits = ((signatures[:, None] >> np.arange(SIGNATURES)) & 1).astype(float)
    hides = ((disguises[:, None] >> np.arange(DISGUISES)) & 1).astype(float)
    several = bits.sum(1)
    hidden = (disguises > 0) & ((several > 0) | (linear > 0))
    return np.column_stack([np.clip(linear, -8, 8), hidden, several >= 2, several >= 4, bits, hides])


def fit_second(x, of, positive, weights):
    # As above: the strongest reading of an attack, every reading of an honest text.
    score = x[:, 0] + x[:, 4:4 + SIGNATURES].sum(1)
    model = None
    for _ in range(2):
        best = {}
        for n in np.flatnonzero(positive):
            if of[n] not in best or score[n] > score[best[of[n]]]:
                best[of[n]] = n
        keep = ~positive
        keep[list(best.values())] = True
        w = weights[keep].copy()
        y = positive[keep]
        w[y] *= w[~y].sum() / w[y].sum()
        model = NonNegative().fit(x[keep], y, w)
        score = model.decision_function(x)
    return model


class NonNegative:
    """Logistic regression in which no evidence of an attack can speak for honesty."""

    def fit(self, x, y, w):
        w, sign = w / w.mean(), np.where(y, 1.0, -1.0)

        def loss(p):
            z = sign * (x @ p[1:] + p[0])
            slope = -w * sign / (1 + np.exp(z))
            return (w * np.logaddexp(0, -z)).sum() + p[1:] @ p[1:] / 2, np.r_[slope.sum(), x.T @ slope + p[1:]]

        found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0, None)] * x.shape[1])
        self.bias, self.coef = float(found.x[0]), found.x[1:]
        rare = 4 + SIGNATURES + np.array(RARE)
        self.coef[rare] = np.maximum(self.coef[rare], RARE_LEAST)
        return self

    def decision_function(self, x):
        return x @ self.coef + self.bias


def by_row(of, score, count):
    out = np.full(count, -9.0)
    np.maximum.at(out, of, score)
    return out


def report(name, rows, score):
    label = np.array([r["label"] == "injection" for r in rows])
    tool = np.array([r["label"] == "benign" and r["kind"] in TOOL_LIKE for r in rows])
    threshold = np.sort(score[tool])[int(np.ceil(0.99 * tool.sum()))]
    groups = {}
    for row, s in zip(rows, score):
        key = row["source"] if row["label"] == "injection" else "benign " + row["kind"]
        groups.setdefault(key, []).append(s > threshold)
    print(f"{name}: AUC {roc_auc_score(label, score):.3f}; against tool-like text {roc_auc_score(label[label | tool], score[label | tool]):.3f}; "
          f"at 1 % false positives on it: recall {np.mean(score[label] > threshold):.3f}, threshold {threshold:.2f}")
    print("   " + "; ".join(f"{k} {np.mean(v):.2f}" for k, v in sorted(groups.items())))
    plain = tool & np.array([r["kind"] != "security_doc" for r in rows])
    threshold = np.sort(score[plain])[int(np.ceil(0.99 * plain.sum()))]
    print(f"   with documents about security left out of tool-like text: recall {np.mean(score[label] > threshold):.3f}, threshold {threshold:.2f}")


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("data"), parse.add_argument("command"), parse.add_argument("out")
    parse.add_argument("--seed", type=int, default=7), parse.add_argument("--synthetic", type=int, default=3000)
    parse.add_argument("--keep", help="a file for the held-out scores, to look into")
    parse.add_argument("--honest", action="append", default=[], help="more honest texts, from honest.py")
    options = parse.parse_args()
    random.seed(options.seed)
    own = [json.loads(line) for line in open(options.data)]
    # Honest texts that `honest.py` gathered; trained on, and never part of the figures.
    machine = [json.loads(line) for path in options.honest for line in open(path)]
    hosts = [r["text"] for r in own if r["label"] == "benign" and r["kind"] in TOOL_LIKE]
    rows = own + machine + augment.rows(options.seed, hosts, options.synthetic)
    # Disguised copies of held-out attacks are scored with their source and never trained on.
    r = random.Random(options.seed + 1)
    short = [row for row in own if row["label"] == "injection" and len(row["text"]) < 900 and row["source"] != "satml-ctf-2024" and row["kind"] != "multilingual"]
    tests = []
    for name, hide in sorted(augment.DISGUISES.items()):
        tests += [dict(row, text=hide(r, row["text"]), disguise=name) for row in r.sample(short, 25)]
    of, flags, signatures, matrix = features(rows + tests, options.command)
    everything = rows + tests
    label = np.array([row["label"] == "injection" for row in everything])
    families = np.array([family(row) for row in everything])
    test = np.array(["disguise" in row for row in everything])
    count = np.bincount(of, minlength=len(everything))
    weights = np.array([trust_of(row) for row in everything]) / np.sqrt(np.maximum(count, 1))
    candidate, disguises = (flags & 1) > 0, flags >> 1
    print(f"{len(own)} rows, {len(machine)} honest ones of machines, {len(rows) - len(own) - len(machine)} synthetic, {len(tests)} disguised for test, {len(of)} readings; "
          f"looked at closely: {np.mean(candidate[label[of]]):.3f} of attacks' readings, {np.mean(candidate[~label[of]]):.3f} of others'")

    # Attack families and honest sources are dealt out so that each fold holds out some of both.
    attacks = sorted({f for f, l in zip(families, label) if l and f != "synthetic"})
    honest = sorted({f for f, l in zip(families, label) if not l and f != "synthetic" and f not in attacks})
    folds = [[a] + honest[n::len(attacks)] for n, a in enumerate(attacks)]
    linear = np.zeros(len(of))
    if True:
        inner = families == "synthetic"
        half = np.array([n // 2 % 2 for n in range(len(everything))])
        for fold in folds:
            out = np.isin(families, fold)
            train = ~out & ~test
            model = fit(matrix[train[of]], of[train[of]], label[of][train[of]], weights[of][train[of]], signatures[train[of]])
            linear[out[of]] = model.decision_function(matrix[out[of]])
            print("held out", ", ".join(fold[:3]), file=sys.stderr)
        # Synthetic rows are from one source; half and half is all that can be done.
        for side in (0, 1):
            train = ~test & ~(inner & (half == side))
            model = fit(matrix[train[of]], of[train[of]], label[of][train[of]], weights[of][train[of]], signatures[train[of]], rounds=1)
            out = inner & (half == side)
            linear[out[of]] = model.decision_function(matrix[out[of]])
        x = second(linear, signatures, disguises)
        if options.keep:
            np.savez(options.keep, x=x, of=of, label=label, candidate=candidate)
        real = ~test & (families != "synthetic") & ~np.char.startswith(families.astype(str), "machine-")
        pick = lambda score: by_row(of, np.where(candidate, score, -7.0), len(everything))
        score = pick(linear)
        report("table alone", [e for e, k in zip(everything, real) if k], score[real])
        held = np.zeros(len(of))
        weights2 = weights * np.where(families == "synthetic", 0.5, 1.0)
        # The second layer learns what signatures are worth where attacks are; texts of machines hold next to none.
        of_machine = np.char.startswith(families.astype(str), "machine-")
        for fold in folds + [["synthetic"]]:
            out = np.isin(families, fold)
            train = ~out & ~test & ~of_machine
            model2 = fit_second(x[train[of]], of[train[of]], label[of][train[of]], weights2[of][train[of]])
            held[out[of]] = model2.decision_function(x[out[of]])
        score = pick(held)
        report("table and signatures", [e for e, k in zip(everything, real) if k], score[real])
        tool = np.array([row["label"] == "benign" and row["kind"] in TOOL_LIKE for row in everything]) & real
        threshold = np.sort(score[tool])[int(np.ceil(0.99 * tool.sum()))]
        for name in sorted(augment.DISGUISES):
            hits = [s > threshold for s, row in zip(score, everything) if row.get("disguise") == name]
            print(f"   disguised by {name}: {np.mean(hits):.2f}")
        print(f"   disguised, all: {np.mean(score[test] > threshold):.3f}")
        last = (~test & ~of_machine)[of]
        final2 = fit_second(x[last], of[last], label[of][last], weights2[of][last])
        # One scale for the whole: held-out scores of texts, attacks and honest ones counting half each.
        texts = pick(held)[real & (count > 0)].reshape(-1, 1)
        truth = label[real & (count > 0)]
        trust = np.array([trust_of(row) for row, k in zip(everything, real & (count > 0)) if k])
        trust[truth] *= trust[~truth].sum() / trust[truth].sum()
        scale = LogisticRegression().fit(texts, truth, sample_weight=trust)
        slope, shift = float(scale.coef_[0, 0]), float(scale.intercept_[0])
        final2.coef, final2.bias = final2.coef * slope, final2.bias * slope + shift
        print(f"calibration: slope {slope:.2f}, shift {shift:.2f}; threshold above is {1 / (1 + np.exp(-(slope * threshold + shift))):.3f} as a score")
        print("second layer:", np.round(final2.bias, 2), np.round(final2.coef, 2))
        for n in range(DISGUISES):
            on = (disguises >> n & 1 > 0) & candidate
            print(f"   disguise {n}: {np.unique(of[on & ~label[of]]).size} honest texts, {np.unique(of[on & label[of] & ~test[of]]).size} attacks")
    train = ~test
    model = fit(matrix[train[of]], of[train[of]], label[of][train[of]], weights[of][train[of]], signatures[train[of]])
    write(options.out, model, final2)


def write(path, model, final):
    weights = model.coef_[0]
    # A few weights beyond the scale are cut; the rest gain precision.
    scale = np.quantile(np.abs(weights[weights != 0]), 0.9995) / 127
    table = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
    header = np.zeros(HEADER, dtype="<f4")
    header[0], header[1] = scale, model.intercept_[0]
    header[2], header[3] = final.bias, final.coef[0]
    header[4], header[5], header[6] = final.coef[1], final.coef[2], final.coef[3]
    header[8:8 + SIGNATURES + DISGUISES] = final.coef[4:]
    with open(path, "wb") as file:
        file.write(header.tobytes() + table.tobytes())


main()
