"""Several runs as one: the shards of a suite, or the parts of a pipeline, joined for one summary.

Only what belongs together is joined: runs of the same project at the same commit and in the same build, as far as
they say; shards of the same split, each of them once; and no test twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_sergas.core.dependencies import joined
from pytest_sergas.core.records import RunRecord, TestRecord
from pytest_sergas.core.shards import parse

_SHOWN = 5
_SAME: Mapping[str, Callable[[RunRecord], str]] = {
    "project": lambda run: run.project,
    "repository": lambda run: run.environment.repository,
    "commit": lambda run: run.environment.commit,
    "build": lambda run: run.environment.build_id,
    "number of shards": lambda run: run.shard.partition("/")[2],
    "split (the shards were cut from other tests or by other durations)": lambda run: run.split,
}


class MergeError(ValueError):
    """Runs cannot be joined; ``faults`` says why, a line for each reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))


def merge(runs: Mapping[str, RunRecord], *, incomplete: bool = False) -> RunRecord:
    """Return all of ``runs`` as one.

    Args:
        runs: name (of its file) → run; at least one.
        incomplete: join although shards are missing; the run then says which.

    Raises:
        MergeError: they do not belong together, a test is in two of them, or a shard is missing.
    """
    faults = [*_strangers(runs), *_twice(runs)]
    missing = "" if faults else _missing(runs)
    if missing and not incomplete:
        faults.append(f"missing: {missing}; name its file too, or join without it with --incomplete")
    if faults:
        raise MergeError(faults)
    first, *_ = parts = list(runs.values())
    notes = [f"joined without {missing}"] if missing else []
    tests: dict[object, TestRecord] = {}
    for name, run in runs.items():
        for number, test in enumerate(run.tests):
            # A file that could not be collected is the same in every shard.
            tests.setdefault((name, number) if _ran(test) else test.node_id, test)
    return RunRecord(
        # The same parts make the same run, in whatever order they are named.
        run_id=uuid.uuid5(uuid.NAMESPACE_URL, " ".join(sorted(run.run_id for run in parts))).hex,
        project=first.project,
        started_s=min(run.started_s for run in parts),
        finished_s=max(run.finished_s for run in parts),
        tests=tuple(sorted(tests.values(), key=lambda test: test.start_s)),
        exit_status=max(run.exit_status for run in parts),
        stopped="; ".join(dict.fromkeys(run.stopped for run in parts if run.stopped)),
        unfinished=tuple(node_id for run in parts for node_id in run.unfinished),
        collected=sum(run.collected for run in parts),
        workers=sum(run.workers for run in parts),
        environment=replace(
            first.environment,
            **{name: _agreed(parts, name) for name in ("job", "build_url", "python", "platform")},
            # Not every part has tests with relative budgets. Of several kinds of machine, none may pass for one.
            machine="; ".join(sorted({run.environment.machine for run in parts} - {""})),
        ),
        notes=tuple(dict.fromkeys([*notes, *(note for run in parts for note in run.notes)])),
        refused=tuple(dict.fromkeys(refusal for run in parts for refusal in run.refused)),
        version=first.version,
        dependencies=joined(one for run in parts for one in run.dependencies),
    )


def _strangers(runs: Mapping[str, RunRecord]) -> Iterator[str]:
    """Say where two runs tell different things about what they are runs of."""
    for what, of in _SAME.items():
        told = {name: of(run) for name, run in runs.items() if of(run)}
        if len(set(told.values())) > 1:
            (one, first), *others = told.items()
            other, second = next((name, value) for name, value in others if value != first)
            yield f"not of one run: {one} and {other} differ in their {what}: {first!r} and {second!r}"


def _twice(runs: Mapping[str, RunRecord]) -> Iterator[str]:
    owners: dict[str, str] = {}
    shards: dict[str, str] = {}
    doubles: list[str] = []
    for name, run in runs.items():
        if run.shard and (other := shards.setdefault(run.shard, name)) != name:
            doubles.append(f"shard {run.shard} is in {other} and in {name}")
        for test in run.tests:
            other = owners.setdefault(test.node_id, name)
            if other != name and _ran(test):
                doubles.append(f"{test.node_id} is in {other} and in {name}")
    yield from doubles[:_SHOWN]
    if len(doubles) > _SHOWN:
        yield f"and {len(doubles) - _SHOWN} more are in two files"


def _ran(test: TestRecord) -> bool:
    """Whether it is a test, and not a file that could not be collected, which every shard finds out for itself."""
    return "::" in test.node_id


def _missing(runs: Mapping[str, RunRecord]) -> str:
    """Return which shards are not there, or ""."""
    shards = [parse(run.shard) for run in runs.values() if run.shard]
    if not shards:
        return ""
    of = max(shard.of for shard in shards)
    there = {shard.number for shard in shards}
    absent = [f"{number}/{of}" for number in range(1, of + 1) if number not in there]
    if not absent:
        return ""
    more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
    return f"shard {', '.join(absent[:_SHOWN])}{more}"


def _agreed(runs: Sequence[RunRecord], name: str) -> str:
    """Return what all say about where they took place, or "" where they differ."""
    told = {getattr(run.environment, name) for run in runs}
    value: str = told.pop() if len(told) == 1 else ""
    return value
