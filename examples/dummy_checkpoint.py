"""Test an inference loader with a checkpoint of the true shape that nobody had to upload.

    HF_ENDPOINT=http://127.0.0.1:8000 python examples/dummy_checkpoint.py seedbed/tiny-mixtral

The tools know no difference: configuration, tokenizer, index and shards come as from the Hub. Any
other preset will do, such as seedbed/mixtral-8x7b.bf16, if there is the memory.
"""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer


def main(repository: str, revision: str = "seed-42") -> None:
    """Load it, see that the file and the model fit, and let it speak."""
    tokenizer = AutoTokenizer.from_pretrained(repository, revision=revision)
    model, report = AutoModelForCausalLM.from_pretrained(
        repository, revision=revision, output_loading_info=True
    )
    assert not any(report.values()), report
    question = tokenizer("Once upon a time", return_tensors="pt")
    answer = model.generate(**question, max_new_tokens=5, do_sample=False)
    print(f"{model.num_parameters():,} parameters say {tokenizer.decode(answer[0])!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
