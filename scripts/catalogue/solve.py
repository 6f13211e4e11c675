"""Solve the catalogue: build model types, explain them, check, and keep what is true.

    python -m scripts.catalogue.solve --cache /tmp/catalogue [--only bert,gpt2] [--redo failed]
    python -m scripts.catalogue.solve --cache /tmp/catalogue --recheck 3
    python -m scripts.catalogue.solve --cache /tmp/catalogue --write build/catalogue

Each type is solved in a process of its own with a time limit, and its result kept in the cache, so
that a run can be broken off and taken up again. `--write` makes data like the
package's of them, in a folder of their own: the package's were mended since (`mending`, `envelope`,
`reordering`), which is to be done again before new ones take their place.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from scripts.catalogue import assembling, building, inits, sampling, studying
from scripts.catalogue.keeping import DATA, packed

# Of the processor, for one class.
PROBE_SECONDS, EXPLAIN_SECONDS, INIT_SECONDS = (12.0, 10.0), (12.0, 15.0), 12.0
UNCHECKED = "too few unseen configs that are within what was studied"
# What people use first comes first.
POPULAR = [
    "llama",
    "bert",
    "gpt2",
    "qwen2",
    "qwen3",
    "mistral",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma3",
    "phi",
    "phi3",
    "roberta",
    "distilbert",
    "t5",
    "vit",
    "clip",
    "whisper",
    "mixtral",
    "deberta",
    "deberta-v2",
    "electra",
    "albert",
    "xlm-roberta",
    "bart",
    "mbart",
    "pegasus",
    "opt",
    "bloom",
    "falcon",
    "gpt_neox",
    "gptj",
    "gpt_neo",
    "olmo",
    "olmo2",
    "olmo3",
    "qwen2_moe",
    "qwen3_moe",
    "deepseek_v2",
    "deepseek_v3",
    "mt5",
    "deit",
    "beit",
    "swin",
    "swinv2",
    "convnext",
    "convnextv2",
    "resnet",
    "dinov2",
    "siglip",
    "wav2vec2",
    "hubert",
    "mamba",
    "mamba2",
    "starcoder2",
    "stablelm",
    "cohere",
    "cohere2",
    "granite",
    "gpt_bigcode",
    "mpt",
    "codegen",
    "glm",
    "glm4",
    "smollm3",
    "nemotron",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "llava",
    "paligemma",
    "blip",
    "blip-2",
    "mobilebert",
    "mpnet",
    "xlnet",
    "longformer",
    "big_bird",
    "funnel",
    "camembert",
    "layoutlm",
    "layoutlmv3",
    "segformer",
    "mobilevit",
    "mobilenet_v1",
    "mobilenet_v2",
    "efficientnet",
    "regnet",
    "vit_mae",
    "videomae",
    "timesformer",
    "detr",
    "yolos",
    "mask2former",
    "marian",
    "blenderbot",
    "m2m_100",
    "nllb-moe",
    "speech_to_text",
    "wavlm",
    "unispeech",
    "sew",
    "data2vec-text",
    "data2vec-audio",
    "data2vec-vision",
    "jamba",
    "bamba",
    "falcon_mamba",
    "recurrent_gemma",
    "rwkv",
    "zamba2",
    "nemotron_h",
    "modernbert",
    "siglip2",
    "dinov3_vit",
    "gpt_oss",
    "llama4_text",
    "lfm2",
    "ernie4_5",
    "exaone4",
    "hunyuan_v1_dense",
    "internlm2",
    "minimax",
    "phimoe",
    "olmoe",
    "granitemoe",
    "dbrx",
    "jetmoe",
    "persimmon",
    "helium",
    "arcee",
]


def solve_class(
    model_type: str, architecture: str, data: dict[str, Any], main: bool
) -> dict[str, Any]:
    """One class: what is written about it, and its state."""
    began = time.process_time()
    study = studying.run(
        model_type, architecture, 52 if main else 30, 14 if main else 8, 9 if main else 6
    )
    state: dict[str, Any] = {"status": "", "builds": len(study.builds), "unseen": len(study.unseen)}
    if len(study.builds) < 16:
        worst = sorted(study.errors.items(), key=lambda one: -one[1])[:2]
        return {**state, "status": "not built", "why": [w for w, _ in worst]}
    for turn in range(3):
        # At first from a few builds, as most need no more.
        if turn < 2:
            studying.probe(study, PROBE_SECONDS[turn] / (1 if main else 3), (3, 8)[turn])
        state, again = explain_class(study, data, state, main, EXPLAIN_SECONDS[turn > 0])
        again = again or (turn == 0 and state["status"] == "unsolved")
        if not again:
            break
        if state["status"] != "unsolved":
            studying.again(study, turn, 24 if main else 12, 8)
    state["seconds"] = round(time.process_time() - began, 1)
    return state


def explain_class(
    study: studying.Study, data: dict[str, Any], state: dict[str, Any], main: bool, seconds: float
) -> tuple[dict[str, Any], bool]:
    """One attempt: the state, and whether more builds may help."""
    model_type, architecture = study.model_type, study.architecture
    state = {**state, "builds": len(study.builds), "unseen": len(study.unseen)}
    explainer = studying.Explainer(study)
    try:
        with studying.limited(seconds):
            out = explainer.explain()
    except studying.Timeout:
        return {**state, "status": "unsolved", "why": ["took too long"]}, False
    state["patterns"] = len(out.tensors)
    if out.failures:
        return {
            **state,
            "status": "unsolved",
            "why": out.failures[:12],
            "failed": len(out.failures),
        }, False
    solver = inits.InitSolver(study, explainer, 12 if main else 8, 20 if main else 10)
    try:
        with studying.limited(INIT_SECONDS):
            found = solver.solve()
    except studying.Timeout:
        found = {}
        solver.why["*"] = "took too long"
    # What the inits need of the config has to be derived as well.
    explainer._derive(
        iter(
            [
                v[1:]
                for cases in found.values()
                for c in cases
                for v in c.get("with", {}).values()
                if isinstance(v, str) and v[:1] == "="
            ]
            + [c["row"] for cases in found.values() for c in cases if c.get("row")]
        )
    )
    if out.failures:
        return {
            **state,
            "status": "unsolved",
            "why": out.failures[:12],
            "failed": len(out.failures),
        }, False
    explainer.follow()
    one = assembling.class_data(study, explainer, out, found)
    data["classes"][architecture] = one
    wrong: dict[str, int] = {}
    for build in study.unseen:
        what = assembling.check(data, architecture, build, model_type)
        if what is not None:
            wrong[what] = wrong.get(what, 0) + 1
    # Inits are held against real builds of unseen configs too; what fails is no longer claimed.
    checked = 0
    for build in sorted(
        study.unseen, key=lambda b: sum(math.prod(s) for s, _ in b.tensors.values())
    ):
        if (
            checked >= (3 if main else 2)
            or assembling.check(data, architecture, build, model_type) is not None
        ):
            continue
        try:
            with studying.limited(15):
                seen = inits.observe(study, build, 3, building.Reads())
            differing = assembling.starts(
                data, architecture, model_type, build, seen, lambda one: solver._claim(one, False)
            )
        except (Exception, studying.Timeout):
            continue
        checked += 1
        for key, what in differing.items():
            solver.why[key] = f"differs on an unseen config: {what}"
            found.pop(key, None)
        if differing:
            one = data["classes"][architecture] = assembling.class_data(
                study, explainer, out, found
            )
    if not checked and found:
        solver.why["*"] = "not checked on an unseen config"
        found = {}
        data["classes"][architecture] = assembling.class_data(study, explainer, out, found)
    state["guessed"] = len(out.tensors) - len(found)
    if solver.why:
        state["inits"] = dict(list(solver.why.items())[:6])
    refused = {w: n for w, n in wrong.items() if w.startswith("refused")}
    false = {w: n for w, n in wrong.items() if not w.startswith("refused")}
    state["refused"] = sum(refused.values())
    if false:
        del data["classes"][architecture]
        return {
            **state,
            "status": "wrong",
            "why": [f"{n}× {w}" for w, n in sorted(false.items(), key=lambda o: -o[1])[:4]],
        }, True
    if len(study.unseen) - state["refused"] < 5:
        del data["classes"][architecture]
        return {
            **state,
            "status": "unchecked",
            "why": [f"{n}× {w}" for w, n in sorted(refused.items(), key=lambda o: -o[1])[:4]]
            or ["too few unseen configs"],
        }, False
    if refused:
        state["why"] = [f"{n}× {w}" for w, n in sorted(refused.items(), key=lambda o: -o[1])[:3]]
    return {**state, "status": "exact"}, False


def solve_type(
    model_type: str,
    names: list[str],
    cache: Path,
    old: dict[str, Any] | None,
    seconds: float,
) -> None:
    """One type: all its classes, as far as time allows."""
    data = assembling.type_data(model_type)
    states: dict[str, Any] = {}
    if old is not None:
        data["classes"].update(
            {
                k: v
                for k, v in old["data"]["classes"].items()
                if old["states"].get(k, {}).get("status") == "exact"
            }
        )
        states = {k: v for k, v in old["states"].items() if v.get("status") == "exact"}
    began = time.process_time()
    for n, name in enumerate(names):
        if name in states:
            continue
        if time.process_time() - began > seconds:
            break
        try:
            states[name] = solve_class(model_type, name, data, n == 0)
        except Exception as error:
            states[name] = {
                "status": "failed",
                "why": [f"{type(error).__name__}: {error}"[:200], traceback.format_exc()[-400:]],
            }
        _keep(cache / f"{model_type}.json.gz", {"data": data, "states": states})
        one = states[name]
        print(
            f"{model_type:24s} {name:44s} {one['status']:10s} {one.get('builds', 0):3d} {one.get('patterns', 0):4d} guessed {one.get('guessed', '-')} refused {one.get('refused', '-')} {one.get('seconds', '')} {time.process_time() - began:.0f}s {str(one.get('why', ''))[:150]}",
            flush=True,
        )


def _keep(path: Path, value: Any) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(gzip.compress(json.dumps(value).encode(), 6, mtime=0))
    temporary.replace(path)


def read(path: Path) -> Any:
    """What the cache has of a type."""
    kept = json.loads(gzip.decompress(path.read_bytes()))
    for one in kept["data"]["classes"].values():
        one.setdefault("alike", {})  # of a cache that is older than they are
    return kept


def write(cache: Path, data: Path) -> None:
    """Data as the package has them, but not mended: a file a type, and an index."""
    if data.resolve() == DATA:
        sys.exit("the package's data were mended since they were solved: write elsewhere")
    data.mkdir(parents=True, exist_ok=True)
    types: dict[str, Any] = {}
    total = 0
    for path in sorted(cache.glob("*.json.gz")):
        one = read(path)
        model_type = one["data"]["type"]
        types[model_type] = {
            name: {
                k: v
                for k, v in state.items()
                if k in {"status", "guessed", "unseen", "patterns", "refused"}
            }
            | ({"why": reason(state)} if state["status"] != "exact" else {})
            for name, state in one["states"].items()
        }
        target = data / f"{model_type}.json.gz"
        if one["data"]["classes"]:
            target.write_bytes(packed(one["data"]))
            total += target.stat().st_size
        elif target.exists():
            target.unlink()
    for path in data.glob("*.json.gz"):
        if path.name.removesuffix(".json.gz") not in types and path.name != "index.json.gz":
            path.unlink()
    index = {"version": 1, "transformers": building.transformers.__version__, "types": types}
    (data / "index.json.gz").write_bytes(packed(index))
    print(f"{len(types)} types, {total:,} bytes")


def reason(state: dict[str, Any]) -> str:
    """Why a class is not exact, in a class of reasons."""
    why = " ".join(str(w) for w in state.get("why", ()))
    if state["status"] == "not built":
        for word, reason in (
            ("timm", "needs timm"),
            ("too slow", "too slow to build"),
            ("ImportError", "needs another library"),
            ("out of memory", "too large"),
        ):
            if word in why:
                return reason
        return "no small config found that builds"
    if state["status"] == "unsolved":
        for word, reason in (
            ("took too long", "too many possibilities"),
            ("loop", "number of layers or parts not explained"),
            ("presence", "presence not explained"),
            ("rank", "rank varies"),
            ("dimension", "dimension not explained"),
            ("derived", "derived field not explained"),
        ):
            if word in why:
                return reason
    if state["status"] == "wrong":
        return "differs on an unseen config"
    if state["status"] == "unchecked":
        return UNCHECKED
    return "failed"


def recheck(model_type: str, cache: Path, seed: int) -> None:
    """Holds what was found against configs of another seed; what is wrong for one is withdrawn."""
    kept = read(cache / f"{model_type}.json.gz")
    for name, state in kept["states"].items():
        if state["status"] != "exact":
            continue
        builder = studying.Builder(model_type, name)
        if not state.get("builds"):
            continue
        sampler = sampling.Sampler(builder.config_class, seed)
        end = time.process_time() + 12.0
        right = 0
        for _ in sampler.walk(builder.build, lambda end=end: time.process_time() > end):
            assert builder.last is not None
            sampler.learn(builder.last.post)
            what = assembling.check(kept["data"], name, builder.last, model_type)
            if what is not None and not what.startswith("refused"):
                state.update(status="wrong", why=[what])
                del kept["data"]["classes"][name]
                print(f"{model_type:24s} {name:44s} {what}", flush=True)
                break
            right += 1
            if right >= 10:
                break
        state["rechecked"] = right
    _keep(cache / f"{model_type}.json.gz", kept)


def pool(
    jobs: list[tuple[str, Callable[[], None]]], workers: int, limit: float
) -> Iterator[tuple[str, bool]]:
    """Each job in a process of its own; yields its name and whether it came to its end."""
    waiting = list(jobs)
    running: dict[int, tuple[str, float]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            name, work = waiting.pop(0)
            child = os.fork()
            if not child:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                try:
                    work()
                except BaseException:
                    traceback.print_exc()
                os._exit(0)
            running[child] = (name, time.monotonic())
        for child, (name, began) in list(running.items()):
            done, _ = os.waitpid(child, os.WNOHANG)
            if not done and time.monotonic() - began <= limit:
                continue
            if not done:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            del running[child]
            yield name, bool(done)
        time.sleep(0.05)


def left(path: Path, names: list[str], redo: str) -> bool:
    """Whether the cache lacks something of a type."""
    if redo == "all" or not path.exists():
        return True
    states = read(path)["states"]
    return any(
        name not in states or (redo == "failed" and states[name]["status"] != "exact")
        for name in names
    )


def main() -> int:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("/tmp/catalogue"))
    parser.add_argument("--only", default="", help="comma-separated model types")
    parser.add_argument("--redo", choices=("none", "failed", "all"), default="none")
    parser.add_argument("--classes", type=int, default=1, help="classes of a type at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--limit",
        type=float,
        default=600.0,
        help="seconds of the clock a type; a quarter of it of the processor",
    )
    parser.add_argument(
        "--recheck", type=int, metavar="SEED", help="hold all against configs of another seed"
    )
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write data there")
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    if asked.write:
        write(asked.cache, asked.write)
        return 0
    if asked.recheck is not None:
        types = sorted(path.name.removesuffix(".json.gz") for path in asked.cache.glob("*.json.gz"))
        jobs = [(t, partial(recheck, t, asked.cache, asked.recheck)) for t in types]
        for name, ended in pool(jobs, asked.workers, asked.limit):
            if not ended:
                print(f"{name:24s} not rechecked", flush=True)
        return 0
    known = building.architectures()
    only = [t for t in asked.only.split(",") if t]
    # After those, what writes text, since most of it is quickly solved.
    rest = sorted(
        (t for t in known if t not in POPULAR), key=lambda t: ("CausalLM" not in known[t][0], t)
    )
    order = only or [*POPULAR, *rest]
    jobs = []
    for model_type in (t for t in order if t in known):
        path = asked.cache / f"{model_type}.json.gz"
        names = known[model_type][: asked.classes]
        if left(path, names, asked.redo):
            work = partial(
                solve_type,
                model_type,
                names,
                asked.cache,
                read(path) if path.exists() and asked.redo != "all" else None,
                asked.limit / 4,
            )
            jobs.append((model_type, work))
    for model_type, ended in pool(jobs, asked.workers, asked.limit):
        path = asked.cache / f"{model_type}.json.gz"
        if not path.exists():
            why = "its config has no defaults" if ended else "too slow"
            states = {known[model_type][0]: {"status": "not built", "why": [why]}}
            _keep(path, {"data": {"type": model_type, "classes": {}}, "states": states})
    return 0


if __name__ == "__main__":
    sys.exit(main())
