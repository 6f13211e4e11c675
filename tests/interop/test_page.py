"""The page at / in Debian's Chromium, driven by Playwright: every flow, and nothing on the side.

A visit fails on any error in the console, any breach of the Content-Security-Policy, any request
to another host, and, where it says so, on anything that axe-core objects to. Playwright was chosen
over Selenium because it sees all of these, and can cut a connection or emulate a medium, by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import pytest
import scipy.stats
from safetensors import deserialize

from seedbed.init import LAYERS, SCHEMES
from tests.interop.running import run
from tests.oracles import NUMPY_DTYPES
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until
from tests.strategies import FLOATS, REQUIRED, in_query

pytestmark = pytest.mark.interop

DESKTOP, PHONE = (1280, 900), (360, 780)
MILLISECONDS = PATIENCE_SECONDS * 1000
READY = "#results[aria-busy=false]"
WATCH = """
globalThis.breaches = [];
document.addEventListener("securitypolicyviolation", (event) =>
  globalThis.breaches.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


class Visit:
    """A page that is watched.

    Args:
        page: of Playwright.
        url: of the service.
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.requests: list[Any] = []
        self.expected = ["willReadFrequently"]  # of the tests' own looking at pixels
        page.set_default_timeout(MILLISECONDS)
        page.add_init_script(WATCH)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("request", self._note)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _note(self, request: Any) -> None:
        self.requests.append(request)

    def open(self, query: str = "", ready: str = READY) -> Self:
        """Go there, and wait until there is something to see."""
        self.page.goto(f"{self.url}/{query}")
        self.page.wait_for_selector(ready)
        return self

    def do(self, action: Callable[[], object]) -> None:
        """Do what makes the page draw anew, and wait until it has."""
        answer = re.compile(r"/v1/describe$")
        with self.page.expect_response(answer):
            action()
        self.page.wait_for_selector(READY)

    def until(self, expression: str) -> None:
        """Wait for an expression to hold; Playwright's own way to is code made of text."""
        wait_until(lambda: self.page.evaluate(expression), expression)

    def text(self, selector: str) -> str:
        """What is to be read there."""
        words: str = self.page.inner_text(selector)
        return words

    def expect(self, *parts: str) -> None:
        """Let the console mention this once it has been caused."""
        self.expected.extend(parts)

    def axe(self) -> None:
        """Let axe-core look, by its rules for WCAG 2.2 AA and for good practice."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        said = [f"{one['id']}: {[n['target'] for n in one['nodes']][:3]}" for one in found]
        assert said == []

    def fits(self) -> None:
        """Nothing sticks out at the side."""
        wide = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide[0] <= wide[1]

    def end(self) -> None:
        """Hold the visit to what its page may do."""
        if not self.page.is_closed():
            assert self.page.evaluate("globalThis.breaches") == []
        unexpected = [
            one for one in self.complaints if not any(part in one for part in self.expected)
        ]
        assert unexpected == []
        hosts = {one.url.split("/")[2] for one in self.requests if one.url.startswith("http")}
        assert hosts <= {self.url.removeprefix("http://")}


@pytest.fixture
def visit(chromium: Any, server: Server) -> Iterator[Callable[..., Visit]]:
    """Makes visits, and holds each to what a page may do when the test ends."""
    contexts, visits = [], []

    def make(size: tuple[int, int] = DESKTOP, url: str = server.url, **options: Any) -> Visit:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        visits.append(Visit(context.new_page(), url))
        return visits[-1]

    yield make
    for one in visits:
        one.end()
    for context in contexts:
        context.close()


def values_of(url: str) -> np.ndarray[Any, Any]:
    """The values of a file with one tensor, by safetensors itself, as float64."""
    [(_, tensor)] = deserialize(httpx.get(url, timeout=PATIENCE_SECONDS).content)
    values: np.ndarray[Any, Any] = np.frombuffer(tensor["data"], NUMPY_DTYPES[tensor["dtype"]])
    return values.astype(np.float64)


def rows(visit: Visit) -> dict[str, list[float]]:
    """The table of moments and quantiles: measured, and by theory."""
    visit.page.click("#numbers summary")
    found = {}
    for row in visit.page.query_selector_all("#numbers tbody tr"):
        name, *cells = row.inner_text().split("\t")
        found[name.strip()] = [number(cell) for cell in cells]
    visit.page.click("#numbers summary")
    return found


def number(text: str) -> float:
    """A number as the page writes it."""
    words = text.strip().lstrip("≥≤ ").replace("−", "-")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    match = re.fullmatch(r"(-?[\d.]+)(?:·10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))?", words)
    if not match:
        return float("nan")
    return float(match[1]) * 10.0 ** int((match[2] or "⁰").translate(digits))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_first_sight(visit: Callable[..., Visit], size: tuple[int, int], scheme: str) -> None:
    """At any size, light or dark, weights are seen beside their theory, and axe is content."""
    here = visit(size, color_scheme=scheme).open()
    assert "0.05051 by theory" in here.text("#headline")  # √(2 / 784)
    assert "206 Partial Content" in here.text("#range")
    here.page.wait_for_selector("#plots canvas")
    assert here.page.locator("#plots canvas").count() == 3
    drawn = here.page.evaluate(
        """() => [...document.querySelectorAll("canvas")].map((canvas) => new Set(
             canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size)"""
    )
    assert min(drawn) > 10  # of distinct values in its pixels: none is blank
    paper = here.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", paper)[:3])) < 60) == (scheme == "dark")
    here.fits()
    here.axe()


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_are_those_of_the_file(visit: Callable[..., Visit], dtype: str) -> None:
    """What the page measures is what NumPy measures of the same file, in every dtype."""
    target = f"v1/tensors/he_normal/96x128.safetensors?seed=7&dtype={dtype}"
    here = visit().open(f"?shape=96x128&seed=7&dtype={dtype}")
    values = values_of(f"{here.url}/{target}")
    found = rows(here)
    expected = {
        "σ": values.std(),
        "lowest": values.min(),
        "highest": values.max(),
        "excess kurtosis": scipy.stats.kurtosis(values),
        "5 %": np.quantile(values, 0.05),
        "75 %": np.quantile(values, 0.75),
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, rel=2e-3, abs=1e-6), name
    assert found["σ"][1] == pytest.approx((2 / 128) ** 0.5, rel=1e-5)
    assert here.page.get_attribute("#address", "href") in (
        f"{here.url}/v1/tensors/he_normal/96x128.safetensors?seed=7&dtype={dtype}",
        f"{here.url}/v1/tensors/he_normal/96x128.safetensors?seed=7",
    )


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_every_bit_pattern_is_decoded(visit: Callable[..., Visit], dtype: str) -> None:
    """All numbers of a narrow dtype are read as ml_dtypes reads them, and rounded to as there."""
    here = visit().open()
    kind = NUMPY_DTYPES[dtype]
    bits = np.arange(1 << 8 * kind.itemsize, dtype=f"u{kind.itemsize}")
    with np.errstate(invalid="ignore"):  # NaNs that signal are among them
        expected = bits.view(kind).astype(np.float64)
    assets = here.page.get_attribute('script[type="module"]', "src").removesuffix("main.js")
    found = here.page.evaluate(
        """async ([path, bytes, dtype]) => {
          const { decode } = await import(path);
          return [...decode(Uint8Array.from(bytes), dtype)].map(String);
        }""",
        [f"{assets}floats.js", list(bits.tobytes()), dtype],
    )
    read = np.array([float(text.replace("Infinity", "inf")) for text in found])
    np.testing.assert_array_equal(read, expected)
    between = np.random.default_rng(0).normal(0, 0.05, 2000)
    rounded = here.page.evaluate(
        """async ([path, values, dtype]) => {
          const { rounded } = await import(path);
          return values.map((x) => rounded(x, dtype));
        }""",
        [f"{assets}floats.js", list(between), dtype],
    )
    np.testing.assert_array_equal(rounded, between.astype(kind).astype(np.float64))


DISTRIBUTIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "normal": ({"scheme": "normal", "mean": 0.5, "std": 2.0}, scipy.stats.norm(0.5, 2.0)),
    "uniform": ({"scheme": "uniform", "low": -1.0, "high": 3.0}, scipy.stats.uniform(-1, 4)),
    "log-uniform": (
        {"scheme": "log_uniform", "low": 0.01, "high": 10.0},
        scipy.stats.loguniform(0.01, 10.0),
    ),
    "cut in sigmas": (
        {"scheme": "truncated_normal", "mean": 1.0, "std": 0.5, "lower": -1.0, "upper": 3.0},
        scipy.stats.truncnorm(-1, 3, 1.0, 0.5),
    ),
    "cut at values": (
        {"scheme": "truncated_normal", "std": 0.5, "lower": -0.25, "bounds": "absolute"},
        scipy.stats.truncnorm(-0.5, 4, 0, 0.5),
    ),
    "cut as Keras cuts": (
        {"scheme": "he_normal", "convention": "keras"},
        scipy.stats.truncnorm(-2, 2, 0, (2 / 32) ** 0.5 / 0.8796256610342398),
    ),
    "orthogonal": ({"scheme": "orthogonal"}, scipy.stats.beta(15.5, 15.5, -1, 2)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_theory_is_scipys(visit: Callable[..., Visit], name: str, server: Server) -> None:
    """Density and quantiles that are drawn as the theory are SciPy's."""
    init, expected = DISTRIBUTIONS[name]
    spec = {"tensors": [{"name": "w", "shape": [32, 32], "init": init}]}
    described = httpx.post(f"{server.url}/v1/describe", json=spec).raise_for_status().json()
    entry = httpx.get(f"{server.url}/v1/schemes/{init['scheme']}").json()
    here = visit().open()
    assets = here.page.get_attribute('script[type="module"]', "src").removesuffix("main.js")
    probabilities = [1e-6, 0.001, 0.02, 0.3, 0.5, 0.8, 0.99, 0.9999]
    points = [float(expected.ppf(p)) for p in (0.01, 0.3, 0.9)]
    quantiles, densities = here.page.evaluate(
        """async ([path, tensor, defaults, probabilities, points]) => {
          const { distributionOf } = await import(path);
          const found = distributionOf(tensor, defaults);
          return [probabilities.map(found.ppf), points.map(found.pdf)];
        }""",
        [
            f"{assets}theory.js",
            described["tensors"][0],
            {one["name"]: one["default"] for one in entry["parameters"]},
            probabilities,
            points,
        ],
    )
    tolerance = 1e-3 if name == "orthogonal" else 3e-5
    scale = expected.std()
    np.testing.assert_allclose(quantiles, expected.ppf(probabilities), atol=tolerance * scale)
    np.testing.assert_allclose(densities, expected.pdf(points), rtol=tolerance)


def test_only_a_part_is_read(visit: Callable[..., Visit]) -> None:
    """Of the end of a terabyte the page reads its header and the values it shows, by ranges."""
    here = visit()
    with_ranges = []

    def keep(response: Any) -> None:
        if "/v1/tensors/" in response.url:
            with_ranges.append((response.status, response.header_value("content-range")))

    here.page.on("response", keep)
    here.open("?shape=500000x500000&scheme=normal&read=16384&where=end")
    assert [status for status, _ in with_ranges] == [206, 206]
    size = with_ranges[0][1].split("/")[1]
    assert int(size) > 10**12
    start, stop = map(int, re.findall(r"\d+", with_ranges[1][1])[:2])
    assert (stop - start + 1, stop + 1) == (16384 * 4, int(size))
    assert "1.0 TiB" in here.text("#range") or "931.3 GiB" in here.text("#range")


def test_ranges_taken_away(visit: Callable[..., Visit]) -> None:
    """Behind a proxy that knows no ranges the page reads no more than it needs, and says so."""
    here = visit()
    here.page.route(
        "**/v1/tensors/**",
        lambda route: route.fulfill(
            response=route.fetch(
                headers={k: v for k, v in route.request.headers.items() if k != "range"}
            )
        ),
    )
    here.open("?shape=64x64")
    assert "ranges did not get through" in here.text("#range")
    assert "0.1768 by theory" in here.text("#headline")


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer(visit: Callable[..., Visit], kind: str) -> None:
    """Every layer of the catalogue can be drawn with the sizes that the form begins with."""
    here = visit().open(f"?what=layer&layer={kind}")
    tensors = httpx.get(f"{here.url}/v1/layers/{kind}").json()["frameworks"][0]["tensors"]
    assert here.page.locator("#tensor option").count() == len(tensors)
    if tensors:
        assert here.page.is_hidden("#draw-problem")
        assert here.page.locator("#plots canvas").count() > 0
    else:
        assert "There is no tensor to look at" in here.text("#draw-problem")


def test_every_scheme(visit: Callable[..., Visit]) -> None:
    """Every scheme of the catalogue is drawn, or the page says why this shape cannot have it."""
    here = visit().open()
    refused = []
    for name in SCHEMES:
        query = "&".join(
            f"p.{key}={value}" for key, value in in_query(REQUIRED.get(name, {})).items()
        )
        here.open(f"?scheme={name}&shape=16x16&{query}")
        if here.page.is_visible("#draw-problem"):
            refused.append(name)
            assert "The spec cannot mean a file" in here.text("#draw-problem"), name
        else:
            assert here.page.locator("#plots canvas").count() > 0, name
            assert here.text("#headline"), name
    assert len(refused) < len(SCHEMES) / 4
    here.expect("status of 422")


@pytest.mark.parametrize("framework", ["torch", "keras", "flax", "nnx"])
def test_a_scheme_for_one_tensor_of_a_layer(visit: Callable[..., Visit], framework: str) -> None:
    """A scheme chosen for a layer's tensor is its alone, in the layout of each framework."""
    here = visit().open(f"?what=layer&layer=linear&framework={framework}")
    assert "he_normal" not in here.text("#drawn")
    here.do(lambda: here.page.select_option("#scheme", "he_normal"))
    assert "by he_normal" in here.text("#drawn")
    assert "0.05051 by theory" in here.text("#headline")
    spec = json.loads(re.search(r"'(\{.*\})'", here.page.inner_text("#snippet-curl"))[1])  # type: ignore[index]
    described = httpx.post(f"{here.url}/v1/describe", json=spec).raise_for_status().json()
    schemes = {one["name"]: one["scheme"] for one in described["tensors"]}
    assert sorted(schemes.values()).count("he_normal") == 1
    assert len(schemes) == 2


def test_choice_is_in_the_address(visit: Callable[..., Visit]) -> None:
    """What is chosen stands in the address; who opens it sees the same file."""
    here = visit().open()
    assert here.page.url == f"{here.url}/"
    page = here.page
    here.do(lambda: page.select_option("#scheme", "truncated_normal"))
    here.do(lambda: page.fill("#shape", "64 × 3 × 7 × 7"))
    page.click("#parameters summary")
    here.do(lambda: page.fill('[name="p.std"]', "0.02"))
    here.do(lambda: page.select_option("#dtype", "BF16"))
    here.do(lambda: page.fill("#seed", "18446744073709551615"))
    here.do(lambda: page.click("#next-seed"))
    assert page.input_value("#seed") == "0"
    target = page.get_attribute("#address", "href")
    assert "/v1/tensors/truncated_normal/64x3x7x7.safetensors?seed=0" in target
    there = visit(PHONE).open(page.url.removeprefix(f"{here.url}/"))
    assert there.page.get_attribute("#address", "href") == target
    assert there.text("#facts") == here.text("#facts")
    assert there.text("#headline") == here.text("#headline")


@pytest.mark.parametrize(
    ("query", "said", "field"),
    [
        ("?seed=-1", "seed", "#seed"),
        ("?seed=1e400", "seed", "#seed"),
        ("?shape=64y64", "shape", "#shape"),
        ("?shape=10", "has no fans", "#shape"),
        ("?scheme=normal&p.std=-1", "greater than or equal to 0", '[name="p.std"]'),
        ("?scheme=log_uniform", "'low' is missing", None),
        ("?shape=99999999x99999999", "SEEDBED_MAX_FILE_BYTES", None),
        ("?what=layer&layer=linear&layer.in_features=x", "integer", '[name="layer.in_features"]'),
    ],
)
def test_mistakes_are_explained(
    visit: Callable[..., Visit], query: str, said: str, field: str | None
) -> None:
    """What the service refuses is said in its words, at the field, and the rest stays usable."""
    here = visit().open(query)
    here.page.wait_for_selector("#draw-problem:not([hidden])")
    assert said.lower() in here.text("#draw-problem").lower()
    if field:
        assert here.page.get_attribute(field, "aria-invalid") == "true"
        note = here.page.get_attribute(field, "aria-describedby").split()[-1]
        assert here.page.locator(f"#{note}").is_visible()
        assert "error" in note
    here.axe()
    here.expect("status of 422")
    here.page.select_option("#dtype", "BF16")
    here.page.fill("#seed", "8")
    here.until("location.search.includes('seed=8')")
    assert here.page.is_visible("#entries details")


def test_service_away(visit: Callable[..., Visit]) -> None:
    """If nobody answers, or a proxy does, the page says so, keeps the choice, and recovers."""
    here = visit().open()
    here.expect("net::ERR_FAILED", "status of 502")
    here.page.route("**/v1/describe", lambda route: route.abort())
    here.page.fill("#seed", "5")
    here.page.wait_for_selector("#draw-problem:not([hidden])")
    assert "did not answer" in here.text("#draw-problem")
    here.page.unroute("**/v1/describe")
    here.page.route(
        "**/v1/describe", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>")
    )
    here.do(lambda: here.page.fill("#seed", "6"))
    assert "502" in here.text("#draw-problem")
    here.page.unroute("**/v1/describe")
    here.do(lambda: here.page.fill("#seed", "7"))
    assert here.page.is_hidden("#draw-problem")
    assert "seed=7" in here.text("#address")


@pytest.mark.parametrize("path", ["**/main.js", "**/statistics.js", "**/uPlot.iife.min.js"])
def test_a_script_that_does_not_load(visit: Callable[..., Visit], path: str) -> None:
    """Without one of its scripts the page is not blank: it says what is missing."""
    here = visit()
    here.expect("net::ERR_FAILED", "uncaught", "uPlot")
    here.page.route(path, lambda route: route.abort())
    here.open(ready="#failure:not([hidden])")
    assert ".js" in here.text("#failure") or "uPlot" in here.text("#failure")
    assert here.page.is_visible("h1")


def test_catalogue_that_does_not_come(visit: Callable[..., Visit]) -> None:
    """Without the catalogue the page says what happened, where the result would be."""
    here = visit()
    here.expect("status of 503")
    here.page.route(
        "**/v1/schemes",
        lambda route: route.fulfill(
            status=503,
            headers={"content-type": "application/problem+json", "retry-after": "3"},
            body=json.dumps({"title": "Not ready", "status": 503, "detail": "wait a little"}),
        ),
    )
    here.open()
    said = here.text("#draw-problem")
    assert "Not ready" in said
    assert "try again in 3 s" in said


def test_without_scripts(visit: Callable[..., Visit]) -> None:
    """Without JavaScript the page shows what it is, and a line of curl."""
    here = visit(java_script_enabled=False)
    here.page.goto(here.url)
    assert "curl -o w.safetensors" in here.text("noscript")
    here.page.close()


def test_by_keyboard(visit: Callable[..., Visit]) -> None:
    """All of it can be reached and worked by keys alone, and one sees where one is."""
    here = visit().open()
    keys = here.page.keyboard
    focused = "document.activeElement.id || document.activeElement.name"

    def press(key: str, times: int = 1) -> str:
        for _ in range(times):
            keys.press(key)
        name: str = here.page.evaluate(focused)
        return name

    press("Tab")
    assert here.page.evaluate("document.activeElement.className") == "skip"
    assert here.page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
    press("Enter")
    assert press("Tab") == "what"
    here.do(lambda: press("ArrowRight"))
    assert here.page.is_checked('[value="layer"]')
    here.do(lambda: press("ArrowLeft"))
    assert press("Tab") == "shape"
    here.do(lambda: (keys.press("Control+A"), keys.type("32x32")))
    assert press("Tab") == "scheme"
    here.do(lambda: keys.type("orth"))
    assert here.page.input_value("#scheme") == "orthogonal"
    seen = set()
    for _ in range(400):
        seen.add(press("Tab"))
        outline = here.page.evaluate(
            """() => {
              const at = document.activeElement;
              const shown = at.matches('input[type="radio"]') ? at.nextElementSibling : at;
              const { outlineStyle, outlineWidth } = getComputedStyle(shown);
              return at === document.body || (outlineStyle !== "none" && outlineWidth !== "0px");
            }"""
        )
        assert outline, here.page.evaluate("document.activeElement.outerHTML")
        if "search" in seen:
            break
    assert {"seed", "next-seed", "dtype", "tab-curl", "download", "search"} <= seen
    here.page.focus("#tab-curl")
    assert press("ArrowRight") == "tab-python"
    assert here.page.is_visible("#panel-python")
    assert press("End") == "tab-js"
    assert press("ArrowRight") == "tab-curl"
    here.page.focus("#search")
    keys.type("hadamard")
    here.until("document.querySelectorAll('#entries details:not([hidden])').length === 2")
    press("Tab")
    press("Enter")
    assert here.page.locator("#scheme-hadamard").get_attribute("open") is not None
    here.axe()


def test_theme_is_kept(visit: Callable[..., Visit]) -> None:
    """The theme that is chosen wins over the system's, changes plots too, and is kept."""
    here = visit(color_scheme="light").open()
    pixel = """() => [...document.querySelector("#bed").getContext("2d")
        .getImageData(0, 0, 400, 40).data].reduce((a, b) => a + b, 0)"""
    light = here.page.evaluate(pixel)
    here.page.select_option("#theme", "dark")
    assert (
        here.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 17)"
    )
    assert here.page.evaluate(pixel) != light
    here.open()
    assert here.page.input_value("#theme") == "dark"
    assert (
        here.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 17)"
    )
    here.page.select_option("#theme", "system")
    assert here.page.evaluate("document.documentElement.dataset.theme ?? null") is None


