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
  // deadline_us: 0 where there is none.
  LiveRequest(LiveRequests* all, std::string id, Micros arrival_us, Micros deadline_us);
  ~LiveRequest();
  LiveRequest(const LiveRequest&) = delete;
  LiveRequest& operator=(const LiveRequest&) = delete;

  Micros arrival_us() const { return arrival_us_; }
  Micros deadline_us() const { return deadline_us_; }
  bool past_deadline(Micros now) const { return deadline_us_ != 0 && now >= deadline_us_; }
  bool aborted() const { return aborted_; }  // before there was a Generation
  void follow(std::weak_ptr<Generation> generation) { generation_ = std::move(generation), reading_ = false; }

 private:
  friend class LiveRequests;
  bool abort();  // RETURNS: false where nothing is left to end

  LiveRequests* all_;
  LiveRequest* next_ = nullptr;
  LiveRequest* previous_ = nullptr;
  const std::string id_;
  const Micros arrival_us_, deadline_us_;
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

  int abort(std::string_view id);  // RETURNS: requests of that id that were ended
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
