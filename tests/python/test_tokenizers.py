"""Our tokeniser against the Hugging Face `tokenizers` library: same ids, same text, on ten thousand strings each.

    WEIR_TOKENIZER_PROBE=build/release/tests/tools/tokenizer_probe python -m pytest tests/python/test_tokenizers.py

Skips, saying so, where the library, the probe or the data (WEIR_DATA, default ../shared/data) is absent.
"""

import functools
import json
import os
import random
import struct
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

tokenizers = pytest.importorskip("tokenizers", reason="the Hugging Face tokenizers library is not installed")

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tools"))
import byte_runs  # noqa: E402
DATA = Path(os.environ.get("WEIR_DATA", REPO.parent / "shared/data"))
PROBE = Path(os.environ.get("WEIR_TOKENIZER_PROBE", REPO / "build/release/tests/tools/tokenizer_probe"))
SEED = 20230914
STRINGS = 10_000

LLAMA3_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_REGEX = LLAMA3_REGEX.replace(r"\p{N}{1,3}", r"\p{N}")

PHRASES = [
    "The quick brown fox can't jump; it's 10,000,000.5 metres high!", "I'LL've THEY'RE we'D you'M 'S 'ſ 'T",
    "Größe, Äpfel, naïve façade, coöperate, Ångström", "Съешь же ещё этих мягких французских булок",
    "Ὅμηρος ἔγραψε τὴν Ἰλιάδα", "השועל החום המהיר קופץ", "الثعلب البني السريع يقفز فوق الكلب ١٢٣٤",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते पर कूदती है ४५६", "ภาษาไทยไม่มีช่องว่าง", "កាន់តែពិសេសអាចខលចេញ", "မြန်မာဘာသာစကား",
    "我想在apple工作1314151天～", "吾輩は猫である。名前はまだ無い。", "ｶﾀｶﾅ ﾊﾝｶｸ Ｆｕｌｌｗｉｄｔｈ １２３", "키스의 고유조건은 입술끼리 만나야",
    "🚀 👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 😶‍🌫️ 🇩🇪🇫🇷 1️⃣ ✅", "Z̸̢͍͝a̷̳͝l̵̰̕g̸͇͋o̶̧̓ e\u0301\u0323 e\u0323\u0301 \u1100\u1161\u11a8 가\u11a8", "\u212b \u2126 \u0958 \u2adc \ufb1d \U0001d15e",
    "def f(x):\n\treturn {'a': [x**2, 0xFF, 1e-9]}\r\n\r\n\n    # done", "https://example.org/a?b=c&d=%20#e  <b>bold</b>",
    "a\u00a0b\u2003c\u3000d\u200be\u2028f\u2029g\u0085h\u180ei\u1680j", "\x00\x01\x1b[0m\x7f\ufeff\ufffd\ufffe",
    "½ ² ³ ⅷ Ⅻ ㊿ 𝟘𝟙 ௧௨ 〇", "ﷺ ﬁ ﬆ ß ŉ ẞ İ ı ǅ ǰ", "'''```\"\"\"......!!!!!!?????? ------=======", "x" * 70, "▁▁▁a▁b", "ĠHelloĊworld",
]
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", " \t ", "\u00a0", "\u3000", "    ", ""]


def same_in_both(c):
    """False for the few hundred characters, most of them rare marks, that the reference's normaliser and its idea of
    punctuation do not know yet: those tables are versions behind (ours are Unicode 15, this Python's 14 or later)."""
    text = f"a{chr(c)}\u0301\u0323b{chr(c)}{chr(c)}"
    kind = unicodedata.category(chr(c))[0]
    knows_mark = (STRIP.normalize_str(chr(c)) == "") == (kind == "M")
    knows_point = c < 128 or (len(POINTS.pre_tokenize_str("a" + chr(c))) == 2) == (kind == "P")
    if not (knows_mark and knows_point):
        return False
    return all(reference.normalize_str(text) == unicodedata.normalize(form, text) for form, reference in FORMS.items())


FORMS = {form: getattr(tokenizers.normalizers, form)() for form in ("NFC", "NFD", "NFKC", "NFKD")}
STRIP = tokenizers.normalizers.StripAccents()
POINTS = tokenizers.pre_tokenizers.Punctuation()


