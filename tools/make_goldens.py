#!/usr/bin/env python3
"""Writes tests/golden/: small random models in Hugging Face layout and what transformers says about them.

The C++ forward pass is compared with these files, so they must not come from our own code. Everything
is derived from fixed seeds; a second run writes the same bytes. Run from the repository root:

    python tools/make_goldens.py                 # all of it
    python tools/make_goldens.py models demo     # some of: models tinystories demo

`tinystories` needs the shared data folder ($WEIR_DATA, else ../shared/data) and is skipped without it;
`demo` needs models/weir-demo and is skipped without it.
"""

import copy
import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

REPO = Path(__file__).resolve().parent.parent
GOLDEN = REPO / "tests" / "golden"
DATA = Path(os.environ.get("WEIR_DATA", REPO.parent / "shared" / "data"))

PROMPT_TOKENS = 40  # longer than original_max_position_embeddings = 32, so that llama3 rope scaling shows
GREEDY_TOKENS = 24
LOGIT_ROWS = 3
RESERVED_IDS = 3  # 0..2 are pad/bos/eos in every config; goldens never contain them
MIN_GAP = 0.02  # top1 - top2: far above f32 noise, so that a correct forward cannot flip a token
MIN_DISTINCT = 10  # of the 24 greedy ids; a model stuck on one token would test little

BASE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "vocab_size": 256,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
    "use_cache": True,
}

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False}
QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "use_sliding_window": False,
}
QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "attention_bias": False,
    "head_dim": 32,  # != hidden / heads: q is wider than the residual stream
    "use_sliding_window": False,
}
# head_dim 16 and theta 1e4 give wavelengths 6.3, 19.9, 62.8, ...: with these bounds the first is kept,
# the second interpolated and the rest divided by 8, so all three branches are tested.
LLAMA3_ROPE = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 32,
    "rope_type": "llama3",
}

# name -> (weight seed, config, storage): storage says which tensors and files the directory holds.
MODELS = {
    "llama3": (11, {**BASE, **LLAMA, "rope_scaling": LLAMA3_ROPE, "vocab_size": 288, "tie_word_embeddings": False}, "plain"),
    "llama_tied": (12, {**BASE, **LLAMA, "rope_scaling": None, "tie_word_embeddings": True}, "plain"),
    "llama_tied_lmhead": (13, {**BASE, **LLAMA, "intermediate_size": 96, "rope_scaling": None, "tie_word_embeddings": True}, "lm_head_only"),
    "qwen2": (14, {**BASE, **QWEN2, "vocab_size": 288, "tie_word_embeddings": False}, "plain"),
    "qwen3": (15, {**BASE, **QWEN3, "tie_word_embeddings": True}, "plain"),
    "qwen2_sharded": (
        16,
        {**BASE, **QWEN2, "num_hidden_layers": 3, "intermediate_size": 160, "torch_dtype": "bfloat16", "tie_word_embeddings": False},
        "sharded_bf16",
    ),
}


# ---- writing ----------------------------------------------------------------------------------


def number(x):
    """RETURNS: nine significant digits, which round-trip every f32."""
    return "%.9g" % x


def row(values):
    return "[" + ",".join(number(v) for v in values) + "]"


