"""The official `openai` client against a running weir: what a stock client expects must hold.

Expectations follow the OpenAI API description; where weir promises more (greedy output is the same at any
load, a client that left frees its place) the test says so.
"""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import API_KEY, MODEL_NAME, SESSION_TOKENS

openai = pytest.importorskip("openai")
httpx = pytest.importorskip("httpx")

STORY = [{"role": "user", "content": "Tell me a story about a cat."}]
FREED_SECONDS = 1.0  # promise 3: within one step; a second allows for the metrics poll on a busy machine


def chat(client, messages=STORY, **kwargs):
    return client.chat.completions.create(model=MODEL_NAME, messages=messages, **{"max_tokens": 40, **kwargs})


def complete(client, prompt="Once upon a time", **kwargs):
    return client.completions.create(model=MODEL_NAME, prompt=prompt, **{"max_tokens": 30, **kwargs})


def deltas(chunks, index=0):
    """RETURNS: the text of one choice, joined from the chunks of a stream."""
    choices = [c for chunk in chunks for c in chunk.choices if c.index == index]
    return "".join(c.delta.content or "" for c in choices)


def endless(client, **kwargs):
    """A stream that runs until the context is full: it is still running when the test looks."""
    room = SESSION_TOKENS - 64
    return chat(client, stream=True, max_tokens=room, temperature=1.0, extra_body={"ignore_eos": True}, **kwargs)


# ---- models, chat ---------------------------------------------------------------------------------


def test_models_list(client):
    models = client.models.list().data
    assert [m.id for m in models] == [MODEL_NAME]
    assert models[0].object == "model"


def test_model_retrieve(client):
    assert client.models.retrieve(MODEL_NAME).id == MODEL_NAME


def test_chat(client):
    answer = chat(client, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.id and answer.created > 0 and answer.model == MODEL_NAME
    choice = answer.choices[0]
    assert choice.index == 0 and choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 40
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_special_tokens_are_not_shown(client):
    text = chat(client, temperature=0, max_tokens=400).choices[0].message.content
    assert "<|" not in text


def test_greedy_repeats(client):
    texts = {chat(client, temperature=0).choices[0].message.content for _ in range(3)}
    assert len(texts) == 1


def test_greedy_is_the_same_in_a_full_batch(client):
    """Promise 8: neighbours in the batch do not change an answer."""
    alone = chat(client, temperature=0).choices[0].message.content
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: chat(client, temperature=0), range(8)))
    assert {a.choices[0].message.content for a in answers} == {alone}


def test_content_parts(client):
    """Text may come as a list of parts; the answer is that of the same text as one string."""
    parts = [{"role": "user", "content": [{"type": "text", "text": STORY[0]["content"]}]}]
    assert chat(client, parts, temperature=0).choices[0].message.content == chat(client, temperature=0).choices[0].message.content


def test_conversation_with_system_prompt(client):
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi! How can I help you?"},
        {"role": "user", "content": "What is a cat?"},
    ]
    assert chat(client, messages).choices[0].message.content


# ---- streaming --------------------------------------------------------------------------------------


def test_stream_joins_to_the_same_text(client):
    whole = chat(client, temperature=0).choices[0]
    chunks = list(chat(client, temperature=0, stream=True))
    assert deltas(chunks) == whole.message.content
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    assert len({c.id for c in chunks}) == 1


def test_stream_begins_with_role_and_ends_with_reason(client):
    chunks = [c for c in chat(client, temperature=0, max_tokens=5, stream=True) if c.choices]
    assert chunks[0].choices[0].delta.role == "assistant"
    reasons = [c.choices[0].finish_reason for c in chunks]
    assert reasons[-1] == "length" and set(reasons[:-1]) <= {None}


def test_stream_without_options_has_no_usage(client):
    assert all(c.usage is None for c in chat(client, max_tokens=5, stream=True))


