"""Draws a report as a bar chart in SVG, with colours for light and dark pages.

Each bar is a median and the thin line on it the interquartile range. The bars of a column are
relative to the longest one, because the columns differ by orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from benchmarks.report.summary import Column, Report

WIDTH, LEFT, RIGHT = 760, 240, 130
BAR, GAP, HEAD = 18, 6, 34
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff } .title { font-weight: 600; font-size: 15px }
  .column { font-weight: 600 } .label { text-anchor: end }
  .bar { fill: #8c959f } .own { fill: #0a7d55 } .range { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 }
    .bar { fill: #6e7681 } .own { fill: #2ea97d } .range { stroke: #e6edf3 }
  }
"""


def draw_plot(report: Report) -> str:
    """Return an SVG image of the report's plotted columns."""
    parts, y = [f'<text class="title" x="16" y="28">{escape(report.title)}</text>'], 44
    for column in (each for each in report.columns if each.title in report.plotted):
        rows = [label for label in report.labels if report.samples[column.title].get(label)]
        caption = f"{column.title}, {column.unit}" if column.unit else column.title
        parts.append(f'<text class="column" x="16" y="{y + 20}">{escape(caption)}</text>')
        y += HEAD
        parts += draw_bars(report, column, rows, y)
        y += len(rows) * (BAR + GAP) + GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" role="img">',
            f"<title>{escape(report.title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{y + 10}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def draw_bars(report: Report, column: Column, labels: list[str], y: int) -> Iterator[str]:
    figures = [figure for label in labels if (figure := report.get_quartiles(column, label))]
    longest = max((figure.upper for figure in figures), default=1.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / longest
    for label, figure in zip(labels, figures, strict=True):
        name, middle = label.replace("*", ""), y + BAR / 2
        kind = "bar own" if name != label else "bar"
        low, high = (round(LEFT + edge * scale, 1) for edge in (figure.lower, figure.upper))
        ratio = report.get_ratio(column, label)
        value = f"{figure.median:,.3g}" if figure.median < 1000 else f"{figure.median:,.0f}"
        text = f"{value} ({ratio.median:.2f}x)" if ratio else value
        yield f'<text class="label" x="{LEFT - 8}" y="{middle + 5}">{escape(name)}</text>'
        width = max(1.0, round(figure.median * scale, 1))
        yield f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width}" height="{BAR}"/>'
        yield f'<path class="range" d="M{low} {middle}H{high}"/>'
        yield f'<text x="{max(high, LEFT + width) + 8}" y="{middle + 5}">{text}</text>'
        y += BAR + GAP
