"""Draws the measurements in `target/bench/` as SVG files in `docs/performance/`.

    python3 benches/plots.py

Each drawing has its own background and follows the reader's light or dark mode.
"""

import json
import math
from html import escape

from measure import REPOSITORY, RESULTS, number

DRAWINGS = REPOSITORY / "docs/performance"
# Size of a panel, margin, and top of the first panel.
WIDTH, HEIGHT, MARGIN, TOP = 340, 150, 58, 62
STYLE = """
svg { font: 12px system-ui, sans-serif }
.ground { fill: #fff } text { fill: #333 } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #ddd } .line { fill: none; stroke: #0969da; stroke-width: 2 } .dot, .ours { fill: #0969da }
.least { fill: none; stroke: #999; stroke-dasharray: 4 3 } .theirs { fill: #b5bac1 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #c9d1d9 } .grid { stroke: #30363d } .line { stroke: #58a6ff } .dot, .ours { fill: #58a6ff }
.least { stroke: #777 } .theirs { fill: #59626d } }
"""


def text(x, y, words, anchor="start", kind="words"):
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'


def save(name, title, width, height, elements):
    """Writes a drawing."""
    DRAWINGS.mkdir(parents=True, exist_ok=True)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
            f'<title>{escape(title)}</title><style>{STYLE}</style><rect class="ground" width="100%" height="100%" rx="6"/>')
    elements = [head, text(16, 26, title, kind="title"), *elements, "</svg>"]
    (DRAWINGS / f"{name}.svg").write_text("\n".join(elements) + "\n")


def short(value):
    """A rounded number for an axis."""
    for limit, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def ticks(most):
    """About four round numbers from zero to at least `most`."""
    step = 10 ** math.floor(math.log10(most or 1))
    step *= next(factor for factor in (0.25, 0.5, 1, 2, 2.5) if factor * step * 5 >= most)
    return [index * step for index in range(math.ceil(most / step - 1e-9) + 1)]


def panel(left, top, title, points, least=()):
    """A curve over a logarithmic axis; `least` is its theoretical minimum. Widely spread values also get a logarithmic axis."""
    values = [value for _, value in [*points, *least]]
    is_log = max(values) > 20 * min(values)
    if is_log:
        marks = [10.0 ** power for power in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)]
    else:
        marks = ticks(max(values))
    first, last, bottom = math.log10(points[0][0]), math.log10(points[-1][0]), top + 14 + HEIGHT

    def height(value):
        share = math.log10(value / marks[0]) / math.log10(marks[-1] / marks[0]) if is_log else value / marks[-1]
        return bottom - share * HEIGHT

    def place(point):
        return left + (math.log10(point[0]) - first) / (last - first) * WIDTH, height(point[1])

    elements = [text(left, top, title)]
    for mark in marks:
        y = height(mark)
        elements += [f'<path class="grid" d="M{left} {y:.1f}h{WIDTH}"/>', text(left - 5, y + 4, short(mark), "end")]
    for curve, kind in ((least, "least"), (points, "line")):
        if curve:
            elements.append(f'<path class="{kind}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, curve))}"/>')
    for index, (x, y) in enumerate(map(place, points)):
        elements.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        # Every second label if there are many.
        if len(points) < 6 or index % 2 == 0:
            elements.append(text(x, bottom + 17, short(points[index][0]), "middle"))
    return elements


def curves(name, title, results):
    """Time, CPU, memory and requests over the varied parameter."""
    figures = {
        "wall time, s": lambda result: result["wall"],
        "CPU time, µs per row": lambda result: result["microseconds_a_row"],
        "peak memory, MiB": lambda result: result["peak_kib"] / 1024,
        "calls": lambda result: result["reports"] + result["other_calls"],
    }
    elements = []
    for index, (heading, figure) in enumerate(figures.items()):
        points = [(result[name], figure(result)) for result in results]
        least = [(result[name], result["least"]) for result in results if index == 0 and "least" in result]
        elements += panel(MARGIN + index % 2 * (WIDTH + MARGIN), TOP + index // 2 * (HEIGHT + MARGIN), heading, points, least)
    save(name, title, 2 * (WIDTH + MARGIN) + 24, TOP + 2 * (HEIGHT + MARGIN) - 10, elements)


def bars(cases):
    """One row per program."""
    figures = (("wall time, s", "wall", 1), ("CPU time, s", "cpu", 1), ("peak memory, MiB", "peak_kib", 1024))
    names, width, height = 205, 190, 22
    elements, y = [], 6
    for case in cases:
        y += 52
        elements.append(text(16, y, f"{case['name']}: {case['rows']:,} rows, {case['bytes'] / 1e6:.0f} MB"))
        y += height
        most = {key: max(program[key] for program in case["programs"].values()) for _, key, _ in figures}
        for column, (heading, _, _) in enumerate(figures):
            elements.append(text(names + column * width, y, heading))
        for program, usage in case["programs"].items():
            y += height
            elements.append(text(names - 8, y + 4, program, "end"))
            kind = "ours" if program.startswith("source-criteo") else "theirs"
            for column, (_, key, unit) in enumerate(figures):
                left, length = names + column * width, max(1, usage[key] / most[key] * (width - 55))
                elements += [f'<rect class="{kind}" x="{left}" y="{y - 7}" width="{length:.1f}" height="14" rx="2"/>',
                             text(left + length + 5, y + 4, number(usage[key] / unit))]
    save("compare", "The same rows from the same sandbox", names + len(figures) * width, y + 24, elements)


def draw():
    """Draws all available measurements."""
    titles = {"rows": "From ten thousand to ten million rows", "advertisers": "The same rows, of one to ten thousand advertisers",
              "concurrency": "Concurrent windows, with 100 ms per response (dashed: theoretical minimum)"}
    for name, title in titles.items():
        if (RESULTS / f"{name}.json").exists():
            curves(name, title, json.loads((RESULTS / f"{name}.json").read_text())["results"])
    if (RESULTS / "compare.json").exists():
        bars(json.loads((RESULTS / "compare.json").read_text())["cases"])


if __name__ == "__main__":
    draw()
