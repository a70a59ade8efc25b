"""The broker's TLS files, without the library that makes them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plumbline.errors import ConfigurationError

_TIMEOUT_S = 60

# In a process of its own: the library is larger than all else that a supervisor needs.
_PROGRAM = """\
import json, sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from plumbline.local.certificates import ensure_certificates
found = ensure_certificates(Path(sys.argv[1]), sys.argv[2:], now=datetime.now(UTC))
print(json.dumps({name: str(path) for name, path in asdict(found).items()}))
"""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files lie.

    Attributes:
        ca_file: What clients trust.
        certificate_file: The server's.
        key_file: The server's key.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path


def ensure_tls_files(data_dir: Path, hosts: Sequence[str] = ()) -> TlsFiles:
    """Make or renew the certificates below ``DATA_DIR/tls`` where that is due.

    Args:
        data_dir: The system's data directory.
        hosts: Names and addresses that the broker listens at, beside this machine's own.
    Raises:
        ConfigurationError: They cannot be made; the message says why.
    """
    directory = data_dir.absolute() / "tls"
    argv = [sys.executable, "-c", _PROGRAM, str(directory), *hosts]
    result = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if result.returncode != 0:
        last = result.stderr.strip().rpartition("\n")[2]
        msg = f"the TLS certificates in {directory} cannot be made: {last}"
        raise ConfigurationError(msg)
    found = json.loads(result.stdout)
    return TlsFiles(**{name: Path(path) for name, path in found.items()})