def test_motion_is_reduced(visit: Callable[..., Visit], chromium: Any, server: Server) -> None:
    """Whoever asks for less motion gets no smooth scrolling, and nothing that moves."""
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    here = visit().open()
    assert here.page.evaluate(behaviour) == "auto"
    assert here.page.evaluate("document.getAnimations().length") == 0
    with chromium.new_context(reduced_motion="no-preference") as context:
        page = context.new_page()
        page.goto(server.url)
        assert page.evaluate(behaviour) == "smooth"


def test_download(visit: Callable[..., Visit], tmp_path: Path) -> None:
    """The file that is saved is the file, and progress is seen on the way."""
    here = visit().open("?shape=2048x2048&seed=3")
    with here.page.expect_download() as waiting:
        here.page.click("#download")
    waiting.value.save_as(tmp_path / "saved")
    saved = (tmp_path / "saved").read_bytes()
    target = here.page.get_attribute("#address", "href")
    assert saved == httpx.get(target, timeout=PATIENCE_SECONDS).content
    assert waiting.value.suggested_filename == "he_normal-2048x2048-seed3.safetensors"
    assert "Saved" in here.text("#download-status")
    assert here.page.is_visible("#download")


@contextmanager
def slowly(visit: Visit, bytes_per_second: int) -> Iterator[None]:
    """Let the network be slow for a while."""
    network = visit.page.context.new_cdp_session(visit.page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 0, "uploadThroughput": -1}
    network.send(
        "Network.emulateNetworkConditions", {**limits, "downloadThroughput": bytes_per_second}
    )
    yield
    network.send("Network.emulateNetworkConditions", {**limits, "downloadThroughput": -1})


