// Served: a World behind a real http::Server, with an engine thread of its own, for tests that need sockets.
//
// Owner and thread: the test's. The server has two io threads unless its options say otherwise.
#pragma once

#include <memory>
#include <thread>

#include "api/host_bytes.h"
#include "api/world_test.h"
#include "http/test_client.h"

namespace weir::api {

// A World whose loops are the server's io threads.
class Served {
 public:
  explicit Served(WorldOptions options = {}, http::Options http_options = {.io_threads = 2})
      : world(with_io_threads(std::move(options), http_options.io_threads)) {
    auto created = http::Server::create(
        http_options,
        [this](http::Request&& request, std::shared_ptr<http::Exchange> e) {
          world.api->handle(std::move(request), std::move(e));
        },
        make_byte_book(world.ledger), world.api->hooks());
    EXPECT_TRUE(created.ok()) << created.status().message();
    server = std::move(*created);
    world.engine.keep_specs = false;
    world.gateway.set_io_waker([this](int io) { server->post(io, [this, io] { world.api->drain(io); }); });
    world.post_io = [this](int io, http::Callback callback) { return server->post(io, std::move(callback)); };
    server->start();
    engine = std::thread([this] {
      while (!stop) {
        world.engine.step();
        world.gateway.wait_for_command(200);
      }
    });
  }
  ~Served() { shut_down(); }
  // The order that api.h asks for: text pool, server, engine, and then the notices nobody was left to read.
  void shut_down() {
    if (!engine.joinable()) return;
    world.api->stop_text_pool();
    server->stop();
    stop = true;
    engine.join();
    for (int turn = 0; turn < 2; ++turn) {
      world.engine.step();
      for (int io = 0; io < world.gateway.io_threads(); ++io) world.api->drain(io);
    }
    world.engine.step();
  }
  http::Client client(int receive_buffer_bytes = 0) { return http::Client(server->port(), receive_buffer_bytes); }

  World world;
  std::unique_ptr<http::Server> server;
  std::thread engine;
  std::atomic<bool> stop{false};

 private:
  static WorldOptions with_io_threads(WorldOptions options, int io_threads) {
    options.io_threads = io_threads;
    return options;
  }
};

}  // namespace weir::api
