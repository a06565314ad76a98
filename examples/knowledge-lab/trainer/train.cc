#include "train.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "bitlaw/base/error.h"
#include "kernels.h"

namespace bitlaw::lab {
namespace {

// Appends one document: a beginning-of-text token, what is asked, and what follows, of which only the latter is scored.
bool Append(const World& world, const Line& line, int64_t rows, Batch* batch) {
  const auto prompt = world.vocabulary().Encode(line.prompt), answer = world.vocabulary().Encode(line.answer + " .");
  // The last token is only a target.
  if (batch->tokens.size() + prompt.size() + answer.size() > static_cast<size_t>(rows)) return false;
  batch->starts.push_back(static_cast<int32_t>(batch->tokens.size()));
  batch->tokens.push_back(Vocabulary::kBos);
  batch->tokens.insert(batch->tokens.end(), prompt.begin(), prompt.end());
  for (const int32_t id : answer) {
    batch->asked.push_back(static_cast<int32_t>(batch->tokens.size()) - 1);
    batch->targets.push_back(id);
    batch->weight.push_back(1.0f);
    batch->tokens.push_back(id);
  }
  batch->tokens.pop_back();
  return true;
}

void FillUp(int64_t rows, Batch* batch) {
  while (batch->tokens.size() < static_cast<size_t>(rows)) {
    batch->starts.push_back(static_cast<int32_t>(batch->tokens.size()));
    batch->tokens.push_back(Vocabulary::kBos);
  }
  batch->starts.push_back(static_cast<int32_t>(rows));
}

Batch DrawBatch(const World& world, const Rung& rung, int64_t step) {
  Batch batch;
  Rng rng = Rng(rung.seed * 1000003 + 17).Fork(step);
  while (Append(world, world.Training(rng, Domain::kGeneral), rung.rows, &batch)) {
  }
  FillUp(rung.rows, &batch);
  return batch;
}

// Warm-up over 2 % of the steps, then a cosine to a twentieth.
double Rate(const Rung& rung, int64_t step) {
  const double warm_up = std::max(20.0, 0.02 * static_cast<double>(rung.steps));
  if (static_cast<double>(step) < warm_up) return rung.rate * static_cast<double>(step + 1) / warm_up;
  const double done = (static_cast<double>(step) - warm_up) / (static_cast<double>(rung.steps) - warm_up);
  return rung.rate * (0.05 + 0.95 * 0.5 * (1 + std::cos(M_PI * done)));
}

struct State {
  int64_t step = 0;
  std::vector<float> m, v;
};

constexpr uint64_t kCheckpointMagic = 0x31304C5442414CULL;

void Save(const std::filesystem::path& path, Net& net, const State& state) {
  const std::filesystem::path part = path.string() + ".part";
  {
    std::ofstream out(part, std::ios::binary);
    const auto count = static_cast<int64_t>(state.m.size());
    const auto bytes = static_cast<std::streamsize>(count * sizeof(float));
    out.write(reinterpret_cast<const char*>(&kCheckpointMagic), 8).write(reinterpret_cast<const char*>(&state.step), 8);
    out.write(reinterpret_cast<const char*>(&count), 8);
    out.write(reinterpret_cast<const char*>(net.parameters().data_ptr<float>()), bytes);
    out.write(reinterpret_cast<const char*>(state.m.data()), bytes)
        .write(reinterpret_cast<const char*>(state.v.data()), bytes);
    if (!out.flush()) throw Error(ErrorKind::kIo, part.string() + ": cannot be written. Is the disk full?");
  }
  std::filesystem::rename(part, path);
}

bool Load(const std::filesystem::path& path, Net& net, State* state) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  uint64_t magic = 0;
  int64_t step = 0, count = 0;
  in.read(reinterpret_cast<char*>(&magic), 8)
      .read(reinterpret_cast<char*>(&step), 8)
      .read(reinterpret_cast<char*>(&count), 8);
  if (!in || magic != kCheckpointMagic || count != static_cast<int64_t>(state->m.size())) {
    throw Error(ErrorKind::kIo, path.string() + ": not a checkpoint of this rung. Delete it or name another folder.");
  }
  const auto bytes = static_cast<std::streamsize>(count * sizeof(float));
  in.read(reinterpret_cast<char*>(net.parameters().data_ptr<float>()), bytes);
  in.read(reinterpret_cast<char*>(state->m.data()), bytes).read(reinterpret_cast<char*>(state->v.data()), bytes);
  if (!in) throw Error(ErrorKind::kIo, path.string() + ": cut off. Delete it to start again.");
  state->step = step;
  return true;
}

bool HasFastBfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

// Takes from the log what comes after the checkpoint: those steps are taken again, and logged again.
void KeepRowsUpTo(int64_t step, const std::filesystem::path& log) {
  std::ifstream in(log);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    if (kept.empty() || std::atoll(line.c_str()) <= step) kept += line + "\n";
  }
  in.close();
  std::ofstream(log, std::ios::trunc) << kept;
}

}  // namespace

double GreedyAccuracy(Net& net, const World& world, const std::vector<Item>& items) {
  size_t right = 0, next = 0;
  while (next < items.size()) {
    Batch batch;
    std::vector<size_t> ends;  // Of each item's answer among the asked tokens.
    while (next < items.size() && Append(world, {items[next].prompt, items[next].answer}, net.rows(), &batch)) {
      ends.push_back(batch.asked.size());
      ++next;
    }
    if (ends.empty()) throw InternalError("an item of the lab is longer than a batch");
    FillUp(net.rows(), &batch);
    std::vector<char> correct;
    net.Evaluate(batch, &correct);
    size_t at = 0;
    for (const size_t end : ends) {
      bool all = true;
      for (; at < end; ++at) all = all && correct[at];
      right += all;
    }
  }
  return static_cast<double>(right) / static_cast<double>(items.size());
}

