"""Who guesses passwords is slowed down; nobody thereby locks the owner out."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from portal_process import Client, PortalProcess

_WRONG = "a wrong password"


@pytest.fixture
def portal(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[PortalProcess]:
    """Yield a running portal with the user anna, who has signed in from 127.0.0.50."""
    with PortalProcess(database_url, redis_url, tmp_path / "portal.log") as running:
        running.signed_in("viewer", "anna")
        yield running


def guess(client: Client, times: int, username: str = "anna") -> list[int]:
    return [client.sign_in(username, _WRONG).status for _ in range(times)]


def test_twenty_wrong_passwords_are_slowed_down(portal: PortalProcess) -> None:
    client = portal.client(address="127.0.0.66")
    statuses = guess(client, 20)
    assert set(statuses) == {401, 429}
    assert statuses[:5] == [401] * 5
    assert statuses.count(401) <= 7  # a second passes while it tries, perhaps two
    blocked = client.sign_in("anna", _WRONG)
    assert blocked.status == 429
    assert 1 <= int(blocked.header("retry-after") or 0) <= 900
    assert blocked.header("content-type") == "application/problem+json"


def test_the_owner_gets_in_from_elsewhere_while_the_account_is_attacked(
    portal: PortalProcess,
) -> None:
    guess(portal.client(address="127.0.0.66"), 20)
    assert portal.client(address="127.0.0.2").sign_in("anna").status == 200


def test_the_owners_browser_gets_in_even_from_the_attackers_address(
    portal: PortalProcess,
) -> None:
    owner = portal.client(address="127.0.0.66")
    assert owner.sign_in("anna").status == 200
    owner.sign_out()
    guess(portal.client(address="127.0.0.66"), 20)
    assert owner.sign_in("anna").status == 200


def test_the_owner_without_either_gets_in_when_the_time_is_up(portal: PortalProcess) -> None:
    client = portal.client(address="127.0.0.66")
    guess(client, 8)
    answer = client.sign_in("anna")
    assert answer.status == 429
    time.sleep(int(answer.header("retry-after") or 0))  # what a client is told to do
    assert client.sign_in("anna").status == 200


def test_the_wait_grows_to_a_quarter_of_an_hour_and_no_further(portal: PortalProcess) -> None:
    client = portal.client(address="127.0.0.66")
    guess(client, 5)
    waits: list[int] = []
    with psycopg.connect(portal.database_url, autocommit=True) as connection:
        for _ in range(14):
            connection.execute("UPDATE sign_in_failures SET blocked_until = now()")
            assert client.sign_in("anna", _WRONG).status == 401
            waits.append(int(client.sign_in("anna", _WRONG).header("retry-after") or 0))
    assert waits == [min(2**n, 900) for n in range(1, 15)]


def test_an_attack_from_many_addresses_blocks_each_after_its_first_failure(
    portal: PortalProcess,
) -> None:
    addresses = [f"127.0.0.{number}" for number in range(100, 120)]
    for address in addresses:
        assert guess(portal.client(address=address), 1) == [401]
    for address in addresses:
        assert guess(portal.client(address=address), 1) == [429]
    assert portal.client(address="127.0.0.2").sign_in("anna").status == 200


def test_ones_own_good_sign_ins_do_not_buy_guesses(portal: PortalProcess) -> None:
    portal.signed_in("viewer", "mallory")
    client = portal.client(address="127.0.0.66")
    statuses = []
    for _ in range(10):
        statuses += guess(client, 1)
        client.cookies.clear()
        client.sign_in("mallory")
        client.cookies.clear()
    assert 429 in statuses


def test_a_known_browser_is_good_for_its_own_user_and_ten_failures(portal: PortalProcess) -> None:
    portal.signed_in("viewer", "mallory")
    client = portal.client(address="127.0.0.66")
    assert client.sign_in("mallory").status == 200
    statuses = guess(client, 8, "anna")
    assert statuses[-1] == 429
    assert guess(client, 10, "mallory") == [401] * 10
    # From now on as anybody from this address; how long it must wait yet depends on the clock.
    assert 429 in guess(client, 8, "mallory")


def test_guesses_at_the_same_time_are_counted(portal: PortalProcess) -> None:
    def one(_: int) -> int:
        return portal.client(address="127.0.0.66").sign_in("anna", _WRONG).status

    with ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(one, range(30)))
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 8


def test_names_that_nobody_has_answer_alike_and_take_as_long(portal: PortalProcess) -> None:
    def took_s(username: str, address: str) -> float:
        client = portal.client(address=address)
        began = time.monotonic()
        assert client.sign_in(username, _WRONG).status == 401
        return time.monotonic() - began

    took_s("anna", "127.0.0.99")
    known, unknown = [], []
    for number in range(1, 5):  # below what is slowed down
        known.append(took_s("anna", f"127.0.1.{number}"))
        unknown.append(took_s("nobody", f"127.0.2.{number}"))
    with psycopg.connect(portal.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM sign_in_failures")
    assert 0.5 < min(known) / min(unknown) < 2  # the least: others disturb
    same = [
        portal.client(address="127.0.0.3").sign_in(name, _WRONG).body for name in ("anna", "nobody")
    ]
    assert same[0] == same[1]


def test_a_disabled_user_is_refused_like_a_wrong_password(portal: PortalProcess) -> None:
    portal.accounts.disable("anna")
    right, wrong = portal.client().sign_in("anna"), portal.client().sign_in("anna", _WRONG)
    assert right.status == wrong.status == 401
    assert right.body == wrong.body
    client = portal.client(address="127.0.0.66")
    assert 429 in [client.sign_in("anna").status for _ in range(8)]  # and is counted like one


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"username": "anna"},
        {"username": "anna", "password": None},
        {"username": "anna", "password": ["x"]},
        {"username": {"$ne": ""}, "password": "x"},
        {"username": "", "password": "x"},
        {"username": "x" * 257, "password": "x"},
        {"username": "anna", "password": "x" * 1025},
        {"username": "anna", "password": "x", "role": "admin"},
    ],
)
def test_a_body_that_is_no_sign_in_is_refused(portal: PortalProcess, body: object) -> None:
    answer = portal.client().request("POST", "/api/v1/session", json_body=body)
    assert answer.status == 422
    assert answer.header("content-type") == "application/problem+json"


@pytest.mark.parametrize(
    "username", ["a\r\nb", "a\0b", "' OR 1=1 --", "ａｎｎａ", "İ", "x" * 256, "\ud83d\ude00"]
)
def test_a_strange_name_is_a_wrong_one(portal: PortalProcess, username: str) -> None:
    assert portal.client().sign_in(username).status == 401
