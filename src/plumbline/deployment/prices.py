"""The price table of `prices.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from plumbline.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices of one region, US dollars.

    Attributes:
        region: AWS's name of it.
        as_of: When they were noted.
        sources: Page by service.
    """

    region: str
    as_of: date
    sources: Mapping[str, str]
    _table: Mapping[str, Any]

    def price(self, name: str, *more: str) -> float:
        """Return a price: ``service.unit``, with further keys where they hold dots.

        Raises:
            ConfigurationError: There is no such price.
        """
        found: Any = self._table
        for key in [*name.split("."), *more]:
            if not isinstance(found, Mapping) or key not in found:
                msg = f"no price of {' '.join([name, *more])} in {self.region}"
                raise ConfigurationError(msg)
            found = found[key]
        return float(found)


def regions() -> list[str]:
    """Return the regions that have prices."""
    return sorted(_read()["regions"])


def load_prices(region: str) -> Prices:
    """Return the prices of a region.

    Raises:
        ConfigurationError: It has none.
    """
    table = _read()
    if region not in table["regions"]:
        msg = f"no prices of {region}; there are those of {', '.join(sorted(table['regions']))}"
        raise ConfigurationError(msg)
    as_of = date.fromisoformat(table["as_of"])
    return Prices(region, as_of, table["sources"], table["regions"][region])


def _read() -> dict[str, Any]:
    text = (files("plumbline.deployment") / "prices.toml").read_text("utf-8")
    return tomllib.loads(text)