def progress_over(visit: Visit, part: float) -> None:
    """Wait until so much of a download has come."""
    visit.until(f"document.querySelector('#progress').value > {part}")


def test_cancelled_download(visit: Callable[..., Visit]) -> None:
    """A download can be stopped by the keyboard, keeps nothing, and can be begun again."""
    here = visit().open("?shape=4096x4096")
    with slowly(here, 8 << 20):
        here.page.focus("#download")
        here.page.keyboard.press("Enter")
        progress_over(here, 0.02)
        here.axe()
        assert here.page.evaluate("document.activeElement.id") == "cancel"
        here.page.keyboard.press("Enter")
        here.page.wait_for_selector("#progress", state="hidden")
    assert "Cancelled" in here.text("#download-status")
    with here.page.expect_download() as waiting:
        here.page.click("#download")
    assert waiting.value.path().stat().st_size > 4096 * 4096 * 4


def test_download_outlives_the_service(visit: Callable[..., Visit], tmp_path: Path) -> None:
    """If the service dies in mid-download and comes back, only what is missing is asked for."""
    with serving(tmp_path, log_format="json") as mortal:
        here = visit(url=mortal.url).open("?shape=4096x4096&seed=9")
        here.expect("net::ERR_")
        asked: list[str] = []
        here.page.on(
            "request",
            lambda one: "/v1/tensors/" in one.url and asked.append(one.headers.get("range", "all")),
        )
        with slowly(here, 24 << 20), here.page.expect_download() as waiting:
            here.page.click("#download")
            progress_over(here, 0.1)
            mortal.end(signal.SIGKILL)
            mortal.start()
        saved = hashlib.sha256(waiting.value.path().read_bytes())
        target = here.page.get_attribute("#address", "href")
        whole = httpx.get(target, timeout=PATIENCE_SECONDS).content
        assert saved.hexdigest() == hashlib.sha256(whole).hexdigest()
        assert asked[0] == "all"
        assert all(re.fullmatch(r"bytes=[1-9]\d+-", one) for one in asked[1:])
        assert len(asked) > 1


