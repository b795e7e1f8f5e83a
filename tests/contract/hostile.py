"""Texts, cursors and messages that somebody sends who means harm."""

from __future__ import annotations

import json
import sys
import unicodedata

TEXTS = {
    "carriage return": "a\rb",
    "line feed": "a\nb",
    "both": "a\r\nb",
    "forged event": "x\n\nevent: done\nid: 999\ndata: {}\n\n",
    "forged comment": "\r\r: ping\r\r",
    "line separator": "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee",
    "nul": "a\x00b",
    "byte order mark": "\ufeffdata: x",
    "surrogates": "\ud800 \udfff",
    "emoji": "\U0001f4e6 ü",
    "quotes": "\"'\\</script>",
    "control": "".join(map(chr, range(32))) + "\x7f\x80",
    "one megabyte": "line \u2028\n" * 140_000,
}
FORGED = "a\r\n\nevent: done\nid: 9\ndata: {}\n\n\u2028\x00"


def cursors(version: int) -> dict[str, str]:
    """Return texts that are no version of an operation that has come to this one."""
    found = {
        "empty": "",
        "space": " ",
        "word": "latest",
        "negative": "-1",
        "plus": "+1",
        "fraction": "1.0",
        "exponent": "1e0",
        "hexadecimal": "0x1",
        "binary": "0b1",
        "underscore": "1_0",
        "comma": "1,1",
        "two": "1 1",
        "arabic digit": "\u0661",
        "full-width digit": "\uff11",
        "superscript": "\u00b2",
        "nul": "1\x00",
        "line feed": "1\n",
        "header": "1\r\nX-Forged: 1",
        "id": "op_" + "0" * 32,
        "submitted": "op_" + "0" * 32 + ":1",
        "many": "01234567.1.1",
        "quoted": '"1"',
        "weak": 'W/"1"',
        "star": "*",
        "null": "null",
        "true": "true",
        "nan": "nan",
        "infinity": "inf",
        "array": "[1]",
        "object": '{"version": 1}',
        "sql": "1 OR 1=1",
        "quote": "1'; DROP TABLE operations; --",
        "path": "../1",
        "url": "http://localhost/1",
        "script": "<script>1</script>",
        "template": "${1}{{1}}",
        "percent": "%31",
        "emoji": "1\ufe0f\u20e3",
        "next": str(version + 1),
        "far": "999999999999999",
        "16 digits": "1" * 16,
        "int64": str(2**63),
        "uint64": str(2**64),
        "5,000 digits": "1" * 5000,
        "8 kB": "x" * 8000,
    }
    found |= {f"a {name!r} behind": f"1{name}" for name in "abcdef:;=&?#@!~^|/\\()<>"}
    # What `int()` and `isdigit()` take for a number, or what looks like one to people.
    others = [each for each in map(chr, range(128, sys.maxunicode + 1)) if unicodedata.digit(each, 0) == 1]
    found |= {f"one as U+{ord(each):04X}": each for each in others}
    unseen = [each for each in map(chr, range(128, 0x10000)) if unicodedata.category(each) in {"Zs", "Zl", "Zp", "Cf"}]
    return found | {f"U+{ord(each):04X} behind": f"1{each}" for each in unseen}


def messages() -> dict[str, tuple[str | bytes, int]]:
    """Return messages of an introduced client, each with the code that the connection is closed with."""
    unknown = [
        *(
            "",
            " ",
            "hello",
            "null",
            "true",
            "1",
            "1.5",
            '"ping"',
            "[]",
            '[{"type":"ping"}]',
            "{}",
            "{",
            "}",
            "{]",
            "NaN",
        ),
        *('{"type":null}', '{"type":1}', '{"type":[]}', '{"type":{}}', '{"type":""}', '{"type":"PING"}'),
        *('{"type":"ping "}', '{"type":"pong"}', '{"type":"event"}', '{"type":"complete"}', '{"type":"error"}'),
        *('{"type":"connection_ack"}', '{"type":"connection_init"}', '{"type":"start"}', '{"Type":"ping"}'),
        *(
            "{'type':'ping'}",
            '{"type":"ping"}{"type":"ping"}',
            '{"type":"ping"},',
            '{"type":"ping"',
            "\x00",
            "\ufeff{}",
        ),
        *(
            "[" * 30_000,
            '{"a":' * 10_000,
            '{"type":' + "9" * 5000 + "}",
            '{"type":"\\ud800"}',
            '{"type":"pin\\u0000g"}',
        ),
    ]
    ids = [None, 1, 1.5, True, [], {}, "", "x" * 201]
    operations = [None, 1, True, [], {}]
    afters = [-1, 1.0, 1.5, True, False, "1", "", [], {}, 10**16, -(10**30), "0", "latest", [1]]
    there = "op_" + "0" * 32
    fields: list[dict[str, object]] = [
        *({"type": kind, "id": value, "operation": there} for kind in ("subscribe", "cancel") for value in ids),
        *({"type": "unsubscribe", "id": value} for value in ids),
        *({"type": kind, "operation": there} for kind in ("subscribe", "cancel", "unsubscribe")),
        *({"type": kind, "id": "1", "operation": value} for kind in ("subscribe", "cancel") for value in operations),
        *({"type": kind, "id": "1"} for kind in ("subscribe", "cancel")),
        *({"type": "subscribe", "id": "1", "operation": there, "after": value} for value in afters),
    ]
    found: dict[str, tuple[str | bytes, int]] = {}
    for text in [*unknown, *map(json.dumps, fields)]:
        found[f"{len(found)} {text[:60]!r}"] = text, 4400
    for data in (b"", b"{}", b'{"type":"ping"}', b"\xff\xfe", b"\x00" * 100):
        found[f"{len(found)} {data[:20]!r}"] = data, 4400
    for after in ("1e400", "1" * 5000, "Infinity", "-Infinity", "NaN", "1e2"):
        found[f"after {after[:20]}"] = f'{{"type":"subscribe","id":"1","operation":"{there}","after":{after}}}', 4400
    # A good message that was cut off, or of which one character was lost.
    whole = json.dumps({"type": "subscribe", "id": "1", "operation": there, "after": 7})
    for end in range(1, len(whole)):
        found[f"the first {end}"] = whole[:end], 4400
    for place in [place for place, each in enumerate(whole) if each in '{}":,']:
        found[f"without the {whole[place]} at {place}"] = whole[:place] + whole[place + 1 :], 4400
    large = "x" * ((64 << 10) + 1)
    for text in (
        large,
        json.dumps({"type": "ping", "x": large}),
        json.dumps({"type": "ping", "x": "ü" * 33_000}, ensure_ascii=False),
    ):
        found[f"large {text[:20]!r}"] = text, 1009
    return found


def unknown_operations() -> list[str]:
    """Return texts that are no operation of the caller; each is answered by the problem of the 404."""
    return [
        *(
            "",
            " ",
            "op_",
            "op_0",
            "op_" + "0" * 31,
            "op_" + "0" * 32,
            "op_" + "0" * 33,
            "op_" + "z" * 32,
            "OP_" + "0" * 32,
        ),
        *("ws", "events", "../events", "op_" + "0" * 32 + "/cancel", "%00", "\x00", "\ud800", "\u2028", "ü" * 32, "\n"),
        *("' OR 1=1 --", "*", "null", "op_" + "\x00" * 32, "op_" + "I" * 32, "op_" + "\u0660" * 32, "x" * 60_000),
    ]
