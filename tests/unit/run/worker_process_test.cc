#include "run/worker_process.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>

#include "bitlaw/base/error.h"
#include "plan/work_study.h"
#include "run/launcher.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

// Everything a process says until it closes its output.
std::vector<WorkerMessage> MessagesOf(WorkerProcess& process) {
  std::vector<WorkerMessage> messages;
  while (process.ReadOutput(messages)) {
    pollfd file{process.output(), POLLIN, 0};
    ::poll(&file, 1, 1000);
  }
  return messages;
}

TEST(WorkerMessage, ReadsBackFromItsLine) {
  WorkerMessage message;
  message.kind = WorkerMessage::Kind::kTask;
  message.task = "arc \"easy\"\n";
  message.metric = "acc";
  message.value = 0.25;
  message.standard_error = std::numeric_limits<double>::quiet_NaN();
  message.found = true;
  const std::string line = ToLine(message);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto read = FromLine(line.substr(0, line.size() - 1));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->kind, WorkerMessage::Kind::kTask);
  EXPECT_EQ(read->task, message.task);
  EXPECT_EQ(read->value, 0.25);
  EXPECT_TRUE(std::isnan(read->standard_error));
  EXPECT_TRUE(read->found);
}

TEST(WorkerMessage, TakesWhatAPluginPrintsForNoMessage) {
  EXPECT_FALSE(FromLine("loading...").has_value());
  EXPECT_FALSE(FromLine("{\"bitlaw\": \"dance\"}").has_value());
  EXPECT_FALSE(FromLine("[1, 2]").has_value());
  EXPECT_FALSE(FromLine("").has_value());
}

TEST(WorkerProcess, HandsLinesInAndMessagesOut) {
  WorkerProcess process({"/bin/sh", "-c", "read x; echo noise; echo \"{\\\"bitlaw\\\":\\\"stage\\\",\\\"text\\\":\\\"$x\\\"}\""});
  process.Send("hello");
  const auto messages = MessagesOf(process);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].text, "hello");
  EXPECT_EQ(process.Reap(), "");
}

TEST(WorkerProcess, TellsHowItsProcessEnded) {
  WorkerProcess exits({"/bin/sh", "-c", "echo 'what went wrong' >&2; exit 3"});
  MessagesOf(exits);
  EXPECT_EQ(exits.Reap(), "exit code 3");
  exits.ReadErrors();
  EXPECT_EQ(exits.stderr_tail(), "what went wrong\n");
  WorkerProcess crashes({"/bin/sh", "-c", "kill -SEGV $$"});
  MessagesOf(crashes);
  EXPECT_EQ(crashes.Reap(), "SIGSEGV (it touched memory that is not there)");
}

TEST(WorkerProcess, KeepsTheEndOfALongLog) {
  WorkerProcess process({"/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done"});
  MessagesOf(process);
  process.Reap();
  process.ReadErrors();
  EXPECT_LE(process.stderr_tail().size(), 4096u);
  EXPECT_THAT(process.stderr_tail(), testing::EndsWith("line 1999\n"));
}

TEST(WorkerProcess, EndsWithItsInput) {
  WorkerProcess process({"/bin/sh", "-c", "while read x; do :; done; exit 0"});
  process.CloseInput();
  MessagesOf(process);
  EXPECT_EQ(process.Reap(), "");
}

