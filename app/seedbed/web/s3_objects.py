"""Objects of S3 as answers: conditions, ranges and part numbers in S3's reading of them."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import Request, Response
from starlette.types import Message, Receive, Scope, Send

from seedbed.errors import BusyError
from seedbed.s3 import EPOCH, Object, S3Error, error
from seedbed.web.problems import RequestProblem, shortened
from seedbed.web.ranges import Selection, conditions, select
from seedbed.web.repositories import BRANCH_CONTROL
from seedbed.web.responses import FileResponse
from seedbed.web.streaming import Streamer

_MODIFIED = (b"last-modified", format_datetime(EPOCH, usegmt=True).encode())
_PART = (b"x-amz-mp-parts-count", b"1")
"""Objects have the ETag of an upload in parts, of which there was one: the whole."""

_MOST_PARTS = 10_000


def refused(refusal: S3Error, resource: str = "", *, head: bool = False) -> Response:
    """An error, as S3 says it."""
    headers = {"cache-control": "no-store"}
    if refusal.retry_seconds is not None:
        headers["retry-after"] = str(refusal.retry_seconds)
    if refusal.status == 405:
        # A body that waits for 100 Continue never comes; the next request would be taken for it.
        headers |= {"allow": "GET, HEAD", "connection": "close"}
    refusal.message = shortened(refusal.message)
    body = b"" if head else error(refusal, resource)
    return Response(body, refusal.status, headers, "application/xml")


def answer(request: Request, file: Object, streamer: Streamer) -> Response:
    """An object, or the part of it that a request asks for, or that it has not changed.

    Raises:
        S3Error: a condition does not hold, or there is no such part.
    """
    headers = [_MODIFIED]
    if "partNumber" in request.query_params:
        _require_whole(request)
        headers.append(_PART)
    response = S3Response(
        request, file, streamer, download_name=file.name, max_ranges=1,
        cache_control=BRANCH_CONTROL, headers=headers,
    )  # fmt: skip
    return _dated(request, response, file)


def _require_whole(request: Request) -> None:
    """Refuse a part of an object other than its only one.

    Raises:
        S3Error: it is another.
    """
    number = request.query_params["partNumber"]
    if "range" in request.headers:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber.")
    if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= _MOST_PARTS):
        raise S3Error("InvalidArgument", f"partNumber is a whole number from 1 to {_MOST_PARTS}.")
    if int(number) > 1:
        raise S3Error("InvalidPartNumber", "Every object has one part.")


class S3Response(FileResponse):
    """A file as an object: what is wrong with a request is said as S3 says it."""

    def _select(self, request: Request, max_ranges: int) -> Selection:
        """As HTTP has it, but HEAD knows ranges, and ETags may come without quotes."""
        self._resource = str(request.url.path)
        wanted = conditions(request.scope["headers"])
        if "partNumber" in request.query_params:
            wanted["range"] = "bytes=0-"
        for name in ("if-match", "if-none-match"):
            if '"' not in (text := wanted.get(name, '"')) and text.strip() != "*":
                wanted[name] = ",".join(f'"{tag.strip()}"' for tag in text.split(","))
        return select("GET", wanted, self._file.size, self._file.etag, max_ranges)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say to come again while there is no room."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await super().__call__(scope, receive, watched)
        except (BusyError, RequestProblem) as busy:
            if has_begun:
                raise
            seconds = getattr(busy, "retry_seconds", None) or 1
            refusal = S3Error("SlowDown", str(busy), seconds)
            await refused(refusal, self._resource)(scope, receive, send)

    def _precondition_failed(self) -> Response:
        refusal = S3Error("PreconditionFailed", "A condition of the request does not hold.")
        return refused(refusal, self._resource, head=self._only_headers)

    def _range_not_satisfiable(self) -> Response:
        refusal = S3Error("InvalidRange", "The range lies past the end of the object.")
        answer = refused(refusal, self._resource, head=self._only_headers)
        answer.headers["content-range"] = f"bytes */{self._file.size}"
        return answer


def _dated(request: Request, response: S3Response, file: Object) -> Response:
    """The answer that conditions on dates ask for, where none is on the ETag (RFC 9110 §13.2.2)."""
    wanted = conditions(request.scope["headers"])
    since = _date(request.headers.get("if-unmodified-since"))
    if since is not None and since < EPOCH and "if-match" not in wanted:
        raise S3Error("PreconditionFailed", "The object was modified since.")
    since = _date(request.headers.get("if-modified-since"))
    if since is not None and since >= EPOCH and "if-none-match" not in wanted:
        return Response(status_code=304, headers={"etag": f'"{file.etag}"'})
    return response


def _date(text: str | None) -> datetime | None:
    """A date of HTTP; None if it is none, which is to be ignored."""
    try:
        date = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return date if date is not None and date.tzinfo is not None else None