@functools.cache
def assigned():
    """Code points that this Python's Unicode assigns: classes of newer ones depend on a library's version."""
    known = (c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs"))
    return [c for c in known if c >= 0xF0000 or same_in_both(c)]


def lines_of(path, count, rng):
    text = path.read_text(encoding="utf-8")
    for _ in range(count):
        start = rng.randrange(len(text))
        yield text[start : start + rng.choice([3, 17, 80, 400])]


def strings(specials):
    """At least STRINGS texts; the same ones on every run."""
    rng = random.Random(SEED)
    known = assigned()
    out = ["", " ", "  ", "a", "\n", " a", "a ", *PHRASES, " " * 300, "\n" * 300, "ab" * 400, "é" * 300, "1" * 300]
    out += lines_of(DATA / "prompts/war-and-peace.txt", 2500, rng)
    out += lines_of(DATA / "prompts/wikitext-2/test.txt", 1500, rng)
    for i in range(0, len(known), 100):  # every character, between letters, digits, spaces and itself
        out.append("".join(f"a{chr(c)}b 1{chr(c)}{chr(c)}2 {chr(c)}\n" for c in known[i : i + 100]))
    pieces = PHRASES + SPACES * 3 + list(specials) * 4
    while len(out) < STRINGS + 500:
        kind = rng.random()
        if kind < 0.45:
            out.append("".join(rng.choice(pieces)[: rng.choice([1, 3, 9, 99])] for _ in range(rng.randint(1, 9))))
        elif kind < 0.65:
            out.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 5))))
        elif kind < 0.8:
            out.append("".join(chr(rng.choice(known)) for _ in range(rng.randint(1, 30))))
        else:
            out.append("".join(rng.choice("ab1' \n\r\t.,éß中\u0301\u0323<|>_s▁\u00a0ſ") for _ in range(rng.randint(1, 40))))
    return out


def split_byte_level(pattern, normalizer=None):
    """What the machinery around a byte-level vocabulary looks like in tokenizer.json since GPT-2."""
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    }


def bpe(vocab, merges, **options):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab,
            "merges": merges, **options}


def special(token_id, content):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def merges_txt(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("#version")]


def llama3(tmp):
    folder = DATA / "tokenizers/hf/llama3.2"
    vocab = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    spec = split_byte_level(LLAMA3_REGEX)
    spec["model"] = bpe(vocab, merges_txt(folder / "vocab.bpe"), ignore_merges=True)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    spec["added_tokens"] = [special(128000 + i, name) for i, name in enumerate(names)]
    bos = {"SpecialToken": {"id": names[0], "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    entry = {names[0]: {"id": names[0], "ids": [128000], "tokens": [names[0]]}}
    template = {"type": "TemplateProcessing", "single": [bos, text], "pair": [bos, text], "special_tokens": entry}
    spec["post_processor"] = {"type": "Sequence", "processors": [spec["post_processor"], template]}
    return write(tmp, spec)


def qwen2_reference():
    """The same tokeniser that we build from vocab.json and merges.txt, as a tokenizer.json."""
    folder = DATA / "tokenizers/hf/qwen2"
    spec = split_byte_level(QWEN2_REGEX, {"type": "NFC"})
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    spec["model"] = bpe(vocab, merges_txt(folder / "merges.txt"))
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    spec["added_tokens"] = [{"id": int(i), **t} for i, t in config["added_tokens_decoder"].items()]
    return tokenizers.Tokenizer.from_str(json.dumps(spec))


def llama2(tmp):
    """The copy among the data lost its no-break spaces to plain ones, so nothing loads it; put them back."""
    spec = json.loads((DATA / "tokenizers/hf/llama2/tokenizer.json").read_text(encoding="utf-8"))
    intact = json.loads((DATA / "tokenizers/hf/phi-3-mini/tokenizer.json").read_text(encoding="utf-8"))
    spec["model"]["vocab"] = {k.replace(" ", "\u00a0"): v for k, v in spec["model"]["vocab"].items()}
    merges = spec["model"]["merges"]
    for i, merge in enumerate(merges):
        if merge.count(" ") != 1:
            merges[i] = intact["model"]["merges"][i]
    return write(tmp, spec)


def write(tmp, spec):
    path = tmp / "tokenizer.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    return path


def variant(tmp, change):
    """minimind's vocabulary under other machinery."""
    spec = json.loads((DATA / "tokenizers/hf/minimind/tokenizer.json").read_text(encoding="utf-8"))
    change(spec)
    return write(tmp, spec)


def odd_added_tokens(spec):
    """Every way in which an added token may match."""
    options = [("<l>", True, False, False), ("<r>", False, True, False), ("<lr>", True, True, False),
               ("word", False, False, True), ("the", False, False, True), ("<w>", True, True, True)]
    added = 0
    for i, (content, lstrip, rstrip, single) in enumerate(options):
        token_id = spec["model"]["vocab"].get(content, len(spec["model"]["vocab"]) + added)
        added += content not in spec["model"]["vocab"]
        spec["added_tokens"].append({"id": token_id, "content": content, "lstrip": lstrip, "rstrip": rstrip,
                                     "single_word": single, "normalized": i % 2 == 0, "special": i == 2})
    spec["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFKC"}]}


