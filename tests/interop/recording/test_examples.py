"""The networks of docs/own-models.md, run from the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load

from tests.processes import environment, run
from tests.serving import Server

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/own-models.md").read_text(encoding="utf-8")
PACKAGES = [str(Path(sys.prefix) / folder) for folder in ("torchvision", "recorded")]


def block(heading: str, server: Server) -> str:
    """The code under a heading, with the address of this service."""
    (code,) = re.findall(rf"^## {heading}$.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert code.count("http://127.0.0.1:8000") == 1
    return str(code.replace("http://127.0.0.1:8000", server.url))


def served(url: str) -> dict[str, Any]:
    """The tensors of the file that a name means."""
    answer = httpx.get(f"{url}/model.safetensors?seed=42", timeout=120)
    return load(answer.raise_for_status().content)


@pytest.mark.parametrize("heading", ["nanoGPT", "torchtitan"])
def test_modules_of_torch(heading: str, server: Server) -> None:
    """The model has the bytes of the served file, under its own names."""
    names: dict[str, Any] = {}
    exec(block(heading, server), names)
    file, state = served(names["url"]), names["model"].state_dict()
    assert file.keys() == state.keys()
    for name, tensor in state.items():
        assert tensor.numpy().tobytes() == file[name].tobytes(), name


TIMM = """
import tests.interop.torchvision_side
{block}
import httpx
from safetensors.torch import load
import torch
file = load(httpx.get(url + "/model.safetensors?seed=42", timeout=120).raise_for_status().content)
state = model.state_dict()
assert file.keys() == state.keys()
assert all(torch.equal(tensor, file[name]) for name, tensor in state.items())
print(len(file))
"""


def test_a_model_of_timm(server: Server) -> None:
    """Filled by URL, in a process that sees timm."""
    path = environment(PYTHONPATH=":".join([*PACKAGES, str(ROOT)]))
    code = TIMM.format(block=block("timm", server))
    done = run(sys.executable, "-c", code, env=path, cwd=ROOT, timeout=900)  # imports are slow
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) > 100


def test_a_module_of_flax(server: Server) -> None:
    """The kernel that is orthogonal in Flax' order too; the module's variables are the file's."""
    pytest.importorskip("jax")
    from flax import nnx

    names: dict[str, Any] = {"__name__": "example"}
    exec(block("Flax", server), names)
    file = served(names["url"])
    model = names["model"]
    assert set(file) == set(names["rec"].structure.names)
    assert np.asarray(model.conv.kernel[...]).tobytes() == file["conv.kernel"].tobytes()
    matrix = file["conv.kernel"].reshape(-1, 16).astype(np.float64)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(16), atol=1e-5)
    pure = nnx.to_pure_dict(nnx.state(model))
    assert np.asarray(pure["head"]["kernel"]).tobytes() == file["head.kernel"].tobytes()
