"""Trains the linear tables of the injection detector and prints how they do on sources they have not seen.

usage: train.py DATA.jsonl FEATURES_COMMAND OUT.bin [--seed N]

Every family of sources is held out once: the tables are trained on the others, and only the held-out scores are counted.
The second layer (signatures, disguises) is trained on held-out scores of the first, so that it learns what they are
worth on text they do not know. The same once more with texts dealt out at random, which says what can be hoped for
where the sources are the same.
"""

import argparse
import collections
import json
import os
import random
import subprocess
import tempfile
import warnings
import zlib

# Sums are the same on every machine only where nothing is added up side by side.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import augment
import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

SLOTS = 1 << 16
IDEA_SLOTS = 1 << 14
SIGNATURES = 12
DISGUISES = 14
# Disguises that next to no honest text has (at most 14 of 10,690 here): all but letter-spacing. Each speaks
# for an attack by at least so much, whatever attacks of the kind there were to learn from.
RARE, RARE_LEAST = list(range(12)), 2.5
# Those that honest texts have as well: words run together, and what a page does not show.
EVERYDAY = 1 << 12 | 1 << 13
HEADER = 48
# How freely the tables may follow the texts they learn from.
WORDS_C, IDEAS_C = 1.0, 0.5
# What a long text has more chances at: so much is taken off for each factor of e in its windows, up to so many.
LENGTH, WINDOWS = 0.3, 6
# The odds of a text without a candidate.
LOWEST = -7.0
TOOL_LIKE = {"agent_instructions", "readme", "config", "source_code", "command_output", "log", "tool_result", "security_doc"}
# Labels that are known to be noisy count for less.
TRUST = {"satml-ctf-2024": 0.2, "deepset/prompt-injections": 0.5, "trustai/in-the-wild": 0.6, "wildguard-benign": 0.5, "synthetic": 0.4}
TRUST_OF_MACHINE = 0.5
# Honest texts of our own are what an attack is most easily mistaken for: short requests from one person to another.
TRUST_OF_REQUESTS = 1.8
# Sources that share authors or templates are held out together.
FAMILY = {"agentdojo": "agents", "agentdyn": "agents"}


def family(row):
    head, _, rest = row["source"].partition("/")
    if head == "machine":
        return f"machine-{zlib.crc32(rest.encode()) % 7}"
    return FAMILY.get(head, head)


def trust_of(row):
    if row["source"] == "synthetic" and row["label"] == "benign":
        return TRUST_OF_REQUESTS
    return TRUST_OF_MACHINE if row["source"].startswith("machine/") else TRUST.get(row["source"], 1.0)


