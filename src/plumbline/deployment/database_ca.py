"""The certificate authorities of RDS, which are not ours to ship: whoever packages brings them."""

from pathlib import Path

from plumbline.errors import ConfigurationError

CA_FILE = "rds-ca.pem"
"""Its name in every package."""


def read_certificates(path: Path) -> bytes:
    """Return the file's PEM certificates.

    Raises:
        ConfigurationError: It cannot be read, or holds none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"--database-ca {path}: {error.strerror}"
        raise ConfigurationError(msg) from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        msg = f"--database-ca {path}: it holds no PEM certificate"
        raise ConfigurationError(msg)
    return content