def write_json(path, fields):
    """Writes one field per line; a list of float lists goes one row per line, for readable diffs."""
    lines = []
    for key, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], list) and isinstance(value[0][0], float):
            text = "[\n    " + ",\n    ".join(row(r) for r in value) + "\n  ]"
        else:
            text = json.dumps(value)
        lines.append(f'  "{key}": {text}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"wrote {path.relative_to(REPO)} ({path.stat().st_size} bytes)")


# ---- running transformers ---------------------------------------------------------------------


def build(config_path):
    """RETURNS: a transformers model with eager attention, in f32, weights still to be set."""
    config = AutoConfig.from_pretrained(config_path)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()


def load_weights(model, state):
    """Sets every parameter from `state` and refuses a name that is missing or unknown.

    Done by hand because from_pretrained does not know a tied model that stores lm_head only.
    """
    state = {name: tensor.float() for name, tensor in state.items()}
    if model.config.tie_word_embeddings:
        shared = state.get("model.embed_tokens.weight", state.get("lm_head.weight"))
        state["model.embed_tokens.weight"] = state["lm_head.weight"] = shared
    model.load_state_dict(state, strict=True)
    return model


@torch.no_grad()
def forward(model, ids):
    """RETURNS: (logits [tokens, vocab], hidden states of the last position) without a KV cache."""
    out = model(torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    return out.logits[0], [h[0, -1] for h in out.hidden_states]


def greedy(model, prompt, steps):
    """RETURNS: (ids, smallest top1 - top2 gap). End-of-sequence does not stop it."""
    ids, gap = list(prompt), float("inf")
    for _ in range(steps):
        logits, _ = forward(model, ids)
        top = logits[-1].topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
    return ids[len(prompt):], gap


# ---- random models ----------------------------------------------------------------------------


def random_tensor(name, shape, generator):
    """Weights large enough for uneven logits and sharp attention; norms and biases not ones and zeros."""
    noise = torch.randn(shape, generator=generator)
    if "norm" in name:
        return 1.0 + 0.25 * noise
    if name.endswith("bias"):
        return 0.3 * noise
    if "q_proj" in name or "k_proj" in name:
        return 0.2 * noise
    return 0.12 * noise


def random_state(model, seed):
    generator = torch.Generator().manual_seed(seed)
    tied = model.config.tie_word_embeddings
    names = [n for n in model.state_dict() if not (tied and n == "lm_head.weight")]
    return {n: random_tensor(n, model.state_dict()[n].shape, generator) for n in names}


def as_stored(state, storage):
    """RETURNS: {file name: {tensor name: tensor}} for one storage kind."""
    if storage == "lm_head_only":
        state = dict(state)
        state["lm_head.weight"] = state.pop("model.embed_tokens.weight")
    if storage != "sharded_bf16":
        return {"model.safetensors": state}
    state = {n: t.bfloat16() for n, t in state.items()}
    names = list(state)
    first = set(names[: len(names) // 2])
    return {
        "model-00001-of-00002.safetensors": {n: state[n] for n in names if n in first},
        "model-00002-of-00002.safetensors": {n: state[n] for n in names if n not in first},
    }


def write_index(folder, shards):
    size = sum(t.numel() * t.element_size() for shard in shards.values() for t in shard.values())
    where = {name: file for file, shard in shards.items() for name in shard}
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(where.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_model(name, seed, config, storage):
    """Writes the model directory and RETURNS: the model as a reader of those files would see it."""
    folder = GOLDEN / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = build(folder)
    shards = as_stored(random_state(model, seed), storage)
    for file, tensors in shards.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        write_index(folder, shards)
    stored = {k: v for file in shards for k, v in load_file(folder / file).items()}
    return load_weights(model, stored)


def find_prompt(model, name):
    """Tries prompts in a fixed order until the greedy continuation is one that no rounding can flip."""
    vocab = model.config.vocab_size
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        prompt = torch.randint(RESERVED_IDS, vocab, (PROMPT_TOKENS,), generator=generator).tolist()
        ids, gap = greedy(model, prompt, GREEDY_TOKENS)
        if gap > MIN_GAP and len(set(ids)) >= MIN_DISTINCT and min(ids) >= RESERVED_IDS:
            return seed, prompt, ids, gap
    raise SystemExit(f"{name}: no prompt seed gives a clear greedy continuation; change the weight seed")


def check_rope_scaling_matters(model, prompt, logits):
    """A golden that an engine without rope scaling would also pass is no golden."""
    config = copy.deepcopy(model.config)
    config.rope_scaling = None
    plain = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    plain.load_state_dict(model.state_dict())
    difference = (forward(plain, prompt)[0][-1] - logits[-1]).abs().max().item()
    assert difference > 0.05, difference
    return difference


def check_from_pretrained(folder, prompt, logits):
    """The directory is real Hugging Face layout: the stock loader must read it to the same logits."""
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    assert torch.equal(forward(stock, prompt)[0], logits), folder


def make_model(name):
    seed, config, storage = MODELS[name]
    model = write_model(name, seed, config, storage)
    prompt_seed, prompt, ids, gap = find_prompt(model, name)
    logits, hidden = forward(model, prompt)
    if storage != "lm_head_only":
        check_from_pretrained(GOLDEN / "models" / name, prompt, logits)
    if config.get("rope_scaling"):
        print(f"{name}: without rope scaling the logits move by {check_rope_scaling_matters(model, prompt, logits):.3f}")
    fields = {
        "about": "transformers, f32, eager attention; logits of the last 3 prompt positions; greedy ignores eos; "
        "hidden = residual stream of the last prompt position: after embedding, after each layer but the last, after the final norm",
        "weight_seed": seed,
        "prompt_seed": prompt_seed,
        "prompt": prompt,
        "greedy": ids,
        "smallest_gap": gap,
        "logits": [r.tolist() for r in logits[-LOGIT_ROWS:]],
        "hidden": [h.tolist() for h in hidden],
    }
    write_json(GOLDEN / "models" / name / "golden.json", fields)
    spread = logits[-1].std().item()
    print(f"{name}: prompt seed {prompt_seed}, smallest gap {gap:.4f}, {len(set(ids))} distinct ids, logit std {spread:.2f}")


# ---- trained models ---------------------------------------------------------------------------

# Element values that the origin repository's own test pins (data/models/SOURCES.md): (tensor, flat index, value).
TINYSTORIES_SPOTS = [
    ("lm_head.weight", 50, 0.14453125),
    ("model.layers.0.input_layernorm.weight", 10, 0.18652344),
    ("model.norm.weight", 100, 0.73046875),
    ("model.layers.0.mlp.down_proj.weight", 100, -0.0625),
    ("model.layers.0.mlp.up_proj.weight", 100, 1.46875),
    ("model.layers.1.mlp.gate_proj.weight", 100, 0.296875),
]
TINYSTORIES_HELLO = [80, 1443, 410, 555, 4]  # "Hello, world!" without BOS, pinned by another project


def check_spots(state):
    for name, index, value in TINYSTORIES_SPOTS:
        assert abs(state[name].flatten()[index].item() - value) < 1e-7, name


def make_tinystories():
    folder = DATA / "models" / "TinyStories-656K"
    if not folder.is_dir():
        print("skipped tinystories: no shared data folder (set WEIR_DATA)")
        return
    state = load_file(folder / "model.safetensors")
    check_spots(state)
    model = load_weights(build(folder), state)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "Once upon a time"
    prompt = tokenizer(text)["input_ids"]
    assert tokenizer("Hello, world!", add_special_tokens=False)["input_ids"] == TINYSTORIES_HELLO
    ids, gap = greedy(model, prompt, 120)
    fields = {
        "about": "TinyStories-656K (not committed; see the shared data folder), transformers, f32, eager; prompt with BOS; greedy ignores eos",
        "prompt_text": text,
        "prompt": prompt,
        "greedy": ids,
        "smallest_gap": gap,
        "text": tokenizer.decode(ids, skip_special_tokens=True),
        "hello_world_ids": TINYSTORIES_HELLO,
        "spot_values": [{"tensor": n, "index": i, "value": v} for n, i, v in TINYSTORIES_SPOTS],
        "last_logits": [forward(model, prompt)[0][-1].tolist()],
    }
    write_json(GOLDEN / "tinystories_656k.json", fields)
    print(f"tinystories: smallest gap {gap:.4f}: {fields['text'][:70]!r}")


def make_demo():
    folder = REPO / "models" / "weir-demo"
    if not (folder / "model.safetensors").is_file():
        print("skipped demo: no models/weir-demo (tools/train_demo.py writes it)")
        return
    model = load_weights(build(folder), load_file(folder / "model.safetensors"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "Tell me a story about a cat."}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids, gap = greedy(model, prompt, 60)
    fields = {
        "about": "models/weir-demo, bf16 weights computed in f32 by transformers, eager; greedy ignores eos",
        "messages": messages,
        "prompt_text": text,
        "prompt": prompt,
        "greedy": ids,
        "smallest_gap": gap,
        "text": tokenizer.decode(ids),
    }
    write_json(GOLDEN / "weir_demo.json", fields)
    print(f"demo: smallest gap {gap:.4f}: {fields['text'][:70]!r}")


def main():
    torch.set_num_threads(1)  # one thread also fixes the order of additions, so runs agree bit for bit
    wanted = sys.argv[1:] or ["models", "tinystories", "demo"]
    if "models" in wanted:
        for name in MODELS:
            make_model(name)
    if "tinystories" in wanted:
        make_tinystories()
    if "demo" in wanted:
        make_demo()
    total = sum(f.stat().st_size for f in GOLDEN.rglob("*") if f.is_file())
    print(f"tests/golden holds {total} bytes")


if __name__ == "__main__":
    main()
