"""Our Jinja engine against jinja2 in transformers' environment: the same text, or both refuse.

    WEIR_JINJA_PROBE=build/release/tests/tools/jinja_probe python -m pytest tests/python/test_jinja.py

Skips, saying so, where jinja2, the probe or the data (WEIR_DATA, default ../shared/data) is absent.
"""

import functools
import itertools
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed")

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import make_jinja_goldens as goldens  # noqa: E402
from jinja_snippets import REFUSED, SNIPPETS, RandomExpressions  # noqa: E402

DATA = Path(os.environ.get("WEIR_DATA", REPO.parent / "shared/data"))
PROBE = Path(os.environ.get("WEIR_JINJA_PROBE", REPO / "build/release/tests/tools/jinja_probe"))
RANDOM_EXPRESSIONS = int(os.environ.get("WEIR_JINJA_RANDOM", "20000"))
SEED = int(os.environ.get("WEIR_JINJA_SEED", "20251123"))
# What weir refuses on purpose where Python goes on: 64-bit integers, and budgets.
OURS_ALONE = re.compile(r"64 bit|64-bit|beyond 64|format width or precision|bytes of values|value of \d+ bytes|"
                        r"float precision is at most|repeats a")
# Python prints functions with their address and methods with their object; weir says <function>.
ADDRESS = re.compile(r"0x[0-9a-f]{8}|<bound method ", re.IGNORECASE)
# jinja2 folds a slice of a literal that cannot be sliced, (1)[:2], into undefined; weir refuses as it does for variables.
FOLDED = re.compile(r"cannot slice")


class Probe:
    def __init__(self):
        self.process = subprocess.Popen([str(PROBE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, template, context, immutable=True):
        request = {"template": template, "context": json.dumps(context), "now": goldens.NOW, "immutable": immutable}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the probe died on template {template!r} with context {json.dumps(context)}"
        return json.loads(line)


@pytest.fixture(scope="module")
def probe():
    if not PROBE.exists():
        pytest.skip(f"jinja_probe is not built at {PROBE}; set WEIR_JINJA_PROBE")
    p = Probe()
    yield p
    p.process.stdin.close()
    assert p.process.wait(timeout=30) == 0, "the probe ended with an error"


def compare(probe, env, template, context, immutable=True):
    """RETURNS: what differs, or None; and whether jinja2 rendered."""
    want = goldens.render(env, template, context)
    got = probe(template, context, immutable)
    rendered = "ok" in want
    same = want == got if rendered else "ok" not in got
    same |= rendered and bool(ADDRESS.search(want["ok"]))
    same |= "error" in got and bool(OURS_ALONE.search(got["error"]))
    return None if same else f"jinja2: {want}\n  weir: {got}", rendered


# ---- whole templates ------------------------------------------------------------------------------


def data_templates():
    """Every template in the data: *.jinja files, and chat_template in JSON files (one, or several by name)."""
    for path in sorted(DATA.rglob("*.jinja")):
        yield path.name, path.read_text(encoding="utf-8")
    for path in sorted([*DATA.rglob("*tokenizer_config.json"), *DATA.rglob("*chat_template*.json")]):
        source = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        several = source if isinstance(source, list) else [{"name": "", "template": source}] if source else []
        for each in several:
            yield f"{path.relative_to(DATA)}:{each['name']}", each["template"]


def tool_result(content, **extra):
    return {"role": "tool", "content": content, **extra}


def call(arguments, identifier="abcdefghi", name="get_weather"):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def conversations():
    user = {"role": "user", "content": "What is 1 < 2 & \"3\"?\n"}
    system = {"role": "system", "content": " You are terse.\n\n"}
    answer = {"role": "assistant", "content": "True. "}
    named = dict(goldens.CONVERSATIONS)
    named["empty list"] = []
    named["empty content"] = [{"role": "user", "content": ""}]
    named["none content"] = [user, {"role": "assistant", "content": None}]
    named["missing content"] = [user, {"role": "assistant"}]
    named["system last"] = [user, answer, system]
    named["two users"] = [user, user]
    named["long"] = [system] + [user, answer] * 6 + [user]
    named["ends with assistant"] = [user, answer]
    named["unicode"] = [{"role": "user", "content": "ß İ 👨‍👩‍👧 \u2028\x00\x1f \ud7ff \U0010ffff \t\r\n\v x\u00a0"}]
    named["developer"] = [{"role": "developer", "content": "dev"}, user]
    named["odd role"] = [{"role": "critic", "content": "hm"}, user]
    for kind, arguments in (("dict", {"city": "Köln", "n": 1.0, "deep": {"a": [1, None, True]}, "s": "it's \"x\""}),
                            ("text", '{"city": "Köln"}'), ("empty", {})):
        calls = {"role": "assistant", "content": "", "tool_calls": [call(arguments)]}
        named[f"call {kind}"] = [system, user, calls, tool_result("12 °C", tool_call_id="abcdefghi", name="get_weather")]
        named[f"call {kind} then answer"] = [user, calls, tool_result("[1, 2]", tool_call_id="abcdefghi"), answer, user]
    named["call with text and two results"] = [
        user, {"role": "assistant", "content": "Let me see.", "reasoning_content": "hmm\n",
               "tool_calls": [call({"city": "A"}), call({"values": [1, 2]}, "123456789", "add")]},
        tool_result("one", tool_call_id="abcdefghi"), tool_result({"sum": 3}, tool_call_id="123456789"), answer]
    named["call none content"] = [user, {"role": "assistant", "content": None, "tool_calls": [call({"city": "A"})]}]
    named["bare call"] = [user, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]}]
    named["no calls"] = [user, {"role": "assistant", "content": "x", "tool_calls": []}, user]
    named["thinking fields"] = [user, {"role": "assistant", "content": "Yes", "reasoning_content": "\nso\n",
                                       "thinking": "t", "reasoning": "r"}, user, answer]
    named["think tags"] = [user, {"role": "assistant", "content": "<think>\na\n</think>\n\nb</think>c"}, user]
    named["parts everywhere"] = [{"role": "system", "content": [{"type": "text", "text": "S"}]},
                                 {"role": "user", "content": [{"type": "text", "text": "U"}, {"type": "image_url", "image_url": {"url": "u"}}]},
                                 {"role": "assistant", "content": [{"type": "text", "text": "A"}]}]
    named["media parts"] = [{"role": "user", "content": [{"type": "image"}, {"type": "video"}, {"type": "audio"}, {"type": "odd"}]}]
    return named


