"""A running portal, as `plumbline up` starts it, and a client that behaves as a browser would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from plumbline.adapters.argon2 import Argon2Hasher
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.accounts import PostgresAccounts
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.redis_credentials import RedisCredentialCache
from plumbline.application.accounts import Accounts
from plumbline.domain.account import Role, Scope
from plumbline.errors import StoreUnavailable
from plumbline.local.reachable import portal_answers
from plumbline.local.servers.ports import free_port

PASSWORD = "correct horse battery staple"  # noqa: S105 - of users that live for one test
_READY_S = 30.0


@contextmanager
def open_accounts(database_url: str, redis_url: str | None) -> Iterator[Accounts]:
    """Yield users and tokens as the command line manages them."""
    database = Database(database_url, StoreUnavailable)
    cache = None if redis_url is None else RedisCredentialCache(redis_url)
    try:
        yield Accounts(PostgresAccounts(database, "cli:test"), cache, Argon2Hasher(), SystemClock())
    finally:
        database.close()
        if cache is not None:
            cache.close()


@dataclass(slots=True)
class PortalProcess:
    """`python -m plumbline.portal` on a free port; a context manager.

    Args:
        database_url, redis_url: What it works with.
        log_path: Where everything it writes goes.
        settings: Further environment, over defaults that suit tests: no rate limit.
    """

    database_url: str
    redis_url: str
    log_path: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None
    _accounts: Accounts | None = None
    _exit: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_path.read_text("utf-8")

    @property
    def pid(self) -> int:
        """Of the server, whose workers answer."""
        assert self._process is not None
        return self._process.pid

    @property
    def accounts(self) -> Accounts:
        """Its users and tokens, as the command line manages them."""
        assert self._accounts is not None
        return self._accounts

    def __enter__(self) -> Self:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PORTAL_HOST": "127.0.0.1",
            "PORTAL_PORT": str(self.port),
            "PORTAL_WORKERS": "1",
            "PORTAL_RATE_LIMIT": "0",
            "PORTAL_LOOPBACK_COOKIE": "true",
            **self.settings,
        }
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "plumbline.portal"], stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + _READY_S
        while not portal_answers(self.url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                msg = f"the portal does not answer: {self.log[-2000:]}"
                raise AssertionError(msg)
            time.sleep(0.02)
        self._accounts = self._exit.enter_context(open_accounts(self.database_url, self.redis_url))
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        self._exit.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def client(self, **options: Any) -> "Client":  # noqa: ANN401 - Client's own
        """Return a client without cookies."""
        return Client(self.url, **options)

    def signed_in(self, role: Role | str, username: str | None = None) -> "Client":
        """Add a user of that role, unless there is one, and sign in."""
        name = username or str(role)
        self.accounts.ensure(name, PASSWORD, Role(role))
        client = self.client()
        answer = client.sign_in(name)
        assert answer.status == 200, answer
        return client

    def api_token(self, role: Role | str, *scopes: str, username: str | None = None) -> str:
        """Add a user of that role, unless there is one, and make an API token."""
        name = username or str(role)
        self.accounts.ensure(name, PASSWORD, Role(role))
        return self.accounts.add_token(name, "", [Scope(s) for s in scopes], 3600).secret


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in small letters."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the body."""
        return json.loads(self.body)


@dataclass(slots=True)
class Client:
    """Keeps cookies and the CSRF token; one connection a request.

    Args:
        url: Of the portal.
        address: Of this machine, to come from: any of 127.0.0.0/8.
        headers: Sent with every request.
    """

    url: str
    address: str = "127.0.0.1"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    csrf_token: str | None = None

    def request(  # noqa: PLR0913 - each is one part of a request, given by keyword
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        json_body: Any = None,  # noqa: ANN401 - any JSON
        headers: dict[str, str] | None = None,
        csrf: bool = True,
    ) -> Answer:
        """Send one request; the CSRF token goes with it where there is one and ``csrf``."""
        parts = urlsplit(self.url)
        sent = dict(self.headers)
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if csrf and self.csrf_token is not None and method not in {"GET", "HEAD"}:
            sent["X-CSRF-Token"] = self.csrf_token
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        connection = HTTPConnection(
            parts.hostname or "", parts.port, timeout=60, source_address=(self.address, 0)
        )
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(
                response.status,
                [(name.lower(), value) for name, value in response.getheaders()],
                response.read(),
            )
        finally:
            connection.close()
        self._keep_cookies(answer)
        return answer

    def get(self, path: str, **options: Any) -> Answer:  # noqa: ANN401 - request's own
        """Send a GET."""
        return self.request("GET", path, **options)

    def sign_in(self, username: str, password: str = PASSWORD) -> Answer:
        """Sign in, and keep the CSRF token."""
        answer = self.request(
            "POST",
            "/api/v1/session",
            json_body={"username": username, "password": password},
        )
        if answer.status == 200:
            self.csrf_token = answer.json()["csrf_token"]
        return answer

    def sign_out(self) -> Answer:
        """Sign out."""
        return self.request("DELETE", "/api/v1/session")

    def _keep_cookies(self, answer: Answer) -> None:
        for name, value in answer.headers:
            if name == "set-cookie":
                for morsel in SimpleCookie(value).values():
                    if morsel["max-age"] == "0":
                        self.cookies.pop(morsel.key, None)
                    else:
                        self.cookies[morsel.key] = morsel.value


def get_json(client: Client, path: str, **query: object) -> Any:  # noqa: ANN401 - any JSON
    """Return the body of a good answer."""
    answer = client.get(f"{path}?{urlencode(query)}")
    assert answer.status == 200, answer
    return answer.json()
