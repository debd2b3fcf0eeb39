"""One night from its opening to its proof."""
