"""Checkpoints as objects of read-only buckets: keys, listings, and the XML that S3 speaks.

Knows nothing of HTTP; the protocol itself is in `seedbed.web.routes.s3`.
"""

from seedbed.s3.errors import S3Error
from seedbed.s3.listing import BRANCH, MAX_KEYS, Listing, Query, key_of
from seedbed.s3.objects import EPOCH, Object
from seedbed.s3.xml import bucket_list, error, listed, location

__all__ = [
    "BRANCH",
    "EPOCH",
    "MAX_KEYS",
    "Listing",
    "Object",
    "Query",
    "S3Error",
    "bucket_list",
    "error",
    "key_of",
    "listed",
    "location",
]
