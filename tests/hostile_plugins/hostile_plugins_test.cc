#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cfenv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

fs::path Library(const std::string& name) { return fs::path(BITLAW_HOSTILE_DIR) / (name + ".so"); }

std::string Bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder of this test's own, removed at its end.
class HostilePlugin : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / ("bitlaw_hostile_" + std::string(test->name()) + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  fs::path folder_;
};

// What the host says to a library, after its path; "" if it takes it. Whatever it refuses it must forget.
std::string Refusal(PluginHost& host, const fs::path& library, ErrorKind kind = ErrorKind::kPlugin) {
  const size_t plugins_before = host.plugins().size(), components_before = host.components().size();
  try {
    host.LoadFile(library);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_EQ(host.plugins().size(), plugins_before);
    EXPECT_EQ(host.components().size(), components_before);
    const std::string lead = fs::weakly_canonical(library).string() + ": ", text = error.what();
    EXPECT_TRUE(text.starts_with(lead)) << text;
    return text.starts_with(lead) ? text.substr(lead.size()) : text;
  }
}

std::string Refusal(const std::string& name) {
  PluginHost host(OwnFingerprint());
  return Refusal(host, Library(name));
}

std::string OwnField(const std::string& name) {
  for (const auto& [key, value] : ParseFingerprint(OwnFingerprint())) {
    if (key == name) return value;
  }
  return "(no such field)";
}

// The healthy twin.

TEST(HealthyTwin, LoadsDescribesItselfAndMakesItsLaw) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(Library("healthy"));
  ASSERT_EQ(host.plugins().size(), 1u);
  EXPECT_EQ(host.plugins()[0].id, "hostile.healthy");
  EXPECT_EQ(host.plugins()[0].version, "1.0.0");
  EXPECT_EQ(host.plugins()[0].licence, "Apache-2.0");
  EXPECT_EQ(host.plugins()[0].summary, "A healthy plugin.");
  EXPECT_THAT(host.plugins()[0].components, ElementsAre("law/twin"));
  const Component& component = host.Find(ComponentKind::kLaw, "law/twin");
  EXPECT_EQ(&component, &host.Find(ComponentKind::kLaw, "twin"));
  EXPECT_EQ(component.plugin_id, "hostile.healthy");
  EXPECT_THAT(component.schema.names(), ElementsAre("bits", "order"));
  const auto law = host.MakeLaw("twin", "my_law", component.schema.Resolve(Value(), "law 'twin'"));
  EXPECT_EQ(law->name(), "my_law");
  EXPECT_EQ(law->Predict(std::array{0.25}, {}, {}), 0.25);
}

TEST(HealthyTwin, LoadsOnceHoweverOftenItIsNamed) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(Library("healthy"));
  host.LoadFile(fs::path(BITLAW_HOSTILE_DIR) / "." / "healthy.so");
  EXPECT_EQ(host.plugins().size(), 1u);
}

TEST(HealthyTwin, LoadsWhenStripped) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(fs::path(BITLAW_STRIPPED_DIR) / "healthy.so");
  EXPECT_THAT(host.Names(ComponentKind::kLaw), ElementsAre("twin"));
}

TEST(HealthyTwin, UsesNoTorchAndSoFitsAHostOfAnyTorch) {
  std::string with_torch = OwnFingerprint();
  const std::string none = "__torch_none";
  ASSERT_NE(with_torch.find(none), std::string::npos);
  with_torch.replace(with_torch.find(none), none.size(), "__torch_2_7_1");
  PluginHost host(with_torch);
  EXPECT_EQ(Refusal(host, Library("healthy")), "");
}

TEST(HealthyTwin, ItsObjectsOutliveTheHost) {
  std::unique_ptr<Law> law;
  {
    PluginHost host(OwnFingerprint());
    host.LoadFile(Library("healthy"));
    law = host.MakeLaw("twin", "survivor", Options());
  }
  EXPECT_EQ(law->formula_text(), "a");
}

// Fingerprint: refused before any code of the library runs.

TEST(HostileFingerprint, MissingMeansNoPlugin) {
  EXPECT_EQ(Refusal("no_fingerprint"),
            "not a bitlaw plugin: it exports no symbol whose name begins with 'bitlaw_fingerprint__'. A plugin has "
            "BITLAW_PLUGIN(...) in one source file and is built with bitlaw_add_plugin().");
}

