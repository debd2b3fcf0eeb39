"""A store in HDFS, which pods and Airflow reach by its address alone."""

from fink_k8s.core.store.store_kind import StoreKind


class HdfsStore(StoreKind):
    """A folder of the name node or name service `host`."""

    scheme = "hdfs"
    form = "hdfs://namenode[:port]/path"
    remedy = "check FINK_STORE_PREFIX and the name node"

    @classmethod
    def check_host(cls, host: str) -> None:
        """Check the port, where there is one."""
        _, _, port = host.partition(":")
        if port and not 0 < int(port) < 65536:
            raise ValueError("must have a port from 1 to 65535, e.g. hdfs://namenode:8020/fink")
