"""Templates, and what they use: how foreign text, moments and figures are shown.

Everything is escaped (autoescape). Text that came from elsewhere passes `foreign`: on one line, bounded, without
control characters, and isolated from the direction in which the text round it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pytest_sergas.core.records import FAILURES, Outcome
from pytest_sergas.core.summary import cause_title, seconds
from pytest_sergas.core.text import one_line, printable

_NAME_LIMIT = 160
_LINK_LIMIT = 2_000


@cache
def environment() -> Environment:
    """Return the templates, read once."""
    made = Environment(
        loader=PackageLoader("pytest_sergas.sidecar.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "age": age,
        "ago": ago,
        "bytes": size,
        "cause_title": cause_title,
        "foreign": foreign,
        "lines": lines,
        "percent": percent,
        "quoted": lambda text: quote(text, safe=""),
        "seconds": seconds,
        "svg": Markup,
        "when": when,
    }
    made.globals |= {"safe_link": safe_link, "outcomes": list(Outcome), "failures": FAILURES}
    return made


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page that ``template`` makes of ``values``."""
    return environment().get_template(template).render(values)


@cache
def static(name: str) -> str:
    """Return a file of ours: the style sheet, or the script."""
    return files("pytest_sergas.sidecar.pages").joinpath("static", name).read_text("utf-8")


def foreign(text: str, limit: int = _NAME_LIMIT) -> Markup:
    """Return text from elsewhere for one line of the page."""
    return Markup("<bdi>{}</bdi>").format(one_line(text, limit))


def lines(text: str) -> str:
    """Return text from elsewhere for a block of the page; its lines stay."""
    return printable(text)


def safe_link(url: str) -> str:
    """Return ``url`` if a browser may be sent there, else ""; ``javascript:`` is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in {"http", "https"} and parts.netloc and len(url) <= _LINK_LIMIT else ""


def when(moment_s: float | None) -> Markup:
    """Return a moment, UTC."""
    if moment_s is None:
        return Markup("-")
    moment = datetime.fromtimestamp(moment_s, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M UTC")
    )


def ago(moment_s: float | None, now_s: float) -> Markup:
    """Return how long ago a moment was; pointing at it shows when."""
    if moment_s is None:
        return Markup("-")
    moment = datetime.fromtimestamp(moment_s, UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        f"{age(now_s - moment_s)} ago" if now_s - moment_s >= 1 else "now",
    )


def age(elapsed_s: float) -> str:
    """Return a length of time in its largest unit: ``5 min``."""
    for name, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if elapsed_s >= unit_s:
            return f"{elapsed_s // unit_s:.0f} {name}"
    return f"{max(elapsed_s, 0):.0f} s"


def percent(share: float | None) -> str:
    """Return a rate in percent; rounding never makes 100 % of less."""
    if share is None:
        return "-"
    return "100%" if share == 100 else f"{min(share, 99.9):.1f}%".replace(".0%", "%")


def size(count_bytes: float | None) -> str:
    """Return a number of bytes in the unit in which people think of it."""
    if count_bytes is None:
        return "-"
    for name, unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count_bytes >= unit:
            return f"{count_bytes / unit:.1f} {name}"
    return f"{count_bytes:.0f} B"