def test_large_download_goes_to_disk(visit: Callable[..., Visit]) -> None:
    """What is too large for memory is written to the file that the person picks, as it comes."""
    here = visit()
    here.page.add_init_script(
        """globalThis.showSaveFilePicker = async ({ suggestedName }) => {
          const place = await navigator.storage.getDirectory();
          globalThis.picked = suggestedName;
          return place.getFileHandle("picked", { create: true });
        };"""
    )
    here.open("?shape=16384x16400")
    with slowly(here, 64 << 20):
        here.page.click("#download")
        progress_over(here, 0.01)
        assert here.page.evaluate("globalThis.picked") == "he_normal-16384x16400-seed42.safetensors"
        here.page.click("#cancel")
        here.page.wait_for_selector("#progress", state="hidden")
    here.page.evaluate("delete globalThis.showSaveFilePicker")
    here.page.evaluate("globalThis.showSaveFilePicker = undefined")
    here.page.click("#download")
    assert "cannot save so large a file" in here.text("#download-problem")


CHOICES = {
    "tensor": "?shape=24x16&seed=11",
    "quoted": "?shape=24x16&name=it%27s",
    "bf16": "?shape=24x16&dtype=BF16",
    "layer": "?what=layer&layer=gru&dtype=F16",
    "flax": "?what=layer&layer=conv2d&framework=flax&scheme=orthogonal",
}


