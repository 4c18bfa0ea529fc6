"""Chats as OpenAI's clients send them, through weir's ChatTemplate and through jinja2: the same prompt, and all of it there.

    WEIR_CHAT_PROBE=build/release/tests/tools/chat_probe python -m pytest tests/python/test_chats.py

weir brings a conversation into the form that a template shows (TemplateTraits). The probe says which messages the template
got; jinja2 renders the same ones. For every template in the data each text, call and result of a conversation is in the
prompt, or weir names the part that would be missing, or the template refuses the conversation in jinja2 too. Skips, saying
so, where jinja2, the probe or the data (WEIR_DATA, default ../shared/data) is absent.
"""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed")

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tools"))

import make_jinja_goldens as goldens  # noqa: E402

DATA = Path(os.environ.get("WEIR_DATA", REPO.parent / "shared/data"))
PROBES = Path(os.environ.get("WEIR_PROBES", REPO / "build/release/tests/tools"))
PROBE = Path(os.environ.get("WEIR_CHAT_PROBE", PROBES / "chat_probe"))
TAG = "CONTINUE_FINAL_MESSAGE_TAG "  # as transformers has it

SYSTEM = {"role": "system", "content": "Be terse-01."}
USER = {"role": "user", "content": "What is the weather-02?"}
ANSWER = {"role": "assistant", "content": "It is fine-03."}
THANKS = {"role": "user", "content": "And tomorrow-04?"}
RESULT = {"role": "tool", "tool_call_id": "call_Ab1Cd2Ef3Gh4", "name": "get_weather", "content": "12 degrees-05"}
ARGUMENTS = '{"city": "Rome-06", "days": 2}'


def call(arguments=ARGUMENTS, **content):
    function = {"name": "get_weather", "arguments": arguments}
    return {"role": "assistant", "content": None, **content,
            "tool_calls": [{"id": "call_Ab1Cd2Ef3Gh4", "type": "function", "function": function}]}


TOOLS = [{"type": "function", "function": {
    "name": "get_rain", "description": "Rain", "parameters": {
        "type": "object", "properties": {"place": {"type": "string", "description": "Where"}}, "required": ["place"]}}}]

CONVERSATIONS = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "turns": [SYSTEM, USER, ANSWER, THANKS],
    "no system": [USER, ANSWER, THANKS],
    "two systems": [SYSTEM, {"role": "system", "content": "Be kind-07."}, USER],
    "system later": [SYSTEM, USER, ANSWER, {"role": "system", "content": "Be kind-07."}, THANKS],
    "assistant last": [USER, ANSWER],
    "two users": [USER, THANKS],
    "call": [USER, call(), RESULT],
    "call, answer": [SYSTEM, USER, call(), RESULT, ANSWER, THANKS],
    "call with text": [USER, call(content="Let me see-08."), RESULT, ANSWER, THANKS],
    "call with arguments as object": [USER, call(json.loads(ARGUMENTS)), RESULT],
    "call with empty arguments": [USER, call(""), RESULT],
    "call with blank arguments": [USER, call(" \n"), RESULT],
    "call with null arguments": [USER, call("null"), RESULT],
    "call with broken arguments": [USER, call('{"city": "Rome-06'), RESULT],
    "call without result": [USER, call(), THANKS],
    "result without call": [USER, RESULT],
}


def data_templates():
    for path in sorted(DATA.rglob("*.jinja")):
        yield path.name, path.read_text(encoding="utf-8")
    for path in sorted([*DATA.rglob("*tokenizer_config.json"), *DATA.rglob("*chat_template*.json")]):
        source = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        several = source if isinstance(source, list) else [{"name": "", "template": source}] if source else []
        for each in several:
            yield f"{path.relative_to(DATA)}:{each['name']}", each["template"]


ALL_TEMPLATES = list(data_templates()) if DATA.is_dir() else []


