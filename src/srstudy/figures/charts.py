"""Charts: facts and colours of photographs, the course of a training, scores and effects with their intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from srstudy.figures.base import HIGHLIGHT, PLAIN, StudyFigure, panels, titled
from srstudy.judge.metrics import MEASURES
from srstudy.statistics import mean_colour

LABELS = {  # what does not go by its column's name
    "side": "shorter side (px)",
    "focus": "focus (variance of the Laplacian)",
    "noise": "noise (8-bit levels)",
    "upscaled": "coarse detail (above 0.96: enlarged?)",
    "mean_l": "mean L*",
    "mean_a": "mean a* (green to red)",
    "mean_b": "mean b* (blue to yellow)",
    "blockiness": "blockiness (1: no grid)",
    "frequency": "RMS frequency (radians per px)",
    **{name: label + {1: " ↑", -1: " ↓", 0: ""}[direction] for name, (label, direction) in MEASURES.items()},
}


def fact_boxes(manifest: pd.DataFrame, names: Sequence[str], title: str, columns: int = 4) -> StudyFigure:
    """A panel per fact, a box per source: quartiles, whiskers to 1.5 of their distance, dots beyond.

    `manifest`: columns source, width, height (the smaller of both is the fact `side`), and what else `names` names.
    """
    facts = manifest.assign(side=manifest[["width", "height"]].min(axis=1)).groupby("source")
    figure, axes = _charts(names, columns, (2.8, 0.25 * len(facts) + 0.8), list(facts.groups))
    style = {"medianprops": {"color": HIGHLIGHT}, "flierprops": {"marker": ".", "markersize": 4}}
    for axis, name in zip(axes, names):
        values = [rows.dropna() for _, rows in facts[name]]
        axis.boxplot(values, positions=range(len(facts)), orientation="horizontal", manage_ticks=False, **style)
        axis.set_xscale("symlog" if name == "focus" else "linear")  # that of a flat photograph is 0
        if facts[name].count().sum() == 0:
            axis.text(0.5, 0.5, "none has one", transform=axis.transAxes, ha="center", fontsize=9)
    medians = "; ".join(f"{axis.get_title()} {_ends(facts[name].median())}" for axis, name in zip(axes, names))
    return titled(figure, title, f"A row of boxes for each of {', '.join(facts.groups)}. Medians: {medians}")


def colour_scatter(points: Mapping[str, pd.DataFrame], title: str) -> StudyFigure:
    """Mean colour of photographs in the a*b* plane, a panel per group; columns as in `selection_panels`."""
    captions = {name: f"{name} ({len(rows)})" for name, rows in points.items()}
    return selection_panels(points, captions, title, columns=6)


def selection_panels(
    selections: Mapping[str, pd.DataFrame], captions: Mapping[str, str], title: str, columns: int = 4
) -> StudyFigure:
    """A panel per selection: its photographs in the a*b* plane, the others in grey, a cross at its mean colour.

    `selections` maps name -> table with columns source, mean_a, mean_b, of which about 1000 rows are drawn; `captions`
    maps name -> text above.
    """
    size = 12 / columns
    figure, axes = panels(len(selections), columns, size, size, sharex=True, sharey=True)
    means = []
    for axis, (name, chosen) in zip(axes, selections.items()):
        axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)  # both lines meet at grey
        axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        for points, colour in ((pd.concat(selections.values()), "0.85"), (chosen, PLAIN)):
            part = points.iloc[:: max(1, len(points) // 1000)]
            axis.scatter(part.mean_a, part.mean_b, s=4 * size, color=colour, alpha=0.8, linewidth=0)
        a, b = mean_colour(chosen)
        axis.scatter(a, b, s=45 * size, marker="+", linewidth=2.5, color=HIGHLIGHT)
        axis.set_title(captions[name], fontsize=9)
        axis.tick_params(labelsize=8)
        means.append(f"{name} a* {round(a):+d}, b* {round(b):+d}")
    figure.supxlabel(LABELS["mean_a"], fontsize=8)
    figure.supylabel(LABELS["mean_b"], fontsize=8)
    return titled(figure, title, f"A panel each, a cross at its mean: {'; '.join(means)}")


def measure_histograms(groups: Mapping[str, pd.DataFrame], title: str) -> StudyFigure:
    """A panel per measure: its distribution over patches of real frames, filled, and of each kind of LR, as lines.

    `groups` maps name -> table of measures; the first one is what the others, two at most, are compared with.
    """
    line = {"histtype": "step", "linewidth": 1.6}
    styles = {"color": "0.8"}, {"color": HIGHLIGHT, "linestyle": "--", **line}, {"color": PLAIN, **line}
    measures, alts = list(next(iter(groups.values()))), []
    figure, axes = _charts(measures, 3, (3.7, 2.7))
    for axis, measure in zip(axes, measures):
        low, high = np.percentile(pd.concat([rows[measure] for rows in groups.values()]), [1, 99])
        for (name, rows), style in zip(groups.items(), styles):
            shares = np.full(len(rows), 1 / len(rows))
            axis.hist(rows[measure].clip(low, high), np.linspace(low, high, 21), weights=shares, label=name, **style)
            alts.append(f"{measure} of {name} {rows[measure].median():.3g}")
    axes[0].set_ylabel("share of patches", fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return titled(figure, title, f"Medians: {', '.join(alts)}")


def curves(history: Sequence[Mapping[str, float]], title: str, columns: int = 5) -> StudyFigure:
    """A panel per column of a run's history over training steps; what is measured at ends of epochs has dots."""
    table = pd.DataFrame(history).set_index("step").drop(columns="epoch", errors="ignore")
    figure, axes = _charts(list(table), columns, (2.2, 1.8))
    ends = []
    for axis, name in zip(axes, table):
        values = table[name].dropna()
        axis.plot(values, color=PLAIN, marker="." if len(values) < 12 else None)
        axis.set_xlim(0, 1.03 * table.index.max())
        ends += [f"{axis.get_title()} {values.iloc[0]:.4g} to {values.iloc[-1]:.4g}"] if len(values) else []
    figure.supxlabel("step", fontsize=8)
    return titled(figure, title, f"From the first to the last step: {'; '.join(ends)}")


