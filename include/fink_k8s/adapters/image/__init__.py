"""The stream's image: what is in it, how it is built."""
