"""Small files of a checkpoint, on HDFS, S3 or disk, through Hadoop's file systems."""

from typing import Any, List, Optional


class Files:
    """Reads and writes text through the JVM's Hadoop file systems (py4j)."""

    def __init__(self, spark: Any) -> None:
        self._jvm = spark._jvm
        self._configuration = spark._jsc.hadoopConfiguration()

    def names(self, folder: str) -> List[str]:
        """Return the names in a folder; none if the folder does not exist."""
        path = self._jvm.org.apache.hadoop.fs.Path(folder)
        system = path.getFileSystem(self._configuration)
        if not system.exists(path):
            return []
        return sorted(status.getPath().getName() for status in system.listStatus(path))

    def read(self, file: str) -> Optional[str]:
        """Return a file's text, or None if the file does not exist."""
        path = self._jvm.org.apache.hadoop.fs.Path(file)
        system = path.getFileSystem(self._configuration)
        if not system.exists(path):
            return None
        stream = system.open(path)
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode()
        finally:
            stream.close()

    def write(self, file: str, text: str) -> None:
        """Write a file, replacing an existing one."""
        path = self._jvm.org.apache.hadoop.fs.Path(file)
        stream = path.getFileSystem(self._configuration).create(path, True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
