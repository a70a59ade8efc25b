"""`plumbline dlq`: dead letters."""

from pathlib import Path

import click

from plumbline import bootstrap
from plumbline.cli.output import message, print_json, print_table
from plumbline.cli.system import data_dir_option, database_url, json_option
from plumbline.errors import NotFound
from plumbline.topology import TOPOLOGY

_QUEUE = click.argument("queue", type=click.Choice([q.name for q in TOPOLOGY.queues]))
_IDS = click.option("--id", "ids", multiple=True, help="Only this message; may be repeated.")


@click.group()
def dlq() -> None:
    """Messages that failed too often: look at them, send them again, or discard them."""


@dlq.command("list")
@data_dir_option
@json_option
def list_(data_dir: Path, *, as_json: bool) -> None:
    """Count the dead letters of every queue."""
    url = database_url(data_dir)
    rows = []
    for spec in TOPOLOGY.queues:
        depth = bootstrap.local_queue(url, spec.dead_letter_queue).depth()
        rows.append((spec.name, depth.visible + depth.in_flight))
    if as_json:
        print_json([{"queue": name, "messages": count} for name, count in rows])
    else:
        print_table(["queue", "dead letters"], rows)


@dlq.command()
@_QUEUE
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@data_dir_option
@json_option
def show(queue: str, limit: int, data_dir: Path, *, as_json: bool) -> None:
    """Print the first dead letters of QUEUE."""
    admin = bootstrap.queue_admin(database_url(data_dir))
    letters = admin.peek(TOPOLOGY.queue(queue).dead_letter_queue, limit)
    if as_json:
        print_json(
            [
                {
                    "message_id": letter.message_id,
                    "group_id": letter.group_id,
                    "sent_at": letter.sent_at,
                    "receive_count": letter.receive_count,
                    "attributes": dict(letter.attributes),
                    "body": letter.body,
                }
                for letter in letters
            ]
        )
        return
    print_table(
        ["message id", "group", "sent", "receives", "body"],
        [
            (m.message_id, m.group_id, m.sent_at, m.receive_count, m.body[:80].replace("\n", " "))
            for m in letters
        ],
    )


@dlq.command()
@_QUEUE
@_IDS
@data_dir_option
def redrive(queue: str, ids: tuple[str, ...], data_dir: Path) -> None:
    """Send dead letters of QUEUE through it again, in their order."""
    admin = bootstrap.queue_admin(database_url(data_dir))
    moved = admin.redrive(TOPOLOGY.queue(queue).dead_letter_queue, message_ids=ids or None)
    _require_all_found(ids, moved)
    message(f"{moved} messages go through {queue} again")


@dlq.command()
@_QUEUE
@_IDS
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
def purge(queue: str, ids: tuple[str, ...], data_dir: Path, *, yes: bool) -> None:
    """Discard dead letters of QUEUE for good; the ledger shows them as discarded."""
    if not yes:
        what = f"{len(ids)} dead letters" if ids else "all dead letters"
        click.confirm(f"Discard {what} of {queue} for good?", abort=True, err=True)
    admin = bootstrap.queue_admin(database_url(data_dir))
    discarded = admin.purge(TOPOLOGY.queue(queue).dead_letter_queue, message_ids=ids or None)
    _require_all_found(ids, discarded)
    message(f"{discarded} messages discarded")


def _require_all_found(ids: tuple[str, ...], found: int) -> None:
    if ids and found < len(ids):
        msg = f"{len(ids) - found} of the {len(ids)} messages are not there"
        raise NotFound(msg)
