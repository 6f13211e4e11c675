from __future__ import annotations

from dataclasses import asdict, fields

import pytest
from pydantic import ValidationError

from seedbed.errors import SettingError
from seedbed.init import Limits
from seedbed.stream import ENGINES
from seedbed.web.settings import Settings, read_settings, usable_cores


def test_each_is_described() -> None:
    """A setting has a default and a sentence on what it is for."""
    for name, field in Settings.model_fields.items():
        assert not field.is_required(), name
        assert (field.description or "").endswith("."), name


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
    """A value that cannot be meant stops the start, and says which variable has it."""
    monkeypatch.setenv(f"SEEDBED_{name.upper()}", value)
    (fault,) = faults_of()
    assert fault.name == f"SEEDBED_{name.upper()}"
    assert str(fault).startswith(fault.name)
    assert name not in fault.message


def faults_of(**options: object) -> list[SettingError]:
    """What is wrong with the settings there are."""
    with pytest.raises(ExceptionGroup) as caught:
        read_settings(**options)
    assert all(isinstance(fault, SettingError) for fault in caught.value.exceptions)
    return list(caught.value.exceptions)  # type: ignore[arg-type]


def test_misspelt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in which two letters are swapped is refused, with the right one among three."""
    rights = {}
    for field in Settings.model_fields:
        right = f"SEEDBED_{field.upper()}"
        wrong = f"{right[:-2]}{right[-1]}{right[-2]}"
        rights[wrong if wrong != right else right[:-1]] = right
    for wrong in rights:
        monkeypatch.setenv(wrong, "1")
    hints = {fault.name: fault.message for fault in faults_of()}
    assert hints.keys() == rights.keys()
    for wrong, message in hints.items():
        hint = message.removeprefix("there is no such setting; did you mean ").rstrip("?")
        assert rights[wrong] in hint.split(" or ")
        assert len(hint.split(" or ")) <= 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("seedbed_port", "did you mean SEEDBED_PORT"),
        ("SEEDBED_", "no such setting"),
        ("SEEDBED_XYZZY", "no such setting"),
        ("SEEDBED_DB_PORT", "no such setting"),
    ],
)
def test_unknown(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    """Whatever begins like a setting and is none is refused, in lower case too."""
    monkeypatch.setenv(name, "1")
    (fault,) = faults_of()
    assert fault.name == name
    assert said in fault.message


def test_all_faults_are_said_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several faults are several errors, an option's under its own name, with what is allowed."""
    monkeypatch.setenv("SEEDBED_ENGINE", "gpu")
    monkeypatch.setenv("SEEDBED_PROT", "1")
    found = {fault.name: fault for fault in faults_of(port=-1)}
    assert found.keys() == {"SEEDBED_ENGINE", "SEEDBED_PROT", "--port"}
    assert found["SEEDBED_ENGINE"].allowed == ENGINES


def test_values_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong may be a secret, so it is not said."""
    monkeypatch.setenv("SEEDBED_REGISTRY_URL", "mysql://user:hunter2@host/db")
    monkeypatch.setenv("SEEDBED_API_KEYS", "hunter2")
    monkeypatch.setenv("SEEDBED_REGISTRY_ULR", "hunter2")
    found = faults_of()
    assert len(found) == 3
    assert not [fault for fault in found if "hunter2" in str(fault)]


def test_settings_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two variables contradict each other the text names both."""
    monkeypatch.setenv("SEEDBED_ANONYMOUS", "none")
    (fault,) = faults_of()
    assert (fault.name, str(fault)) == ("", fault.message)
    assert "SEEDBED_ANONYMOUS is none" in fault.message
    assert "SEEDBED_API_KEYS" in fault.message


LINKS = {
    "SEEDBED_SERVICE_HOST": "10.0.0.1", "SEEDBED_SERVICE_PORT": "80",
    "SEEDBED_SERVICE_PORT_HTTP": "80", "SEEDBED_PORT_80_TCP": "tcp://10.0.0.1:80",
    "SEEDBED_PORT_80_TCP_PROTO": "tcp", "SEEDBED_PORT_80_TCP_PORT": "80",
    "SEEDBED_PORT_80_TCP_ADDR": "10.0.0.1", "SEEDBED_DB_SERVICE_HOST": "10.0.0.2",
    "SEEDBED_DB_PORT": "tcp://10.0.0.2:5432", "SEEDBED_DB_PORT_5432_TCP_ADDR": "10.0.0.2",
}  # fmt: skip
"""What Kubernetes tells pods of services called seedbed and seedbed-db, by its documentation."""


def test_service_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kubernetes says of a service is no setting, but where it is in a setting's place."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == Settings()
    monkeypatch.setenv("SEEDBED_PORT", "tcp://10.0.0.1:80")
    (fault,) = faults_of()
    assert "enableServiceLinks: false" in fault.message


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many drawing threads as were asked for, else one a usable core."""
    assert Settings().worker_threads == usable_cores() >= 1
    monkeypatch.setenv("SEEDBED_THREADS", "5")
    assert Settings().worker_threads == 5


def test_frozen() -> None:
    """Settings cannot change while the service runs."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1
