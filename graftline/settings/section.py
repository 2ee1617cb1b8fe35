"""What every section of the settings is; the sections themselves are in the files beside this one."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Settings of one part of the pipeline: immutable, no unknown keys, a line below each says what it is."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )
