"""The factories of the built-in publishers: what a run does not need is not loaded.

Most runs ask for none of them or for one, and to load them all takes longer than to run a hundred small tests.
"""

from __future__ import annotations

from pytest_sergas.publishers import Context, Publisher


def terminal(context: Context) -> Publisher | None:
    from pytest_sergas.publishers.terminal import create

    return create(context)


def ctrf(context: Context) -> Publisher | None:
    if not context.settings.ctrf and context.record is None:
        return None
    from pytest_sergas.publishers.ctrf import create

    return create(context)


def markdown(context: Context) -> Publisher | None:
    if not context.settings.markdown:
        return None
    from pytest_sergas.publishers.markdown import create

    return create(context)


def github(context: Context) -> Publisher | None:
    if not context.environ.get("GITHUB_ACTIONS"):
        return None
    from pytest_sergas.publishers.github import create

    return create(context)


def junit(context: Context) -> Publisher | None:
    if context.junit_path is None:
        return None
    from pytest_sergas.publishers.junit import create

    return create(context)


def pushgateway(context: Context) -> Publisher | None:
    if not context.settings.push:
        return None
    from pytest_sergas.publishers.pushgateway import create

    return create(context)


def textfile(context: Context) -> Publisher | None:
    if not context.settings.textfile:
        return None
    from pytest_sergas.publishers.textfile import create

    return create(context)


def sidecar(context: Context) -> Publisher | None:
    if not context.settings.sidecar:
        return None
    from pytest_sergas.publishers.sidecar import create

    return create(context)
