"""Budgets of a test, and the verdict on what it used, in a form that holds on a busy machine.

Memory is what the kernel says, once: it is not repeated. Time is judged in this order:

1. An attempt whose own figure is within the budget (wall time for ``max_duration``, CPU time of the process
   and its children for ``max_cpu``) passes at once: noise only ever adds to it.
2. Otherwise undisturbed time counts (CPU time for ``max_cpu``). The kernel's figure for the time that a thread
   waited for a CPU errs both ways, so no single attempt decides: `Budgets.attempts` of them have to agree.
3. Where they do not, two more are made, and the majority decides; that is what their median says.

``max_regression`` compares undisturbed time, at the best pace of the core, with that of earlier runs on the same kind
of machine. A run none of whose attempts was above the margin by wall time passes at once. Otherwise the median of the
attempts has to be above it, and their ranks have to be sure of it (`pytest_sergas.core.regression`); where only these
are not, two more are made. With too little history nothing is judged.

Each attempt is a whole one, with fresh fixtures; only attempts that passed otherwise are samples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.measurement import MIB, Measurement, Use

ATTEMPTS = 3


class Budget(StrEnum):
    """What is limited, named by the keyword that limits it."""

    DURATION = "max_duration"
    CPU = "max_cpu"
    MEMORY = "max_memory_mb"
    REGRESSION = "max_regression"


class Decision(StrEnum):
    """What follows for the attempt."""

    WITHIN = "within"
    OVER = "over"
    REPEAT = "repeat"


class Reason(StrEnum):
    """Why it follows."""

    AT_ONCE = "the attempt's own figure is within the budget"
    MEDIAN = "the median of the attempts"
    TOO_FEW = "more attempts have to decide"
    DISAGREE = "the attempts disagree, two more decide"
    TIED = "as many attempts are within the budget as over it, and none is left"
    ONCE = "memory is not repeated"
    NOT_MEASURED = "it was not measured"
    NOT_SURE = "the ranks of the attempts are not clear enough"
    NO_HISTORY = "there is too little history"


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of one test; None is no limit.

    Attributes:
        duration_s, cpu_s: seconds for the call.
        memory_mb: MiB at the peak of the call, above its start.
        regression: how much longer than in earlier runs the call may take, as a share.
        before_s: seconds of the call in these runs, undisturbed and at the best pace.
        attempts: how many decide about time when they agree; an odd number.
        most: how many decide when they do not; an odd number.
    """

    duration_s: float | None = None
    cpu_s: float | None = None
    memory_mb: float | None = None
    attempts: int = 1
    most: int = 1
    regression: float | None = None
    before_s: tuple[float, ...] = ()

    @property
    def any(self) -> bool:
        return self.timed or self.memory_mb is not None

    @property
    def timed(self) -> bool:
        """Whether more than one attempt may be needed."""
        return self.duration_s is not None or self.cpu_s is not None or self.regression is not None

    @property
    def compares(self) -> bool:
        """Whether there is enough to compare with, and there may be enough attempts."""
        from pytest_sergas.core import regression

        return len(self.before_s) >= regression.LEAST_HISTORY and self.most >= ATTEMPTS


def numbers(attempts: int, *, available: int | None = None) -> tuple[int, int]:
    """Return how many attempts decide when they agree, and how many when they do not; both are odd.

    Args:
        attempts: what was asked for (`budget_attempts`); an even number counts as the next odd one.
        available: how many attempts can be made at all; None for any number.
    """
    agree = attempts | 1
    most = agree + 2 if agree > 1 else 1
    if available is not None:
        odd = max(1, available if available % 2 else available - 1)
        agree, most = min(agree, odd), min(most, odd)
    return agree, most


