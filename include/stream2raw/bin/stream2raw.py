"""Entry point of the job in the image: `stream2raw.py -servers ... -topic ... -night ...`."""

import sys

from stream2raw.job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
