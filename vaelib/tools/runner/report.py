"""The course report: one JSON file for machines, one HTML page for people, from the same numbers."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

import vaelib
from vaelib.files import replace_file
from vaelib.tools.results import write_json

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Course report</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.failed { color: #a33a00; font-weight: 600; }
pre { background: #f5f5f5; padding: .75rem; overflow-x: auto; font-size: 13px; }
</style>
</head>
<body>
<h1>Course report</h1>
{% set failed = notebooks | rejectattr("passed") | list %}
<p{% if failed or not_run %} class="failed"{% endif %}>{{ headline }}</p>
{% if not_run %}<p>Not run: {{ not_run | join(", ") }}.</p>{% endif %}
<table>
<thead><tr><th>notebook</th><th>result</th><th class="n">seconds</th><th class="n">peak memory, MB</th>
<th class="n">claims held</th><th>data</th></tr></thead>
<tbody>
{% for nb in ordered %}<tr><td><a href="#{{ nb.name }}">{{ nb.name }}</a></td>
<td{% if not nb.passed %} class="failed"{% endif %}>{{ nb.status }}</td>
<td class="n">{{ nb.seconds }}</td><td class="n">{{ nb.peak_rss_mb }}</td>
<td class="n">{{ nb.claims | selectattr("passed") | list | length }} of {{ nb.claims | length }}</td>
<td>{% for source in nb.data %}{{ source.name }}{{ " (stand-in)" if source.stand_in }}<br>{% endfor %}</td></tr>
{% endfor %}</tbody>
</table>
{% for nb in ordered %}
<section id="{{ nb.name }}">
<h2>{{ nb.title }}</h2>
<p>{% if nb.executed %}<a href="{{ nb.executed | urlencode }}">{{ nb.executed }}</a>{% else %}{{ nb.name }}{% endif %}:
<span{% if not nb.passed %} class="failed"{% endif %}>{{ nb.status }}</span>.
{% if nb.parameters %}Parameters: {% for key, value in nb.parameters.items() %}<code>{{ key }} = {{ value }}</code>
{% endfor %}{% endif %}</p>
{% if nb.error %}<p class="failed">{{ nb.error | place }}</p>
{% if nb.error.traceback %}<pre>{{ nb.error.traceback }}</pre>{% endif %}{% endif %}
{% if nb.data %}<ul>{% for source in nb.data %}<li>Data: {{ source.name }}, from {{ source.origin }}
{{- " (a stand-in)" if source.stand_in }}</li>{% endfor %}</ul>{% endif %}
{% if nb.figures %}<table>
<thead><tr><th>figure</th><th class="n">value</th><th>unit</th></tr></thead>
<tbody>{% for name, value in nb.figures.items() %}
<tr><td>{{ name }}</td><td class="n">{{ value | number(6) }}</td><td>{{ nb.units[name] }}</td></tr>{% endfor %}
</tbody></table>{% endif %}
{% if nb.claims %}<table>
<thead><tr><th></th><th>claim</th><th class="n">difference</th><th class="n">tolerance</th></tr></thead>
<tbody>{% for claim in nb.claims %}
<tr{% if not claim.passed %} class="failed"{% endif %}><td>{{ "✓" if claim.passed else "✗" }}</td>
<td>{{ claim.text }}</td><td class="n">{{ claim.difference | number(2) }}</td>
<td class="n">{{ claim.tolerance | number(3) }}</td></tr>{% endfor %}
</tbody></table>{% endif %}
</section>
{% endfor %}
<p>vaelib {{ vaelib }}, Python {{ python }}, {{ platform }}. {{ memory_unit }}.</p>
</body>
</html>
"""


def write_report(
    folder: str | os.PathLike, results: Sequence[dict[str, Any]], not_run: Sequence[str] = ()
) -> dict[str, Any]:
    """Write `report.json` and `report.html`.

    Args:
        folder: where the executed copies are.
        results: what `execute` returned, in the order of the course.
        not_run: names of the chosen notebooks that have not run, yet or at all.

    Returns:
        dict, the content of `report.json`.
    """
    folder = Path(folder)
    report = {
        "passed": all(result["passed"] for result in results) and not not_run,
        "headline": headline(results, len(not_run)),
        "seconds": round(sum(result["seconds"] for result in results), 2),
        "notebooks": results,
        "not_run": list(not_run),
        "memory_unit": "1 MB is 10^6 bytes; peak memory is the kernel's, with its child processes",
        "vaelib": getattr(vaelib, "__version__", "unknown"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    write_json(folder / "report.json", report)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    environment.filters.update(number=_number, place=place)
    page = environment.from_string(_PAGE).render(ordered=sorted(results, key=lambda nb: nb["passed"]), **report)
    with replace_file(folder / "report.html") as half:
        half.write_text(page, encoding="utf-8")
    return report


def headline(results: Sequence[dict[str, Any]], num_not_run: int = 0) -> str:
    """Return how many of the chosen notebooks passed and how many claims held, in words."""
    claims = [claim for result in results for claim in result["claims"]]
    passed, held = sum(result["passed"] for result in results), sum(claim["passed"] for claim in claims)
    return f"{passed} of {len(results) + num_not_run} notebooks passed; {held} of {len(claims)} claims held"


def result_line(label: str, result: dict[str, Any], width: int) -> str:
    """Return one line on a run for the terminal; a second one says why it failed.

    Args:
        label: what ran.
        result: what `execute` returned.
        width: of the longest label.
    """
    claims = result["claims"]
    held = sum(claim["passed"] for claim in claims)
    counted = f"{held} claim{'' if held == 1 else 's'}" if held == len(claims) else f"{held} of {len(claims)} claims"
    line = (
        f"{'✓' if result['passed'] else '✗'} {label:{width}}   {result['status']:11} "
        f"{result['seconds']:7.1f} s   {counted:>15}   {result['peak_rss_mb']:6.0f} MB"
    )
    return line if result["passed"] else f"{line}\n    {place(result['error'])}"


def place(error: dict[str, Any]) -> str:
    """Return one line that says where a notebook failed and why."""
    count = f" (In [{error['execution_count']}])" if error["execution_count"] else ""
    where = f"cell {error['cell']}{count}: " if error["cell"] else ""
    return f"{where}{error['name']}: {error['message'].strip()}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)
