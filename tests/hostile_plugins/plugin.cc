// The healthy twin and, with one macro each, every hostile plugin of this folder.
#include "bitlaw/api/plugin.h"

#include <cfenv>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "bitlaw/api/law.h"
#include "bitlaw/api/quantizer.h"

#if defined(OTHER_EPOCH) || defined(OTHER_EPOCH_AND_EXITS_AT_LOAD)
#undef BITLAW_FINGERPRINT_SYMBOL
#define BITLAW_FINGERPRINT_SYMBOL \
  BITLAW_FP_JOIN(99, BITLAW_FP_TORCH, _GLIBCXX_USE_CXX11_ABI, BITLAW_FP_CC, __cplusplus, BITLAW_FP_STL, BITLAW_FP_SAN)
#elif defined(OTHER_TORCH)
#undef BITLAW_FINGERPRINT_SYMBOL
#define BITLAW_FINGERPRINT_SYMBOL \
  BITLAW_FP_JOIN(BITLAW_API_EPOCH, 9_8_7, _GLIBCXX_USE_CXX11_ABI, BITLAW_FP_CC, __cplusplus, BITLAW_FP_STL, BITLAW_FP_SAN)
#elif defined(OTHER_EVERYTHING)
#undef BITLAW_FINGERPRINT_SYMBOL
#define BITLAW_FINGERPRINT_SYMBOL BITLAW_FP_JOIN(99, 9_8_7, 7, tcc1, 199711L, stlport, msan)
#endif

// Runs inside dlopen, before the host can look at anything. With another epoch it must never run.
#if defined(OTHER_EPOCH_AND_EXITS_AT_LOAD)
[[maybe_unused]] const int kAtLoad = (std::_Exit(77), 0);
#else
[[maybe_unused]] const int kAtLoad = setenv("BITLAW_HOSTILE_PLUGIN_WAS_OPENED", "yes", 1);
#endif

#if defined(FLUSHES_SUBNORMALS_AT_LOAD)
// As -ffast-math has it done, by a constructor of crtfastmath.o.
[[maybe_unused]] const int kFlushes = (_mm_setcsr(_mm_getcsr() | 0x8040u), 0);
#endif

#if defined(UNRESOLVED_SYMBOL)
extern "C" int bitlaw_test_symbol_that_nobody_defines();
#endif

#if defined(UNKNOWN_KIND) || defined(FACTORY_OF_ANOTHER_KIND)
class Telepath;
template <>
struct bitlaw::KindOf<Telepath> {
#if defined(UNKNOWN_KIND)
  static constexpr std::string_view kName = "telepath";
#else
  static constexpr std::string_view kName = "law";
#endif
  using Factory = std::function<bitlaw::Law*(const bitlaw::Options&)>;
};
#endif

namespace {

/// y = a: the least law there is.
class ConstantLaw final : public bitlaw::Law {
 public:
  explicit ConstantLaw(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  std::span<const bitlaw::LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return {}; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double>, std::span<double> gradient) const override {
    if (!gradient.empty()) gradient[0] = 1;
    return theta[0];
  }
  std::string formula_text() const override { return "a"; }

