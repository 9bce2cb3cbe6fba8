"""The playbooks that come with the software; an agency's own of the same name take their place."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def shipped() -> Mapping[str, str]:
    """The TOML of each, by name."""
    found = (one for one in files(__name__).iterdir() if one.name.endswith(".toml"))
    return {one.name.removesuffix(".toml"): one.read_text("utf-8") for one in found}
