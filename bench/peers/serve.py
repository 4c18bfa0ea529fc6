#!/usr/bin/env python3
"""weir serve and llama-server in turn (A B A B ...) on the same weights: served throughput, and what a long prompt does
to the streams that run beside it.

Called by bench/peers/run. Two tables for each format:

1. `weir bench` as the load tester against both: CLIENTS closed-loop streaming clients, 128 tokens in, 64 out, greedy,
   answers of full length (ignore_eos), texts that share no beginning.
2. Streams that run undisturbed for some seconds, then a prompt of 2,000 tokens arrives: the times between two tokens of
   a stream before, and from its arrival until its first token.

llama-server gets a context that fits both tables in every slot, and no RAM cache of old prompts, which would cost it
time here. Only Python's own library is used.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import statistics
import string
import subprocess
import sys
import threading
import time
from pathlib import Path

from compare import PAIRS, call

SLOT_TOKENS = 2304  # a prompt of 2,000, or one of 128 and what a stream says meanwhile
STREAM_TOKENS = 2000
READY_SECONDS = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command_of(side, args, ours, port):
    model = args.work / args.shape
    if side == "weir":
        formats = [] if ours == "bf16" else ["--model-format", ours]
        return [args.weir, "serve", model, *formats, "--server-port", port, "--threads", args.threads, "--session-len",
                SLOT_TOKENS, "--max-batch-size", args.clients, "--cache-max-entry-count", "2GiB", *args.weir_flags.split()]
    return [args.llama / "llama-server", "-m", model / f"{PAIRS[ours]}.gguf", "--host", "127.0.0.1", "--port", port, "-t",
            args.threads, "-np", args.clients, "-c", SLOT_TOKENS * args.clients, "--cache-ram", 0]


@contextlib.contextmanager
def running(side, args, ours):
    """The server, once it answers; ended at the end. Yields its port."""
    port, log_path = free_port(), args.work / f"{side}.log"
    environment = dict(os.environ, **({"WEIR_ISA": args.isa} if args.isa else {}))
    with log_path.open("w") as log:
        command = [str(word) for word in command_of(side, args, ours, port)]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_until_ready(server, port, log_path)
            yield port
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_until_ready(server, port, log_path):
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up and server.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v1/models")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    sys.exit(f"the server did not start; its log is {log_path}:\n" + log_path.read_text()[-1500:])


def load(port, args):
    out = args.work / "load.json"
    call([args.weir, "bench", f"http://127.0.0.1:{port}", "--endpoint", "completions", "--concurrency", args.clients,
          "--requests", args.clients * args.waves, "--prompt-tokens", "fixed:128", "--output-tokens", "fixed:64",
          "--ignore-eos", "on", "--temperature", 0, "--json", out])
    result = json.loads(out.read_text())
    requests = result["requests"]
    if requests["completed"] != requests["sent"] or result["tokens"]["output"] != 64 * requests["sent"]:
        sys.exit(f"not all answers were complete: {requests}, {result['tokens']}, {result['errors']}")
    latency = result["latency_ms"]
    return {"output tokens/s": result["throughput"]["output_tokens_per_s"],
            "prompt tokens a request": result["tokens"]["prompt"] / requests["sent"],
            "time to first token p50, ms": latency["ttft"]["p50"], "inter-token p50, ms": latency["itl"]["p50"],
            "inter-token p99, ms": latency["itl"]["p99"]}


class Stream(threading.Thread):
    """One streaming completion of a random text; the shapes' tokeniser makes a token of every letter."""

    def __init__(self, port, model, prompt_tokens, output_tokens, seed):
        super().__init__(daemon=True)
        letters = random.Random(seed)
        self.port, self.times, self.leave, self.error = port, [], threading.Event(), ""
        self.body = json.dumps({"model": model, "prompt": "".join(letters.choices(string.ascii_letters, k=prompt_tokens)),
                                "max_tokens": output_tokens, "temperature": 0, "ignore_eos": True, "stream": True})

    def ask(self):
        """RETURNS: the connection and the answer; a listener whose backlog is full is asked again."""
        for _ in range(20):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
                connection.request("POST", "/v1/completions", self.body, {"Content-Type": "application/json"})
                return connection, connection.getresponse()
            except OSError as error:
                self.error = repr(error)
                time.sleep(0.1)
        return None, []

    def run(self):
        connection, answer = self.ask()
        for line in answer:
            if self.leave.is_set():
                break
            if line.startswith(b"data: {") and b'"text":""' not in line:
                self.times.append(time.monotonic())
            elif line.strip() and not self.times:
                self.error = line[:300]
        if connection is not None:
            connection.close()


