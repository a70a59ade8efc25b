"""`/docs` in a real browser: everything on it comes from us, and what it offers to try works."""

import json

import pytest

from browser import Page, find_browser
from e2e.conftest import System
from plumbline.portal.routes import ROUTES

_FILL = """
(selector, value) => {
  const field = document.querySelector(selector);
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, value);
  field.dispatchEvent(new Event("input", {bubbles: true}));
  field.dispatchEvent(new Event("change", {bubbles: true}));
  // As when somebody clicks elsewhere: else the page waits a moment for more to be typed.
  field.dispatchEvent(new FocusEvent("focusout", {bubbles: true}));
}
"""


def try_out(page: Page, operation: str, **fields: str) -> str:
    """Open an operation, fill it in, execute it; return the status that the page shows."""
    at = f"#operations-{operation}"
    page.run(f"void document.querySelector('{at} .opblock-summary-control').click()")
    page.wait_for(f"!!document.querySelector('{at} .try-out__btn')")
    page.run(f"void document.querySelector('{at} .try-out__btn').click()")
    for name, value in fields.items():
        field = "textarea" if name == "body" else f'[data-param-name="{name}"] input'
        page.wait_for(f"!!document.querySelector({json.dumps(f'{at} {field}')})")
        page.run(f"({_FILL})({json.dumps(f'{at} {field}')}, {json.dumps(value)})")
    page.run(f"void document.querySelector('{at} .execute').click()")
    shown = f"{at} .live-responses-table .response-col_status"
    status: str = page.wait_for(
        f"[...document.querySelectorAll('{shown}')].map(e => e.innerText.trim())"
        ".find(text => /^[0-9]{3}/.test(text))"
    )
    return status[:3]


@pytest.mark.skipif(find_browser() is None, reason="this system's packages have no browser")
@pytest.mark.parametrize("system", [["--demo"]], indirect=True)
def test_the_docs_page_works_without_the_internet_and_with_csrf_protection(system: System) -> None:
    url = system.endpoints.portal_url
    with Page(find_browser() or "") as page:
        page.open(url)
        shown = page.wait_for("document.querySelectorAll('.opblock').length")
        assert shown == sum(route.operation is not None for route in ROUTES)
        assert page.complaints == [], "nothing that the page needs is forbidden to it"
        assert try_out(page, "devices-list_devices") == "401"
        credentials = {
            "username": system.endpoints.portal_username,
            "password": system.endpoints.portal_password,
        }
        assert try_out(page, "session-sign_in", body=json.dumps(credentials)) == "200"
        command = json.dumps({"command": "identify"})
        sent = try_out(page, "commands-send_command", device_id="demo-01", body=command)
        assert sent == "202", "the page sends the session's CSRF token by itself"
        assert try_out(page, "session-sign_out") == "204"
        assert len(page.complaints) == 1, "of the list without signing in, and nothing else"
        elsewhere = [one for one in page.asked if not one.startswith((f"{url}/", "data:"))]
        assert elsewhere == []
