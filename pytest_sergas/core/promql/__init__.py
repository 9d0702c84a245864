"""PromQL: expressions of rules, read once and evaluated over series that are in memory.

    expression = compile_expression('sum by (type) (sergas_tests{outcome="failed"}) > 0')
    for selector in expression.selectors: ...            # what it looks at, and how far back
    expression.evaluate([series of each selector], now)  # elements: (name, labels, value)

What is taken is a part of PromQL that Prometheus 2.42 and later take as well, with the same results:

    selectors       = != =~ !~, offset, ranges
    operators       + - * / % ^, == != > < >= <= with bool, and or unless; on, ignoring, group_left, group_right
    aggregations    sum avg min max count group stddev stdvar topk bottomk count_values quantile, by and without
    over ranges     rate irate increase delta idelta deriv changes resets predict_linear, the *_over_time family,
                    absent_over_time
    others          absent histogram_quantile label_replace label_join time timestamp vector scalar, and what takes a
                    value alone: abs sgn sqrt exp ln log2 log10 floor ceil round clamp clamp_min clamp_max

Everything else is refused when it is read, with the reason.

    syntax       text → tree: the parser, and what it lets pass that Prometheus does not
    compiling    tree → closures
    vectors      elements, and matching them with each other
    arithmetic   numbers as Go has them, where Python raises
    functions    over ranges of samples, and over vectors
    hindsight    what older samples could change in a result
"""

from pytest_sergas.core.promql.compiling import Expression as Expression
from pytest_sergas.core.promql.compiling import Selector as Selector
from pytest_sergas.core.promql.compiling import compile_expression as compile_expression
from pytest_sergas.core.promql.syntax import PromqlError as PromqlError
from pytest_sergas.core.promql.vectors import Element as Element
from pytest_sergas.core.promql.vectors import EvaluationError as EvaluationError
from pytest_sergas.core.promql.vectors import Vector as Vector
