"""Write docs/normal-vs-uniform.md, its figures and the advice's evidence from the study's results.

The words are in docs/study/template.md; every number in them is a {{name}} that is filled in here.
`--check` only says whether page and figures are fresh. What the words claim stands in `claims`, and
must hold for the result file: other results ask for other words.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from seedbed.compare.student import interval
from study.analysis import Contrast, Results, committed
from study.design import SCALES
from study.evidence import evidence
from study.figures import Row, Series, forest, lines
from study.statistics import Effect, corrected

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = DOCS / "normal-vs-uniform.md"
FIGURES = DOCS / "study"
TEMPLATE = FIGURES / "template.md"
EVIDENCE = Path(__file__).parent.parent / "app/seedbed/advice/evidence.json"

NETWORKS = {
    "mlp": "plain, no norm",
    "mlp_bn": "plain, batch norm",
    "residual": "residual, no norm",
    "residual_bn": "residual, batch norm",
}
SCALE_NAMES = {
    "he": "He", "glorot": "Glorot", "lecun": "LeCun", "alexnet": "N(0, 0.01²)",
    "orthogonal": "orthogonal, gain √2",
}  # fmt: skip
NORMAL_ARMS = {
    "he": "he_normal", "glorot": "glorot_normal", "lecun": "lecun_normal",
    "alexnet": "alexnet_normal", "orthogonal": "orthogonal",
}  # fmt: skip


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign; no −0.00."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if float(f"{value:.{digits}f}") == 0 else text


def spelled(effect: Effect) -> str:
    """An effect with its interval."""
    return f"{signed(effect.mean)} [{signed(effect.low)}, {signed(effect.high)}]"


def p_value(value: float) -> str:
    """A p-value to two digits."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def shapes_table(results: Results) -> str:
    """Every contrast of the grid."""
    by_cell: dict[tuple[str, str], dict[str, Contrast]] = {}
    for row in results.contrasts:
        by_cell.setdefault((row.architecture, row.scale), {})[row.shape] = row
    rows = []
    for (network, scale), found in by_cell.items():
        first = found["uniform"]
        name = f"{NETWORKS[network]}: {SCALE_NAMES[scale]}"
        if not first.learned:
            rows.append([name, f"{first.rate:g}", f"{first.accuracy:.1f}", "did not learn", ""])
            continue
        effects = [f"{spelled(found[s].effect)}" for s in ("uniform", "truncated")]
        rows.append([name, f"{first.rate:g}", f"{first.accuracy:.1f}", *effects])
    return table(
        ["network: scale", "rate", "normal, %", "uniform − normal", "truncated − normal"], rows
    )


def scales_table(results: Results) -> str:
    """Accuracy by scale, each at its best rate."""
    rows = []
    for scale, arm in NORMAL_ARMS.items():
        cells = [results.scale(network, arm) for network in NETWORKS]
        rows.append([SCALE_NAMES[scale], *(_accuracy(c.accuracy, c.rate) for c in cells)])
    return table(["scale", *NETWORKS.values()], rows)


def _accuracy(values: np.ndarray, rate: float | None = None) -> str:
    mean, low, high = interval(values)
    text = f"{mean:.1f} [{low:.1f}, {high:.1f}]"
    return text if rate is None else f"{text} at {rate:g}"


RESNET_ARMS = ("he_normal", "he_truncated", "he_uniform", "glorot_normal", "glorot_uniform")


def resnet_effects(results: Results) -> dict[str, Effect]:
    """Every other start of the ResNets against He-normal, by network and arm."""
    return {
        f"{network} {arm}": results.against("resnet", network, arm, "he_normal")
        for network in results.architectures("resnet")
        for arm in RESNET_ARMS[1:]
    }


def resnet_table(results: Results) -> str:
    """The ResNets."""
    effects = resnet_effects(results)
    ps = corrected(effects)
    rows = []
    for arm in RESNET_ARMS:
        row = [f"`{arm}`"]
        for network in results.architectures("resnet"):
            cell = results.cells("resnet", network, arm)[0]
            row.append(_accuracy(cell.accuracy))
            effect = effects.get(f"{network} {arm}")
            row.append(f"{spelled(effect)}, p {p_value(ps[f'{network} {arm}'])}" if effect else "—")
        rows.append(row)
    head = ["start"]
    for network in results.architectures("resnet"):
        words = "batch norm" if network.endswith("_bn") else "no norm"
        head += [f"{words}, %", f"{words}: − he_normal"]
    return table(head, rows)


KERAS_ARMS = ("glorot_uniform", "glorot_truncated", "lecun_uniform")


