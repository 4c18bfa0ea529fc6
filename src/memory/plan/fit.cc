#include "memory/plan/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/units.h"

namespace weir {
namespace {

constexpr int64_t kBlocksMax = std::numeric_limits<int32_t>::max();
constexpr int64_t kNumberMax = int64_t{1} << 40;  // keeps sums and products of two far from overflow

int64_t blocks_for(int64_t tokens, int block_tokens) { return (tokens - 1) / block_tokens + 1; }

Status check_number(const char* flag, int64_t number) {
  if (number >= 1 && number <= kNumberMax) return ok_status();
  return invalid_argument(fmt::format("{} {} is out of range: write a whole number of at least 1", flag, number));
}

Status check_question(const PlanInput& input, const FitQuestion& q) {
  WEIR_RETURN_IF_ERROR(check_number("--for", q.sequences));
  WEIR_RETURN_IF_ERROR(check_number("--prompt", q.prompt_tokens));
  WEIR_RETURN_IF_ERROR(check_number("--output", q.output_tokens));
  const int64_t tokens = q.prompt_tokens + q.output_tokens;
  if (tokens > input.session_tokens) {
    return invalid_argument(
        fmt::format("--prompt {} and --output {} make {} tokens, above --session-len {}: raise --session-len, or "
                    "lower one of the two",
                    q.prompt_tokens, q.output_tokens, tokens, input.session_tokens));
  }
  if (q.sequences > input.max_batch) {
    return invalid_argument(fmt::format("--for {} is above --max-batch-size {}: raise --max-batch-size",
                                        q.sequences, input.max_batch));
  }
  return ok_status();
}

// The blocks that the pool must have. One whole session is among them, because a smaller pool is refused at start.
Result<uint64_t> blocks_needed(const PlanInput& input, const FitQuestion& q) {
  const int64_t each = blocks_for(q.prompt_tokens + q.output_tokens, input.block_tokens);
  int64_t all = 0;
  if (__builtin_mul_overflow(each, q.sequences, &all) || all > kBlocksMax) {
    return invalid_argument(fmt::format("--for {} sequences of {} blocks each are more than {} KV blocks: lower --for",
                                        q.sequences, each, kBlocksMax));
  }
  return static_cast<uint64_t>(std::max(all, blocks_for(input.session_tokens, input.block_tokens)));
}

// Saturates: a sum beyond 2^64 is above every limit.
uint64_t add_up(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<uint64_t>::max() : sum;
}

uint64_t bytes_needed(const PlanInput& input, uint64_t blocks) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(blocks, input.kv_block_bytes, &bytes)) return std::numeric_limits<uint64_t>::max();
  for (const PlanLine& line : input.fixed_lines) bytes = add_up(bytes, line.bytes);
  return bytes;
}

// Fills the answer's fitting half. RETURNS: false when no ratio up to 1 gives `blocks` blocks.
bool smallest_ratio(PlanInput input, uint64_t blocks, FitAnswer* answer) {
  const uint64_t needed = bytes_needed(input, blocks);
  if (needed > input.limit_bytes) return false;
  const uint64_t kv = blocks * input.kv_block_bytes;
  const auto left = static_cast<double>(input.limit_bytes - (needed - kv));
  const int first = std::clamp(static_cast<int>(std::ceil(static_cast<double>(kv) / left * 100)), 1, 100);
  // Rounding may hide that the first one is a byte short: the plan itself decides.
  for (int hundredths = first; hundredths <= std::min(first + 1, 100); ++hundredths) {
    const std::string text = hundredths == 100 ? "1.0" : fmt::format("0.{:02}", hundredths);
    input.cache = parse_cache_share(text).value();
    const Result<MemoryPlan> plan = plan_as_given(input);
    if (!plan.ok() || plan->kv_blocks < blocks) continue;
    answer->ratio = input.cache.ratio;
    answer->flags = "--cache-max-entry-count " + text;
    answer->total_bytes = plan->total_bytes;
    return true;
  }
  return false;
}

bool fits(const PlanInput& input, const FitQuestion& q, FitAnswer* answer) {
  const Result<uint64_t> blocks = blocks_needed(input, q);
  if (!blocks.ok()) return false;
  answer->blocks_needed = *blocks;
  return smallest_ratio(input, *blocks, answer);
}

// MODIFIES: answer, when the question fits `input`.
bool add_if_it_fits(const PlanInput& input, const std::string& flags, FitAnswer* answer) {
  FitAnswer other;
  if (!fits(input, answer->question, &other)) return false;
  answer->alternatives.push_back({flags + " " + other.flags, other.total_bytes});
  return true;
}

void find_ways_out(const PlanInput& input, FitAnswer* answer) {
  const FitQuestion& q = answer->question;
  FitAnswer unused;
  for (const PlanVariant& variant : input.variants) {
    add_if_it_fits(with_variant(input, variant), variant.flags, answer);
  }
  if (input.fixed_lines_at) {
    const int64_t blocks = largest_that_fits(blocks_for(input.session_tokens, input.block_tokens), [&](int64_t n) {
      return fits(at_settings(input, n * input.block_tokens, input.max_batch), q, &unused);
    });
    const int64_t tokens = blocks * input.block_tokens;
    if (tokens >= q.prompt_tokens + q.output_tokens) {
      add_if_it_fits(at_settings(input, tokens, input.max_batch), fmt::format("--session-len {}", tokens), answer);
    }
    const int64_t batch = largest_that_fits(input.max_batch, [&](int64_t n) {
      return fits(at_settings(input, input.session_tokens, static_cast<int>(n)), q, &unused);
    });
    if (batch >= q.sequences) {
      add_if_it_fits(at_settings(input, input.session_tokens, static_cast<int>(batch)),
                     fmt::format("--max-batch-size {}", batch), answer);
    }
  }
  const auto by_knob = [&](const PlanInput& changed) { return fits(changed, q, &unused); };
  for (const KnobChange& change : halve_knobs(input, by_knob)) add_if_it_fits(change.input, change.flags, answer);
}

int64_t sequences_as_set(const PlanInput& input, const FitQuestion& q) {
  const Result<MemoryPlan> plan = plan_as_given(input);
  if (!plan.ok()) return 0;
  const int64_t each = blocks_for(q.prompt_tokens + q.output_tokens, input.block_tokens);
  return std::min<int64_t>(static_cast<int64_t>(plan->kv_blocks) / each, input.max_batch);
}

std::string count(int64_t number) { return format_count(static_cast<uint64_t>(number)); }

}  // namespace

Result<FitAnswer> fit_question(const PlanInput& input, const FitQuestion& question) {
  // The input is checked where every input is, whatever the limit says.
  if (const Status status = plan_as_given(input).status(); status.code() == Code::kInvalidArgument) return status;
  WEIR_RETURN_IF_ERROR(check_question(input, question));
  FitAnswer answer;
  answer.question = question;
  WEIR_ASSIGN_OR_RETURN(answer.blocks_needed, blocks_needed(input, question));
  answer.sequences_as_set = sequences_as_set(input, question);
  answer.fits = smallest_ratio(input, answer.blocks_needed, &answer);
  if (answer.fits) return answer;
  const uint64_t needed = bytes_needed(input, answer.blocks_needed);
  answer.missing_bytes = needed > input.limit_bytes ? needed - input.limit_bytes : 0;
  find_ways_out(input, &answer);
  return answer;
}

std::string fit_text(const FitAnswer& answer) {
  const FitQuestion& q = answer.question;
  std::string out = fmt::format("{} sequence{} of {} + {} tokens: ", count(q.sequences), q.sequences == 1 ? "" : "s",
                                count(q.prompt_tokens), count(q.output_tokens));
  if (answer.fits) {
    return out + fmt::format("fits with ratio {}: {} takes {} in all; as set, {} such sequence{} fit at once\n",
                             answer.ratio, answer.flags, format_bytes(answer.total_bytes),
                             count(answer.sequences_as_set), answer.sequences_as_set == 1 ? "" : "s");
  }
  out += fmt::format("needs {} more", format_bytes(answer.missing_bytes));
  for (const Alternative& way : answer.alternatives) {
    out += fmt::format(", or {} ({})", way.flags, format_bytes(way.total_bytes));
  }
  if (answer.alternatives.empty()) out += "; no smaller setting makes that room: raise the limit, or lower --for";
  return out + fmt::format("; as set, {} such sequence{} fit at once\n", count(answer.sequences_as_set),
                           answer.sequences_as_set == 1 ? "" : "s");
}

std::string fit_json(const MemoryPlan* plan, const FitAnswer& answer) {
  std::string out = plan == nullptr ? "{" : plan_json(*plan);
  if (plan != nullptr) out.back() = ',';  // the object goes on
  // Flags are ours: letters, digits, dashes, dots. Nothing in them needs an escape.
  out += fmt::format(R"("answer":{{"fits":{},"sequences":{},"prompt_tokens":{},"output_tokens":{},)", answer.fits,
                     answer.question.sequences, answer.question.prompt_tokens, answer.question.output_tokens);
  out += fmt::format(R"("blocks_needed":{},"sequences_as_set":{},"ratio":{},"flags":{},"total_bytes":{},)",
                     answer.blocks_needed, answer.sequences_as_set,
                     answer.fits ? fmt::format("{}", answer.ratio) : "null",
                     answer.fits ? "\"" + answer.flags + "\"" : "null",
                     answer.fits ? fmt::format("{}", answer.total_bytes) : "null");
  out += fmt::format(R"("missing_bytes":{},"alternatives":[)", answer.missing_bytes);
  for (size_t i = 0; i < answer.alternatives.size(); ++i) {
    out += fmt::format(R"({}{{"flags":"{}","total_bytes":{}}})", i == 0 ? "" : ",", answer.alternatives[i].flags,
                       answer.alternatives[i].total_bytes);
  }
  return out + "]}}";
}

}  // namespace weir