class Probe:
    def __init__(self):
        self.process = subprocess.Popen([str(PROBE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, template, context, open_=False):
        line = json.dumps({"template": template, "context": json.dumps(context), "open": open_})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the probe died on {json.dumps(context)}"
        return json.loads(answer)


@pytest.fixture(scope="module")
def probe():
    if not PROBE.exists():
        pytest.skip(f"chat_probe is not built at {PROBE}; set WEIR_CHAT_PROBE")
    p = Probe()
    yield p
    p.process.stdin.close()
    assert p.process.wait(timeout=30) == 0, "the probe ended with an error"


def environment():
    env = goldens.environment(immutable=False)  # templates may change lists of their own, in weir too
    env.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return env


def context_of(messages, tools, ask=True):
    context = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": ask}
    return {**context, "tools": TOOLS} if tools else context


def texts_of(messages):
    """(message, text) for all that a prompt must hold."""
    for at, message in enumerate(messages):
        if message.get("content"):
            yield at, message["content"]
        for each in message.get("tool_calls", []):
            yield at, each["function"]["name"]
            if "Rome-06" in str(each["function"]["arguments"]):
                yield at, "Rome-06"


def part_text(messages, part):
    """The text behind a name such as messages[1].tool_calls[0].function.name."""
    at = int(part[len("messages["):part.index("]")])
    function = messages[at].get("tool_calls", [{}])[0].get("function", {})
    return {"name": function.get("name"), "arguments": "Rome-06"}.get(part.rsplit(".", 1)[1], messages[at]["content"])


def problem(probe, env, source, messages, tools):
    """RETURNS: what is wrong, or None; and what became of the conversation."""
    context = context_of(messages, tools)
    got = probe(source, context)
    want = goldens.render(env, source, json.loads(got["adapted"]))
    if "error" in got:
        return (None if "error" in want else f"weir fails, jinja2 does not: {got['error']}"), "refused"
    if "hidden" in got:
        text = part_text(messages, got["hidden"])
        shown = "ok" in want and text in want["ok"]
        return (f"{got['hidden']} is said to be hidden and is in the prompt" if shown else None), "hidden"
    if want.get("ok") != got["prompt"]:
        return f"jinja2: {want}\n  weir: {got['prompt']!r}", "shown"
    for at, text in texts_of(messages):
        if text not in got["prompt"]:
            return f"messages[{at}]: {text!r} is missing in {got['prompt']!r}", "shown"
    broken = any("Rome-06" == str(each["function"]["arguments"])[-7:] for m in messages for each in m.get("tool_calls", []))
    if not broken and any(odd in got["prompt"] for odd in ("None", '\\"city\\"', "'city'")):
        plain = goldens.render(env, source, context_of([USER], tools)).get("ok", "")
        if got["prompt"].count("None") > plain.count("None") or '\\"city\\"' in got["prompt"] or "'city'" in got["prompt"]:
            return f"arguments or contents are printed in a way nobody sent: {got['prompt']!r}", "shown"
    return None, "shown"


@pytest.mark.skipif(not ALL_TEMPLATES, reason=f"no chat templates under {DATA}; set WEIR_DATA")
@pytest.mark.parametrize("name, source", ALL_TEMPLATES, ids=[name for name, _ in ALL_TEMPLATES])
def test_published_template(probe, name, source):
    env = environment()
    wrong, outcomes = [], {}
    for kind, messages in CONVERSATIONS.items():
        for tools in (False, True):
            why, outcome = problem(probe, env, source, messages, tools)
            outcomes.setdefault(outcome, []).append(kind + (" with tools" if tools else ""))
            if why:
                wrong.append(f"{kind}, tools {tools}: {why}")
    traits = probe(source, context_of([USER], False))["traits"]
    assert not wrong, f"{traits}\n" + "\n".join(wrong[:5])
    print(f"{name}: {traits}; " + "; ".join(f"{len(each)} {outcome}" for outcome, each in outcomes.items()))


def continued_by_transformers(env, source, context):
    """apply_chat_template(continue_final_message=True), on the messages that the template gets."""
    last = context["messages"][-1]
    if isinstance(last["content"], list):
        last["content"][-1]["text"] += TAG
    else:
        last["content"] += TAG
    rendered = goldens.render(env, source, context)
    if TAG.strip() not in rendered.get("ok", ""):
        return None
    text = rendered["ok"]
    at = text.rindex(TAG.strip())
    return text[:at] if text[at:at + len(TAG)] == TAG else text[:at].rstrip()


@pytest.mark.skipif(not ALL_TEMPLATES, reason=f"no chat templates under {DATA}; set WEIR_DATA")
@pytest.mark.parametrize("ending", ["Once upon a", "Once ", "Once\n\n"])
def test_continued_message(probe, ending):
    env = environment()
    wrong, continued = [], 0
    for name, source in ALL_TEMPLATES:
        context = context_of([USER, {"role": "assistant", "content": ending}], False, ask=False)
        got = probe(source, context, open_=True)
        want = continued_by_transformers(env, source, json.loads(got["adapted"]))
        continued += "prompt" in got
        if got.get("prompt") != want:
            wrong.append(f"{name}: transformers {want!r}, weir {got}")
    assert continued > len(ALL_TEMPLATES) // 2
    assert not wrong, "\n".join(wrong[:5])