TEST(HostileFingerprint, OfAnotherEpochIsNamed) {
  EXPECT_EQ(Refusal("other_epoch"),
            "built for another bitlaw, none of its code was run:\n"
            "  plugin API epoch: plugin 99, bitlaw " +
                OwnField("api") +
                "\n"
                "Build the plugin again, with the compiler and the headers of this bitlaw.");
}

TEST(HostileFingerprint, OfAnotherTorchIsNamed) {
  EXPECT_EQ(Refusal("other_torch"),
            "built for another bitlaw, none of its code was run:\n"
            "  libtorch version: plugin 9.8.7, bitlaw " +
                OwnField("torch") +
                "\n"
                "Build the plugin again, with the compiler and the headers of this bitlaw.");
}

TEST(HostileFingerprint, NamesEveryDifferingFieldAtOnce) {
  EXPECT_EQ(Refusal("other_everything"),
            "built for another bitlaw, none of its code was run:\n"
            "  plugin API epoch: plugin 99, bitlaw " +
                OwnField("api") +
                "\n"
                "  libtorch version: plugin 9.8.7, bitlaw " +
                OwnField("torch") +
                "\n"
                "  C++11 string ABI: plugin 7, bitlaw " +
                OwnField("abi") +
                "\n"
                "  compiler: plugin tcc1, bitlaw " +
                OwnField("cc") +
                "\n"
                "  C++ standard: plugin 199711L, bitlaw " +
                OwnField("std") +
                "\n"
                "  standard library: plugin stlport, bitlaw " +
                OwnField("stl") +
                "\n"
                "  sanitizer: plugin msan, bitlaw " +
                OwnField("san") +
                "\n"
                "Build the plugin again, with the compiler and the headers of this bitlaw.");
}

TEST(HostileFingerprint, TwoOfThemAreRefused) {
  EXPECT_EQ(Refusal("two_fingerprints"),
            "it carries 2 build fingerprints, a plugin has one:\n"
            "  bitlaw_fingerprint__api_0__torch_none\n  " +
                OwnFingerprint() +
                "\n"
                "Use BITLAW_PLUGIN(...) once in a library.");
}

TEST(HostileFingerprint, KeepsStaticInitialisersFromRunning) {
  // This one would end the process with status 77.
  EXPECT_THAT(Refusal("other_epoch_and_exits_at_load"), testing::StartsWith("built for another bitlaw"));
}

// Manifest and register function.

TEST(HostileManifest, Missing) {
  EXPECT_EQ(
      Refusal("no_manifest"),
      "it has a fingerprint but lacks the data 'bitlaw_plugin_manifest'. Use BITLAW_PLUGIN(...), which defines all "
      "three.");
}

TEST(HostileManifest, OfAnotherSizeIsNotRead) {
  EXPECT_EQ(
      Refusal("manifest_of_other_size"),
      "it has a fingerprint but lacks the data 'bitlaw_plugin_manifest'. Use BITLAW_PLUGIN(...), which defines all "
      "three.");
}

TEST(HostileManifest, WithANullId) { EXPECT_EQ(Refusal("null_id"), "its manifest is not in order:\n  id is null."); }

TEST(HostileManifest, MalformedFieldsAreAllNamed) {
  EXPECT_EQ(Refusal("malformed_manifest"),
            "its manifest is not in order:\n"
            "  id 'Hostile Plugin' is malformed: lower-case letters and digits, with '.', '-' or '_' between.\n"
            "  version 'v 1' is malformed: it begins with a digit and holds no space.");
}

TEST(HostileRegister, Missing) {
  EXPECT_EQ(
      Refusal("no_register"),
      "it has a fingerprint but lacks the function 'bitlaw_plugin_register'. Use BITLAW_PLUGIN(...), which defines "
      "all three.");
}

TEST(HostileRegister, ThrowsAnException) {
  EXPECT_EQ(Refusal("throws_in_register"),
            "its register function threw 'no licence server'. Nothing of plugin 'hostile.healthy' was kept.");
}

TEST(HostileRegister, ThrowsAnInt) {
  EXPECT_EQ(Refusal("throws_int_in_register"),
            "its register function threw something that is no std::exception. Nothing of plugin 'hostile.healthy' was "
            "kept.");
}