def contexts():
    base = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    tool_sets = [{}, {"tools": None}, {"tools": []}, {"tools": [goldens.WEATHER, goldens.ADD]}]
    switches = [{"add_generation_prompt": True}, {"add_generation_prompt": False},
                {"add_generation_prompt": True, "enable_thinking": True},
                {"add_generation_prompt": True, "enable_thinking": False, "thinking": False},
                {"add_generation_prompt": True, "thinking": True, "reasoning_effort": "high", "date_string": "1 Jan 2026",
                 "documents": [{"title": "T", "text": "body", "doc_id": 1}], "keep_thinking": True}]
    for (name, messages), tools, switch in itertools.product(conversations().items(), tool_sets, switches):
        yield f"{name} {switch} tools={len(tools.get('tools') or []) if tools else 'absent'}", {
            "messages": messages, **base, **tools, **switch}


ALL_TEMPLATES = list(data_templates()) if DATA.is_dir() else []


@pytest.mark.skipif(not ALL_TEMPLATES, reason=f"no chat templates under {DATA}; set WEIR_DATA")
@pytest.mark.parametrize("name, source", ALL_TEMPLATES, ids=[name for name, _ in ALL_TEMPLATES])
def test_published_template(probe, name, source):
    env = goldens.environment()
    total, rendered, differing = 0, 0, []
    for case, context in contexts():
        total += 1
        difference, ok = compare(probe, env, source, context)
        if difference:
            differing.append(f"{case}\n{difference}")
        rendered += ok
    assert not differing, f"{len(differing)} of {total} contexts differ:\n" + "\n".join(differing[:3])
    print(f"{name}: {rendered} of {total} contexts render, the others are refused by both")


def test_goldens_are_current():
    """The committed goldens say what this jinja2 says."""
    sys_argv, sys.argv = sys.argv, ["make_jinja_goldens.py", "--check"]
    try:
        assert goldens.main() == 0
    finally:
        sys.argv = sys_argv


# ---- expressions ----------------------------------------------------------------------------------

VARIABLES = {
    "s": "Hello, Wörld", "t": "a-b_c d", "empty": "", "n": 7, "f": 2.5, "neg": -3, "zero": 0, "yes": True, "no": False,
    "nothing": None, "xs": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "mixed": [1, "a", None, 2.0, True, [1]],
    "d": {"b": 1, "a": {"x": [1, 2]}, "items": "own"}, "people": [
        {"name": "Bob", "age": 30, "tags": ["x"]}, {"name": "alice", "age": 25}, {"name": "Carl", "age": 30, "tags": []}],
    "big": 2**70, "small": 1e-7, "huge": 1e22, "nested": [[1, [2, [3]]], {"k": [None, {"z": "'\""}]}],
    "uni": "naïve 👍🏽 日本語\u00a0\u2003x", "multi": "one\ntwo\r\n\nthree\u2028four",
}


@pytest.mark.parametrize("immutable", [True, False])
def test_snippets(probe, immutable):
    env = goldens.environment(immutable)
    differing = []
    for snippet in SNIPPETS:
        difference, _ = compare(probe, env, snippet, VARIABLES, immutable)
        if difference:
            differing.append(f"{snippet!r}\n{difference}")
    assert not differing, f"{len(differing)} of {len(SNIPPETS)} differ:\n" + "\n".join(differing[:40])


@pytest.mark.parametrize("snippet", REFUSED)
def test_refused_on_purpose(probe, snippet):
    """What jinja2 renders and weir does not; if weir learns one of these, its line moves to SNIPPETS."""
    assert "ok" in goldens.render(goldens.environment(), snippet, VARIABLES)
    assert "error" in probe(snippet, VARIABLES)


class Plain:
    """A generator whose text is the one weir prints, without the address of the moment."""

    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.generator)

    def __repr__(self):
        return "<generator object>"


def with_plain_generators(env):
    def wrapped(function):
        @functools.wraps(function)
        def call_it(*args, **kwargs):
            result = function(*args, **kwargs)
            return Plain(result) if hasattr(result, "__next__") else result

        return call_it

    for name in ("map", "select", "reject", "selectattr", "rejectattr", "unique", "items", "batch", "slice", "reverse"):
        env.filters[name] = wrapped(env.filters[name])
    return env


def test_random_expressions(probe):
    env = with_plain_generators(goldens.environment())
    source = RandomExpressions(SEED)
    differing, rendered = [], 0
    for _ in range(RANDOM_EXPRESSIONS):
        template = source.template()
        difference, ok = compare(probe, env, template, VARIABLES)
        if difference and not FOLDED.search(difference):
            differing.append(f"{template!r}\n{difference}")
        rendered += ok
    assert rendered > RANDOM_EXPRESSIONS // 5, "hardly any expression renders: the generator is broken"
    assert not differing, f"seed {SEED}: {len(differing)} of {RANDOM_EXPRESSIONS} differ:\n" + "\n".join(differing[:30])