@dataclass(frozen=True, slots=True)
class Finding:
    """What is found about one budget."""

    budget: Budget
    decision: Decision
    reason: Reason
    use: Use


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about an attempt: the worst of the findings, with those that led to it.

    Attributes:
        text: why the attempt fails, as its reader sees it; "" for one that is within its budgets.
    """

    decision: Decision
    findings: tuple[Finding, ...]
    text: str = ""

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(finding.use for finding in self.findings if finding.reason is not Reason.NOT_MEASURED)


def judge(budgets: Budgets, samples: Sequence[Measurement], test_type: str) -> Verdict:
    """Return the verdict on the last of ``samples``.

    Args:
        budgets: what is allowed.
        samples: the attempts that passed but for their time budget, oldest first; at least one.
        test_type: whose table holds the budgets, for the text.
    """
    findings = tuple(_findings(budgets, samples))
    found = {finding.decision for finding in findings}
    decision = next(
        (decision for decision in (Decision.OVER, Decision.REPEAT) if decision in found),
        Decision.WITHIN,
    )
    if decision is Decision.WITHIN:
        return Verdict(decision, findings)
    guilty = [finding for finding in findings if finding.decision is decision]
    return Verdict(decision, findings, _text(guilty, budgets, samples, test_type))


def _findings(budgets: Budgets, samples: Sequence[Measurement]) -> list[Finding]:
    last = samples[-1]
    findings = []
    if budgets.memory_mb is not None:
        findings.append(_memory(budgets.memory_mb, last))
    if budgets.duration_s is not None:
        values = [sample.undisturbed_s for sample in samples]
        findings.append(_time(Budget.DURATION, budgets, budgets.duration_s, last.wall_s, values))
    if budgets.cpu_s is not None:
        values = [sample.all_cpu_s for sample in samples]
        findings.append(_time(Budget.CPU, budgets, budgets.cpu_s, last.all_cpu_s, values))
    if budgets.regression is not None:
        findings.append(_regression(budgets, budgets.regression, samples))
    return findings


def _regression(budgets: Budgets, margin: float, samples: Sequence[Measurement]) -> Finding:
    if not budgets.compares:
        return Finding(Budget.REGRESSION, Decision.WITHIN, Reason.NO_HISTORY, Use(Budget.REGRESSION.value, 0.0, margin))
    from pytest_sergas.core import regression  # few suites need it, and all would pay

    found = regression.compare(budgets.before_s, [sample.compared_s for sample in samples])
    use = Use(Budget.REGRESSION.value, found.slower_by, margin)
    decision, reason = Decision.WITHIN, Reason.MEDIAN
    if all(sample.wall_s <= found.before_s * (1 + margin) for sample in samples):
        reason = Reason.AT_ONCE
    elif len(samples) < max(budgets.attempts, ATTEMPTS):
        decision, reason = Decision.REPEAT, Reason.TOO_FEW
    elif found.slower_by > margin:
        decision = Decision.OVER
        if not found.is_sure:
            reason = Reason.NOT_SURE
            decision = Decision.REPEAT if len(samples) < budgets.most else Decision.WITHIN
    return Finding(Budget.REGRESSION, decision, reason, use)


def _memory(allowed_mb: float, last: Measurement) -> Finding:
    if last.peak_memory_bytes is None:
        use = Use(Budget.MEMORY.value, 0.0, allowed_mb)
        return Finding(Budget.MEMORY, Decision.WITHIN, Reason.NOT_MEASURED, use)
    used_mb = last.peak_memory_bytes / MIB
    decision = Decision.OVER if used_mb > allowed_mb else Decision.WITHIN
    return Finding(Budget.MEMORY, decision, Reason.ONCE, Use(Budget.MEMORY.value, used_mb, allowed_mb))


def _time(budget: Budget, budgets: Budgets, allowed_s: float, own_s: float, values: Sequence[float]) -> Finding:
    if own_s <= allowed_s:
        return Finding(budget, Decision.WITHIN, Reason.AT_ONCE, Use(budget.value, own_s, allowed_s))
    from statistics import median  # which hardly any run needs

    decision, reason = decide([value > allowed_s for value in values], budgets.attempts, budgets.most)
    return Finding(budget, decision, reason, Use(budget.value, median(values), allowed_s))


def decide(over: Sequence[bool], attempts: int, most: int) -> tuple[Decision, Reason]:
    """Return what attempts that were over the limit, or not, amount to.

    Args:
        over: of each attempt, whether it was; at least one.
        attempts: how many decide when they agree.
        most: how many decide when they do not; where it is even, a tie is no proof of being over.
    """
    if len(over) < attempts:
        return Decision.REPEAT, Reason.TOO_FEW
    times_over = sum(over)
    majority = most // 2 + 1
    if times_over == len(over) or times_over >= majority:
        return Decision.OVER, Reason.MEDIAN
    if times_over == 0 or len(over) - times_over >= majority:
        return Decision.WITHIN, Reason.MEDIAN
    return (Decision.REPEAT, Reason.DISAGREE) if len(over) < most else (Decision.WITHIN, Reason.TIED)


def _text(guilty: Sequence[Finding], budgets: Budgets, samples: Sequence[Measurement], test_type: str) -> str:
    lines = [
        _slower(budgets, finding, samples) if finding.budget is Budget.REGRESSION else _headline(finding, len(samples))
        for finding in guilty
    ]
    budgets_over = {finding.budget for finding in guilty}
    if budgets_over - {Budget.MEMORY}:
        paced = Budget.REGRESSION in budgets_over and samples[-1].paced_s is not None
        lines += _table(samples, paced=paced)
    if budgets_over & {Budget.DURATION, Budget.REGRESSION}:
        lines.append(_what_counts(samples[-1], budgets_over))
    if guilty[0].decision is Decision.REPEAT:
        more = guilty[0].reason in {Reason.DISAGREE, Reason.NOT_SURE}
        needed = budgets.most if more else budgets.attempts
        lines.append(f"Not decided yet, because {guilty[0].reason.value}: {len(samples)} of {needed} are made.")
    names = " and ".join(finding.budget.value for finding in guilty)
    if Budget.REGRESSION in budgets_over:
        lines.append(
            "Where it is meant to take longer, this run is its new baseline: sergas baseline --set RUN.ctrf.json."
        )
    lines.append(
        f"Make the call cheaper, or allow it more: {names} in the test's marker, or in [tool.sergas.types.{test_type}]."
    )
    return "\n".join(lines)


def _headline(finding: Finding, attempts: int) -> str:
    use = finding.use
    over = f"{_quantity(finding.budget, use.used - use.allowed)} or {use.ratio - 1:.0%} more"
    allowed = f"{use.budget} = {use.allowed:g}"
    used = _quantity(finding.budget, use.used)
    if finding.budget is Budget.MEMORY:
        return f"over budget: {allowed} (MiB), and the call added {used} at its peak, {over}"
    verb = "took" if finding.budget is Budget.DURATION else "used"
    by = "the median of the attempts" if attempts > 1 else "the attempt"
    if use.used <= use.allowed and finding.budget is Budget.CPU:
        return f"over budget: {allowed} (seconds), and the attempt used more; {by} used {used}"
    if use.used <= use.allowed:
        return f"over budget: {allowed} (seconds), and the attempt's wall time is more; {by} took {used} undisturbed"
    return f"over budget: {allowed} (seconds), and {by} {verb} {used}, {over}"


def _slower(budgets: Budgets, finding: Finding, samples: Sequence[Measurement]) -> str:
    from pytest_sergas.core import regression

    found = regression.compare(budgets.before_s, [sample.compared_s for sample in samples])
    by = "the median of the attempts" if len(samples) > 1 else "the attempt"
    before = f"the median of {len(budgets.before_s)} earlier runs, {_seconds(found.before_s)}"
    text = (
        f"over budget: {Budget.REGRESSION.value} = {finding.use.allowed:.0%}, and {by} took {_seconds(found.now_s)}, "
        f"{found.slower_by:.0%} more than {before}"
    )
    return f"{text} (by chance once in {1 / found.chance:.0f} times)" if found.is_sure else text


def _what_counts(sample: Measurement, over: Collection[Budget]) -> str:
    if sample.method.startswith("wall"):
        text = "Here the system does not say how long a test waits for a CPU: wall time counts"
    else:
        text = (
            "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU"
        )
    if Budget.REGRESSION in over and sample.paced_s is not None:
        only = f" for {Budget.REGRESSION.value}" if len(over) > 1 else ""
        text = f"{text}, and{only} without what a core added that was slower than at its best"
    return f"{text}."


def _table(samples: Sequence[Measurement], *, paced: bool) -> list[str]:
    """Return a line for each attempt; ``paced`` with what it took at the best pace of the core."""
    rows = [("attempt", "wall", "undisturbed", "CPU", "waited for a CPU", "at best pace")]
    rows += [
        (
            str(number),
            _seconds(sample.wall_s),
            _seconds(sample.undisturbed_s),
            _seconds(sample.all_cpu_s),
            f"{_seconds(sample.waited_s)} ({sample.waited_s / sample.wall_s if sample.wall_s else 0:.0%})",
            _seconds(sample.compared_s),
        )
        for number, sample in enumerate(samples, start=1)
    ]
    widths = (9, 11, 13, 11, 20, 14)[: 6 if paced else 5]
    return ["".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False)) for row in rows]


def _quantity(budget: Budget, value: float) -> str:
    return f"{value:.1f} MiB" if budget is Budget.MEMORY else _seconds(value)


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"
