"""Types of single values: numbers, names, digests and files.

Each validator raises `ValueError` with the end of a sentence that began with the value.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

MIN_SECRET_CHARACTERS = 32

_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")  # as in guarita.ids


def no_bool(value: object) -> object:
    """YAML's true is not 1: pydantic would take it for a number."""
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic collects no other
    return value


def _no_number(value: object) -> object:
    """The number 1 is not true; the text "1" is, since variables know only text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("not true or false")  # noqa: TRY004 - pydantic collects no other
    return value


def _region(text: str) -> str:
    if text and not _REGION.fullmatch(text):
        raise ValueError(
            "a region name has 1 to 32 of a-z, 0-9 and -, and neither begins nor ends with -"
        )
    return text


def _peer_name(text: str) -> str:
    if not text:
        raise ValueError("a region needs a name")
    return _region(text)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError("a name has 1 to 64 of A-Z, a-z, 0-9, ., _ and -, first a letter or digit")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(
            "not a SHA-256 in hex (64 of 0-9 and a-f): make it with "
            'printf %s "$API_KEY" | sha256sum'
        )
    return text


def _key_part(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if "{" in text or "}" in text:
        raise ValueError("must not hold { or }: a Cluster would place keys by what is inside them")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return text


def _in_working_directory(path: Path, info: ValidationInfo) -> Path:
    """Relative paths start at the working directory that `load` was given."""
    context = info.context or {}
    return Path(context.get("cwd", Path.cwd())) / path.expanduser()


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as exc:
        raise ValueError(reason_of(exc)) from None


def _output(path: Path) -> Path:
    if path.is_dir():
        raise ValueError("is a directory; name a file in it")
    return path


def _directory(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise ValueError("is a file; name a directory")
    return path


def read_secret_file(path: Path) -> str:
    """The text of a file without its last line end. Raises `ValueError`, which never quotes it."""
    try:
        text = path.read_text("utf-8")
    except OSError as exc:
        raise ValueError(reason_of(exc)) from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("is empty")
    if "\n" in text:
        raise ValueError("has more than one line")
    return text


def reason_of(exc: OSError) -> str:
    """Why a file could not be read, as the end of a sentence."""
    match exc:
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "may not be read by this user"
        case IsADirectoryError():
            return "is a directory, not a file"
    return exc.strerror or "cannot be read"


def _holds_secret(path: Path) -> Path:
    read_secret_file(path)
    return path


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(no_bool)]
Seconds = Annotated[float, Field(gt=0, le=3600), BeforeValidator(no_bool)]
Age = Annotated[float, Field(ge=0, le=60), BeforeValidator(no_bool)]
Lifetime = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=366 * 86400)]
Switch = Annotated[bool, BeforeValidator(_no_number, json_schema_input_type=bool)]
RegionName = Annotated[str, AfterValidator(_region)]
PeerName = Annotated[str, AfterValidator(_peer_name)]
KeyPart = Annotated[str, AfterValidator(_key_part)]
Name = Annotated[str, AfterValidator(_name)]
Digest = Annotated[str, BeforeValidator(_lower), AfterValidator(_digest)]
LowerCase = BeforeValidator(_lower)
InputFile = Annotated[Path, AfterValidator(_in_working_directory), AfterValidator(_readable)]
SecretFile = Annotated[Path, AfterValidator(_in_working_directory), AfterValidator(_holds_secret)]
OutputFile = Annotated[Path, AfterValidator(_in_working_directory), AfterValidator(_output)]
Directory = Annotated[Path, AfterValidator(_in_working_directory), AfterValidator(_directory)]