@pytest.mark.parametrize("choice", CHOICES)
def test_snippets_run(visit: Callable[..., Visit], tmp_path: Path, choice: str) -> None:
    """What the page offers to copy runs as it stands, and gets the file that the page is about."""
    here = visit(permissions=["clipboard-read", "clipboard-write"]).open(CHOICES[choice])
    texts = {}
    for language in ("curl", "python", "js"):
        here.page.click(f"#tab-{language}")
        here.page.click("#snippet-copy button")
        here.until("document.querySelector('#announcer').textContent === 'Copied'")
        texts[language] = here.page.evaluate("navigator.clipboard.readText()")
        assert texts[language] == here.page.evaluate(
            f"document.querySelector('#snippet-{language}').textContent"
        )
        here.page.evaluate("document.querySelector('#announcer').textContent = ''")
    run("bash", "-c", texts["curl"], cwd=tmp_path)
    [path] = tmp_path.iterdir()
    etag = re.search(r"ETag\s+([0-9a-f]{32})", here.text("#facts"))
    url = here.page.get_attribute("#address", "href")
    answer = httpx.get(url, timeout=PATIENCE_SECONDS).raise_for_status()
    assert path.read_bytes() == answer.content
    assert etag
    assert answer.headers["etag"] == f'"{etag[1]}"'
    name, shape = here.text("#drawn").split(" by ")[0], None
    tensors = dict(deserialize(answer.content))
    shape = tensors[name]["shape"]
    said = run(sys.executable, "-W", "error::DeprecationWarning", "-c", texts["python"]).stdout
    assert 0 < float(re.search(r"[\d.]+(?:e-?\d+)?", said)[0]) < 1  # type: ignore[index]
    (tmp_path / "read.mjs").write_text(texts["js"])
    count = run("node", tmp_path / "read.mjs").stdout.split()[0]
    assert int(count) == int(np.prod(shape))