def interval_bars(table: pd.DataFrame, measures: Sequence[str], baseline: str, title: str) -> StudyFigure:
    """A panel per measure: mean and 95% interval of each run, the baseline as a dashed line.

    `table`: columns run, measure, value, low, high. A baseline that is none of the runs is drawn at 0.
    """
    names = list(dict.fromkeys(table.run))
    figure, axes = _charts(measures, len(measures), (3.1, 0.27 * len(names) + 0.7), names)
    alts = [f"The dashed line is {baseline}"]
    for axis, measure in zip(axes, measures):
        rows = table[table.measure == measure].set_index("run").loc[names]
        errors = [rows.value - rows.low, rows.high - rows.value]
        axis.errorbar(rows.value, range(len(names)), xerr=errors, fmt="o", color=PLAIN, markersize=4, capsize=2)
        axis.axvline(rows.value.get(baseline, 0), color=HIGHLIGHT, linestyle="--", linewidth=1)
        alts.append(f"{axis.get_title()}: {_ends(rows.value)}")
    return titled(figure, title, ". ".join(alts))


def effect_bars(table: pd.DataFrame, measures: Sequence[str], title: str) -> StudyFigure:
    """The same for main effects and their 95% intervals; `table`: columns factor, measure, value, low, high."""
    return interval_bars(table.rename(columns={"factor": "run"}), measures, "no effect", title)


