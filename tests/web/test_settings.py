from __future__ import annotations

from dataclasses import asdict, fields

import pytest
from pydantic import ValidationError

from seedbed.init import Limits
from seedbed.web.settings import Settings, usable_cores


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the environment of the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEEDBED_{name.upper()}", raising=False)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_is_described(name: str) -> None:
    """A setting has a default and a sentence on what it is for."""
    field = Settings.model_fields[name]
    assert not field.is_required()
    assert field.description
    assert field.description.endswith(".")


def test_limits_of_the_core_are_settings() -> None:
    """Each limit of the core is a setting of the same name, with the same default."""
    assert {field.name for field in fields(Limits)} <= Settings.model_fields.keys()
    assert Settings().limits == Limits()


@pytest.mark.parametrize("name", asdict(Limits()))
def test_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A variable SEEDBED_… changes its setting, and nothing else."""
    monkeypatch.setenv(f"SEEDBED_{name.upper()}", "77")
    changed = asdict(Settings().limits)
    assert changed.pop(name) == 77
    assert changed.items() <= asdict(Limits()).items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tensors", "0"), ("max_tensors", "many"), ("port", "65536"), ("chunk_bytes", "1"),
        ("body_seconds", "0"), ("body_seconds", "nan"), ("engine", "gpu"), ("log_format", "xml"),
        ("log_level", "loud"), ("max_streams", "0"), ("queue_seconds", "-1"), ("threads", "-1"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value that cannot be meant stops the start, and says which one it is."""
    monkeypatch.setenv(f"SEEDBED_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many drawing threads as were asked for, else one a usable core."""
    assert Settings().worker_threads == usable_cores() >= 1
    monkeypatch.setenv("SEEDBED_THREADS", "5")
    assert Settings().worker_threads == 5


def test_frozen() -> None:
    """Settings cannot change while the service runs."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1
