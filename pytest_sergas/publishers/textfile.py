"""The metrics of a run in a file for node_exporter's textfile collector.

The series are those of a push, with the project as a label, because the job is node_exporter's own there.
As a Pushgateway would, the file keeps what earlier runs wrote about types that did not run this time, and
the time of the last success.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.core.metrics import HELP, Family, Sample, merged, run_families, with_label
from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.summary import summarise
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Context, Publication
from pytest_sergas.publishers.files import unwritable, write_atomically
from pytest_sergas.publishers.registry import Families

# node_exporter is another user.
_PERMISSIONS = 0o644
_LABEL_LIMIT = 200


def create(context: Context) -> Textfile | None:
    """Return the publisher, or None when no file is named.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    written = context.settings.textfile
    if not written:
        return None
    path = context.root / written
    if reason := unwritable(path):
        raise ConfigurationError((f"{context.named('textfile')} = {written!r}: {reason}",))
    return Textfile(path, context.settings.slowest)


@dataclass(frozen=True, slots=True)
class Textfile:
    """Writes the metrics of a run to ``path``."""

    path: Path
    slowest: int
    name: str = "textfile"

    @property
    def writes(self) -> tuple[Path, ...]:
        return (self.path,)

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # a file system that hangs cannot be interrupted
        from prometheus_client import generate_latest

        summaries = summarise(run, slowest=self.slowest)
        if not summaries:
            return Publication()
        project = one_line(run.project, _LABEL_LIMIT)
        families = with_label(run_families(run, summaries), "project", project)
        families = merged(families, _earlier(self.path, project))
        write_atomically(self.path, generate_latest(Families(families)), permissions=_PERMISSIONS)
        return Publication(place=str(self.path))


def _earlier(path: Path, project: str) -> tuple[Family, ...]:
    """Return what the file says about ``project`` now; nothing when it says what we never wrote."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        metrics = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise PublishError(f"{path} cannot be read, and has what is to be kept: {error.strerror}") from error
    except ValueError:
        return ()  # not ours: it is replaced
    families = []
    for metric in metrics:
        samples = tuple(
            Sample(tuple(sample.labels.items()), sample.value, sample.name.removeprefix(metric.name))
            for sample in metric.samples
            if sample.labels.get("project") == project and "type" in sample.labels
        )
        if metric.name in HELP and samples:
            families.append(Family(metric.name, *HELP[metric.name], samples))
    return tuple(families)
