"""Answers in the XML of S3's API reference, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote
from xml.sax.saxutils import escape

from seedbed.s3.errors import S3Error
from seedbed.s3.listing import Listing, token_of

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_DATE = "2020-01-01T00:00:00.000Z"
_OWNER = "<ID>seedbed</ID><DisplayName>seedbed</DisplayName>"


def _document(root: str, parts: Iterable[str], *, named: bool = True) -> bytes:
    space = f' xmlns="{_NAMESPACE}"' if named else ""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{space}>{"".join(parts)}</{root}>'
    return text.encode()


def _element(name: str, value: object) -> str:
    """An element with text, in which what XML cannot have is a question mark."""
    text = "".join(c if c.isprintable() or c in "\t\n\r" else "?" for c in str(value))
    return f"<{name}>{escape(text)}</{name}>"


def error(error: S3Error, resource: str) -> bytes:
    """The body of an error."""
    parts = (
        _element("Code", error.code),
        _element("Message", error.message),
        _element("Resource", resource[:1024]),
    )
    return _document("Error", parts, named=False)


def location() -> bytes:
    """Where a bucket is: where S3's own first region is, which has no name."""
    return _document("LocationConstraint", ())


def bucket_list(names: Iterable[str], prefix: str = "", last: str = "") -> bytes:
    """A page of buckets.

    Args:
        names: of them.
        prefix: that they were asked for by.
        last: of them, if there are more.
    """
    buckets = (
        f"<Bucket>{_element('Name', name)}<CreationDate>{_DATE}</CreationDate></Bucket>"
        for name in names
    )
    optional = {"ContinuationToken": token_of(last) if last else "", "Prefix": prefix}
    parts = (
        f"<Owner>{_OWNER}</Owner>", "<Buckets>", *buckets, "</Buckets>",
        *(_element(name, value) for name, value in optional.items() if value),
    )  # fmt: skip
    return _document("ListAllMyBucketsResult", parts)


def listed(bucket: str, page: Listing) -> bytes:
    """A page of keys, as ListObjectsV2 or its predecessor has it."""
    return _document("ListBucketResult", _listing(bucket, page))


def _listing(bucket: str, page: Listing) -> Iterator[str]:
    query = page.query

    def coded(key: str) -> str:
        return quote(key, safe="/") if query.url else key

    yield _element("Name", bucket)
    yield _element("Prefix", coded(query.prefix))
    yield _element("MaxKeys", query.most)
    yield _element("IsTruncated", str(page.is_cut).lower())
    count = len(page.keys) + len(page.prefixes)
    following = page.last if page.is_cut else ""
    optional: dict[str, object] = {
        "Delimiter": coded(query.delimiter),
        "EncodingType": "url" if query.url else "",
        "ContinuationToken": query.token,
    }
    if query.version == 2:
        yield _element("KeyCount", count)
        optional |= {
            "StartAfter": coded(query.start),
            "NextContinuationToken": token_of(following) if following else "",
        }
    else:
        yield _element("Marker", coded(query.start))
        optional["NextMarker"] = coded(following)
    yield from (_element(name, value) for name, value in optional.items() if value)
    for key, size, etag in page.keys:
        yield (
            f"<Contents>{_element('Key', coded(key))}<LastModified>{_DATE}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size>"
            f"<StorageClass>STANDARD</StorageClass></Contents>"
        )
    for prefix in page.prefixes:
        yield f"<CommonPrefixes>{_element('Prefix', coded(prefix))}</CommonPrefixes>"
