#include "run/slurm/cluster_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "bitlaw/base/error.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class ClusterFile : public TemporaryFolder {
 protected:
  Cluster Read(const std::string& text) const {
    std::ofstream(folder_ / "c.yaml") << text;
    return ReadCluster(folder_ / "c.yaml");
  }
  /// The error's text, with the folder left out.
  std::string Refusal(const std::string& text) const {
    try {
      Read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kSpec);
      std::string said = error.what();
      const std::string place = folder_.string() + "/";
      for (size_t at; (at = said.find(place)) != std::string::npos;) said.erase(at, place.size());
      return said;
    }
    return "no error";
  }
};

TEST(SlurmSeconds, AreThoseOfSbatch) {
  EXPECT_EQ(SlurmSeconds("90"), 90 * 60);
  EXPECT_EQ(SlurmSeconds("1:30"), 90);
  EXPECT_EQ(SlurmSeconds("8:00:00"), 8 * 3600);
  EXPECT_EQ(SlurmSeconds("2-12"), 60 * 3600);
  EXPECT_EQ(SlurmSeconds("1-0:30"), 86400 + 1800);
  EXPECT_EQ(SlurmSeconds("1-00:00:05"), 86405);
  for (const char* text : {"", "0", "8h", "-5", "1:2:3:4", "1-", "1.5", "1 0"})
    EXPECT_FALSE(SlurmSeconds(text)) << text;
}

TEST(SlurmMemoryMib, CountsInPowersOf1024) {
  EXPECT_EQ(SlurmMemoryMib("900M"), 900);
  EXPECT_EQ(SlurmMemoryMib("64G"), 65536);
  EXPECT_EQ(SlurmMemoryMib("64GiB"), 65536);
  EXPECT_EQ(SlurmMemoryMib("1T"), 1048576);
  for (const char* text : {"", "64", "64GB", "G", "-1G", "0G", "1.5G"}) EXPECT_FALSE(SlurmMemoryMib(text)) << text;
}

TEST_F(ClusterFile, IsReadWithItsDefaults) {
  const Cluster whole = Read(
      "partition: gpu,long\naccount: p-17\nqos: high\ntime: \"8:00:00\"\nmemory: 64GiB\ncpus: 8\ngpus: 2\ngpu_type: "
      "a100\n"
      "modules: [cuda/12.4, gcc]\nsetup: |\n  source env.sh\nsbatch: [--constraint=ib]\njobs: 16\narray_parallelism: "
      "4\n"
      "workers: 2\nleave_before_s: 300\n");
  EXPECT_EQ(whole.partition, "gpu,long");
  EXPECT_EQ(whole.memory_mib, 65536);
  EXPECT_EQ(whole.gpus, 2);
  EXPECT_THAT(whole.modules, ElementsAre("cuda/12.4", "gcc"));
  EXPECT_EQ(whole.setup, "source env.sh\n");
  EXPECT_EQ(whole.jobs, 16);
  EXPECT_EQ(whole.leave_before_s, 300);
  const Cluster least = Read("{}\n");
  EXPECT_EQ(least.partition, "");
  EXPECT_EQ(least.memory_mib, 0);
  EXPECT_EQ(least.jobs, 8);
  EXPECT_EQ(least.leave_before_s, 120);
}

TEST_F(ClusterFile, TellsEachFaultWithItsPlace) {
  EXPECT_THAT(Refusal("partitoin: gpu\n"),
              HasSubstr("c.yaml:1:1: 'partitoin' is not an option of cluster file 'c'. Did you mean "
                        "'partition'?"));
  EXPECT_THAT(Refusal("jobs: 0\n"), HasSubstr("c.yaml:1:7: "));
  EXPECT_EQ(
      Refusal("time: 8h\nmemory: 64GB\n"),
      "c.yaml:1:7: 'time' = '8h' is no time limit. Write \"minutes\", \"minutes:seconds\", \"hours:minutes:seconds\", "
      "\"days-hours\" or \"days-hours:minutes:seconds\".\n"
      "c.yaml:2:9: 'memory' = '64GB' is no amount. Write 900M, 64G or 1T (powers of 1024; 64GiB is 64G).");
  EXPECT_EQ(Refusal("time: \"4:00\"\n"),
            "c.yaml:1:7: 'time' = '4:00' is 240 s, and workers are told to leave leave_before_s = 120 s before its "
            "end. It must "
            "be more than twice as long.");
  EXPECT_EQ(Refusal("partition: a b\n"),
            "c.yaml:1:12: 'partition' = 'a b' has more than letters, digits and ._,:+=/@- in it, or nothing. Leave the "
            "key out "
            "for the cluster's default.");
  EXPECT_EQ(Refusal("sbatch: [--array=0-3, -C a100]\n"),
            "c.yaml:1:10: '--array' is set by bitlaw. Leave it out; 'jobs', 'array_parallelism' and 'leave_before_s' "
            "say what may "
            "be chosen.\n"
            "c.yaml:1:23: '-C a100' is no option of sbatch. Write its long form: --constraint=a100.");
  EXPECT_EQ(Refusal("modules: [\"a; rm\"]\n"),
            "c.yaml:1:11: 'a; rm' is no module's name. Other lines of bash stand under 'setup'.");
  EXPECT_EQ(Refusal("gpu_type: a100\n"),
            "c.yaml:1:11: 'gpu_type' says which, but there is no 'gpus' that says how many. Add gpus: 1.");
  EXPECT_THAT(Refusal("- a\n"),
              HasSubstr("c.yaml: the cluster file is a list. It must be a map of partition, account, "));
}

TEST_F(ClusterFile, OfTheTreeAreAllRead) {
  size_t read = 0;
  for (const auto& entry : fs::directory_iterator(BITLAW_SOURCE_DIR "/configs/clusters")) {
    if (entry.path().extension() != ".yaml") continue;
    EXPECT_NO_THROW(ReadCluster(entry.path())) << entry.path();
    ++read;
  }
  EXPECT_GE(read, 2u);
}

// The page names every key, as `key` in its table.
TEST_F(ClusterFile, HasItsKeysOnThePage) {
  std::ifstream page(BITLAW_SOURCE_DIR "/docs/clusters.md");
  const std::string text(std::istreambuf_iterator<char>(page), {});
  for (const std::string& key : ClusterSchema().names()) EXPECT_THAT(text, HasSubstr("| `" + key + "` |"));
}

}  // namespace
}  // namespace bitlaw
