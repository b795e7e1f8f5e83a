"""Every Python block of the documentation is a program that runs, and what it asserts holds."""

import pytest

from tests.docs.pages import GUIDE, OPENAPI_PAGE, PAGES, Block, blocks, run_program

# The OpenAPI page's program needs a generated client; tests/openapi runs it with one.
PROGRAMS = [block for page in PAGES if page != OPENAPI_PAGE for block in blocks(page, "python")]


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_of_the_documentation_runs(block, reader, kept_logging):
    """Whoever saves the block and runs it sees no error, and no warning either."""
    run_program(block, reader)


def test_a_program_whose_promise_does_not_hold_fails(reader):
    """The test above can fail, and points to the line of the page."""
    first = blocks(GUIDE, "python")[0]
    wrong = first.text.replace('== "Hello Bo, from greet"', '== "Goodbye"')
    assert wrong != first.text
    with pytest.raises(AssertionError) as raised:
        run_program(Block(first.page, first.line, wrong), reader)
    line = GUIDE.read_text(encoding="utf-8").splitlines()[raised.traceback[-1].lineno]
    assert "Hello Bo, from greet" in line


@pytest.mark.parametrize("block", [block for block in PROGRAMS if block.page == GUIDE], ids=str)
def test_a_program_of_the_guide_proves_what_it_shows(block):
    """It starts the application and asserts; a listing that is only read could say anything."""
    assert "with TestClient(" in block.text
    assert "assert " in block.text
