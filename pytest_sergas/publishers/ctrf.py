"""temporary until the merge"""
from __future__ import annotations
import json
from dataclasses import dataclass
from pathlib import Path
from pytest_sergas.publishers import Publication
def create(context):
    return Ctrf(Path(context.root, context.settings.ctrf)) if context.settings.ctrf else None
@dataclass(frozen=True, slots=True)
class Ctrf:
    path: Path
    name: str = "ctrf"
    @property
    def writes(self): return (self.path,)
    def publish(self, run, remaining_s):
        from pytest_sergas.core.ctrf import to_ctrf
        self.path.write_text(json.dumps(to_ctrf(run), ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        return Publication(place=str(self.path))
