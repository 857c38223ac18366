"""LoRA: what it is and what can be set."""

from optimizer.techniques.base import Parameter, Suggestion, TechniqueSpec

SPEC = TechniqueSpec(
    key="lora",
    name="LoRA fine-tuning",
    summary=(
        "Freezes the model and trains a low-rank correction B A of each chosen linear layer instead: far less "
        "optimizer state, gradients for a few percent of the parameters, and a checkpoint of a few megabytes."
    ),
    kind="training",
    source="Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models",
    url="https://arxiv.org/abs/2106.09685",
    parameters=(
        Parameter("rank", 8, "Rank r of the correction", minimum=1, maximum=256),
        Parameter("alpha", 16.0, "The correction is scaled by alpha / r", minimum=0.0, maximum=1024.0),
        Parameter(
            "targets",
            "attention",
            "Which linear layers get a correction: attention projections only, or every linear layer of the encoder",
            choices=("attention", "all"),
        ),
        Parameter(
            "learning_rate", 1e-3, "AdamW learning rate of the correction and the head", minimum=1e-7, maximum=1.0
        ),
    ),
    suggestions=(
        Suggestion("LoRA rank 8, all layers", {"rank": 8, "alpha": 16.0, "targets": "all"}),
        Suggestion("LoRA rank 8, attention only", {"rank": 8, "alpha": 16.0, "targets": "attention"}),
    ),
)