TEST(HostileRegister, ThrowsAfterItRegisteredAndNothingIsKept) {
  PluginHost host(OwnFingerprint());
  EXPECT_EQ(Refusal(host, Library("throws_after_registering")),
            "its register function threw 'changed my mind'. Nothing of plugin 'hostile.healthy' was kept.");
  EXPECT_THAT(host.components(), IsEmpty());
  EXPECT_EQ(Refusal(host, Library("healthy")), "");  // Its name and id are still free.
}

TEST(HostileRegister, RegistersNothing) {
  EXPECT_EQ(Refusal("registers_nothing"),
            "plugin 'hostile.healthy' cannot be registered, nothing of it was kept:\n  it registers no component.");
}

// Components.

std::string NotRegistered(const std::string& sentence, const std::string& id = "hostile.healthy") {
  return "plugin '" + id + "' cannot be registered, nothing of it was kept:\n  " + sentence;
}

TEST(HostileComponent, WithAMalformedName) {
  EXPECT_EQ(Refusal("malformed_name"), NotRegistered("'law/Twin Law' is no name for a component. Names are lower-case "
                                                     "letters, digits and underscores, a letter first."));
}

TEST(HostileComponent, RegisteredTwice) {
  EXPECT_EQ(Refusal("name_twice"), NotRegistered("'law/twin' is registered twice."));
}

TEST(HostileComponent, WithANameThatAnotherPluginTook) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(Library("healthy"));
  EXPECT_EQ(Refusal(host, Library("name_of_another_plugin")),
            NotRegistered("'law/twin' is already registered by " + fs::canonical(Library("healthy")).string() + ".",
                          "hostile.name_of_another_plugin"));
  EXPECT_EQ(host.Find(ComponentKind::kLaw, "twin").plugin_id, "hostile.healthy");
}

TEST(HostileComponent, OfAPluginWhoseIdIsTaken) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(Library("healthy"));
  EXPECT_EQ(Refusal(host, Library("id_of_another_plugin")),
            "plugin 'hostile.healthy' is already loaded, from " + fs::canonical(Library("healthy")).string() + ".");
}

TEST(HostileComponent, WithoutASummary) {
  EXPECT_EQ(Refusal("no_summary"), NotRegistered("law/twin: its summary must be one line that is not empty."));
}

TEST(HostileComponent, WithAnEmptyFactory) {
  EXPECT_EQ(Refusal("empty_factory"), NotRegistered("law/twin: its factory is an empty function."));
}

TEST(HostileComponent, UnderTheNameOfTheUnquantizedModel) {
  EXPECT_EQ(Refusal("reserved_name"), NotRegistered("'quantizer/none' is taken: it stands for the unquantized model."));
}

TEST(HostileComponent, OfAKindThatThisBitlawDoesNotHave) {
  EXPECT_EQ(Refusal("unknown_kind"),
            NotRegistered("'telepath/twin': this bitlaw has no component of kind 'telepath'. Kinds: model, quantizer, corpus, "
                          "task, law, exporter, grid, transform. Use the bitlaw that the plugin was written for, or a newer one."));
}

TEST(HostileComponent, WithAFactoryThatIsNotOfItsKind) {
  EXPECT_EQ(Refusal("factory_of_another_kind"),
            NotRegistered("law/twin: its factory is not one of kind 'law': another KindOf<...> has that name. Use the one of "
                          "bitlaw/api/plugin.h."));
}

TEST(HostileSchema, WithADefaultOutsideItsOwnRange) {
  EXPECT_EQ(
      Refusal("default_out_of_range"),
      NotRegistered("law/twin: the default of an option breaks its own rule: bits = 9 is out of range. It must be an "
                    "integer from 2 to 8."));
}

TEST(HostileSchema, WithADefaultThatIsNoChoice) {
  EXPECT_EQ(Refusal("default_no_choice"),
            NotRegistered(
                "law/twin: the default of an option breaks its own rule: order = 'random' is none of the choices. It "
                "must be one of natural, by_diagonal."));
}

TEST(HostileSchema, WithAnOptionDeclaredTwice) {
  EXPECT_EQ(Refusal("option_twice"),
            "its register function threw 'an option schema has the option 'bits' twice'. Nothing "
            "of plugin 'hostile.healthy' was kept.");
}

