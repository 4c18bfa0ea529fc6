#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/: four small tokenizers and what the Hugging Face `tokenizers` library does with them.

usage: python tools/make_tokenizer_goldens.py [OUT_DIR]      (needs: pip install tokenizers)

For each: NAME.tokenizer.json, and NAME.cases.json with
  texts:  [text, ids, ids with special tokens, ids with special tokens read as text, decode keeping, decode skipping]
  decodes: [ids, decode keeping, decode skipping]      (arbitrary ids, so broken UTF-8 too: byte_runs.py)
The C++ test src/text/tokenizer_golden_test.cc reads them and needs no Python.
"""

import json
import random
import sys
from pathlib import Path

import byte_runs
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SEED = 7
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

CORPUS = """
The harbour woke before the town did. Boats that hadn't moved all winter creaked, and somebody's dog barked at them.
"You're early," said the keeper; "we've no coffee, and I'll not make any until it's light." She laughed: "I'd wait."
In 1987 the light was 24 metres above the sea. By 2003 it was 23.5, or so the surveyors said; nobody believed them.
for i in range(10):\n    if i % 2 == 0:\n        print(i, end="\\n")\n\n# nothing else\nreturn {"a": [1, 2, 3]}
Das Haus am Fluß hatte grüne Fensterläden, die im Wind klapperten. Où est passé le déjeuner, là-bas, près du café ?
Мы шли вдоль берега и молчали. Вода была тёмная, а небо светлое. Чайки кричали, как всегда перед дождём.
今天的海很安静，我们坐在石头上吃苹果。明天可能会下雨。 きょうは ふねが こない。 배가 오지 않는다.
البحر هادئ اليوم والقارب ينتظر. समुद्र आज शांत है। 🚢🌊 ⛵ 🙂
water water everywhere and not a drop; lowest, newer, wider, slower, lower, newest, widest, slowest
"""

TEXTS = [
    "", " ", "  ", "   ", "\n", "\n\n", "\r\n", " \n ", "\t", "a", " a", "a ", "  a  b   c    d     ", "Hello, harbour!",
    "hello hello hello", "I'M sure they'Re here; he'LL've 'd 'S 'ſ ''", "it's you're we've I'm she'll he'd don't",
    "0 12 345 6789 01234567890", "3.14159e-10", "x=1;y=22;z=333", "foo\n\nbar\r\n\r\n  baz\t\tqux\n ", "!!! ??? ... --- ===",
    "Größe Äpfel naïve", "e\u0301 \u0065\u0323\u0301 \u212b \u1100\u1161\u11a8 \u0958", "Вода была тёмная", "今天的海很安静",
    "きょうは ふね", "배가 오지", "البحر هادئ ١٢٣", "समुद्र आज शांत ४५६", "ภาษาไทย", "ខ្មែរ", "🙂🚢👨‍👩‍👧 🇩🇪 👍🏽", "½ ² Ⅷ 〇",
    "a\u00a0b\u3000c\u200bd\u2028e\u0085f", "\x00\x01\x7f\x1b[0m", "\ufeffbom \ufffd \U0010ffff", "▁ ▁▁ a▁b", "ĠaĊb",
    "<s>", "</s>", "a<s>b", "<s><s> </s>", "<|mark|>", "x <|mark|> y", "<|mark|>\n\nz", "<sp>", "< s>", "<unk>",
    "  <left>a", "a  <left>", "<right>  b", "a<right>\n b", "wordy word word.", "sword word", "word", "lowest newest widest",
    "w" * 60, "ab" * 60, "water" * 30, " " * 60, "\n" * 60, "🙂" * 20, "é" * 50, "1" * 50,
    "The keeper said: \"don't!\"", "def f(x):\n    return x[1:]  # ok\n", "a.b,c;d:e!f?g", "https://a.b/c?d=e&f=%20",
]


def added(tokenizer):
    tokenizer.add_special_tokens([AddedToken("<|mark|>", normalized=False, special=True)])
    tokenizer.add_tokens([
        AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
        AddedToken("word", single_word=True, normalized=True)])


def byte_level(pattern, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(tokenizer, size, specials, alphabet):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.split("\n"), trainer)
    added(tokenizer)
    return tokenizer


def llama3():
    tokenizer = train(byte_level(LLAMA3), 500, ["<s>", "</s>"], pre_tokenizers.ByteLevel.alphabet())
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    spec = json.loads(tokenizer.to_str())
    spec["model"]["ignore_merges"] = True
    return Tokenizer.from_str(json.dumps(spec))


def qwen2():
    return train(byte_level(QWEN2, normalizers.NFC()), 480, ["</s>"], pre_tokenizers.ByteLevel.alphabet())


def gpt2():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 480, ["</s>"], pre_tokenizers.ByteLevel.alphabet())
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 0), ("</s>", 0))
    return tokenizer


def sentencepiece():
    """As Llama-2 is written: spaces become U+2581, no pre-tokenizer, unknown characters as bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "never", split=True)  # for training alone
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    train(tokenizer, 700, ["<unk>", "<s>", "</s>", *bytes_], [])
    spec = json.loads(tokenizer.to_str())
    spec["pre_tokenizer"] = None
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["content"] not in bytes_]
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def mixed_texts(rng):
    words = CORPUS.split() + TEXTS
    return ["".join(rng.choice(words)[:20] + rng.choice(["", " ", "  ", "\n"]) for _ in range(rng.randint(1, 5)))
            for _ in range(60)]


def cases(tokenizer, rng):
    texts = TEXTS + mixed_texts(rng)
    rows = []
    for text in texts:
        tokenizer.encode_special_tokens = False
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        full = tokenizer.encode(text, add_special_tokens=True).ids
        tokenizer.encode_special_tokens = True
        spelled = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append([text, plain, full, spelled, tokenizer.decode(full, skip_special_tokens=False),
                     tokenizer.decode(full, skip_special_tokens=True)])
    decodes = []
    decoder = byte_runs.Decoder(tokenizer)
    for _ in range(80):
        ids = [rng.randrange(tokenizer.get_vocab_size() + 3) for _ in range(rng.randint(1, 12))]
        decodes.append([ids, decoder.decode(ids, False), decoder.decode(ids, True)])
    return {"texts": rows, "decodes": decodes}


def main():
    default = Path(__file__).resolve().parents[1] / "tests/golden/tokenizer"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    out.mkdir(parents=True, exist_ok=True)
    for make in (llama3, qwen2, gpt2, sentencepiece):
        tokenizer = make()
        body = json.dumps(cases(tokenizer, random.Random(SEED)), ensure_ascii=True, separators=(",", ":"))
        tokenizer.encode_special_tokens = False
        (out / f"{make.__name__}.tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        (out / f"{make.__name__}.cases.json").write_text(body + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
