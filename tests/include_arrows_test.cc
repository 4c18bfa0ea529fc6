// The direction of includes between rooms is a table in ARCHITECTURE.md; this test holds the sources to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "repo_files.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Table = std::map<std::string, std::set<std::string>>;

std::set<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::set<std::string> words;
  for (std::string word; stream >> word;) {
    if (word != "-") words.insert(word);
  }
  return words;
}

// RETURNS: the rows between the markers; empty when there are none. The two heading rows are left out.
Table read_table(const std::string& page) {
  const size_t begin = page.find("<!-- arrows -->");
  const size_t end = page.find("<!-- /arrows -->");
  Table table;
  if (begin == std::string::npos || end == std::string::npos || end < begin) return table;
  for (const std::string& line : lines_of(page.substr(begin, end - begin))) {
    const size_t first = line.find('|'), second = line.find('|', first + 1), third = line.find('|', second + 1);
    if (first != 0 || third == std::string::npos || line[1] == '-') continue;
    const std::set<std::string> room = words_of(line.substr(1, second - 1));
    if (room.size() == 1 && *room.begin() != "Room") {
      table[*room.begin()] = words_of(line.substr(second + 1, third - second - 1));
    }
  }
  return table;
}

// "#include \"http/server.h\"" -> "http"; "" for other lines and for includes without a folder.
std::string included_room(const std::string& line) {
  const size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string::npos || line[hash] != '#') return "";
  const size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string::npos || line.compare(word, 7, "include") != 0) return "";
  const size_t quote = line.find('"', word);
  if (quote == std::string::npos) return "";
  const std::string target = line.substr(quote + 1, line.find('"', quote + 1) - quote - 1);
  return target.find('/') == std::string::npos ? "" : target.substr(0, target.find('/'));
}

bool is_source(const std::string& path) {
  for (const char* end : {".h", ".cc", ".cu", ".cuh", ".S"}) {
    if (path.ends_with(end)) return true;
  }
  return false;
}

std::string room_of(const std::string& path) {  // "src/http/a.h" -> "http"
  return path.substr(4, path.find('/', 4) - 4);
}

std::vector<std::string> wrong_arrows(const Table& table, const std::vector<SourceFile>& files) {
  std::vector<std::string> wrong;
  for (const SourceFile& file : files) {
    if (!is_source(file.path)) continue;
    const std::string room = room_of(file.path);
    const auto row = table.find(room);
    if (row == table.end()) {
      wrong.push_back(file.path + ": room " + room + " is not in the table");
      continue;
    }
    for (const std::string& line : lines_of(file.text)) {
      const std::string target = included_room(line);
      if (target.empty() || target == room || row->second.count(target) != 0) continue;
      wrong.push_back(file.path + ": " + room + " may not include " + target);
    }
  }
  return wrong;
}

// RETURNS: rooms that can reach themselves, and rooms that a row names but no row describes.
std::vector<std::string> cycles_and_strangers(const Table& table) {
  std::vector<std::string> wrong;
  for (const auto& [room, direct] : table) {
    std::set<std::string> reached;
    std::vector<std::string> open(direct.begin(), direct.end());
    while (!open.empty()) {
      const std::string next = open.back();
      open.pop_back();
      if (!reached.insert(next).second) continue;
      const auto row = table.find(next);
      if (row == table.end()) {
        if (direct.count(next) != 0) wrong.push_back(room + " names " + next + ", which has no row");
        continue;
      }
      open.insert(open.end(), row->second.begin(), row->second.end());
    }
    if (reached.count(room) != 0) wrong.push_back(room + " is part of a cycle");
  }
  return wrong;
}

// Before ARCHITECTURE.md was written, its table stood in the fixture.
std::string page_with_table() {
  const std::string page =
      std::filesystem::exists("ARCHITECTURE.md") ? "ARCHITECTURE.md" : "tests/fixtures/arrows.md";
  return read_text(page);
}

TEST(IncludeArrows, SourcesFollowTheTable) {
  const Table table = read_table(page_with_table());
  ASSERT_GE(table.size(), 10u) << "no table between <!-- arrows --> and <!-- /arrows -->";
  const std::vector<SourceFile> files = files_under("src");
  ASSERT_GT(files.size(), 20u) << "run from the root of the repository";
  EXPECT_THAT(wrong_arrows(table, files), IsEmpty());
  EXPECT_THAT(cycles_and_strangers(table), IsEmpty());
}

TEST(IncludeArrows, FindsWhatIsWrong) {
  const Table table = read_table(
      "| before | base |\n<!-- arrows -->\n| Room | May include |\n|---|---|\n| base | - |\n| a | base |\n"
      "| b | a base |\n<!-- /arrows -->\n| after | a |\n");
  EXPECT_EQ(table, (Table{{"base", {}}, {"a", {"base"}}, {"b", {"a", "base"}}}));
  EXPECT_THAT(wrong_arrows(table, {{"src/b/x.h", "#include \"a/a.h\"\n#include \"b/c.h\"\n#include <zlib/x.h>\n"},
                                   {"src/a/x.cc", "  #  include \"b/b.h\"\n#include \"plain.h\"  // a/b\n"},
                                   {"src/base/x.cc", "#include \"a/a.h\"\n// #include \"b/b.h\"\n"},
                                   {"src/base/README.md", "#include \"a/a.h\"\n"},
                                   {"src/c/x.h", ""}}),
              ElementsAre("src/a/x.cc: a may not include b", "src/base/x.cc: base may not include a",
                          "src/c/x.h: room c is not in the table"));
  EXPECT_THAT(cycles_and_strangers({{"a", {"b"}}, {"b", {"c"}}, {"c", {"a"}}, {"d", {"a", "e"}}}),
              ElementsAre("a is part of a cycle", "b is part of a cycle", "c is part of a cycle",
                          "d names e, which has no row"));
  EXPECT_THAT(read_table("no markers | a | b |"), IsEmpty());
}

}  // namespace
}  // namespace weir
