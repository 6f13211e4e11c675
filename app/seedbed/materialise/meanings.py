"""What a store says that went wrong, as people can use it."""

from __future__ import annotations

import re

from seedbed.errors import StoreError
from seedbed.materialise.plan import StoreKind

_BUSY = "the store has failed or been too busy for minutes; run the same command again"
_NO_CREDENTIALS = (
    "there are no credentials: the environment has none that obstore knows, such as {credentials}"
)
_REFUSED = "credentials are refused"

_MEANINGS: tuple[tuple[str, str], ...] = (
    (r"NoSuchBucket|ContainerNotFound|bucket does not exist", "there is no such {bucket}"),
    (r"https?://[^/\s]+/(latest/|computeMetadata/|metadata/identity/)", _NO_CREDENTIALS),
    (r"Missing(Account|Cred)|Account must be specified", _NO_CREDENTIALS),
    (r"InvalidAccessKeyId|SignatureDoesNotMatch|Invalid Access Key", _REFUSED),
    (r"Authentication|failed to authenticate|invalid_grant|status code: 401", _REFUSED),
    (r"service account file|credential error", "the file of credentials cannot be read"),
    (r"AccessDenied|status code: 403|PermissionDenied", "the credentials do not permit it"),
    (r"NoSuchUpload", "the upload expired or was aborted by somebody; run the same command again"),
    (r"builder error|not allowed.*http", "an endpoint without TLS needs {without_tls}=true"),
    (r"No space left|StorageFull|QuotaExceeded", "the store is full"),
    (r"SlowDown|status code: (429|50[0234])", _BUSY),
    (r"error sending request|Connection|dns|timed out", "the store cannot be reached"),
)
"""What stores and obstore write, and what it means; the first that fits."""

_PATH = re.compile(r"(https?://[^/\s]+/)(?!latest/|computeMetadata/|metadata/)[^\s]*")
"""Of the store itself: names of objects say nothing about an error, whatever is in them."""


def explained(url: str, kind: StoreKind, error: Exception) -> StoreError:
    """What a store said, in a line: what it means first, then its own words."""
    text = str(error).partition("\n\nDebug source")[0]
    code, said = (re.search(rf"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    words = " ".join((f"{code[1]}: {said[1] if said else ''}" if code else text).split())[:400]
    whole = _PATH.sub(r"\1", f"{type(error).__name__} {error}")
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, whole):
            told = meaning.format(
                bucket=kind.bucket, credentials=kind.credentials, without_tls=kind.without_tls
            )
            return StoreError(f"{url}: {told} ({words})")
    return StoreError(f"{url}: {words}")
