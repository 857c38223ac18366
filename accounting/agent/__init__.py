"""The agent that runs on every host: reads power sensors, spools to disk, posts to the server."""

VERSION = "0.1.0"
