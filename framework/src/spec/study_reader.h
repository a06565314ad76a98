#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/host.h"
#include "spec/component_file.h"
#include "spec/decoder.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// Decodes one study file into a StudySpec, part by part, and collects the faults of all parts.
class StudyReader {
 public:
  StudyReader(const std::filesystem::path& file, const PluginHost& host,
              const std::vector<std::filesystem::path>& search, const std::filesystem::path& shapes = {});

  /// The study, or one Error with every fault.
  StudySpec Read();

  /// One task without a study file: `entry` is an entry of `tasks:`.
  TaskSpec ReadTaskAlone(const Value& entry, std::vector<std::string> data_paths);
  /// One law without a study file: `entry` is an entry of `laws:`.
  LawSpec ReadLawAlone(const Value& entry);

 private:
  static constexpr size_t kMaxEntries = 2'000;

  void ReadHead(MapReader& study);
  void ReadKeep(MapReader& study);
  void ReadDevices(MapReader& setting);
  void ReadDevice(const Value& given);
  void ReadDataPaths(MapReader& study);
  void AddDataPathsOfEnvironment();
  void ReadModels(const Value* models);
  // A fault where a list has more entries than a study may have.
  bool IsTooLong(const Value& list, std::string_view key);
  void ReadModel(const Value& entry, const std::string& name);
  std::vector<std::pair<std::string, Value>> ReadColumns(const Value& columns, const std::string& place);
  void ReadMap(const Value* map);
  void SetShapesBackendOf(const std::filesystem::path& path, const SourceMark& mark, ModelSpec& model);
  void SetBackendOf(const std::filesystem::path& path, const SourceMark& mark, ModelSpec& model);
  void ReadCorpora(const Value* corpora);
  Value FindCorpusFiles(const OptionSchema& schema, const Value& options) const;
  void ReadQuantize(const Value* entries);
  void ReadTasks(const Value* tasks);
  void ReadTask(const Value& entry, const std::string& place);
  void ReadStrata(const Value* strata);
  void ReadLaws(const Value* laws);
  void ReadLaw(const Value& entry, const std::string& place);

  std::filesystem::path file_, home_, shapes_;
  const PluginHost& host_;
  std::vector<std::filesystem::path> folders_;  // With tasks/ and laws/, in order of search.
  Faults faults_;
  StudySpec spec_;
  struct KnownBackend {
    std::string name;
    Options options;  // Its defaults.
    std::unique_ptr<ModelBackend> backend;
  };
  std::vector<KnownBackend> backends_;  // Those that need no option.
};

/// Decodes one entry of `quantize:`; `place` names it in sentences: "quantize[1]".
QuantizeSpec ReadQuantizeSpec(const Value& entry, const std::string& place, const std::vector<CorpusSpec>& corpora,
                              const PluginHost& host, Faults& faults);

/// The options of a `calibration:` map: corpus, sequences, tokens, seed.
const OptionSchema& CalibrationSchema();

}  // namespace bitlaw
