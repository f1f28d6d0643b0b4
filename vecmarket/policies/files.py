"""Files of policies: safetensors, whose metadata say what they are and how to tell that nothing has changed.

The same policy always gives the same bytes. The checksum, SHA-256 over the arrays and the other metadata, is
younger than the format: a file without one is read as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecmarket.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_file", "write_file"]

FORMAT, VERSION = "vecmarket-policy", "1"
"""What the files of policies say they are."""
_FIELDS = ("format", "version", "shape", "checksum")
_LENGTH = 8  # bytes of the header's own length, in front of it


def write_file(path: Path, shape: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a policy's shape (hidden widths, activation) and its arrays by name, beside and renamed.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    import safetensors.numpy

    fields = {"format": FORMAT, "version": VERSION, "shape": json.dumps(shape, sort_keys=True)}
    content = safetensors.numpy.save(dict(arrays), fields | {"checksum": _checksum(fields, arrays)})
    # safetensors writes metadata in an order that changes from call to call.
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header = json.dumps(json.loads(content[_LENGTH:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    write_atomically(path, len(header).to_bytes(_LENGTH, "little") + header + content[end:])


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the shape and the arrays that `write_file` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, no policy, or of another version.
    """
    import safetensors.numpy

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such policy file")
    content = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
        header = content[_LENGTH : _LENGTH + int.from_bytes(content[:_LENGTH], "little")]
        fields = json.loads(header).get("__metadata__") or {}
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from error
    if fields.get("format") != FORMAT:
        raise ValueError(f"{path}: not a vecmarket policy (format {fields.get('format')!r})")
    if fields.get("version") != VERSION:
        raise ValueError(f"{path}: version {fields.get('version')!r}; this vecmarket reads version {VERSION}")
    for name in fields:  # else a file whose "checksum" was hit would be one without
        if name not in _FIELDS:
            raise ValueError(f"{path}: damaged: unknown metadata {name!r}")
    checksum = fields.pop("checksum", None)
    padded = header.rstrip(b" ").endswith(b"}")
    if checksum is not None and (checksum != _checksum(fields, arrays) or not padded):
        raise ValueError(f"{path}: damaged: the checksum does not fit")
    try:
        shape = json.loads(fields["shape"])
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: incomplete policy: {error}") from error
    return shape, arrays


def _checksum(fields: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of the metadata and of every array's name, type, shape and bytes."""
    parts = [[name, array.dtype.str, array.shape] for name, array in sorted(arrays.items())]
    digest = hashlib.sha256(json.dumps([fields, parts], sort_keys=True).encode())
    for _, array in sorted(arrays.items()):
        digest.update(array.tobytes())
    return digest.hexdigest()
