r"""The text format of metrics, written and read; OpenMetrics, written.

    # HELP shop_orders Orders, in the last minute.
    # TYPE shop_orders gauge
    shop_orders{branch="main",job="shop"} 3

The rules of reading are those of the parser of Prometheus' own Go library, which is what a Pushgateway accepts:
the last line ends with a newline, a type stands before the samples and only once, families may be interleaved.
In four places we are stricter, because what it accepts there cannot be scraped: a histogram has no samples but
buckets, sum and count (a summary: quantiles), each bucket once; counts are not negative; no value is glued to its
name; all of the text is UTF-8.

A histogram that is read is complete: buckets in the order given, ``+Inf`` (added where it is missing), sum, count.
``le`` is written as Prometheus' text format has it (``1``, not ``1.0``) in OpenMetrics, too, so that the series
does not depend on what a scrape asked for.
"""

from __future__ import annotations

from pytest_sergas.core.exposition.format import BOUND_LABEL as BOUND_LABEL
from pytest_sergas.core.exposition.format import OPENMETRICS as OPENMETRICS
from pytest_sergas.core.exposition.format import OPENMETRICS_END as OPENMETRICS_END
from pytest_sergas.core.exposition.format import SUFFIXES as SUFFIXES
from pytest_sergas.core.exposition.format import TEXT as TEXT
from pytest_sergas.core.exposition.format import Bounds as Bounds
from pytest_sergas.core.exposition.format import ExpositionError as ExpositionError
from pytest_sergas.core.exposition.format import InconsistentError as InconsistentError
from pytest_sergas.core.exposition.format import TooMuchError as TooMuchError
from pytest_sergas.core.exposition.format import number as number
from pytest_sergas.core.exposition.reading import parse as parse
from pytest_sergas.core.exposition.writing import GroupWriter as GroupWriter
from pytest_sergas.core.exposition.writing import header as header
from pytest_sergas.core.exposition.writing import openmetrics_lines as openmetrics_lines
from pytest_sergas.core.exposition.writing import render as render
from pytest_sergas.core.exposition.writing import sample_lines as sample_lines
from pytest_sergas.core.exposition.writing import series_of as series_of
