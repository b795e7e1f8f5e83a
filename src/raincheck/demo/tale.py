"""A small language model of our own: it counts which word followed which two in the package's texts, then goes on."""

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from raincheck import OperationContext

ORDER = 2  # words that the next one depends on
AT_ONCE = 20  # words between two turns of the event loop
_DOCSTRING = re.compile(r'^ *"""(.*?)"""', re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*|[.,;:]")
State = tuple[str, ...]


class Model:
    """How often each word followed each pair of words."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._next: dict[State, Counter[str]] = defaultdict(Counter)
        self._starts: list[State] = []
        for text in texts:
            words = _TOKEN.findall(text)
            for place in range(len(words) - ORDER):
                state = tuple(words[place : place + ORDER])
                self._next[state][words[place + ORDER]] += 1
                if place == 0 or words[place - 1] == ".":
                    self._starts.append(state)
        if not self._starts:
            msg = "a model needs texts with at least three words"
            raise ValueError(msg)

    def tokens(self, seed: int) -> Iterator[str]:
        """Give words without end; the same for the same seed."""
        chance = random.Random(seed)  # noqa: S311 - a tale, not a secret
        state = chance.choice(self._starts)
        yield from state
        while True:
            followers = self._next.get(state)
            if not followers:
                state = chance.choice(self._starts)
                yield from state
                continue
            word = chance.choices(list(followers), weights=list(followers.values()))[0]
            yield word
            state = (*state[1:], word)


def read_texts(package: Path) -> list[str]:
    """Return the prose of a package: what its modules, classes and functions say of themselves."""
    return [
        _prose(found) for file in sorted(package.rglob("*.py")) for found in _DOCSTRING.findall(file.read_text("utf-8"))
    ]


async def tell(model: Model, words: int, seed: int, op: OperationContext) -> str:
    """Emit a tale word by word, as a chat does; the event loop and cancels get their turn in between."""
    told = ""
    for number, word in enumerate(model.tokens(seed), 1):
        text = word if not told or word in ".,;:" else f" {word}"
        told += text
        op.emit(text)
        if number % AT_ONCE == 0 or number >= words:
            op.progress(number, words, unit="words")
            op.raise_if_cancelled()
            await op.drain()  # written, so the readers have it
            await asyncio.sleep(0)
        if number >= words:
            break
    return told


def _prose(docstring: str) -> str:
    """Return the sentences of a docstring, without its fields and its code."""
    lines = (line for line in docstring.splitlines() if not line.lstrip().startswith((":", ">", "|", "$")))
    text = re.sub(r"\S*\w[._]\w\S*", "", " ".join(lines))  # dotted and underscored names are no words
    return text.replace("``", "")
