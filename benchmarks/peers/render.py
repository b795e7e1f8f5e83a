"""The results as a Markdown table inside docs/benchmarks.md, and as a plot that is legible on light and dark pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.contestants import ALL, BARE
from benchmarks.plots import plotted, put_between

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "benchmarks.md"
BEGIN, END = "<!-- peers: written by `make bench-peers` -->", "<!-- end of peers -->"


def write(results: dict[str, Any]) -> None:
    """Put table and plot into the documentation."""
    plot = "![Sustained accepts a second, as a share of a bare endpoint](images/peers-accept.svg)"
    put_between(PAGE, BEGIN, END, f"{tables(results)}\n\n{plot}")
    draw(results)


def tables(results: dict[str, Any]) -> str:
    """Return the tables: speed, engines, survival."""
    speed = [
        "| | keeps jobs in | accept, share of bare | accept p50 | known p50 | no-ops/s | idle CPU | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    survival = ["| after kill -9 of all its processes | accepted, not begun | while it ran |", "|---|---|---|"]
    for contestant in ALL:
        found = results["contestants"].get(contestant.name)
        if found is None:
            continue
        name = f"{contestant.name} {found['version']}".strip()
        cells = [name, found["keeps"]]
        cells += [_accept(found), _number(found, "accept_p50_ms", "{:.1f} ms")]
        cells += [_known(found), _noops(found), _number(found, "idle_cpu_percent", "{:.1f} %"), _memory(found)]
        speed.append("| " + " | ".join(cells) + " |")
        if "waiting" in found:
            survival.append(f"| {name} | {found['waiting']} | {found['running']} |")
    machine = results["machine"]
    where = f"Measured {results['measured']} on {machine['cores']} cores, Python {machine['python']}."
    return "\n".join([where, "", *speed, "", *engines(results["contestants"]), "", *survival])


def engines(measured: dict[str, Any]) -> list[str]:
    """Return a table of each engine alone beside Raincheck with it."""
    columns = ("engine alone → Raincheck with it", "sustained accept, share of bare", "times the engine's")
    columns += ("known p50", "no-ops/s", "memory")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for contestant in ALL:
        ours, alone = measured.get(contestant.name, {}), measured.get(contestant.engine, {})
        if "sustained_of_engine" not in ours:
            continue
        cells = [f"{ours['engine_alone_ratio']:.2f} → {ours['sustained_ratio']:.2f}"]
        cells += [f"{ours['sustained_of_engine']:.2f}"]
        for shown in (_known, _noops, _memory):
            cells.append(f"{shown(alone)} → {shown(ours)}")
        lines.append(f"| {contestant.engine} | " + " | ".join(cells) + " |")
    return lines


def _number(found: dict[str, Any], name: str, form: str) -> str:
    return form.format(found[name]) if name in found else "-"


def _accept(found: dict[str, Any]) -> str:
    if "accept_ratio" not in found:
        return "-"
    text = f"{found['accept_ratio']:.2f}"
    if found["sustained_ratio"] < found["accept_ratio"] - 0.02:
        text += f", sustained {found['sustained_ratio']:.2f}"
    refused = found["refused_percent"]
    return f"{text}, {refused:.1f} % answered 500" if refused else text


def _known(found: dict[str, Any]) -> str:
    return _number(found, "known_p50_ms", "{:,.1f} ms")


def _memory(found: dict[str, Any]) -> str:
    return _number(found, "memory_mib", "{:.0f} MiB")


def _noops(found: dict[str, Any]) -> str:
    text = _number(found, "noops_per_second", "{:,.0f}")
    return text if found.get("noops_drained", 1.0) else f"{text}, backlog left"


def draw(results: dict[str, Any]) -> None:
    """Draw the share of a bare endpoint that accepts keep, with all that a server puts off until after its answer."""
    measured = results["contestants"]
    shown = [each for each in ALL if "sustained_ratio" in measured.get(each.name, {}) and each is not BARE]
    values = [measured[each.name]["sustained_ratio"] for each in shown]
    order = sorted(range(len(shown)), key=values.__getitem__)
    with plotted(DOCS / "images" / "peers-accept.svg", size=(7.5, 5.0)) as (axes, ink):
        bars = axes.barh(
            [shown[n].name for n in order],
            [values[n] for n in order],
            color=[ink.ours if shown[n].ours else ink.others for n in order],
        )
        axes.bar_label(bars, fmt="%.2f", padding=3, color=ink.text)
        axes.set_xlabel("sustained accepts a second, as a share of a bare FastAPI endpoint")
