from collections.abc import Iterator

import pytest

from contract.sqs_emulator import running_sqs_emulator


@pytest.fixture(scope="session")
def sqs_endpoint_url() -> Iterator[str]:
    """Yield the endpoint of a running SQS emulator; without one, the tests fail."""
    with running_sqs_emulator() as url:
        yield url
