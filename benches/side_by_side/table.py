"""The table of bars: what was measured, what it has to be, and whether it is."""

from dataclasses import dataclass, field
from statistics import median

# Said where something has no number. No number is ever made up.
NOT_MEASURED = "not measured"
# The whole of a row, in `Row.lacks`.
ALL = "all"


@dataclass
class Figure:
    """Samples of one quantity, shown with so many digits behind the point."""

    samples: list[float]
    unit: str = ""
    digits: int = 2

    @property
    def value(self):
        return median(self.samples)

    def __str__(self):
        """The median with its unit, and how far the samples spread: the noise of the machine."""
        value, least, most = (
            f"{number:.{self.digits}f}" for number in (self.value, min(self.samples), max(self.samples))
        )
        spread = f" ({least}..{most})" if len(self.samples) > 1 else ""
        return f"{value} {self.unit}".rstrip() + spread


@dataclass
class Bar:
    """A limit for one figure of a row: `sign` is ≤, < or ≥."""

    figure: str
    sign: str
    limit: float
    text: str

    def holds(self, value):
        match self.sign:
            case "≤":
                return value <= self.limit
            case "<":
                return value < self.limit
            case "≥":
                return value >= self.limit
        raise ValueError(self.sign)

    def __str__(self):
        return f"{self.sign} {self.text}"


@dataclass
class Row:
    """One line of the table. What has no figure says why in `lacks`."""

    title: str
    first: list[Bar]
    then: list[Bar]
    figures: dict[str, Figure] = field(default_factory=dict)
    # Figures by which nothing is judged, for whoever looks closer.
    notes: dict[str, Figure] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)

    def measured(self):
        parts = [str(figure) for figure in self.figures.values()]
        for name, why in self.lacks.items():
            about = "" if name == ALL else f"{name}: "
            parts.append(f"{about}{NOT_MEASURED}, {why}")
        return "; ".join(parts) or NOT_MEASURED

    def noted(self):
        return ", ".join(f"{name} {figure}" for name, figure in self.notes.items())

    def verdict(self, bars):
        if not bars:
            return ""
        known = [bar for bar in bars if bar.figure in self.figures]
        if not all(bar.holds(self.figures[bar.figure].value) for bar in known):
            return "not met"
        return "met" if len(known) == len(bars) else NOT_MEASURED


HEAD = ["", "measured", "bar", "", "goal", ""]


def cells(row):
    def bars(all_of_them):
        return ", ".join(map(str, all_of_them))

    return [
        row.title,
        row.measured(),
        bars(row.first),
        row.verdict(row.first),
        bars(row.then),
        row.verdict(row.then),
    ]


def plain(rows):
    """Blocks rather than columns: a terminal is narrower than the table."""
    lines = []
    for row in rows:
        title, measured, first, met, then, reached = cells(row)
        lines.append(title)
        lines.append(f"    {measured}")
        if row.notes:
            lines.append(f"    {row.noted()}")
        lines.append(f"    bar   {first:<38} {met}")
        if then:
            lines.append(f"    goal  {then:<38} {reached}")
    return "\n".join(lines)


def markdown(rows):
    lines = [HEAD, ["---"] * len(HEAD), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
