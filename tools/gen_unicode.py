#!/usr/bin/env python3
"""Writes src/text/unicode_tables.inc: the character classes that tokenisers ask for, as a two-stage table.

usage: tools/gen_unicode.py [UNICODE_DIR] > src/text/unicode_tables.inc

UNICODE_DIR holds UnicodeData.txt, PropList.txt, DerivedCoreProperties.txt and DerivedNormalizationProps.txt
(Debian package unicode-data; default /usr/share/unicode). The bits are those of enum UnicodeClass in
src/text/unicode.h.
"""
import re
import sys

LETTER, NUMBER, SPACE, WORD, PUNCTUATION, MARK, NFC_INERT = (1 << i for i in range(7))
CODE_POINTS = 0x110000
PER_LINE = 40


def categories(path):
    """General category and combining class of every code point; ranges are First/Last pairs of lines."""
    category, combining = ["Cn"] * CODE_POINTS, [0] * CODE_POINTS
    first = None
    for line in open(path, encoding="utf-8"):
        fields = line.split(";")
        code = int(fields[0], 16)
        if fields[1].endswith(", First>"):
            first = code
            continue
        start = first if first is not None else code
        first = None
        for c in range(start, code + 1):
            category[c], combining[c] = fields[2], int(fields[3])
    return category, combining


def ranges_with(path, want):
    """Code points whose property fields (after the range) equal `want`."""
    found = set()
    for line in open(path, encoding="utf-8"):
        fields = [f.strip() for f in line.split("#")[0].split(";")]
        if len(fields) < 2 or fields[1:] not in want:
            continue
        low, _, high = fields[0].partition("..")
        found.update(range(int(low, 16), int(high or low, 16) + 1))
    return found


def classes(folder):
    category, combining = categories(folder + "/UnicodeData.txt")
    space = ranges_with(folder + "/PropList.txt", [["White_Space"]])
    joiners = ranges_with(folder + "/PropList.txt", [["Join_Control"]])
    alphabetic = ranges_with(folder + "/DerivedCoreProperties.txt", [["Alphabetic"]])
    nfc_no = ranges_with(folder + "/DerivedNormalizationProps.txt", [["NFC_QC", "N"], ["NFC_QC", "M"]])
    table = bytearray(CODE_POINTS)
    for c in range(CODE_POINTS):
        cat = category[c]
        bits = LETTER * (cat[0] == "L") | NUMBER * (cat[0] == "N") | SPACE * (c in space)
        bits |= PUNCTUATION * (cat[0] == "P") | MARK * (cat[0] == "M")
        bits |= WORD * (c in alphabetic or cat[0] == "M" or cat in ("Nd", "Pc") or c in joiners)
        bits |= NFC_INERT * (c not in nfc_no and combining[c] == 0)
        table[c] = bits
    return table


def two_stage(table, block):
    blocks, stage1 = {}, []
    for start in range(0, CODE_POINTS, block):
        stage1.append(blocks.setdefault(bytes(table[start:start + block]), len(blocks)))
    return stage1, b"".join(blocks)


def emit(name, kind, values):
    print(f"const {kind} {name}[{len(values)}] = {{")
    for i in range(0, len(values), PER_LINE):
        print(",".join(map(str, values[i:i + PER_LINE])) + ",")
    print("};")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    version = re.search(r"PropList-([\d.]+)\.txt", open(folder + "/PropList.txt", encoding="utf-8").readline()).group(1)
    stage1, stage2 = two_stage(classes(folder), 128)
    assert max(stage1) < 1 << 16
    print(f"// Made by tools/gen_unicode.py from Unicode {version}; do not edit.")
    emit("kUnicodeStage1", "uint16_t", stage1)
    emit("kUnicodeStage2", "uint8_t", stage2)


if __name__ == "__main__":
    main()
