// A model backend, a corpus, a task and a law without content. See README.md.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/law.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

class ShapesBackend : public ModelBackend {
 public:
  bool Claims(const fs::path& path) const override { return path.string().ends_with(".shapes.json"); }

  std::string ExplainUnsupported(const fs::path& path) const override {
    return Read(path).Find("architecture")->AsString() == "unheard_of" ? "the architecture 'unheard_of' is not known." : "";
  }

  ModelSummary Inspect(const fs::path& path) const override {
    const Value shapes = Read(path);
    ModelSummary summary;
    summary.name = path.stem().stem().string();
    summary.architecture = shapes.Find("architecture")->AsString();
    summary.hidden_size = shapes.Find("hidden_size")->AsInt();
    summary.num_blocks = shapes.Find("num_blocks")->AsInt();
    summary.vocab_size = shapes.Find("vocab_size")->AsInt();
    summary.max_positions = shapes.Find("max_positions")->AsInt();
    summary.parameters_embedding = summary.vocab_size * summary.hidden_size;
    summary.stored_dtype = "float32";
    for (int block = 0; block < summary.num_blocks; ++block) {
      for (const Value& linear : shapes.Find("linears")->AsList()) {
        LinearShape layer;
        layer.name = "blocks." + std::to_string(block) + "." + linear.Find("name")->AsString();
        layer.block = block;
        layer.in_features = linear.Find("in")->AsInt();
        layer.out_features = linear.Find("out")->AsInt();
        summary.parameters_quantizable += layer.in_features * layer.out_features;
        summary.linears.push_back(layer);
      }
    }
    summary.parameters_total = summary.parameters_active = summary.parameters_quantizable + summary.parameters_embedding;
    // {"stored": [B, bits_effective, G]}: quantized by somebody else.
    if (const Value* stored = shapes.Find("stored")) {
      const Value::List& numbers = stored->AsList();
      summary.stored_quantization = {"gptq", numbers[0].AsReal(), numbers[1].AsReal(), {StandardFactor("G", numbers[2])}};
    }
    return summary;
  }

  std::vector<fs::path> Files(const fs::path& path) const override { return {path}; }
  std::unique_ptr<Tokenizer> OpenTokenizer(const fs::path& path) const override { Refuse(path); }
  std::unique_ptr<Model> Open(const fs::path& path, const ComputeSetting&) const override { Refuse(path); }

 private:
  [[noreturn]] static void Refuse(const fs::path& path) {
    throw Error(ErrorKind::kUnsupported, path.string() + ": a file of shapes has no weights and no tokenizer.");
  }

  static Value Read(const fs::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return ParseJson(text.str(), path.string());
  }
};

class FixtureCorpus : public Corpus {
 public:
  explicit FixtureCorpus(const Options& options) : path_(options.String("path")), digest_(DigestOfFile(path_)) {}

  TokenSequences Draw(const Tokenizer&, int64_t count, int64_t length_tokens, uint64_t seed) const override {
    TokenSequences drawn;
    drawn.count = count;
    drawn.length_tokens = length_tokens;
    for (int64_t i = 0; i < count * length_tokens; ++i) drawn.ids.push_back(static_cast<int32_t>((i + seed) % 7));
    return drawn;
  }
  std::string digest() const override { return digest_; }

 private:
  fs::path path_;
  std::string digest_;
};

class FixtureTask : public Task {
 public:
  FixtureTask(const Options& options, const TaskContext& context) : options_(options) {
    card_.name = context.name;
    card_.version = options.String("version");
    card_.stratum = options.String("stratum");
    card_.metrics = {{"acc", MetricKind::kAccuracy, true}};
  }

  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override {
    return {{"0", {LoglikelihoodRequest{options_.String("question"), " yes"}}}};
  }
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    const auto& response = std::get<LoglikelihoodResponse>(responses[0]);
    return {{item.id, {{response.is_greedy ? 1.0 : 0.0, 1.0}}, 0.5}};
  }
  std::string digest() const override { return DigestOf(options_.CanonicalJson()); }

 private:
  Options options_;
  TaskCard card_;
};

class FixtureLaw : public Law {
 public:
  FixtureLaw(std::string name, const Options& options) : name_(std::move(name)), scale_(options.Real("scale")) {
    parameters_[0].name = "a";
  }

  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return covariates_; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override {
    if (!gradient.empty()) gradient[0] = scale_ * x[0];
    return theta[0] * scale_ * x[0];
  }
  std::string formula_text() const override { return "a * scale * N"; }

 private:
  std::string name_, response_ = "acc";
  double scale_;
  LawParameter parameters_[1];
  std::string covariates_[1] = {"N"};
};

void RegisterComponents(Registrar& registrar) {
  registrar.Add<ModelBackend>({"shapes", "Layer shapes without weights.", ""}, {},
                            [](const Options&) { return std::make_unique<ShapesBackend>(); });
  OptionSchema corpus;
  corpus.Path("path").Doc("Text file.");
  registrar.Add<Corpus>({"fixture", "Counts instead of text.", ""}, corpus,
                      [](const Options& options) { return std::make_unique<FixtureCorpus>(options); });
  OptionSchema task;
  task.String("version").Default("1").Doc("Of the definition.");
  task.String("stratum").Default("").Doc("Group.");
  task.String("data").Optional().Doc("Data file; not read.");
  task.String("question").Doc("The only question.");
  task.Int("limit").Min(1).Optional().Doc("Not used.");
  registrar.Add<Task>({"fixture", "One question.", ""}, task, [](const Options& options, const TaskContext& context) {
    return std::make_unique<FixtureTask>(options, context);
  });
  OptionSchema law;
  law.Real("scale").Above(0).Default(1).Doc("Factor.");
  registrar.Add<Law>({"fixture_law", "A straight line.", ""}, law, [](const std::string& name, const Options& options) {
    return std::make_unique<FixtureLaw>(name, options);
  });
}

}  // namespace
}  // namespace bitlaw

BITLAW_PLUGIN("bitlaw.fixture.components", "1.0.0", "Apache-2.0", "Components without content, for tests.",
              bitlaw::RegisterComponents)
