"""`/docs`: the OpenAPI document to look at and try, from an installed copy of Swagger UI."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plumbline.portal.answers import body_answer
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.query import Query

# Swagger UI sets styles of elements by script and has pictures in its style sheet.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_KEEP = "public, max-age=86400"

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plumbline API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png" sizes="32x32">
</head>
<body>
<div id="swagger-ui"></div>
<noscript><p>This page needs JavaScript. The document itself:
<a href="/api/openapi.json">/api/openapi.json</a></p></noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# With a session's cookie, what changes something carries the session's CSRF token.
_START = b"""window.ui = SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: async (request) => {
    const method = (request.method || "GET").toUpperCase();
    const signsIn = method === "POST" && request.url.endsWith("/api/v1/session");
    const safe = signsIn || ["GET", "HEAD"].includes(method);
    if (!safe && !request.headers.Authorization) {
      const session = await fetch("/api/v1/session");
      if (session.ok) request.headers["X-CSRF-Token"] = (await session.json()).csrf_token;
    }
    return request;
  },
});
"""
_TYPES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


async def lead_to_docs(request: Request) -> Response:
    """Lead whoever opens the portal's address in a browser to the page."""
    Query(request, ())
    return RedirectResponse("/docs", headers={"Cache-Control": _KEEP})


async def show_docs(request: Request) -> Response:
    """Return the page."""
    Query(request, ())
    return body_answer(
        request,
        _PAGE,
        "text/html; charset=utf-8",
        headers={"Content-Security-Policy": _POLICY},
        cache_control=_KEEP,
    )


async def show_docs_asset(request: Request) -> Response:
    """Return one of the page's files; of a closed list, whatever the path says."""
    name = request.path_params["asset"]
    if name == "start.js":
        return body_answer(request, _START, "text/javascript; charset=utf-8", cache_control=_KEEP)
    if name not in _TYPES:
        raise Problem(Kind.NOT_FOUND)
    return body_answer(request, _asset(name), _TYPES[name], cache_control=_KEEP)


@cache
def _asset(name: str) -> bytes:
    # The package's Python part, which needs Flask, is not imported: only its files are read.
    spec = find_spec("flask_swagger_ui")
    assert spec is not None  # noqa: S101 - a dependency
    assert spec.origin is not None  # noqa: S101 - a package with files
    return (Path(spec.origin).parent / "dist" / name).read_bytes()
