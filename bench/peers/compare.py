#!/usr/bin/env python3
"""weir and llama.cpp in turn (A B A B ...) on the same weights, shapes and threads: one table of ratios per format.

Called by bench/peers/run, which builds both sides and writes the models. A round is one process of each side, weir
first in even rounds and llama.cpp first in odd ones; a figure is the median of the rounds, a ratio the median of the
rounds' own ratios. Prefill is llama-bench's pp, decode llama-batched-bench's tg at a shared prompt of CONTEXT tokens
(-pps: computed once and copied; every sequence still reads its own). Neither side samples. Both keep 16-bit KV.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

# ours -> theirs: the same bits for every weight, up to how the 16 are used.
PAIRS = {"bf16": "f16", "int8": "q8_0", "int4": "q4_0"}
# Issue 5: times llama.cpp's tokens per second.
GOALS = {("decode", 1): {"bf16": 1.5, "int8": 1.5, "int4": 1.5}, ("decode", 32): {"bf16": 2.2, "int8": 2.2, "int4": 2.2},
         ("prefill", 512): {"int8": 1.8, "int4": 2.2}}


def numbers(text):
    return [int(word) for word in text.split(",") if word]


def call(command, environment=None):
    """RETURNS: stdout; ends the program with the command's own last lines when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n" + done.stderr[-2000:])
    return done.stdout


class Weir:
    def __init__(self, args, ours):
        self.args, self.format = args, ours
        self.environment = dict(os.environ, **({"WEIR_ISA": args.isa} if args.isa else {}))
        self.bits = 0.0

    def run(self, prefills, batches, context):
        args, out = self.args, self.args.work / "weir.json"
        call([args.bench_model, "--model", args.work / args.shape, "--shape", args.shape, "--format", self.format,
              "--threads", args.threads, "--prefill", ",".join(map(str, prefills)), "--batch",
              ",".join(map(str, batches)), "--context", context, "--rounds", 3, "--json", out], self.environment)
        result = json.loads(out.read_text())
        found = {}
        for row in result["rows"]:
            self.bits = row["bits"]
            key = row["context"] if row["kind"] == "prefill" else row["batch"]
            found[row["kind"], key] = row["tokens_per_s"]
        return found


class Llama:
    def __init__(self, args, theirs):
        self.args, self.bits = args, 0.0
        self.file = args.work / args.shape / f"{theirs}.gguf"

    def run(self, prefills, batches, context):
        found = {}
        if prefills:
            # The first test of an unwarmed process is thrown away: it pays for pages and thread starts.
            tests = json.loads(call([self.args.llama / "llama-bench", "-m", self.file, "-t", self.args.threads, "-n", 0,
                                     "-r", 1, "--no-warmup", "-o", "json", "-p", ",".join(map(str, [64, *prefills]))]))
            self.bits = 8 * tests[0]["model_size"] / tests[0]["model_n_params"]
            for test in tests[1:]:
                found["prefill", test["n_prompt"]] = test["avg_ts"]
        for group, tokens in ((list(b for b in batches if b <= 8), 24), (list(b for b in batches if b > 8), 8)):
            if group:
                found.update(self.decode(group, tokens, context))
        return found

    def decode(self, batches, tokens, context):
        most = max(batches)
        lines = call([self.args.llama / "llama-batched-bench", "-m", self.file, "-t", self.args.threads, "-tb",
                      self.args.threads, "-c", (context + tokens + 64) * most, "-b", 2048, "-ub", 512, "-pps", "-npp",
                      context, "-ntg", tokens, "-npl", ",".join(map(str, batches)), "--output-format", "jsonl"])
        rows = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
        return {("decode", row["pl"]): row["speed_tg"] for row in rows}


def in_turn(sides, rounds, *what):
    """RETURNS: a list of (weir's, llama.cpp's) results, one per round."""
    results = []
    for number in range(rounds):
        order = [0, 1] if number % 2 == 0 else [1, 0]
        pair = [None, None]
        for side in order:
            pair[side] = sides[side].run(*what)
        results.append(pair)
    return results


def print_rows(results, ours, context):
    for key in results[0][0]:
        if any(key not in theirs for _, theirs in results):
            continue
        mine = statistics.median(pair[0][key] for pair in results)
        other = statistics.median(pair[1][key] for pair in results)
        ratio = statistics.median(pair[0][key] / pair[1][key] for pair in results)
        goal = GOALS.get(key, {}).get(ours) if context == 128 else None
        where = "" if key[0] == "prefill" else f" at {context}"
        print(f"| {key[0]} {'x' if key[0] == 'decode' else ''}{key[1]}{where} | {mine:.1f} | {other:.1f} | {ratio:.2f} | "
              f"{goal or ''} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-model", type=Path, required=True, help="the program bench_model")
    parser.add_argument("--llama", type=Path, required=True, help="directory of llama-bench and llama-batched-bench")
    parser.add_argument("--work", type=Path, required=True, help="directory with SHAPE/, as bench/peers/run makes it")
    parser.add_argument("--shape", default="qwen2.5-0.5b")
    parser.add_argument("--formats", default=",".join(PAIRS), help="of " + ", ".join(PAIRS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefill", type=numbers, default=[128, 512, 2048])
    parser.add_argument("--batch", type=numbers, default=[1, 4, 8, 16, 32, 64])
    parser.add_argument("--deep", type=numbers, default=[1, 4, 8], help="batches at a context of 4096, one round; '' none")
    parser.add_argument("--quick", action="store_true", help="one round; prefill 512, decode x1, x8 and x32")
    parser.add_argument("--isa", default="", help="WEIR_ISA for our side")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.prefill, args.batch, args.deep = 1, [512], [1, 8, 32], []
    context_max = json.loads((args.work / args.shape / "config.json").read_text())["max_position_embeddings"]
    for ours in args.formats.split(","):
        if ours not in PAIRS:
            sys.exit(f"--formats: '{ours}' is none of {', '.join(PAIRS)}")
        sides = Weir(args, ours), Llama(args, PAIRS[ours])
        results = in_turn(sides, args.rounds, args.prefill, args.batch, 128)
        print(f"\n{args.shape}, {args.threads} threads, {args.rounds} rounds in turn; weir {args.isa or 'best'} {ours} "
              f"({sides[0].bits:.2f} bits a weight), llama.cpp {PAIRS[ours]} ({sides[1].bits:.2f} bits)\n")
        print("| tokens/s | weir | llama.cpp | ratio | goal |\n|---|---|---|---|---|")
        print_rows(results, ours, 128)
        if args.deep and context_max > 4096 + 64:
            print_rows(in_turn(sides, 1, [], args.deep, 4096), ours, 4096)


if __name__ == "__main__":
    main()
