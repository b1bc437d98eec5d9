"""The command line of the parameters: options made from their models, and models of options.

A command is a function like a flow: its parameters are models of `coreframe.flows.parameters`, or
single values annotated as there. On the command line the fields of a model are options. What an
option is called, its help, bounds and default are said there and nowhere else.
"""

import inspect
import shlex
from collections.abc import Callable, Mapping
from functools import wraps
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from coreframe.flows.boxes import Boxes
from coreframe.flows.choosing import Selecting
from coreframe.flows.parameters import NEW_STORE, Compute, Ingestion, Parameters, Picture, Sources
from coreframe.flows.training import Training
from coreframe.flows.values import Answered, Described, LogJson, Positional
from coreframe.tasks import status
from coreframe.tasks.errors import UsageError
from coreframe.tasks.names import shown

MODELS: dict[str, type[Parameters]] = {
    "corpus": Sources,
    "ingestion": Ingestion,
    "selecting": Selecting,
    "picture": Picture,
    "training": Training,
    "boxes": Boxes,
    "compute": Compute,
}
"""By the names that flows give them."""

ESCAPED = str.maketrans({"\\": r"\\", "'": r"\'"})
"""What has a meaning inside ``$'...'`` of a shell."""


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Let Typer call a command with flat options, and make its parameters of them.

    Every command takes ``--log-json``, too.

    Raises:
        TypeError: a parameter is of a type that no option can be made of.
        UsageError: when called, for the first value that is refused, in one sentence.
    """
    hints = get_type_hints(function, include_extras=True)
    types = {name: hints[name] for name in inspect.signature(function).parameters}
    options = [option for name, kind in types.items() for option in _options(name, kind)]
    options += _options("log_json", LogJson)

    @wraps(function)
    def flat(**given: Any) -> None:
        if given["log_json"]:
            from coreframe.flows.logs import log_json  # and all of Prefect and Dask

            status.end()
            log_json()
        function(**{name: _value(name, kind, given) for name, kind in types.items()})

    flat.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    del flat.__wrapped__  # or Typer looks for the annotations there
    return flat


def refusal(error: ValidationError, name: str = "") -> str:
    """The first value that is refused, as one sentence about an option.

    Args:
        error: what Pydantic raised.
        name: of the parameter, if it is no model.
    """
    first = error.errors()[0]
    option = "-".join(map(str, first["loc"])) or name
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not option:  # the model refuses what several options say together
        return f"{message}."
    given = first["input"]
    value = " ".join(map(str, given)) if isinstance(given, list) else given
    return f"{_spelled(option)} {value}: {message[0].lower()}{message[1:]}."


def command(parameters: Mapping[str, Any]) -> str:
    """The command that runs a flow with these parameters; what is a default is left out.

    Args:
        parameters: of ``curate`` or ``select``: ``store`` and ``out``, and by the names of
            :data:`MODELS` what each model holds.
    """
    words = ["coreframe", "curate" if "corpus" in parameters else "select"]
    words += ["--store", parameters["store"], "--out", parameters["out"]]
    positional = []
    for name, model in MODELS.items():
        given = parameters.get(name, {})
        for field, facts in model.model_fields.items():
            value = given.get(field)
            default = NEW_STORE.get(field) if model is Ingestion else None
            if value is None or value in (facts.get_default(), default):
                continue
            if _place(facts) is not None:
                positional += value
            elif value is True:
                words.append(_spelled(field))
            else:
                for one in value if isinstance(value, list) else [value]:
                    words += [_spelled(field), str(one)]
    if any(word.startswith("-") for word in positional):
        words.append("--")
    return " ".join(map(_word, [*words, *positional]))


def _word(text: str) -> str:
    """A word of a command line for people and for shells; ``$'...'`` is how these take escapes."""
    if shown(text) == text:
        return shlex.quote(text)
    return f"$'{shown(text.translate(ESCAPED))}'"


def _options(name: str, kind: Any) -> list[inspect.Parameter]:
    """The options that a parameter of a command becomes."""
    if _is_model(kind):
        return [_option(field, facts) for field, facts in kind.model_fields.items()]
    return [_option(name, FieldInfo.from_annotation(kind))]


def _option(name: str, facts: FieldInfo) -> inspect.Parameter:
    kind, place = _read_as(facts.annotation), _place(facts)
    described = next((one for one in facts.metadata if isinstance(one, Described)), None)
    help = facts.description or (described.text if described else None)
    declared: Any
    if isinstance(described, Answered):
        answer = _answering(described)
        declared = typer.Option(_spelled(name), help=help, callback=answer, is_eager=True)
    elif place is None:  # named alone, a flag has no opposite
        declared = typer.Option(_spelled(name), help=help)
    else:
        declared = typer.Argument(metavar=place.metavar, help=help)
    default = inspect.Parameter.empty if facts.is_required() else facts.get_default()
    if default is None or isinstance(default, list):
        kind, default = kind | None, None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, declared],
    )


def _answering(answered: Answered) -> Callable[[bool], None]:
    def answer(asked: bool) -> None:
        if asked:
            print(answered.answer())
            raise typer.Exit

    return answer


def _read_as(annotation: Any) -> Any:
    """As what the command line reads the values of a field; the model reads texts further."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not NoneType)
        return _read_as(annotation)
    if get_origin(annotation) is list:
        return list[str]
    if annotation in (int, float, bool):
        return annotation
    if annotation in (str, ByteSize) or get_origin(annotation) is Literal:
        return str
    raise TypeError(f"no option can be made of {annotation}")


def _value(name: str, kind: Any, given: Mapping[str, Any]) -> Any:
    """What the command gets for one of its parameters.

    Raises:
        UsageError: a value is refused.
    """
    try:
        if _is_model(kind):
            fields = {field: given[field] for field in kind.model_fields}
            return kind(**{field: value for field, value in fields.items() if value is not None})
        if given[name] is None:
            return FieldInfo.from_annotation(kind).get_default()
        return TypeAdapter(kind).validate_python(given[name])
    except ValidationError as error:
        raise UsageError(refusal(error, "" if _is_model(kind) else name)) from error


def _is_model(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Parameters)


def _place(facts: FieldInfo) -> Positional | None:
    return next((one for one in facts.metadata if isinstance(one, Positional)), None)


def _spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"