TEST(WorkerProcess, IsKilledWhenTheObjectGoes) {
  pid_t pid = 0;
  {
    WorkerProcess process({"/bin/sleep", "100"});
    pid = process.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(WorkerProcess, DiesWithItsLauncher) {
  int pids[2];
  ASSERT_EQ(::pipe(pids), 0);
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    WorkerProcess process({"/bin/sleep", "100"});
    const pid_t pid = process.pid();
    // The child asks for its death signal before exec, which gives it its name.
    std::string name;
    for (int i = 0; i < 1000 && name != "sleep"; ++i) {
      std::ifstream(fmt::format("/proc/{}/comm", pid)) >> name;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (::write(pids[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
    ::kill(::getpid(), SIGKILL);
  }
  pid_t worker = 0;
  ASSERT_EQ(::read(pids[0], &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  ::waitpid(launcher, nullptr, 0);
  // Nobody may reap it in a container without init; a zombie is dead too.
  for (int i = 0; i < 500; ++i) {
    char state = 0;
    std::FILE* status = std::fopen(("/proc/" + std::to_string(worker) + "/stat").c_str(), "r");
    if (status == nullptr) return SUCCEED();
    const int got = std::fscanf(status, "%*d %*s %c", &state);
    std::fclose(status);
    if (got == 1 && state == 'Z') return SUCCEED();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ADD_FAILURE() << "worker " << worker << " outlived its launcher";
}

TEST(WorkerProcess, SurvivesAWorkerThatDoesNotListen) {
  ::signal(SIGPIPE, SIG_IGN);
  WorkerProcess process({"/bin/sh", "-c", "exit 0"});
  MessagesOf(process);
  process.Send("into the void");
  process.Send("again");
  EXPECT_EQ(process.Reap(), "");
}

// Waits until the kernel says so, ten seconds at most.
bool BecomesLife(const WorkerProcess& process, WorkerProcess::Life life) {
  for (int i = 0; i < 1000 && process.life() != life; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return process.life() == life;
}

// A child of the worker keeps its pipes open: their end would never come.
TEST(WorkerProcess, KnowsOfAnEndThatAChildHides) {
  WorkerProcess process({"/bin/sh", "-c", "sleep 100 & echo '{\"bitlaw\":\"stage\",\"text\":\"last\"}'; exit 4"});
  ASSERT_TRUE(BecomesLife(process, WorkerProcess::Life::kEnded));
  std::vector<WorkerMessage> messages;
  EXPECT_TRUE(process.ReadOutput(messages));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].text, "last");
  EXPECT_EQ(process.Reap(), "exit code 4");
  // Reaping killed the child; with it the last writer of the pipe goes.
  bool open = true;
  for (int i = 0; i < 1000 && open; ++i) {
    open = process.ReadOutput(messages);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(open);
}

TEST(WorkerProcess, KnowsAStoppedProcessFromARunningOne) {
  WorkerProcess process({"/bin/sleep", "100"});
  EXPECT_EQ(process.life(), WorkerProcess::Life::kRuns);
  ::kill(process.pid(), SIGSTOP);
  EXPECT_TRUE(BecomesLife(process, WorkerProcess::Life::kStopped));
  ::kill(process.pid(), SIGCONT);
  EXPECT_TRUE(BecomesLife(process, WorkerProcess::Life::kRuns));
  process.Kill();
  EXPECT_EQ(process.Reap(), "SIGKILL (most often the system's memory ran out: see dmesg)");
}

TEST(WorkerProcess, DropsALineWithoutEndAndReadsTheNext) {
  WorkerProcess process({"/bin/sh", "-c",
                         "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo '{\"bitlaw\":\"stage\",\"text\":\"next\"}'"});
  const auto messages = MessagesOf(process);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].text, "next");
}

TEST(WorkerProcess, TakesHalfALineForNoMessage) {
  WorkerProcess process({"/bin/sh", "-c", "printf '{\"bitlaw\":\"done\"}'"});
  EXPECT_TRUE(MessagesOf(process).empty());
}

TEST(TrialOrder, ReadsBackFromItsLine) {
  Trial trial;
  trial.id = "0123456789ab";
  trial.label = "tiny gptq bits=3\nodd";
  trial.model = 2;
  trial.quantizer = "gptq";
  trial.quantizer_version = "1.2.0";
  // In the order of the schema, which is not that of the alphabet; 1.0 stays a real, and a path any bytes.
  trial.quantizer_options = Options(Value::Map{{"damp", 1.0}, {"bits", 3}, {"cache", "/a\xff"}, {"clip", Value()}});
  trial.recipe = Value::Map{{"activations", Value::Map{{"bits", 8}, {"per", "token"}, {"symmetric", true}}}};
  trial.calibration = CalibrationSpec{"c4", 8, 512, 7};
  trial.compute = {Dtype::kBFloat16, "cuda"};
  trial.axes = {{"bits", int64_t{3}}, {"act_order", Value()}};
  trial.factors = {int64_t{1000}, 3.5, Value(), "act"};
  const std::string line = ToOrderLine({trial, std::string(64, 'a'), std::string(64, 'b'), std::string(64, 'c')});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const TrialOrder order = FromOrderLine(line);
  EXPECT_EQ(order.trial.id, "0123456789ab");
  EXPECT_EQ(order.trial.label, "tiny gptq bits=3\nodd");
  EXPECT_EQ(order.trial.model, 2u);
  EXPECT_EQ(order.trial.quantizer, "gptq");
  EXPECT_EQ(order.trial.quantizer_version, "1.2.0");
  EXPECT_EQ(order.trial.quantizer_options.map().Text(), trial.quantizer_options.map().Text());
  EXPECT_EQ(order.trial.recipe.Text(), "{activations: {bits: 8, per: 'token', symmetric: true}}");
  ASSERT_TRUE(order.trial.calibration);
  EXPECT_EQ(order.trial.calibration->corpus, "c4");
  EXPECT_EQ(order.trial.calibration->sequences, 8);
  EXPECT_EQ(order.trial.calibration->tokens, 512);
  EXPECT_EQ(order.trial.calibration->seed, 7u);
  EXPECT_EQ(order.trial.compute.dtype, Dtype::kBFloat16);
  EXPECT_EQ(order.trial.compute.device, "cuda");
  EXPECT_EQ(order.trial.axes, trial.axes);
  EXPECT_EQ(order.trial.factors, trial.factors);
  EXPECT_EQ(order.weights_digest, std::string(64, 'a'));
  EXPECT_EQ(order.code_digest, std::string(64, 'b'));
  EXPECT_EQ(order.work_digest, std::string(64, 'c'));
}

// The text with `from`, which must be there, changed to `to`.
std::string With(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// The error's text; "" if there is none.
template <class Act>
std::string FaultOf(Act&& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    return error.what();
  }
  return "";
}

Trial OneTrial() {
  Trial trial;
  trial.id = "0123456789ab";
  trial.calibration = CalibrationSpec{"c4", 8, 512, 7};
  const Value nf4 = Value::Map{{"name", "nf4"}, {"options", Value::Map{}}};
  trial.recipe = Value::Map{{"activations", Value::Map{{"bits", 8}, {"per", "token"}, {"symmetric", true}}}, {"grid", nf4}};
  trial.factors = {3.5};
  return trial;
}

TEST(TrialOrder, SaysWhatIsWrongWithALine) {
  const std::string line = ToOrderLine({OneTrial(), "a", "b", "c"});
  const auto fault = [&](const std::string& from, const std::string& to) {
    return FaultOf([&] { FromOrderLine(With(line, from, to)); });
  };
  EXPECT_EQ(fault("3.5", "4.5"), "");
  const std::string begins = "order: it is not what this bitlaw writes for its workers: ";
  EXPECT_EQ(fault("\"model\": 0", "\"model\": -1"), begins + "the number -1 is not within 0 and 9223372036854775807.");
  EXPECT_EQ(fault("512", "0"), begins + "the number 0 is not within 1 and 9223372036854775807.");
  EXPECT_EQ(fault("\"bits\": 8", "\"bits\": 99"), begins + "the number 99 is not within 2 and 16.");
  EXPECT_EQ(fault("\"symmetric\"", "\"symmetry\""), begins + "'symmetric' is missing.");
  EXPECT_EQ(fault("\"name\"", "\"names\""), begins + "'name' is missing.");
  EXPECT_EQ(fault("3.5", "{\"$real\": \"7\"}"), begins + "'7' is not nan, inf or -inf.");
  EXPECT_EQ(fault("3.5", "{\"$bytes\": \"ff0\"}"), begins + "'ff0' are no bytes in hexadecimal digits.");
  EXPECT_EQ(fault("3.5", "{\"$map\": [[\"a\", 1], [\"a\", 2]]}"), begins + "'a' stands twice.");
  EXPECT_THAT(fault("3.5", "{\"$at\": [\"f\", 5000000000, 1], \"$value\": 1}"),
              HasSubstr("the number 5000000000 is not within 1 and 2147483647."));
  EXPECT_THAT(fault("\"options\": {}", "\"options\": 3"), HasSubstr(begins));
}

// A worker looks its model up by number, and its factors by that of the study's.
TEST(TrialOrder, IsOfTheStudyOfTheWorkFile) {
  Plan plan;
  plan.models.resize(1);
  plan.factors.resize(1);
  plan.study.corpora = {{"c4", "text", Options(), {}, {}}};
  const auto fault = [&](const auto& change) {
    Trial trial = OneTrial();
    change(trial);
    return FaultOf([&] { CheckTrial(trial, plan); });
  };
  const std::string begins = "trial '0123456789ab' is not of the study that the work file describes: ";
  EXPECT_EQ(fault([](Trial&) {}), "");
  EXPECT_EQ(fault([](Trial& trial) { trial.model = 1; }), begins + "its model is number 1 of 1. Run again.");
  EXPECT_EQ(fault([](Trial& trial) { trial.factors.clear(); }), begins + "it has 0 factors, the study 1. Run again.");
  EXPECT_EQ(fault([](Trial& trial) { trial.calibration->corpus = "c5"; }),
            begins + "the study has no corpus 'c5'. Run again.");
}

TEST(TrialOrder, IsNoOtherLine) {
  EXPECT_THROW(FromOrderLine("0123456789ab aaaa bbbb"), Error);
  EXPECT_THROW(FromOrderLine("{\"trial\": {\"id\": 3}}"), Error);
}

TEST(WorkStudy, ReadsBackWhatItWrote) {
  Plan plan;
  plan.study.name = "small";
  plan.study.evaluate = Value::Map{{"batch_tokens", 64}};
  plan.study.allow_fallback = true;
  plan.study.corpora = {{"c4", "text", Options(Value::Map{{"path", "/data/c4.txt"}}), {}, {}}};
  TaskSpec task;
  task.name = "arc";
  task.component = "multiple_choice";
  Value data("arc.jsonl");
  data.set_mark({"/study/tasks/arc.yaml", 7, 3});
  task.options = Options(Value::Map{{"limit", 5}, {"bounds", Value::List{-INFINITY, 0.5}}, {"data", data}});
  task.context = {"arc", {"/data", "/more"}};
  plan.study.tasks = {task};
  PlannedModel model;
  model.spec.name = "tiny";
  model.spec.path = "/models/\xc3\xa9 \xff";  // Of Latin-1 and UTF-8 letters.
  model.spec.backend = "hf";
  model.spec.backend_options = Options(Value::Map{{"layers", 2}});
  plan.models = {model};
  FactorColumn bits;
  bits.factor.column = "B";
  bits.factor.unit = "bits";
  bits.factor.role = FactorRole::kPrecision;
  bits.source = FactorSource::kQuantizer;
  bits.origin = kOwnOrigin;
  plan.factors = {bits};
  EvaluateOptions evaluate;
  evaluate.batch_tokens = 64;
  evaluate.kv_budget_bytes = 1 << 20;
  const std::string text = WriteWorkStudy(plan, evaluate);
  const WorkStudy work = ReadWorkStudy(text, "work.json");
  EXPECT_EQ(work.digest.size(), 64u);
  EXPECT_EQ(WriteWorkStudy(work.plan, work.evaluate), text);
  EXPECT_EQ(work.plan.models[0].spec.path, "/models/\xc3\xa9 \xff");
  EXPECT_EQ(work.plan.models[0].spec.backend_options.map().Text(), "{layers: 2}");
  EXPECT_EQ(work.plan.study.tasks[0].options.map().Text(), task.options.map().Text());
  EXPECT_EQ(work.plan.study.tasks[0].options.Raw("data").mark().Text(), "/study/tasks/arc.yaml:7:3");
  EXPECT_EQ(work.plan.study.tasks[0].context.name, "arc");
  EXPECT_EQ(work.plan.study.tasks[0].context.data_paths[1], "/more");
  EXPECT_EQ(work.plan.study.corpora[0].options.String("path"), "/data/c4.txt");
  ASSERT_EQ(work.plan.factors.size(), 1u);
  EXPECT_EQ(work.plan.factors[0].factor, bits.factor);
  EXPECT_EQ(work.plan.factors[0].source, FactorSource::kQuantizer);
  EXPECT_EQ(work.plan.factors[0].origin, kOwnOrigin);
  EXPECT_EQ(work.plan.study.evaluate.Text(), "{batch_tokens: 64}");
  EXPECT_TRUE(work.plan.study.allow_fallback);
  EXPECT_EQ(work.evaluate.batch_tokens, 64);
  EXPECT_EQ(work.evaluate.kv_budget_bytes, 1 << 20);
}

TEST(WorkStudy, IsNoOtherText) {
  try {
    ReadWorkStudy("{\"format\": 1}", "work.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "work.json: it is not what this bitlaw writes for its workers: 'study' is missing.");
  }
  Plan plan;
  plan.factors.resize(1);
  const std::string text = WriteWorkStudy(plan, EvaluateOptions());
  EXPECT_THAT(FaultOf([&] { ReadWorkStudy(With(text, "\"source\": 0", "\"source\": 5"), "work.json"); }),
              HasSubstr("workers: the number 5 is not within 0 and 4."));
  EXPECT_THAT(FaultOf([&] { ReadWorkStudy(With(text, "\"batch_tokens\": 0", "\"batch_tokens\": -2"), "work.json"); }),
              HasSubstr("workers: the number -2 is not within 0 and 9223372036854775807."));
  EXPECT_THAT(FaultOf([&] { ReadWorkStudy(With(text, "\"evaluate\": {", "\"evaluate\": 3, \"e\": {"), "work.json"); }),
              HasSubstr("work.json: it is not what"));
}

}  // namespace
}  // namespace bitlaw
