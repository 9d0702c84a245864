"""Our families for prometheus_client, which renders them; it is imported when something is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sergas.core.metrics import Family

if TYPE_CHECKING:
    from prometheus_client import Metric


@dataclass(frozen=True, slots=True)
class Families:
    """What prometheus_client calls a collector: it hands out these families."""

    families: Sequence[Family]

    def collect(self) -> Iterable[Metric]:
        from prometheus_client import Metric

        for family in self.families:
            metric = Metric(family.name, family.help, family.type)
            for sample in family.samples:
                metric.add_sample(family.name + sample.suffix, dict(sample.labels), sample.value)
            yield metric
