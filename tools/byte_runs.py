"""The library's decode(), but for byte tokens (<0xE2>) that are not UTF-8: its ByteFallback makes every byte of such a
run U+FFFD, characters beside the broken one included, which no stream can know in time. Ours gives the characters and
one U+FFFD for each maximal invalid part, as both do for byte-level vocabularies (docs/decisions/streaming-text.md)."""

import json
import re

BYTE = re.compile(r"<0x([0-9a-f+][0-9a-f])>", re.IGNORECASE)


def mend_runs(tokens):
    """The same tokens with U+FFFD as a token of its own where bytes are no UTF-8, so that every run is text."""
    out, run = [], b""
    for token in [*tokens, None]:
        byte = BYTE.fullmatch(token) if token is not None else None
        if byte:
            run += bytes([int(byte[1], 16)])
            continue
        for character in run.decode("utf-8", "replace"):
            whole = character == "\ufffd"
            out += [character] if whole else [f"<0x{b:02X}>" for b in character.encode("utf-8")]
        run = b""
        out += [] if token is None else [token]
    return out


class Decoder:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.falls_back = '"ByteFallback"' in json.dumps(json.loads(tokenizer.to_str())["decoder"])
        self.special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}

    def decode(self, ids, skip_special_tokens):
        if not self.falls_back:
            return self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        kept = [i for i in ids if not (skip_special_tokens and i in self.special)]
        tokens = [token for token in map(self.tokenizer.id_to_token, kept) if token is not None]
        return self.tokenizer.decoder.decode(mend_runs(tokens))