def p99(values):
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


def gaps(streams, begin, end):
    """RETURNS: milliseconds between two tokens of a stream, for gaps that touch [begin, end]; at least one."""
    found = []
    for stream in streams:
        times = list(stream.times)
        found += [1e3 * (b - a) for a, b in zip(times, times[1:]) if b >= begin and a <= end]
    if not found:
        sys.exit("no token came in the time that is measured; raise --seconds")
    return found


def wait_for_tokens(streams, count):
    give_up = time.monotonic() + 300
    while any(len(stream.times) < count for stream in streams):
        if time.monotonic() > give_up or any(not stream.is_alive() for stream in streams):
            sys.exit("a stream ended before its fourth token, or none came in five minutes: "
                     + str([stream.error for stream in streams if stream.error]))
        time.sleep(0.05)


def disturb(port, args):
    streams = [Stream(port, args.shape, 128, STREAM_TOKENS, seed) for seed in range(args.streams)]
    for stream in streams:
        stream.start()
    wait_for_tokens(streams, 4)
    quiet_begin = time.monotonic()
    time.sleep(args.seconds)
    arrival = time.monotonic()
    intruder = Stream(port, args.shape, 2000, 1, 4711)
    intruder.start()
    intruder.join(600)
    if not intruder.times or not all(stream.is_alive() for stream in streams):
        sys.exit("the long prompt got no token, or a stream ended before it: no figure")
    first = intruder.times[0]
    time.sleep(0.5)  # the gap that the last chunk made has ended
    for stream in streams:
        stream.leave.set()
    quiet, busy = gaps(streams, quiet_begin, arrival - 0.001), gaps(streams, arrival, first)
    for stream in streams:
        stream.join(60)
    return {"undisturbed p50, ms": statistics.median(quiet), "undisturbed p99, ms": p99(quiet),
            "with the prompt p50, ms": statistics.median(busy), "with the prompt p99, ms": p99(busy),
            "with the prompt, longest, ms": max(busy),
            "p99 with / undisturbed": p99(busy) / p99(quiet), "prompt's first token, ms": 1e3 * (first - arrival)}


def print_table(title, rounds):
    print(f"\n{title}\n\n| | weir | llama-server | weir / llama-server |\n|---|---|---|---|")
    for key in rounds[0]["weir"]:
        mine, other = (statistics.median(one[side][key] for one in rounds) for side in ("weir", "llama"))
        ratio = statistics.median(one["weir"][key] / max(1e-9, one["llama"][key]) for one in rounds)
        print(f"| {key} | {mine:.1f} | {other:.1f} | {ratio:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", type=Path, required=True, help="the program weir")
    parser.add_argument("--llama", type=Path, required=True, help="directory of llama-server")
    parser.add_argument("--work", type=Path, required=True, help="directory with SHAPE/, as bench/peers/run makes it")
    parser.add_argument("--shape", default="qwen2.5-0.5b")
    parser.add_argument("--formats", default="int8,int4", help="of " + ", ".join(PAIRS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--waves", type=int, default=3, help="requests of each client")
    parser.add_argument("--streams", type=int, default=8, help="that run while the long prompt arrives")
    parser.add_argument("--seconds", type=float, default=5, help="undisturbed before it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, one wave")
    parser.add_argument("--isa", default="", help="WEIR_ISA for our side")
    parser.add_argument("--weir-flags", default="", help="more for weir serve, such as '--tpot-slo 100ms'")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # so that no server stays behind
    if args.quick:
        args.rounds, args.waves = 1, 1
    for ours in args.formats.split(","):
        loads, disturbed = [], []
        for number in range(args.rounds):
            loads.append({})
            disturbed.append({})
            for side in ("weir", "llama") if number % 2 == 0 else ("llama", "weir"):
                with running(side, args, ours) as port:
                    loads[-1][side] = load(port, args)
                    disturbed[-1][side] = disturb(port, args)
        weir = f"weir {args.isa or 'best'} {ours} {args.weir_flags}".strip()
        what = f"{args.shape}, {args.threads} threads, {weir}, llama.cpp {PAIRS[ours]}, {args.rounds} rounds in turn"
        print_table(f"{what}: {args.clients} clients, 128 in, 64 out, {args.waves} each", loads)
        print_table(f"{what}: {args.streams} streams, then a prompt of 2,000 tokens", disturbed)


if __name__ == "__main__":
    main()
