"""The scenarios by name, and the mixture of a whole fleet."""

from plumbline.simulator.movements import Accelerating, Creep, Steady, Step, Thermal
from plumbline.simulator.scenario import Scenario
from plumbline.simulator.troubles import Battery, Dropout, Noisy, Spike, Stuck

_KINDS: tuple[type[Scenario], ...] = (
    Steady,
    Creep,
    Step,
    Thermal,
    Accelerating,
    Stuck,
    Spike,
    Noisy,
    Dropout,
    Battery,
)
_BY_NAME = {kind.name: kind for kind in _KINDS}

MIXED = "mixed"

# Twenty devices of a mixed fleet. Most are well; each trouble is there once, so that already the
# smallest demonstration shows it, which is more trouble than a real fleet of thousands has.
_MIXTURE: tuple[type[Scenario], ...] = (
    *(Steady, Thermal, Steady, Creep, Steady, Accelerating, Steady, Thermal, Steady, Stuck),
    *(Steady, Noisy, Steady, Spike, Thermal, Step, Steady, Dropout, Creep, Battery),
)

SCENARIO_NAMES = (*_BY_NAME, MIXED)


def kind_of(name: str, index: int) -> type[Scenario]:
    """Return the scenario's class for the device at that place in the fleet.

    Raises:
        KeyError: No scenario has that name.
    """
    return _MIXTURE[index % len(_MIXTURE)] if name == MIXED else _BY_NAME[name]
