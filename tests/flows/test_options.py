"""The command line and the parameters: one definition of each option, there and back."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, get_type_hints

import pytest
import typer
from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from coreframe.flows import cli, short_commands
from coreframe.flows.options import MODELS, with_options
from coreframe.flows.parameters import Compute, Parameters
from coreframe.flows.values import OtherPaths, StorePath, Wait
from coreframe.tasks.errors import UsageError

FLOWS = ("curate", "ingest", "objects", "selection:select", "train", "check", "report")


def below_ten(value: str) -> str:
    if len(value) > 9:
        raise ValueError("Must have at most 9 letters")
    return value


class Things(Parameters):
    """Every kind of field that the models have."""

    number: int = Field(default=3, ge=1, description="How many.")
    share: float | None = Field(default=None, le=1, description="Of all.")
    word: Annotated[str, AfterValidator(below_ten)] | None = Field(default=None, description="A.")
    many: list[str] = Field(default=[], description="Several.")
    with_it: bool = Field(default=False, description="Too.")


def run(function: Callable[..., None], *words: str) -> Any:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(with_options(function))
    return CliRunner().invoke(app, words)


def called(*words: str) -> dict[str, Any]:
    """With what a command is called."""
    found: dict[str, Any] = {}

    def command(store: StorePath, others: OtherPaths, things: Things, wait: Wait) -> None:
        found.update(store=store, others=others, things=things, wait=wait)

    result = run(command, *words)
    if result.exception is not None:
        raise result.exception
    return found


def test_what_is_not_given_is_the_default_of_the_model() -> None:
    assert called("--store", "s") == {"store": "s", "others": [], "things": Things(), "wait": 0.0}


def test_what_is_given_reaches_the_command() -> None:
    words = "a --store s b --number 4 --share 0.5 --word w --many x --many y --with-it --wait 2"
    found = called(*words.split())
    things = Things(number=4, share=0.5, word="w", many=["x", "y"], with_it=True)
    assert found == {"store": "s", "others": ["a", "b"], "things": things, "wait": 2.0}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--number 0", "--number 0: input should be greater than or equal to 1."),
        ("--share 2", "--share 2.0: input should be less than or equal to 1."),
        ("--word abcdefghij", "--word abcdefghij: must have at most 9 letters."),
        ("--wait=-1", "--wait -1.0: input should be greater than or equal to 0."),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_a_sentence(words: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        called("--store", "s", *words.split())
    assert str(refused.value) == sentence


def test_a_type_that_no_option_can_be_made_of_is_an_error_at_once() -> None:
    def command(kind: dict[str, int]) -> None: ...

    with pytest.raises(TypeError, match="no option can be made of dict"):
        with_options(command)


def test_help_shows_names_texts_and_defaults() -> None:
    def command(others: OtherPaths, things: Things) -> None: ...

    lines = [" ".join(line.split()) for line in run(command, "--help").output.splitlines()]
    assert "--number <int> How many. [default: 3]" in lines
    assert "--share <float> Of all." in lines
    assert "--many <list[str]> Several." in lines
    assert "--with-it Too." in lines
    assert any("[OUT2...]" in line for line in lines)


@pytest.mark.parametrize(
    "command", cli.app.registered_commands, ids=lambda one: one.callback.__name__
)
def test_every_option_says_what_it_is(command: Any) -> None:
    for option in inspect.signature(command.callback).parameters.values():
        (declared,) = option.annotation.__metadata__
        assert declared.help, option.name
        assert declared.help.endswith("."), option.name


def test_the_command_defines_no_option() -> None:
    source = Path(cli.__file__).read_text() + Path(short_commands.__file__).read_text()
    for name in ("typer.Option", "typer.Argument", "Field(", " help=", "(help=", "default=", "= 0"):
        assert name not in source


@pytest.mark.integration
@pytest.mark.parametrize("name", FLOWS)
def test_flows_have_the_defaults_of_the_definitions(name: str) -> None:
    from prefect.utilities.callables import parameter_schema

    module, _, function = name.partition(":")
    flow = getattr(__import__(f"coreframe.flows.{module}", fromlist=[module]), function or module)
    hints = get_type_hints(flow.fn, include_extras=True)
    schema = parameter_schema(flow.fn)
    for parameter in inspect.signature(flow.fn).parameters.values():
        kind = hints[parameter.name]
        if inspect.isclass(kind) and issubclass(kind, Parameters):
            assert MODELS[parameter.name] is kind
            assert parameter.default in (inspect.Parameter.empty, kind.model_construct())
            continue
        assert schema.properties[parameter.name]["description"], parameter.name  # Prefect's form
        facts = FieldInfo.from_annotation(kind)
        if facts.is_required():
            assert parameter.default is inspect.Parameter.empty
        else:
            assert (parameter.default or facts.default) == facts.default


@pytest.mark.integration
def test_help_is_shown_without_what_runs_take() -> None:
    """It is shown at once, so neither engines nor torch are loaded for it."""
    code = (
        "import sys; from coreframe.flows import cli; sys.argv = ['coreframe', '--help']; "
        "cli.main(); print(sorted({'prefect', 'dask', 'distributed', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "Usage: coreframe [OPTIONS] COMMAND [ARGS]..."
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "PREFECT_AND_DASK", {})
    monkeypatch.setattr("coreframe.tasks.store.store.Store.open", interrupted)
    monkeypatch.setattr("sys.argv", ["coreframe", "info", "--store", "store"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    sentence = "coreframe: stopped; run it again to continue.\n"
    assert (ended.value.code, capsys.readouterr().err) == (130, sentence)


@pytest.mark.parametrize("words", [["--version"], ["--version", "info"]])
def test_the_version_is_said(words: list[str]) -> None:
    result = CliRunner().invoke(cli.app, words)
    assert (result.exit_code, result.stdout) == (0, f"coreframe {version('coreframe')}\n")


@pytest.mark.parametrize("words", ["info --store s --log-json", "--log-json info --store s"])
def test_a_log_in_json_is_asked_for_before_the_command_or_after_it(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    logs = SimpleNamespace(log_json=lambda: begun.append(True))
    monkeypatch.setitem(sys.modules, "coreframe.flows.logs", logs)  # without Prefect and Dask
    assert isinstance(CliRunner().invoke(cli.app, words.split()).exception, UsageError)
    assert begun == [True]


def test_a_deployment_whose_cluster_is_not_set_works_on_its_own_machine() -> None:
    assert Compute.model_validate({"cluster": ""}).cluster is None


def test_a_name_that_is_not_utf_8_is_refused_as_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "PREFECT_AND_DASK", {})
    for given, status, sentence in (
        ("s\udcff\n", 2, r"the name s\xff\n is not valid UTF-8: rename it"),
        ("s\x1b[2J\n", 2, r"no store at s\x1b[2J\n: make one with"),
    ):
        monkeypatch.setattr("sys.argv", ["coreframe", "info", "--store", given])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr().err
        assert (ended.value.code, told.count("\n")) == (status, 1)
        assert sentence in told