def test_address_is_copied(visit: Callable[..., Visit]) -> None:
    """The address of the file is copied whole, ready for another program."""
    here = visit(permissions=["clipboard-read", "clipboard-write"]).open("?shape=8x8")
    here.page.click("#address-copy button")
    here.until("document.querySelector('#announcer').textContent === 'Copied'")
    copied = here.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{here.url}/v1/tensors/he_normal/8x8.safetensors?seed=42"


def test_catalogue(visit: Callable[..., Visit]) -> None:
    """Every formula is typeset, for eyes and for readers; a word finds schemes by any name."""
    here = visit().open()
    assert here.page.locator("#entries details").count() == len(SCHEMES) + len(LAYERS)
    here.page.evaluate(
        "for (const one of document.querySelectorAll('[data-latex]')) one.scrollIntoView()"
    )
    for formula in here.page.query_selector_all("[data-latex]"):
        formula.scroll_into_view_if_needed()
        formula.wait_for_selector("math", state="attached")
    assert here.page.locator(".katex-error").count() == 0
    here.page.fill("#search", "Kaiming")
    here.page.wait_for_selector("#scheme-zeros", state="hidden")
    shown = here.page.eval_on_selector_all(
        "#entries details:not([hidden])", "all => all.map((one) => one.id)"
    )
    assert {"scheme-he_normal", "scheme-he_uniform"} <= set(shown)
    here.page.fill("#search", "zyx wvu")
    here.until("document.querySelector('#found').textContent.startsWith('None')")
    here.page.fill("#search", "truncated")
    here.page.click("#scheme-truncated_normal summary")
    here.axe()
    here.do(lambda: here.page.click("#scheme-truncated_normal button"))
    assert "truncated_normal" in here.text("#address")
    assert "find=truncated" in here.page.url
    here.page.fill("#search", "lstm")
    here.page.click("#layer-lstm summary")
    assert "weight_hh" in here.text("#layer-lstm")
    here.axe()
    here.do(lambda: here.page.click("#layer-lstm button"))
    assert here.page.input_value("#layer") == "lstm"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_opened_everywhere(visit: Callable[..., Visit], size: tuple[int, int]) -> None:
    """With everything unfolded nothing sticks out or is too small to touch; axe is content."""
    here = visit(size).open("?what=layer&layer=transformer_encoder_layer&framework=keras&p.gain=2")
    here.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    here.page.wait_for_timeout(300)
    here.fits()
    here.axe()
    small = here.page.evaluate(
        """() => [...document.querySelectorAll("button, select, input:not([type=radio])")]
          .filter((one) => one.checkVisibility())
          .filter((one) => one.getBoundingClientRect().height < 24)
          .map((one) => one.outerHTML)"""
    )
    assert small == []


