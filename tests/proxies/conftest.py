"""The documented configurations of proxies, run in front of a server of the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
import trustme

from tests.readers.serving import PATIENCE, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
CONFIGURATIONS = HERE.parents[1] / "docs" / "proxies"
READ_TIMEOUT = "1s"
MAIN = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/proxy.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    include {folder}/site.conf;
}}
"""


@dataclass(frozen=True)
class Proxied:
    """A server and the proxy before it."""

    server: Server
    port: int
    authority: trustme.CA

    def trust(self) -> ssl.SSLContext:
        """Return a context of its own for each client, since clients write into it which protocols they speak."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    @property
    def client(self) -> httpx2.Client:
        """Return a client of the proxy, by HTTP/2."""
        url = f"https://localhost:{self.port}"
        return httpx2.Client(base_url=url, verify=self.trust(), http2=True, timeout=30, trust_env=False)


def found(program: str) -> str:
    """Return where a program is, or skip."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def nginx(folder: Path, *, port: int, upstream: int) -> list[str]:
    """Write the documented file with addresses of the test and a short read timeout; return the command."""
    site = (CONFIGURATIONS / "nginx.conf").read_text()
    for documented, here in {
        "127.0.0.1:8000": f"127.0.0.1:{upstream}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/example.com.pem": f"{folder}/certificate.pem",
        "/etc/ssl/example.com.key": f"{folder}/key.pem",
        "server_name example.com": "server_name localhost",
        "proxy_read_timeout 75s": f"proxy_read_timeout {READ_TIMEOUT}",
    }.items():
        assert documented in site
        site = site.replace(documented, here)
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    return [found("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, *, port: int, upstream: int) -> list[str]:
    """Write the documented file with this test's addresses; return the command."""
    site = (CONFIGURATIONS / "Caddyfile").read_text()
    certificate = f"bind 127.0.0.1\n\ttls {folder}/certificate.pem {folder}/key.pem"
    for documented, here in {
        "example.com {": f"https://localhost:{port} {{\n\t{certificate}",
        "127.0.0.1:8000": f"127.0.0.1:{upstream}",
    }.items():
        assert documented in site
        site = site.replace(documented, here)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{site}")
    return [found("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def proxied(name: str, folder: Path, server: Server) -> Iterator[Proxied]:
    """Run a proxy before a server."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "certificate.pem", append=True)
    port = free_port()
    command = PROXIES[name](folder, port=port, upstream=server.port)
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until_it_listens(port, process, folder)
        yield Proxied(server, port, authority)
    finally:
        process.terminate()
        process.wait(20)


def until_it_listens(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until connections are taken."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "output.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError((folder / "output.log").read_text())


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A documented proxy before a server that pings three times a second."""
    found(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    server = Server(folder, home=HERE)
    try:
        with proxied(request.param, folder, server) as running:
            yield running
    finally:
        server.kill()
