// The parameters that chat and completions share: sampling, limits, stop, streaming. Private to .cc files (boost).
//
// Pure functions on the io thread. What the client leaves out comes from the model's generation_config.json, as in
// vLLM. Errors stick in `fields`: 400 with the field's name and its range.
#pragma once

#include "api/fields.h"
#include "api/generate_request.h"
#include "api/stop_strings.h"

namespace weir::api {

struct ParamLimits {
  int32_t vocab_size = 0;
  int running_max = 1;  // sequences that can ever run together, for n times prompts
};

inline constexpr int kStopStringsMax = 64;
inline constexpr size_t kStopBytesMax = StopSet::kStringBytesMax;
inline constexpr int kStopTokenIdsMax = 64;
inline constexpr int kLogitBiasMax = 1024;

// REQUIRES: request->params holds the defaults. MODIFIES: everything but prompts, context and logprobs.
void read_common_params(const ParamLimits& limits, Fields* fields, GenerateRequest* request);

// n times prompts must be able to run at once; told before anything is tokenised.
void check_sequences(const ParamLimits& limits, int prompts, Fields* fields, const GenerateRequest& request);

// Token ids from a JSON array. ERRORS: stick in fields, naming `name` and the first bad place.
std::vector<int32_t> read_token_ids(const boost::json::array& array, std::string_view name, int32_t vocab_size,
                                    Fields* fields);

}  // namespace weir::api
