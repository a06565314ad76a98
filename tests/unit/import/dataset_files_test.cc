#include "import/dataset_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class DatasetFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("bitlaw_DatasetFiles_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Put(const std::string& name) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << "{\"q\": 1}\n";
  }
  std::vector<std::string> Found(const DatasetSplit& split, const std::string& place = "") {
    std::vector<std::string> names;
    for (const fs::path& file : FindSplit(split, place.empty() ? folder_ : folder_ / place))
      names.push_back(fs::relative(file, folder_).string());
    return names;
  }
  std::string ErrorOf(const DatasetSplit& split, const std::string& place = "") {
    try {
      Found(split, place);
    } catch (const Error& error) {
      const std::string text = error.what();
      return text.starts_with(folder_.string()) ? text.substr(folder_.string().size()) : text;
    }
    return "(no error)";
  }

  fs::path folder_;
};

TEST_F(DatasetFiles, AreFoundByConfigurationAndSplit) {
  for (const char* name :
       {"ai2_arc/ARC-Easy/test-00000-of-00001.parquet", "ai2_arc/ARC-Easy/train-00000-of-00001.parquet",
        "ai2_arc/ARC-Challenge/test-00000-of-00001.parquet", "ai2_arc/README.md"}) {
    Put(name);
  }
  const std::vector<std::string> easy = {"ai2_arc/ARC-Easy/test-00000-of-00001.parquet"};
  EXPECT_EQ(Found({"allenai/ai2_arc", "ARC-Easy", "test"}), easy);
  EXPECT_EQ(Found({"allenai/ai2_arc", "ARC-Easy", "test"}, "ai2_arc"), easy);
  EXPECT_EQ(Found({"", "", "test"}, "ai2_arc/ARC-Easy"), easy);
  EXPECT_EQ(
      ErrorOf({"allenai/ai2_arc", "", "test"}),
      "/ai2_arc: files of several folders could be allenai/ai2_arc, test: ARC-Challenge/test-00000-of-00001.parquet, "
      "ARC-Easy/test-00000-of-00001.parquet. Name the folder or file that is meant.");
}

TEST_F(DatasetFiles, OfSaveToDiskAreRefusedWithTheConversion) {
  for (const char* name :
       {"one/state.json", "one/dataset_info.json", "one/data-00000-of-00001.arrow", "dict/dataset_dict.json",
        "dict/test/state.json", "dict/test/data-00000-of-00001.arrow", "cache/dataset_info.json",
        "cache/arc-test.arrow", "none/README.md", "hub/dataset_infos.json", "hub/test.jsonl"}) {
    Put(name);
  }
  const std::string here = folder_.string();
  EXPECT_EQ(
      ErrorOf({}, "one"),
      "/one: no data file of one dataset. There are Arrow files (data-00000-of-00001.arrow), which are not read. Write "
      "Parquet of them: python3 -c \"from datasets import *; load_from_disk('" +
          here + "/one').to_parquet('test.parquet')\"");
  EXPECT_EQ(
      ErrorOf({"", "", "dev"}, "dict"),
      "/dict: no data file of dev. There are Arrow files (test/data-00000-of-00001.arrow), which are not read. Write "
      "Parquet of them: python3 -c \"from datasets import *; load_from_disk('" +
          here + "/dict')['dev'].to_parquet('dev.parquet')\"");
  EXPECT_EQ(ErrorOf({}, "cache"),
            "/cache: no data file of one dataset. There are Arrow files (arc-test.arrow), which are not read. Write "
            "Parquet of "
            "them: python3 -c \"from datasets import *; Dataset.from_file('" +
                here + "/cache/arc-test.arrow').to_parquet('test.parquet')\"");
  EXPECT_EQ(ErrorOf({}, "none"),
            "/none: no data file of one dataset. There is none at all (.parquet, .jsonl, .json, .csv, .tsv).");
  EXPECT_THAT(Found({}, "hub"), ElementsAre("hub/test.jsonl")) << "what describes data is none";
}

TEST_F(DatasetFiles, AreNeverThoseOfAnotherConfiguration) {
  Put("ai2_arc/ARC-Challenge/test-00000-of-00001.parquet");
  EXPECT_EQ(ErrorOf({"allenai/ai2_arc", "ARC-Easy", "test"}),
            "/ai2_arc: no data file of allenai/ai2_arc, ARC-Easy, test. Of other configurations there are "
            "ARC-Challenge/test-00000-of-00001.parquet.");
}

TEST_F(DatasetFiles, OfAllKnownLayouts) {
  Put("datasets--Rowan--hellaswag/snapshots/218ec52e/data/validation-00001-of-00002.parquet");
  Put("datasets--Rowan--hellaswag/snapshots/218ec52e/data/validation-00000-of-00002.parquet");
  EXPECT_THAT(Found({"Rowan/hellaswag", "", "validation"}),
              ElementsAre("datasets--Rowan--hellaswag/snapshots/218ec52e/data/validation-00000-of-00002.parquet",
                          "datasets--Rowan--hellaswag/snapshots/218ec52e/data/validation-00001-of-00002.parquet"));
  Put("siqa/dev.jsonl");
  Put("siqa/training_dev_notes.txt");
  EXPECT_THAT(Found({"lighteval/siqa", "", "validation"}), ElementsAre("siqa/dev.jsonl"));
  Put("c4/en/c4-validation.00000-of-00008.json.gz");
  EXPECT_THAT(Found({"allenai/c4", "en", "validation"}), ElementsAre("c4/en/c4-validation.00000-of-00008.json.gz"));
  Put("piqa/plain_text/test/0000.parquet");
  EXPECT_THAT(Found({"baber/piqa", "plain_text", "test"}), ElementsAre("piqa/plain_text/test/0000.parquet"));
  Put("two/test.csv");
  Put("two/test.parquet");
  EXPECT_THAT(Found({"a/two", "", "test"}), ElementsAre("two/test.parquet")) << "Parquet goes before other endings";
}

TEST_F(DatasetFiles, TestIsNoTestingAndNoLatest) {
  Put("d/latest.jsonl");
  Put("d/testing.jsonl");
  EXPECT_EQ(ErrorOf({"a/d", "", "test"}), "/d: no data file of a/d, test. There are latest.jsonl, testing.jsonl.");
}

TEST_F(DatasetFiles, SayWhereToGetWhatIsNotThere) {
  EXPECT_EQ(ErrorOf({"a/d", "", "test"}, "nowhere"),
            "/nowhere: there is no such file or folder. Get the dataset where there is a network: hf download a/d "
            "--repo-type "
            "dataset --local-dir d");
  EXPECT_EQ(ErrorOf({"a/d", "", "test"}),
            ": no data file of a/d, test. There is none at all (.parquet, .jsonl, .json, .csv, .tsv).");
}

TEST(JsonLine, KeepsTheOrderOfKeys) {
  Value row;
  row.Set("z", Value::List{Value(), Value(true), Value(1.0), Value("a\n\"")});
  row.Set("a", Value::Map{{"b", Value(2)}, {"a", Value::List{}}});
  EXPECT_EQ(JsonLine(row), "{\"z\": [null, true, 1.0, \"a\\n\\\"\"], \"a\": {\"b\": 2, \"a\": []}}\n");
}

}  // namespace
}  // namespace bitlaw