def test_a_model(visit: Callable[..., Visit]) -> None:
    """A preset is drawn as the service has it; any of its tensors can be looked at and changed."""
    here = visit().open("?what=model&preset=lenet5&seed=3")
    here.do(lambda: here.page.select_option("#dtype", "BF16"))
    etag = here.text("#facts").split("ETag")[1].split()[0]
    target = here.page.get_attribute("#address", "href")
    assert target == f"{here.url}/v1/models/lenet5/model.safetensors?seed=3&dtype=BF16"
    assert httpx.head(target).headers["etag"] == f'"{etag}"'
    here.do(lambda: here.page.select_option("#dtype", "F32"))
    target = f"{here.url}/v1/models/lenet5/model.safetensors?seed=3"
    assert here.page.get_attribute("#address", "href") == target
    answer = httpx.get(target, timeout=PATIENCE_SECONDS).raise_for_status()
    tensors = dict(deserialize(answer.content))
    offered = here.page.eval_on_selector_all("#tensor option", "all => all.map((one) => one.value)")
    assert sorted(offered) == sorted(tensors)
    name = next(one for one in offered if one.endswith("bias"))
    here.do(lambda: here.page.select_option("#tensor", name))
    values = np.frombuffer(tensors[name]["data"], np.float32)
    assert rows(here)["σ"][0] == pytest.approx(values.std(), rel=1e-3)
    here.do(lambda: here.page.select_option("#scheme", "ones"))
    assert "Every one of these values is 1" in here.text("#headline")
    assert f"tensor={name}" in here.page.url
    here.axe()


