#include "train.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "bitlaw/base/error.h"

namespace bitlaw::lab {
namespace {

constexpr float kPromptWeight = 0.1f;  // What is asked can't be predicted; what follows can.

struct Batch {
  std::vector<int32_t> tokens, targets;
  std::vector<float> weight;
};

// Rows of lines, each led by a beginning-of-text token, the last one cut off.
Batch DrawBatch(const World& world, const Rung& rung, int64_t step) {
  Batch batch;
  const Rng base = Rng(rung.seed * 1000003 + 17).Fork(step);
  for (int64_t row = 0; row < rung.batch; ++row) {
    Rng rng = base.Fork(row);
    std::vector<int32_t> ids;
    std::vector<float> weights;
    while (static_cast<int64_t>(ids.size()) < rung.tokens + 1) {
      const Line line = world.Training(rng, Domain::kGeneral);
      const auto prompt = world.vocabulary().Encode(line.prompt), answer = world.vocabulary().Encode(line.answer + " .");
      ids.push_back(Vocabulary::kBos);
      ids.insert(ids.end(), prompt.begin(), prompt.end());
      weights.insert(weights.end(), prompt.size() + 1, kPromptWeight);
      ids.insert(ids.end(), answer.begin(), answer.end());
      weights.insert(weights.end(), answer.size(), 1.0f);
    }
    batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.begin() + rung.tokens);
    batch.targets.insert(batch.targets.end(), ids.begin() + 1, ids.begin() + rung.tokens + 1);
    batch.weight.insert(batch.weight.end(), weights.begin() + 1, weights.begin() + rung.tokens + 1);
  }
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
    out.write(reinterpret_cast<const char*>(state.m.data()), bytes).write(reinterpret_cast<const char*>(state.v.data()), bytes);
    if (!out.flush()) throw Error(ErrorKind::kIo, part.string() + ": cannot be written. Is the disk full?");
  }
  std::filesystem::rename(part, path);
}

bool Load(const std::filesystem::path& path, Net& net, State* state) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  uint64_t magic = 0;
  int64_t step = 0, count = 0;
  in.read(reinterpret_cast<char*>(&magic), 8).read(reinterpret_cast<char*>(&step), 8).read(reinterpret_cast<char*>(&count), 8);
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

constexpr std::pair<Kind, const char*> kLogged[] = {
    {Kind::kFact, "fact"},   {Kind::kParaphrase, "paraphrase"}, {Kind::kRule, "rule"},   {Kind::kKind, "kind"}, {Kind::kFollow, "follow"},
    {Kind::kArith, "arith"}, {Kind::kState, "state"},           {Kind::kOrder, "order"}, {Kind::kHop, "hop"}};

}  // namespace

double GreedyAccuracy(Net& net, const World& world, const std::vector<Item>& items, int64_t batch, int64_t tokens) {
  size_t right = 0;
  for (size_t first = 0; first < items.size(); first += static_cast<size_t>(batch)) {
    Batch rows;
    rows.tokens.assign(batch * tokens, Vocabulary::kBos);
    rows.targets = rows.tokens;
    rows.weight.assign(batch * tokens, 0.0f);
    const size_t count = std::min(items.size() - first, static_cast<size_t>(batch));
    for (size_t row = 0; row < count; ++row) {
      const Item& item = items[first + row];
      const auto prompt = world.vocabulary().Encode(item.prompt), answer = world.vocabulary().Encode(item.answer + " .");
      int64_t at = static_cast<int64_t>(row) * tokens + 1;
      for (const int32_t id : prompt) rows.tokens[at++] = id;
      for (const int32_t id : answer) {
        rows.targets[at - 1] = id;
        rows.weight[at - 1] = 1.0f;
        rows.tokens[at++] = id;
      }
    }
    std::vector<char> correct;
    net.Evaluate(rows.tokens, rows.targets, rows.weight, &correct);
    for (size_t row = 0; row < count; ++row) {
      bool all = true;
      for (int64_t t = 0; t < tokens; ++t) {
        const int64_t i = static_cast<int64_t>(row) * tokens + t;
        all = all && (rows.weight[i] == 0 || correct[i]);
      }
      right += all;
    }
  }
  return static_cast<double>(right) / static_cast<double>(items.size());
}