def deepseek_like(spec):
    """Patterns that have no scanner of their own and go through PCRE2."""
    patterns = [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
                r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
    splits = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns]
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*splits, {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


def prefix_space(spec):
    spec["pre_tokenizer"]["add_prefix_space"] = True


def many_steps(spec):
    steps = [{"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Contiguous"},
             {"type": "Digits", "individual_digits": True},
             {"type": "Split", "pattern": {"String": "a"}, "behavior": "MergedWithNext", "invert": False},
             {"type": "Split", "pattern": {"Regex": "e+"}, "behavior": "MergedWithPrevious", "invert": False},
             {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    spec["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}


def metaspace(tmp, **options):
    """TinyStories' vocabulary under the Metaspace pair instead of normaliser and decoder chain."""
    spec = json.loads((DATA / "models/TinyStories-656K/tokenizer.json").read_text(encoding="utf-8"))
    spec["normalizer"] = None
    spec["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", **options}
    spec["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]}
    return write(tmp, spec)


def no_fallback(tmp):
    """Unknown characters: an unk token, one for each character, and no decoder at all."""
    spec = json.loads((DATA / "models/TinyStories-656K/tokenizer.json").read_text(encoding="utf-8"))
    spec["model"]["byte_fallback"] = False
    spec["model"]["fuse_unk"] = False
    spec["decoder"] = None
    spec["pre_tokenizer"] = {"type": "Whitespace"}
    return write(tmp, spec)


HF = "tokenizers/hf/"
CASES = {
    "gpt2": lambda tmp: DATA / HF / "gpt2/tokenizer.json",
    "llama2": llama2,
    "phi-3-mini": lambda tmp: DATA / HF / "phi-3-mini/tokenizer.json",
    "minimind": lambda tmp: DATA / HF / "minimind/tokenizer.json",
    "TinyStories-656K": lambda tmp: DATA / "models/TinyStories-656K/tokenizer.json",
    "qwen2": lambda tmp: DATA / HF / "qwen2",
    "llama3": llama3,
    "odd-added-tokens": lambda tmp: variant(tmp, odd_added_tokens),
    "deepseek-like": lambda tmp: variant(tmp, deepseek_like),
    "prefix-space": lambda tmp: variant(tmp, prefix_space),
    "many-steps": lambda tmp: variant(tmp, many_steps),
    "metaspace-first": lambda tmp: metaspace(tmp, prepend_scheme="first", split=True),
    "metaspace-whole": lambda tmp: metaspace(tmp, prepend_scheme="always", split=False),
    "no-fallback": no_fallback,
}


def reference_for(name, path):
    return qwen2_reference() if name == "qwen2" else tokenizers.Tokenizer.from_file(str(path))


def probe(path, records):
    """Answers of the probe, one list of lines for each (kind, bytes)."""
    data = b"".join(kind + struct.pack("<I", len(content)) + content for kind, content in records)
    done = subprocess.run([str(PROBE), str(path)], input=data, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stderr.decode()
    lines = iter(done.stdout.decode().split("\n"))
    count = {b"T": 6, b"I": 3, b"S": 1}
    return [[next(lines) for _ in range(count[kind])] for kind, _ in records]


def ids_of(line):
    assert not line.startswith("error"), line
    return [int(word) for word in line.split()]


@pytest.mark.parametrize("name", CASES)
def test_same_as_reference(name, tmp_path):
    if not PROBE.exists():
        pytest.skip(f"no probe at {PROBE}; build the target tokenizer_probe or set WEIR_TOKENIZER_PROBE")
    if not DATA.exists():
        pytest.skip(f"no data at {DATA}; set WEIR_DATA")
    path = CASES[name](tmp_path)
    reference = reference_for(name, path)
    added = sorted(t.content for t in reference.get_added_tokens_decoder().values())
    texts = strings(added[:12])
    answers = probe(path, [(b"T", text.encode("utf-8")) for text in texts])

    plain = reference.encode_batch(texts, add_special_tokens=False)
    full = reference.encode_batch(texts, add_special_tokens=True)
    reference.encode_special_tokens = True
    spelled = reference.encode_batch(texts, add_special_tokens=False)
    for text, answer, *expected in zip(texts, answers, plain, full, spelled):
        assert ids_of(answer[0]) == expected[0].ids, ascii(text)
        assert ids_of(answer[1]) == expected[1].ids, ascii(text)
        assert ids_of(answer[2]) == expected[2].ids, ascii(text)
        assert bytes.fromhex(answer[3]).decode() == reference.decode(expected[1].ids, skip_special_tokens=False)
        assert bytes.fromhex(answer[4]).decode() == reference.decode(expected[1].ids, skip_special_tokens=True)
        assert answer[5] == "ok", ascii(text)


@pytest.mark.parametrize("name", CASES)
def test_decode_of_arbitrary_ids(name, tmp_path):
    """Ids no text gives: broken UTF-8, bytes in the middle of words, special tokens anywhere, ids of nothing."""
    if not PROBE.exists():
        pytest.skip(f"no probe at {PROBE}; build the target tokenizer_probe or set WEIR_TOKENIZER_PROBE")
    if not DATA.exists():
        pytest.skip(f"no data at {DATA}; set WEIR_DATA")
    path = CASES[name](tmp_path)
    reference = reference_for(name, path)
    rng = random.Random(SEED)
    size = reference.get_vocab_size()
    few = [rng.randrange(min(size, 400)) for _ in range(60)]
    lists = [[rng.choice(few) if rng.random() < 0.6 else rng.randrange(size + 20) for _ in range(rng.randint(1, 24))]
             for _ in range(3000)]
    answers = probe(path, [(b"I", struct.pack(f"<{len(ids)}i", *ids)) for ids in lists])
    decoder = byte_runs.Decoder(reference)
    for ids, answer in zip(lists, answers):
        assert bytes.fromhex(answer[0]).decode() == decoder.decode(ids, False), ids
        assert bytes.fromhex(answer[1]).decode() == decoder.decode(ids, True), ids
        assert answer[2] == "ok", ids


def library_stream(reference, ids):
    """Bytes that the library's DecodeStream has given after each id, until it gives up or contradicts itself."""
    stream, given, lengths = tokenizers.decoders.DecodeStream(skip_special_tokens=True), "", []
    for token_id in ids:
        try:
            given += stream.step(reference, token_id) or ""
        except Exception:  # "Invalid prefix": the library's own stream ends here
            break
        lengths.append(len(given.encode("utf-8")))
    return given, lengths


@pytest.mark.parametrize("name", CASES)
def test_no_later_than_the_library(name, tmp_path):
    """Every character comes with the id with which the library's DecodeStream would bring it, or before."""
    if not PROBE.exists():
        pytest.skip(f"no probe at {PROBE}; build the target tokenizer_probe or set WEIR_TOKENIZER_PROBE")
    if not DATA.exists():
        pytest.skip(f"no data at {DATA}; set WEIR_DATA")
    path = CASES[name](tmp_path)
    reference = reference_for(name, path)
    rng = random.Random(SEED)
    texts = [text for text in strings([]) if 0 < len(text) < 120]
    lists = [reference.encode(rng.choice(texts) + rng.choice(PHRASES)).ids for _ in range(400)]
    answers = probe(path, [(b"S", struct.pack(f"<{len(ids)}i", *ids)) for ids in lists])
    compared = 0
    for ids, (line,) in zip(lists, answers):
        given, lengths = library_stream(reference, ids)
        if not reference.decode(ids).startswith(given):
            continue
        ours = ids_of(line)
        assert all(mine >= theirs for mine, theirs in zip(ours, lengths)), ids
        compared += len(lengths)
    assert compared > 2000
