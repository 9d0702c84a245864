"""Lists of tables that each have a type and a name, as ``[[checks]]`` and ``[[channels]]`` are.

What every entry of a list has is read here; the other options belong to its type, which judges them itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sergas.config.section import Key
from pytest_sergas.core import kinds

NAME = kinds.pattern(r"[A-Za-z0-9_.:/-]{1,100}", "a name of letters, digits and _.:/-, at most 100 characters")


def unknown_kind(name: str, built_in: Iterable[str], group: str, noun: str) -> str:
    """Return what to say about a ``name`` that is neither built in nor an entry point of ``group``, or ""."""
    known = list(built_in)
    if name in known:
        return ""
    # Only for what is not built in: the metadata of everything that is installed is read for it.
    from importlib.metadata import entry_points

    known += [entry.name for entry in entry_points(group=group) if entry.name not in known]
    if name in known:
        return ""
    near = kinds.nearest(name, known)
    return f"there is no such {noun}; " + (
        f"did you mean {near!r}?" if near else f"allowed: {', '.join(map(repr, known))}"
    )


def wrong_options(
    given: Mapping[str, object], known: Mapping[str, Key], others: Iterable[str]
) -> Iterator[tuple[str, object, str]]:
    """Yield key, what is shown of its value, and text of each option that cannot be used.

    Args:
        others: further keys that are allowed there, for the nearest right one.
    """
    for key, raw in given.items():
        if key not in known:
            allowed = (*known, *others)
            near = kinds.nearest(key, allowed)
            hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(allowed)}"
            yield key, "...", f"unknown key; {hint}"
            continue
        try:
            known[key].kind(raw)
        except kinds.NotAllowed as reason:
            yield key, raw, str(reason)


@dataclass(frozen=True, slots=True)
class Entries:
    """The kind of such a list; what it reads is each entry's common keys, and ``options`` with the others as written.

    Attributes:
        noun: what an entry is: "check".
        common: the keys of every entry, ``type`` and ``name`` among them.
        typeless: what to say of an entry without a type.
        built_in: type → its own options; those of a type that somebody else has made, it judges itself.
        group: the entry points of all types.
        hidden: options whose values may be secrets although their names do not say so.
    """

    noun: str
    common: Mapping[str, Key]
    typeless: str
    built_in: Mapping[str, Mapping[str, Key]]
    group: str
    hidden: tuple[str, ...] = ()

    def __call__(self, raw: object) -> tuple[Mapping[str, Any], ...]:
        """Return the entries, each with a name of its own.

        Raises:
            kinds.NotAllowed: there is a fault; what is inside the entries is told all at once.
        """
        if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
            raise kinds.NotAllowed(f"allowed: a list of tables, each of which begins with [[{self.noun}s]]")
        wrong: list[kinds.Wrong] = []
        usable = [self._entry(number, entry, wrong) for number, entry in enumerate(raw, start=1)]
        self._give_names(usable, wrong)
        if wrong:
            raise kinds.WrongInside(tuple(wrong), ())
        return tuple(usable)

    def _entry(self, number: int, table: Mapping[str, object], wrong: list[kinds.Wrong]) -> dict[str, Any]:
        values: dict[str, Any] = {"options": {key: value for key, value in table.items() if key not in self.common}}
        place = table.get("name", str(number))
        place = place if isinstance(place, str) else str(number)
        for key, raw in table.items():
            try:
                if key in self.common:
                    values[key] = self.common[key].kind(raw)
            except kinds.NotAllowed as reason:
                wrong.append(kinds.Wrong((place, key), raw, str(reason)))
        if "type" not in table:
            wrong.append(kinds.Wrong((place,), dict(table), self.typeless))
        elif "type" in values:
            self._judge_type(place, values, wrong)
        return values

    def _judge_type(self, place: str, values: Mapping[str, Any], wrong: list[kinds.Wrong]) -> None:
        kind, given = values["type"], values["options"]
        if fault := unknown_kind(kind, self.built_in, self.group, self.noun):
            wrong.append(kinds.Wrong((place, "type"), kind, fault))
            return
        if kind not in self.built_in:
            return
        wrong.extend(
            kinds.Wrong((place, key), "***" if key in self.hidden else shown, text)
            for key, shown, text in wrong_options(given, self.built_in[kind], self.common)
        )

    def _give_names(self, entries: list[dict[str, Any]], wrong: list[kinds.Wrong]) -> None:
        """Name those that have no name after their type, and where several differ, after what they say as well.

        What is known about an entry is kept under its name. So the name must not depend on where the entry stands, or
        one that is inserted would take over what is another's.
        """
        taken: set[str] = set()
        for entry in entries:
            name = entry.get("name", "")
            if name and name in taken:
                text = f"is the name of another {self.noun} already; give each its own"
                wrong.append(kinds.Wrong((name, "name"), name, text))
            taken.add(name)
        unnamed = [(entry, _digest(entry)) for entry in entries if "name" not in entry and "type" in entry]
        for entry, digest in unnamed:
            alike = {other for one, other in unnamed if one["type"] == entry["type"]}
            base = entry["type"] if len(alike) == 1 else f"{entry['type']}-{digest}"
            number = 1
            while (name := base if number == 1 else f"{base}-{number}") in taken:
                number += 1
            entry["name"] = name
            taken.add(name)


def _digest(entry: Mapping[str, Any]) -> str:
    """Return a few letters that stand for all that an entry says."""
    said = json.dumps({key: value for key, value in entry.items() if key != "name"}, sort_keys=True, default=str)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:6]
