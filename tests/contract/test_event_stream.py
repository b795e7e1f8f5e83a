"""The reader of event streams that these tests use refuses what other readers would read otherwise."""

from __future__ import annotations

import pytest

from tests.contract.event_stream import Parser


class TestParser:
    """The reader of these tests is as strict as it says."""

    WHOLE = b"retry: 5\nevent: a\nid: 1\ndata: x\n\n: ping\n\nevent: b\ndata: y\ndata: z\n\n"

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_portions_and_line_ends_make_no_difference(self, end, size):
        """However the bytes are cut."""
        data = self.WHOLE.replace(b"\n", end)
        parser = Parser()
        frames = [f for at in range(0, len(data), size) for f in parser.feed(data[at : at + size])]
        frames += parser.feed(b"")
        assert [(f.event, f.text, f.id, f.retry) for f in frames[:1]] == [("a", "x", "1", 5)]
        assert parser.comments == ["ping"]
        if end != b"\r":  # a last CR may still be half of a CRLF
            assert [(f.event, f.text, f.id, f.retry) for f in frames[1:]] == [("b", "y\nz", None, None)]
            assert parser.between_frames

    @pytest.mark.parametrize(
        "data",
        [b"id: 1\n\n", b"retry: 1\n\n", b"data\n\n", b"x: 1\n\n", b"id: 1\nid: 2\ndata: x\n\n", b"\xef\xbb\xbf: x\n"],
    )
    def test_what_readers_read_differently_is_refused(self, data):
        """Frames without data, fields that are unknown or come twice, a byte order mark."""
        with pytest.raises(AssertionError):
            list(Parser().feed(data))
