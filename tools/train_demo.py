#!/usr/bin/env python3
"""Trains models/weir-demo from nothing: tokenizer, weights, configuration, log.

    nice python tools/train_demo.py                     # the run that models/weir-demo/TRAINING.log describes
    python tools/train_demo.py --minutes 1 --out /tmp/x # a quick look

One thread, fixed seeds. The learning rate follows the step count, not the clock, so that a second run on
the same machine and the same torch writes the same weights; --minutes only stops early.
The texts come from tools/demo_corpus.py alone: no file is read and nothing is downloaded.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from demo_corpus import END_OF_TEXT, TURN_END, TURN_START, documents, drills, questions, word_list

REPO = Path(__file__).resolve().parent.parent
VOCAB = 3072
IGNORE = -100
# The Qwen2 split: words with their leading space, single digits, runs of punctuation, white space.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONFIG = dict(
    vocab_size=VOCAB, hidden_size=192, intermediate_size=384, num_hidden_layers=4, num_attention_heads=6,
    # With 32 dimensions per head a theta of 1e4 turns nearly all of them within one story; 1e6 leaves half of
    # them still, and those can compare words over any distance.
    num_key_value_heads=3, head_dim=32, max_position_embeddings=1024, rope_theta=1000000.0, rms_norm_eps=1e-5,
    tie_word_embeddings=True, attention_bias=False, mlp_bias=False, hidden_act="silu",
)


# ---- tokenizer ----------------------------------------------------------------------------------


def train_tokenizer(docs):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # every byte has a token: no text is unknown
        show_progress=False,
    )
    plain = ("".join(t for t, _ in d).replace(TURN_START, "").replace(TURN_END, "").replace(END_OF_TEXT, "") for d in docs)
    tokenizer.train_from_iterator(plain, trainer)
    assert tokenizer.get_vocab_size() == VOCAB
    return tokenizer


def encode(tokenizer, docs):
    """RETURNS: per document (ids, labels); labels of read-only text are IGNORE."""
    segments = [(i, text, learn) for i, doc in enumerate(docs) for text, learn in doc]
    encoded = tokenizer.encode_batch([s[1] for s in segments], add_special_tokens=False)
    out = [([], []) for _ in docs]
    for (i, _, learn), e in zip(segments, encoded):
        out[i][0].extend(e.ids)
        out[i][1].extend(e.ids if learn else [IGNORE] * len(e.ids))
    return out


def pack(docs, row_tokens, rng):
    """RETURNS: (ids, labels) [rows, row_tokens]. Every row begins with the start of a document, as a prompt does."""
    open_rows, full = [], []
    for ids, labels in docs:
        ids, labels = ids[:row_tokens], labels[:row_tokens]
        fitting = [r for r in open_rows if len(r[0]) + len(ids) <= row_tokens]
        row = max(fitting, key=lambda r: len(r[0])) if fitting else ([], [])
        if not fitting:
            open_rows.append(row)
        row[0].extend(ids)
        row[1].extend(labels)
        if len(open_rows) > 64:  # a bounded window keeps this linear
            fullest = max(open_rows, key=lambda r: len(r[0]))
            open_rows.remove(fullest)
            full.append(fullest)
    full += open_rows
    rng.shuffle(full)
    pad = lambda values, fill: values + [fill] * (row_tokens - len(values))
    return torch.tensor([pad(r[0], 0) for r in full]), torch.tensor([pad(r[1], IGNORE) for r in full])


# ---- training -----------------------------------------------------------------------------------


def make_model(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        **CONFIG, bos_token_id=None, eos_token_id=2, pad_token_id=0, initializer_range=0.03, attn_implementation="sdpa"
    )
    model = LlamaForCausalLM(config)
    for layer in model.model.layers:  # residual outputs start small, as in GPT-2, section 2.3
        for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
            weight.data /= (2 * config.num_hidden_layers) ** 0.5
    start_copying(model)
    return model


@torch.no_grad()
def start_copying(model):
    """Gives the model two habits that a story needs and that cost it most steps to find by itself.

    Left to itself it wrote fluent grammar after 200 steps but did not copy one name in 450: a head that looks
    at the right word is of no use before it can write that word down, and the other way round. So layer 0
    begins by looking 1 and 2 tokens back, and the heads of the next two layers begin by writing down the words
    they look at. What to look at is learned, and every weight is trained on.
    """
    generator = torch.Generator().manual_seed(1)
    hidden = CONFIG["hidden_size"]
    basis = torch.zeros(hidden - 1, hidden)
    basis[:, 1:] = torch.linalg.qr(torch.randn(hidden - 1, hidden - 1, generator=generator))[0]
    look_back(model)
    for number, layer in enumerate(model.model.layers[1:3]):
        width = CONFIG["num_key_value_heads"] * CONFIG["head_dim"]
        write_down(layer.self_attn, basis[number * width // 2 : number * width // 2 + width])


def look_back(model):
    """Layer 0, the query heads of key head 0: attend 1, 2, ... places back.

    Dimension 0 of every embedding is one constant, and queries and keys that read it alone score
    sum_f A cos((distance - wanted) * theta_f), which peaks at the wanted distance.
    """
    constant, amplitude, frequencies = 0.1, 3.0, 5
    embedding = model.model.embed_tokens.weight
    embedding[:, 0] = constant
    attention, dim = model.model.layers[0].self_attn, CONFIG["head_dim"]
    seen = constant * CONFIG["hidden_size"] ** 0.5 / embedding.norm(dim=1).mean()  # its value after the norm
    theta = CONFIG["rope_theta"] ** (-torch.arange(frequencies) * 2 / dim)
    attention.k_proj.weight[:dim] *= 0.1
    attention.k_proj.weight[:frequencies, 0] = amplitude / seen
    for head in range(CONFIG["num_attention_heads"] // CONFIG["num_key_value_heads"]):
        query = attention.q_proj.weight[head * dim : (head + 1) * dim]
        query *= 0.1
        # Turned back by head + 1 positions: pair f is (f, f + dim / 2) in the rotate-half layout.
        query[:frequencies, 0] = amplitude / seen * torch.cos((head + 1) * theta)
        query[dim // 2 : dim // 2 + frequencies, 0] = -amplitude / seen * torch.sin((head + 1) * theta)
    attention.o_proj.weight[:, : (head + 1) * dim] *= (2 * CONFIG["num_hidden_layers"]) ** 0.5


def write_down(attention, directions):
    """Value and output together project onto `directions`: what a head sees, it adds to the residual stream."""
    dim, group = CONFIG["head_dim"], CONFIG["num_attention_heads"] // CONFIG["num_key_value_heads"]
    attention.v_proj.weight[:] = directions
    for head in range(CONFIG["num_attention_heads"]):
        attention.o_proj.weight[:, head * dim : (head + 1) * dim] = 0.4 * directions[head // group * dim :][:dim].T


def row_loss(model, ids, labels):
    """RETURNS: mean loss over the learned tokens; the output matrix is applied to their positions only."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        wanted = labels[:, 1:] != IGNORE
        logits = F.linear(hidden[:, :-1][wanted], model.lm_head.weight)
    return F.cross_entropy(logits.float(), labels[:, 1:][wanted])


