"""``sergas export``: the files of the real Prometheus and Alertmanager, from ours."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pytest_sergas.cli._options import add_config, config_file
from pytest_sergas.config import load_sections
from pytest_sergas.errors import PublishError, SergasError
from pytest_sergas.publishers.files import write_atomically

HELP = "write the configuration of Prometheus or Alertmanager from ours"
EXAMPLES = """\
Prometheus scrapes the sidecar with honor_labels and every target of ours, and
has our rule files; Alertmanager has our routes and channels. What the other
side has no word for is told on standard error. A secret that stands in our
configuration stands in theirs, which then only its owner may read (mode 0600);
one in a file stays there. What --target names is sent no secret of the
sidecar's.

examples:
  sergas export prometheus -o prometheus.yml
  sergas export prometheus --target gateway:9091 --alertmanager alerts:9093
  sergas export alertmanager -o alertmanager.yml
"""

_OWNERS_ALONE = 0o600
_WITH_SECRETS = "{} holds secrets, so only its owner may read it (mode 0600): make that the user whom {} runs as"
_SECTIONS = {"prometheus": ("serve", "collect", "rules"), "alertmanager": ("channels", "routes")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("system", choices=tuple(_SECTIONS), help="whose file")
    add_config(parser)
    parser.add_argument("--alertmanager", metavar="HOST:PORT", default="127.0.0.1:9093", help="where Prometheus alerts")
    parser.add_argument(
        "--target", metavar="HOST:PORT", help="what Prometheus scrapes in the sidecar's place; default: [serve] listen"
    )
    parser.add_argument(
        "--rules", metavar="DIRECTORY", help="where Prometheus finds the rule files; default: where they are here"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file; default: standard output")


def run(arguments: argparse.Namespace) -> int:
    import yaml

    file = config_file(arguments)
    root = file.root.resolve()
    readings = load_sections(file, _SECTIONS[arguments.system], environ=os.environ)
    settings = {name: reading.settings for name, reading in readings.items()}
    if arguments.system == "prometheus":
        from pytest_sergas.cli import _prometheus

        elsewhere = _prometheus.Elsewhere(arguments.alertmanager, arguments.target, arguments.rules)
        exported = _prometheus.export(**settings, root=root, elsewhere=elsewhere)
    else:
        from pytest_sergas.cli import _alertmanager

        if not settings["channels"].channels:
            raise SergasError("sergas: no channels; [[channels]] in the configuration says where notifications go")
        exported = _alertmanager.export(**settings, root=root)
    text = yaml.safe_dump(exported.document, sort_keys=False, allow_unicode=True)
    if arguments.output:
        try:
            permissions = _OWNERS_ALONE if exported.has_secrets else None
            write_atomically(Path(arguments.output), text.encode(), permissions=permissions)
        except PublishError as error:
            raise SergasError(f"sergas: {error}") from error
        if exported.has_secrets and Path(arguments.output).is_file():
            exported.notes.insert(0, _WITH_SECRETS.format(arguments.output, arguments.system.title()))
    else:
        print(text, end="")
    for note in exported.notes:
        print(f"sergas: {note}", file=sys.stderr)
    return 0
