"""What a store needs of the place where it keeps its documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

from dacapo_like.config.document import Document, parse_document
from dacapo_like.errors import ConfigError, did_you_mean

_MOST_NAMES = 30


class Backend(ABC):
    """Texts of documents by name. All changes are whole: readers find the old text or the new one, and so does who comes after a crash.

    Names that come in are names already (`dacapo_like.stores.names.check_name`). Names that differ in case only exclude each other.

    Attributes
    ----------
    url : str
        Where the documents are, for messages: without a password.
    directory : Path
        Where relative file names in the documents start.
    heading : str
        Stands above every document that is put there.
    """

    url: str
    directory: Path
    heading: str = ""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Give all names, sorted."""

    @abstractmethod
    def text(self, name: str) -> str | None:
        """Give a document; ``None``: there is none of this name."""

    @abstractmethod
    def put(self, name: str, text: str, *, overwrite: bool) -> None:
        """Keep a document.

        Raises
        ------
        ConfigError
            There is one of this name, unless it is to be overwritten, or of its name in another case.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Let go of a document.

        Raises
        ------
        ConfigError
            There is none of this name.
        """

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Give a document another name.

        Raises
        ------
        ConfigError
            There is none of the old name, or one of the new name, in whichever case.
        """

    def place(self, name: str) -> str:
        """Say how messages call a document."""
        return f"{self.url}#{name}"

    def document(self, name: str) -> Document | None:
        """Read a document; ``None``: there is none of this name.

        Raises
        ------
        DocumentError
            It is no YAML.
        """
        text = self.text(name)
        if text is None:
            return None
        return parse_document(text, path=self.place(name), directory=self.directory)

    def taken(self, name: str, there: str) -> ConfigError:
        """Make the error for a name that is there already, or in another case."""
        if there == name:
            what, hint = "there is an array of this name already", "overwrite=True (--overwrite)"
            return ConfigError(
                what, got=repr(name), where=self.url, hint=f"{hint} replaces it", code="DL132"
            )
        return ConfigError(
            "there is an array whose name differs in case only",
            got=repr(name),
            expected=f"another name, or {there!r}",
            where=self.url,
            code="DL132",
        )

    def absent(self, name: str, known: Iterable[str] | None = None) -> ConfigError:
        """Make the error for a name that is not there."""
        names = list(self.names() if known is None else known)
        shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        return ConfigError(
            "no array of this name",
            got=repr(name),
            expected=f"one of {shown}" if names else "a name in the store, which has none yet",
            where=self.url,
            hint=did_you_mean(name, names),
            code="DL107",
        )
