"""Write docs/catalogue.md from the catalogue's index; `--check` only says if it is fresh.

Prints the figure: model types whose tensors were right for every unseen config, of those tried.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedbed.models.catalogue.store import index

DOCUMENT = Path(__file__).parent.parent / "docs" / "catalogue.md"

HEAD = """# The catalogue of model types

`{{"model": {{"config": {{…}}}}}}` takes a Hugging Face `config.json`. Where no family written by
hand knows its `model_type`, the solved catalogue does: data of which tensors a new model has, with
each one's dimensions and initial distribution as expressions of config fields. This page is written
by `scripts/catalogue_doc.py`.

It is of transformers {version}. For each class, some 50 small models of sampled configs were built
on the meta device; then, from a few of these, one field after another was changed alone. What moves
a dimension, a number of layers or the presence of a tensor is what its expression is looked for
among, so that the search is short and what it finds is no coincidence. Everything was held against
configs that took no part in solving: other samples, and the library's own defaults at full size. A
class is **exact** if for all of those that are within what was studied (at least five) the answer
had the same names, shapes and dtypes; if it was wrong for one of them, or for one of ten more of
another seed at the very end, it is not served. What a class was not studied for is refused: fields
that never varied, values and kinds of values that never occurred. Inits are the calls that real
builds made, held against the values that were there, and against two or three real builds of unseen
configs. Where no expression explains an init, it is **guessed** (bias 0, scale 1, the rest normal),
and the answer names those tensors.

Since then all types were held to how the library's config classes read each field; what differed
was mended or is refused, and expressions that said more than was seen hold only within bounds.
Heads of known classes (`heading`) and types of towers (`adding`) were solved after those.

In the end every class that is served was held (`holding`) to eight configs of another seed, to the
library's defaults, to ten depths from 1 to 96 layers, and to each of these as the library saves it:
names, shapes, dtypes and order, and the inits of three of them. What differed once was mended or is
served no more. Of 16,805 configs, 1,268 were refused as outside what was studied.

How it is made: `scripts/catalogue/solve.py`, then `adding` for new types, `heading` for heads, and
`mending`, `envelope` and `reordering` beside it.

"""


def figures(types: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Counts of types and classes."""
    every = [state for classes in types.values() for state in classes.values()]
    exact = [state for state in every if state["status"] == "exact"]
    return {
        "types tried": len(types),
        "types exact": sum(
            any(s["status"] == "exact" for s in classes.values()) for classes in types.values()
        ),
        "classes tried": len(every),
        "classes exact": len(exact),
        "with every init known": sum(not state.get("guessed") for state in exact),
        "unseen configs": sum(state.get("unseen", 0) for state in exact),
        "refused of them": sum(state.get("refused", 0) for state in exact),
    }


def summary(types: Mapping[str, Mapping[str, Any]]) -> str:
    """The figure, in a sentence."""
    n = figures(types)
    return (
        f"{n['types exact']} of {n['types tried']} model types tried are exact on unseen configs "
        f"({n['classes exact']} of {n['classes tried']} classes, {n['with every init known']} of "
        f"them with every init known). Of {n['unseen configs']} unseen configs of those classes, "
        f"{n['refused of them']} were refused as outside what was studied; the others were right."
    )


def page(data: Mapping[str, Any]) -> Iterator[str]:
    """All lines."""
    types = data["types"]
    yield HEAD.format(version=data["transformers"]).rstrip()
    yield ""
    yield summary(types)
    yield ""
    reasons = Counter(
        state["why"]
        for classes in types.values()
        for state in classes.values()
        if state["status"] != "exact"
    )
    if reasons:
        yield "| why a class is not exact | classes |"
        yield "|---|---|"
        for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0])):
            yield f"| {reason} | {count} |"
        yield ""
    yield "| model type | exact (tensor names with a guessed init, if any) | not exact |"
    yield "|---|---|---|"
    for model_type, classes in sorted(types.items()):
        exact, other = [], []
        for name, state in classes.items():
            if state["status"] == "exact":
                guessed = state.get("guessed", 0)
                exact.append(f"{name} ({guessed} of {state['patterns']})" if guessed else name)
            else:
                other.append(f"{name}: {state['why']}")
        yield f"| `{model_type}` | {', '.join(exact) or '–'} | {'; '.join(other) or ''} |"
    yield ""


def main() -> None:
    """Writes the page, or says that it is stale."""
    text = "\n".join(page(index()))
    if "--check" in sys.argv[1:]:
        if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
            sys.exit(f"{DOCUMENT.name} is stale: run scripts/catalogue_doc.py")
    else:
        DOCUMENT.write_text(text, encoding="utf-8")
    print(summary(index()["types"]))


if __name__ == "__main__":
    main()
