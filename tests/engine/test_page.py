"""The page: pushed and own metrics, each family once, a group as it was at one moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.engine.groups import FAILED, PUSHED, Groups, PushRefusedError
from pytest_sergas.engine.page import Page
from pytest_sergas.engine.store import Store
from tests.engine.pushing import START, at, push

pytestmark = pytest.mark.integration

TIMES = {PUSHED, FAILED}


@dataclass(slots=True)
class Own:
    """A source with what it is given."""

    has: Sequence[Family] = ()

    def families(self, now: Now) -> Sequence[Family]:
        del now
        return self.has


def family(name: str, kind: FamilyType = "gauge", value: float = 1.0, **labels: str) -> Family:
    return Family(name, kind, f"Own {name}.", (Sample(tuple(labels.items()), value),))


@pytest.fixture
async def groups() -> AsyncIterator[Groups]:
    store = await Store.open(None, GroupSettings())
    yield await Groups.load(store, GroupSettings(), START)
    await store.close()


async def text(page: Page, now: Now = START) -> str:
    """Return the page without the push times."""
    families = "".join(f"# {part}" for part in (await page.text(now)).decode().split("# ")[1:])
    lines = [line for line in families.splitlines() if not any(name in line for name in TIMES)]
    return "\n".join(lines)


async def test_empty_page_is_empty(groups: Groups) -> None:
    page = Page(groups, [], START)

    assert await page.text(START) == b""
    assert await page.openmetrics(START) == b"# EOF\n"


async def test_families_are_in_the_order_of_their_names_each_once(groups: Groups) -> None:
    page = Page(groups, [Own([family("c"), family("a")]), Own([family("c", value=2.0, x="1")])], START)
    await push(groups, "j", "# HELP b Pushed.\n# TYPE b gauge\nb 3\n# TYPE c gauge\nc 4\n")
    await push(groups, "k", "# HELP b Another.\n# TYPE b gauge\nb 5\n")

    assert await text(page) == (
        "# HELP a Own a.\n# TYPE a gauge\na 1\n"
        '# HELP b Pushed.\n# TYPE b gauge\nb{instance="",job="j"} 3\nb{instance="",job="k"} 5\n'
        '# HELP c Own c.\n# TYPE c gauge\nc 1\nc{x="1"} 2\nc{instance="",job="j"} 4'
    )


async def test_own_family_without_samples_is_left_out(groups: Groups) -> None:
    page = Page(groups, [Own([Family("a", "gauge", "Nothing.", ())])], START)

    assert await page.text(START) == b""


async def test_own_metric_that_comes_after_a_push_of_another_type_is_shown_beside_it_without_one(
    groups: Groups,
) -> None:
    own = Own()
    page = Page(groups, [own], START)
    await push(groups, "j", "# TYPE m counter\nm 1\n")
    own.has = [family("m", "gauge", 2.0)]

    assert await text(page) == '# HELP m Own m.\n# TYPE m untyped\nm 2\nm{instance="",job="j"} 1'


async def test_own_metric_is_known_from_the_start(groups: Groups) -> None:
    Page(groups, [Own([family("m")])], START)

    with pytest.raises(PushRefusedError):
        await push(groups, "j", "# TYPE m counter\nm 1\n")


async def test_group_whose_time_is_over_is_not_shown(groups: Groups) -> None:
    page = Page(groups, [], START)
    await push(groups, "brief", "m 1\nn 1\n", ttl_s=10.0)
    await push(groups, "j", "m 1\n")

    assert 'job="brief"' in (await page.text(at(9))).decode()
    assert 'job="brief"' not in (await page.text(at(10))).decode()
    assert await text(page, at(10)) == '# TYPE m untyped\nm{instance="",job="j"} 1'


async def test_page_shows_each_group_as_it_was_at_one_moment(groups: Groups) -> None:
    # More parts than are joined at once.
    await asyncio.gather(*(push(groups, f"j/a/{number}", "m 1\nz 1\n") for number in range(2_500)))
    page = Page(groups, [], START)

    async def push_on() -> None:
        for number in range(0, 2_500, 250):
            await push(groups, f"j/a/{number}", "m 2\nz 2\n")

    pushing = asyncio.create_task(push_on())
    await asyncio.sleep(0)
    seen = []
    while not pushing.done():
        families = {found.name: found for found in parse(await page.text(START))}
        seen.append([sample.value for sample in families["m"].samples])
        assert seen[-1] == [sample.value for sample in families["z"].samples]
    await pushing

    assert len({tuple(values) for values in seen}) > 1  # pushes did come in between