void Train(const Rung& rung, const World& world, const std::filesystem::path& folder, double checkpoint_s) {
  NetConfig config = rung.net;
  config.vocab = world.vocabulary().size();
  Net net(config, rung.batch, rung.tokens, rung.seed);
  State state;
  state.m.assign(net.parameters().numel(), 0.0f);
  state.v = state.m;
  std::filesystem::create_directories(folder);
  const bool resumed = Load(folder / "checkpoint.bin", net, &state);
  std::printf("%s: %lld non-embedding parameters, vocabulary %lld, %lld steps of %lld tokens, %s step %lld\n", rung.name.c_str(),
              static_cast<long long>(config.parameters_non_embedding()), static_cast<long long>(config.vocab),
              static_cast<long long>(rung.steps), static_cast<long long>(rung.batch * rung.tokens), resumed ? "going on from" : "starting at",
              static_cast<long long>(state.step));
  std::vector<std::vector<Item>> items;
  for (const auto& [kind, name] : kLogged) items.push_back(world.Items(kind, 256, 0, 99));
  const std::filesystem::path log_path = folder / "log.csv";
  std::FILE* log = std::fopen(log_path.c_str(), resumed ? "a" : "w");
  if (log == nullptr) throw Error(ErrorKind::kIo, log_path.string() + ": cannot be written.");
  if (!resumed) {
    std::fputs("step,tokens,loss", log);
    for (const auto& [kind, name] : kLogged) std::fprintf(log, ",%s", name);
    std::fputs("\n", log);
  }
  using Clock = std::chrono::steady_clock;
  auto saved = Clock::now(), reported = saved;
  int64_t reported_step = state.step;
  double loss = 0;
  const int64_t report_every = std::max<int64_t>(1, rung.steps / 20);
  while (state.step < rung.steps) {
    const Batch batch = DrawBatch(world, rung, state.step);
    loss = net.Step(batch.tokens, batch.targets, batch.weight);
    if (!std::isfinite(loss)) throw Error(ErrorKind::kNumerical, rung.name + ": the loss is not finite at step " + std::to_string(state.step) + ".");
    float* gradient = net.gradient().data_ptr<float>();
    const int64_t count = net.parameters().numel();
    const double norm = std::sqrt(SquaredNorm(gradient, count));
    const double rate = Rate(rung, state.step);
    ++state.step;
    AdamWStep(net.parameters().data_ptr<float>(), gradient, state.m.data(), state.v.data(), net.decays().data(), count,
              norm > 1 ? 1 / norm : 1, rate, rung.decay, state.step);
    const auto now = Clock::now();
    const bool last = state.step == rung.steps;
    if (state.step % report_every == 0 || last) {
      const double elapsed_s = std::chrono::duration<double>(now - reported).count();
      const double speed = static_cast<double>((state.step - reported_step) * rung.batch * rung.tokens) / elapsed_s;
      std::string accuracies;
      std::fprintf(log, "%lld,%lld,%.5f", static_cast<long long>(state.step), static_cast<long long>(state.step * rung.batch * rung.tokens), loss);
      for (size_t i = 0; i < items.size(); ++i) {
        const double accuracy = GreedyAccuracy(net, world, items[i], rung.batch, rung.tokens);
        std::fprintf(log, ",%.4f", accuracy);
        accuracies += fmt::format(" {} {:.2f}", kLogged[i].second, accuracy);
      }
      std::fputs("\n", log);
      std::fflush(log);
      std::printf("%s step %lld loss %.4f %.0f tokens/s |%s\n", rung.name.c_str(), static_cast<long long>(state.step), loss, speed, accuracies.c_str());
      std::fflush(stdout);
      reported = Clock::now();
      reported_step = state.step;
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
