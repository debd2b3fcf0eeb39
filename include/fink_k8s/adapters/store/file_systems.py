"""Airflow's own client for a store: one function for each kind."""

from functools import singledispatch
from urllib.parse import urlsplit

from pyarrow import fs

from fink_k8s.core.base.errors import OutOfSight, Unavailable
from fink_k8s.core.store.claim_store import ClaimStore
from fink_k8s.core.store.hdfs_store import HdfsStore
from fink_k8s.core.store.s3_store import S3Store
from fink_k8s.core.store.store_kind import StoreKind


@singledispatch
def file_system_of(store: StoreKind, access_key: str, secret_key: str) -> fs.FileSystem:
    """Return the file system that holds the store's `root`; the keys are for one that has some.

    Raises:
        OutOfSight: this process has no way to it; the stream may have.
        Unavailable: its server does not answer.
    """
    raise OutOfSight(
        f"Airflow has no client for {store.scheme}:// stores; add one to "
        "adapters/store/file_systems.py so that rows can be counted"
    )


@file_system_of.register
def _s3(store: S3Store, access_key: str, secret_key: str) -> fs.FileSystem:
    endpoint = urlsplit(store.settings.store_endpoint)
    return fs.S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
        region=store.settings.store_region,
        connect_timeout=5,
        request_timeout=20,
    )


@file_system_of.register
def _claim(store: ClaimStore, access_key: str, secret_key: str) -> fs.FileSystem:
    if not store.settings.store_mount:
        raise OutOfSight(
            f"FINK_STORE_MOUNT is not set, so Airflow cannot read claim {store.claim}; mount "
            "the claim into the Airflow workers and set the folder, so that rows can be counted"
        )
    return fs.LocalFileSystem()


@file_system_of.register
def _hdfs(store: HdfsStore, access_key: str, secret_key: str) -> fs.FileSystem:
    host, _, port = store.host.partition(":")
    try:
        return fs.HadoopFileSystem(host, int(port or 0))
    except OSError as error:
        reason = str(error).partition("\n")[0][:200]
        if not any(library in reason for library in ("libhdfs", "libjvm")):
            raise Unavailable(f"store {store} cannot be reached: {reason}") from error
        raise OutOfSight(
            f"this worker has no HDFS client ({reason}); install Hadoop's libhdfs into the "
            "Airflow workers and set HADOOP_HOME, CLASSPATH and ARROW_LIBHDFS_DIR, to have rows "
            "counted"
        ) from error
