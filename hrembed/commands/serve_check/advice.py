"""What to set on a server, for each thing that goes wrong; `docs/serving.md` has the sources."""

from __future__ import annotations

ADVICE = {
    "dimensions": "the server runs another model, leaves out or adds a projection, or cuts vectors itself",
    "no vector": "see the server's log; texts of other scripts and signs must be answered as well",
    "weights": "compare the revision of the weights, and the tokenizer's files, with those of the model",
    "precision": "serve the weights in float32, without quantisation (TEI: `--dtype float32`; vLLM: `--dtype float32`; "
    "OpenVINO Model Server: `--weight-format fp32`), or accept the loss knowingly with a lower `min_cosine`",
    "Dense module": "TEI up to 1.8.2 does not load it from a local folder; take a newer version, and write the layout "
    "that servers know longest: hrembed export",
    "prompts": "let one side alone put prompts in front: here `prompts` says which; TEI adds one with "
    "`--default-prompt` or `--default-prompt-name`, other servers with a request or model name of their own",
    "lengths": "have the server normalise vectors (OpenVINO Model Server: without `--skip_normalize`; vLLM: "
    "`--pooler-config` with `use_activation`, before 0.16 `normalize`), or divide each by its length; hrembed does so "
    "itself",
    "repeatable": "the server is not deterministic: several replicas with other models, or arithmetic that depends on "
    "the load",
    "order": "give each vector the `index` of its text, or return them in the order of the texts",
    "batch": "padding is not masked, or activations are quantised over the batch: serve float32, or send one text in "
    "each request",
    "long": "have the server cut where the model does (TEI: `--auto-truncate`; vLLM: `--max-model-len`, and "
    "`truncate_prompt_tokens` in a request; OpenVINO Model Server: `--truncate`), or keep texts short",
    "empty": "leave out empty texts before they are sent; other commands of hrembed send what the data hold",
    "busy": "lower `requests_per_minute` or the load, or raise `timeout_seconds`",
    "task": "see the checks above; where they pass, texts of the task go wrong in a way of their own",
}
"""Check, or kind of cause, to what to do."""

_NAMES = {"cls": "CLS", "mean": "MEAN", "lasttoken": "LAST"}
_TEI = {"cls": "cls", "mean": "mean", "lasttoken": "last-token"}


def pooling_advice(own: str) -> str:
    """How servers are told to pool as the model does."""
    if own not in _NAMES:
        return f"the model's pooling is {own}, which few servers offer; serve it with Sentence Transformers"
    tei, name = _TEI[own], _NAMES[own]
    return (
        f"set {own} pooling (TEI: `--pooling {tei}`; OpenVINO Model Server: `--pooling {name}`; vLLM: `--pooler-config "
        f'\'{{"pooling_type": "{name}"}}\'`), or serve the layout that servers know longest: hrembed export'
    )