def test_stream_include_usage(client):
    whole = chat(client, temperature=0)
    chunks = list(chat(client, temperature=0, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert all(c.usage is None for c in chunks[:-1])
    got, wanted = chunks[-1].usage, whole.usage
    assert (got.prompt_tokens, got.completion_tokens, got.total_tokens) == (wanted.prompt_tokens, wanted.completion_tokens, wanted.total_tokens)


def test_completions_stream(client):
    whole = complete(client, temperature=0).choices[0].text
    assert "".join(c.text for chunk in complete(client, temperature=0, stream=True) for c in chunk.choices) == whole


def test_stream_ends_with_done(server):
    """The literal end marker, which the client library hides."""
    body = {"model": MODEL_NAME, "messages": STORY, "max_tokens": 3, "stream": True}
    answer = httpx.post(server.url + "/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [e for e in answer.text.split("\n\n") if e.strip()]
    assert events[-1].strip() == "data: [DONE]"


# ---- n, seed, stop, length --------------------------------------------------------------------------


def test_n_with_seed(client):
    ask = lambda: chat(client, n=3, seed=7, temperature=1.3)
    first, second = ask(), ask()
    assert [c.index for c in first.choices] == [0, 1, 2]
    texts = [c.message.content for c in first.choices]
    assert len(set(texts)) > 1, "three samples at temperature 1.3 should differ"
    assert texts == [c.message.content for c in second.choices]


def test_n_streams_every_index(client):
    chunks = list(chat(client, n=3, seed=7, temperature=1.3, stream=True))
    whole = chat(client, n=3, seed=7, temperature=1.3)
    assert [deltas(chunks, i) for i in range(3)] == [c.message.content for c in whole.choices]


def test_other_seed_other_text(client):
    texts = {chat(client, seed=s, temperature=1.3).choices[0].message.content for s in range(4)}
    assert len(texts) > 1


@pytest.mark.parametrize("begin, length", [(20, 5), (31, 1), (40, 9)])
@pytest.mark.parametrize("stream", [False, True])
def test_stop_string(client, begin, length, stream):
    """The stop string is cut from the greedy text itself, at odd places, so it spans token borders."""
    full = chat(client, temperature=0).choices[0].message.content
    stop = full[begin : begin + length]
    expected = full[: full.index(stop)]
    if stream:
        chunks = list(chat(client, temperature=0, stop=[stop], stream=True))
        text, reason = deltas(chunks), [c.choices[0].finish_reason for c in chunks if c.choices][-1]
    else:
        choice = chat(client, temperature=0, stop=stop).choices[0]
        text, reason = choice.message.content, choice.finish_reason
    assert stop not in text
    assert text == expected
    assert reason == "stop"


def test_max_tokens_ends_with_length(client):
    answer = chat(client, temperature=0, max_tokens=7)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 7


def test_max_completion_tokens(client):
    answer = client.chat.completions.create(model=MODEL_NAME, messages=STORY, max_completion_tokens=6, temperature=0)
    assert answer.usage.completion_tokens == 6


def test_ignore_eos_runs_on(client):
    messages = [{"role": "user", "content": "Hello!"}]
    answer = chat(client, messages, max_tokens=120, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 120 and answer.choices[0].finish_reason == "length"


# ---- logprobs ---------------------------------------------------------------------------------------


def test_chat_logprobs(client):
    answer = chat(client, temperature=0, max_tokens=8, logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens == 8
    for entry in tokens:
        assert entry.logprob <= 1e-6
        top = [t.logprob for t in entry.top_logprobs]
        assert len(top) == 3 and top == sorted(top, reverse=True)
        assert entry.top_logprobs[0].token == entry.token and top[0] == pytest.approx(entry.logprob, abs=1e-5)
    joined = b"".join(bytes(entry.bytes) for entry in tokens)
    assert joined.decode() == answer.choices[0].message.content


def test_chat_logprobs_without_top(client):
    entry = chat(client, temperature=0, max_tokens=2, logprobs=True).choices[0].logprobs.content[0]
    assert entry.top_logprobs == []


def test_no_logprobs_unless_asked(client):
    assert chat(client, max_tokens=2).choices[0].logprobs is None


def test_stream_logprobs(client):
    whole = chat(client, temperature=0, max_tokens=8, logprobs=True).choices[0].logprobs.content
    chunks = list(chat(client, temperature=0, max_tokens=8, logprobs=True, stream=True))
    parts = [c.choices[0].logprobs for c in chunks if c.choices and c.choices[0].logprobs]
    streamed = [entry for part in parts for entry in part.content or []]
    assert [e.token for e in streamed] == [e.token for e in whole]
    assert [e.logprob for e in streamed] == [e.logprob for e in whole]


def test_completions_logprobs(client):
    choice = complete(client, temperature=0, max_tokens=6, logprobs=2).choices[0]
    got = choice.logprobs
    assert len(got.tokens) == len(got.token_logprobs) == len(got.top_logprobs) == len(got.text_offset) == 6
    assert "".join(got.tokens) == choice.text
    assert all(2 <= len(top) <= 3 for top in got.top_logprobs)  # the sampled token may come on top of the two
    assert got.text_offset == sorted(got.text_offset)


# ---- completions ------------------------------------------------------------------------------------


def test_completion_prompt_list(client):
    prompts = ["Once upon a time", "There once was a"]
    answer = complete(client, prompts, temperature=0)
    assert [c.index for c in answer.choices] == [0, 1]
    assert [c.text for c in answer.choices] == [complete(client, p, temperature=0).choices[0].text for p in prompts]


def test_completion_prompt_list_with_n(client):
    answer = complete(client, ["Once upon a time", "There once was a"], n=2, seed=3, max_tokens=5)
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]


def test_completion_prompt_token_ids(client):
    one = complete(client, [10, 11, 12, 13], temperature=0, max_tokens=5)
    assert one.usage.prompt_tokens == 4
    two = complete(client, [[10, 11, 12, 13], [14, 15]], temperature=0, max_tokens=5)
    assert two.usage.prompt_tokens == 6
    assert two.choices[0].text == one.choices[0].text


# ---- errors -----------------------------------------------------------------------------------------


def test_negative_temperature(client):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, temperature=-1)
    assert caught.value.status_code == 400
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == "temperature"


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=STORY)
    assert caught.value.code == "model_not_found"
    assert "no-such-model" in str(caught.value)


def test_prompt_too_long_names_both_numbers(client):
    """The message names what was asked and what is possible, so that a caller can act on it."""
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, [{"role": "user", "content": "a cat and a dog " * 400}])
    assert caught.value.code == "context_length_exceeded"
    numbers = {int(n) for n in re.findall(r"\d+", caught.value.body["message"])}
    assert SESSION_TOKENS in numbers
    assert max(numbers) > SESSION_TOKENS


def test_empty_messages(client):
    with pytest.raises(openai.BadRequestError):
        chat(client, [])


BAD_BODIES = {
    "not json": b"{",
    "not an object": b"[]",
    "no messages": b'{"model":"%s"}' % MODEL_NAME.encode(),
    "wrong type": b'{"model":"%s","messages":"hello"}' % MODEL_NAME.encode(),
    "negative max_tokens": b'{"model":"%s","messages":[{"role":"user","content":"a"}],"max_tokens":-1}' % MODEL_NAME.encode(),
    "n is zero": b'{"model":"%s","messages":[{"role":"user","content":"a"}],"n":0}' % MODEL_NAME.encode(),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_error_body_is_typed(server, name):
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(server.url + "/v1/chat/completions", content=BAD_BODIES[name], headers=headers, trust_env=False)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert {"type", "code", "param", "message"} <= set(error)
    assert error["type"] == "invalid_request_error" and error["message"]


def test_unknown_route_is_a_typed_404(server):
    answer = httpx.post(server.url + "/v1/no-such-thing", json={}, trust_env=False)
    assert answer.status_code == 404 and answer.json()["error"]["message"]


def test_errors_leave_the_server_well(client, server):
    with pytest.raises(openai.BadRequestError):
        chat(client, temperature=-1)
    assert chat(client, max_tokens=3).choices[0].message.content
    assert server.get("/health/live").status_code == 200


# ---- refusal, cancellation, keys --------------------------------------------------------------------


def test_full_server_refuses_with_retry_after(start_server):
    with start_server("--max-concurrent-requests", "1", "--max-queued-requests", "0") as server:
        client = server.client()
        chat(client, max_tokens=2)  # loads what the client library loads on first use; the next calls are quick
        refused_before = server.metric("weir_refusals_total") or 0
        with endless(client) as stream:
            next(iter(stream))
            with pytest.raises(openai.RateLimitError) as caught:
                chat(client, max_tokens=2)
        assert caught.value.status_code == 429
        assert float(caught.value.response.headers["Retry-After"]) >= 0
        assert caught.value.body["message"] and caught.value.code
        assert server.metric("weir_refusals_total") == refused_before + 1
        assert server.wait_for_metric("weir_requests_running", 0, FREED_SECONDS) == 0
        assert chat(client, max_tokens=2).choices[0].message.content, "the place is free again"


def test_busy_is_not_unhealthy(start_server):
    with start_server("--max-concurrent-requests", "1", "--max-queued-requests", "0") as server:
        with endless(server.client()) as stream:
            next(iter(stream))
            assert server.status("/health/live") == 200
            assert server.status("/health") == 200


def test_closed_streams_free_their_places(server, client):
    """Promise 3. Eight streams, so that none has reached the end of its context when they are closed."""
    streams = [endless(client, seed=i) for i in range(8)]
    for stream in streams:
        next(iter(stream))
    assert server.metric("weir_requests_running") >= 1, "the streams ended before the test could close them"
    for stream in streams:
        stream.close()
    assert server.wait_for_metric("weir_requests_running", 0, FREED_SECONDS) == 0
    assert server.metric("weir_requests_waiting") == 0
    assert server.wait_for_metric("weir_kv_blocks", 0, FREED_SECONDS, state="live") == 0


def test_abandoned_answer_frees_its_place(server):
    """Without streaming nothing is written until the end, so only a watched socket shows that the client left."""
    body = {"model": MODEL_NAME, "messages": STORY, "max_tokens": SESSION_TOKENS - 64, "n": 8, "ignore_eos": True}
    with pytest.raises(httpx.TimeoutException):
        httpx.post(server.url + "/v1/chat/completions", json=body, timeout=httpx.Timeout(5, read=0.1), trust_env=False)
    assert server.wait_for_metric("weir_requests_running", 0, FREED_SECONDS) == 0


def test_api_key(start_server):
    with start_server("--api-keys", API_KEY) as server:
        with pytest.raises(openai.AuthenticationError) as caught:
            chat(server.client("sk-wrong"), max_tokens=2)
        assert caught.value.status_code == 401 and caught.value.body["message"]
        assert chat(server.client(), max_tokens=2).choices[0].message.content
        without = httpx.post(server.url + "/v1/chat/completions", json={"model": MODEL_NAME, "messages": STORY}, trust_env=False)
        assert without.status_code == 401
        assert httpx.get(server.url + "/health/live", trust_env=False).status_code == 200
