"""Templates of strings: `{name}` is a parameter, `{{` and `}}` are braces.

CONTRACT "Upstream calls", Templates. Parsed once, when the configuration is made, so that filling
one in is quick and cannot fail for its own sake. It must not know what a parameter is declared to
be: values come in bound. Siblings: `template_url`, `template_header`
and `template_json`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streaming.core import codec

Value = str | int | float | bool
"""What a parameter may be."""

NAME = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
"""What a parameter's name must match whole."""

_TOKEN = re.compile(r"\{\{|\}\}|\{(" + NAME + r")\}|[{}]")


@dataclass(frozen=True, slots=True)
class Template:
    """A string with gaps for parameters.

    Args:
        literals: The text around the gaps; one more than there are names. It may hold secrets.
        names: The parameter of each gap.
    """

    literals: tuple[str, ...]
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Template(names={self.names!r})"

    @property
    def is_static(self) -> bool:
        """Say whether it has no gaps."""
        return not self.names

    @property
    def is_gap_alone(self) -> bool:
        """Say whether it is one gap and no text."""
        return self.literals == ("", "")

    def render(self, params: Mapping[str, Value], encode: Callable[[Value], str]) -> str:
        """Fill the gaps in.

        Args:
            params: A value for every name.
            encode: How a value is written here.
        """
        text = self.literals[0]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            text += encode(params[name]) + literal
        return text


def parse(text: str) -> Template:
    """Parse a template.

    Raises:
        ValueError: A brace that is neither part of `{name}` nor doubled. The sentence holds nothing
            of the text.
    """
    literals, names, at = [""], [], 0
    for token in _TOKEN.finditer(text):
        literals[-1] += text[at : token.start()]
        at = token.end()
        if token[1]:
            names.append(token[1])
            literals.append("")
        elif len(token[0]) == 2:
            literals[-1] += token[0][0]
        else:
            raise ValueError(
                f"has a {token[0]!r} that is not part of {{name}}; double it: {token[0] * 2}"
            )
    literals[-1] += text[at:]
    return Template(tuple(literals), tuple(names))


def escape(text: str) -> str:
    """Return the template that stands for the text itself."""
    return text.replace("{", "{{").replace("}", "}}")


def to_text(value: Value) -> str:
    """Write a value where only text can stand: true and false, numbers as JSON writes them."""
    return value if isinstance(value, str) else codec.encode(value).decode()
