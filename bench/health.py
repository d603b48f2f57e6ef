"""What the health page costs, as the log grows: its data, a switch to it, and a whole reload.

    python -m bench.health [--quick]

A hub of 50 connections with 60 days of hourly figures, once with 10,000 and once with 1,000,000 rows in the
log. `first` is the first reading after a start, `next` each one that follows (the page refreshes itself every
5 s). Medians; a ratio near 1 says that the log's length does not matter. --quick: no browser, 100,000 rows.
In the browser the clock is the page's own, looked at in every frame: Playwright looks again after half a second.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from playwright.sync_api import Page

from bench import hubs
from core import health
from core.access import LOCAL
from core.health import figures
from core.storage import db
from tests.support.live import Live, chromium, reserved_port, served

RANGES = {"24h": 24, "7d": 168, "30d": 720}
SHORT, LONG = 10_000, 1_000_000
DATA_ROUNDS, PAGE_ROUNDS = 9, 7
#: the promises, in ms; the last one as a factor
DATA_MS, SWITCH_MS, RELOAD_TIMES, LENGTH_TIMES = 100, 400, 4, 1.2
BLANK = "import streamlit as st\nst.text('blank')\n"
LAST = ", again every"
#: Milliseconds since `began` (0: since the reload) when the text is there, nothing is left of the page before,
#: every chart is drawn, and the script on the server has ended.
WATCH = """
window.until = (text, began) => new Promise(done => {
  const has = selector => document.querySelector(selector) !== null
  const charts = () => [...document.querySelectorAll('[data-testid="stVegaLiteChart"]')]
  const look = () => {
    const there = document.body !== null && document.body.textContent.includes(text)
      && !has('[data-stale="true"], [data-testid="stSkeleton"]')
      && has('[data-testid="stApp"][data-test-script-state="notRunning"]')
      && charts().every(chart => chart.querySelector('canvas, svg.marks'))
    there ? done(performance.now() - began) : requestAnimationFrame(look)
  }
  look()
})
window.press = (name, text) => {
  const links = [...document.querySelectorAll('[data-testid="stSidebarNavLink"]')]
  const began = performance.now()
  links.find(link => link.textContent.includes(name)).click()
  return window.until(text, began)
}
"""
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def main() -> None:
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    print(f"This machine: {cores} cores, load {busy:.1f} before the first measurement")
    if busy > cores / 2:
        print("It is busy with something else: what follows is slower than the hub is.")
    long = SHORT * 10 if "--quick" in sys.argv else LONG
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        folder = Path(name)
        urls = {rows: built(folder / f"{rows}.db", rows) for rows in (SHORT, long)}
        data(urls)
        if "--quick" not in sys.argv:
            pages(urls[long], folder)


def built(path: Path, rows: int) -> str:
    began = time.perf_counter()
    url = hubs.build(path, rows)
    took, size = time.perf_counter() - began, path.stat().st_size / 1e6
    print(f"{rows:>9,} log rows written in {took:.0f} s, {size:.0f} MB", file=sys.stderr)
    return url


# --- the data -------------------------------------------------------------------------------------


def data(urls: dict[int, str]) -> None:
    short, long = urls
    print(f"\nData of the page, ms: {hubs.CONNECTIONS} connections, median of {DATA_ROUNDS}")
    print(f"{'range':>6} {'reading':>8} {f'{short:,} rows':>15} {f'{long:,} rows':>15} {'ratio':>6}")
    for name in RANGES:
        for reading in ("first", "next"):
            few, many = (statistics.median(taken) for taken in read(urls, name, reading).values())
            ok = many <= DATA_MS and many <= LENGTH_TIMES * few
            print(f"{name:>6} {reading:>8} {few:15.1f} {many:15.1f} {many / few:6.2f}  {_said(ok)}")


def read(urls: dict[int, str], name: str, reading: str) -> dict[int, list[float]]:
    """Milliseconds of each round by the log's length; in turns, so that what else the machine does falls on all."""
    taken: dict[int, list[float]] = {rows: [] for rows in urls}
    for _ in range(DATA_ROUNDS):
        for rows, url in urls.items():
            taken[rows].append(_read(url, RANGES[name], reading))
    return taken


def _read(url: str, hours: int, reading: str) -> float:
    db.configure(url)
    figures.forget()
    health.choices(LOCAL)  # opens the database, which is not what is measured
    if reading == "next":
        health.overview(LOCAL, hours)
    return _ms(lambda: health.overview(LOCAL, hours))


# --- in a browser ---------------------------------------------------------------------------------


def pages(url: str, folder: Path) -> None:
    browser = chromium()
    if browser is None:
        print("\nNo Chromium here; install it with: apt-get install chromium")
        return
    from playwright.sync_api import sync_playwright  # a package of the tests

    print(f"\nIn Chromium at 1440 × 900, ms: median of {PAGE_ROUNDS}")
    with served(url, folder) as live, _blank(folder) as blank, sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(WATCH)
        page.goto(blank.url)
        page.get_by_text("blank").wait_for(timeout=60_000)
        floor = _median(lambda: _reload(page, "blank"))
        print(f"  warm reload, a blank Streamlit page {floor:7.0f}")
        _sign_in(page, live)
        for name in RANGES:
            page.goto(f"{live.url}/?range={name}")
            _health(page)
            reload = _median(lambda: _reload(page, LAST))
            ok = reload <= RELOAD_TIMES * floor
            print(
                f"  warm reload, Health {name:>3}             {reload:7.0f}  {reload / floor:.1f} ×  {_said(ok)}"
            )
        switch = _median(lambda: _switch(page))
        print(f"  switch to Health in the app         {switch:7.0f}         {_said(switch <= SWITCH_MS)}")
        opened.close()


@contextmanager
def _blank(folder: Path) -> Iterator[Live]:
    """A Streamlit app with one line, as the floor that no page of Streamlit's goes below."""
    script, port, log = folder / "blank.py", reserved_port(), folder / "blank.log"
    script.write_text(BLANK)
    given = [f"--server.port={port}", "--server.headless=true", "--browser.gatherUsageStats=false"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *given]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        live = Live(f"http://127.0.0.1:{port}", port, log)
        try:
            _wait_until_alive(live)
            yield live
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_alive(live: Live) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{live.url}/_stcore/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit(f"The blank page did not come up: {live.log.read_text()}")


def _sign_in(page: "Page", live: Live) -> None:
    page.goto(live.url)
    page.get_by_label("E-mail").fill(hubs.EMAIL)
    page.get_by_label("Password").fill(hubs.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    _health(page)


def _health(page: "Page") -> None:
    page.get_by_text(LAST).wait_for(timeout=60_000)
    page.locator(IDLE).wait_for(state="attached", timeout=60_000)


def _reload(page: "Page", last: str) -> float:
    """Until the last element of the page is there, and the charts above it."""
    page.reload(wait_until="commit")
    return float(page.evaluate("last => window.until(last, 0)", last))


def _switch(page: "Page") -> float:
    page.get_by_role("link", name="Catalog").click()
    page.get_by_role("heading", name="Catalog").wait_for()
    page.locator(IDLE).wait_for(state="attached")
    page.wait_for_timeout(300)
    return float(page.evaluate("last => window.press('Health', last)", LAST))


def _median(measure: Callable[[], float]) -> float:
    measure()
    return statistics.median(measure() for _ in range(PAGE_ROUNDS))


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _said(ok: bool) -> str:
    return "kept" if ok else "NOT KEPT"


if __name__ == "__main__":
    main()
