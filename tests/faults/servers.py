"""
Private databases and brokers on free ports, from Debian's packages.

Their data is in a temporary folder. They do not sync to disk, because only processes
die in these tests, and never the machine.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.processes import Process, free_port, wait_for

START_SECONDS = 120


class MissingServerError(Exception):
    """Say which Debian package is missing."""


class Server:
    """A private server, which keeps its port when it restarts."""

    package = ""
    user: str | None = None
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.folder.mkdir(parents=True)
        self.process: Process | None = None
        if self.run_as:
            shutil.chown(self.folder, self.run_as, self.run_as)

    @property
    def run_as(self) -> str | None:
        return self.user if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def env(self) -> dict[str, str]:
        return dict(os.environ)

    def install(self) -> None:
        """Create the server's files before its first start."""

    def is_listening(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def is_ready(self) -> bool:
        return self.is_listening()

    def start(self) -> None:
        # The log is not in the server's folder, which may belong to another user.
        log = self.folder.parent / f"{self.folder.name}.log"
        self.process = Process(
            self.command, log=log, env=self.env, cwd=self.folder, user=self.run_as
        )
        wait_for(f"{self.package} to answer", self.is_ready_or_dead, START_SECONDS)
        if not self.process.is_running:
            raise RuntimeError(f"{self.package} ended.\n{self.process.tail()}")

    def is_ready_or_dead(self) -> bool:
        return self.is_ready() or not (self.process and self.process.is_running)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop(self.stop_signal)
            self.wait_for_end()

    def kill(self) -> None:
        """Kill the server, so that it cannot save anything."""
        if self.process is not None:
            self.process.kill()
            self.wait_for_end()

    def wait_for_end(self) -> None:
        # Children may take a moment longer to end than the server itself.
        name = f"{self.package} to end"
        wait_for(name, lambda: not self.is_listening(), START_SECONDS)

    def run(self, *arguments: str) -> None:
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            user=self.run_as,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]}: {done.stdout}{done.stderr}")

    def find(self, name: str, *places: str) -> str:
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *places])
        found = shutil.which(name, path=path)
        if found is None:
            raise MissingServerError(
                f"{name} is not on this machine: apt-get install {self.package}, "
                "or set DATABASE_URL and CELERY_BROKER_URL."
            )
        return found


class PostgreSQL(Server):
    package = "postgresql"
    user = "postgres"
    # SIGTERM would wait until all clients have disconnected.
    stop_signal = signal.SIGINT

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def find(self, name: str, *places: str) -> str:
        folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
        return super().find(name, *folders[::-1], *places)

    def install(self) -> None:
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8")
        data = str(self.folder / "data")
        self.run(
            self.find("initdb"), *options, "--locale=C.UTF-8", "--no-sync", "-D", data
        )

    @property
    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "400",
            "fsync": "off",
        }
        options = [f"-c{name}={value}" for name, value in settings.items()]
        return [self.find("postgres"), "-D", str(self.folder / "data"), *options]

    def is_ready(self) -> bool:
        import psycopg

        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=1):
            return True
        return False


class MariaDB(Server):
    package = "mariadb-server"
    user = "mysql"

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/mysql"

    def install(self) -> None:
        self.run(
            self.find("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    @property
    def command(self) -> list[str]:
        return [
            self.find("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            # Servers are often in another time zone than Django.
            "--default-time-zone=+05:30",
        ]

    def is_ready(self) -> bool:
        import MySQLdb

        try:
            MySQLdb.connect("127.0.0.1", "root", port=self.port).close()
        except MySQLdb.Error:
            return False
        return True


class Redis(Server):
    package = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        # Without persistence, so that a restart loses everything.
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        place = ["--port", str(self.port), "--dir", str(self.folder)]
        return [self.find("redis-server"), *options, *place]


class RabbitMQ(Server):
    package = "rabbitmq-server"
    user = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.epmd: Process | None = None
        self.epmd_port, self.dist_port = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def env(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **os.environ,
            "HOME": folder,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"button{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            # Without these options, idle schedulers use the processor.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }

    @property
    def command(self) -> list[str]:
        # Debian's wrapper in PATH starts the server as another user, and we could not
        # send it signals.
        return [self.find_own("rabbitmq-server")]

    def find_own(self, name: str) -> str:
        path = Path("/usr/lib/rabbitmq/bin") / name
        return str(path) if path.exists() else self.find(name)

    def control(self, *arguments: str) -> None:
        self.run(self.find_own("rabbitmqctl"), *arguments)

    def start(self) -> None:
        # Erlang's name server. RabbitMQ would start one that outlives the tests.
        self.epmd = Process(
            [self.find("epmd"), "-port", str(self.epmd_port)],
            log=self.folder.parent / f"{self.folder.name}-epmd.log",
            env=self.env,
            user=self.run_as,
        )
        super().start()

    def stop(self) -> None:
        super().stop()
        if self.epmd is not None:
            self.epmd.stop()

    def kill(self) -> None:
        super().kill()
        if self.epmd is not None:
            self.epmd.stop()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder that servers which run as other users can read."""
    with tempfile.TemporaryDirectory(
        prefix="servers-", ignore_cleanup_errors=True
    ) as path:
        folder = Path(path)
        folder.chmod(0o755)
        yield folder


def unused_folder(parent: Path, kind: str) -> Path:
    """Return the path of a new folder, for one more server of a kind."""
    return parent / f"{kind}-{secrets.token_hex(4)}"


SERVERS: dict[str, type[Server]] = {
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "redis": Redis,
    "rabbitmq": RabbitMQ,
}


def start(kind: str, folder: Path) -> Server:
    """Start a private server. Raises ``MissingServerError`` if it is not installed."""
    server_class = SERVERS[kind]
    if server_class.user and os.geteuid() == 0:
        try:
            pwd.getpwnam(server_class.user)
        except KeyError as exc:
            raise MissingServerError(f"Install {server_class.package}.") from exc
    server = server_class(folder)
    server.install()
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server
