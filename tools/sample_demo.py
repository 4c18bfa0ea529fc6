#!/usr/bin/env python3
"""Prints answers of models/weir-demo as transformers computes them, to judge a training run by eye.

    python tools/sample_demo.py [model directory] [temperature ...]
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

REPO = Path(__file__).resolve().parent.parent
TURN_END, END_OF_TEXT = 2, 0
TALKS = [
    ["Hello!"],
    ["Tell me a story about a cat."],
    ["tell me a story about a brave little robot"],
    ["Tell me a long story about two friends and the sea."],
    ["Who are you?", "And what is weir?"],
    ["What is the capital of France?", "What is 3 + 4?", "Name three fruits.", "what is a river?"],
    ["Hi, my name is Anna.", "What sound does a cow make?", "What is my name?"],
    ["Write a poem about an owl.", "Thank you!"],
    ["Tell me a story about a dog named Bruno.", "What was the name of the dog?", "Where did he live?", "Tell me another one, please."],
    ["Write a Python program that sorts numbers."],
    ["I am sad today.", "My cat ran away."],
    ["What do you think about politics?"],
]


@torch.no_grad()
def generate(model, ids, temperature):
    kwargs = {"do_sample": True, "temperature": temperature, "top_p": 0.95, "top_k": 0} if temperature > 0 else {"do_sample": False}
    limit = max(1, min(400, 1024 - len(ids)))
    out = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=limit, eos_token_id=[TURN_END, END_OF_TEXT],
        pad_token_id=END_OF_TEXT, **kwargs,
    )
    return out[0, len(ids):].tolist()


def talk(model, tokenizer, questions, temperature):
    messages = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = generate(model, tokenizer(text, add_special_tokens=False)["input_ids"], temperature)
        messages.append({"role": "assistant", "content": tokenizer.decode(ids, skip_special_tokens=True)})
        print(f"> {question}\n{messages[-1]['content']}{'' if ids[-1] == TURN_END else ' [no end of turn]'}\n")


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPO / "models" / "weir-demo"
    temperatures = [float(t) for t in sys.argv[2:]] or [0.0, 0.7]
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.temperature = model.generation_config.top_p = None
    model.generation_config.do_sample = False
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for temperature in temperatures:
        torch.manual_seed(1)
        print(f"======== temperature {temperature}")
        for questions in TALKS:
            talk(model, tokenizer, questions, temperature)
        print("> (plain) Once upon a time")
        print("Once upon a time" + tokenizer.decode(generate(model, tokenizer("Once upon a time")["input_ids"], temperature)) + "\n")


if __name__ == "__main__":
    main()
