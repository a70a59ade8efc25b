"""Accepts commands: the one place that decides whether a device can be told something."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from plumbline.codecs.sensors.registry import encode
from plumbline.domain import device
from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import (
    DEFAULT_LIFE,
    MAX_LIFE_S,
    MIN_LIFE_S,
    Command,
    CommandState,
    Verb,
    wrong_params,
)
from plumbline.domain.device import DeviceClass, Lorawan
from plumbline.domain.issued_command import Issue, IssuedCommand, Target
from plumbline.errors import Conflict, InvalidCommand, NotFound
from plumbline.ports import Clock

Audit = Callable[[str, str, Mapping[str, Any]], AuditEntry]
"""Makes the audit log's entry of an action, its target and its detail."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """What somebody wants.

    Attributes:
        params: As PARAMETERS says.
        expires_in_s: How long the command may wait for its device; None for what suits the device.
        protocol: How the caller believes that the device is reached, or None.
    """

    device_id: str
    verb: Verb
    params: Mapping[str, Any] = field(default_factory=dict)
    expires_in_s: int | None = None
    protocol: device.Protocol | None = None


class CommandStore(Protocol):
    """Where commands are; every method raises StoreUnavailable where it cannot serve."""

    async def target(self, device_id: str) -> Target | None:
        """Return how a device is reached; None where it is not registered."""
        ...

    async def add(self, command: Command, issue: Issue) -> IssuedCommand:
        """Store a command, or find what the same key has stored.

        Raises:
            KeyReused: The key was used with another request.
        """
        ...

    async def get(self, command_id: UUID) -> IssuedCommand | None:
        """Return one command, or None."""
        ...

    async def newest(
        self, device_id: str | None, *, state: str | None, before: int | None, limit: int
    ) -> Sequence[IssuedCommand]:
        """Return commands of a device or of all, newest first.

        Args:
            device_id: Of the device, or None.
            state: Only in this state.
            before: Only those with a lower position: the next page after the last one's.
            limit: At most so many.
        """
        ...

    async def cancel(self, command_id: UUID, audit: AuditEntry) -> bool:
        """Take a command back; False where somebody may have it already, or it is at an end."""
        ...


class Commands:
    """Commands as those see them who issue them.

    Args:
        store: Where they are.
        clock: Wall-clock time.
        new_id: Makes a command's id; never the same twice.
    """

    def __init__(
        self, store: CommandStore, clock: Clock, new_id: Callable[[], UUID] = uuid.uuid4
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def issue(
        self, request: CommandRequest, issued_by: str, audit: Audit, key: str | None = None
    ) -> IssuedCommand:
        """Accept a command: it is stored, and will be sent whatever stops, until it expires.

        Args:
            request: What is wanted.
            issued_by: Who wants it.
            audit: Makes the entry of the audit log.
            key: A repetition with the same one gives the same command.

        Raises:
            InvalidCommand, UnsupportedCommand: Not these parameters, or not of this device.
            NotFound: No such device.
            Conflict: The device is disabled.
            KeyReused: The key was used with another request.
        """
        if wrong := wrong_params(request.verb, request.params):
            raise InvalidCommand("; ".join(_ascii(one) for one in wrong[:_SHOWN]))
        target = await self._store.target(request.device_id)
        if target is None:
            msg = "no registered device of that id"
            raise NotFound(msg)
        if target.disabled:
            msg = "the device is disabled"
            raise Conflict(msg)
        _require_possible(request, target)
        now = self._clock.now()
        # Of the clock's microseconds the database keeps all: what is answered is what is stored.
        command = Command(
            self._new_id(),
            request.device_id,
            request.verb,
            request.params,
            issued_at=now,
            expires_at=now + timedelta(seconds=_life_s(request, target)),
        )
        detail = {"command": command.verb.value, "params": dict(command.params)}
        entry = audit("command.send", f"{command.device_id} {command.command_id}", detail)
        return await self._store.add(
            command, Issue(issued_by, key, _hash(request), target.protocol, entry)
        )

    async def get(self, command_id: UUID) -> IssuedCommand:
        """Return one command.

        Raises:
            NotFound: There is none.
        """
        issued = await self._store.get(command_id)
        if issued is None:
            msg = "no such command"
            raise NotFound(msg)
        return issued

    async def newest(
        self,
        device_id: str | None = None,
        *,
        state: CommandState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[IssuedCommand]:
        """Return commands, newest first; see CommandStore."""
        return await self._store.newest(device_id, state=state, before=before, limit=limit)

    async def cancel(self, command_id: UUID, audit: Audit) -> IssuedCommand:
        """Take back a command that nobody can have yet.

        Raises:
            NotFound: There is none.
            Conflict: It is on its way, or at its end.
        """
        issued = await self.get(command_id)
        entry = audit("command.cancel", f"{issued.command.device_id} {command_id}", {})
        if not await self._store.cancel(command_id, entry):
            msg = "the command is on its way, or at its end"
            raise Conflict(msg)
        return await self.get(command_id)


def _require_possible(request: CommandRequest, target: Target) -> None:
    if request.protocol not in {None, target.protocol}:
        msg = f"{target.device_id} is reached over {target.protocol}, not over {request.protocol}"
        raise InvalidCommand(msg)
    if target.protocol is device.Protocol.LORAWAN:
        if target.lorawan is None:
            msg = "the registry does not say how the device is reached"
            raise Conflict(msg)
        # What the handler would find out too late for whoever asks.
        encode(target.lorawan.sensor_model, request.verb, request.params)


def _life_s(request: CommandRequest, target: Target) -> int:
    lorawan = target.lorawan
    life_s = request.expires_in_s
    if life_s is None:
        return int(DEFAULT_LIFE.total_seconds()) if lorawan is None else _default_life_s(lorawan)
    if not MIN_LIFE_S <= life_s <= MAX_LIFE_S:
        msg = f"expires_in_s: an integer, {MIN_LIFE_S} to {MAX_LIFE_S} s"
        raise InvalidCommand(msg)
    if lorawan is not None and lorawan.device_class is DeviceClass.A:
        interval_s = min(lorawan.uplink_interval_s or 0, MAX_LIFE_S)
        if life_s < interval_s:
            msg = (
                "expires_in_s: the device listens only after its own uplink, every"
                f" {interval_s} s; give it at least that long"
            )
            raise InvalidCommand(msg)
    return life_s


def _default_life_s(lorawan: Lorawan) -> int:
    """Return a life within which a device that listens after its uplinks has two of them."""
    usual_s = int(DEFAULT_LIFE.total_seconds())
    return min(max(usual_s, 2 * (lorawan.uplink_interval_s or 0)), MAX_LIFE_S)


def _hash(request: CommandRequest) -> bytes:
    asked = [request.device_id, request.verb, dict(request.params), request.expires_in_s]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def _ascii(text: str) -> str:
    """Return what a caller made up, safe to show."""
    return text.encode("ascii", "replace").decode()[:200]