def test_service_without_models(visit: Callable[..., Visit]) -> None:
    """A service that has no models offers none, and a link to one shows a tensor instead."""
    here = visit()
    here.expect("status of 404")
    here.page.route("**/v1/models", lambda route: route.fulfill(status=404, body="{}"))
    here.open("?what=model&preset=lenet5")
    assert here.page.is_hidden("#what-model")
    assert here.page.is_checked('[value="tensor"]')


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_compare(visit: Callable[..., Visit], size: tuple[int, int]) -> None:
    """Schemes are compared layer by layer; plots and tables say what the service's answer says."""
    here = visit(size).open(
        "?c.depth=6&c.width=64&c.seeds=3&c.schemes=he_normal+normal%3Astd%3D0.01",
        "#compared figure",
    )
    body = {
        "schemes": ["he_normal", {"scheme": "normal", "std": 0.01}],
        "network": {"depth": 6, "width": 64},
        "seeds": 3,
    }
    said = httpx.post(f"{here.url}/v1/compare", json=body, timeout=PATIENCE_SECONDS)
    result = said.raise_for_status().json()
    assert here.page.locator("#compared .legend li").count() == 2
    first = here.page.locator("#compared figure").first
    here.page.wait_for_selector("#compared canvas")
    first.locator("summary").click()
    metric = next(one for one in result["metrics"] if one["title"] in first.inner_text())
    cells = first.locator("tbody tr").nth(-1).inner_text().split("\t")
    for cell, scheme in zip(cells[1:], result["schemes"], strict=True):
        column = scheme["columns"][metric["name"]]
        assert number(cell.split(" (")[0]) == pytest.approx(column["value"][-1], rel=2e-2)
    here.fits()
    here.axe()
    here.page.click("#compared > details > summary")
    here.until(f"document.querySelectorAll('#compared figure').length === {len(result['metrics'])}")
    here.fits()


def test_comparison_by_hand(visit: Callable[..., Visit]) -> None:
    """Schemes are added and taken out, mistakes are shown, and work that goes on can be stopped."""
    here = visit().open()
    here.page.wait_for_selector("#compare:not([hidden])")
    here.page.fill("#compare-add", "orthogonal:gain=1.5")
    here.page.keyboard.press("Enter")
    here.page.click("[aria-label='Take he_uniform out']")
    chips = here.page.eval_on_selector_all("[data-scheme]", "a => a.map((b) => b.dataset.scheme)")
    assert chips == ["he_normal", "glorot_uniform", "orthogonal:gain=1.5"]
    assert "orthogonal" in here.page.url
    here.page.fill("#compare-depth", "0")
    here.page.click("#compare-run")
    here.page.wait_for_selector("#compare-problem:not([hidden])")
    assert here.page.get_attribute("#compare-depth", "aria-invalid") == "true"
    here.expect("status of 422")
    here.page.fill("#compare-depth", "30")
    here.page.fill("#compare-width", "256")
    here.page.fill("#compare-seeds", "8")
    here.page.click("#compare-run")
    here.page.wait_for_selector("#compare-cancel:not([hidden])")
    here.page.click("#compare-cancel")
    here.page.wait_for_selector("#compare-progress", state="hidden")
    assert "Cancelled" in here.text("#compare-status")
    for name, value in (("depth", "3"), ("width", "32"), ("seeds", "2")):
        here.page.fill(f"#compare-{name}", value)
    here.page.click("#compare-run")
    here.page.wait_for_selector("#compared figure canvas")
    assert here.page.is_hidden("#compare-problem")


def test_advice(visit: Callable[..., Visit]) -> None:
    """The question of which scheme is answered at once, with why, and leads to its weights."""
    here = visit().open()
    here.page.locator("#which").scroll_into_view_if_needed()
    here.page.wait_for_selector("#advice .answer")
    query = {"layer": "linear", "activation": "tanh", "norm": "none", "residual": "false"}
    advice = httpx.get(f"{here.url}/v1/advise", params=query).raise_for_status().json()
    with here.page.expect_response(re.compile("/v1/advise")):
        here.page.select_option("#advise-activation", "tanh")
    text = json.dumps(advice["normal_or_uniform"])
    here.until(f"document.querySelector('#advice').textContent.includes({text})")
    assert "a.activation=tanh" in here.page.url
    here.axe()
    here.do(lambda: here.page.click("#advice .answer button"))
    init = advice["init"]
    scheme = init if isinstance(init, str) else init["scheme"]
    assert f"/v1/tensors/{scheme}/" in here.page.get_attribute("#address", "href")


def test_a_layer_without_parameters(visit: Callable[..., Visit]) -> None:
    """Where nothing is stored the page says so, and the file is still there to be taken."""
    here = visit().open("?what=layer&layer=instance_norm&layer.affine=false")
    assert "There is no tensor to look at" in here.text("#draw-problem")
    assert "0 in 0 tensors" in here.text("#facts")
    answer = httpx.get(here.page.get_attribute("#address", "href")).raise_for_status()
    assert deserialize(answer.content) == []