TEST(HostileSchema, WithAnEmptyRange) {
  EXPECT_EQ(Refusal("empty_range"), NotRegistered("law/twin: option 'damp' has an empty range."));
}

// Factories fail when they are called, under the name of their plugin.

std::string FactoryFault(const std::string& library) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(Library(library));
  try {
    host.MakeLaw("twin", "my_law", Options());
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPlugin);
    return error.what();
  }
}

std::string Blame(const std::string& library, const std::string& what) {
  return "law/twin of plugin hostile.healthy (" + fs::canonical(Library(library)).string() + "): its factory " + what +
         ". This is a fault of the plugin.";
}

TEST(HostileFactory, ReturnsNull) {
  EXPECT_EQ(FactoryFault("factory_returns_null"), Blame("factory_returns_null", "returned nothing"));
}

TEST(HostileFactory, Throws) {
  EXPECT_EQ(FactoryFault("factory_throws"), Blame("factory_throws", "threw 'out of coffee'"));
}

TEST(HostileFactory, ThrowsAnInt) {
  EXPECT_EQ(FactoryFault("factory_throws_int"),
            Blame("factory_throws_int", "threw something that is no std::exception"));
}

// Files.

TEST(HostileFile, WithAnUnresolvedSymbol) {
  EXPECT_EQ(
      Refusal("unresolved_symbol"),
      "the system's loader refuses it: undefined symbol: bitlaw_test_symbol_that_nobody_defines. Build the plugin "
      "again, against the libraries of this bitlaw.");
}

TEST_F(HostilePlugin, ThatIsEmpty) {
  PluginHost host(OwnFingerprint());
  EXPECT_EQ(Refusal(host, Write("empty.so", "")), "not a shared library: it has 0 bytes, fewer than an ELF header.");
}

TEST_F(HostilePlugin, ThatIsText) {
  PluginHost host(OwnFingerprint());
  EXPECT_EQ(Refusal(host, Write("text.so", std::string(200, 'x'))),
            "not a shared library: it does not begin with the ELF magic bytes.");
}

TEST_F(HostilePlugin, ThatIsCutOffAnywhere) {
  const std::string whole = Bytes(Library("healthy"));
  PluginHost host(OwnFingerprint());
  for (size_t length = 0; length < whole.size(); length += 1 + length / 40) {
    const std::string refusal = Refusal(host, Write("cut.so", whole.substr(0, length)));
    ASSERT_THAT(refusal, testing::StartsWith("not a shared library: ")) << length << " bytes";
  }
  const std::string last_byte = Refusal(host, Write("cut.so", whole.substr(0, whole.size() - 1)));
  EXPECT_THAT(last_byte, testing::StartsWith("not a shared library: the section table lies at bytes "));
  EXPECT_THAT(last_byte, testing::EndsWith(", the file has " + std::to_string(whole.size() - 1) +
                                           ". The file is cut off or damaged."));
}

TEST_F(HostilePlugin, ThatIsAnExecutable) {
  PluginHost host(OwnFingerprint());
  std::string executable = Bytes(Library("healthy"));
  executable[16] = 2;  // e_type = ET_EXEC
  EXPECT_EQ(Refusal(host, Write("executable.so", executable)),
            "not a shared library: its ELF type is 2; a shared library has type 3 (ET_DYN).");
}

TEST_F(HostilePlugin, ThatIsNotThere) {
  PluginHost host(OwnFingerprint());
  EXPECT_EQ(Refusal(host, folder_ / "absent.so", ErrorKind::kIo), "cannot be read: No such file or directory.");
}

TEST_F(HostilePlugin, ThatIsAFolder) {
  PluginHost host(OwnFingerprint());
  fs::create_directory(folder_ / "folder.so");
  EXPECT_EQ(Refusal(host, folder_ / "folder.so", ErrorKind::kIo), "cannot be read: it is no regular file.");
}

TEST_F(HostilePlugin, IsOpenedOnlyIfItsSymbolsPass) {
  unsetenv("BITLAW_HOSTILE_PLUGIN_WAS_OPENED");
  for (const char* name : {"no_fingerprint", "other_epoch", "other_torch", "other_everything", "two_fingerprints",
                           "no_manifest", "no_register", "manifest_of_other_size"}) {
    Refusal(name);
    EXPECT_EQ(getenv("BITLAW_HOSTILE_PLUGIN_WAS_OPENED"), nullptr) << name;
  }
  fs::copy_file(Library("healthy"), folder_ / "not_opened_before.so");
  PluginHost host(OwnFingerprint());
  host.LoadFile(folder_ / "not_opened_before.so");
  EXPECT_STREQ(getenv("BITLAW_HOSTILE_PLUGIN_WAS_OPENED"), "yes");
}

