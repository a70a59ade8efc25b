"""Every command that a page shows can be: its options, outputs, addresses and names.

Of Plumbline on all pages; of everything else on those about AWS.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

import aws_command
from documented_commands import DEPLOY, PAGES, ROOT, RUNBOOKS, commands, lines
from plumbline.cli.main import cli
from plumbline.cli.operate import ALLOWED

TERRAFORM = ROOT / "terraform"
AWS_PAGES = [DEPLOY, *RUNBOOKS]
_BASH = shutil.which("bash") or "bash"
_TERRAFORM_ACTIONS = {
    "apply",
    "destroy",
    "force-unlock",
    "import",
    "init",
    "output",
    "plan",
    "state",
}
_TERRAFORM_OPTIONS = {"detailed-exitcode", "json", "out", "raw", "target", "var", "var-file"}
_OTHERS = {
    "cat",
    "cp",
    "curl",
    "date",
    "dig",
    "docker",
    "git",
    "jq",
    "mosquitto_pub",
    "mosquitto_sub",
    "openssl",
    "printf",
    "python",
    "sed",
}


def shown(program: str, pages: Iterable[Path] = AWS_PAGES) -> list[tuple[Path, list[str]]]:
    return [
        (page, command)
        for page in pages
        for line in lines(page)
        for command in commands(line)
        if command[0] == program
    ]


def declared(kind: str) -> set[str]:
    text = "\n".join(path.read_text("utf-8") for path in TERRAFORM.glob("*.tf"))
    return set(re.findall(rf'^{kind} "(\w+)"', text, re.MULTILINE))


@pytest.mark.parametrize("page", AWS_PAGES, ids=lambda page: page.stem)
def test_every_line_is_a_shells(page: Path) -> None:
    text = "\n".join(lines(page))
    assert text
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-n"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_program_is_one_that_the_reader_was_told_to_have() -> None:
    known = {"aws", "plumbline", "./run", "terraform", *_OTHERS}
    used = {command[0] for page in AWS_PAGES for line in lines(page) for command in commands(line)}
    assert used <= known


def test_every_command_of_the_aws_cli_can_be() -> None:
    found = shown("aws")
    assert len(found) > 100
    wrong = {
        f"{page.name}: {shlex.join(command)}": complaint
        for page, command in found
        if (complaint := aws_command.complaint(command)) is not None
    }
    assert wrong == {}


def test_every_command_of_the_aws_cli_that_a_sentence_names_can_be() -> None:
    """A sentence may leave options to the reader."""
    found = [
        text for page in AWS_PAGES for text in re.findall(r"`(aws [^`]+)`", page.read_text("utf-8"))
    ]
    assert len(found) > 3
    for text in found:
        [command] = commands(text)
        complaint = aws_command.complaint(command)
        assert complaint is None or "needs" in complaint, f"{text}: {complaint}"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("aws sqz purge-queue", "no service sqz"),
        ("aws sqs purge", "sqs has no purge"),
        ("aws sqs purge-queue", "needs ['--queue-url']"),
        ("aws sqs purge-queue --queue-url a b", "does not take ['b']"),
        ("aws sqs purge-queue --queue-url", "--queue-url needs a value"),
        ("aws sqs purge-queue --queue-url a --force b", "PurgeQueue has no --force"),
        ("aws ecs wait stable", "ecs has no waiter stable"),
        ("aws ecs wait services-stable --cluster a", "needs ['--services']"),
        ("aws sqs get-queue-url --queue-name a --query Url", "--query Url: no Url there"),
        (
            "aws cloudwatch describe-alarms --state-value RINGS",
            "--state-value is none of ['RINGS']",
        ),
        (
            "aws rds describe-db-clusters --query DBClusters.Status",
            "--query DBClusters.Status: no Status there",
        ),
        ("aws rds failover-db-cluster --db-cluster-identifier a --no-reason", "has no --no-reason"),
    ],
)
def test_what_cannot_be_is_found(line: str, complaint: str) -> None:
    [command] = commands(line)
    assert complaint in (aws_command.complaint(command) or "")


def test_every_command_of_plumbline_can_be() -> None:
    found = shown("plumbline", PAGES) + shown("./run", PAGES)
    assert len(found) > 90
    for page, (_, *arguments) in found:
        if arguments:  # without, it is the demonstration
            assert_is_command(arguments, page.name)


def assert_is_command(arguments: list[str], page: str) -> None:
    """Raise click's error where the command line would refuse these arguments."""
    there = arguments[:1] == ["--function"]
    if there:
        del arguments[:2]
        assert arguments[0] in ALLOWED, f"{page}: operate does not run {arguments[0]}"
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"{page}: there is no command {name}"
        context = click.Context(command, parent=context)
    assert command is not None
    try:
        command.parse_args(context, arguments)
    except click.BadParameter as error:
        # A file is the reader's.
        if error.param is None or not isinstance(error.param.type, click.Path):
            raise


@pytest.mark.parametrize(
    "arguments",
    [
        "device ad tower-1",
        "device add tower-1 --role x",
        "user add anna --role boss",
        "--function f up",
        "device rotate",
    ],
)
def test_a_command_that_plumbline_would_refuse_is_found(arguments: str) -> None:
    with pytest.raises((AssertionError, click.ClickException)):
        assert_is_command(arguments.split(), "a page")


def test_every_output_variable_and_address_of_terraform_exists() -> None:
    outputs, variables = declared("output"), declared("variable")
    found = shown("terraform")
    assert len(found) > 20
    for page, (_, *words) in found:
        said = f"{page.name}: {shlex.join(words)}"
        assert words.pop(0) == "-chdir=terraform", said
        action, *rest = words
        assert action in _TERRAFORM_ACTIONS, said
        if action == "output":
            assert rest[1] in outputs, said
        for word in rest:
            option, _, value = word.partition("=")
            if option == "-var-file":
                assert (TERRAFORM / value).exists(), said
            elif option == "-var":
                assert value.partition("=")[0] in variables, said
            elif option == "-target":
                assert_is_address(value, said)
            elif word.startswith("module."):
                assert_is_address(word, said)
            else:
                assert not word.startswith("-") or option[1:] in _TERRAFORM_OPTIONS, said


def assert_is_address(address: str, said: str) -> None:
    _, module, *resource = re.sub(r"\[.*", "", address).split(".")
    directory = TERRAFORM / "modules" / module
    assert directory.is_dir(), said
    if resource:
        kind, name = resource
        text = "\n".join(path.read_text("utf-8") for path in directory.glob("*.tf"))
        assert f'resource "{kind}" "{name}"' in text, said


def test_every_variable_that_a_page_names_exists() -> None:
    """Words with an underscore in code marks are variables, outputs, metrics' or log events."""
    variables = declared("variable")
    page = (ROOT / "docs" / "runbooks" / "scaling.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page))
    assert named
    assert named <= variables


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_every_runbook_says_when_where_to_look_what_to_do_and_when_it_is_well(page: Path) -> None:
    headings = re.findall(r"^#{2,3} (.*)$", page.read_text("utf-8"), re.MULTILINE)
    if page.name != "routine.md":
        wanted = ["When", "Look", "Do", "Well again when"]
        assert [heading for heading in headings if heading in wanted] == wanted
