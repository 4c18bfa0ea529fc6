// Answers that the connections give by themselves, beyond those of the parser: what happened and what to do.
// Values.
#pragma once

#include "http/hooks.h"

namespace weir::http {

inline Fault no_connection_slot() {
  return {503, "server_is_overloaded", "connections", "all connection slots are taken: try again soon"};
}
inline Fault too_many_of_peer() {
  return {503, "server_is_overloaded", "peer_connections",
          "this address has as many connections as it may (--max-connections-per-peer): use those"};
}
inline Fault too_many_of_tenant() {
  return {503, "server_is_overloaded", "tenant_connections",
          "this key's tenant has as many requests under way as connections allow: try again soon"};
}
inline Fault no_room_for_heads() {
  return {503, "server_is_overloaded", "head_memory",
          "too many request heads are being read at once: send the head in one piece, and try again soon"};
}
inline Fault no_body_here() { return {413, "body_too_large", "", "this path takes no body: send none"}; }

}  // namespace weir::http
