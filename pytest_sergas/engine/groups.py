"""The pushed groups: in memory for those who scrape, in the store for the next start.

A push is staged when its transaction begins (merged with what the group has, and checked against all others in the
index), is written as one row, and becomes visible when the transaction is committed. One that does not go together
with what is there is refused, and leaves only the time of its failure.

A group with a time to live is gone that long after its last successful push. Elapsed time is measured with the
monotonic clock, and across a restart with the wall clock, where a clock that was set back counts as no time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import GroupWriter, InconsistentError, header, number, parse, series_of
from pytest_sergas.core.grouping import from_path, to_path
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.engine.index import Index, Piece
from pytest_sergas.engine.sealing import is_sealed, seal, unseal
from pytest_sergas.engine.store import Change, Store
from pytest_sergas.errors import StoreError

LOG = logging.getLogger(__name__)

PUSHED = "push_time_seconds"
FAILED = "push_failure_time_seconds"
_TIMES = {
    PUSHED: "Last Unix time when changing this group in the Pushgateway succeeded.",
    FAILED: "Last Unix time when changing this group in the Pushgateway failed.",
}

_SELECT = "SELECT path, pushed_s, failed_s, renewed_s, ttl_s, families FROM pushed_groups"
# Not INSERT OR REPLACE, which writes the row to another place, and so the index of the paths, too.
_UPSERT = """
    INSERT INTO pushed_groups VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET
    pushed_s = excluded.pushed_s, failed_s = excluded.failed_s, renewed_s = excluded.renewed_s,
    ttl_s = excluded.ttl_s, families = excluded.families
