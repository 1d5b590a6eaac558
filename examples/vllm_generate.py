"""Text by vLLM, whose worker processes are guarded as well.

    oms-gate run --config gate.yaml -- python vllm_generate.py org/name

or, for its server, without a line of code: oms-gate run --config gate.yaml -- vllm serve org/name
"""

import sys

from vllm import LLM, SamplingParams

if __name__ == "__main__":
    llm = LLM(model=sys.argv[1])
    (output,) = llm.generate(["A signature proves"], SamplingParams(max_tokens=16))
    print(output.outputs[0].text)
