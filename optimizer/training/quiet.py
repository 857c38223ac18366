"""Known, harmless chatter of the libraries, turned off before they are imported."""

import logging
import os


def quiet() -> None:
    """Drop two log messages: torchao's GPU kernels that do not load here, and pytree's enum notice."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would not be ours to count
    logging.getLogger("torchao").addFilter(lambda record: not record.getMessage().startswith("Failed to load"))
    logging.getLogger("torch.utils._pytree").addFilter(lambda record: "Enum subclass" not in record.getMessage())
