"""Whether a life lost, doubled, reordered or invented anything."""

from collections.abc import Iterator

from plumbline.domain.reading import Reading
from proofs.simulation.command_verdict import judge_commands, pending
from proofs.simulation.world import World


def judge(world: World) -> list[str]:
    """Return what went wrong, a line each; nothing where all went well."""
    return [
        *world.wrong,
        *_unaccounted(world),
        *_lost(world),
        *_invented(world),
        *_out_of_order(world),
        *_stale(world),
        *judge_commands(world.commanding, _refused(world)),
        *pending(world.commanding),
    ]


def _unaccounted(world: World) -> Iterator[str]:
    account = world.account()
    total = account.total
    if not account.balanced:
        yield f"the account does not balance: {account.mismatches[:3]}"
    if total.in_flight or total.dead_lettered:
        yield f"after the end {total.in_flight} are under way, {total.dead_lettered} given up"
    left = sum(len(queue) for queue in world.broker.queued.values())
    if left:
        yield f"the broker still has {left} messages"


def _lost(world: World) -> Iterator[str]:
    """Each acknowledged reading is stored, or kept as a conflict or with its payload."""
    store = world.store
    refused = _refused(world)
    for published in world.witness.acknowledged:
        if published.payload in refused:
            continue
        if not published.readings:
            yield f"lost: {published.payload!r} of {published.device_id}"
        for reading in published.readings:
            place = (reading.device_id, reading.observed_at)
            if store.rows.get(place) != reading and reading not in store.conflicts.get(place, []):
                yield f"lost: {reading}"


def _refused(world: World) -> set[bytes]:
    return {refusal.raw for refusal in world.store.quarantine.values()}


def _invented(world: World) -> Iterator[str]:
    """A device that hears no acknowledgement sends until it does, so nothing else is stored."""
    published = {r for readings in world.witness.order.values() for r in map(_key, readings)}
    stored = [*world.store.rows.values()]
    stored += [reading for kept in world.store.conflicts.values() for reading in kept]
    last = {device.device_id: device.sequence for device in world.devices}
    for reading in stored:
        # What a device was still sending when everything ended was never acknowledged.
        if _key(reading) not in published and (reading.sequence or 0) < last[reading.device_id] - 2:
            yield f"never published: {reading}"


def _out_of_order(world: World) -> Iterator[str]:
    """Each device's readings went on in the order in which it published them.

    What an operator brought back from the dead letters comes later.
    """
    for device_id, sent in world.forwarded.items():
        order = {_key(r): n for n, r in reversed(list(enumerate(world.witness.order[device_id])))}
        newest = -1
        seen: set[tuple[object, ...]] = set()
        for reading, delivery in sent:
            key = _key(reading)
            if key in seen or delivery in world.buried or key not in order:
                continue
            seen.add(key)
            if order[key] < newest:
                yield f"overtaken: {reading}"
            newest = max(newest, order[key])


def _stale(world: World) -> Iterator[str]:
    newest: dict[str, Reading] = {}
    for (device_id, observed_at), reading in world.store.rows.items():
        if device_id not in newest or newest[device_id].observed_at < observed_at:
            newest[device_id] = reading
    for device_id, reading in newest.items():
        status = world.store.statuses.get(device_id)
        if status is None or status.last_seen != reading.observed_at:
            yield f"the status of {device_id} is not its newest reading"
        if world.cache.statuses.get(device_id) != status:
            yield f"the cache has something else of {device_id} than the database"


def _key(reading: Reading) -> tuple[object, ...]:
    return reading.device_id, reading.observed_at, reading.sequence
