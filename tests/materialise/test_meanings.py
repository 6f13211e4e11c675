from __future__ import annotations

import pytest

from seedbed.materialise.meanings import explained
from seedbed.materialise.plan import AZURE, GOOGLE, S3, StoreKind

OWN = "http://127.0.0.1:1/bucket?delimiter=%2F&list-type=2&prefix=model-00403-of-00503/latest/api"
"""A name that looks like what statuses and metadata servers do."""


class GenericError(Exception):
    """As obstore's."""


@pytest.mark.parametrize(
    ("kind", "said", "meaning"),
    [
        (S3, "Error performing PUT http://169.254.169.254/latest/api/token", "AWS_ACCESS_KEY_ID"),
        (
            GOOGLE,
            "Error performing GET http://169.254.169.254/computeMetadata/v1/instance/service-accounts",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            AZURE,
            "GET http://169.254.169.254/metadata/identity/oauth2/token in 2.7ms - 403 x",
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
        (AZURE, "Generic MicrosoftAzure error: Account must be specified", "no credentials"),
        (
            AZURE,
            "status code: 403 x: <Code>A</Code><Message>Server failed to authenticate</Message>",
            "credentials are refused (A: Server failed to",
        ),
        (AZURE, "Invalid Access Key: Invalid symbol 36, offset 0.", "credentials are refused"),
        (
            GOOGLE,
            "Unable to decode service account file: missing field `type` at line 1 column 2",
            "the file of credentials cannot be read",
        ),
        (AZURE, "<Code>ContainerNotFound</Code><Message>x</Message>", "no such container"),
        (GOOGLE, "<Code>NoSuchBucket</Code><Message>x</Message>", "no such bucket"),
        (AZURE, f"Error performing GET {OWN} in 29µs - HTTP error: builder error", "AZURE_ALLOW"),
        (S3, f"Error performing GET {OWN} in 29µs - HTTP error: builder error", "AWS_ALLOW_HTTP"),
        (S3, f"GET {OWN} in 1s - HTTP error: error sending request", "cannot be reached"),
        (S3, f"GET {OWN} in 1s - Server returned non-2xx status code: 503 x", "too busy"),
        (S3, f"GET {OWN} in 1s - Server returned non-2xx status code: 403 x", "do not permit"),
        (S3, f"GET {OWN} in 1s - what nobody knows", f"s3://b/x/: GET {OWN} in 1s - what"),
    ],
)
def test_meanings(kind: StoreKind, said: str, meaning: str) -> None:
    """What stores truly said has its meaning, whatever names of objects look like."""
    error = explained("s3://b/x/", kind, GenericError(said))
    assert meaning in str(error)
    assert "\n" not in str(error)
