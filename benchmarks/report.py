"""The tables: what was to be reached, and each case by contender, as Markdown."""

from typing import Protocol

from benchmarks import verdicts
from benchmarks.ours import OURS
from benchmarks.results import Results
from benchmarks.workloads import WORKLOADS, Column

FLAGS = {
    "client_core": (90.0, "*", "the client's core was over 90 % busy, so it may be what limits"),
    "strangers": (10.0, "!", "others than the server took over 10 % of its core"),
}
"""By figure: above how many percent, in the median, a row is marked, how and why."""

NOTES = (
    "`±` is (most - least) / median of the rounds, `of ours` the first figure divided by that of"
    " the first fanstream in the table."
) + "".join(f" `{mark}`: {why}." for _, mark, why in FLAGS.values())


class Case(Protocol):
    """What a table says of a case; see `benchmarks.workloads.Case`."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]], *, texts: int = 1) -> str:
    """Return a table of Markdown, whose first columns are text and the others figures."""
    rule = "|---" * texts + "|---:" * (len(heads) - texts) + "|"
    return "\n".join(
        ["| " + " | ".join(heads) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]
    )


def reached(results: list[Results]) -> str:
    """Return the table of the targets of these workloads; empty where they have none."""
    rows = [row for each in results for row in verdicts.rows(each)]
    return table(verdicts.HEADS, rows, texts=2) if rows else ""


def case_table(case: Case, results: Results) -> str:
    """Return the case's table, the contenders in the order in which they took part."""
    main = case.columns[0]
    contenders = results.measured.get(case.name, {})
    reference = next((o.name for o in OURS if _has(results, case, o.name)), None)
    compared = ("of ours",) if reference else ()
    heads = ("contender", main.head, "±", *compared, *(c.head for c in case.columns[1:]))
    ours = results.median(case.name, reference, main.figure) if reference else 0.0
    rows = [_row(case, name, results, ours=ours) for name in contenders]
    lines = [f"### {case.title}", "", table(heads, rows)]
    lines += [
        f"\n{name}: {remark}" for name in contenders for remark in results.remarks(case.name, name)
    ]
    return "\n".join(lines)


def _has(results: Results, case: Case, contender: str) -> bool:
    return bool(results.values(case.name, contender, case.columns[0].figure))


def _row(case: Case, contender: str, results: Results, *, ours: float) -> tuple[str, ...]:
    main = case.columns[0]
    if not _has(results, case, contender):
        return (contender, *("-",) * (len(case.columns) + (2 if ours else 1)))
    value = results.median(case.name, contender, main.figure)
    marks = "".join(
        mark
        for figure, (most, mark, _) in FLAGS.items()
        if results.values(case.name, contender, figure)
        and results.median(case.name, contender, figure) > most
    )
    return (
        contender,
        f"{value:,.{main.digits}f}{marks}",
        f"{100 * results.spread(case.name, contender, main.figure):.0f} %",
        *((f"{value / ours:.2f}",) if ours else ()),
        *(_cell(case, contender, column, results) for column in case.columns[1:]),
    )


def _cell(case: Case, contender: str, column: Column, results: Results) -> str:
    if not results.values(case.name, contender, column.figure):
        return "-"
    return f"{results.median(case.name, contender, column.figure):,.{column.digits}f}"


def document(results: Results) -> str:
    """Return the document of a workload of `WORKLOADS`."""
    cases = [case for case in WORKLOADS[results.workload] if case.name in results.measured]
    return page(results, reached([results]), *(case_table(case, results) for case in cases), NOTES)


def page(results: Results, *parts: str) -> str:
    """Return the parts, between a head that says when and where, and the versions."""
    most = max((len(r) for c in results.measured.values() for r in c.values()), default=0)
    how = f"medians of {most} rounds" if most > 1 else "one round"
    head = f"{results.date}, {how}. {results.machine}."
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    whole = (f"# {results.workload}", head, *parts, f"Versions: {versions}.")
    return "\n\n".join(part for part in whole if part) + "\n"


def readme(documents: list[tuple[Results, str]]) -> str:
    """Return what joins the documents of several workloads, what was to be reached first."""
    targets = reached([results for results, _ in documents])
    head = "# Results\n\nWritten by `python -m benchmarks`; one run for each workload."
    bodies = [text.replace("\n# ", "\n## ").removeprefix("# ") for _, text in documents]
    return "\n\n".join([head, targets, *(f"## {body}" for body in bodies)])
