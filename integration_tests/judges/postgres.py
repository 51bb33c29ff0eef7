"""A temporary PostgreSQL server on loopback."""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager


class Postgres:
    """A running server; `port` on 127.0.0.1, user and database `criteo`, no password."""

    def __init__(self, programs, port):
        self.programs = programs
        self.port = port

    def ask(self, query):
        """A query's rows as lists of strings."""
        command = [f"{self.programs}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "criteo", "-d", "criteo",
                   "-v", "ON_ERROR_STOP=1", "-At", "-F", "\t", "-c", query]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        return [line.split("\t") for line in answer.stdout.splitlines()]


@contextmanager
def postgres():
    """Starts a server. PostgreSQL refuses to run as root, which then uses the Debian package's user."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
    owner = "postgres" if os.geteuid() == 0 else None
    folder = tempfile.mkdtemp(prefix="criteo-postgres-")
    if owner:
        os.chown(folder, pwd.getpwnam(owner).pw_uid, -1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(program, *arguments):
        subprocess.run([f"{programs}/{program}", *arguments], check=True, user=owner, cwd=folder,
                       stdout=subprocess.DEVNULL)

    options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories= -c fsync=off"
    try:
        run("initdb", "-D", f"{folder}/data", "-U", "criteo", "-A", "trust", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "criteo", "criteo")
            yield Postgres(programs, port)
        finally:
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
