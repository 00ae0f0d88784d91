"""The commands. Each loads what it needs when it runs, so that --help is quick."""
