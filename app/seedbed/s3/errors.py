"""S3's errors, of which clients go by the code."""

from __future__ import annotations

from seedbed.errors import SeedbedError

STATUSES = {
    "AccessDenied": 403,
    "InvalidArgument": 400,
    "InvalidPartNumber": 416,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "SlowDown": 503,
}
"""HTTP's statuses of S3's codes."""


class S3Error(SeedbedError):
    """What a client of S3 can tell apart.

    Attributes:
        code: of S3.
        message: for people.
        retry_seconds: when to ask again, where that would help.
    """

    def __init__(self, code: str, message: str, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_seconds = retry_seconds

    @property
    def status(self) -> int:
        """Of HTTP."""
        return STATUSES[self.code]