def arm_dots(table: pd.DataFrame, measures: Sequence[str], title: str) -> StudyFigure:
    """A panel per measure, a dot per arm of an ablation, and a band over the arms whose name begins with "as it is".

    An arm so far off that it would squeeze the others is an arrow at the edge with its value. `table`: column arm and
    the measures.
    """
    figure, axes = _charts(measures, len(measures), (4.2, 0.27 * len(table) + 0.7), list(table.arm))
    alts = []
    for axis, measure in zip(axes, measures):
        values = table[measure].reset_index(drop=True)
        band = table[measure][table.arm.str.startswith("as it is")].agg(["min", "max"])
        axis.axvspan(*band, color=HIGHLIGHT, alpha=0.25)
        low, middle, high = values.quantile([0.25, 0.5, 0.75])
        far = (values - middle).abs() > max(10 * (high - low), 1e-9)
        axis.plot(values[~far], values.index[~far], "o", color=PLAIN, markersize=4)
        for place, value in values[far].items():
            edge, side, text = (0.98, "right", "{:.4g} ▶") if value > middle else (0.02, "left", "◀ {:.4g}")
            style = {"ha": side, "va": "center", "fontsize": 8, "color": PLAIN}
            axis.text(edge, place, text.format(value), transform=axis.get_yaxis_transform(), **style)
        ends = _ends(table.set_index("arm")[measure])
        alts.append(f"{axis.get_title()}: as it is {band['min']:.4g} to {band['max']:.4g}, {ends}")
    return titled(figure, title, ". ".join(alts))


def perception_distortion(table: pd.DataFrame, title: str) -> StudyFigure:
    """The plane of Blau and Michaeli 2018 (arXiv:1711.06077): VGG16-HED distance against PSNR-Y, best low on the right.

    `table`: columns method, kind (three at most, a colour each), psnr_y, perceptual, ms_per_mpx (milliseconds per
    megapixel of SR, which make a dot larger).
    """
    figure, (axis,) = panels(1, 1, 9.5, 0.27 * len(table) + 1.2)
    rows = table.sort_values("perceptual", ascending=False).reset_index(drop=True)
    colours = dict(zip(dict.fromkeys(table.kind), (HIGHLIGHT, PLAIN, "0.5")))
    for kind, some in rows.groupby("kind"):
        area = 10 + 3 * np.log10(some.ms_per_mpx.clip(lower=1)) ** 3
        axis.scatter(some.psnr_y, some.perceptual, area, colours[kind], alpha=0.7, linewidth=0, label=kind)
    for place, row in rows.iterrows():
        line = {"arrowstyle": "-", "color": "0.75", "linewidth": 0.6, "relpos": (0, 0.5)}
        style = {"color": colours[row.kind], "fontsize": 8, "va": "center", "arrowprops": line, "parse_math": False}
        at = (1.04, 1 - (place + 0.5) / len(rows))
        text = f"{row.method}, {row.ms_per_mpx:,.0f} ms"
        axis.annotate(text, (row.psnr_y, row.perceptual), at, textcoords="axes fraction", **style)
    axis.set_xlabel(f"{LABELS['psnr_y']}; dots: milliseconds per megapixel", fontsize=8)
    axis.set_ylabel(LABELS["perceptual"], fontsize=8)
    axis.tick_params(labelsize=8)
    for dot in axis.legend(loc="lower left", fontsize=8).legend_handles:
        dot.set_sizes([40])
    alts = [f"{LABELS[name]} {_ends(rows.set_index('method')[name])}" for name in ("psnr_y", "perceptual")]
    return titled(figure, title, ". ".join(alts))


def _charts(columns: Sequence[str], across: int, size: tuple[float, float], names: Sequence[str] = ()):
    """A figure, and its panels named by columns of a table; with `names` a line for each, from the top down."""
    figure, axes = panels(len(columns), across, *size, sharey=bool(names))
    for axis, column in zip(axes, columns):
        axis.set_title(LABELS.get(column, column.replace("_", " ")), fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.tick_params(labelsize=8)
    if names:
        axes[0].set_yticks(range(len(names)), names, parse_math=False)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
    return figure, axes


def _ends(values: pd.Series) -> str:
    """The lowest and the highest of values that are indexed by what they are of."""
    ends = [f"{name} {value:.4g}" for name, value in values.dropna().sort_values().items()]
    return f"lowest {ends[0]}, highest {ends[-1]}" if ends else "none"
