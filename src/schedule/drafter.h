// Drafter: guesses what a text goes on with, from where its last tokens stood before.
//
// Prompt lookup: the tokens after the last earlier occurrence of the final n-gram, the longest n first ("Prompt
// Lookup Decoding", A. Saxena, 2023; no second model). n goes from 4 down to 2: one token alone recurs in every
// text and says nothing of what follows it, two are what names and identifiers are made of, and where five tokens
// recur so do four.
//
// Per place and order a table of hashes holds the position after the last n-gram with that hash. An entry is only a
// hint and is compared with the text before it is believed, so a collision, a table that is too small or what a
// former occupant left there costs a guess and never a wrong one: tables are neither cleared nor grown. Reading a
// token writes one entry per order, a lookup reads one per order: both take the same time however long the text is.
//
// Owner: the scheduler; engine thread. Limits: a slot per token of a session and order, at most kSlotsMax (a text
// beyond forgets at random from its older part). Nothing allocates after construction.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

namespace weir {

class Drafter {
 public:
  static constexpr int kLongest = 4, kShortest = 2;  // n of the n-grams
  static constexpr int64_t kSlotsMax = 1 << 15;      // of one order: 384 KiB a place for all three

  // places: 0 for one that is never asked, which takes no memory.
  Drafter(int places, int64_t session_tokens, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(int places, int64_t session_tokens);  // what the constructor takes from an arena

  void begin(int place) { read_[static_cast<size_t>(place)] = 0; }  // another text
  // Reads on in a text that has only grown since begin(), by tokens_max at most. RETURNS: how many tokens were
  // read.
  int64_t read(int place, std::span<const int32_t> text, int64_t tokens_max);
  // Guesses what follows `text` out of what was read of it. RETURNS: tokens written to out: all of it, or 0.
  int draft(int place, std::span<const int32_t> text, std::span<int32_t> out) const;

 private:
  static constexpr int kOrders = kLongest - kShortest + 1;
  static int64_t slots_for(int64_t session_tokens);
  size_t index(int place, int n, uint64_t hash) const;

  const int64_t slots_;  // of one table, a power of two
  const int shift_;
  std::pmr::vector<int32_t> tables_;  // [places, orders, slots] position after the n-gram; 0: none
  std::pmr::vector<int32_t> read_;    // [places] positions whose follower is known to the tables
};

}  // namespace weir
