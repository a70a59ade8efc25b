"""The development CA and the broker's certificate."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from plumbline.errors import ConfigurationError
from plumbline.local.certificates import Certificates, ensure_certificates

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)


def read(path: Path) -> x509.Certificate:
    """Return the certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(found: Certificates) -> list[bytes]:
    """Return all files' contents."""
    return [path.read_bytes() for path in (found.ca_file, found.certificate_file, found.key_file)]


def test_the_certificate_names_loopback_and_the_hosts_given(tmp_path: Path) -> None:
    hosts = ["site.example", "10.1.2.3", "0.0.0.0", "localhost"]  # noqa: S104 - a name
    found = ensure_certificates(tmp_path, hosts, now=NOW)
    certificate = read(found.certificate_file)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "site.example"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1", "10.1.2.3"}


def test_the_certificate_is_signed_by_the_ca_and_lives_825_days_at_most(tmp_path: Path) -> None:
    found = ensure_certificates(tmp_path, [], now=NOW)
    ca, certificate = read(found.ca_file), read(found.certificate_file)
    certificate.verify_directly_issued_by(ca)
    assert certificate.not_valid_after_utc - NOW <= timedelta(days=825)
    assert ca.not_valid_after_utc - NOW == timedelta(days=3650)
    # What a server does with them.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.certificate_file, found.key_file)


def test_only_the_owner_reads_keys(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "tls", [], now=NOW)
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    for path in (tmp_path / "tls").glob("*key*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list((tmp_path / "tls").glob("*key*"))) == 2


def test_what_is_there_and_good_is_kept(tmp_path: Path) -> None:
    first = contents(ensure_certificates(tmp_path, ["site.example"], now=NOW))
    later = NOW + timedelta(days=700)
    assert contents(ensure_certificates(tmp_path, ["site.example"], now=later)) == first
    assert contents(ensure_certificates(tmp_path, [], now=later)) == first


@pytest.mark.parametrize(
    ("hosts", "later"),
    [(["new.example"], timedelta(0)), ([], timedelta(days=800))],
)
def test_a_new_host_or_a_near_end_renews_the_certificate_and_not_the_ca(
    tmp_path: Path, hosts: list[str], later: timedelta
) -> None:
    ca, certificate, key = contents(ensure_certificates(tmp_path, [], now=NOW))
    found = ensure_certificates(tmp_path, hosts, now=NOW + later)
    assert contents(found)[0] == ca
    assert contents(found)[1] != certificate
    assert contents(found)[2] != key
    read(found.certificate_file).verify_directly_issued_by(read(found.ca_file))


def test_a_ca_near_its_end_is_renewed_with_all_below_it(tmp_path: Path) -> None:
    found = ensure_certificates(tmp_path, [], now=NOW)
    ca, certificate, _ = contents(found)
    ensure_certificates(tmp_path, [], now=NOW + timedelta(days=3630))
    assert contents(found)[0] != ca
    assert contents(found)[1] != certificate
    read(found.certificate_file).verify_directly_issued_by(read(found.ca_file))


def test_no_certificate_outlives_its_ca(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, [], now=NOW)
    found = ensure_certificates(tmp_path, [], now=NOW + timedelta(days=3600))
    end = read(found.certificate_file).not_valid_after_utc
    assert end == read(found.ca_file).not_valid_after_utc


@pytest.mark.parametrize("missing", ["server.pem", "server-key.pem", "ca-key.pem"])
def test_a_half_written_set_is_completed(tmp_path: Path, missing: str) -> None:
    found = ensure_certificates(tmp_path, [], now=NOW)
    (tmp_path / missing).unlink()
    ensure_certificates(tmp_path, [], now=NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.certificate_file, found.key_file)
    read(found.certificate_file).verify_directly_issued_by(read(found.ca_file))


def test_a_key_that_does_not_fit_is_replaced(tmp_path: Path) -> None:
    """A crash between the two files of a renewal."""
    found = ensure_certificates(tmp_path / "a", [], now=NOW)
    other = ensure_certificates(tmp_path / "b", [], now=NOW)
    found.key_file.write_bytes(other.key_file.read_bytes())
    ensure_certificates(tmp_path / "a", [], now=NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.certificate_file, found.key_file)


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "server.pem"])
def test_a_file_that_is_not_ours_is_named(tmp_path: Path, name: str) -> None:
    ensure_certificates(tmp_path, [], now=NOW)
    (tmp_path / name).write_text("something else", "ascii")
    with pytest.raises(ConfigurationError, match=name):
        ensure_certificates(tmp_path, [], now=NOW)
