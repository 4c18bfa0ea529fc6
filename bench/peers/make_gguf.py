#!/usr/bin/env python3
"""Writes the weights of a directory that `bench_model --write` made as GGUF, for llama.cpp.

    python make_gguf.py MODEL_DIR OUT.gguf f16|q8_0|q4_0

Every matrix gets the same type, the embedding included, so that both sides stream the same bits; norms and biases are
f32. Tensor names and the order of rotary pairs follow llama.cpp's convert_hf_to_gguf.py: Llama's q and k are permuted,
Qwen2's are not. The tokeniser is the directory's own: bytes and words that mean nothing.
Needs numpy and gguf (PyPI). Tensors are written one after the other; memory is a piece of the largest.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import quant_shape_to_byte_shape, quantize

TYPES = {
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (GGMLQuantizationType.Q4_0, LlamaFileType.MOSTLY_Q4_0),
}
PIECE_NUMBERS = 1 << 24  # quantised at a time: 64 MB as f32
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        part, kind = rest.rsplit(".", 1)
        return f"blk.{layer}.{LAYER_NAMES[part]}.{kind}"
    return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight"}[name]


def open_tensors(path):
    """RETURNS: {name: array of bf16 bits}, mapped, not read."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            sys.exit(f"{path}: {name} is {entry['dtype']}; only what bench_model --write makes (BF16) is converted")
        begin, end = entry["data_offsets"]
        tensors[name] = data[begin:end].view(np.uint16).reshape(entry["shape"])
    return tensors


def to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def interleave_pairs(matrix, heads):
    """Rotary pairs (i, i + d/2) of Hugging Face become (2i, 2i + 1)."""
    rows = matrix.shape[0]
    return matrix.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(matrix.shape)


def converted(bits, kind):
    """RETURNS: the matrix in `kind`, made piece by piece; f16 numbers or bytes of blocks."""
    rows = max(1, PIECE_NUMBERS // bits.shape[-1])
    pieces = []
    for at in range(0, bits.shape[0], rows):
        piece = to_f32(bits[at : at + rows])
        pieces.append(piece.astype(np.float16) if kind == GGMLQuantizationType.F16 else quantize(piece, kind))
    return np.concatenate(pieces)


def add_settings(writer, config, file_type, name):
    heads = config["num_attention_heads"]
    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])


def add_tokens(writer, directory, end):
    vocab = json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if i == end else TokenType.NORMAL for i in range(len(tokens))])
    writer.add_token_merges([tokens[0] + " " + tokens[0]])  # llama.cpp wants one; nobody sends zero bytes
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in TYPES:
        sys.exit("usage: make_gguf.py MODEL_DIR OUT.gguf " + "|".join(TYPES))
    directory, out = Path(sys.argv[1]), Path(sys.argv[2])
    kind, file_type = TYPES[sys.argv[3]]
    config = json.loads((directory / "config.json").read_text())
    tensors = open_tensors(directory / "model.safetensors")
    permuted = {}
    if config["model_type"] == "llama":
        permuted = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    unfinished = out.with_suffix(".part")
    writer = GGUFWriter(unfinished, config["model_type"])
    add_settings(writer, config, file_type, directory.name)
    add_tokens(writer, directory, config["eos_token_id"])
    for name, bits in tensors.items():
        if bits.ndim == 1:
            writer.add_tensor_info(gguf_name(name), bits.shape, np.dtype(np.float32), bits.size * 4)
        elif kind == GGMLQuantizationType.F16:
            writer.add_tensor_info(gguf_name(name), bits.shape, np.dtype(np.float16), bits.size * 2)
        else:
            shape = quant_shape_to_byte_shape(bits.shape, kind)
            writer.add_tensor_info(gguf_name(name), shape, np.dtype(np.uint8), int(np.prod(shape)), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, bits in tensors.items():
        if bits.ndim == 1:
            writer.write_tensor_data(to_f32(bits))
            continue
        heads = permuted.get(gguf_name(name).split(".")[-2])
        writer.write_tensor_data(converted(interleave_pairs(bits, heads) if heads else bits, kind))
    writer.close()
    unfinished.rename(out)


if __name__ == "__main__":
    main()
