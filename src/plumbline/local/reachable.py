"""Whether a server answers, asked without its client library.

Nor with http.client: it loads TLS, and the supervisor, which asks, should stay small.
"""

import socket
from urllib.parse import unquote, urlsplit

_TIMEOUT_S = 2.0


def broker_answers(url: str) -> bool:
    """Tell whether something listens at the broker's URL."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 1883), _TIMEOUT_S).close()
    except OSError:
        return False
    return True


def cache_answers(url: str) -> bool:
    """Tell whether Redis answers a PING (one without TLS; with TLS, whether it listens)."""
    parts = urlsplit(url)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or 6379), _TIMEOUT_S
        ) as connection:
            if parts.scheme != "redis":
                return True
            words = [unquote(word) for word in (parts.username, parts.password) if word]
            if words:
                connection.sendall(_command("AUTH", *words))
            connection.sendall(_command("PING"))
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(256), b""))
    except OSError:
        return False
    return answer.endswith(b"+PONG\r\n")


def portal_answers(url: str) -> bool:
    """Tell whether the portal says that it is well."""
    parts = urlsplit(url)
    request = f"GET /health HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or 80), _TIMEOUT_S
        ) as connection:
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


def _command(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [f"${len(word.encode())}\r\n{word}\r\n".encode() for word in words]
    return b"".join(parts)
