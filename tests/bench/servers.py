"""The two servers that are compared, each one process over the same PostgreSQL with the same settings."""

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import yaml

from tests.house import MADOGUCHI, OPEN_HOUSE, free_port
from tests.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
SYNAPSE_VENV = ROOT / "build" / "bench-venv"
SYNAPSE = ["matrix-synapse==1.163.2", "psycopg2-binary"]
SERVER_NAME = "bench.test"
# What a machine for this would have; the point is that both have the same. fsync and synchronous_commit stay on.
POSTGRES = {"shared_buffers": "256MB", "max_wal_size": "4GB", "wal_compression": "on"}


class Server:
    """A homeserver as one process. Subclasses say how it is configured and started."""

    name = "?"

    def __init__(self, directory: Path, postgres: Postgres) -> None:
        self.directory = directory / self.name
        self.directory.mkdir()
        self.postgres = postgres
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.as_token = secrets.token_hex(16)
        self.registration = self.directory / "registration.yaml"
        self.registration.write_text(
            yaml.safe_dump(
                {
                    "id": "bench",
                    "url": None,
                    "as_token": self.as_token,
                    "hs_token": secrets.token_hex(16),
                    "sender_localpart": "bench",
                    "rate_limited": False,
                    "namespaces": {"users": [{"regex": "@idle-.*", "exclusive": True}], "rooms": [], "aliases": []},
                }
            )
        )
        self.prepare()

    def prepare(self) -> None: ...

    def command(self, *, with_appservice: bool) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    def start(self, *, with_appservice: bool = False) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the end of its log."""
        command, env = self.command(with_appservice=with_appservice)
        log_path = self.directory / "stdout.log"
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.directory, env=_clean_environment() | env
            )
        ends = time.monotonic() + 90
        while not answers(self.base_url):
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{self.name} did not start:\n{log_path.read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def cpu_s(self) -> float:
        """CPU seconds that the server process has used since its start (PostgreSQL not counted)."""
        assert self.process is not None
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Resident memory of the server process in MB."""
        assert self.process is not None
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


class Ours(Server):
    """One `madoguchi serve`."""

    name = "madoguchi"

    def prepare(self) -> None:
        self.env = OPEN_HOUSE | {
            "MADOGUCHI_DATABASE_URL": self.postgres.create("ours"),
            "MADOGUCHI_DATA": str(self.directory / "data"),
            "MADOGUCHI_SERVER_NAME": SERVER_NAME,
            "MADOGUCHI_LOG_LEVEL": "warning",
        }
        env = _clean_environment() | self.env
        subprocess.run([MADOGUCHI, "migrate"], check=True, env=env, stdout=subprocess.DEVNULL)

    def command(self, *, with_appservice: bool) -> tuple[list[str], dict[str, str]]:
        env = dict(self.env)
        if with_appservice:
            env["MADOGUCHI_APPSERVICES"] = str(self.registration)
        command = [MADOGUCHI, "serve", "--listen", f"127.0.0.1:{self.port}"]
        if profile := os.environ.get("BENCH_PROFILE"):
            command = [sys.executable, "-m", "cProfile", "-o", profile, *command]
        return command, env


class Synapse(Server):
    """Synapse from PyPI as a single process, everything off that the comparison does not need."""

    name = "synapse"

    def prepare(self) -> None:
        install_synapse()
        self.postgres.create("synapse", "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        for with_appservice in (False, True):
            self._config(with_appservice).write_text(yaml.safe_dump(self._settings(with_appservice)))
        (self.directory / "log.yaml").write_text(
            yaml.safe_dump(
                {
                    "version": 1,
                    "handlers": {"console": {"class": "logging.StreamHandler"}},
                    "root": {"level": "ERROR", "handlers": ["console"]},
                    "disable_existing_loggers": False,
                }
            )
        )
        generate = [str(SYNAPSE_VENV / "bin" / "python"), "-m", "synapse.app.homeserver", "--generate-keys"]
        subprocess.run([*generate, "-c", str(self._config(False))], check=True, stdout=subprocess.DEVNULL)

    def _config(self, with_appservice: bool) -> Path:
        return self.directory / ("homeserver-as.yaml" if with_appservice else "homeserver.yaml")

    def _settings(self, with_appservice: bool) -> dict[str, object]:
        unlimited = {"per_second": 1e6, "burst_count": 1_000_000}
        return {
            "server_name": SERVER_NAME,
            "pid_file": str(self.directory / "pid"),
            "listeners": [
                {
                    "port": self.port,
                    "bind_addresses": ["127.0.0.1"],
                    "type": "http",
                    "tls": False,
                    "resources": [{"names": ["client"], "compress": False}],
                }
            ],
            "database": {
                "name": "psycopg2",
                "args": {
                    "dbname": "synapse",
                    "user": "postgres",
                    "host": str(self.postgres.sockets),
                    "cp_min": 5,
                    "cp_max": 10,
                },
            },
            "log_config": str(self.directory / "log.yaml"),
            "media_store_path": str(self.directory / "media"),
            "signing_key_path": str(self.directory / "signing.key"),
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "report_stats": False,
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "bcrypt_rounds": 12,
            "presence": {"enabled": False},
            "stats": {"enabled": False},
            "user_directory": {"enabled": False},
            "caches": {"sync_response_cache_duration": "0s"},
            "app_service_config_files": [str(self.registration)] if with_appservice else [],
            "rc_message": unlimited,
            "rc_registration": unlimited,
            "rc_room_creation": unlimited,
            "rc_login": {"address": unlimited, "account": unlimited, "failed_attempts": unlimited},
            "rc_joins": {"local": unlimited, "remote": unlimited},
            "rc_joins_per_room": unlimited,
            "rc_invites": {"per_room": unlimited, "per_user": unlimited, "per_issuer": unlimited},
        }

    def command(self, *, with_appservice: bool) -> tuple[list[str], dict[str, str]]:
        python = str(SYNAPSE_VENV / "bin" / "python")
        return [python, "-m", "synapse.app.homeserver", "-c", str(self._config(with_appservice))], {}


def install_synapse() -> None:
    """Put Synapse into an environment of its own (wheels only); quick when it is there already."""
    python = SYNAPSE_VENV / "bin" / "python"
    if not python.exists():
        print("bench: making an environment for Synapse …", flush=True)
        # The same interpreter for both sides: builds differ in speed by a factor of two.
        subprocess.run([sys._base_executable, "-m", "venv", str(SYNAPSE_VENV)], check=True)  # type: ignore[attr-defined]
    wanted = SYNAPSE[0].split("==")
    check = f"import importlib.metadata as m, psycopg2; assert m.version({wanted[0]!r}) == {wanted[1]!r}"
    if subprocess.run([str(python), "-c", check], check=False, capture_output=True).returncode != 0:
        print(f"bench: installing {SYNAPSE[0]} …", flush=True)
        install = [str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", *SYNAPSE]
        subprocess.run(install, check=True)


def answers(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/_matrix/client/versions", timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("MADOGUCHI_")}
