r"""The grouping key: the labels that say which group of metrics a push replaces, and the path that carries them.

    /metrics/job/shop/type/unit            {job="shop", type="unit"}
    /metrics/job@base64/YS9i/branch@base64/=    {job="a/b", branch=""}

The rules are the Pushgateway's (its README, "URL", and its `splitLabels`): the job comes first and is not
empty, the rest are pairs of name and value in any order. A name that ends in ``@base64`` has a value in
URL-safe base64 whose padding is optional; ``=`` alone is the empty value. Of a label that is given twice the
last one counts, except that the job is always the first segment's. Percent-encoding is undone before the
path is split, so ``%2F`` separates.

In one place we are stricter: a value that is not UTF-8 is refused here, which the Pushgateway does only
after it has stored the group.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

PREFIX = "/metrics"
BASE64_SUFFIX = "@base64"

_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
# Only what no server and no proxy touches; "." and ".." would be steps in the path.
_PLAIN = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.~-]+")
_BASE64 = re.compile(r"[A-Za-z0-9_-]*")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class GroupingKeyError(ValueError):
    """A path or a set of labels is no grouping key; the text is what the one who pushes should read."""


def to_path(labels: Mapping[str, str]) -> str:
    """Return the path under which the group with ``labels`` is pushed, the same for the same labels.

    Raises:
        GroupingKeyError: there is no job, a name is not a label name, or a value cannot be UTF-8.
    """
    if not labels.get("job"):
        raise GroupingKeyError("job name is required")
    rest = sorted(name for name in labels if name != "job")
    return PREFIX + "".join(_pair(name, labels[name]) for name in ("job", *rest))


def from_path(path: str) -> dict[str, str]:
    """Return the labels that a request path carries, the job first.

    Args:
        path: as it stands in the request, still percent-encoded and without a query.

    Raises:
        GroupingKeyError: the path is no grouping key.
    """
    segments = _decoded(path).removeprefix(f"{PREFIX}/").split("/")
    name, job = segments[0], segments[1] if len(segments) > 1 else ""
    if name.removesuffix(BASE64_SUFFIX) != "job":
        raise GroupingKeyError(f"path {path!r} does not start with {PREFIX}/job/")
    job = _value(name, job)
    if not job:
        raise GroupingKeyError("job name is required")
    rest = segments[2:]
    if rest == [""]:
        rest = []  # one slash at the end
    if len(rest) % 2:
        raise GroupingKeyError(f"odd number of components in label string {'/' + '/'.join(rest)!r}")
    labels = {"job": job}
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        labels[_label(name)] = _value(name, value)
    return {**labels, "job": job}


def _pair(name: str, value: str) -> str:
    if not _LABEL_NAME.fullmatch(name):
        raise GroupingKeyError(f"improper label name {name!r}")
    if _PLAIN.fullmatch(value):
        return f"/{name}/{value}"
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise GroupingKeyError(f"value {value!r} of label {name!r} is not UTF-8") from error
    return f"/{name}{BASE64_SUFFIX}/{base64.urlsafe_b64encode(raw).decode() or '='}"


def _label(name: str) -> str:
    label = name.removesuffix(BASE64_SUFFIX)
    if not _LABEL_NAME.fullmatch(label):
        raise GroupingKeyError(f"improper label name {label!r}")
    return label


def _value(name: str, written: str) -> str:
    if not name.endswith(BASE64_SUFFIX):
        return written
    digits = written.rstrip("=")
    label = name.removesuffix(BASE64_SUFFIX)
    if not _BASE64.fullmatch(digits) or len(digits) % 4 == 1:
        where = f"in job name {written!r}" if label == "job" else f"for label {label}={written!r}"
        raise GroupingKeyError(f"invalid base64 encoding {where}")
    try:
        return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4)).decode()
    except UnicodeDecodeError as error:
        raise GroupingKeyError(f"value of label {label!r} is not UTF-8") from error


def _decoded(path: str) -> str:
    if _BAD_PERCENT.search(path):
        raise GroupingKeyError(f"invalid percent-encoding in {path!r}")
    try:
        decoded = _ENCODED.sub(lambda byte: bytes([int(byte[1], 16)]), path.encode()).decode()
    except UnicodeError as error:
        raise GroupingKeyError(f"path {path!r} is not UTF-8") from error
    if "//" in decoded:
        raise GroupingKeyError(f"empty component in {path!r}")
    return decoded