def keras_effects(results: Results) -> dict[str, Effect]:
    """The Keras comparison: arms against Glorot-normal."""
    return {arm: results.against("keras", "keras", arm, "glorot_normal") for arm in KERAS_ARMS}


def keras_table(results: Results) -> str:
    """The Keras comparison, properly."""
    effects = keras_effects(results)
    ps = corrected(effects)
    rows = [
        ["`glorot_normal`", _accuracy(results.cells("keras", "keras", "glorot_normal")[0].accuracy),
         "—", "—", "—"],
    ]  # fmt: skip
    for arm, effect in effects.items():
        cell = results.cells("keras", "keras", arm)[0]
        rows.append([
            f"`{arm}`", _accuracy(cell.accuracy), spelled(effect), p_value(ps[arm]),
            f"{100 * effect.wins:.0f} %",
        ])  # fmt: skip
    return table(["start", "accuracy, %", "− glorot_normal", "p, Holm", "single runs won"], rows)


GAINS = (0.25, 0.5, 1.0, 2.0, 4.0)


def gain_table(results: Results) -> str:
    """The scale before a batch norm."""
    rows = []
    for gain in GAINS:
        row = [f"×{gain:g}"]
        for tail in ("", "_compensated"):
            cell = results.cells("scale", "mlp_bn", f"gain_{gain:g}{tail}")[0]
            row += [_accuracy(cell.accuracy), _number(cell.speed_loss)]
        rows.append(row)
    return table(
        ["weights", "same rate: accuracy, %", "mean loss", "rate × gain²: accuracy, %",
         "mean loss"], rows,
    )  # fmt: skip


def _number(values: np.ndarray) -> str:
    mean, low, high = interval(values)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def start_table(results: Results) -> str:
    """Signals and gradients before training."""
    rows = []
    for arm in ("he_normal", "he_truncated", "he_uniform", "glorot_normal", "alexnet_normal",
                "orthogonal"):  # fmt: skip
        row = [f"`{arm}`"]
        for norm in ("none", "batch"):
            found = results.start["networks"][norm][arm]
            row += [_scientific(found[name]) for name in (
                "activation_mean_square", "gradient_mean_square")]  # fmt: skip
        rows.append(row)
    return table(
        ["start", "signal, no norm", "gradient, no norm", "signal, batch norm",
         "gradient, batch norm"], rows,
    )  # fmt: skip


def _scientific(entry: Sequence[float | None]) -> str:
    mean, low, high, theory = entry
    text = f"{_two(mean)} [{_two(low)}, {_two(high)}]"
    return text if theory is None else f"{text}; {_two(theory)}"


def _two(value: float | None) -> str:
    """Two significant digits, with a power of ten where that is shorter."""
    if value is None:
        return "—"
    if 0.01 <= abs(value) < 1e4:
        return f"{float(f'{value:.2g}'):g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(power)).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def kurtosis_table(results: Results) -> str:
    """What is left of a distribution's shape after a sum."""
    rows = []
    for fan, arms in results.start["kurtosis"].items():
        row = [fan]
        for arm in ("he_normal", "he_truncated", "he_uniform"):
            mean, low, high, theory = arms[arm]
            row.append(f"{signed(mean)} [{signed(low)}, {signed(high)}]; {signed(theory)}")
        rows.append(row)
    return table(["fan_in", "normal", "truncated", "uniform"], rows)


