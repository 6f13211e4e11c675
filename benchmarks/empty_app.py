"""A FastAPI application that does nothing, under uvicorn set as Seedbed sets it.

`python -m benchmarks.empty_app PORT`: what the framework itself costs.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI(openapi_url=None)


@app.get("/")
async def nothing() -> Response:
    """Answer without a body."""
    return Response()


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
    )