void Train(const Rung& rung, const World& world, const std::filesystem::path& folder, double checkpoint_s,
           const std::vector<int64_t>& snapshots) {
  NetConfig config = rung.net;
  config.vocab = world.vocabulary().size();
  // Without instructions for it bfloat16 is slower than float32.
  const Precision precision = HasFastBfloat16() ? Precision::kBfloat16 : Precision::kFloat32;
  const std::unique_ptr<Net> owner = Net::Make(config, rung.rows, rung.seed, precision);
  Net& net = *owner;
  State state;
  state.m.assign(net.parameters().numel(), 0.0f);
  state.v = state.m;
  std::filesystem::create_directories(folder);
  const bool resumed = Load(folder / "checkpoint.bin", net, &state);
  std::printf("%s: %lld non-embedding parameters, vocabulary %lld, %lld steps of %lld tokens, %s step %lld, "
              "products in %s\n",
              rung.name.c_str(), static_cast<long long>(config.parameters_non_embedding()),
              static_cast<long long>(config.vocab), static_cast<long long>(rung.steps),
              static_cast<long long>(rung.rows), resumed ? "going on from" : "starting at",
              static_cast<long long>(state.step), precision == Precision::kBfloat16 ? "bfloat16" : "float32");
  std::vector<std::vector<Item>> items;
  for (const auto& [kind, name] : AllKinds()) items.push_back(world.Items(kind, 256, 0, 99, Purpose::kTask));
  const std::filesystem::path log_path = folder / "log.csv";
  if (resumed) KeepRowsUpTo(state.step, log_path);
  std::FILE* log = std::fopen(log_path.c_str(), resumed ? "a" : "w");
  if (log == nullptr) throw Error(ErrorKind::kIo, log_path.string() + ": cannot be written.");
  if (!resumed) {
    std::fputs("step,tokens,loss", log);
    for (const auto& [kind, name] : AllKinds()) std::fprintf(log, ",%s", name);
    std::fputs("\n", log);
  }
  using Clock = std::chrono::steady_clock;
  auto saved = Clock::now(), reported = saved;
  int64_t reported_step = state.step;
  double loss = 0;
  const int64_t report_every = std::max<int64_t>(1, rung.steps / 20);
  while (state.step < rung.steps) {
    const Batch batch = DrawBatch(world, rung, state.step);
    loss = net.Step(batch);
    if (!std::isfinite(loss))
      throw Error(ErrorKind::kNumerical,
                  rung.name + ": the loss is not finite at step " + std::to_string(state.step) + ".");
    float* gradient = net.gradient().data_ptr<float>();
    const int64_t count = net.parameters().numel();
    const Kernels<float>& kernels = FloatKernels();
    const double norm = std::sqrt(kernels.squared_norm(gradient, count));
    const double rate = Rate(rung, state.step);
    ++state.step;
    // Matrices decay; the norms between them do not.
    const auto update = [&](int64_t begin, int64_t end, double decay) {
      kernels.adamw(net.parameters().data_ptr<float>() + begin, gradient + begin, state.m.data() + begin,
                    state.v.data() + begin, end - begin, static_cast<float>(norm > 1 ? 1 / norm : 1),
                    static_cast<float>(rate), static_cast<float>(decay), state.step);
    };
    int64_t done = 0;
    for (const Net::Range& range : net.matrices()) {
      update(done, range.begin, 0);
      update(range.begin, range.end, rung.decay);
      done = range.end;
    }
    update(done, count, 0);
    const auto now = Clock::now();
    const bool last = state.step == rung.steps;
    if (state.step % report_every == 0 || last) {
      const double elapsed_s = std::chrono::duration<double>(now - reported).count();
      const double speed = static_cast<double>((state.step - reported_step) * rung.rows) / elapsed_s;
      std::string accuracies;
      std::fprintf(log, "%lld,%lld,%.5f", static_cast<long long>(state.step),
                   static_cast<long long>(state.step * rung.rows), loss);
      for (size_t i = 0; i < items.size(); ++i) {
        const double accuracy = GreedyAccuracy(net, world, items[i]);
        std::fprintf(log, ",%.4f", accuracy);
        accuracies += fmt::format(" {} {:.2f}", AllKinds()[i].second, accuracy);
      }
      std::fputs("\n", log);
      std::fflush(log);
      std::printf("%s step %lld loss %.4f %.0f tokens/s |%s\n", rung.name.c_str(), static_cast<long long>(state.step),
                  loss, speed, accuracies.c_str());
      std::fflush(stdout);
      reported = Clock::now();
      reported_step = state.step;
    }
    if (std::find(snapshots.begin(), snapshots.end(), state.step) != snapshots.end()) {
      ExportHuggingFace(rung, net, world, folder / fmt::format("{}-step{}", rung.name, state.step));
    }
    if (last || std::chrono::duration<double>(now - saved).count() > checkpoint_s) {
      Save(folder / "checkpoint.bin", net, state);
      saved = Clock::now();
    }
  }
  std::fclose(log);
  ExportHuggingFace(rung, net, world, folder / rung.name);
}

}  // namespace bitlaw::lab
