from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from seedbed.web.application import create_app
from seedbed.web.routes.page import accepts_gzip
from seedbed.web.settings import Settings

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "app" / "seedbed" / "web" / "page"
NAMES = sorted(
    path.relative_to(PAGE).as_posix()
    for path in PAGE.rglob("*")
    if path.is_file() and path.name != "index.html"
)
MODULES = [name for name in NAMES if name.endswith(".js") and "/" not in name]
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    "": "text/plain; charset=utf-8",
}


class Markup(HTMLParser):
    """The elements of a document: tag and attributes of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        """Keep what a script or style holds."""
        if self._in_script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        """What follows is text again."""
        self._in_script = False

    def links(self) -> Iterator[str]:
        """All that is fetched or linked to."""
        for _, attributes in self.elements:
            for name in ("href", "src"):
                if value := attributes.get(name):
                    yield value


@pytest.fixture(scope="module")
def page(client: httpx.Client) -> httpx.Response:
    """The page itself."""
    return client.get("/").raise_for_status()


@pytest.fixture(scope="module")
def assets(page: httpx.Response) -> str:
    """Path of the page's assets, with their digest."""
    found = re.search(r'src="(/page/[0-9a-f]{16})/main\.js"', page.text)
    assert found
    return found[1]


def test_page_is_asked_for_again(client: httpx.Client, page: httpx.Response) -> None:
    """The page is HTML that a cache has to ask about, and is told if it has not changed."""
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == page.headers["content-security-policy"]


def test_head_is_get_without_a_body(client: httpx.Client, page: httpx.Response) -> None:
    """HEAD has the fields of GET, length included."""
    head = client.head("/")
    assert head.content == b""
    for name in ("content-length", "etag", "content-type", "content-security-policy", "vary"):
        assert head.headers[name] == page.headers[name]


@pytest.mark.parametrize("path", ["/", "main.js"])
def test_nothing_inline_and_no_other_host(client: httpx.Client, assets: str, path: str) -> None:
    """The policy allows this origin alone, no inline script or style, and no framing."""
    response = client.get(path if path == "/" else f"{assets}/{path}")
    fields = response.headers["content-security-policy"].split("; ")
    policy = {name: rest for name, _, rest in (one.partition(" ") for one in fields)}
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert policy.pop("base-uri") == policy.pop("form-action") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert policy.pop("trusted-types") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


def test_markup_keeps_the_policy(page: httpx.Response, client: httpx.Client) -> None:
    """The page has no inline script, style or handler, and all that it links to is here."""
    markup = Markup(page.text)
    assert markup.inline == []
    assert "{{" not in page.text
    for tag, attributes in markup.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
    ids = [attributes["id"] for _, attributes in markup.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in markup.links():
        if link.startswith("#"):
            assert link[1:] in ids
        else:
            assert link.startswith("/")
            assert client.head(link).status_code == 200, link


def test_every_module_is_preloaded(page: httpx.Response, assets: str) -> None:
    """No module waits for another to name it, since the page names them all."""
    linked = {link.removeprefix(f"{assets}/") for link in Markup(page.text).links()}
    assert set(MODULES) <= linked
    for name in MODULES:
        text = (PAGE / name).read_text()
        imported = re.findall(r'^(?:import|export) [^"]*"\./([^"]+)";$', text, re.MULTILINE)
        assert set(imported) <= set(MODULES), name


@pytest.mark.parametrize("name", NAMES)
def test_assets(client: httpx.Client, assets: str, name: str) -> None:
    """An asset is the file of the package, kept for ever, with or without gzip."""
    content = (PAGE / name).read_bytes()
    for coding in ("gzip", "identity"):
        with client.stream("GET", f"{assets}/{name}", headers={"accept-encoding": coding}) as sent:
            raw = b"".join(sent.iter_raw())
        suffix = Path(name).suffix
        assert sent.headers["content-type"] == KINDS[suffix]
        assert sent.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert int(sent.headers["content-length"]) == len(raw)
        if coding == "gzip" and suffix != ".woff2" and len(content) > 512:
            assert sent.headers["content-encoding"] == "gzip"
            assert len(raw) < len(content)
            raw = gzip.decompress(raw)
        else:
            assert "content-encoding" not in sent.headers
        assert raw == content
        known = {"accept-encoding": coding, "if-none-match": sent.headers["etag"]}
        assert client.get(f"{assets}/{name}", headers=known).status_code == 304


def test_codings_have_validators_of_their_own(client: httpx.Client, assets: str) -> None:
    """A strong ETag names one sequence of bytes, so gzip has another, and Vary says why."""
    tags = set()
    for coding in ("gzip", "identity"):
        answer = client.get(f"{assets}/main.js", headers={"accept-encoding": coding})
        assert answer.headers["vary"] == "Accept-Encoding"
        tags.add(answer.headers["etag"])
    assert len(tags) == 2


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity, *;q=0.1", True),
        ("x-gzip", True),
        ("br", False),
    ],
)
def test_accept_encoding(header: str, *, allowed: bool) -> None:
    """A body is zipped only for those who take it, by the rules of RFC 9110 §12.5.3."""
    assert accepts_gzip(header) is allowed


