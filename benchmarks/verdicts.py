"""What was to be reached, as a table: of the medians, with the least and the most of the rounds."""

from benchmarks.results import Results
from benchmarks.targets import TARGETS, Target

HEADS = ("workload", "what", "reached", "wanted", "rounds, least to most", "")


def rows(results: Results) -> list[tuple[str, ...]]:
    """The rows of one workload, by `HEADS`."""
    return [_row(target, results) for target in TARGETS if target.workload == results.workload]


def _row(target: Target, results: Results) -> tuple[str, ...]:
    sign = "≤" if target.is_most else "≥"
    wanted = f"{sign} {target.bound:g} {target.unit}"
    try:
        figure = target.of(results.median)
    except KeyError:
        return (target.workload, target.name, "-", wanted, "-", "not measured")
    each = sorted(_each(target, results))
    range_ = f"{each[0]:.2f} to {each[-1]:.2f}" if each else "-"
    verdict = "yes" if target.is_reached(figure) else "**no**"
    return (target.workload, target.name, f"{figure:.2f} {target.unit}", wanted, range_, verdict)


def _each(target: Target, results: Results) -> list[float]:
    found = []
    for look in results.rounds():
        try:
            found.append(target.of(look))
        except KeyError:
            continue
    return found
