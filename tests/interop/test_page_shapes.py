"""The page reads a shape as the service does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import seedbed
from seedbed.errors import ShapeError
from seedbed.files.one_tensor import parse_shape, shape_text
from tests.interop.running import run

pytestmark = pytest.mark.interop

PAGE = Path(seedbed.__file__).parent / "web" / "page"

TYPED = (
    "256x784", "256X784", "256×784", "256 × 784", "256*784", "256,784", "256, 784", "256 784", "10",
    "(256, 784)", "[256, 784]", "(10,)", "[10]", " ( 2 x 3 ) ", "()", "[]", "scalar", "Scalar",
    "torch.Size([2, 3])", "torch.Size([])", "0", "0x3", "9999999999999999999", "1x2x3x4x5",
    "3x", "x3", "3xx3", "3,,3", "3,", "3x3,3", "3 3x3", "(3", "3]", "(3]", "[(3)]", "(,)", "03",
    "-3",
    "3.0", "1e3", "٣", "99999999999999999999", "wide",
)  # fmt: skip


def test_shapes_as_the_service_reads_them(tmp_path: Path) -> None:
    """What is a shape there is the same shape here, and what is none stays as it was typed."""
    shutil.copytree(PAGE, tmp_path / "page", ignore=shutil.ignore_patterns("vendor"))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "say.js").write_text(
        'import { shapeText } from "./page/choice.js";\n'
        "console.log(JSON.stringify(JSON.parse(process.argv[2]).map(shapeText)));\n"
    )
    said = json.loads(run("node", tmp_path / "say.js", json.dumps(TYPED)).stdout)
    for typed, text in zip(TYPED, said, strict=True):
        try:
            assert text == shape_text(parse_shape(typed))
        except ShapeError:
            assert text == typed
