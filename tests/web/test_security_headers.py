from __future__ import annotations

import httpx
import pytest

FILE = "/v1/tensors/ones/4.safetensors"


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        (FILE, False),
        ("/v1/schemes", False),
        ("/nowhere", False),
        ("/docs", True),
        ("/metrics", False),
    ],
)
def test_what_every_answer_says(client: httpx.Client, path: str, *, is_page: bool) -> None:
    """No browser is to guess a media type; pages may not be framed and load from here alone."""
    answer = client.get(path)
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    policy = answer.headers.get("content-security-policy", "")
    assert ("frame-ancestors 'none'" in policy) == is_page
    assert ("default-src 'self'" in policy) == is_page
    assert ("x-frame-options" in answer.headers) == is_page
