"""Specs by name or by link: what a service would answer from, read where a command runs."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from seedbed.errors import IdError, SpecError, UnknownSpecError
from seedbed.files import (
    SPEC,
    CheckpointSpec,
    TextLimits,
    json_of_token,
    read,
    spec_of_one,
    spec_of_preset,
    spec_of_token_json,
)
from seedbed.registry import NONE, Database, SpecId, SpecStore, registry_url

KEY_VARIABLE = "HF_TOKEN"
"""Where clients of the Hub have a service's key, too."""

_KEY_PREFIX = "seedbed_"
"""Of a service's keys. The Hub's own tokens are for the Hub, whatever host a link names."""

_SECONDS = 30.0
_MAX_JSON_BYTES = 64 << 20
_ENDING = ".safetensors"


def spec_of_link(
    link: str, bounds: TextLimits, max_token_bytes: int, key: str | None = None
) -> CheckpointSpec:
    """The spec that a link of a service leads to.

    Links with a token, of presets and of single tensors say everything themselves; only a named
    spec is fetched.

    Args:
        link: `http://host/v1/…`, of a file or of the spec.
        bounds: how much there may be in a JSON text.
        max_token_bytes: what a token may inflate to.
        key: an API key, where the service wants one.

    Raises:
        SpecError: it is no such link, or the service has no such spec.
        InvalidError: what the service has is no spec.
    """
    parts = urlsplit(link)
    root, v1, path = parts.path.partition("/v1/")
    words = [unquote(word) for word in path.split("/")]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    match words:
        case ["checkpoints", token, *_]:
            return spec_of_token_json(json_of_token(token, max_token_bytes), bounds)
        case ["models", preset, *_]:
            return spec_of_preset(preset, query)
        case ["tensors", scheme, shape]:
            return spec_of_one(scheme, shape.removesuffix(_ENDING), query)
        case ["specs", namespace, name, *_]:
            SpecId.of(namespace, name)
            url = f"{parts.scheme}://{parts.netloc}{root}{v1}specs/{namespace}/{name}"
            spec = read(SPEC, _fetched(url, key), bounds)
            return _changed(spec, query)
    raise SpecError(
        f"{link!r} is no link to a checkpoint: /v1/checkpoints/…, /v1/models/…, /v1/tensors/… or "
        "/v1/specs/namespace/name",
        ("source",),
    )


def _changed(spec: CheckpointSpec, query: Mapping[str, str]) -> CheckpointSpec:
    if others := query.keys() - {"seed", "dtype"}:
        raise SpecError("of a named spec the link may say seed and dtype", (min(others),))
    return spec.replaced(**query) if query else spec


def _fetched(url: str, key: str | None) -> bytes:
    """The JSON at a URL.

    Raises:
        SpecError: there is none.
    """
    request = urllib.request.Request(url)  # noqa: S310  http, by `is_link`
    if key and key.startswith(_KEY_PREFIX):
        request.add_unredirected_header("authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            text: bytes = answer.read(_MAX_JSON_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise SpecError(f"{url}: status {error.code}", ("source",)) from error
    except OSError as error:
        raise SpecError(f"{url}: {error}", ("source",)) from error
    if len(text) > _MAX_JSON_BYTES:
        raise SpecError(f"{url} has more than {_MAX_JSON_BYTES:,} bytes", ("source",))
    return text


def is_link(source: str) -> bool:
    """Whether a command's source is one."""
    return source.startswith(("http://", "https://"))


def named_spec(source: str, registry: str, bounds: TextLimits) -> CheckpointSpec | None:
    """The spec of this name in this machine's registry, if there is one.

    Args:
        source: `namespace/name`.
        registry: as SEEDBED_REGISTRY_URL says.
        bounds: how much there may be in a JSON text.

    Raises:
        UnavailableError: the registry cannot be asked.
    """
    if registry == NONE:
        return None
    url = registry_url(registry)
    if url.drivername.startswith("sqlite") and not Path(url.database or "").exists():
        return None  # to ask would make it
    try:
        spec_id = SpecId.parse(source)
        with closing(SpecStore(Database(url, 1, _SECONDS))) as store:
            return read(SPEC, store.get(spec_id).text, bounds)
    except (IdError, UnknownSpecError):
        return None
