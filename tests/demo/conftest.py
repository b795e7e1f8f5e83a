"""Demos with a small export: one that is shared, and ones that a test may kill."""

import pytest

from raincheck.demo.make_orders import write_orders
from tests.demo.running_demo import RunningDemo


def data_folder(folder):
    folder.mkdir()
    write_orders(folder / "orders.csv", rows=20_000, seed=4)
    return folder


@pytest.fixture
def data(tmp_path):
    """A data folder with an export of 20,000 orders."""
    return data_folder(tmp_path / "data")


@pytest.fixture
def start(data):
    """Start demos on the data folder; whatever is left is ended with the test."""
    started = []

    def start(**keywords):
        started.append(RunningDemo(data, **keywords))
        return started[-1]

    yield start
    for demo in started:
        demo.kill_all()


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory):
    """A demo for the tests of a module that leave it alive."""
    data = data_folder(tmp_path_factory.mktemp("shared") / "data")
    demo = RunningDemo(data)
    yield demo
    demo.kill_all()
