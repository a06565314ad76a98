#include "run/launch/stop_signals.h"

namespace bitlaw {
namespace {

volatile std::sig_atomic_t g_stops = 0, g_leaves = 0;

void OnStop(int signal) { g_stops = signal; }
void OnLeave(int signal) {
  if (g_leaves == 0) {
    g_leaves = signal;
  } else {
    g_stops = signal;
  }
}

}  // namespace

StopSignals::StopSignals(bool terminate_leaves) {
  g_stops = 0;
  g_leaves = 0;
  struct sigaction stop {}, leave {}, ignore {};
  stop.sa_handler = &OnStop;  // No SA_RESTART: poll() must return.
  leave.sa_handler = &OnLeave;
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &stop, &interrupt_);
  ::sigaction(SIGTERM, terminate_leaves ? &leave : &stop, &terminate_);
  ::sigaction(SIGUSR1, &leave, &user_);
  ::sigaction(SIGHUP, nullptr, &hang_up_);
  if (hang_up_.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &stop, nullptr);
  ::sigaction(SIGPIPE, &ignore, &pipe_);
}

StopSignals::~StopSignals() {
  ::sigaction(SIGINT, &interrupt_, nullptr);
  ::sigaction(SIGTERM, &terminate_, nullptr);
  ::sigaction(SIGUSR1, &user_, nullptr);
  ::sigaction(SIGHUP, &hang_up_, nullptr);
  ::sigaction(SIGPIPE, &pipe_, nullptr);
}

int StopSignals::stops() { return g_stops; }
int StopSignals::leaves() { return g_leaves; }

}  // namespace bitlaw
