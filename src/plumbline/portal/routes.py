"""The one table of all routes."""

from collections.abc import Sequence

from plumbline.portal import data_routes, session_routes
from plumbline.portal.docs_page import lead_to_docs, show_docs, show_docs_asset
from plumbline.portal.openapi import serve
from plumbline.portal.route import Operation, Route, Success

_DOCUMENT = Route(
    "GET",
    "/api/openapi.json",
    serve(lambda: ROUTES),
    role="public",
    operation=Operation(
        operation_id="openapi",
        tag="about",
        summary="This document",
        description="OpenAPI 3.1 of all routes. `/docs` shows it as pages to try.",
        success=(Success(200, "OpenAPI 3.1", {"type": "object"}),),
    ),
)

ROUTES: Sequence[Route] = (
    *data_routes.DATA_ROUTES,
    *session_routes.SESSION_ROUTES,
    _DOCUMENT,
    Route("GET", "/", lead_to_docs, role="public", operation=None),
    Route("GET", "/docs", show_docs, role="public", operation=None),
    Route("GET", "/docs/{asset}", show_docs_asset, role="public", operation=None),
)
