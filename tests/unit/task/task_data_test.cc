// The data files of a task: where they are looked for, their digests, and several of them.
#include <gmock/gmock.h>

#include "bitlaw/base/digest.h"
#include "cloze.h"
#include "short_answer.h"
#include "task_test_support.h"

namespace bitlaw {
namespace {

using testing::ErrorOf;
using TaskData = testing::TaskFromYaml;

TEST_F(TaskData, IsLookedForInTheDataFoldersAndBesideTheTask) {
  const auto elsewhere = folder_ / "data";
  std::filesystem::create_directories(elsewhere);
  const std::string yaml =
      "version: \"1\"\ndata: items.jsonl\nprompt: \"{{q}}\"\ntarget: \"{{q}}\"\nget: \"see https://example.org\"\n";
  EXPECT_EQ(ErrorOf([&] { Make<Cloze>(yaml, {elsewhere.string()}).Items(); }),
            (folder_ / "task.yaml").string() + ":2:7: data file 'items.jsonl' was not found.\n  looked for: " +
                (elsewhere / "items.jsonl").string() + "\n  looked for: " + (folder_ / "items.jsonl").string() +
                "\n  to get it: see https://example.org\n  Name the folder that holds it with --data, with data_paths in "
                "the study, or in BITLAW_DATA_PATH.");
  Write("items.jsonl", "{\"q\": \"beside\"}\n");
  EXPECT_EQ(Pair(Make<Cloze>(yaml, {elsewhere.string()}).Items()[0], 0).context, "beside");
  Write("data/items.jsonl", "{\"q\": \"folder\"}\n");
  EXPECT_EQ(Pair(Make<Cloze>(yaml, {elsewhere.string()}).Items()[0], 0).context, "folder");
}

TEST_F(TaskData, IsCheckedAgainstItsDigest) {
  const std::string path = Write("items.jsonl", "{\"q\": \"x\"}\n");
  const std::string yaml = "version: \"1\"\ndata: items.jsonl\nprompt: \"{{q}}\"\ntarget: \"{{q}}\"\nsha256: ";
  EXPECT_EQ(Make<Cloze>(yaml + "\"" + DigestOfFile(path) + "\"\n").Items().size(), 1u);
  EXPECT_EQ(ErrorOf([&] { Make<Cloze>(yaml + "\"00\"\n").Items(); }),
            (folder_ / "task.yaml").string() + ":2:7: '" + path + "' has SHA-256 " + DigestOfFile(path) +
                ", and the task is defined on 00. Bring the file that the task names, or change 'sha256'.");
}

TEST_F(TaskData, DigestCountsWhatChangesAScoreAndNothingElse) {
  Write("items.jsonl", "{\"q\": \"x\"}\n");
  const std::string yaml = "version: \"1\"\ndata: items.jsonl\ntarget: \"{{q}}\"\n";
  const std::string digest = Make<Cloze>(yaml + "prompt: \"{{q}}\"\n").digest();
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(Make<Cloze>(yaml + "prompt: \"{{q}}\"\nstratum: KM\ndescription: d\nlicence: l\n").digest(), digest);
  EXPECT_NE(Make<Cloze>(yaml + "prompt: \"{{q}}?\"\n").digest(), digest);
  EXPECT_NE(Make<Cloze>(yaml + "prompt: \"{{q}}\"\nlimit: 1\n").digest(), digest);
  Write("same.jsonl", "{\"q\": \"x\"}\n");
  EXPECT_EQ(Make<Cloze>("version: \"1\"\ndata: same.jsonl\ntarget: \"{{q}}\"\nprompt: \"{{q}}\"\n").digest(), digest);
  Write("items.jsonl", "{\"q\": \"y\"}\n");
  EXPECT_NE(Make<Cloze>(yaml + "prompt: \"{{q}}\"\n").digest(), digest);
}

TEST_F(TaskData, RefusesAnIdThatIsUsedTwice) {
  const std::string path = Write("items.jsonl", "{\"q\": \"x\", \"id\": 7}\n{\"q\": \"y\", \"id\": 7}\n");
  EXPECT_EQ(ErrorOf([&] {
              Make<Cloze>("version: \"1\"\ndata: items.jsonl\nprompt: \"{{q}}\"\ntarget: \"{{q}}\"\nid_field: id\n").Items();
            }),
            path + ":2:1: the item's id '7' was used before (option 'id_field'). Ids are unique within a task.");
}

TEST_F(TaskData, MayBeSeveralFilesWhoseNamesAreParts) {
  std::filesystem::create_directories(folder_ / "test");
  std::filesystem::create_directories(folder_ / "dev");
  Write("test/law_test.csv", "q,a\nL1,x\nL2,y\n");
  Write("test/art_history_test.csv", "q,a\nA1,z\n");
  Write("test/notes.txt", "not data");
  Write("dev/law_dev.csv", "q,a\nL0,w\n");
  Write("dev/art_history_dev.csv", "q,a\nA0,v\n");
  const std::string rest =
      "prompt: \"About {{_file|replace:'_',' '}}: {{q}}\"\nanswers_field: a\ngroup_field: _file\n"
      "few_shot: {data: dev/*_dev.csv, count: 1, match: _file}\nfewshot_delimiter: \"; \"\n";
  // A pattern's files come by name, and its part is what '*' stands for.
  const auto task = Make<ShortAnswer>("version: \"1\"\ndata: test/*_test.csv\n" + rest);
  const auto items = task.Items();
  ASSERT_EQ(items.size(), 3u);
  const auto prompt = [&](size_t i) { return std::get<GenerateRequest>(items[i].requests[0]).context; };
  EXPECT_EQ(prompt(0), "About art history: A0 v; About art history: A1");
  EXPECT_EQ(prompt(2), "About law: L0 w; About law: L2");
  EXPECT_EQ(items[2].id, "2");
  EXPECT_EQ(task.Score(items[2], std::vector<Response>{GenerateResponse{"y", 1, false}})[0].group, "law");
  // A list keeps its order; without a pattern the part is the file's name.
  const auto listed =
      Make<Cloze>("version: \"1\"\ndata: [test/law_test.csv, test/art_*.csv]\nprompt: \"{{_file}}\"\ntarget: \"{{q}}\"\n")
          .Items();
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_EQ(Pair(listed[0], 0).context, "law_test");
  EXPECT_EQ(Pair(listed[2], 0).context, "history_test");
}

TEST_F(TaskData, OfSeveralFilesIsCheckedFileByFile) {
  const std::string a = Write("a.jsonl", "{\"q\": \"x\"}\n"), b = Write("b.jsonl", "{\"q\": \"y\"}\n{\"p\": 1}\n");
  const std::string rest = "prompt: \"{{q}}\"\ntarget: \"{{q}}\"\n", start = "version: \"1\"\ndata: [a.jsonl, b.jsonl]\n";
  const auto error = [&](const std::string& yaml) { return ErrorOf([&] { Make<Cloze>(yaml).Items(); }); };
  const std::string where = (folder_ / "task.yaml").string();
  EXPECT_THAT(error(start + rest), ::testing::StartsWith(b + ":2:1: the item has no field 'q'."));
  EXPECT_EQ(error(start + rest + "sha256: [" + DigestOfFile(a) + ", \"00\"]\n"),
            where + ":2:17: '" + b + "' has SHA-256 " + DigestOfFile(b) +
                ", and the task is defined on 00. Bring the file that the task names, or change 'sha256'.");
  EXPECT_EQ(error(start + rest + "sha256: \"00\"\n"),
            where + ":5:9: 'sha256' has 1 digests, and 'data' has 2 files. Give one digest a file, in their order.");
  EXPECT_EQ(error("version: \"1\"\ndata: [a.jsonl, ./a.jsonl]\n" + rest),
            where + ":2:17: data file './a.jsonl' is named twice, first as 'a.jsonl'.");
  EXPECT_EQ(error("version: \"1\"\ndata: c*.jsonl\n" + rest),
            where + ":2:7: no data file matches 'c*.jsonl'.\n  looked for: " + (folder_ / "c*.jsonl").string() +
                "\n  Name the folder that holds it with --data, with data_paths in the study, or in BITLAW_DATA_PATH.");
  EXPECT_EQ(error("version: \"1\"\ndata: \"*/a.jsonl\"\n" + rest),
            where + ":2:7: the pattern '*/a.jsonl' must have one '*', in the file's name. List the files or patterns one "
                    "by one.");
  EXPECT_EQ(error("version: \"1\"\ndata: []\n" + rest),
            where + ":2:7: task 'test': data = [] is too short. It must be a string or a list of at least 1, each item a "
                    "string.");
}

TEST_F(TaskData, DigestCountsFilesInTheirOrderAndTheirPartsWhereTheyMatter) {
  Write("a.jsonl", "{\"q\": \"x\"}\n");
  Write("b.jsonl", "{\"q\": \"y\"}\n");
  Write("c.jsonl", "{\"q\": \"y\"}\n");
  const auto digest = [&](const std::string& data, const std::string& prompt) {
    return Make<Cloze>("version: \"1\"\ndata: " + data + "\ntarget: \"{{q}}\"\nprompt: \"" + prompt + "\"\n").digest();
  };
  EXPECT_EQ(digest("[a.jsonl]", "{{q}}"), digest("a.jsonl", "{{q}}"));
  EXPECT_EQ(digest("[a.jsonl, b.jsonl]", "{{q}}"), digest("[a.jsonl, ./b.jsonl]", "{{q}}"));
  EXPECT_NE(digest("[a.jsonl, b.jsonl]", "{{q}}"), digest("[b.jsonl, a.jsonl]", "{{q}}"));
  EXPECT_NE(digest("[a.jsonl, b.jsonl]", "{{q}}"), digest("[a.jsonl, c.jsonl]", "{{q}}")) << "the part is another";
  EXPECT_EQ(digest("b.jsonl", "{{q}}"), digest("c.jsonl", "{{q}}"));
  EXPECT_NE(digest("b.jsonl", "{{_file}}"), digest("c.jsonl", "{{_file}}"));
}

}  // namespace
}  // namespace bitlaw
