#include "api/abort.h"

#include <algorithm>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "api/fields.h"
#include "api/json_in.h"
#include "api/service.h"

namespace weir::api {
namespace {

constexpr size_t kTenantsShown = 8;

// One order while it visits the io threads: first to see whose the id is, then to end the requests of that tenant.
// The last thread of a round begins the next, or answers on the thread of the order's own exchange.
struct Order {
  Order(Service* s, Reply r, std::string wanted, int32_t whose)
      : service(s), reply(std::move(r)), id(std::move(wanted)), tenant(whose) {}
  Service* const service;
  Reply reply;
  const std::string id;
  int32_t tenant;    // kStranger until it is known whose the id is
  std::mutex mutex;  // of the two that every thread adds to
  std::set<int32_t> tenants;
  int ended = 0;
  std::atomic<int> left{0};
};

using Visit = void (*)(Order*, LiveRequests*);
using After = void (*)(const std::shared_ptr<Order>&);

void visited(const std::shared_ptr<Order>& order, After after) {
  if (order->left.fetch_sub(1) > 1) return;
  order->reply.exchange().post([order, after] { after(order); });
}

void visit_all(const std::shared_ptr<Order>& order, Visit visit, After after) {
  Service* const service = order->service;
  const int threads = static_cast<int>(service->live_requests.size());
  order->left = threads;
  for (int io = 0; io < threads; ++io) {
    const bool posted = service->context.post_io && service->context.post_io(io, [order, visit, after, io] {
      visit(order.get(), &order->service->live_requests[static_cast<size_t>(io)]);
      visited(order, after);
    });
    if (!posted) visited(order, after);  // that thread has ended, and its requests with it
  }
}

void note_tenants(Order* order, LiveRequests* requests) {
  const std::lock_guard lock(order->mutex);
  requests->find_tenants(order->id, &order->tenants);
}

void end_requests(Order* order, LiveRequests* requests) {
  const int ended = requests->abort(order->id, order->tenant);
  const std::lock_guard lock(order->mutex);
  order->ended += ended;
}

void answer(const std::shared_ptr<Order>& order) {
  if (order->ended > 0) return order->reply.json(200, fmt::format(R"({{"aborted":{}}})", order->ended));
  order->reply.error({.status = not_found("no request with the id \"" + order->id + "\" is under way; it is what its answer "
                                          "carries as x-request-id"),
                      .param = "id"});
}

ApiError ambiguous(const Order& order) {
  const auto names = order.service->context.tenants->names();
  std::string list;
  size_t shown = 0;
  for (const int32_t tenant : order.tenants) {
    if (++shown > kTenantsShown) break;
    list += (shown > 1 ? ", " : "") + (*names)[static_cast<size_t>(tenant)];
  }
  if (shown > kTenantsShown) list += " and others";
  return {.status = failed_precondition(
              fmt::format("requests of {} tenants carry the id \"{}\": {}; none was ended, name one of "
                          "them as \"tenant\"",
                          order.tenants.size(), order.id, list)),
          .param = "tenant",
          .code = "ambiguous_id",
          .http = 409};
}

void end_if_clear(const std::shared_ptr<Order>& order) {
  if (order->tenants.size() > 1) return order->reply.error(ambiguous(*order));
  if (order->tenants.size() == 1) order->tenant = *order->tenants.begin();
  visit_all(order, end_requests, answer);
}

std::string wanted_id(Fields* fields) {
  const auto id = fields->text("id");
  if (!id) {
    fields->fail("id", "is required: the x-request-id of the request to end");
    return {};
  }
  if (!sane_request_id(*id)) fields->fail("id", "is no request id: 1 to 128 printable characters without spaces and quotes");
  return std::string(id->substr(0, kRequestIdBytesMax));
}

// RETURNS: kStranger where the order names none.
int32_t wanted_tenant(const Tenants& tenants, Fields* fields) {
  const auto name = fields->text("tenant");
  if (!name) return LiveRequest::kStranger;
  const auto names = tenants.names();
  const auto at = std::find(names->begin(), names->end(), *name);
  if (at == names->end()) {
    fields->fail(
        {.status = not_found("there is no tenant of that name; GET /admission shows whose requests are under way"),
         .param = "tenant"});
    return LiveRequest::kStranger;
  }
  return static_cast<int32_t>(at - names->begin());
}

void refuse_other_words(Fields* fields) {
  for (const auto& member : fields->raw()) {
    if (member.key() == "id" || member.key() == "tenant") continue;
    return fields->fail(std::string(member.key()).substr(0, 60),
                        "is no part of this order; those are id and tenant");
  }
}

}  // namespace

void answer_abort(Service* service, const http::Request& request, Reply reply) {
  std::shared_ptr<Order> order;
  {
    auto json = JsonBody::parse(request.body);
    if (!json.ok()) return reply.error({.status = json.status()});
    Fields fields(json->object());
    refuse_other_words(&fields);
    std::string id = wanted_id(&fields);
    const int32_t tenant = wanted_tenant(*service->context.tenants, &fields);
    if (!fields.ok()) return reply.error(*fields.error());
    order = std::make_shared<Order>(service, std::move(reply), std::move(id), tenant);
  }
  if (order->tenant != LiveRequest::kStranger) return visit_all(order, end_requests, answer);
  visit_all(order, note_tenants, end_if_clear);
}

}  // namespace weir::api
