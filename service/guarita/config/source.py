"""pydantic-settings on one variable at a time, so that each value is known to come from it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from guarita.config.names import PREFIX
from guarita.config.settings import Settings
from guarita.config.store import Section

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings


class Source(EnvSettingsSource):
    """Gives what the variable sets, at its place among the settings."""

    def __init__(self, variable: str, text: str) -> None:
        super().__init__(
            cast("type[BaseSettings]", Settings),
            case_sensitive=False,
            env_prefix=PREFIX,
            env_nested_delimiter="__",
        )
        self.env_vars = {variable.lower(): text}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        """JSON; a list of texts may also be written with commas. Raises `ValueError`."""
        kind = field.annotation if field is not None else None
        is_of_texts = get_origin(kind) is tuple and not _holds_sections(kind)
        if is_of_texts and not re.match(r'\s*\[\s*["\]]', value):  # [::1]:80 is no JSON
            return [part.strip() for part in value.split(",") if part.strip()]
        return json.loads(value)


def _holds_sections(kind: Any) -> bool:
    item = get_args(kind)[0]
    return isinstance(item, type) and issubclass(item, Section)
