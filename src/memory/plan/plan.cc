#include "memory/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/units.h"

namespace weir {
namespace {

constexpr uint64_t kBytesMax = std::numeric_limits<int64_t>::max();
constexpr uint64_t kBlocksMax = std::numeric_limits<int32_t>::max();  // block ids are int32

std::string size_text(uint64_t bytes) {
  return fmt::format("{} ({} bytes)", format_bytes(bytes), format_count(bytes));
}

Status check_input(const PlanInput& input) {
  const bool good = input.kv_block_bytes >= 1 && input.kv_block_bytes <= kBytesMax && input.block_tokens >= 1 &&
                    input.session_tokens >= 1 && input.max_batch >= 1 && input.limit_bytes >= 1;
  if (good) return ok_status();
  return invalid_argument(fmt::format(
      "cannot plan with a block of {} bytes and {} tokens, a session of {} tokens, a batch "
      "of {} and a limit of {} bytes: each must be at least 1",
      input.kv_block_bytes, input.block_tokens, input.session_tokens, input.max_batch, input.limit_bytes));
}

// "weights 8.00 GiB, workspace 2.00 GiB, logits 1.00 GiB": where most of it goes.
std::string largest_lines(std::vector<PlanLine> lines) {
  std::sort(lines.begin(), lines.end(),
            [](const auto& a, const auto& b) { return std::tie(b.bytes, a.name) < std::tie(a.bytes, b.name); });
  std::string out;
  for (size_t i = 0; i < std::min<size_t>(3, lines.size()); ++i) {
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", lines[i].name, format_bytes(lines[i].bytes));
  }
  return out;
}

// RETURNS: what the limit leaves for the KV cache, at least one byte.
Result<uint64_t> bytes_left(const PlanInput& input) {
  uint64_t fixed = 0;
  for (const PlanLine& line : input.fixed_lines) {
    if (__builtin_add_overflow(fixed, line.bytes, &fixed) || fixed > kBytesMax) {
      return failed_precondition(fmt::format("does not fit: the lines add up to more than 2^63 bytes; most is {}",
                                             largest_lines(input.fixed_lines)));
    }
  }
  const uint64_t limit = std::min(input.limit_bytes, kBytesMax);
  if (fixed < limit) return limit - fixed;
  return failed_precondition(fmt::format(
      "does not fit: {} before any KV cache, and the limit is {}, set by {}; most is {}", size_text(fixed),
      size_text(input.limit_bytes), input.limit_source, largest_lines(input.fixed_lines)));
}

// Rounding of the product must never lend a byte, whatever long double is here.
uint64_t share_of(double ratio, uint64_t left) {
  const long double part = static_cast<long double>(ratio) * static_cast<long double>(left);
  return part >= static_cast<long double>(left) ? left : static_cast<uint64_t>(part);
}

uint64_t ratio_blocks(const PlanInput& input, uint64_t left) {
  const uint64_t cap = input.kv_blocks_max == 0 ? kBlocksMax : std::min(kBlocksMax, input.kv_blocks_max);
  return std::min(share_of(input.cache.ratio, left) / input.kv_block_bytes, cap);
}

// RETURNS: blocks of the pool; 0 when the share is smaller than a block.
Result<uint64_t> pool_blocks(const PlanInput& input, uint64_t left) {
  const uint64_t room = std::min(left / input.kv_block_bytes, kBlocksMax);
  const CacheShare& share = input.cache;
  if (share.kind == CacheShare::Kind::kRatio) return ratio_blocks(input, left);
  const bool in_blocks = share.kind == CacheShare::Kind::kBlocks;
  if (in_blocks ? share.amount <= room : share.amount <= left) {
    return in_blocks ? share.amount : std::min(share.amount / input.kv_block_bytes, kBlocksMax);
  }
  return failed_precondition(fmt::format(
      "does not fit: --cache-max-entry-count {} asks for {}, and {} remain under the limit of {}, set by {}: "
      "room for {} blocks",
      cache_share_text(share),
      in_blocks ? fmt::format("{} blocks of {}", share.amount, format_bytes(input.kv_block_bytes))
                : size_text(share.amount),
      size_text(left), size_text(input.limit_bytes), input.limit_source, room));
}

int64_t blocks_for(int64_t tokens, int block_tokens) { return (tokens - 1) / block_tokens + 1; }

Status check_one_sequence(const PlanInput& input, uint64_t blocks) {
  const int64_t need = blocks_for(input.session_tokens, input.block_tokens);
  if (blocks > 0 && static_cast<uint64_t>(need) <= blocks) return ok_status();
  return failed_precondition(fmt::format(
      "does not fit: one sequence of --session-len {} needs {} KV blocks of {}, and the cache has {}: it could "
      "hold {} tokens",
      input.session_tokens, need, format_bytes(input.kv_block_bytes), blocks,
      static_cast<int64_t>(blocks) * input.block_tokens));
}

// Scales and padding included, so that it need not be whole.
std::string token_bytes_text(const PlanInput& input) {
  const auto tokens = static_cast<uint64_t>(input.block_tokens);
  if (input.kv_block_bytes % tokens == 0) return format_count(input.kv_block_bytes / tokens);
  return fmt::format("{:.1f}", static_cast<double>(input.kv_block_bytes) / static_cast<double>(tokens));
}

std::string kv_formula(const PlanInput& input, uint64_t blocks, uint64_t left) {
  std::string why;
  switch (input.cache.kind) {
    case CacheShare::Kind::kBlocks:
      why = "as many as asked for";
      break;
    case CacheShare::Kind::kBytes:
      why = fmt::format("{} asked for", format_bytes(input.cache.amount));
      break;
    case CacheShare::Kind::kRatio:
      why = fmt::format("{} of the {} that remain", input.cache.ratio, format_bytes(left));
      if (blocks == input.kv_blocks_max) why = "all that the batch can use";
      break;
  }
  return fmt::format("{} blocks of {} tokens x {} bytes a token{}{}: {}", format_count(blocks), input.block_tokens,
                     token_bytes_text(input), input.kv_format.empty() ? "" : " as ", input.kv_format, why);
}

std::vector<Capacity> capacity_rows(const PlanInput& input, uint64_t blocks) {
  std::vector<Capacity> rows;
  const auto add = [&](int64_t tokens) {
    const int64_t fit = static_cast<int64_t>(blocks) / blocks_for(tokens, input.block_tokens);
    rows.push_back({tokens, std::min<int64_t>(fit, input.max_batch)});
  };
  for (int64_t tokens = 256; tokens < input.session_tokens && tokens <= int64_t{1} << 40; tokens *= 4) add(tokens);
  add(input.session_tokens);
  return rows;
}

std::string join_alternatives(const std::vector<Alternative>& alternatives) {
  if (alternatives.empty()) return "nothing smaller fits either: raise the limit or choose a smaller model";
  std::string out = "fits with ";
  for (size_t i = 0; i < alternatives.size(); ++i) {
    out += fmt::format("{}{} ({})", i == 0 ? "" : ", or ", alternatives[i].flags,
                       format_bytes(alternatives[i].total_bytes));
  }
  return out;
}

}  // namespace

Result<MemoryPlan> plan_as_given(const PlanInput& input) {
  WEIR_RETURN_IF_ERROR(check_input(input));
  WEIR_ASSIGN_OR_RETURN(const uint64_t left, bytes_left(input));
  WEIR_ASSIGN_OR_RETURN(const uint64_t blocks, pool_blocks(input, left));
  WEIR_RETURN_IF_ERROR(check_one_sequence(input, blocks));
  MemoryPlan plan;
  plan.lines = input.fixed_lines;
  plan.lines.push_back({"kv cache", blocks * input.kv_block_bytes, kv_formula(input, blocks, left), true});
  for (const PlanLine& line : plan.lines) plan.total_bytes += line.bytes;
  plan.limit_bytes = input.limit_bytes;
  plan.limit_source = input.limit_source;
  plan.kv_blocks = blocks;
  plan.block_tokens = input.block_tokens;
  plan.kv_tokens = static_cast<int64_t>(blocks) * input.block_tokens;
  plan.session_tokens = input.session_tokens;
  plan.max_batch = input.max_batch;
  plan.capacity = capacity_rows(input, blocks);
  plan.notes = input.notes;
  return plan;
}

uint64_t resident_bytes(const MemoryPlan& plan) {
  uint64_t bytes = 0;
  for (const PlanLine& line : plan.lines) bytes += line.resident ? line.bytes : 0;
  return bytes;
}

Result<MemoryPlan> make_plan(const PlanInput& input) {
  Result<MemoryPlan> plan = plan_as_given(input);
  if (plan.ok() || plan.status().code() != Code::kFailedPrecondition) return plan;
  return failed_precondition(plan.status().message() + "; " + join_alternatives(find_alternatives(input)));
}

}  // namespace weir