"""
_DELETE = "DELETE FROM pushed_groups WHERE path = ?"


OnChange = Callable[[str, Mapping[str, Piece], Mapping[str, Piece]], None]


def _nobody(path: str, before: Mapping[str, Piece], after: Mapping[str, Piece]) -> None:
    del path, before, after


class PushRefusedError(Exception):
    """The metrics of a push cannot be taken; the group shows that it failed."""


class BoundReachedError(StoreError):
    """There are as many groups or series as the configuration allows."""


@dataclass(frozen=True, slots=True)
class Group:
    """One pushed group.

    Attributes:
        path: its grouping key.
        pushed_s, failed_s: when the last push succeeded and failed, in seconds since the Unix epoch; 0 for never.
        renewed_s: when its time to live started, in the same seconds.
        ttl_s: its time to live, or None for ever.
        deadline_s: its end on the monotonic clock, or None.
        pieces: name → what it has of that family, the two push times included.
    """

    path: str
    pushed_s: float
    failed_s: float
    renewed_s: float
    ttl_s: float | None
    deadline_s: float | None
    pieces: Mapping[str, Piece]

    @property
    def labels(self) -> dict[str, str]:
        return from_path(self.path)

    @property
    def last_push_succeeded(self) -> bool:
        return self.pushed_s >= self.failed_s


@dataclass(frozen=True, slots=True)
class Push:
    """What somebody wants a group to be; `of` makes it.

    Attributes:
        path, labels: the grouping key, in both forms.
        pieces: the metrics as the group will have them.
        refusal: why they cannot be taken, whatever the group has, or "".
        replace: whether the whole group is replaced, or only the families that are named.
        ttl_s: the time to live that came with it, 0 for ever; None for what the configuration says.
    """

    path: str
    labels: Mapping[str, str]
    pieces: tuple[Piece, ...]
    refusal: str
    replace: bool
    ttl_s: float | None
    now: Now

    @classmethod
    def of(
        cls, labels: Mapping[str, str], families: Sequence[Family], *, replace: bool, ttl_s: float | None, now: Now
    ) -> Push:
        """Return the push of ``families`` to the group with these labels."""
        writer = GroupWriter(labels)
        refusal, pieces = "", []
        try:
            _refuse_timestamps(families)
            for family in families:
                if family.name not in _TIMES:
                    text = writer.fragment(family)
                    pieces.append(Piece(family.name, family.type, family.help, now.wall_s, *text))
        except InconsistentError as error:
            refusal, pieces = str(error), []
        return cls(to_path(labels), labels, tuple(pieces), refusal, replace, ttl_s, now)


def _refuse_timestamps(families: Sequence[Family]) -> None:
    for family in families:
        if any(sample.timestamp_ms is not None for sample in family.samples):
            raise InconsistentError(f"pushed metrics must not have timestamps, and {family.name!r} has")


class Groups:
    """All pushed groups; `load` makes it from what the store has.

    Attributes:
        settings: in force from the next push on.
        index: what a push has to go together with.
        page: name → path → what that group has, as committed. Only `Groups` changes it.
        on_change: told, after the commit, the path of a group that has changed with what it had and what it has. It is
            called on the event loop, and nobody gets an answer before it returns.
    """

    def __init__(self, store: Store, settings: GroupSettings) -> None:
        self.index = Index()
        self.page: dict[str, dict[str, Piece]] = {}
        self._store = store
        self.settings = settings
        self.on_change: OnChange = _nobody
        self._committed: dict[str, Group] = {}
        self._staged: dict[str, Group | None] = {}
        self._count = 0
        self._deadlines: dict[str, float] = {}
        self._next_s = math.inf  # no group's time is over before this; may be too early
        self._earlier = asyncio.Event()
        self._pushes = {"succeeded": 0, "refused": 0}
        self._expired = 0

    @classmethod
    async def load(cls, store: Store, settings: GroupSettings, now: Now) -> Groups:
        """Return the groups that the store has; those whose time is over are deleted.

        Raises:
            StoreError: the store cannot be read or written.
        """
        groups = cls(store, settings)
        rows = await store.read(lambda connection: connection.execute(_SELECT).fetchall())
        over = []
        for row in rows:
            group = _from_row(row, now)
            if group is None or _is_over(group, now):
                over.append((row[0],))
            else:
                groups._take(group)
        if over:
            await store.write(lambda connection: connection.executemany(_DELETE, over))
        return groups

    def all(self, now: Now) -> list[Group]:
        """Return the groups as committed, without those whose time is over."""
        due = self.due(now)
        return [group for path, group in self._committed.items() if path not in due]

    async def push(self, push: Push) -> None:
        """Take a push; it is durable when this returns.

        Raises:
            PushRefusedError: the metrics cannot be taken; the time of the failure is stored.
            BoundReachedError: there is no room for them; nothing is stored.
            StoreError: it could not be stored; nothing of it is there.
        """
        refusal = await self._store.change(partial(self._stage, push))
        self._pushes["refused" if refusal else "succeeded"] += 1
        if refusal:
            raise PushRefusedError(refusal)

    async def delete(self, labels: Mapping[str, str]) -> None:
        """Delete a group, if it is there; this is durable when it returns.

        Raises:
            StoreError: it could not be stored; the group is still there.
        """
        path = to_path(labels)
        await self._store.change(lambda: self._change(path, None))

    def due(self, now: Now) -> frozenset[str]:
        """Return the paths of groups whose time is over, and that `expire` has not deleted yet."""
        if self._next_s > now.monotonic_s:
            return frozenset()
        return frozenset(path for path, deadline_s in self._deadlines.items() if deadline_s <= now.monotonic_s)

    async def expire(self, now: Now) -> None:
        """Delete the groups whose time is over.

        Raises:
            StoreError: it could not be stored; they are hidden all the same, and deleted by a later call.
        """
        changes = [self._store.change(partial(self._stage_expiry, path, now)) for path in self.due(now)]
        await asyncio.gather(*changes)
        self._next_s = min(self._deadlines.values(), default=math.inf)

    async def expire_for_ever(self, clock: Callable[[], Now], retry_s: float = 10.0) -> None:
        """Delete each group when its time is over, until cancelled.

        Args:
            retry_s: the wait after the store could not be written.
        """
        while True:
            self._earlier.clear()
            try:
                await self.expire(clock())
                wait_s = self._next_s - clock().monotonic_s
            except StoreError:
                wait_s = retry_s  # the store has said so in the log
            # Not wait_for, which in Python 3.11 may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                    await self._earlier.wait()

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return what is to be known about pushes."""
        del now
        results = tuple(Sample((("result", result),), count) for result, count in self._pushes.items())
        return (
            Family("sergas_groups", "gauge", "Pushed groups.", (Sample((), len(self._committed)),)),
            Family("sergas_group_series", "gauge", "Series of all pushed groups.", (Sample((), self.index.series),)),
            Family("sergas_pushes_total", "counter", "Pushes since the start by result.", results),
            Family(
                "sergas_expired_groups_total",
                "counter",
                "Groups whose time to live was over.",
                (Sample((), self._expired),),
            ),
        )

    def _current(self, path: str) -> Group | None:
        """Return the group with what is staged for it."""
        return self._staged[path] if path in self._staged else self._committed.get(path)

    def _stage(self, push: Push) -> Change[str]:
        path = push.path
        before = self._current(path)
        alive = None if before is None or _is_over(before, push.now) else before
        refusal = push.refusal
        if not refusal:
            after = self._pushed(alive, push)
            try:
                self._check_bounds(before, after)
                return self._change(path, after)
            except InconsistentError as error:
                refusal = str(error)
        failed = replace(alive or self._empty(push), failed_s=push.now.wall_s)
        failed = replace(
            failed, pieces={**failed.pieces, **_time_pieces(push.labels, failed.pushed_s, failed.failed_s)}
        )
        self._check_bounds(before, failed)
        try:
            return self._change(path, failed, refusal)
        except InconsistentError as error:
            # The times themselves are somebody else's series: {job="a"} and {job="a",instance=""} are the same.
            raise PushRefusedError(str(error)) from error

    def _stage_expiry(self, path: str, now: Now) -> Change[str]:
        group = self._current(path)
        if group is None or not _is_over(group, now):
            return Change(lambda _: "")  # a push came first
        change = self._change(path, None)

        def publish() -> None:
            change.publish()
            self._expired += 1

        return replace(change, publish=publish)

    def _pushed(self, before: Group | None, push: Push) -> Group:
        kept = before.pieces if before and not push.replace else {}
        failed_s = before.failed_s if before else 0.0
        times = _time_pieces(push.labels, push.now.wall_s, failed_s)
        pieces = {**kept, **{piece.name: piece for piece in push.pieces}, **times}
        return replace(self._empty(push), pushed_s=push.now.wall_s, failed_s=failed_s, pieces=pieces)

    def _empty(self, push: Push) -> Group:
        ttl_s = self.settings.ttl_s(push.labels) if push.ttl_s is None else push.ttl_s or None
        deadline_s = None if ttl_s is None else push.now.monotonic_s + ttl_s
        return Group(push.path, 0.0, 0.0, push.now.wall_s, ttl_s, deadline_s, {})

    def _check_bounds(self, before: Group | None, after: Group) -> None:
        most = self.settings.max_groups
        if before is None and self._count >= most:
            raise BoundReachedError(
                f"there are {most} groups, the most that max_groups allows; delete some, give them a time to live, or "
                "raise it"
            )
        most = self.settings.max_series
        series = _series(after)
        if self.index.series + series <= most:
            return  # as almost always, without looking at what goes
        added = series - (_series(before) if before else 0)
        if added > 0 and self.index.series + added > most:
            raise BoundReachedError(
                f"with {added} series more there are {self.index.series + added}, and max_series allows {most}; delete "
                "groups, give them a time to live, or raise it"
            )

    def _change(self, path: str, after: Group | None, refusal: str = "") -> Change[str]:
        """Put ``after`` in the place of what the group is: in the index now, elsewhere when it is committed."""
        before = self._current(path)
        old, new = _differing(before, after)
        self.index.replace(path, old, new)
        self._staged[path] = after
        self._count += (after is not None) - (before is not None)

        def work(connection: sqlite3.Connection) -> str:
            if after is None:
                connection.execute(_DELETE, (path,))
            else:
                connection.execute(_UPSERT, _to_row(after))
            return refusal

        def publish() -> None:
            if self._staged.get(path, self) is after:
                del self._staged[path]
            self._publish(path, after)

        def undo() -> None:
            self.index.replace(path, new, old)
            self._count -= (after is not None) - (before is not None)
            self._staged[path] = before
            if before is self._committed.get(path):
                del self._staged[path]

        return Change(work, publish, undo)

    def _take(self, group: Group) -> None:
        """Take a group from the store."""
        try:
            self.index.replace(group.path, (), group.pieces.values())
        except InconsistentError:
            LOG.exception("the group %s does not go together with others and is left out", group.path)
            return
        self._count += 1
        self._publish(group.path, group)

    def _publish(self, path: str, after: Group | None) -> None:
        before = self._committed.pop(path, None) if after is None else self._committed.get(path)
        self.on_change(path, before.pieces if before else {}, after.pieces if after else {})
        if before:
            for name in before.pieces if after is None else before.pieces.keys() - after.pieces.keys():
                groups = self.page[name]
                del groups[path]
                if not groups:
                    del self.page[name]
        if after:
            self._committed[path] = after
            for name, piece in after.pieces.items():
                self.page.setdefault(name, {})[path] = piece
        if after is None or after.deadline_s is None:
            self._deadlines.pop(path, None)
            return
        self._deadlines[path] = after.deadline_s
        if after.deadline_s < self._next_s:
            self._next_s = after.deadline_s
            self._earlier.set()