def context(results: Results) -> dict[str, str]:
    """Every number and table that the words have, by name."""
    grid = results.experiment("grid")
    found = {
        "table_shapes": shapes_table(results),
        "table_scales": scales_table(results),
        "table_resnet": resnet_table(results),
        "table_keras": keras_table(results),
        "table_gain": gain_table(results),
        "table_start": start_table(results),
        "table_kurtosis": kurtosis_table(results),
        "grid_seeds": str(grid["seeds"]),
        "grid_epochs": str(grid["epochs"]),
        "grid_rates": ", ".join(f"{rate:g}" for rate in grid["rates"]),
        "grid_depth": str(grid["architectures"]["mlp"]["depth"]),
        "grid_width": str(grid["architectures"]["mlp"]["width"]),
        "grid_networks": str(
            len(grid["arms"]) * len(grid["architectures"]) * len(grid["rates"]) * grid["seeds"]
        ),
        "contrasts": str(len(results.contrasts)),
        "torch": str(results.made_by["torch"]).partition("+")[0],
        "stream": str(results.made_by["stream"]),
        **_scale_words(results),
        **_keras_words(results),
    }
    for name, networks in {
        "all": tuple(NETWORKS),
        "plain": ("mlp", "residual"),
        "bn": ("mlp_bn", "residual_bn"),
    }.items():
        for shape in ("uniform", "truncated"):
            effect = results.pooled(shape, *networks)
            found[f"{shape}_{name}"] = spelled(effect)
            found[f"{shape}_{name}_bound"] = f"{effect.bound:.2f}"
            found[f"{shape}_{name}_p"] = p_value(effect.p)
            found[f"{shape}_{name}_with_alexnet"] = spelled(
                results.pooled(shape, *networks, scales=SCALES)
            )
    learned = [row for row in results.contrasts if row.learned]
    found["learned_contrasts"] = str(len(learned))
    smallest = min(learned, key=lambda row: row.p)
    found["smallest_p"] = p_value(smallest.p)
    found["significant"] = str(sum(row.p < 0.05 for row in learned))
    resnet = resnet_effects(results)
    for network in ("resnet_bn", "resnet"):
        effect = resnet[f"{network} he_uniform"]
        found[f"{network}_uniform"] = spelled(effect)
        found[f"{network}_uniform_bound"] = f"{effect.bound:.2f}"
    found["resnet_seeds"] = str(results.experiment("resnet")["seeds"])
    return found


def _scale_words(results: Results) -> dict[str, str]:
    """Accuracies by scale."""
    found = {}
    for network in NETWORKS:
        means = {}
        for scale, arm in NORMAL_ARMS.items():
            cell = results.scale(network, arm)
            means[scale] = cell.mean
            found[f"{network}_{scale}"] = f"{cell.mean:.1f}"
        sound = [mean for scale, mean in means.items() if scale != "alexnet"]
        found[f"{network}_spread"] = f"{max(sound) - min(sound):.1f}"
    for network in NETWORKS:
        effect = results.against("grid", network, "orthogonal", "he_normal")
        found[f"{network}_orthogonal_over_he"] = spelled(effect)
    return found


def _keras_words(results: Results) -> dict[str, str]:
    """The single run and the proper comparison."""
    cells = {arm: results.cells("keras", "keras", arm)[0] for arm in ("glorot_normal", *KERAS_ARMS)}
    effect = keras_effects(results)["glorot_uniform"]
    differences = cells["glorot_uniform"].accuracy - cells["glorot_normal"].accuracy
    return {
        "keras_seeds": str(effect.seeds),
        "keras_effect": spelled(effect),
        "keras_bound": f"{effect.bound:.2f}",
        "keras_wins": f"{100 * effect.wins:.0f}",
        "keras_single_spread": f"{differences.std(ddof=1):.2f}",
        "keras_first_uniform": f"{cells['glorot_uniform'].accuracy[0]:.2f}",
        "keras_first_normal": f"{cells['glorot_normal'].accuracy[0]:.2f}",
        "gain_4_loss": f"{results.cells('scale', 'mlp_bn', 'gain_4')[0].speed_loss.mean():.2f}",
        "gain_1_loss": f"{results.cells('scale', 'mlp_bn', 'gain_1')[0].speed_loss.mean():.2f}",
        "gain_4_compensated_loss": (
            f"{results.cells('scale', 'mlp_bn', 'gain_4_compensated')[0].speed_loss.mean():.2f}"
        ),
    }


def figures(results: Results) -> Mapping[str, str]:
    """The charts by file name."""
    return {
        "shapes.svg": forest(
            "Uniform and truncated against normal, at equal variance",
            "difference of test accuracy in percentage points, 95 % intervals",
            [*_shape_rows(results)],
            6.0,
        ),
        "rates.svg": lines(
            "Scales in plain networks without norm, by learning rate",
            "learning rate",
            "test accuracy, %",
            [*_rate_series(results, "mlp")],
            (0.0, 100.0),
        ),
        "rates_bn.svg": lines(
            "The same with batch norm",
            "learning rate",
            "test accuracy, %",
            [*_rate_series(results, "mlp_bn")],
            (0.0, 100.0),
        ),
        "gain.svg": lines(
            "Weights before batch norm, multiplied by a gain",
            "gain",
            "mean training loss over the run, nats (less is faster)",
            [*_gain_series(results)],
            (0.0, 2.4),
        ),
    }


def _shape_rows(results: Results) -> Iterator[Row]:
    yield Row("Rules by fans that learned, pooled")
    for kind, shape in enumerate(("uniform", "truncated")):
        effect = results.pooled(shape)
        yield Row(f"{shape} − normal", effect.mean, effect.low, effect.high, kind)
    network = ""
    for row in results.contrasts:
        if not row.learned:
            continue
        if row.architecture != network:
            network = row.architecture
            yield Row(NETWORKS[network].capitalize())
        effect = row.effect
        label = f"{SCALE_NAMES[row.scale]}: {row.shape} − normal"
        yield Row(label, effect.mean, effect.low, effect.high, int(row.shape == "truncated"))


