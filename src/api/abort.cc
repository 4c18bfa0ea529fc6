#include "api/abort.h"

#include <fmt/format.h>

#include "api/fields.h"
#include "api/json_in.h"
#include "api/service.h"

namespace weir::api {
namespace {

// One order while it visits the io threads. The last of them answers, on the thread of the order's own exchange.
struct Order {
  Order(Reply r, std::string wanted, int threads) : reply(std::move(r)), id(std::move(wanted)), left(threads) {}
  Reply reply;
  const std::string id;
  std::atomic<int> left;
  std::atomic<int> ended{0};
};

void answer(Order* order) {
  if (order->ended > 0) return order->reply.json(200, fmt::format(R"({{"aborted":{}}})", order->ended.load()));
  order->reply.error({.status = not_found("no request with the id \"" + order->id + "\" is under way; it is what its answer "
                                          "carries as x-request-id"),
                      .param = "id"});
}

void visited(const std::shared_ptr<Order>& order, int ended) {
  order->ended.fetch_add(ended);
  if (order->left.fetch_sub(1) > 1) return;
  order->reply.exchange().post([order] { answer(order.get()); });
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

}  // namespace

void answer_abort(Service* service, const http::Request& request, Reply reply) {
  std::string id;
  {
    auto json = JsonBody::parse(request.body);
    if (!json.ok()) return reply.error({.status = json.status()});
    Fields fields(json->object());
    id = wanted_id(&fields);
    if (!fields.ok()) return reply.error(*fields.error());
  }
  const int threads = static_cast<int>(service->live_requests.size());
  const auto order = std::make_shared<Order>(std::move(reply), std::move(id), threads);
  for (int io = 0; io < threads; ++io) {
    const bool posted = service->context.post_io && service->context.post_io(io, [service, order, io] {
      visited(order, service->live_requests[static_cast<size_t>(io)].abort(order->id));
    });
    if (!posted) visited(order, 0);  // that thread has ended, and its requests with it
  }
}

}  // namespace weir::api
