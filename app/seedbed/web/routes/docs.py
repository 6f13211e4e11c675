"""The interactive API documentation at /docs, from files of this installation only.

Swagger UI's scripts come with the package fastapi-offline, so that the page works on a network
without internet and asks no other host for anything.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

_PATH = "/docs/assets"
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_READ = ["GET", "HEAD"]


def install(app: FastAPI) -> None:
    """Serve /docs and its assets."""

    @app.api_route("/docs", methods=_READ, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title}: API",
            swagger_js_url=f"{root}{_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_PATH}/favicon.png",
        )

    @app.api_route(f"{_PATH}/{{name}}", methods=_READ, include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404)
        content = (files("fastapi_offline") / "static" / name).read_bytes()
        return Response(content, 200, {"cache-control": "public, max-age=86400"}, _ASSETS[name])