def test_another_version_of_the_assets(client: httpx.Client, assets: str) -> None:
    """Assets of another replica's page are answered, but not to be kept."""
    answer = client.get("/page/0000000000000000/main.js").raise_for_status()
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.content == client.get(f"{assets}/main.js").content


@pytest.mark.parametrize(
    "name",
    ["nope.js", "index.html", "../page.py", "..%2fpage.py", "%2e%2e/routes/page.py", "", "vendor"],
)
def test_no_other_files(client: httpx.Client, assets: str, name: str) -> None:
    """No other file of the package, or of the machine, is served."""
    response = client.get(f"{assets}/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_behind_a_prefix() -> None:
    """A service under a prefix links to assets and API under it, escaped."""
    app = create_app(Settings(engine="numpy", log_level="error"))

    async def get() -> str:
        transport = httpx.ASGITransport(app, root_path="/seed&bed")
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return (await client.get("/")).text

    text = asyncio.run(get())
    links = [link for link in Markup(text).links() if not link.startswith("#")]
    assert links
    assert all(link.startswith("/seed&bed/") for link in links)
    assert 'href="/seed&amp;bed/docs"' in text


def test_page_is_light(client: httpx.Client, page: httpx.Response, assets: str) -> None:
    """What a first visit has to fetch before it draws fits in 200 KB; formulas come after."""
    links = {link for link in Markup(page.text).links() if link.startswith(assets)}
    needed = {link for link in links if not link.endswith("LICENSE")}
    sent = [client.head(link, headers={"accept-encoding": "gzip"}) for link in needed]
    total = sum(int(one.headers["content-length"]) for one in sent)
    assert total + int(page.headers["content-length"]) < 200_000
    assert not [link for link in needed if "katex.min.js" in link]


def test_vendored_files_are_those_that_were_looked_at() -> None:
    """Each vendored file has its digest, and its licence beside it; none is missing or extra."""
    manifest: dict[str, Any] = json.loads((PAGE / "vendor.json").read_text())
    there = {
        name.removeprefix("vendor/"): hashlib.sha256((PAGE / name).read_bytes()).hexdigest()
        for name in NAMES
        if name.startswith("vendor/")
    }
    assert there == manifest["sha256"]
    for package in manifest["packages"]:
        assert package["files"]["LICENSE"] in there
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])
    command = [sys.executable, REPOSITORY / "scripts" / "vendor_page.py", "--check"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_no_asset_names_another_host() -> None:
    """Code and styles of the page fetch nothing from elsewhere: no address of another host."""
    for name in NAMES:
        if "LICENSE" in name or name.endswith((".woff2", ".json")):
            continue
        text = (PAGE / name).read_text()
        hosts = set(re.findall(r"(?:https?:)?//([a-z0-9-]+(?:\.[a-z0-9-]+)+)", text))
        # Names of XML vocabularies, a link for people, and KaTeX's and uPlot's own comments.
        assert hosts <= {"www.w3.org", "arxiv.org", "github.com", "katex.org"}, name


def test_wheel_has_the_page(tmp_path: Path) -> None:
    """A built wheel has every file of the page, byte for byte."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--quiet", "--wheel-dir", tmp_path, REPOSITORY],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = {name: wheel.read(name) for name in wheel.namelist() if "/web/page/" in name}
    assert held == {
        f"seedbed/web/page/{path.relative_to(PAGE).as_posix()}": path.read_bytes()
        for path in PAGE.rglob("*")
        if path.is_file()
    }
