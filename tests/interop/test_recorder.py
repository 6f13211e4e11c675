"""A service that has transformers itself, asked for what its catalogue does not know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serving import PATIENCE_SECONDS, Server, serving

pytestmark = pytest.mark.interop

CONFIG: dict[str, Any] = {
    "model_type": "clip_vision_model", "architectures": ["CLIPVisionModelWithProjection"],
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "projection_dim": 8, "image_size": 12, "patch_size": 4, "dtype": "bfloat16",
    "auto_map": {"AutoModel": "modeling_evil.Evil"},
}  # fmt: skip
"""Of a class that the catalogue may come to know: the tests name the release."""

RELEASE = {"library": "transformers", "version": version("transformers")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with the extra."""
    with serving(tmp_path_factory.mktemp("full"), published_ids=True) as full:
        yield full


def ask(code: str, server: Server, home: Path) -> Any:
    """What a program with transformers, pointed at the service, gives as `answer`."""
    program = f"import json\n{textwrap.dedent(code)}\nprint('\\n' + json.dumps(answer))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_config_by_its_library(server: Server, tmp_path: Path) -> None:
    """Names, shapes and dtypes are those of a real build, which loads it; nothing serves torch."""
    spec = {"model": {"config": CONFIG, "recorded": RELEASE}, "seed": 5}
    with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as client:
        posted = client.post("/v1/checkpoints", json=spec)
        assert posted.status_code == 200, posted.text
        assert client.get(posted.headers["content-location"]).content == posted.content
        client.put("/v1/specs/team/clip", json=spec).raise_for_status()
    answer = ask(
        """
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection as Model
        loaded, report = Model.from_pretrained("team/clip", output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"], report
        built = Model(CLIPVisionConfig(**json.loads(open("config").read()))).bfloat16()
        def said(model):
            return {k: [str(v.dtype), list(v.shape)] for k, v in model.state_dict().items()}
        assert said(loaded) == said(built)
        weight = loaded.visual_projection.weight.float()
        answer = [said(built), weight.flatten().tolist()]
        """.replace('open("config").read()', repr(json.dumps(CONFIG))),
        server,
        tmp_path,
    )
    header = json.loads(posted.content[8 : 8 + int.from_bytes(posted.content[:8], "little")])
    ours = {k: ["torch.bfloat16", v["shape"]] for k, v in header.items() if k != "__metadata__"}
    assert ours == answer[0]
    assert {v["dtype"] for k, v in header.items() if k != "__metadata__"} == {"BF16"}
    start, stop = header["visual_projection.weight"]["data_offsets"]
    body = posted.content[8 + int.from_bytes(posted.content[:8], "little") :][start:stop]
    wide = np.frombuffer(body, "<u2").astype("<u4") << 16
    assert wide.view("<f4").tolist() == answer[1]
    mapped = Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")
    assert "libtorch" not in mapped


def test_what_the_library_does_not_take(server: Server) -> None:
    """Refused by its word, on one line, with no advice to install or to run foreign code."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as client:
        for change in ({"hidden_size": 17}, {"model_type": "evil"}, {"hidden_act": "none"}):
            spec = {"model": {"config": {**CONFIG, **change}, "recorded": RELEASE}}
            answer = client.post("/v1/describe", json=spec)
            assert answer.status_code == 422, answer.text
            detail = answer.json()["errors"][0]["detail"]
            assert "transformers" in detail
            assert not {"\n", "pip install", "trust_remote_code"} & {*detail.split(), *detail}


def test_published_ids(server: Server, tmp_path: Path) -> None:
    """`from_pretrained` of an id of the Hub gives a network of its shapes, by `HF_ENDPOINT`."""
    answer = ask(
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer
        model = AutoModelForCausalLM.from_pretrained("EleutherAI/pythia-14m")
        try:
            AutoTokenizer.from_pretrained("EleutherAI/pythia-14m")
        except (OSError, ValueError):
            tokenizer = False
        answer = [type(model).__name__, sum(p.numel() for p in model.parameters()), tokenizer]
        """,
        server,
        tmp_path,
    )
    assert answer == ["GPTNeoXForCausalLM", 14_067_712, False]
