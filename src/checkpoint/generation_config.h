// What both config files say of special ids, and all of generation_config.json. Private to checkpoint/*.cc. Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/model_spec.h"

namespace weir {

inline constexpr size_t kConfigTextBytesMax = size_t{1} << 20;  // of either file

// file: its name, for spec->notes. REQUIRES: spec->vocab is set. MODIFIES: spec->notes; errors stick in `in`.
void read_bos(std::string_view file, FieldReader* in, ModelSpec* spec);
std::vector<int64_t> read_eos(std::string_view file, FieldReader* in, ModelSpec* spec);

// MODIFIES: bos, eos_of_generation, sampling, notes. ERRORS: kInvalidArgument, kTooLarge.
Status read_generation(std::string_view text, ModelSpec* spec);

}  // namespace weir
