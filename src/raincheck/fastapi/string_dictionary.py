"""Reading a structured field that is a dictionary of strings (RFC 9651 §3.2, §3.3.3)."""

from __future__ import annotations

import re

_KEY = r"[a-z*][a-z0-9_.*-]*"
_STRING = r'"((?:[ !#-\[\]-~]|\\["\\])*)"'
_BARE = r'"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z0-9*?:@.+/_=%~!#$&\'^`|-]+'
_MEMBER = re.compile(rf"({_KEY})={_STRING}((?:; *{_KEY}(?:=(?:{_BARE}))?)*)")
_BETWEEN = re.compile(r"[ \t]*,[ \t]*")


def string_dictionary(text: str) -> dict[str, str] | None:
    """Return the strings by their keys, or None when the text is another structure.

    Parameters of members are allowed and ignored; of two members with one key the later counts.
    """
    text = text.strip(" ")
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        member = _MEMBER.match(text, position)
        if member is None:
            return None
        found[member[1]] = re.sub(r"\\(.)", r"\1", member[2])
        position = member.end()
        if position == len(text):
            break
        between = _BETWEEN.match(text, position)
        if between is None or between.end() == len(text):
            return None
        position = between.end()
    return found
