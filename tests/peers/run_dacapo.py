"""Let the real DaCapo 0.3.0 write documents, and read regions with its arrays: `run_dacapo.py FOLDER`.

Run by the interpreter of an environment of its own (requirements-dacapo.txt) over a folder with the file ``volume.zarr``
that tests/test_dacapo_peer.py makes. Leaves there a store of DaCapo's with one document per config, ``answers.json`` and
the voxels as ``.npy`` files.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# `import dacapo` imports torch, gunpowder and all the rest of a training framework. The modules of its arrays and of its
# store need none of that: their packages are entered here with their real folders, but without running their `__init__`.
_BARE = {
    "dacapo": (),
    "dacapo.store": (),
    "dacapo.experiments": ("RunConfig",),
    "dacapo.experiments.datasplits": ("DataSplitConfig",),
    "dacapo.experiments.datasplits.datasets": ("DatasetConfig",),
    "dacapo.experiments.datasplits.datasets.graphstores": ("GraphStoreConfig",),
    "dacapo.experiments.architectures": ("ArchitectureConfig",),
    "dacapo.experiments.starts": ("StartConfig",),
    "dacapo.experiments.tasks": ("TaskConfig",),
    "dacapo.experiments.tasks.evaluators": ("EvaluationScores",),
    "dacapo.experiments.tasks.post_processors": ("PostProcessorParameters",),
    "dacapo.experiments.trainers": ("TrainerConfig",),
    "dacapo.experiments.trainers.gp_augments": ("AugmentConfig",),
}
_SPLITS = "dacapo.experiments.datasplits"
# Imported by the arrays' modules for viewing, for annotations of types, and for what is not read here.
_ABSENT = {
    "neuroglancer": ("ImageLayer",),
    "gunpowder": ("Array",),
    "skimage": (),
    "skimage.transform": ("rescale",),
    "fibsem_tools": (),
    "fibsem_tools.metadata": (),
    "fibsem_tools.metadata.groundtruth": ("LabelList",),
}


def _enter(name: str, classes: tuple[str, ...]) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    for class_name in classes:
        setattr(module, class_name, type(class_name, (), {}))
    return module


def import_dacapo() -> tuple[ModuleType, ModuleType]:
    """Give DaCapo's modules of arrays and of its store of files."""
    found = importlib.util.find_spec("dacapo")
    if found is None or found.origin is None:
        raise SystemExit("no dacapo here: pip install --no-deps -r requirements-dacapo.txt")
    root = Path(found.origin).parent
    for name, classes in _BARE.items():
        _enter(name, classes).__path__ = [str(root.joinpath(*name.split(".")[1:]))]
    for name, classes in _ABSENT.items():
        _enter(name, classes)
    sys.modules["dacapo"].Options = importlib.import_module("dacapo.options").Options  # type: ignore[attr-defined]  # made here
    arrays = importlib.import_module("dacapo.experiments.datasplits.datasets.arrays")
    _give(f"{_SPLITS}.datasets", "dataset_config", "DatasetConfig")
    _give(f"{_SPLITS}.datasets", "dataset", "Dataset")
    _give(_SPLITS, "datasplit_config", "DataSplitConfig")
    return arrays, importlib.import_module("dacapo.store.file_config_store")


def _give(package: str, module: str, name: str) -> Any:
    """Put the real class into a package that was entered bare."""
    found = getattr(importlib.import_module(f"{package}.{module}"), name)
    setattr(sys.modules[package], name, found)
    return found


def datasplit_config(a: Any, folder: Path) -> Any:
    """Give a datasplit of DaCapo's."""
    from funlib.geometry import Coordinate

    dataset = _give(f"{_SPLITS}.datasets", "raw_gt_dataset_config", "RawGTDatasetConfig")
    split = _give(_SPLITS, "train_validate_datasplit_config", "TrainValidateDataSplitConfig")
    of = _sources(a, folder)
    points = [Coordinate(120, 40, 40), Coordinate(200, 48, 64)]
    first = dataset("one", 3, of["raw"], of["labels"], of["other"], points)
    return split("split", [first, dataset("two", 1, of["raw"], of["snapped"])], [dataset("three", raw_config=of["other"], gt_config=of["labels"])])  # fmt: skip


def _sources(a: Any, folder: Path) -> dict[str, Any]:
    from funlib.geometry import Coordinate

    def zarr(dataset: str, **more: Any) -> Any:
        return a.ZarrArrayConfig(
            name=dataset, file_name=folder / "volume.zarr", dataset=dataset, **more
        )

    return {
        "labels": zarr("labels"),
        "raw": zarr("raw"),
        "other": zarr("other"),
        "masks": zarr("masks", axes=["c", "z", "y", "x"]),
        "snapped": zarr("labels", snap_to_grid=Coordinate(80, 24, 24)),
    }