def features(rows, command):
    """Readings of all rows, as numpy arrays and one sparse matrix."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for row in rows:
            file.write(json.dumps({"text": row["text"]}) + "\n")
        file.flush()
        raw = subprocess.run(command.split() + [file.name], stdout=subprocess.PIPE, check=True).stdout
    numbers = np.frombuffer(raw, dtype="<u4")
    at, of, flags, signatures, words, ideas = 0, [], [], [], [], []
    while at < len(numbers):
        row, flag, bits, count, more = (int(n) for n in numbers[at:at + 5])
        at += 5
        of.append(row), flags.append(flag), signatures.append(bits)
        words.append(np.unique(numbers[at:at + count] & (SLOTS - 1)))
        ideas.append(np.unique(numbers[at + count:at + count + more] & (IDEA_SLOTS - 1)))
        at += count + more
    return np.array(of), np.array(flags), np.array(signatures), sparse(words, SLOTS), sparse(ideas, IDEA_SLOTS)


def sparse(touched, width):
    """One row a reading, of length one whatever the number of its features."""
    lengths = np.array([len(slots) for slots in touched])
    data = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    return csr_matrix((data, np.concatenate(touched).astype(np.int32), np.r_[0, np.cumsum(lengths)]), shape=(len(touched), width))


def windows(text):
    """How many windows `candidates::every` gives."""
    return max(1, -(-len(text.encode()) // 256) - 1)


def strongest(score, of, among):
    """Of each text the reading that scores highest."""
    rows = np.flatnonzero(among)
    rows = rows[np.lexsort((-score[rows], of[rows]))]
    return rows[np.r_[True, of[rows][1:] != of[rows][:-1]]]


def balanced(weights, positive):
    """Both classes count the same; one reading counts one on average, so that strengths mean the same for any data."""
    w = weights.copy()
    w[positive] *= w[~positive].sum() / w[positive].sum()
    return w / w.mean()


def fit(data, matrix, train):
    """A linear model in which of each attack's readings only the one with most signatures counts. Ten passes over the data
    are enough. It is held short (`C`), or it learns the sources by heart and not what they have in common."""
    attacks = data.label[data.of]
    keep = train[data.of] & ~attacks
    keep[strongest(np.bitwise_count(data.signatures).astype(float), data.of, train[data.of] & attacks)] = True
    warnings.simplefilter("ignore", ConvergenceWarning)
    strength = WORDS_C if matrix is data.words else IDEAS_C
    model = LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=10, tol=1e-3, random_state=1)
    return model.fit(matrix[keep], attacks[keep], sample_weight=balanced(data.weights[keep], attacks[keep]))


def second(data, linear, ideas):
    """What the second layer looks at; `Table::odds` computes the same."""
    bits = ((data.signatures[:, None] >> np.arange(SIGNATURES)) & 1).astype(float)
    hides = ((data.disguises[:, None] >> np.arange(DISGUISES)) & 1).astype(float)
    several = bits.sum(1)
    hidden = (data.disguises & ~EVERYDAY > 0) & ((several > 0) | (linear > 0))
    everyday = (data.disguises & EVERYDAY > 0) & ((several > 0) | (linear + ideas > 0))
    return np.column_stack([np.clip(linear, -8, 8), hidden, several >= 2, several >= 4, bits, hides, everyday, np.clip(ideas, -8, 8)])


def fit_second(data, x, train):
    """Of each text, attack or not, the strongest reading counts, as it does when a text is scored."""
    score = x[:, 0] + x[:, -1] + x[:, 4:4 + SIGNATURES].sum(1)
    attacks, made = data.label[data.of], (data.families == "synthetic")[data.of]
    for _ in range(2):
        keep = strongest(score, data.of, train[data.of])
        weights = data.weights[keep] * np.where(made[keep], 0.5, 1.0)
        model = NonNegative().fit(x[keep], attacks[keep], balanced(weights, attacks[keep]))
        score = model.decision_function(x)
    return model


class NonNegative:
    """Logistic regression in which no evidence of an attack can speak for honesty."""

    def fit(self, x, y, w):
        sign = np.where(y, 1.0, -1.0)

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


def held_out(data, folds):
    """What the table and what both layers say of each reading by models that never saw a text of its fold."""
    linear, ideas, odds = (np.zeros(len(data.of)) for _ in range(3))
    for out in folds:
        reading, train = out[data.of], ~out & ~data.test
        linear[reading] = fit(data, data.words, train).decision_function(data.words[reading])
        ideas[reading] = fit(data, data.ideas, train).decision_function(data.ideas[reading])
    x = second(data, linear, ideas)
    for out in folds:
        reading = out[data.of]
        odds[reading] = fit_second(data, x, ~out & ~data.test).decision_function(x[reading])
    return linear, ideas, x, odds


def by_text(data, odds):
    """The score of each text as `Detector::score` computes it, before it is made a probability."""
    out = np.full(len(data.rows), LOWEST)
    np.maximum.at(out, data.of, np.where(data.candidate, odds, LOWEST))
    return out - LENGTH * np.log(np.minimum(data.windows, WINDOWS))


def by_families(data):
    """Attack families and honest sources are dealt out so that each fold holds out some of both."""
    attacks = sorted({f for f, l, t in zip(data.families, data.label, data.test) if l and not t and f != "synthetic"})
    honest = sorted({f for f, l in zip(data.families, data.label) if not l and f != "synthetic" and f not in attacks})
    folds = [np.isin(data.families, [a] + honest[n::len(attacks)]) for n, a in enumerate(attacks)]
    # Synthetic rows are from one source; half and half is all that can be done.
    half = np.array([n // 2 % 2 for n in range(len(data.rows))])
    return folds + [(data.families == "synthetic") & (half == side) for side in (0, 1)]


def at_random(data, seed):
    """Texts dealt out one by one; a disguised copy goes with its original."""
    deal = {}
    r = random.Random(seed)
    place = np.array([deal.setdefault(row.get("copy", n), r.randrange(5)) for n, row in enumerate(data.rows)])
    return [place == n for n in range(5)]


def threshold_of(score, tool):
    return np.sort(score[tool])[int(np.ceil(0.99 * tool.sum()))]


def report(name, data, score):
    label, rows = data.label & data.real, data.rows
    print(f"{name}: AUC {roc_auc_score(data.label[data.real], score[data.real]):.3f}; against tool-like text "
          f"{roc_auc_score(label[label | data.tool], score[label | data.tool]):.3f}")
    plain = data.tool & np.array([row["kind"] != "security_doc" for row in rows])
    for what, honest in [("tool-like text", data.tool), ("the same without documents about security", plain)]:
        threshold = threshold_of(score, honest)
        print(f"   at 1 % false positives on {what}: recall {np.mean(score[label] > threshold):.3f}, disguised {np.mean(score[data.test] > threshold):.3f}, "
              f"honest texts of machines {np.mean(score[data.machine] > threshold) if data.machine.any() else 0:.4f}, made up {np.mean(score[data.made] > threshold):.3f}")
    threshold, groups = threshold_of(score, data.tool), collections.defaultdict(list)
    for row, s, test, real in zip(rows, score, data.test, data.real):
        if test:
            groups["disguised by " + row["disguise"]].append(s > threshold)
        elif real:
            groups[row["source"] if row["label"] == "injection" else "benign " + row["kind"]].append(s > threshold)
    print("   " + "; ".join(f"{k} {np.mean(v):.2f}" for k, v in sorted(groups.items())))


def gather(options):
    """All rows with what the detector reads in them."""
    own = [json.loads(line) for line in open(options.data)]
    # Honest texts that `honest.py` gathered; trained on, and never part of the figures.
    machine = [json.loads(line) for path in options.honest for line in open(path)]
    hosts = [r["text"] for r in own if r["label"] == "benign" and r["kind"] in TOOL_LIKE]
    # Disguised copies of held-out attacks are scored with their source and never trained on.
    r = random.Random(options.seed + 1)
    short = [n for n, row in enumerate(own) if row["label"] == "injection" and len(row["text"]) < 900 and row["source"] != "satml-ctf-2024" and row["kind"] != "multilingual"]
    tests = []
    for name, hide in sorted(augment.DISGUISES.items()):
        tests += [dict(own[n], text=hide(r, own[n]["text"]), disguise=name, copy=n) for n in r.sample(short, 25)]
    data = argparse.Namespace(rows=own + machine + augment.rows(options.seed, hosts, options.synthetic) + tests)
    data.of, flags, data.signatures, data.words, data.ideas = features(data.rows, options.command)
    data.candidate, data.disguises = (flags & 1) > 0, flags >> 1
    data.label = np.array([row["label"] == "injection" for row in data.rows])
    data.families = np.array([family(row) for row in data.rows])
    data.windows = np.array([windows(row["text"]) for row in data.rows])
    data.test = np.array(["copy" in row for row in data.rows])
    data.machine = np.char.startswith(data.families.astype(str), "machine-")
    data.made = ~data.label & (data.families == "synthetic")
    data.real = ~data.test & ~data.machine & (data.families != "synthetic")
    data.tool = data.real & ~data.label & np.array([row["kind"] in TOOL_LIKE for row in data.rows])
    count = np.bincount(data.of, minlength=len(data.rows))
    data.weights = (np.array([trust_of(row) for row in data.rows]) / np.sqrt(np.maximum(count, 1)))[data.of]
    print(f"{len(own)} rows, {len(machine)} honest ones of machines, {2 * options.synthetic} synthetic, {len(tests)} disguised for test, {len(data.of)} readings; "
          f"looked at closely: {np.mean(data.candidate[data.label[data.of]]):.3f} of attacks' readings, {np.mean(data.candidate[~data.label[data.of]]):.3f} of others'")
    return data


def calibrated(data, odds, final):
    """One scale for the whole, by held-out scores, attacks and honest texts counting half each."""
    score = by_text(data, odds)
    trust = balanced(np.array([trust_of(row) for row in data.rows])[data.real], data.label[data.real])
    scale = LogisticRegression().fit(score[data.real].reshape(-1, 1), data.label[data.real], sample_weight=trust)
    slope, shift = float(scale.coef_[0, 0]), float(scale.intercept_[0])
    probability = 1 / (1 + np.exp(-(slope * score + shift)))
    print(f"calibration: slope {slope:.2f}, shift {shift:.2f}; the threshold of 1 % is {threshold_of(probability, data.tool):.3f}")
    for flag in (0.5, 0.83):
        print(f"   at {flag}: recall {np.mean(probability[data.label & data.real] > flag):.3f}, disguised {np.mean(probability[data.test] > flag):.3f}, "
              f"false positives on tool-like text {np.mean(probability[data.tool] > flag):.4f}")
    final.coef, final.bias = final.coef * slope, final.bias * slope + shift
    return final, LENGTH * slope


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("data"), parse.add_argument("command"), parse.add_argument("out")
    parse.add_argument("--seed", type=int, default=7), parse.add_argument("--synthetic", type=int, default=8000)
    parse.add_argument("--honest", action="append", default=[], help="more honest texts, from honest.py")
    options = parse.parse_args()
    data = gather(options)
    linear, ideas, x, odds = held_out(data, by_families(data))
    report("held out by families, table of words alone", data, by_text(data, linear))
    report("held out by families, table of ideas alone", data, by_text(data, ideas))
    report("held out by families, tables and signatures", data, by_text(data, odds))
    report("held out at random, tables and signatures", data, by_text(data, held_out(data, at_random(data, options.seed))[-1]))
    final, length = calibrated(data, odds, fit_second(data, x, ~data.test))
    print("second layer:", np.round(final.bias, 2), np.round(final.coef, 2))
    for n in range(DISGUISES):
        on = (data.disguises >> n & 1 > 0) & data.candidate
        print(f"   disguise {n}: {np.unique(data.of[on & ~data.label[data.of]]).size} honest texts, {np.unique(data.of[on & data.label[data.of] & ~data.test[data.of]]).size} attacks")
    write(options.out, fit(data, data.words, ~data.test), fit(data, data.ideas, ~data.test), final, length)


def quantised(model):
    """A byte a weight and what one is worth. A few weights beyond the scale are cut; the rest gain precision."""
    weights = model.coef_[0]
    scale = np.quantile(np.abs(weights[weights != 0]), 0.9995) / 127
    return scale, np.clip(np.round(weights / scale), -127, 127).astype(np.int8)


def write(path, words, ideas, final, length):
    """The file as `model.rs` reads it."""
    header = np.zeros(HEADER, dtype="<f4")
    (header[0], words_table), header[1] = quantised(words), words.intercept_[0]
    (header[40], ideas_table), header[41] = quantised(ideas), ideas.intercept_[0]
    header[2], header[3], header[42], header[43] = final.bias, final.coef[0], final.coef[-1], final.coef[-2]
    header[4], header[5], header[6], header[7] = final.coef[1], final.coef[2], final.coef[3], length
    header[8:8 + SIGNATURES + DISGUISES] = final.coef[4:-2]
    with open(path, "wb") as file:
        file.write(header.tobytes() + words_table.tobytes() + ideas_table.tobytes())


main()
