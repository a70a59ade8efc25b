"""Order and completeness of a send to SQS under any failures of its entries."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from plumbline.adapters.sqs_sending import REQUEST_ENTRIES, Sending
from plumbline.ports import OutgoingMessage, SendFailure


@given(
    groups=st.lists(st.sampled_from("ABCD"), max_size=40),
    answers=st.lists(st.sampled_from(["ok", "ok", "ok", "retry", "refuse"]), max_size=80),
)
def test_each_group_arrives_as_an_unbroken_beginning_in_order(
    groups: list[str], answers: list[str]
) -> None:
    messages = [OutgoingMessage(str(n), {}, group, str(n)) for n, group in enumerate(groups)]
    sending = Sending(messages, range(len(messages)), [0.0, 0.0], fifo=True)
    script = iter(answers)
    arrived: defaultdict[str, list[int]] = defaultdict(list)
    while request := sending.next_request():
        assert len(request) <= REQUEST_ENTRIES
        assert len({groups[index] for index in request}) == len(request)
        for index in request:
            answer = next(script, "ok")
            if answer == "ok":
                arrived[groups[index]].append(index)
                sending.accepted(index)
            else:
                sending.failed(SendFailure(index, "x", "", sender_fault=answer == "refuse"))
    failed = {failure.index for failure in sending.failures}
    assert len(failed) == len(sending.failures)
    for group in set(groups):
        expected = [index for index in range(len(groups)) if groups[index] == group]
        assert arrived[group] == expected[: len(arrived[group])]
        assert set(expected[len(arrived[group]) :]) == failed & set(expected)
