"""A development CA and the server certificate of the TLS listeners."""

import ipaddress
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from plumbline.errors import ConfigurationError

_CA_LIFE = timedelta(days=3650)
# The longest that some TLS clients accept.
_LEAF_LIFE = timedelta(days=825)
_RENEW_BEFORE = timedelta(days=30)
# Devices' clocks lag.
_BACKDATE = timedelta(days=1)

_Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the PEM files lie.

    Attributes:
        ca_file: What clients trust.
        certificate_file: The server's.
        key_file: The server's key, mode 0600.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path


def ensure_certificates(directory: Path, hosts: Sequence[str], *, now: datetime) -> Certificates:
    """Make the CA and the server certificate, or keep those that are there and still good.

    The server certificate is made anew where it expires within 30 days or lacks a host; the CA
    only where it expires within 30 days, as every device must then get it again. Keys have mode
    0600; files belong to the owner of the directory.

    Args:
        directory: Created where it is missing, mode 0700.
        hosts: Names and addresses the broker listens at, beside ``localhost``, 127.0.0.1, ::1 and
            this machine's name. Wildcard addresses (0.0.0.0, ::) add nothing.
        now: Aware.

    Raises:
        ConfigurationError: A file in the directory is not one of ours.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_path, ca_key_path = directory / "ca.pem", directory / "ca-key.pem"
    found = Certificates(ca_path, directory / "server.pem", directory / "server-key.pem")
    wanted = _names(["localhost", "127.0.0.1", "::1", socket.gethostname(), *hosts])
    renewed = not _is_good(ca_path, ca_key_path, now)
    if renewed:
        key = ec.generate_private_key(ec.SECP256R1())
        _write(ca_key_path, _key_pem(key))
        _write(ca_path, _make_ca(key, now).public_bytes(serialization.Encoding.PEM), mode=0o644)
    if renewed or not _is_good(found.certificate_file, found.key_file, now, wanted):
        ca, ca_key = _read_certificate(ca_path), _read_key(ca_key_path)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _make_leaf(key, wanted, ca, ca_key, now)
        _write(found.key_file, _key_pem(key))
        pem = leaf.public_bytes(serialization.Encoding.PEM)
        _write(found.certificate_file, pem, mode=0o644)
    return found


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            names.append(x509.DNSName(host))
        else:
            if not address.is_unspecified:
                names.append(x509.IPAddress(address))
    return list(dict.fromkeys(names))


def _is_good(
    path: Path, key_path: Path, now: datetime, wanted: Sequence[x509.GeneralName] = ()
) -> bool:
    if not path.exists() or not key_path.exists():
        return False
    certificate = _read_certificate(path)
    # A crash between writing the key and writing the certificate leaves two that do not fit.
    if certificate.public_key() != _read_key(key_path).public_key():
        return False
    if certificate.not_valid_after_utc < now + _RENEW_BEFORE:
        return False
    if not wanted:
        return True
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(wanted) <= set(names)


def _make_ca(key: _Key, now: datetime) -> x509.Certificate:
    # The serial tells the CAs of several systems on one machine apart.
    serial = x509.random_serial_number()
    name = _subject(f"Plumbline development CA {serial % 0x1000000:06x}")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(key, name, name, now, now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _make_leaf(
    key: _Key, names: Sequence[x509.GeneralName], ca: x509.Certificate, ca_key: _Key, now: datetime
) -> x509.Certificate:
    authority = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    end = min(now + _LEAF_LIFE, ca.not_valid_after_utc)
    return (
        _builder(key, _subject("Plumbline broker"), ca.subject, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    key: _Key, subject: x509.Name, issuer: x509.Name, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        msg = f"{path} is no certificate; remove it to have a new one made"
        raise ConfigurationError(msg) from error


def _read_key(path: Path) -> _Key:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        msg = f"{path} is no private key; remove it to have a new one made"
        raise ConfigurationError(msg) from error
    if not isinstance(key, _Key):
        msg = f"{path} is no key of ours; remove it to have a new one made"
        raise ConfigurationError(msg)
    return key


def _write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at once; it belongs to the owner of the directory."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        directory = path.parent.stat()
        if directory.st_uid != os.geteuid():
            os.fchown(file.fileno(), directory.st_uid, directory.st_gid)
        os.fchmod(file.fileno(), mode)
    Path(temporary).replace(path)
