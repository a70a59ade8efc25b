"""The one description of the system agrees with itself, with AWS's rules and with the code."""

from importlib import import_module
from pathlib import Path

import pytest

from plumbline.adapters.mqtt.configuration import BrokerFiles, Listener, render_config
from plumbline.application.distribute import ROUTES
from plumbline.codecs.queue_message import TYPES
from plumbline.domain.reading import MAX_AGE
from plumbline.local.workers import WORKERS
from plumbline.topology import TOPOLOGY, EventSource, Function


@pytest.mark.parametrize("function", TOPOLOGY.functions, ids=lambda f: f.name)
def test_every_function_has_its_handler(function: Function) -> None:
    module, _, attribute = function.handler.rpartition(".")
    assert callable(getattr(import_module(module), attribute))


def test_every_function_runs_in_exactly_one_worker() -> None:
    running = [name for functions in WORKERS.values() for name in functions]
    assert sorted(running) == sorted(f.name for f in TOPOLOGY.functions if not f.by_hand)


def test_every_function_is_started_by_something() -> None:
    started = {s.function for s in TOPOLOGY.schedules} | {
        s.function for s in TOPOLOGY.event_sources
    }
    assert started == {f.name for f in TOPOLOGY.functions if not f.by_hand}


@pytest.mark.parametrize("source", TOPOLOGY.event_sources, ids=lambda s: s.queue)
def test_event_sources_keep_the_rules_of_aws(source: EventSource) -> None:
    """Visibility of six timeouts; at most 10 from a FIFO queue; a window for more from others."""
    queue, function = TOPOLOGY.queue(source.queue), TOPOLOGY.function(source.function)
    assert queue.visibility_timeout_s >= 6 * function.timeout_s
    assert source.max_concurrency >= 2
    if queue.fifo:
        assert source.batch_size <= 10
        assert source.window_s == 0
    else:
        assert source.batch_size <= 10 or source.window_s >= 1


def test_the_numbers_of_the_document() -> None:
    functions = [f for f in TOPOLOGY.functions if f.name != "maintenance" and not f.by_hand]
    assert [(f.name, f.timeout_s, f.memory_mb) for f in functions] == [
        ("parsing", 60, 512),
        ("distributing", 30, 256),
        ("db1", 120, 512),
        ("sync", 120, 512),
        ("mqtt_command", 30, 256),
        ("lorawan_command", 30, 256),
    ]
    assert [(s.queue, s.batch_size) for s in TOPOLOGY.event_sources] == [
        ("distributing", 10),
        ("db1", 25),
        ("mqtt-command", 10),
        ("lorawan-command", 10),
    ]
    assert {s.name: s.period_s for s in TOPOLOGY.schedules if s.name != "maintenance"} == {
        "ingestion": 300,
        "sync": 300,
    }
    assert all(queue.retention_s == 4 * 86_400 for queue in TOPOLOGY.queues)
    assert MAX_AGE.days == 90


def test_every_message_type_has_a_route_to_a_queue_that_exists() -> None:
    assert ROUTES.keys() == TYPES
    assert set(ROUTES.values()) <= {queue.name for queue in TOPOLOGY.queues}


def test_the_brokers_window_is_larger_than_the_largest_batch(tmp_path: Path) -> None:
    """A batch of held acknowledgements would stall otherwise."""
    files = BrokerFiles(*[tmp_path] * 3)
    config = render_config(files, plain=[Listener("127.0.0.1", 1883)])
    [window] = [
        int(line.split()[1]) for line in config.splitlines() if line.startswith("max_inflight_mess")
    ]
    assert window > max(TOPOLOGY.drain.batch_size, TOPOLOGY.local_drain.batch_size)
