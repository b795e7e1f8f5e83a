"""Two requests with one idempotency key are the same when their fingerprints are."""

from __future__ import annotations

from fastapi import Depends

from raincheck.core.fingerprint import fingerprint
from tests.fastapi.binding.functions import JSON, bytes_body, dict_body, form_fields, many_files, other_form
from tests.fastapi.binding.harness import Operation, Routes


def of(operation: Operation, url: str = "/run", **request) -> str:
    return fingerprint(operation.send(url, **request).content())


def test_json_fingerprints_count_values_not_spelling(tmp_path) -> None:
    """Key order, spaces and 1.0 do not matter; another value, path or query does."""
    operation = Operation(dict_body, tmp_path)
    first = of(operation, content=b'{"a": 1, "b": "\\u00e4"}', headers=JSON)
    assert len(first) == 64
    assert of(operation, content='{"b":"ä","a":1.0}'.encode(), headers=JSON) == first
    assert of(operation, content=b'{"a": 2, "b": "\\u00e4"}', headers=JSON) != first
    assert of(operation, "/run?x=1", content=b'{"a": 1, "b": "\\u00e4"}', headers=JSON) != first
    big = [of(operation, content=b'{"a": %d}' % n, headers=JSON) for n in (2**60, 2**60 + 1)]
    assert big[0] != big[1]


def test_other_bodies_count_by_their_bytes(tmp_path) -> None:
    """A body that is no JSON has no other spelling."""
    operation = Operation(bytes_body, tmp_path)
    plain = {"content-type": "text/plain"}
    assert of(operation, content=b"{}", headers=plain) != of(operation, content=b"{ }", headers=plain)


def test_form_fingerprints_count_fields_and_files(tmp_path) -> None:
    """Order, texts and contents of files count; the multipart boundary does not."""
    operation = Operation(many_files, tmp_path)

    def sent(content: bytes, title: str = "t") -> str:
        operation.blobs.files.clear()
        return of(operation, files=[("files", ("n", content))], data={"title": title})

    assert sent(b"1") == sent(b"1")
    assert len({sent(b"1"), sent(b"2"), sent(b"1", "u")}) == 3


def test_what_a_dependency_reads_counts_too(tmp_path) -> None:
    """The same key with another password is another request, though the password is not stored."""
    operation = Operation(form_fields, tmp_path, Routes(dependencies=(Depends(other_form),)))
    one = of(operation, data={"a": "t", "password": "a"})
    assert one == of(operation, data={"a": "t", "password": "a"})
    assert one != of(operation, data={"a": "t", "password": "b"})
    assert "password" not in operation.captured.stored
