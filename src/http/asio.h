// The one header of this room that includes Boost.Asio. Internal: reached through loop.h and connection.h by
// loop.cc, connection*.cc, exchange.cc and server.cc alone.
//
// Executors are the io_context's own type, never any_io_executor: type erasure costs memory per connection.
#pragma once

#define BOOST_ASIO_SEPARATE_COMPILATION 1  // bodies are compiled once, in asio_impl.cc

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weir::http {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using IoContext = asio::io_context;
using Descriptor = asio::posix::basic_stream_descriptor<IoContext::executor_type>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                         IoContext::executor_type>;
using WorkGuard = asio::executor_work_guard<IoContext::executor_type>;

}  // namespace weir::http
