"""The options of a check."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sergas.checks import Context
from pytest_sergas.config import options
from pytest_sergas.config.checks import COMMON
from pytest_sergas.config.section import Key


class Options(options.Options):
    """What one entry of ``[[checks]]`` says beyond what every check has.

    Args:
        keys: the options that this kind of check knows.
        required: those without which it cannot work.
    """

    def __init__(self, context: Context, keys: Mapping[str, Key], required: tuple[str, ...] = ()) -> None:
        written = options.Written(f"checks.{context.settings.name}", context.settings.options, context.root)
        super().__init__(written, keys, common=COMMON, required=required)
