"""What an installation lacks, and how to fix it: `python doctor.py`, or `make doctor`.

It runs as a file, so that it can report that the library cannot be imported.
"""

import sys


def main() -> int:
    """Print a line for each check and its remedy; return 1 if something is missing."""
    try:
        from fink_k8s.glue.preflight.installation_checks import run_checks
    except ImportError as error:
        print(f"missing  library: {error}")  # noqa: T201
        print("         fix it: put include/ on PYTHONPATH; rebuild the image with `make up`")  # noqa: T201
        return 1
    return run_checks(say=lambda line: print(line, flush=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
