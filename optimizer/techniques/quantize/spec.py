"""Int8 quantization: what it is and what can be set."""

from optimizer.techniques.base import Parameter, Suggestion, TechniqueSpec

TEXT = ("minilm-retrieval",)  # models with embedding tables
PLAIN = ("digits-classifier",)  # models without

SPEC = TechniqueSpec(
    key="quantize",
    name="Int8 quantization",
    summary=(
        "Stores the weights of linear layers as 8-bit integers with one scale per output channel: a quarter of the "
        "bytes. Dynamic int8 also multiplies in integers, which is fast on most processors and less faithful; "
        "weight-only turns the weights back into floats first, which is faithful and often slower."
    ),
    kind="inference",
    source="Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Only Inference",
    url="https://arxiv.org/abs/1712.05877",
    parameters=(
        Parameter(
            "scheme",
            "dynamic",
            "dynamic: integer products, activations quantized on the fly; weight_only: float products (torchao)",
            choices=("dynamic", "weight_only"),
        ),
        Parameter("embeddings", False, "Store embedding tables as 8-bit rows too, each with its scale and offset"),
    ),
    suggestions=(
        Suggestion("Dynamic int8", {"scheme": "dynamic", "embeddings": False}),
        Suggestion("Dynamic int8, embeddings too", {"scheme": "dynamic", "embeddings": True}, TEXT),
        Suggestion("Weight-only int8", {"scheme": "weight_only", "embeddings": False}, PLAIN),
        Suggestion("Weight-only int8, embeddings too", {"scheme": "weight_only", "embeddings": True}, TEXT),
    ),
)
