// Generation: the life of one chat or completion request, from its parsed body to its last byte.
//
//   start() -> text pool: read_request() where the body is large, make_prompts() -> io: admit() -> engine ...
//   on_notice() ... -> answer -> done
//
// Owner: first the job in the text pool, then Service::by_slot for every slot it holds. Thread: the exchange's io
// thread, except make_prompts. It holds its Places until the exchange is done *and* the engine has finished the
// sequence, streaming or not; a client that leaves cancels all sequences at once, in whatever state they are.
// Exactly one of these ends the answer: respond, end_stream, the client's leaving. An exception at any of its
// entrances ends it as an error would. Memory: every byte is on one account of the ledger before it is allocated;
// texts that nobody will read any more go back at once, the rest with this object.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/answer.h"
#include "api/contain.h"
#include "api/host_bytes.h"
#include "api/live_requests.h"
#include "api/prompts.h"
#include "api/read_request.h"
#include "api/reply.h"
#include "api/response.h"
#include "message/gateway.h"

namespace weir::api {

class Service;

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // What a request takes by itself: this object, its id, its response format. It is charged for as long as the
  // request waits, so it is counted and not rounded up; kWaitingRequestBytes (host_bytes.h) follows from it.
  static uint64_t fixed_bytes(const ApiContext& context);

  // body: null where it was read into `request` already; held has fixed_bytes() and the request's own bytes then,
  // and nothing where it is still to be read. held is on the account that everything else is charged to. live: the
  // request as it is found from outside.
  Generation(Service* service, std::unique_ptr<RequestBody> body, GenerateRequest request, Reply reply, Charge held,
             Knock knock, std::unique_ptr<LiveRequest> live);
  ~Generation();

  void start();
  // From Api::drain. `seat` is what Channel::io_tag pointed to.
  static void on_notice(void* seat, FinishReason finish);

  // For LiveRequests, on the exchange's io thread.
  bool abort();
  void tick(Micros now) {
    contained([&] { look_at_clock(now); });
  }
  std::vector<SlotIndex> live_slots() const;  // of the sequences that the engine has not finished

 private:
  // One sequence. Its address is the slot's io_tag, so the vector of them never grows after admission.
  struct Seat {
    Generation* owner;
    Place place;
    Answer answer;
    int index;                    // of the choice in the answer
    bool engine_finished = false; // the finish notice was seen
    bool cancelled = false;       // the engine was told to stop
    bool start_noted = false;     // its time in the queue was counted
    bool opened = false;          // streaming: the role was sent
    bool finish_sent = false;     // streaming: its last chunk was written
    bool released = false;
    const char* finish_reason = nullptr;  // the client's view; set once
    Micros first_token_us = 0, last_token_us = 0;
  };

  // Whatever the body throws ends this request.
  template <class Body>
  void contained(Body&& body) noexcept {
    if (const Thrown thrown = contain(body); thrown != Thrown::kNothing) end_after_throw(thrown);
  }
  void end_after_throw(Thrown thrown) noexcept;
  void return_unsubmitted() noexcept;

  void enter_text_pool();
  void make_prompts_on_pool();
  std::optional<ApiError> read_body();
  bool is_unwanted() const { return unwanted_.load(std::memory_order_relaxed); }
  void after_text();
  void admit(std::vector<PromptTokens> prompts);
  std::unique_ptr<RequestSpec> make_spec(uint64_t id, PromptTokens* prompt);
  Grant charge_seats(size_t prompts, size_t seats);
  Grant begin_answers(const std::vector<PromptTokens>& prompts);
  void take_seats(std::vector<PromptTokens> prompts);
  void submit_all();
  bool submit(Seat* seat, int prompt_index, int choice_of_prompt);

  void look_at_clock(Micros now);
  bool is_guaranteed() const;
  void take_news(Seat* seat, FinishReason finish);
  void take_token(Seat* seat, const TokenEvent& event);
  void end_seat(Seat* seat, FinishReason finish);
  std::string how_far(const Seat& seat) const;
  void finish_choice(Seat* seat, const char* reason);
  void note_start(Seat* seat, FinishReason finish);
  void note_end(const Seat& seat);

  std::string waiting_comment() const;
  void open_stream();
  void write_news(Seat* seat);
  void complete_if_all_finished();
  void answer_whole();
  void fail(const ApiError& error);
  Grant why_unsent() const;
  void fail_host(Grant why, HostMoment when);
  void drop_answers();
  void cancel(Seat* seat);
  void cancel_all();
  void on_gone(http::Gone why);
  void on_done();
  void release_finished();

  bool over() const { return answered_ || gone_; }

  static constexpr const char* kWhileText = "while its prompt was being turned into tokens";

  Service* const service_;
  std::unique_ptr<RequestBody> body_;  // null once it is read; the pool's thread's until then, as request_ is
  GenerateRequest request_;
  Reply reply_;
  Charge held_;              // kRequest: request_, the seats, and fixed_bytes()
  Charge prompts_charge_;    // ids and echoes, first in prompts_, then in specs_
  Charge sampler_charge_, sse_charge_;
  Charge body_charge_;       // of a whole answer, until its last byte is out
  Knock knock_;              // until it is admitted, refused or its client is gone
  const Micros arrival_us_;
  const Micros deadline_us_;                // 0: none
  Micros next_keepalive_us_;
  std::unique_ptr<LiveRequest> live_;       // until start(), which gives it to the exchange
  PromptsOrError prompts_;   // pool thread, then io thread
  Thrown thrown_on_pool_ = Thrown::kNothing;  // the same
  std::vector<Place> places_;                 // admitted, and not yet a seat's
  std::unique_ptr<ResponseFormat> format_;
  std::optional<AnswerRules> rules_;
  std::vector<std::unique_ptr<RequestSpec>> specs_;  // [prompt]; the engine reads them until it has finished
  std::vector<Seat> seats_;
  Usage usage_;
  std::string out_;          // scratch for SSE events
  bool submitted_ = false;   // the engine was told of all the seats; before, of none
  bool stream_open_ = false;
  bool answered_ = false;    // respond() or end_stream() was called
  bool done_ = false;        // the last byte left, or the connection is dead
  bool token_seen_ = false;
  bool gone_ = false;    // the client left
  std::atomic<bool> unwanted_{false};  // nobody waits for the answer; written by the io thread, read by the pool to skip work
};

}  // namespace weir::api