def make_optimizers(model):
    """Muon for the matrices inside the layers (it learns in about half the steps), AdamW for the rest."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=0.01, momentum=0.95, weight_decay=0.02, adjust_lr_fn="original"),
        torch.optim.AdamW(others, lr=0.004, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def schedule(step, steps):
    """RETURNS: factor of the learning rate: short warm-up, flat, then linear to almost zero over the last half."""
    return min(1.0, (step + 1) / 25, max(0.01, (steps - step) / (0.5 * steps)))


@torch.no_grad()
def validate(model, rows):
    model.eval()
    losses = [row_loss(model, rows[0][i : i + 8], rows[1][i : i + 8]).item() for i in range(0, len(rows[0]), 8)]
    model.train()
    return sum(losses) / len(losses)


def train(model, phases, valid, out, log, minutes):
    optimizers = make_optimizers(model)
    base = [o.param_groups[0]["lr"] for o in optimizers]
    batches = [(ids[i : i + n], labels[i : i + n]) for (ids, labels), n in phases for i in range(0, len(ids) - n + 1, n)]
    started, tokens, recent = time.time(), 0, []
    for step, (ids, labels) in enumerate(batches):
        for optimizer, lr in zip(optimizers, base):
            optimizer.param_groups[0]["lr"] = lr * schedule(step, len(batches))
        loss = row_loss(model, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens += ids.numel()
        recent = (recent + [loss.item()])[-20:]
        elapsed = time.time() - started
        if step % 20 == 0:
            log(f"step {step:5d}/{len(batches)} tokens {tokens:8d} loss {sum(recent) / len(recent):.4f} s {elapsed:.0f}")
        if step % 100 == 99:
            log(f"step {step:5d} validation loss {validate(model, valid):.4f}")
            save_weights(model, out)
        if elapsed > 60 * minutes:
            log(f"stopped early at step {step}: --minutes {minutes}")
            break
    return validate(model, valid)


# ---- writing ------------------------------------------------------------------------------------


def save_weights(model, out):
    """Writes bf16; the tied output matrix is not stored twice."""
    state = {n: p.detach().bfloat16().contiguous() for n, p in model.named_parameters()}
    state.pop("lm_head.weight", None)
    path = out / "model.safetensors"
    save_file(state, path, metadata={"format": "pt"})
    path.chmod(0o644)  # save_file leaves it unreadable for others


def write_json(path, fields):
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n")


def save_config(tokenizer, out):
    tokenizer.save(str(out / "tokenizer.json"))
    write_json(out / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", **CONFIG, "rope_scaling": None, "attention_dropout": 0.0,
        "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0, "torch_dtype": "bfloat16", "use_cache": True,
    })
    write_json(out / "generation_config.json", {
        "do_sample": True, "temperature": 0.7, "top_p": 0.95, "eos_token_id": [2, 0], "pad_token_id": 0,
    })
    special = lambda text: {"content": text, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    write_json(out / "tokenizer_config.json", {
        "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": TURN_END, "pad_token": END_OF_TEXT,
        "unk_token": None, "additional_special_tokens": [TURN_START, TURN_END], "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {str(i): special(t) for i, t in enumerate([END_OF_TEXT, TURN_START, TURN_END])},
        "model_max_length": CONFIG["max_position_embeddings"], "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": CHAT_TEMPLATE,
    })


def open_log(path):
    file = path.open("w")

    def log(line):
        print(line, flush=True)
        print(line, file=file, flush=True)

    return log


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPO / "models" / "weir-demo")
    parser.add_argument("--documents", type=int, default=30000)
    parser.add_argument("--long-documents", type=int, default=9000, help="of them, those of the last phase, with rows of 1024 tokens")
    parser.add_argument("--drills", type=int, default=9000, help="of the first phase, with rows of 128 tokens")
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    log = open_log(args.out / "TRAINING.log")
    log(f"python tools/train_demo.py --documents {args.documents} --long-documents {args.long_documents} --drills {args.drills} --seed {args.seed}")
    log(f"torch {torch.__version__}, python {sys.version.split()[0]}, one thread, bf16 autocast, f32 weights")
    rng = random.Random(args.seed)
    train_docs = documents(f"train{args.seed}", args.documents)
    tokenizer = train_tokenizer(documents("tokenizer", 2000) + questions("tokenizer", 25000) + word_list())
    save_config(tokenizer, args.out)
    encoded = encode(tokenizer, train_docs)
    short, long = encoded[: -args.long_documents], encoded[-args.long_documents :]
    warm_up = encode(tokenizer, drills(f"drill{args.seed}", args.drills))
    phases = [(pack(warm_up, 128, rng), 24), (pack(short, 512, rng), 8), (pack(long, 1024, rng), 4)]
    valid = pack(encode(tokenizer, documents("validation", 200)), 512, rng)
    model = make_model(args.seed)
    log(f"{sum(p.numel() for p in model.parameters())} weights, {sum(p[0][0].numel() for p in phases)} training tokens, {sum(len(d[0]) for d in encoded)} without padding")
    log(f"learned tokens: {sum(int((p[0][1] != IGNORE).sum()) for p in phases)}")
    final = train(model, phases, valid, args.out, log, args.minutes)
    save_weights(model, args.out)
    log(f"final validation loss {final:.4f} nats per learned token")


if __name__ == "__main__":
    main()
