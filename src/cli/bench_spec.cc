// The options of `weir bench`, as its help shows them.
#include "cli/bench_options.h"

namespace weir {

CommandSpec bench_spec() {
  CommandSpec spec{
      .name = "bench",
      .about =
          "Loads any OpenAI-compatible server and says what came of it: latencies, throughput, goodput, refusals.\n"
          "Open loop (--rate, --trace): arrivals never wait for the server, and latency counts from when a request "
          "was "
          "due.\nClosed loop (--concurrency): so many clients, each with one request at a time.",
      .positional = "URL",
      .positional_help = "http://HOST:PORT; no path means /v1",
      .examples = {"weir bench http://localhost:23333 --rate 20 --duration 30s",
                   "weir bench http://localhost:23333 --concurrency 64 --requests 1000 --json result.json",
                   "weir bench http://localhost:23333 --trace trace.csv --trace-speed 2 --html result.html"},
  };
  spec.options = {
      {"rate", "R", "arrivals", "open loop: requests a second", ""},
      {"arrivals", "KIND", "arrivals", "constant, poisson, gamma:SHAPE or burst:ON/OFF (burst:2s/8s)", "poisson"},
      {"trace", "FILE", "arrivals", "open loop: arrivals and lengths of an Azure CSV or a Mooncake JSONL", ""},
      {"trace-speed", "X", "arrivals", "play the trace so many times as fast", "1"},
      {"concurrency", "N", "arrivals", "closed loop: N places", ""},
      {"ramp", "TIME", "arrivals", "closed loop: the places begin spread over this time", "0s"},
      {"requests", "N", "arrivals", "stop after N requests, warm-up included", ""},
      {"duration", "TIME", "arrivals", "send for so long (30s when nothing else ends the test)", ""},
      {"warmup", "TIME", "arrivals", "send, but do not measure, what is due before", "0s"},
      {"seed", "N", "arrivals", "arrivals, lengths, texts and choices come from it", "1"},

      {"model", "NAME", "content", "the model asked for", "the server's first"},
      {"endpoint", "KIND", "content", "chat or completions", "chat"},
      {"stream", "SWITCH", "content", "on or off", "on"},
      {"prompt-tokens", "LENGTH", "content", "fixed:N, uniform:A,B, lognormal:MEDIAN,P90 or zipf:MAX,EXPONENT",
       "fixed:128"},
      {"output-tokens", "LENGTH", "content", "the same, sent as max_tokens", "fixed:64"},
      {"max-prompt-tokens", "N", "content", "cut longer ones, a trace's too", ""},
      {"max-output-tokens", "N", "content", "cut longer ones, a trace's too", ""},
      {"prompts", "FILE", "content", "a prompt per line, JSONL, or ShareGPT's JSON, instead of made-up words", ""},
      {"shared-prefix-tokens", "N", "content", "tokens before each prompt that its group shares", "0"},
      {"prefix-groups", "K", "content", "how many such groups", "1"},
      {"ignore-eos", "SWITCH", "content", "ask for answers of full length (an extension of weir and vLLM)", "off",
       false, true},
      {"temperature", "T", "content", "sent when given", ""},
      {"calibrate", "SWITCH", "content", "first ask the server how many tokens a made-up word has", "on"},

      {"key", "NAME=KEY[:SHARE[:WEIGHT]]", "clients", "a tenant; may be given again for more", "", true},
      {"keys", "FILE", "clients", "tenants, lines NAME KEY [SHARE [WEIGHT]]", ""},
      {"priority", "CLASS=SHARE,...", "clients", "the request's priority, by shares", ""},
      {"abort-fraction", "F", "clients", "so many leave in mid-answer", "0"},
      {"slow-fraction", "F", "clients", "so many read slowly", "0"},
      {"slow-rate", "BYTES", "clients", "how many bytes a second those read", "1024"},
      {"timeout", "TIME", "clients", "an answer that takes longer is an error", "10m"},
      {"keep-alive", "SWITCH", "clients", "use connections again", "on"},
      {"threads", "N", "clients", "event loops", "1"},

      {"ttft-slo", "TIME", "goodput", "the first token within this time", ""},
      {"tpot-slo", "TIME", "goodput", "at most so long per token after it", ""},
      {"json", "FILE", "output", "the result as JSON", ""},
      {"html", "FILE", "output", "the result as one page with plots", ""},

      {"null-server", "PORT", "", "be the server instead: answer at once without a model", ""},
      {"null-pace", "TIME", "", "... with so long between two tokens", ""},
      {"null-refuse-every", "N", "", "... and a 429 for every Nth request", ""},
  };
  return spec;
}

}  // namespace weir
