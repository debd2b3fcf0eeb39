"""Why a stream does not run: evidence, the checks over it, and a catalogue of causes."""
