"""Record what other libraries say of broken documents: `run_messages.py pydantic|cattrs|hydra|dacapo >> messages.jsonl`.

Run by hand, in an environment that has the one library; the lines replace those of the library in ``messages.jsonl``, from which
tests/messages_page.py makes a page. Models are written as the manual of each library shows them; keys of documents are spelled as each
wants them: `type` is Hydra's ``_target_`` and DaCapo's ``__type__``.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
import traceback
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from messages_page import CASES  # noqa: E402  # behind the above

BROKEN = HERE.parent / "broken"
MOST_LINES, MOST_WIDTH = 14, 300
ACCEPTED = "(accepted: it says nothing)"
Say = Callable[[Path, Any], object]


def read(path: Path) -> Any:
    import yaml

    if path.suffix == ".toml":
        return tomllib.loads(path.read_text())
    return yaml.safe_load(path.read_text())


def without_names(data: Any, arrays: Any = None) -> Any:
    """Put arrays in the place of their names, for programs that know no names."""
    if isinstance(data, list):
        return [without_names(item, arrays) for item in data]
    if not isinstance(data, dict):
        return data
    arrays = data.get("arrays", arrays) or {}
    return {
        key: arrays[value]
        if key in ("source", "raw") and isinstance(value, str) and value in arrays
        else without_names(value, arrays)
        for key, value in data.items()
    }


def pydantic() -> tuple[str, Say]:
    """A discriminated union of strict models that refuse unknown keys."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, ConfigDict, Field

    class Model(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

    class Zarr(Model):
        type: Literal["zarr"]
        file_name: str
        dataset: str | None = None
        voxel_size: list[float] | None = None

    class Ones(Model):
        type: Literal["ones"]
        source: Source
        dtype: str | None = None

    class Intensities(Model):
        type: Literal["intensities"]
        source: Source
        min: float
        max: float
        clip: bool = False

    class Binarize(Model):
        type: Literal["binarize"]
        source: Source
        groupings: dict[str, list[int]]

    class Resampled(Model):
        type: Literal["resampled"]
        source: Source
        downsample: list[int]
        method: Literal["mean", "mode", "min", "max", "median", "stride"] | None = None

    ArrayModel = Annotated[  # noqa: N806  # a type
        Zarr | Ones | Intensities | Binarize | Resampled, Field(discriminator="type")
    ]
    Source = ArrayModel | str  # noqa: N806  # a type

    class Dataset(Model):
        name: str
        raw: Source

    class Experiment(Model):
        arrays: dict[str, ArrayModel]
        datasets: list[Dataset] = Field(default_factory=list)

    from pydantic import TypeAdapter

    names = {"Source": Source, "ArrayModel": ArrayModel, **locals()}
    for model in (Ones, Intensities, Binarize, Resampled, Dataset, Experiment):
        model.model_rebuild(_types_namespace=names)

    def say(path: Path, _: Any) -> object:
        data = read(path)
        return TypeAdapter(Experiment if "arrays" in data else ArrayModel).validate_python(data)

    return version("pydantic"), say


def cattrs() -> tuple[str, Say]:
    """A converter that refuses unknown keys, subclasses told apart by a tag, and messages by `transform_error`."""
    from functools import partial
    from typing import Literal

    import attrs
    from cattrs import Converter, transform_error
    from cattrs.strategies import configure_tagged_union, include_subclasses

    @attrs.frozen
    class Array:
        pass

    @attrs.frozen
    class Zarr(Array):
        file_name: str
        dataset: str | None = None
        voxel_size: list[float] | None = None

    @attrs.frozen
    class Ones(Array):
        source: Array
        dtype: str | None = None

    @attrs.frozen
    class Intensities(Array):
        source: Array
        min: float
        max: float
        clip: bool = False

    @attrs.frozen
    class Binarize(Array):
        source: Array
        groupings: dict[str, list[int]]

    @attrs.frozen
    class Resampled(Array):
        source: Array
        downsample: list[int]
        method: Literal["mean", "mode", "min", "max", "median", "stride"] | None = None

    @attrs.frozen
    class Dataset:
        name: str
        raw: str

    @attrs.frozen
    class Experiment:
        arrays: dict[str, Array]
        datasets: list[Dataset] = attrs.field(factory=list)

    for cls in (Array, Zarr, Ones, Intensities, Binarize, Resampled, Dataset, Experiment):
        attrs.resolve_types(cls, globals(), locals())
    converter = Converter(forbid_extra_keys=True)
    tagged = partial(
        configure_tagged_union, tag_name="type", tag_generator=lambda cls: cls.__name__.lower()
    )
    include_subclasses(Array, converter, union_strategy=tagged)

    def say(path: Path, _: Any) -> object:
        data = without_names(read(path))
        try:
            return converter.structure(data, Experiment if "arrays" in data else Array)
        except ExceptionGroup as error:
            return "\n".join(transform_error(error))

    return version("cattrs"), say


def hydra() -> tuple[str, Say]:
    """Dataclasses that `instantiate` makes of a config."""
    import dataclasses
    import types
    from typing import Literal

    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    module = sys.modules["arrays"] = types.ModuleType("arrays")
    fields: dict[str, list[Any]] = {
        "Zarr": [
            ("file_name", str),
            ("dataset", str | None, None),
            ("voxel_size", list[float] | None, None),
        ],
        "Ones": [("source", Any), ("dtype", str | None, None)],
        "Intensities": [("source", Any), ("min", float), ("max", float), ("clip", bool, False)],
        "Binarize": [("source", Any), ("groupings", dict[str, list[int]])],
        "Resampled": [
            ("source", Any),
            ("downsample", list[int]),
            ("method", Literal["mean", "mode", "min", "max", "median", "stride"] | None, None),
        ],
    }
    for name, given in fields.items():
        made = dataclasses.make_dataclass(name, given)
        made.__module__ = "arrays"
        setattr(module, name, made)

    def spelled(text: str) -> str:
        return (
            text.replace("type: ", "_target_: arrays.")
            .replace("source: raw", "source: '${arrays.raw}'")
            .replace("source: rw", "source: '${arrays.rw}'")
            .replace("raw: a_b_c", "raw: '${arrays.a_b_c}'")
        )

    def say(path: Path, folder: Any) -> object:
        import yaml

        text = path.read_text() if path.suffix != ".toml" else yaml.safe_dump(read(path))
        for name in [*fields, "Binarise"]:
            text = text.replace(f"type: {name.lower()}", f"type: {name}")
        copy = Path(folder, "document.yaml")
        copy.write_text(spelled(text))
        return instantiate(OmegaConf.load(copy))

    return version("hydra-core"), say


def dacapo() -> tuple[str, Say]:
    """Its own configs through its own converter, and then their `verify`."""
    sys.path.insert(0, str(HERE))
    from run_dacapo import import_dacapo

    arrays, _ = import_dacapo()
    from dacapo.store.converter import converter

    def spelled(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        keys = {"type": "__type__", "source": "source_array_config"}
        given = {keys.get(key, key): spelled(value) for key, value in data.items()}
        if "__type__" in given:
            given = {"name": "a", **given, "__type__": f"{given['__type__'].title()}ArrayConfig"}
        if given.get("__type__") == "ResampledArrayConfig":
            given |= {"upsample": [1, 1, 1], "interp_order": given.pop("method")}
        if given.get("__type__") == "ZarrArrayConfig":
            given.setdefault("dataset", "raw")
        if "groupings" in given:
            given["groupings"] = list(map(list, given["groupings"].items()))
        return given

    def say(path: Path, folder: Any) -> object:
        import zarr

        os.chdir(folder)
        zarr.open_group("em.zarr", mode="a").require_dataset("raw", shape=(16,) * 3, dtype="u1")
        data = without_names(read(path))
        parts = list(data["arrays"].values()) if "arrays" in data else [data]
        said = []
        for part in map(spelled, parts):
            config = converter.structure(part, arrays.ArrayConfig)
            valid, reason = config.verify()
            said += [] if valid else [reason]
        return "\n".join(said)

    return version("dacapo-ml"), say


def message_of(say: Say, path: Path, folder: Path) -> str:
    """Give what is said, as a person sees it who runs the program: without the traceback."""
    try:
        said = say(path, folder)
        text = said if isinstance(said, str) and said else ACCEPTED
    except Exception as error:  # noqa: BLE001  # whatever is raised is recorded
        text = "\n".join(told(error))
    for directory in (BROKEN, folder):
        text = text.replace(f"{directory}/", "")
    lines = [line[:MOST_WIDTH] for line in text.rstrip().splitlines()]
    more = len(lines) - MOST_LINES
    return "\n".join(lines[:MOST_LINES] + ([f"… and {more} lines more"] if more > 0 else []))


def told(error: BaseException) -> list[str]:
    """Give the last lines of a traceback, of a group those of all its errors."""
    lines = "".join(traceback.format_exception_only(error)).rstrip().splitlines()
    if isinstance(error, BaseExceptionGroup):
        lines += [f"  {line}" for inner in error.exceptions for line in told(inner)]
    return lines


def main(name: str) -> None:
    import tempfile

    programs = {"pydantic": pydantic, "cattrs": cattrs, "hydra": hydra, "dacapo": dacapo}
    warnings.simplefilter("ignore")
    number, say = programs[name]()
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            message = message_of(say, BROKEN / case.document, Path(folder))
            line = {
                "program": name,
                "version": number,
                "document": case.document,
                "message": message,
            }
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
