"""One crash point after the other on one file: each life of a server ends at its point, the next one goes on.

Each life begins with what the former ones left: held leases, half-told outcomes, clients in the dark. At the end a
server without a point settles everything, and every promise is checked for all operations of all lives.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httpx2

from raincheck.core.operation import Status
from tests.chaos.driver import Scene, Server, alive, until
from tests.chaos.readers import Reader, judge_replay

MODULE = "tests.chaos.crashing"
KINDS = ("crash-async", "crash-thread", "crash-process")
_COMMITS = ("submit", "claim", "renew", "record", "queued", "cancelling", "cancelled", "succeeded", "failed", "delete")
AROUND_COMMITS = tuple(f"{name}.{side}" for name in _COMMITS for side in ("before", "after"))
AROUND_COMMITS += ("commit.before", "commit.untold")
IN_FUNCTIONS = tuple(f"function.{name}" for name in ("begin", "step", "end", "render", "cleanup"))
OF_WORKERS = (
    tuple(p for p in AROUND_COMMITS if p.split(".")[0] not in {"submit", "cancelling", "delete"}) + IN_FUNCTIONS
)


@dataclass(eq=False)
class Promise:
    """One submit: how it is repeated, how it must end, and what the client knows of it."""

    kind: str
    key: str
    order: dict[str, object]
    ends: Status = Status.SUCCEEDED
    id: str | None = None
    deleted: bool = False

    def submit(self, client: httpx2.Client) -> None:
        """Submit, once more if need be; without an answer the client knows nothing."""
        with contextlib.suppress(httpx2.HTTPError):
            answer = client.post(f"/{self.kind}", json=self.order, headers={"Idempotency-Key": self.key})
            if answer.status_code == 410 and self.kind == "doomed":
                return  # its deletion was asked for, perhaps without an answer
            assert answer.status_code == 202, f"{answer.status_code} {answer.text}"
            found = str(answer.json()["id"])
            assert self.id in {None, found}, f"{self.key} was {self.id} and is {found} now"
            self.id = found


@dataclass(eq=False)
class Parade:
    """What all lives submitted, and what was read from them."""

    scene: Scene
    promises: list[Promise] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    crashes: int = 0

    def life(self, server: Server, kinds: Sequence[str] = KINDS) -> list[Promise]:
        """Submit to a server that may die at any moment: work, failures, a cancel and a delete."""
        number = len(self.promises)
        work = {"steps": 3, "pause": 0.03, "progress": number % 2 == 1}
        made = [Promise(kind, f"{kind}-{number}", work) for kind in kinds]
        made.append(Promise("flaky", f"flaky-{number}", {}))
        made.append(Promise("doomed", f"doomed-{number}", {}, ends=Status.FAILED))
        endless = {"steps": 2000, "pause": 0.03, "emit": False}
        made.append(Promise("async", f"endless-{number}", endless, ends=Status.CANCELLED))
        self.promises += made
        for promise in made:
            promise.submit(server.client)
            if promise.id is not None and promise.ends is not Status.CANCELLED:
                reader = Reader(server, promise.id)
                reader.follow()
                self.readers.append(reader)
        return made

    def end_some(self, server: Server, made: Sequence[Promise]) -> None:
        """Cancel and delete what this life submitted, as far as the server lives."""
        with contextlib.suppress(httpx2.HTTPError):
            for promise in made:
                if promise.id is not None and promise.ends is Status.CANCELLED:
                    self._until_begun(server, promise.id)
                    server.client.post(f"/operations/{promise.id}/cancel")
            doomed = next(promise for promise in made if promise.kind == "doomed")
            if doomed.id is not None:
                server.client.get(f"/operations/{doomed.id}", params={"wait": 5})
                doomed.deleted = server.client.delete(f"/operations/{doomed.id}").status_code == 204

    def _until_begun(self, server: Server, operation_id: str) -> None:
        """Wait until an operation runs or the process is dead: what waits is cancelled without any of its points."""
        for _ in range(20):
            answer = server.client.get(f"/operations/{operation_id}", params={"wait": 1, "after": 1})
            if answer.json()["version"] > 1 or self.crashed() > self.crashes:
                return

    def crashed(self) -> int:
        """Return how many crash points were reached so far."""
        return sum(effect.phase.startswith("crash:") for effect in self.scene.effects())

    def until_crash(self, point: str) -> None:
        """Wait until a process has died at the point."""
        self.crashes += 1
        until(lambda: self.crashed() >= self.crashes, patience=15, what=f"the crash at {point}")
        victim = [effect for effect in self.scene.effects() if effect.phase.startswith("crash:")][-1]
        assert victim.phase == f"crash:{point.partition(':')[0]}"
        until(lambda: not alive(victim.pid), what="the death")

    def settle(self, server: Server) -> None:
        """Repeat every submit and cancel, wait for all ends, and check every promise."""
        for promise in self.promises:
            promise.submit(server.client)
        buried = {promise.id for promise in self.promises if promise.id is not None and self._gone(server, promise)}
        kept = [promise for promise in self.promises if promise.id is not None and promise.id not in buried]
        for promise in kept:
            if promise.ends is Status.CANCELLED:
                answer = server.client.post(f"/operations/{promise.id}/cancel")
                assert answer.status_code in {200, 202}, answer.text
        self.scene.finished([str(promise.id) for promise in kept], by=server, patience=60)
        for ends in Status:
            ids = [str(promise.id) for promise in kept if promise.ends is ends]
            self.scene.judge(ids, status=ends)
        assert self.scene.everything() == {promise.id for promise in kept}, (
            "an operation exists that no client asked for"
        )
        self.judge_attempts(kept)
        judge_replay([reader for reader in self.readers if reader.operation_id not in buried], server)

    def _gone(self, server: Server, promise: Promise) -> bool:
        status = server.client.get(f"/operations/{promise.id}").status_code
        assert status == 200 or (status == 410 and promise.kind == "doomed"), f"{promise.key} is lost: {status}"
        assert not (promise.deleted and status == 200), f"{promise.key} was deleted and is back"
        return status == 410

    def judge_attempts(self, kept: Sequence[Promise]) -> None:
        """Check that crashes were counted as losses only: one attempt, two where the first one failed."""
        found = self.scene.read([str(promise.id) for promise in kept])
        for promise in kept:
            operation, _ = found[str(promise.id)]
            if promise.ends is not Status.CANCELLED:
                assert operation.attempt == (2 if promise.kind == "flaky" else 1), promise.key


def one_process(scene: Scene, points: Sequence[str]) -> Parade:
    """Let a single server crash at each point, restarted each time."""
    parade = Parade(scene)
    for point in points:
        server = scene.start(module=MODULE, CHAOS_CRASH=point)
        with dying(server):
            server.ready()
            made = parade.life(server)
            if not point.startswith("renew."):  # what goes on long enough is renewed
                parade.end_some(server, made)
            if point.startswith("queued."):
                server.process.terminate()  # a drain hands the rest back, if nothing else did
        parade.until_crash(point)
        server.process.wait(15)
    parade.settle(scene.start(module=MODULE).ready())
    return parade


def worker_programs(scene: Scene, points: Sequence[str]) -> Parade:
    """Let a ``raincheck worker`` crash at each point, beside a server that only accepts; the next one goes on."""
    parade = Parade(scene)
    scene.settings["RAINCHECK_WORKERS"] = "false"
    server = scene.start(module=MODULE).ready()
    for point in points:
        victim = scene.start_worker(module=MODULE, CHAOS_CRASH=point)
        made = parade.life(server)
        if not point.startswith("renew."):
            parade.end_some(server, made)
        parade.until_crash(point)
        with contextlib.suppress(ProcessLookupError):
            victim.process.kill()  # where a child died, its worker lives
        victim.process.wait(15)
    scene.start_worker(module=MODULE)
    parade.settle(server)
    return parade


def several_processes(scene: Scene, points: Sequence[str]) -> tuple[Parade, list[float]]:
    """Let one server of two crash at each point while the other lives on; return also the seconds of takeovers."""
    parade = Parade(scene)
    survivor = scene.start(module=MODULE).ready()
    for point in points:
        victim = scene.start(module=MODULE, CHAOS_CRASH=point)
        with dying(victim):
            victim.ready()
            end = time.monotonic() + 20
            while parade.crashed() == parade.crashes and time.monotonic() < end:
                parade.end_some(victim, parade.life(victim))
                time.sleep(0.1)
        parade.until_crash(point)
        with contextlib.suppress(ProcessLookupError):
            victim.process.kill()
        victim.process.wait(15)
    parade.settle(survivor)
    return parade, takeovers(scene)


def takeovers(scene: Scene) -> list[float]:
    """Return the seconds from each crash to the next run of what the dead process was running."""
    effects = scene.effects()
    took = []
    for crash in (effect for effect in effects if effect.phase.startswith("crash:")):
        held = {(e.id, e.run) for e in effects if e.pid == crash.pid and e.phase == "begin" and e.at <= crash.at}
        took += [
            effect.at - crash.at
            for effect in effects
            if effect.phase == "begin" and (effect.id, effect.run - 1) in held and effect.at > crash.at
        ]
    return took


@contextlib.contextmanager
def dying(server: Server) -> Iterator[None]:
    """Let a server die meanwhile, and nothing else go wrong."""
    try:
        yield
    except (httpx2.HTTPError, AssertionError):
        if server.process.wait(5) != -9:
            raise
