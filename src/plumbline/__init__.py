"""Plumbline: tilt sensors, from the device to a row that can be trusted."""


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Only where it is asked for: what reads it is a quarter of a small process.
        from importlib.metadata import version  # noqa: PLC0415

        return version("plumbline")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
