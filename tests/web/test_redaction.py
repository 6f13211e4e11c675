from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.web.redaction import without_keys
from tests.serving import Server, wait_until
from tests.strategies import untimed

KEY = "seedbed__5Q9FyJuaoGC_KnvmC1c6UY-j1J7ziVc3D7qGc5ynVg"
"""Like every other, but the same in each process that collects tests."""
EVERY = "".join(f"%{byte:02X}" for byte in KEY.encode())

HIDDEN = [
    f"/v1/schemes?key={KEY}",
    f"/v1/schemes?seed=1&api_key={KEY}&dtype=F32",
    f"/v1/schemes?{KEY}",
    f"/v1/schemes?{KEY}=1",
    f"/v1/schemes?note={KEY}",
    f"/v1/schemes?note=x{EVERY}",
    f"/v1/schemes?note={quote(EVERY)}",
    f"/v1/schemes?auth=Bearer+{KEY}",
    f"/v1/schemes?auth=Bearer%20{KEY}",
    f"/v1/{KEY}/x",
    f"/v1/{EVERY}",
    f"/v1/schemes?%6Bey={KEY[8:]}",
    f"/v1/schemes?token={KEY[8:]}",
    f"/v1/schemes?access_token={KEY[8:]}",
    f"/v1/schemes?X-Amz-Signature={KEY[8:]}",
    f"/v1/schemes?PASSWORD={KEY[8:]}",
    f"/v1/schemes?x=1?key={KEY}",
    f"/v1/schemes?note=hf_{KEY[8:]}",
]


@pytest.mark.parametrize("target", HIDDEN)
def test_keys_are_left_out(target: str) -> None:
    """A key is left out wherever it stands in a target, however it is encoded."""
    shown = without_keys(target)
    assert KEY[8:20] not in shown
    assert EVERY[24:60] not in shown
    assert "REDACTED" in shown


SHOWN = [
    "/v1/tensors/he_normal/256x784.safetensors?seed=42&dtype=BF16&name=fc.weight",
    "/v1/models/llama-3-8b/config.json?num_key_value_heads=8&vocab_size=100&keyframes=3",
    "/seedbed/gpt2/resolve/seed-42/model.safetensors",
    "/v1/checkpoints/q1YqTk1NUbIy0FEqSc0rzi8q/model.safetensors",
    "/api/models?search=seedbed%2Fgpt&author=seedbed&limit=5",
    "/?",
    "/?&&a=&=b",
    "/%20%C3%A9%0A",
]


@pytest.mark.parametrize("target", SHOWN)
def test_all_else_is_as_it_came(target: str) -> None:
    """What is no secret is not touched."""
    assert without_keys(target) == target


@untimed
@given(st.text("ab=&?/%+-_.;", max_size=20), st.text("ab=&?/+._;", max_size=20), st.integers(0, 3))
def test_wherever_it_stands(before: str, behind: str, encoded: int) -> None:
    """No text around a key brings it into the log."""
    key = KEY
    for _ in range(encoded):
        key = "".join(f"%{byte:02x}" for byte in key.encode()) if key == KEY else quote(key)
    shown = without_keys(f"/{before}{key}{behind}")
    assert key not in shown
    assert KEY not in shown


def test_the_log_of_a_service(server: Server, client: httpx.Client) -> None:
    """The log of a running service has no key that came in a URL."""
    client.get("/v1/schemes", params={"api_key": KEY})
    client.get(f"/v1/tensors/normal/2.safetensors?name={KEY}")
    client.get(f"/{'x' * 270}/{KEY}")
    client.get("/" + "a/" * 100 + f"?note={EVERY}")
    client.get("/v1/dtypes?last=1")
    wait_until(lambda: "last=1" in server.log.read_text(), "the last line")
    log = server.log.read_text()
    assert log.count("REDACTED") >= 2
    assert KEY[8:20] not in log
    assert EVERY[24:60] not in log
