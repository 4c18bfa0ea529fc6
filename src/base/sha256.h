// SHA-256 (FIPS 180-4, section 6.2), for API keys: what is stored and compared is their digest.
//
// Pure functions, any thread; no table, branch or index depends on the message's bytes. For short texts: about a
// microsecond for a key. Own code, because 70 lines with the standard's vectors weigh less than libcrypto in a
// program that hashes nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::string_view message);

std::string hex_of(const Sha256& digest);  // 64 lower-case digits
// RETURNS: nothing unless the text is 64 hexadecimal digits, of either case.
std::optional<Sha256> sha256_from_hex(std::string_view hex);

}  // namespace weir