 private:
  std::string name_, response_ = "acc";
  std::vector<bitlaw::LawParameter> parameters_{{.name = "a", .unit = ""}};
};

[[maybe_unused]] std::unique_ptr<bitlaw::Law> MakeLaw([[maybe_unused]] const std::string& name,
                                                      const bitlaw::Options&) {
#if defined(FACTORY_RETURNS_NULL)
  return nullptr;
#elif defined(FACTORY_THROWS)
  throw std::runtime_error("out of coffee");
#elif defined(FACTORY_THROWS_INT)
  throw 42;
#else
  return std::make_unique<ConstantLaw>(name);
#endif
}

[[maybe_unused]] bitlaw::OptionSchema Schema() {
  bitlaw::OptionSchema schema;
#if defined(DEFAULT_OUT_OF_RANGE)
  schema.Int("bits").Range(2, 8).Default(9).Doc("Width.");
#else
  schema.Int("bits").Range(2, 8).Default(4).Doc("Width.");
#endif
#if defined(DEFAULT_NO_CHOICE)
  schema.Choice("order", {"natural", "by_diagonal"}).Default("random").Doc("Order of columns.");
#else
  schema.Choice("order", {"natural", "by_diagonal"}).Default("natural").Doc("Order of columns.");
#endif
#if defined(OPTION_TWICE)
  schema.Int("bits").Default(3).Doc("Width again.");
#elif defined(EMPTY_RANGE)
  schema.Real("damp").Range(1, 0).Optional().Doc("Damping.");
#endif
  return schema;
}

void Register([[maybe_unused]] bitlaw::Registrar& registrar) {
  [[maybe_unused]] bitlaw::ComponentInfo info{"twin", "Predicts a constant.", ""};
#if defined(MALFORMED_NAME)
  info.name = "Twin Law";
#elif defined(ID_OF_ANOTHER_PLUGIN)
  info.name = "other";
#elif defined(NO_SUMMARY)
  info.summary = "";
#endif
#if defined(ROUNDS_UP_IN_REGISTER)
  std::fesetround(FE_UPWARD);
#endif
#if defined(THROWS_IN_REGISTER)
  throw std::runtime_error("no licence server");
#elif defined(THROWS_INT_IN_REGISTER)
  throw 42;
#elif defined(EMPTY_FACTORY)
  registrar.Add<bitlaw::Law>(info, Schema(), nullptr);
#elif defined(UNKNOWN_KIND) || defined(FACTORY_OF_ANOTHER_KIND)
  registrar.Add<bitlaw::Law>({"beside", "Is in order.", ""}, Schema(), MakeLaw);
  registrar.Add<Telepath>(info, Schema(), [](const bitlaw::Options&) -> bitlaw::Law* { std::abort(); });
#elif defined(RESERVED_NAME)
  registrar.Add<bitlaw::Quantizer>({"none", "Takes the name of the unquantized model.", ""}, Schema(),
                         [](const bitlaw::Options&) -> std::unique_ptr<bitlaw::Quantizer> { std::abort(); });
#elif !defined(REGISTERS_NOTHING)
  registrar.Add<bitlaw::Law>(info, Schema(), MakeLaw);
#endif
#if defined(THROWS_AFTER_REGISTERING)
  throw std::runtime_error("changed my mind");
#elif defined(NAME_TWICE)
  registrar.Add<bitlaw::Law>(info, Schema(), MakeLaw);
#elif defined(UNRESOLVED_SYMBOL)
  if (bitlaw_test_symbol_that_nobody_defines() > 0) throw std::runtime_error("never reached");
#endif
}

}  // namespace

#if defined(ID_OF_ANOTHER_PLUGIN)
#define PLUGIN_ID "hostile.healthy"
#elif defined(NAME_OF_ANOTHER_PLUGIN)
#define PLUGIN_ID "hostile.name_of_another_plugin"
#elif defined(NULL_ID)
#define PLUGIN_ID nullptr
#elif defined(MALFORMED_MANIFEST)
#define PLUGIN_ID "Hostile Plugin"
#else
#define PLUGIN_ID "hostile.healthy"
#endif

#if defined(MALFORMED_MANIFEST)
#define PLUGIN_VERSION "v 1"
#else
#define PLUGIN_VERSION "1.0.0"
#endif

#if defined(NO_FINGERPRINT) || defined(NO_MANIFEST) || defined(NO_REGISTER) || defined(MANIFEST_OF_OTHER_SIZE)
extern "C" {
#if !defined(NO_FINGERPRINT)
BITLAW_EXPORT extern const int BITLAW_FINGERPRINT_SYMBOL;
const int BITLAW_FINGERPRINT_SYMBOL = BITLAW_API_EPOCH;
#endif
#if defined(MANIFEST_OF_OTHER_SIZE)
BITLAW_EXPORT extern const char bitlaw_plugin_manifest[3];
const char bitlaw_plugin_manifest[3] = "hi";
#elif !defined(NO_MANIFEST)
BITLAW_EXPORT extern const bitlaw::PluginManifest bitlaw_plugin_manifest;
const bitlaw::PluginManifest bitlaw_plugin_manifest = {PLUGIN_ID, PLUGIN_VERSION, "Apache-2.0", "A healthy plugin."};
#endif
#if !defined(NO_REGISTER)
BITLAW_EXPORT void bitlaw_plugin_register(bitlaw::Registrar& registrar) { Register(registrar); }
#else
[[maybe_unused]] static auto* const kept = &Register;
#endif
}
#else
BITLAW_PLUGIN(PLUGIN_ID, PLUGIN_VERSION, "Apache-2.0", "A healthy plugin.", Register)
#endif

#if defined(TWO_FINGERPRINTS)
extern "C" {
BITLAW_EXPORT extern const int bitlaw_fingerprint__api_0__torch_none;
const int bitlaw_fingerprint__api_0__torch_none = 0;
}
#endif