def _rate_series(results: Results, network: str) -> Iterator[Series]:
    for scale, arm in NORMAL_ARMS.items():
        cells = results.cells("grid", network, arm)
        points = [(cell.rate, cell.mean, *cell.ends) for cell in cells]
        yield Series(SCALE_NAMES[scale], points)


def _gain_series(results: Results) -> Iterator[Series]:
    for name, tail in (("same learning rate", ""), ("rate × gain²", "_compensated")):
        points = []
        for gain in GAINS:
            cell = results.cells("scale", "mlp_bn", f"gain_{gain:g}{tail}")[0]
            mean, low, high = interval(cell.speed_loss)
            points.append((gain, mean or 0.0, low or 0.0, high or 0.0))
        yield Series(name, points)


def claims(results: Results) -> dict[str, bool]:
    """What the words say, and whether it is so."""
    keras = keras_effects(results)
    wide = {
        (network, scale): results.scale(network, arm).mean
        for network in NETWORKS
        for scale, arm in NORMAL_ARMS.items()
    }
    gains = {
        name: results.cells("scale", "mlp_bn", name)[0].speed_loss.mean()
        for gain in GAINS
        for name in (f"gain_{gain:g}", f"gain_{gain:g}_compensated")
    }
    compensated = [loss for name, loss in gains.items() if name.endswith("compensated")]
    return {
        "pooled effects of the shape are below a point": all(
            results.pooled(shape).bound < 1.0 for shape in ("uniform", "truncated")
        ),
        "no contrast is significant once corrected": all(
            row.p >= 0.05 for row in results.contrasts if row.learned
        ),
        "none in the ResNets": all(p >= 0.05 for p in corrected(resnet_effects(results)).values()),
        "uniform draws did a little better without norm": (
            results.pooled("uniform", "mlp", "residual").low > 0
        ),
        "not with batch norm": (
            results.pooled("uniform", "mlp_bn", "residual_bn").low
            < 0
            < results.pooled("uniform", "mlp_bn", "residual_bn").high
        ),
        "in residual networks without norm He is below the smaller variances": all(
            wide["residual", s] - wide["residual", "he"] > 3 for s in ("glorot", "lecun", "alexnet")
        ),
        "with batch norm and skip connections no scale matters": (
            max(wide["residual_bn", s] for s in NORMAL_ARMS)
            - min(wide["residual_bn", s] for s in NORMAL_ARMS)
            < 1
        ),
        "AlexNet's scale is far below with batch norm in plain networks": (
            wide["mlp_bn", "he"] - wide["mlp_bn", "alexnet"] > 5
        ),
        "no effect of shape in the Keras comparison": all(
            effect.low < 0 < effect.high for arm, effect in keras.items() if "glorot" in arm
        ),
        "AlexNet's scale does not learn in deep plain networks without norm": (
            wide["mlp", "alexnet"] < 20
        ),
        "He is far above Glorot there": wide["mlp", "he"] - wide["mlp", "glorot"] > 10,
        "with batch norm the three fan rules are close": (
            max(wide["mlp_bn", s] for s in SCALES[:3]) - min(wide["mlp_bn", s] for s in SCALES[:3])
            < 5
        ),
        "larger weights before batch norm learn more slowly": (
            gains["gain_4"] > gains["gain_2"] > gains["gain_1"]
        ),
        "gain² in the learning rate makes up for it": max(compensated) - min(compensated) < 0.1,
    }


def render(results: Results | None = None) -> str:
    """The page.

    Raises:
        KeyError: the words have a name that is not known.
    """
    found = context(results or committed())
    words = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: found[match[1]], words)


def main() -> int:
    """Write them, or say whether they are fresh and true."""
    results = committed()
    wrong = [claim for claim, holds in claims(results).items() if not holds]
    if wrong:
        print(f"the results do not bear out: {'; '.join(wrong)}", file=sys.stderr)
        return 1
    made = {FIGURES / name: text for name, text in figures(results).items()}
    made[DOCUMENT] = render(results)
    made[EVIDENCE] = json.dumps(evidence(results), indent=1, sort_keys=True) + "\n"
    stale = [
        path
        for path, text in made.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is stale: run scripts/study_doc.py", file=sys.stderr)
        return bool(stale)
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
