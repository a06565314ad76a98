#include "run/trial_failure.h"

#include <c10/util/Exception.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <utility>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/machine_error.h"

namespace bitlaw {
namespace {

// Never destroyed: what is not caught may be thrown while the process ends.
std::function<void(const WorkerMessage&)>* tell_of_uncaught = nullptr;
std::terminate_handler handler_before = nullptr;

WorkerMessage Failure(const std::string& kind, const std::string& text) {
  WorkerMessage message;
  message.kind = WorkerMessage::Kind::kFailed;
  message.error_kind = kind;
  message.text = text;
  return message;
}

// What the limit of a worker holds back is there for the last words.
void GiveBackMemory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_DATA, &limit);
}

[[noreturn]] void EndUncaught() {
  GiveBackMemory();
  if (const std::exception_ptr exception = std::current_exception()) {
    WorkerMessage failure = FailureOf(exception);
    if (failure.error_kind == "memory" || failure.error_kind == "device") {
      failure.spent = true;
      (*tell_of_uncaught)(failure);
      ::_exit(1);
    }
  }
  handler_before();  // Writes what it is, and aborts.
  std::abort();
}

}  // namespace

WorkerMessage FailureOf(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const MemoryError& error) {
    return Failure("memory", error.what());
  } catch (const DeviceError& error) {
    WorkerMessage failure = Failure("device", error.what());
    failure.spent = true;
    return failure;
  } catch (const Error& error) {
    return Failure(std::string(Name(error.kind())), error.what());
  } catch (const c10::Error& error) {
    try {
      RethrowTorchError("the trial", error.what_without_backtrace());
    } catch (...) {
      return FailureOf(std::current_exception());
    }
  } catch (const std::bad_alloc&) {
    return Failure("memory", "memory ran out. Use fewer workers, a smaller evaluate.batch_tokens, or a smaller model.");
  } catch (const std::exception& error) {
    return Failure("bug", error.what());
  } catch (...) {
    return Failure("bug", "something was thrown that is no std::exception. A plugin throws Error of bitlaw/base/error.h.");
  }
}

void TellOfUncaught(std::function<void(const WorkerMessage& failure)> tell) {
  tell_of_uncaught = new std::function<void(const WorkerMessage&)>(std::move(tell));
  handler_before = std::set_terminate(&EndUncaught);
}

}  // namespace bitlaw
