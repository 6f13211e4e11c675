"""`seedbed record`, as far as it goes without torch; tests/interop/recording has the rest."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from seedbed.cli.program import app
from seedbed.errors import SpecError
from seedbed.record_command import function_of


@pytest.mark.parametrize(
    ("target", "extra"), [("package:build", "torch"), ("config.json", "transformers")]
)
def test_without_torch(target: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, and ends with 2."""
    for module in [name for name in sys.modules if name.startswith("seedbed.torch")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = CliRunner().invoke(app, ["record", target])
    assert done.exit_code == 2
    assert f"pip install 'seedbed[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("json", "is not package.module:function"),
        ("json:", "is not package.module:function"),
        ("no_such_package.part:build", "there is no module 'no_such_package'"),
        ("json.nothing:build", "there is no module 'json.nothing'"),
        ("json:dump_s", "json has no 'dump_s'"),
        ("json:__name__", "is no function but str"),
    ],
)
def test_targets_that_are_none(target: str, says: str) -> None:
    """Each is refused with what is wrong, and what is near."""
    with pytest.raises(SpecError, match=says) as caught:
        function_of(target)
    if target == "json:dump_s":
        assert caught.value.allowed == ("dumps", "dump")
