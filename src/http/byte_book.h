// ByteBook and ByteAccount: the count of the bytes that requests cause here. http/ owns the interface, so that it
// needs to know no ledger; the composition root brings one (api/host_bytes.h), tests and benches may leave it out.
//
// Owner: shared by the Server and everything that holds bytes. Thread: any. An account is one request's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir::http {

enum class ByteUse : uint8_t {
  kBody,    // a request while it is read
  kSocket,  // answer bytes that the kernel has not taken
};

enum class Granted : uint8_t {
  kYes,
  kBudgetFull,   // the ByteBudget of all clients, or the client's share of it: a later try may pass
  kTotalFull,    // all requests together: a later try may pass
  kGroupFull,    // the requests of its group: a later try may pass
  kRequestFull,  // this request alone, ByteAccount::bytes_max(): it can never pass
  kOverGroup,    // this request alone is over what its group may have: it can never pass
};

class ByteAccount {
 public:
  virtual ~ByteAccount() = default;
  // Before the bytes are allocated; whatever was granted is given back.
  virtual Granted take(ByteUse use, size_t bytes) = 0;
  virtual void give(ByteUse use, size_t bytes) = 0;
  virtual uint64_t bytes_max() const = 0;  // of one request, for messages
};

class ByteBook {
 public:
  virtual ~ByteBook() = default;
  virtual std::shared_ptr<ByteAccount> open(int group) = 0;  // one request's account; group: -1: no group's
};

}  // namespace weir::http
