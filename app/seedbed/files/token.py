"""Links that hold a spec: the text of a URL → the JSON that it spells, and the spec."""

from __future__ import annotations

import base64
import binascii
import zlib

from seedbed.errors import InvalidError, SpecError, TokenError, said
from seedbed.files.reading import SPEC, TextLimits, read
from seedbed.files.spec import CheckpointSpec
from seedbed.init import Limits


def json_of_token(token: str, max_bytes: int) -> bytes:
    """The JSON that a token spells.

    Args:
        token: from `CheckpointSpec.token`, of this or any other installation.
        max_bytes: refuse a token that inflates to more, before it does.

    Raises:
        TokenError: it is not such a token.
    """
    try:
        packed = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        inflater = zlib.decompressobj(-15)
        body = inflater.decompress(packed, max_bytes + 1)
    except (UnicodeEncodeError, binascii.Error, zlib.error) as error:
        raise TokenError("the token is damaged: it is not deflated JSON in base64url") from error
    if len(body) > max_bytes:
        raise TokenError(f"the token inflates to more than {max_bytes:,} bytes")
    if not inflater.eof or inflater.unused_data:
        raise TokenError("the token is damaged: its compressed text is cut short or has a tail")
    return body


def spec_of_token_json(body: bytes, bounds: TextLimits) -> CheckpointSpec:
    """The spec that the JSON of a token means.

    Raises:
        TokenError: it means none.
        LimitError: there is too much in it to be parsed.
    """
    try:
        return read(SPEC, body, bounds)
    except (InvalidError, SpecError) as error:
        raise TokenError(f"the token spells no valid spec: {said(error)}") from error


def spec_from_token(token: str, max_bytes: int) -> CheckpointSpec:
    """The spec that a token spells; see `json_of_token`.

    Raises:
        TokenError: it is not such a token, or what it spells is not a spec.
    """
    return spec_of_token_json(json_of_token(token, max_bytes), TextLimits(Limits()))
