"""Longer storms by hand: ``python -m tests.chaos --rounds 20 --seed 1``, or all that is promised: ``make storms``."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.crowded_ends import crowded_ends
from tests.chaos.driver import Scene
from tests.chaos.storm import BLOWS, Report, storm, summary
from tests.postgres.outages import outages
from tests.postgres.server import PostgresServer

KILLS = ("kill", "kill-child", "kill-fork-server")
PROMISED = ((KILLS, 500, 40), (("pause",), 200, 20), (("term", "int"), 20, 20))  # kinds, how many, in each round
CROWDED_ENDS = 20


def main() -> None:
    """Run what the command line asks for; a broken promise ends it with the seed that repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="each with new programs on a new file")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="of the first round; odd: deaf")
    parser.add_argument("--blows", type=int, default=8, help="in each round")
    parser.add_argument("--total", type=int, help="rounds until so many blows were struck, instead of --rounds")
    parser.add_argument("--only", help=f"some kinds of blows instead of all, separated by commas: {', '.join(BLOWS)}")
    parser.add_argument(
        "--stops", type=int, default=0, help="instead: stop a PostgreSQL server so often, as a crash does"
    )
    parser.add_argument("--operations", type=int, default=1000, help="with --stops: how many are accepted at least")
    parser.add_argument("--apart", type=float, default=8.0, help="with --stops: seconds between two, at most")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after so many seconds")
    parser.add_argument("--crowded", type=int, help="only this: TERM so many times to a server with 140 readers")
    parser.add_argument("--promised", action="store_true", help="500 kills, 200 pauses, 20 ends, 20 crowded ends")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended too
    if chosen.stops:
        stopped_databases(chosen)
        return
    if chosen.promised:
        for kinds, total, blows in PROMISED:
            campaign(kinds, seed=chosen.seed, blows=blows, total=total)
    if chosen.promised or chosen.crowded:
        crowded(chosen.crowded or CROWDED_ENDS)
        return
    kinds = BLOWS if chosen.only is None else tuple(chosen.only.split(","))
    if unknown := set(kinds) - set(BLOWS):
        parser.error(f"unknown blows: {', '.join(sorted(unknown))}")
    total = chosen.total or chosen.rounds * chosen.blows
    campaign(kinds, seed=chosen.seed, blows=chosen.blows, total=total, until=time.monotonic() + chosen.seconds)


def stopped_databases(chosen: argparse.Namespace) -> None:
    """Stop a PostgreSQL server again and again, and tell what happened."""
    database = PostgresServer(durable=True)
    with tempfile.TemporaryDirectory(prefix="raincheck-chaos-") as folder:
        scene = Scene(Path(folder), database_url=f"{database.url()}?schema=outages")
        try:
            report = outages(
                scene,
                database,
                seed=chosen.seed,
                operations=chosen.operations,
                stops=chosen.stops,
                apart=(min(1.0, chosen.apart), chosen.apart),
            )
            say(str(report))
        finally:
            scene.close()
            database.close()


def campaign(kinds: tuple[str, ...], *, seed: int, blows: int, total: int, until: float = float("inf")) -> None:
    """Let storms follow each other, one seed after the other, until so many blows were struck or the time is up."""
    report = Report()
    while report.blows.total() < total and time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="raincheck-chaos-") as folder:
            scene = Scene(Path(folder), deaf=seed % 2 == 1)
            try:
                report.add(storm(scene, seed=seed, blows=min(blows, total - report.blows.total()), kinds=kinds))
            except BaseException:
                say(f"a promise was broken; repeat it with --rounds 1 --blows {blows} --seed {seed}")
                raise
            finally:
                scene.close()
        say(f"seed {seed}{' (deaf)' if scene.deaf else ''}, so far: {report}")
        seed += 1


def crowded(count: int) -> None:
    """End crowded servers and tell how long it took."""
    with tempfile.TemporaryDirectory(prefix="raincheck-chaos-") as folder:
        scene = Scene(Path(folder))
        try:
            say(f"crowded ends: {summary(crowded_ends(scene, count))}")
        finally:
            scene.close()


def say(line: str) -> None:
    """Print progress, for whoever runs this by hand."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
