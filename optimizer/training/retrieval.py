"""Retrieval with MiniLM: from the first line of a docstring, find the rest of the same docstring among all others."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from optimizer.training import docstrings, evaluate, minilm
from optimizer.training.data import QualityReading, Workload

MODULES = (
    "argparse", "asyncio", "bdb", "codecs", "configparser", "contextlib", "difflib", "dis", "doctest", "email", "enum",
    "functools", "http", "imaplib", "inspect", "ipaddress", "logging", "multiprocessing", "optparse", "platform",
    "shutil", "smtplib", "statistics", "subprocess", "textwrap", "threading", "traceback", "typing", "unittest",
    "urllib", "wsgiref", "xml", "xmlrpc",
)  # fmt: skip
PAIRS = 600
BATCH = 8
TIMED_BATCHES = 4


class MinilmRetrieval(Workload):
    key = "minilm-retrieval"
    kind = "inference"
    unit = "inference"
    quality_metric = "recall@10"
    window_s = 0.4
    units_per_batch = BATCH

    def __init__(self, folder: Path) -> None:
        found = docstrings.read(MODULES, min_summary_words=4, min_body_words=12)
        pairs = found[:: max(1, len(found) // PAIRS)][:PAIRS]  # spread over every module
        self.queries = [pair.summary for pair in pairs]
        self.documents = [pair.body for pair in pairs]
        timed = self.documents[:: len(pairs) // (BATCH * TIMED_BATCHES)][: BATCH * TIMED_BATCHES]
        self.batches = [minilm.tokenize(timed[i : i + BATCH]) for i in range(0, len(timed), BATCH)]
        self.singles = [minilm.tokenize([text]) for text in timed[::2]]

    def pretrained(self) -> nn.Module:
        return minilm.SentenceEncoder(minilm.pretrained_encoder()).eval()

    def skeleton(self) -> nn.Module:
        return minilm.SentenceEncoder(minilm.empty_encoder()).eval()

    def worker(self, model: nn.Module, *, learning_rate: float | None = None) -> Callable[[minilm.Tokens], Tensor]:
        def encode(batch: minilm.Tokens) -> Tensor:
            with torch.inference_mode():
                return model(*batch)  # (B, C)

        return encode

    def quality(self, model: nn.Module) -> QualityReading:
        queries, documents = self._encode(model, self.queries), self._encode(model, self.documents)
        return QualityReading(evaluate.found_in_top(queries, documents, k=10))

    def _encode(self, model: nn.Module, texts: Sequence[str]) -> Tensor:
        """(N, C), in the order of `texts`; batched by length so that little is spent on padding."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        encode = self.worker(model)
        parts = [encode(minilm.tokenize([texts[i] for i in order[j : j + 16]])) for j in range(0, len(order), 16)]
        return torch.cat(parts)[torch.tensor(order).argsort()]
