#!/usr/bin/env python3
"""Writes tests/golden/jinja/*.json: templates of our own, contexts, and what jinja2 makes of them.

    python tools/make_jinja_goldens.py          # needs jinja2; rewrites the files
    python tools/make_jinja_goldens.py --check  # fails where a committed file differs

The environment is the one transformers renders chat templates in: an immutable sandbox with trim_blocks and
lstrip_blocks, loop controls, a plain-JSON tojson, raise_exception and strftime_now (here with a frozen clock), and a
{% generation %} tag that passes its body through. tests/python/test_jinja.py compares in the same environment.
"""

import copy
import datetime
import functools
import json
import sys
from pathlib import Path

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment

REPO = Path(__file__).resolve().parents[1]
NOW = 1_753_000_000  # 2025-07-20 08:26:40 UTC


class Generation(Extension):
    """{% generation %}body{% endgeneration %}: the body in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise TemplateError(message)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None).strftime(form)


def environment(immutable=True):
    kind = ImmutableSandboxedEnvironment if immutable else SandboxedEnvironment
    env = kind(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


@functools.lru_cache(maxsize=64)
def compiled(env, template):
    return env.from_string(template)


def render(env, template, context):
    """RETURNS: {"ok": text} or {"error": message}, as the C++ side is expected to answer."""
    try:
        return {"ok": compiled(env, template).render(**copy.deepcopy(context))}
    except Exception as error:  # whatever Python raises, our side must refuse too
        return {"error": f"{type(error).__name__}: {error}"}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city – today's \"best\" guess",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "name, e.g. Köln <or> Zürich & more"},
        "days": {"type": "integer", "minimum": 1, "maximum": 14, "default": 3},
        "unit": {"type": "string", "enum": ["C", "F"]}}}}}
ADD = {"type": "function", "function": {
    "name": "add", "description": "", "parameters": {"type": "object", "properties": {
        "values": {"type": "array", "items": {"type": "number"}}}}}}

CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hello"}],
    "system": [{"role": "system", "content": "Be  brief.\n"}, {"role": "user", "content": " Hi 👋 \n"}],
    "turns": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"},
              {"role": "user", "content": "And 2+2? \"quote\" \\ slash"}, {"role": "assistant", "content": "  4  "},
              {"role": "user", "content": "Thanks — 多谢"}],
    "tools": [{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Weather in Köln?"},
              {"role": "assistant", "content": "", "tool_calls": [
                  {"id": "call00001", "type": "function",
                   "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "x": None}}}]},
              {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"sky\": \"grey\"}"},
              {"role": "assistant", "content": "Grey."}],
    "thinking": [{"role": "user", "content": "Why?"},
                 {"role": "assistant", "content": "<think>\nbecause\n</think>\n\nSo.", "reasoning_content": "because"},
                 {"role": "user", "content": "Really?"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"},
                                           {"type": "text", "text": "what is it?"}]}],
    "bad_roles": [{"role": "assistant", "content": "I begin"}, {"role": "user", "content": ""}],
}

# Written for these tests, in the manner of the common families; none is a published template.
TEMPLATES = {
    "chatml": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}
    {{- "# Functions\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}{{ tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' ~ messages[0].content ~ '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1, seen=false) %}
{%- for m in messages[::-1] %}
    {%- if not ns.seen and m.role == 'user' and m.content is string %}
        {%- set ns.seen = true %}{%- set ns.last = messages|length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- set text = m.content if m.content is string else m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join %}
    {%- if m.role == 'assistant' %}
        {%- set thought = m.reasoning_content if m.reasoning_content is defined else '' %}
        {%- if '</think>' in text %}
            {%- set thought = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set text = text.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > ns.last and thought %}{{ '<think>' + thought.strip() + '</think>' }}{% endif %}
        {%- generation %}{{- text }}{% endgeneration %}
        {%- for call in m.tool_calls or [] %}
            {%- set call = call.function if call.function else call %}
            {{- '\\n<tool_call>{"name": "' ~ call.name ~ '", "arguments": ' ~ (call.arguments | tojson) ~ '}</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif m.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
        {{- '\\n<result>' ~ text ~ '</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}
    {%- elif not (m.role == 'system' and loop.first) %}
        {{- '<|im_start|>' + m.role + '\\n' + text + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{ '<think></think>\\n' }}{% endif %}
{%- endif %}
""",
    "headers": """{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now("%d %b %Y") %}{% endif %}
{%- set system = "" %}{% set rest = messages %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}{% set rest = messages[1:] %}
{%- endif %}
<|head|>system<|/head|>

Today: {{ date_string }}
{{ system }}<|eot|>
{%- for m in rest %}
    {%- if 'tool_calls' in m %}
        {%- if m.tool_calls|length != 1 %}{{ raise_exception("one call at a time, please") }}{% endif %}
        {%- set f = m.tool_calls[0].function %}
        {{- '<|head|>assistant<|/head|>\\n\\n' }}
        {{- f.name + "(" }}
        {%- for name, value in f.arguments | items %}
            {{- name ~ '="' ~ value ~ '"' }}{% if not loop.last %}{{ ", " }}{% endif %}
        {%- endfor %}
        {{- ")<|eot|>" }}
    {%- elif m.role in ["tool", "ipython"] %}
        {{- "<|head|>ipython<|/head|>\\n\\n" }}
        {%- if m.content is mapping or m.content is iterable and m.content is not string %}{{ m.content | tojson }}
        {%- else %}{{ m.content }}{% endif %}
        {{- "<|eot|>" }}
    {%- else %}
        {{- '<|head|>' + m['role'] + '<|/head|>\\n\\n' + (m['content'] | trim) + '<|eot|>' }}
    {%- endif %}
{%- endfor %}
{%- if tools is not none and tools %}

Tools:
    {%- for t in tools %}

    {{ t | tojson(indent=4) }}
    {%- endfor %}
{% endif %}
{%- if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\\n\\n' }}{% endif %}
""",
    "brackets": """{%- set loop_messages = messages[1:] if messages[0].role == "system" else messages %}
{%- set system = messages[0].content if messages[0].role == "system" else none %}
{%- set ns = namespace(index=0) %}
{%- for m in loop_messages if m.role in ("user", "assistant") and not m.tool_calls %}
    {%- if (m.role == "user") != (ns.index % 2 == 0) %}
        {{- raise_exception("roles must alternate user/assistant, got " ~ m.role ~ " at " ~ ns.index) }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}
{{- bos_token }}
{%- macro block(tag, text='', close=true) -%}
[{{ tag }}]{{ text }}{% if close %}[/{{ tag }}]{% endif %}
{%- endmacro %}
{%- for m in loop_messages %}
    {%- if m.role == "user" %}
        {%- if tools and loop.last %}{{ block("TOOLS", tools | map(attribute="function.name") | list | tojson) }}{% endif %}
        {%- set shown %}
            {%- if system is not none and loop.last %}{{ system | trim }}

{% endif %}
            {%- if m.content is string %}{{ m.content }}{% else %}
                {%- for part in m.content %}{{ part.text if part.type == "text" else "[IMG]" }}{% endfor %}
            {%- endif %}
        {%- endset %}
        {{- block("INST", text=shown) }}
    {%- elif m.tool_calls is defined and m.tool_calls %}
        {{- block("CALLS", close=false) ~ "[" }}
        {%- for c in m.tool_calls %}
            {%- if c.id is undefined or c.id|length != 9 %}{{ raise_exception("call ids have 9 characters") }}{% endif %}
            {{- (c.function | tojson)[:-1] ~ ', "id": "' ~ c.id ~ '"}' }}
            {{- ", " if not loop.last else "]" + eos_token }}
        {%- endfor %}
    {%- elif m.role == "tool" %}
        {{- block("RESULT", '{"content": ' ~ (m.content | string) ~ ', "id": "' ~ m.tool_call_id ~ '"}') }}
    {%- elif m.role == "assistant" %}
        {{- " " ~ m.content | trim ~ eos_token }}
    {%- else %}
        {{- raise_exception("unknown role " ~ m.role) }}
    {%- endif %}
{%- endfor %}
""",
    "typescript": """{%- macro kind(p) %}
    {%- if p.enum %}{{ p.enum | map('tojson') | join(' | ') }}
    {%- elif p.type == 'array' %}{{ kind(p['items']) }}[]
    {%- elif p.type in ('integer', 'number') %}number
    {%- elif p.type == 'object' %}{{ '{' }}{% for k, v in (p.properties or {}).items() %}{{ k }}: {{ kind(v) }}{{ '; ' if not loop.last }}{% endfor %}{{ '}' }}
    {%- else %}{{ p.type }}{% endif %}
{%- endmacro %}
{% for t in tools or [] %}
// {{ t.function.description or 'no description' }}
type {{ t.function.name }} = (_: {
    {%- for name, p in t.function.parameters.properties | dictsort %}
{{ '' if name in (t.function.parameters.required or []) else 'optional ' }}{{ name }}: {{ kind(p) }}{{ ' = ' ~ p.default if p.default is defined }},
    {%- endfor %}

}) => any;
{% endfor %}
{% for m in messages %}
{%   if loop.index > 4 %}{% break %}{% endif %}
{%   if m.role == 'system' %}{% continue %}{% endif %}
{{ '%-10s|' | format(m.role) }}{{ '{:>4}'.format(loop.index) }} {{ m.content | string | replace('\\n', ' ') | truncate(24, true) }}
{% else %}
nothing
{% endfor %}
{# a comment #}
{% raw %}{{ not a template }}{% endraw %}

{% macro wrap(mark) %}{{ mark }}{{ caller(messages | length) }}{{ mark }}{% endmacro %}
{% call(x) wrap('>') %}{{ x }}{% endcall %}
{% filter upper %}{% with a = 1, b = [1, 2.0, 'x', none, true, {'k': "it's"}] %}{{ a }} {{ b }}{% endwith %}{% endfilter %}
""",
}


def cases():
    for name, template in TEMPLATES.items():
        for conversation, messages in CONVERSATIONS.items():
            for number, flags in enumerate([{"add_generation_prompt": True},
                                            {"add_generation_prompt": False, "tools": [WEATHER, ADD]},
                                            {"add_generation_prompt": True, "enable_thinking": False, "tools": None}]):
                context = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", **flags}
                yield name, f"{name}.{conversation}.{number}", template, context


def main():
    check = "--check" in sys.argv[1:]
    env = environment()
    files = {}
    for name, case, template, context in cases():
        one = files.setdefault(name, {"template": template, "now": NOW, "cases": []})
        one["cases"].append({"name": case, "context": context, **render(env, template, context)})
    bad = 0
    for name, content in files.items():
        path = REPO / "tests" / "golden" / "jinja" / f"{name}.json"
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{path.relative_to(REPO)} differs from what jinja2 makes")
                bad += 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
