"""matrix-js-sdk in Chromium goes through the same play as in Node (tests/matrix/talk.mjs): the browser's own
cryptography, network and WebAssembly."""

import asyncio
import json
import subprocess
from pathlib import Path

from playwright.async_api import Browser, Route

from tests.cast import Cast
from tests.clients import Shown
from tests.house import House
from tests.matrix.test_js_sdk import ROOT, node

MODULES = ROOT / "client-web" / "node_modules"
WASM = "pkg/matrix_sdk_crypto_wasm_bg.wasm"


def bundle(into: Path) -> None:
    """The play and the sdk as scripts for a browser, `talk.js` first."""
    command = [
        node(), str(MODULES / "rolldown" / "bin" / "cli.mjs"), str(ROOT / "tests" / "matrix" / "talk.mjs"),
        "--dir", str(into), "--format", "esm", "--platform", "browser",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "client-web", check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


async def test_two_people_and_their_devices(
    house: House, cast: Cast, browser: Browser, tmp_path: Path, shows: Shown
) -> None:
    await asyncio.to_thread(bundle, tmp_path)
    accounts = {name: (await cast.person(name)) for name in ("mio", "ken", "sato")}
    told = {name: person.login | {"password": person.password} for name, person in accounts.items()}
    stage = json.dumps({"baseUrl": house.base_url, "accounts": told})
    html = f"""<!doctype html><meta charset="utf-8"><script>
        globalThis.stage = {stage}; stage.say = (line) => tell(line);
        addEventListener("error", (event) => tell("FAILED " + event.message));
        addEventListener("unhandledrejection", (event) => tell("FAILED " + event.reason));
    </script><script type="module" src="/play/talk.js"></script>"""

    async def gives(route: Route) -> None:
        path = route.request.url.partition("/play/")[2]
        if path == "talk.html":
            await route.fulfill(body=html, content_type="text/html")
        elif (script := tmp_path / path).suffix == ".js" and script.is_file():
            await route.fulfill(path=script, content_type="text/javascript")
        elif path.endswith(WASM):
            wasm = MODULES / "@matrix-org" / "matrix-sdk-crypto-wasm" / WASM
            await route.fulfill(path=wasm, content_type="application/wasm")
        else:
            await route.fulfill(status=404)

    acts: asyncio.Queue[str] = asyncio.Queue()
    context = await browser.new_context()
    try:
        page = await context.new_page()
        await page.expose_function("tell", acts.put_nowait)
        await page.route("**/play/**", gives)
        await page.goto(f"{house.base_url}/play/talk.html")
        said: list[str] = []
        while not said or not (said[-1] == "done" or said[-1].startswith("FAILED")):
            said.append(await asyncio.wait_for(acts.get(), 120))
        assert said[-1] == "done", said
        shows.reported(*said[:-1])
    finally:
        await context.close()
