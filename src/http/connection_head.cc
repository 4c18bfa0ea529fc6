// The part of Connection between a head and its body: whose request it is, whether it comes in, what it is charged
// to.
#include "http/connection.h"
#include "http/faults.h"

namespace weir::http {
namespace {
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
}  // namespace

void Connection::go_to(Rank rank) {
  loop_.move(place_, rank_, rank);
  rank_ = rank;
}

void Connection::end_work() {
  if (counted_group_ >= 0) loop_.shared().group_connections.give(std::exchange(counted_group_, -1));
}

bool Connection::give_up_half_head() {
  if (state_ != State::kReading || in_.empty() || doom_ != Gone::kNo) return false;
  refuse(no_room_for_heads());
  return true;
}

// rest: what came behind the head. RETURNS: whether the request goes on; else it has its answer.
bool Connection::enter(std::string_view rest) {
  head_us_ = loop_.now_us();
  parser_->request().peer = peer_;
  const HeadVerdict verdict = loop_.shared().judge(parser_->request());
  lane_ = verdict.lane;
  cost_ = verdict.cost;
  if (lane_ == Lane::kOpen && !verdict.fault) {
    if (parser_->phase() == RequestParser::Phase::kDone) return true;
    refuse(no_body_here());
    return false;
  }
  of_stranger_ = verdict.standing == Standing::kStranger;
  group_ = verdict.standing == Standing::kKnown ? verdict.group : -1;
  share_ = group_ >= 0 ? share_of_group(group_) : share_of_peer(peer_);
  if (of_stranger_ && rank_ != Rank::kSpare) go_to(Rank::kStranger);
  if (verdict.fault) {
    refuse_head(*verdict.fault, rest);
    return false;
  }
  if (!of_stranger_) return begin_work(verdict);
  if (parser_->phase() == RequestParser::Phase::kDone) return true;
  refuse(no_body_here());
  return false;
}

bool Connection::begin_work(const HeadVerdict& verdict) {
  if (rank_ == Rank::kSpare) {
    std::optional<ConnectionSlot> slot = loop_.take_slot();
    if (!slot) {
      refuse_connection(no_connection_slot());
      return false;
    }
    *slot_ = std::move(*slot);
  }
  go_to(Rank::kBusy);
  if (group_ < 0) return true;
  if (!loop_.shared().group_connections.try_take(group_, verdict.contended)) {
    refuse_connection(too_many_of_tenant());
    return false;
  }
  counted_group_ = group_;
  return true;
}

void Connection::refuse_connection(const Fault& fault) {
  Counters::add(&loop_.mutable_counters().refused_connections);
  refuse(fault);
}

// Where the whole request is here, the connection can carry the next one; a body that is on its way is not waited
// for.
void Connection::refuse_head(const Fault& fault, std::string_view rest) {
  const bool has_body = parser_->phase() == RequestParser::Phase::kBody;
  const size_t body_bytes = has_body && !parser_->chunked() ? parser_->body_bytes_wanted() : 0;
  const bool all_here = !has_body || (!parser_->chunked() && body_bytes <= rest.size());
  const bool keep = all_here && parser_->keep_alive() && !loop_.draining() && rank_ != Rank::kSpare &&
                    hold_unparsed(rest.substr(body_bytes)) == Granted::kYes;
  answer_fault(fault, keep);
}

// RETURNS: how many bytes of `rest` are the body's. The request may have been ended.
size_t Connection::begin_body(std::string_view rest) {
  if (parser_->phase() != RequestParser::Phase::kBody) return 0;
  Shared& shared = loop_.shared();
  deadline_ms_ = loop_.now_ms() + shared.options.body_timeout_ms;
  parser_->open_body(ByteCharge(shared.open_account(group_), ByteUse::kBody, shared.bodies, share_));
  const size_t used = parser_->feed(rest);
  if (parser_->phase() != RequestParser::Phase::kBody || watch_body()) return used;
  if (rest.empty() && parser_->expects_continue()) {  // a body that is here needs no invitation
    out_ += kContinue;
    mark_dirty();
  }
  return used;
}

}  // namespace weir::http
