from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.s3 import Listing, Query, S3Error, error, key_of, listed
from seedbed.s3.listing import token_of

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"

words = st.text("ab./-1é", min_size=1, max_size=8).filter(lambda key: not key.endswith("/"))


def _by_definition(keys: list[str], query: Query) -> list[str]:
    """Keys and common prefixes as S3's reference has them, all at once."""
    found: list[str] = []
    for key in sorted(keys):
        if not key.startswith(query.prefix):
            continue
        rest = key[len(query.prefix) :]
        if query.delimiter and query.delimiter in rest:
            cut = query.prefix + rest.partition("/")[0] + "/"
            if cut not in found:
                found.append(cut)
        else:
            found.append(key)
    return found


@given(
    st.lists(words, unique=True), words | st.just(""), st.sampled_from(["", "/"]), st.integers(1, 3)
)
def test_pages_are_the_listing(keys: list[str], prefix: str, delimiter: str, most: int) -> None:
    """Pages of any size, put together by their tokens, are what one page would have."""
    whole = _by_definition(keys, Query(prefix, delimiter))
    together: list[str] = []
    after = ""
    for _ in range(len(whole) + 1):
        page = Listing(Query(prefix, delimiter, after, most))
        for entry in whole:
            add = page.add_prefix if delimiter and entry.endswith("/") else _as_key(page)
            if not add(entry):
                break
        got = sorted([key for key, *_ in page.keys] + page.prefixes)
        assert len(got) <= most
        together += got
        if not page.is_cut:
            break
        after = key_of(token_of(page.last))
    assert together == whole


def _as_key(page: Listing) -> Any:
    return lambda key: page.add_key(key, 1, "e")


@given(st.text())
def test_tokens(key: str) -> None:
    """A token leads back to its key; what is no token is refused."""
    if not any("\ud800" <= c <= "\udfff" for c in key):
        assert key_of(token_of(key)) == key


@pytest.mark.parametrize("token", ["!", "a", "é", "_w=="])
def test_no_token(token: str) -> None:
    """What nobody was given as a token is an argument that is wrong."""
    with pytest.raises(S3Error) as caught:
        key_of(token)
    assert caught.value.code == "InvalidArgument"


@given(st.text(), st.text())
def test_xml_holds_whatever_is_asked(prefix: str, resource: str) -> None:
    """Any text of a request comes back in XML that a parser takes."""
    page = Listing(Query(prefix, start=resource))
    page.add_key(f"{prefix}/x", 5, "e-1")
    root = ET.fromstring(listed("bucket", page))
    assert root.tag == f"{NAMESPACE}ListBucketResult"
    assert root.findtext(f"{NAMESPACE}KeyCount") == "1"
    assert (
        ET.fromstring(error(S3Error("NoSuchKey", prefix), resource)).findtext("Code") == "NoSuchKey"
    )


def test_urls_in_listings() -> None:
    """With encoding-type=url keys are percent-encoded, but for their slashes."""
    page = Listing(Query("a b/", url=True))
    page.add_key("a b/é", 5, "e-1")
    root = ET.fromstring(listed("bucket", page))
    assert root.findtext(f"{NAMESPACE}Contents/{NAMESPACE}Key") == "a%20b/%C3%A9"