def read_configs(a: Any, folder: Path) -> dict[str, Any]:
    """Give configs of DaCapo's whose arrays are right."""
    from funlib.geometry import Roi

    of = _sources(a, folder)
    groupings = [("mito", [3, 2**53 + 1]), ("any", []), ("far", [2**64 - 1, 8])]
    crop = Roi((120, 16, 40), (200, 4000, 32))
    of["binarized"] = a.BinarizeArrayConfig("binarized", of["labels"], groupings)
    of["background"] = a.BinarizeArrayConfig("background", of["labels"], [("any", [])], 3)
    of["cropped"] = a.CropArrayConfig("cropped", of["labels"], crop)
    of["cropped_masks"] = a.CropArrayConfig("cropped_masks", of["binarized"], crop)
    of["intensities"] = a.IntensitiesArrayConfig("intensities", of["raw"], -1.5, 250.25)
    sources = {"raw": of["raw"], "other": of["other"]}
    of["concatenated"] = a.ConcatArrayConfig("concatenated", ["other", "none", "raw"], sources)
    of["defaulted"] = a.ConcatArrayConfig(
        "defaulted", ["raw", "rest"], {"raw": of["raw"]}, of["other"]
    )
    of["any_of_masks"] = a.LogicalOrArrayConfig("any_of_masks", of["masks"])
    of["any_of_groups"] = a.LogicalOrArrayConfig("any_of_groups", of["binarized"])
    of["ones"] = a.OnesArrayConfig("ones", of["labels"])
    of["summed"] = a.SumArrayConfig("summed", [of["raw"], of["other"]])
    deep = a.CropArrayConfig("in", of["intensities"], crop)
    of["nested"] = a.ConcatArrayConfig("nested", ["b", "a"], {"a": deep, "b": deep})
    return of


def other_configs(a: Any, folder: Path) -> dict[str, Any]:
    """Give configs that DaCapo writes, but whose arrays are not compared."""
    from funlib.geometry import Coordinate

    of = _sources(a, folder)
    one, two = Coordinate(1, 1, 1), Coordinate(1, 2, 2)
    groupings = [("mito", [3, 4])]
    return {
        "upsampled": a.ResampledArrayConfig("upsampled", of["raw"], two, one, True),
        "downsampled": a.ResampledArrayConfig("downsampled", of["raw"], one * 0, two, False),
        "annotated": a.MissingAnnotationsMaskConfig("annotated", of["labels"], groupings),
        "merged": a.MergeInstancesArrayConfig("merged", [of["labels"], of["snapped"]]),
        "served": a.DVIDArrayConfig("served", ("https://dvid.example.org", "a89e", "gray")),
        "dummy": a.DummyArrayConfig("dummy"),
    }


def _read(name: str, array: Any, folder: Path) -> dict[str, Any]:
    """Read the whole array and a part of it."""
    from funlib.geometry import Coordinate, Roi

    size = array.voxel_size
    part = Roi(array.roi.offset + size * Coordinate(1, 2, 1), size * Coordinate(2, 2, 3))
    reads = []
    for i, roi in enumerate((array.roi, part)):
        file_name = f"{name}-{i}.npy"
        np.save(folder / file_name, array[roi])
        reads.append({"offset": list(roi.offset), "shape": list(roi.shape), "voxels": file_name})
    channels = getattr(array, "channels", None)
    return {
        "axes": list(array.axes),
        "voxel_size": list(size),
        "dtype": np.dtype(array.dtype).name,
        "num_channels": array.num_channels,
        "channels": None if channels is None else list(channels),
        "reads": reads,
    }


def _fields(a: Any) -> dict[str, list[str]]:
    import attr

    configs = [value for key, value in vars(a).items() if key.endswith("Config")]
    configs.append(sys.modules[f"{_SPLITS}.datasets"].RawGTDatasetConfig)
    configs.append(sys.modules[_SPLITS].TrainValidateDataSplitConfig)
    return {c.__name__: [f.name for f in attr.fields(c)] for c in configs if c is not a.ArrayConfig}


def main(folder: Path) -> None:
    """Write documents and voxels."""
    a, stores = import_dacapo()
    store = stores.FileConfigStore(folder / "store")
    readable = read_configs(a, folder)
    for name, config in {**readable, **other_configs(a, folder)}.items():
        config.name = name
        store.store_array_config(config)
    store.store_datasplit_config(datasplit_config(a, folder))
    read = {name: _read(name, c.array_type(c), folder) for name, c in readable.items()}
    answers = {"arrays": read, "fields": _fields(a)}
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