def _is_over(group: Group, now: Now) -> bool:
    return group.deadline_s is not None and group.deadline_s <= now.monotonic_s


def _differing(before: Group | None, after: Group | None) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces that go and those that come, without those that stay."""
    old = before.pieces if before else {}
    new = after.pieces if after else {}
    return (
        [piece for name, piece in old.items() if new.get(name) is not piece],
        [piece for name, piece in new.items() if old.get(name) is not piece],
    )


def _series(group: Group) -> int:
    return sum(piece.text.count(b"\n") for piece in group.pieces.values())


def _time_pieces(labels: Mapping[str, str], pushed_s: float, failed_s: float) -> dict[str, Piece]:
    text = GroupWriter(labels).labels(())
    series = (f"{{{text}}}".encode(),)
    # A time that is 0, for never, was written with the other one.
    return {
        name: Piece(
            name,
            "gauge",
            _TIMES[name],
            value or pushed_s or failed_s,
            f"{name}{{{text}}} {number(value)}\n".encode(),
            series,
        )
        for name, value in ((PUSHED, pushed_s), (FAILED, failed_s))
    }


def _to_row(group: Group) -> tuple[str, float, float, float, float | None, bytes]:
    families = [[*piece[:4], piece.text.decode()] for name, piece in group.pieces.items() if name not in _TIMES]
    times = _as_stored(group.pushed_s, group.failed_s, group.renewed_s, group.ttl_s)
    data = seal(json.dumps(families, ensure_ascii=False, separators=(",", ":")), group.path, *times).encode()
    return group.path, *times, data


def _as_stored(
    pushed_s: float, failed_s: float, renewed_s: float, ttl_s: float | None
) -> tuple[float, float, float, float | None]:
    return float(pushed_s), float(failed_s), float(renewed_s), None if ttl_s is None else float(ttl_s)


def check_row(row: tuple[str, float, float, float, float | None, bytes]) -> None:
    """Look at a row of the store.

    Raises:
        ValueError, TypeError: it is not what was written.
    """
    path, *times, data = row
    text = data.decode()
    unseal(text, path, *times)
    if not is_sealed(text):  # an earlier version wrote it: then what it says has to be metrics
        labels = from_path(path)
        for name, kind, shown, stamp_s, lines in json.loads(text):
            for family in parse(header(name, kind, shown).encode() + lines.encode()):
                GroupWriter(labels).fragment(family)
            float(stamp_s)


def _from_row(row: tuple[str, float, float, float, float | None, bytes], now: Now) -> Group | None:
    """Return the group of a row, or None for one that cannot be read, which the log says."""
    path, pushed_s, failed_s, renewed_s, ttl_s, data = row
    deadline_s = None if ttl_s is None else now.monotonic_s + ttl_s - max(0.0, now.wall_s - renewed_s)
    try:
        shared: dict[bytes, bytes] = {}  # series of one group often have the same labels: one object for all
        pieces = {}
        for name, kind, text, stamp_s, lines in json.loads(unseal(data.decode(), path, *row[1:5])):
            written = lines.encode()
            series = tuple(shared.setdefault(labels, labels) for labels in series_of(name, kind, written))
            pieces[name] = Piece(name, kind, text, stamp_s, written, series)
        pieces.update(_time_pieces(from_path(path), pushed_s, failed_s))
        return Group(path, pushed_s, failed_s, renewed_s, ttl_s, deadline_s, pieces)
    except (ValueError, TypeError, AttributeError):
        LOG.exception("the group %s cannot be read from the store and is lost", path)
        return None