// What a plugin would change for everything that is computed after it.

std::string Changed(const std::string& what) {
  return "opening it changed the process, which then " + what +
         ": other numbers or files would follow. It was set right again. Build the plugin without -ffast-math and "
         "-Ofast, or mend what it does when it is loaded.";
}

#ifdef __SSE__
TEST_F(HostilePlugin, BuiltWithFastMathIsRefusedAndItsArithmeticPutBack) {
  fs::copy_file(Library("flushes_subnormals_at_load"), folder_ / "not_opened_before.so");
  PluginHost host(OwnFingerprint());
  EXPECT_EQ(Refusal(host, folder_ / "not_opened_before.so"),
            Changed("takes subnormal numbers in another way"));
  volatile float smallest_normal = 0x1p-126f;
  EXPECT_EQ(smallest_normal / 2, 0x1p-127f);  // 0 where subnormal numbers are flushed.
}
#endif

TEST(HostileRegister, RoundsInAnotherDirection) {
  EXPECT_EQ(Refusal("rounds_up_in_register"), Changed("rounds floating-point numbers in another direction"));
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

// Folders.

TEST_F(HostilePlugin, InAFolderStopsTheLoadOrIsReportedBesideTheRest) {
  const fs::path text = Write("a_text.so", std::string(200, 'x'));
  Write("notes.txt", "not a library, not looked at");
  fs::copy_file(Library("healthy"), folder_ / "healthy.so");
  PluginHost strict(OwnFingerprint());
  EXPECT_THROW(strict.LoadFolder(folder_), Error);
  PluginHost tolerant(OwnFingerprint());
  std::vector<std::string> faults;
  tolerant.LoadFolder(folder_, &faults);
  EXPECT_THAT(faults, ElementsAre(fs::canonical(text).string() +
                                  ": not a shared library: it does not begin with the ELF magic bytes."));
  EXPECT_THAT(tolerant.Names(ComponentKind::kLaw), ElementsAre("twin"));
}

TEST_F(HostilePlugin, FolderThatIsNotThere) {
  PluginHost host(OwnFingerprint());
  try {
    host.LoadFolder(folder_ / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_EQ(error.what(),
              (folder_ / "absent").string() + ": this plugin folder cannot be read: No such file or directory.");
  }
}

// Names.

std::string LookupFault(const PluginHost& host, ComponentKind kind, const std::string& name, const std::string& where) {
  try {
    host.Find(kind, name, where);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSpec);
    return error.what();
  }
}

TEST(PluginHost, SuggestsTheNameThatWasMeant) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(Library("healthy"));
  EXPECT_EQ(LookupFault(host, ComponentKind::kLaw, "twni", "laws.yaml:3:5"),
            "laws.yaml:3:5: there is no law 'twni'. Did you mean 'twin'? Loaded under 'law': twin.");
  EXPECT_EQ(LookupFault(host, ComponentKind::kQuantizer, "twin", ""),
            "there is no quantizer 'twin'. 'law/twin' is another kind of component. Loaded under 'quantizer': (none).");
}

TEST(PluginHost, FindsPluginsBesideTheProgramAndWhereTheVariableSaysButNeverInTheWorkingDirectory) {
  setenv("BITLAW_PLUGIN_PATH", "/opt/one::/opt/two", 1);
  const auto folders = DefaultPluginFolders();
  ASSERT_GE(folders.size(), 2u);
  EXPECT_EQ(folders[folders.size() - 2], "/opt/one");
  EXPECT_EQ(folders[folders.size() - 1], "/opt/two");
  setenv("BITLAW_PLUGIN_PATH", "plugins", 1);
  try {
    DefaultPluginFolders();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "BITLAW_PLUGIN_PATH: 'plugins' is a relative path. Plugins are never looked for in the working "
                 "directory. Give absolute paths, with ':' between.");
  }
  unsetenv("BITLAW_PLUGIN_PATH");
}

}  // namespace
}  // namespace bitlaw
