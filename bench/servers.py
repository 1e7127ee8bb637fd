"""Servers for benchmarks, each in its own directory and on a free port, and how to run commands."""

import contextlib
import glob
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target" / "peers"
PRODUCT = ROOT / "target" / "dist" / "autoreceive"
PEERS = TARGET / "rust" / "release" / "peers"

REDIS_SETTINGS = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
# The same durability as Redis with everysec (the answer does not wait for the disk), enough memory,
# no checkpoint during a benchmark.
POSTGRES_SETTINGS = {
    "shared_buffers": "1GB",
    "synchronous_commit": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
}
NPM = ["bullmq@6.7.0", "ioredis@5.11.1"]
# The longest time for one benchmark.
WITHIN_SECONDS = 300


def run(*command, cwd=ROOT, **more):
    """Runs a command and returns its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS * 6,
        **more,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done.stdout


def figures(*command, cwd=ROOT):
    """Runs a benchmark. Its last line of output is one JSON object."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def prepare(peers=True):
    """Builds and installs missing programs, into target/ only."""
    say("building autoreceive")
    run("cargo", "build", "--profile", "dist", "--quiet")
    if not peers:
        return
    say("building the peers in Rust")
    run(
        "cargo",
        "build",
        "--release",
        "--quiet",
        "--locked",
        cwd=ROOT / "bench" / "peers" / "rust",
        env={**os.environ, "CARGO_TARGET_DIR": str(TARGET / "rust")},
    )
    installed = [TARGET / "node_modules" / name.split("@")[0] / "package.json" for name in NPM]
    if [
        f"{json.loads(file.read_text())['name']}@{json.loads(file.read_text())['version']}"
        for file in installed
        if file.exists()
    ] != NPM:
        say(f"installing {' '.join(NPM)}")
        run(
            "npm",
            "install",
            "--no-save",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            *NPM,
            cwd=TARGET,
        )


def say(text):
    print(f"· {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def redis_server():
    """A Redis server for one benchmark. Yields its port."""
    with tempfile.TemporaryDirectory(prefix="autoreceive-bench-") as directory:
        port = free_port()
        command = [
            "redis-server",
            "--port",
            port,
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
            "--logfile",
            "log",
            *REDIS_SETTINGS,
        ]
        server = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(
                lambda: (
                    subprocess.run(
                        ["redis-cli", "-p", str(port), "ping"], capture_output=True, text=True
                    ).stdout
                    == "PONG\n"
                ),
                server,
            )
            yield port
        finally:
            end(server)


@contextlib.contextmanager
def postgres_server(**settings):
    """A PostgreSQL server for one benchmark. Yields its address and the id of its first process."""
    with tempfile.TemporaryDirectory(prefix="autoreceive-bench-") as directory:
        root = os.geteuid() == 0
        as_user = {}
        if root:
            # PostgreSQL refuses to run as root. Debian's package has created a user for it.
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data, port = Path(directory) / "data", free_port()
        run(
            postgres_binary("initdb"),
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
            data,
            cwd=directory,
            **as_user,
        )
        given = [
            part
            for name, value in {**POSTGRES_SETTINGS, **settings}.items()
            for part in ("-c", f"{name}={value}")
        ]
        command = [
            postgres_binary("postgres"),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-p",
            port,
            "-D",
            data,
            *given,
        ]
        server = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_user,
        )
        try:
            ready = [
                str(part) for part in (postgres_binary("pg_isready"), "-h", "127.0.0.1", "-p", port)
            ]
            wait_until(lambda: subprocess.run(ready, capture_output=True).returncode == 0, server)
            yield f"postgres://postgres@127.0.0.1:{port}/postgres", server.pid
        finally:
            end(server, signal=3)


def postgres_binary(name):
    # Debian does not put these programs on the PATH.
    found = shutil.which(name) or next(
        iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None
    )
    if not found:
        raise RuntimeError(f"{name} is missing; install PostgreSQL (Debian: postgresql)")
    return found


def wait_until(ready, server):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        if ready():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{server.args[0]} did not start")


def end(server, signal=15):
    server.send_signal(signal)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def versions():
    """The versions that the programs report."""
    word = lambda text, at: text.split()[at]
    npm = dict(name.rsplit("@", 1) for name in NPM)
    lock = (ROOT / "bench" / "peers" / "rust" / "Cargo.lock").read_text()
    crate = lambda name: lock.split(f'name = "{name}"\nversion = "')[1].split('"')[0]
    node = run("node", "--version").strip()
    return {
        "autoreceive": word(run(PRODUCT, "--version"), 1),
        "Redis": word(run("redis-server", "--version"), 2).removeprefix("v="),
        "PostgreSQL": word(run(postgres_binary("postgres"), "--version"), 2),
        "BullMQ": f"{npm['bullmq']} (ioredis {npm['ioredis']}, Node {node})",
        "apalis-redis": crate("apalis-redis"),
        "sqlx": crate("sqlx"),
    }


def machine():
    """Facts about the machine."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in open("/proc/cpuinfo")
            if line.startswith("model name")
        ),
        "unknown",
    )
    memory = next(
        int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal")
    )
    return {
        "cores": os.cpu_count(),
        "processor": cpu,
        "memory": f"{memory / 2**20:.0f} GiB",
        "kernel": f"{os.uname().sysname} {os.uname().release.split('-')[0]}",
    }


def median(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
