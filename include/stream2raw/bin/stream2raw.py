"""Entry point of the job in the image: `stream2raw.py -servers ... -topic ... -night ...`."""

import sys
from pathlib import Path

# Python looks first in the folder of the program, where this file, named as Fink names it, would
# stand in for the package.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from stream2raw.job import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
