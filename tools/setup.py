"""Sets up what was asked for and is not there yet: `setup.py venv web browser`. Standard library only.

Each step keeps a stamp, the hash of all it depends on, and is skipped when nothing has changed.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
VENV = TOP / ".venv"
WEB = TOP / "client-web"
STAMPS = TOP / "build" / "stamps"
LOCK = TOP / "requirements.lock"


def main(steps: list[str]) -> None:
    os.chdir(TOP)
    STAMPS.mkdir(parents=True, exist_ok=True)
    with (STAMPS / "lock").open("w") as lock:
        # Two `make` at once must not install into each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for step in steps:
            STEPS[step]()


def venv() -> None:
    """.venv with every package of requirements.lock and this project, editable."""
    with step("Python environment", "venv", [LOCK, TOP / "pyproject.toml"], made=VENV / "bin" / "madoguchi") as needed:
        if not needed:
            return
        python = VENV / "bin" / "python"
        if not python.exists():
            say(f"new environment in .venv from {sys.executable} ({sys.version.split()[0]})")
            run([sys.executable, "-m", "venv", str(VENV)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
        newer_pip = STAMPS / "pip.txt"
        newer_pip.write_text(locked("pip"))
        # The pip that comes with a Python may be years older than the packages it is to install.
        run([*pip, "-q", "--require-hashes", "-r", str(newer_pip)], quiet=True)
        say("packages of requirements.lock (a few hundred megabytes the first time)")
        show = "on" if sys.stdout.isatty() else "off"
        # Wheels by their hashes; atomicwrites has none, only its (equally hashed) source.
        wheels = ["--only-binary", ":all:", "--no-binary", "atomicwrites"]
        shown = ("Collecting ", "Downloading ", "Installing ")
        run([*pip, "--progress-bar", show, "--require-hashes", *wheels, "-r", str(LOCK)], keep=shown)
        say("madoguchi itself")
        run([*pip, "-q", "--no-deps", "--no-build-isolation", "-e", "."])


def web() -> None:
    """client-web/dist, built with the packages of package-lock.json."""
    if not (WEB / "package.json").exists():
        return
    with step(
        "web packages", "npm", [WEB / "package.json", WEB / "package-lock.json"], made=WEB / "node_modules"
    ) as needed:
        if needed:
            say("npm ci (a few hundred packages)")
            npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    sources = sorted(
        path
        for path in WEB.rglob("*")
        if path.is_file() and not {"node_modules", "dist", "tests"} & set(path.relative_to(WEB).parts)
    )
    with step("web client", "web", sources, made=WEB / "dist" / "index.html") as needed:
        if needed:
            say("vite build")
            npm("run", "build", "--silent")


def browser() -> None:
    """A Chromium for the tests, and fonts that can show Japanese."""
    with step("browser", "browser", [], made=None) as _:
        found = find_chromium()
        if not found and is_root_on_debian():
            say("Chromium with apt")
            apt("chromium")
            found = find_chromium()
        if not found:
            say("Chromium with Playwright's installer")
            run([str(VENV / "bin" / "playwright"), "install", "chromium"], check=False)
            found = find_chromium()
        if not found:
            sys.exit(
                "No Chromium was found, and neither apt nor Playwright's installer could bring one. "
                "Install Chromium or Chrome so that `chromium` is in the PATH."
            )
        (STAMPS / "chromium").write_text(found + "\n")
        if not has_japanese_font():
            if is_root_on_debian():
                say("Japanese fonts with apt")
                apt("fonts-noto-cjk")
            if not has_japanese_font():
                say("warning: no Japanese font was found; pages will show boxes. Install fonts-noto-cjk.")
        say(found)


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome in the PATH, else of the one that Playwright has installed."""
    for name in ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"):
        if path := shutil.which(name):
            return path
    script = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    asked = subprocess.run([VENV / "bin" / "python", "-c", script], capture_output=True, text=True, check=False)
    path = asked.stdout.strip()
    return path if path and Path(path).exists() else None


def has_japanese_font() -> bool:
    if not shutil.which("fc-list"):
        return any(Path("/usr/share/fonts").rglob("*CJK*")) if Path("/usr/share/fonts").is_dir() else False
    return bool(subprocess.run(["fc-list", ":lang=ja"], capture_output=True, check=False).stdout.strip())


def is_root_on_debian() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt(*packages: str) -> None:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if run(command, check=False, quiet=True, env=environ) != 0:
        run(["apt-get", "update", "-q"], check=False, quiet=True, env=environ)
        run(command, check=False, env=environ)


def locked(package: str) -> str:
    """The lines of requirements.lock about one package."""
    lines = LOCK.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n"


def npm(*words: str) -> None:
    run(["sh", str(TOP / "tools" / "npm.sh"), *words])


# -- how a step is shown, timed and remembered ---------------------------------------------------------------------


@contextlib.contextmanager
def step(title: str, name: str, inputs: Iterable[Path], made: Path | None) -> Iterator[bool]:
    """Gives whether the step is needed; remembers its inputs once the block has ended well."""
    stamp = STAMPS / name
    wanted = fingerprint(inputs)
    if made is not None and made.exists() and stamp.exists() and stamp.read_text() == wanted:
        yield False
        return
    started = time.monotonic()
    print(f"== {title}", flush=True)
    # A step that is broken off must not look done.
    stamp.unlink(missing_ok=True)
    yield True
    stamp.write_text(wanted)
    print(f"   {time.monotonic() - started:.0f} s", flush=True)


def fingerprint(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256(str(TOP).encode())
    for path in paths:
        digest.update(
            str(path.relative_to(TOP)).encode() + b"\0" + (path.read_bytes() if path.exists() else b"") + b"\0"
        )
    return digest.hexdigest()


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def run(
    command: list[str],
    *,
    check: bool = True,
    quiet: bool = False,
    keep: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
) -> int:
    """Run a command; show all of its output, or none (`quiet`), or the lines that begin with one of `keep`."""
    if keep and not sys.stdout.isatty():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert process.stdout is not None
        count = 0
        for line in process.stdout:
            if line.strip().startswith(keep):
                count += 1
                if count % 25 == 1 or "Installing" in line:
                    say(line.strip().partition(" (from ")[0][:100])
        code = process.wait()
    else:
        code = subprocess.run(command, check=False, env=env, stdout=subprocess.DEVNULL if quiet else None).returncode
    if code != 0 and check:
        sys.exit(f"failed (exit {code}): {' '.join(command)[:200]}")
    return code


STEPS: dict[str, Callable[[], None]] = {"venv": venv, "web": web, "browser": browser}

if __name__ == "__main__":
    main(sys.argv[1:])
