// LiveRequests: every generation request of one io thread, from its head to its last byte: what an operator can abort, what
// the clock looks after, what the watchdog can name.
//
// Owner: Service has one list per io thread; a LiveRequest belongs to the http::Request while its body is read and to its
// exchange's on_done afterwards, so it ends with the connection's part of the request. Thread: that io thread. Limits: a
// connection has one request at a time, so there are never more than --max-connections; an entry is a few words and an
// id of up to 128 bytes within the plan's line for the connection, and linking it allocates nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>

#include "api/deadline.h"
#include "http/server.h"
#include "message/gateway.h"

namespace weir::api {

class Generation;
class LiveRequests;
class Service;

class LiveRequest {
 public:
  // deadline_us: 0 where there is none. tenant: kStranger where no key tells it.
  struct Facts {
    std::string id;
    int32_t tenant = kStranger;
    Micros arrival_us = 0, deadline_us = 0;
  };
  static constexpr int32_t kStranger = -1;
  LiveRequest(LiveRequests* all, Facts facts);
  ~LiveRequest();
  LiveRequest(const LiveRequest&) = delete;
  LiveRequest& operator=(const LiveRequest&) = delete;

  Micros arrival_us() const { return facts_.arrival_us; }
  Micros deadline_us() const { return facts_.deadline_us; }
  bool past_deadline(Micros now) const { return facts_.deadline_us != 0 && now >= facts_.deadline_us; }
  bool aborted() const { return aborted_; }  // before there was a Generation
  void follow(std::weak_ptr<Generation> generation) { generation_ = std::move(generation), reading_ = false; }

 private:
  friend class LiveRequests;
  bool abort();  // RETURNS: false where nothing is left to end

  LiveRequests* all_;
  LiveRequest* next_ = nullptr;
  LiveRequest* previous_ = nullptr;
  const Facts facts_;
  std::weak_ptr<Generation> generation_;
  bool reading_ = true;
  bool aborted_ = false;
};

class LiveRequests {
 public:
  LiveRequests() = default;
  ~LiveRequests();
  LiveRequests(const LiveRequests&) = delete;
  LiveRequests& operator=(const LiveRequests&) = delete;

  // The tenants of the requests that carry this id, each once; requests without a key count for none.
  void find_tenants(std::string_view id, std::set<int32_t>* tenants) const;
  // Ends the requests of that id that are the tenant's; kStranger: those of strangers. RETURNS: how many were
  // ended.
  int abort(std::string_view id, int32_t tenant);
  void tick(Micros now);           // keep-alive of streams that wait; deadlines before the engine knows of them
  void name_slots(std::map<SlotIndex, std::string>* ids) const;

 private:
  friend class LiveRequest;
  LiveRequest* first_ = nullptr;
};

// The entry of a request whose body is here: the one that was made with its head, or a new one. MODIFIES: request->watch.
// ERRORS (as an answer): a deadline that cannot be read.
std::variant<std::unique_ptr<LiveRequest>, ApiError> live_request_of(Service* service, http::Request* request,
                                                                     const std::string& id, int io_index);

// Hooks::watch_body: for the routes that generate, else null.
std::unique_ptr<http::BodyWatch> watch_body(Service* service, const http::Request& head, int io_index);

}  // namespace weir::api
