#include "config/foreign.h"

#include <array>

namespace weir {
namespace {

struct Foreign {
  std::string_view name;
  std::string_view hint;
};

constexpr std::string_view kOneProcess = "weir runs a model in one process on one device; leave it out";
constexpr std::string_view kLocalOnly = "weir downloads nothing; give the directory of a downloaded model";
constexpr std::string_view kNoParser = "weir does not split answers into reasoning or tool calls yet; leave it out";
constexpr std::string_view kNoDraft =
    "weir guesses from a text's own past, without a draft model: --speculative ngram";
constexpr std::string_view kProxy = "weir speaks plain HTTP; put a proxy that ends TLS in front of it";

constexpr std::array kForeign = {
    // LMDeploy. Those that weir accepts with the one harmless value (--tp 1) are in options.cc.
    Foreign{"dp", kOneProcess},
    Foreign{"ep", kOneProcess},
    Foreign{"cp", kOneProcess},
    Foreign{"nnodes", kOneProcess},
    Foreign{"node-rank", kOneProcess},
    Foreign{"communicator", kOneProcess},
    Foreign{"backend", "weir has one backend, its own; leave it out"},
    Foreign{"adapters", "weir does not serve LoRA adapters yet; merge the adapter into the weights"},
    Foreign{"revision", kLocalOnly},
    Foreign{"download-dir", kLocalOnly},
    Foreign{"trust-remote-code", "weir never runs code from a model's directory; leave it out"},
    Foreign{"reasoning-parser", kNoParser},
    Foreign{"tool-call-parser", kNoParser},
    Foreign{"speculative-algorithm", kNoDraft},
    Foreign{"speculative-draft-model", kNoDraft},
    Foreign{"speculative-num-draft-tokens", "weir calls this --speculative-tokens"},
    Foreign{"num-tokens-per-iter", "weir calls this --max-prefill-token-num"},
    Foreign{"max-prefill-iters", "weir cuts prefill by tokens: use --max-prefill-token-num"},
    Foreign{"rope-scaling-factor", "weir takes RoPE scaling from the model's config.json; edit it there"},
    Foreign{"vision-max-batch-size", "weir serves text models alone; leave it out"},
    Foreign{"ssl", kProxy},
    Foreign{"proxy-url", "weir does not register with a proxy; name it in the proxy's configuration"},
    Foreign{"api-key", "weir calls this --api-keys"},
    // vLLM, SGLang, TGI, llama.cpp.
    Foreign{"model", "give the model's directory without a flag: weir serve DIRECTORY"},
    Foreign{"model-path", "give the model's directory without a flag: weir serve DIRECTORY"},
    Foreign{"host", "weir calls this --server-name"},
    Foreign{"port", "weir calls this --server-port"},
    Foreign{"served-model-name", "weir calls this --model-name"},
    Foreign{"alias", "weir calls this --model-name"},
    Foreign{"max-model-len", "weir calls this --session-len"},
    Foreign{"context-length", "weir calls this --session-len"},
    Foreign{"max-total-tokens", "weir calls this --session-len"},
    Foreign{"ctx-size", "weir calls this --session-len"},
    Foreign{"max-num-seqs", "weir calls this --max-batch-size"},
    Foreign{"max-running-requests", "weir calls this --max-concurrent-requests"},
    Foreign{"parallel", "weir calls this --max-concurrent-requests"},
    Foreign{"max-queued-reqs", "weir calls this --max-queued-requests"},
    Foreign{"max-waiting-tokens", "weir lets waiting requests in at every step; leave it out"},
    Foreign{"max-num-batched-tokens", "weir calls this --max-prefill-token-num"},
    Foreign{"chunked-prefill-size", "weir calls this --max-prefill-token-num"},
    Foreign{"block-size", "weir calls this --cache-block-seq-len"},
    Foreign{"page-size", "weir calls this --cache-block-seq-len"},
    Foreign{"gpu-memory-utilization",
            "weir bounds all memory with --memory-limit and the KV cache with "
            "--cache-max-entry-count"},
    Foreign{"mem-fraction-static",
            "weir bounds all memory with --memory-limit and the KV cache with "
            "--cache-max-entry-count"},
    Foreign{"kv-cache-memory-bytes", "write --cache-max-entry-count with a size, for example 8GiB"},
    Foreign{"kv-cache-dtype",
            "weir keeps keys and values as the model's float type, or as int8 or int4 with --quant-policy 8 or 4; "
            "it has "
            "no fp8"},
    Foreign{"quantization", "weir quantises a float checkpoint at load with --model-format int8 or int4"},
    Foreign{"tensor-parallel-size", kOneProcess},
    Foreign{"pipeline-parallel-size", kOneProcess},
    Foreign{"data-parallel-size", kOneProcess},
    Foreign{"n-gpu-layers", "weir computes on the CPU alone in this build; leave it out"},
};

}  // namespace

std::string foreign_flag_hint(std::string_view name) {
  for (const Foreign& foreign : kForeign) {
    if (foreign.name == name) return std::string(foreign.hint);
  }
  return "";
}

std::vector<std::string_view> foreign_flags() {
  std::vector<std::string_view> names;
  for (const Foreign& foreign : kForeign) names.push_back(foreign.name);
  return names;
}

}  // namespace weir
