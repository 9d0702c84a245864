"""The options of a channel."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sergas.channels import Context
from pytest_sergas.config import options
from pytest_sergas.config.channels import COMMON, SECRET
from pytest_sergas.config.section import Key
from pytest_sergas.core import kinds


class Options(options.Options):
    """What one entry of ``[[channels]]`` says beyond what every channel has.

    Args:
        keys: the options that this kind of channel knows.
        required: those without which it cannot work.
    """

    def __init__(self, context: Context, keys: Mapping[str, Key], required: tuple[str, ...] = ()) -> None:
        written = options.Written(f"channels.{context.settings.name}", context.settings.options, context.root)
        super().__init__(written, keys, common=COMMON, required=required)

    def fault(self, key: str, text: str, *, shown: str | None = None) -> None:
        """Say that the value of ``key`` cannot be used, and why; of an address not even what is wrong with it."""
        super().fault(key, text, shown="'***'" if key in SECRET else shown)

    def either(self, key: str) -> str:
        """Return what ``key`` says, or what the file that ``KEY_file`` names holds, or ""; both are a fault."""
        if key in self._raw and f"{key}_file" in self._raw:
            self.fault(key, f"there is {key}_file as well; remove one of the two")
        return self.secret(f"{key}_file") or str(self.get(key, ""))

    def address(self, key: str) -> str:
        """Return the address that ``key`` says, or that the file that ``KEY_file`` names holds; one is needed."""
        if key not in self._raw and f"{key}_file" not in self._raw:
            self.missing(key)
        if not (written := self.either(key)):
            return ""
        try:
            return str(self._keys[key].kind(written))
        except kinds.NotAllowed as wrong:  # of what key itself says, the fault is there already
            self.fault(f"{key}_file", f"what it holds is no address; {wrong}")
            return ""
