"""The options of a channel."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sergas.channels import Context
from pytest_sergas.config import options
from pytest_sergas.config.channels import COMMON
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

    def secret_address(self, key: str) -> str:
        """Return the address that ``key`` says, or that the file that ``KEY_file`` names holds.

        One of the two is needed, and both are a fault.
        """
        if key in self._raw and f"{key}_file" in self._raw:
            self.fault(key, f"there is {key}_file as well; remove one of the two")
        if key not in self._raw and f"{key}_file" not in self._raw:
            self.missing(key)
        if not (held := self.secret(f"{key}_file")):
            return str(self.get(key, ""))
        try:
            return str(self._keys[key].kind(held))
        except kinds.NotAllowed as wrong:
            self.fault(f"{key}_file", f"what it holds is no address; {wrong}")
            return ""
