"""The folder of a store, as this process reaches it: texts read and written, files listed."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pyarrow import fs

from fink_k8s.core.base.errors import Refused, Unavailable

_MOST_TEXT = 1 << 20


class StoreFiles:
    """The folder `root` of a file system.

    `url` is the same folder as the job writes it into the sink's manifest; `has_owners` says
    whether a folder there belongs to the user who made it.
    """

    def __init__(
        self, url: str, files: fs.FileSystem, root: str, *, has_owners: bool = True
    ) -> None:
        self._prefix = url
        self._files = files
        self._root = root
        self._has_owners = has_owners

    def write(self, folder: str, files: Mapping[str, str]) -> str:
        """Write texts, by name, below `folder` of the store; return the folder's address.

        Raises:
            Unavailable: the store takes nothing, or no stream has made its folder yet.
        """
        address = f"{self._prefix.rstrip('/')}/{folder}"
        if self._has_owners and self._is_missing(self._root):
            # What this process makes is its own user's: the stream could not write below it.
            raise Unavailable(f"{self._prefix} is not there yet; its first stream makes it")
        for name, text in files.items():
            path = self._path(f"{address}/{name}")
            try:
                self._files.create_dir(path.rpartition("/")[0])
                with self._files.open_output_stream(path) as file:
                    file.write(text.encode())
            except OSError as error:
                raise Unavailable(f"{address} cannot be written: {str(error)[:200]}") from error
        return address

    def text(self, path: str, most: int = _MOST_TEXT) -> str | None:
        """Return a text below the store's root, at most `most` bytes; None where there is none.

        Raises:
            Unavailable: it cannot be read.
        """
        try:
            with self._files.open_input_file(self._path(f"{self._prefix.rstrip('/')}/{path}")) as f:
                return str(f.read(most), "utf-8", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{path} cannot be read: {str(error)[:200]}") from error

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder below the store's root.

        Raises:
            Unavailable: it cannot be read.
        """
        address = f"{self._prefix.rstrip('/')}/{path}"
        return [info.base_name for info in self._list(address, kind=fs.FileType.Directory)]

    def _is_missing(self, path: str) -> bool:
        return bool(self._files.get_file_info(path).type == fs.FileType.NotFound)

    def _list(
        self, folder: str, *, deep: bool = False, kind: fs.FileType = fs.FileType.File
    ) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self._path(folder), allow_not_found=True, recursive=deep)
        try:
            return [info for info in self._files.get_file_info(selector) if info.type == kind]
        except OSError as error:
            raise Unavailable(f"store {folder} cannot be read: {str(error)[:200]}") from error

    def _read(self, path: str) -> str:
        try:
            with self._files.open_input_file(self._path(path)) as file:
                return str(file.read(), "utf-8")
        except OSError as error:
            raise Unavailable(f"{path} cannot be read: {str(error)[:200]}") from error

    def _path(self, address: str) -> str:
        """Return where an address of the job's is in the file system.

        Raises:
            Refused: it does not lie below this store.
        """
        base, given = urlsplit(self._prefix), urlsplit(address)
        if not given.scheme:
            return address
        here = given.path.removeprefix(base.path)
        is_below = given.path.startswith(base.path) and here[:1] in ("", "/")
        is_below = is_below and ".." not in here.split("/")
        if (given.scheme, given.netloc) != (base.scheme, base.netloc) or not is_below:
            raise Refused(
                f"the sink's manifest lists {address}, which is not below {self._prefix}; was the "
                "store moved? set FINK_STORE_PREFIX to where the night was written"
            )
        return f"{self._root.rstrip('/')}{here}"
