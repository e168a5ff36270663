// Pickles: every opcode, and refusals by their messages.
#include "perceive/io/formats/pickle.h"

#include <gmock/gmock.h>

#include <random>

#include "tests/io/archive.h"

namespace perceive::io::pickle {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

const std::string kStart = "\x80\x02";

std::string refusal(const std::string& program, const Limits& limits = {}) {
  return error_of([&] { Graph(program, "f", limits); });
}
// Of the opcodes between PROTO and STOP.
std::string refusal_of(const std::string& program) {
  return refusal(kStart + program + ".");
}

// The value in the notation of Python, near enough.
std::string text_of(const Graph& graph, Ref ref) {
  const Object& object = graph[ref];
  std::string items;
  for (const Ref item : object.items) items += (items.empty() ? "" : " ") + text_of(graph, item);
  switch (object.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return object.number ? "True" : "False";
    case Kind::integer:
      return std::to_string(object.number);
    case Kind::real:
      return std::to_string(object.real);
    case Kind::string:
      return "'" + std::string(object.text) + "'";
    case Kind::bytes:
      return "b'" + std::string(object.text) + "'";
    case Kind::global:
      return graph.described(ref);
    default:
      return std::string(name_of(object.kind)) + "(" + items + ")";
  }
}
std::string read(const std::string& program) {
  const std::string text = kStart + program + ".";
  const Graph graph(text, "f");
  return text_of(graph, graph.root_ref());
}

TEST(Pickle, ReadsEveryKindOfValue) {
  EXPECT_EQ(read("N"), "None");
  EXPECT_EQ(read("(\x88\x89t"), "a tuple(True False)");
  EXPECT_EQ(read("(K\xffM\xff\xffJ\xfe\xff\xff\xfft"), "a tuple(255 65535 -2)");
  EXPECT_EQ(read("(\x8a\0\x8a\1\x80\x8a\2\xff\0t"s), "a tuple(0 -128 255)");
  EXPECT_EQ(read("\x8a\x08\0\0\0\0\0\0\0\x80"s), "-9223372036854775808");
  EXPECT_EQ(read("\x8b\1\0\0\0\x05"s), "5");
  EXPECT_EQ(read("\x8a\x09\0\0\0\0\0\0\0\0\1"s), "an integer()");
  EXPECT_EQ(read("G\xbf\xe0\0\0\0\0\0\0"s), "-0.500000");
  EXPECT_EQ(read("(X\2\0\0\0\xc3\xbc\x8c\1a\x8d\1\0\0\0\0\0\0\0bT\1\0\0\0cU\1dt"s), "a tuple('ü' 'a' 'b' 'c' 'd')");
  EXPECT_EQ(read("(B\1\0\0\0\xff"
                 "C\1b\x8e\1\0\0\0\0\0\0\0c\x96\1\0\0\0\0\0\0\0dt"s),
            "a tuple(b'\xff' b'b' b'c' b'd')");
  EXPECT_EQ(read("](K\1K\2eK\3a"), "a list(1 2 3)");
}

TEST(Pickle, ReadsMappingsSetsAndTuples) {
  EXPECT_EQ(read("}(K\1NK\2NuK\3Ns"), "a dict(1 None 2 None 3 None)");
  EXPECT_EQ(read("\x8f(K\1K\2\x90"), "a set(1 2)");
  EXPECT_EQ(read("(K\1\x91"), "a set(1)");
  EXPECT_EQ(read("()NK\1\x85NN\x86NNN\x87t"),
            "a tuple(a tuple() None a tuple(1) a tuple(None None) a tuple(None None None))");
}

TEST(Pickle, RemembersAndForgets) {
  EXPECT_EQ(read("]q\1h\1\x86"), "a tuple(a list() a list())");
  EXPECT_EQ(read("K\5r\2\0\0\0j\2\0\0\0\x86"s), "a tuple(5 5)");
  EXPECT_EQ(read("(K\5\x94K\6\x94h\1h\0t"s), "a tuple(5 6 6 5)");
  EXPECT_EQ(read("K\5K\6\x30"), "5");
  EXPECT_EQ(read("K\5(\x30"), "5");
  EXPECT_EQ(read("K\5(NN\x31"), "5");
  EXPECT_EQ(read("K\5\x32\x86"), "a tuple(5 5)");
  EXPECT_EQ(read("\x95\1\0\0\0\0\0\0\0N"s), "None");
}

TEST(Pickle, KeepsNamesAndCallsAsTheyAre) {
  EXPECT_EQ(read("cos\nsystem\n"), "'os.system'");
  EXPECT_EQ(read("cos\nsystem\nU\2id\x85R"), "the result of a call('os.system' a tuple('id'))");
  EXPECT_EQ(read("\x8c\2os\x8c\6system\x93)\x81}b"), "the result of a call('os.system' a tuple())");
  EXPECT_EQ(read("cos\nsystem\n)}\x92(NNuNa(NeNNs"), "the result of a call('os.system' a tuple() None None None None)");
  EXPECT_EQ(read("ccollections\nOrderedDict\n)R(NNu}b"), "a dict(None None)");
  EXPECT_EQ(read("ccollections\ndefaultdict\ncos\nsystem\n\x85RNNs"), "a dict(None None)");
  EXPECT_EQ(read("cos\nsystem\n)R)R"), "the result of a call('os.system' a tuple())");
  EXPECT_EQ(read("K\1Q"), "a storage(1)");
}

TEST(Pickle, NamesPlaceAndReasonOfARefusal) {
  EXPECT_EQ(refusal(""),
            "f: the pickle, at byte 0: expected it to begin with the opcode PROTO: it is no pickle, or one "
            "of the protocols 0 and 1");
  EXPECT_THAT(refusal("(lp0\n."), HasSubstr("expected it to begin with the opcode PROTO"));
  EXPECT_THAT(refusal("\x80\1N."), HasSubstr("expected the protocol 2 to 5; found 1"));
  EXPECT_THAT(refusal("\x80\6N."), HasSubstr("expected the protocol 2 to 5; found 6"));
  EXPECT_THAT(refusal(kStart + "N"), HasSubstr("at byte 3: it ends without the opcode STOP"));
  EXPECT_THAT(refusal(kStart + "N.x"), HasSubstr("1 bytes follow the opcode STOP"));
  EXPECT_THAT(refusal_of(""), HasSubstr("at byte 2: the stack is empty"));
  EXPECT_THAT(refusal_of("NN"), HasSubstr("it stops with more than one object"));
  EXPECT_THAT(refusal_of("N(N"), HasSubstr("it stops with more than one object"));
  for (const char op : "I1\nL\nF\nS\nV\nPgpldoi\x82\x83\x84\x97\x98\xff"s) {
    if (op == '\n' || op == '1') continue;
    EXPECT_THAT(refusal_of(std::string(1, op)), HasSubstr("is none that torch.save writes")) << op;
  }
}

TEST(Pickle, RefusesUnderflowsOfStackAndMemo) {
  for (const std::string op : {"a", "e",    "s",    "u",    "t", "\x85", "\x86", "\x87", "R",    "b",
                               "Q", "\x81", "\x92", "\x93", "0", "1",    "2",    "q\1",  "\x90", "\x91"}) {
    EXPECT_THAT(refusal_of(op), testing::AnyOf(HasSubstr("the stack"), HasSubstr("objects on the stack"))) << op;
    if (op == "0" || op == "1") continue;  // these take the mark
    EXPECT_THAT(refusal_of("N(" + op), testing::AnyOf(HasSubstr("stack"), HasSubstr("expected"))) << op;
  }
  EXPECT_THAT(refusal_of("K\1(K\2\x86t"), HasSubstr("expected 2 objects on the stack"));
  EXPECT_THAT(refusal_of("h\1"), HasSubstr("nothing is stored under 1"));
  EXPECT_THAT(refusal_of("Nq\3h\2"), HasSubstr("nothing is stored under 2"));
  EXPECT_THAT(refusal_of("j\xff\xff\xff\xff"), HasSubstr("nothing is stored under 4294967295"));
  EXPECT_THAT(refusal_of("Nr\xff\xff\xff\xff"), HasSubstr("it stores under 4294967295, which exceeds its size"));
}

TEST(Pickle, RefusesLengthsPastItsEnd) {
  for (const std::string op : {"X\xff\xff\xff\x7f", "T\xff\xff\xff\x7f", "B\xff\xff\xff\xff", "\x8b\xff\xff\xff\x7f"}) {
    EXPECT_THAT(refusal_of(op), HasSubstr("bytes; 1 are left")) << op;
  }
  for (const std::string op : {"\x8d", "\x8e", "\x96"}) {
    EXPECT_THAT(refusal_of(op + "\xff\xff\xff\xff\xff\xff\xff\xff"), HasSubstr("needs 18446744073709551615 bytes"))
        << op;
  }
  EXPECT_THAT(refusal_of("\x95\xff\xff\xff\xff\xff\xff\xff\xff"), HasSubstr("a frame of 18446744073709551615 bytes"));
  EXPECT_THAT(refusal_of("J\1\2"), HasSubstr("opcode 0x4a needs 4 bytes; 3 are left"));
  EXPECT_THAT(refusal_of("cos"), HasSubstr("a name has no end"));
}

TEST(Pickle, RefusesToSetItemsInWhatHasNone) {
  EXPECT_THAT(refusal_of("]K\1K\2s"), HasSubstr("expected a dict to set items in; found a list"));
  EXPECT_THAT(refusal_of("K\1Q(NNu"), HasSubstr("expected a dict to set items in; found a storage"));
  EXPECT_THAT(refusal_of("}(Nu"), HasSubstr("expected pairs to set in a dict; found 1"));
  EXPECT_THAT(refusal_of("}Na"), HasSubstr("to add to; found a dict"));
  EXPECT_THAT(refusal_of(")(Ne"), HasSubstr("to add to; found a tuple"));
  EXPECT_THAT(refusal_of("](N\x90"), HasSubstr("to add to; found a list"));
  EXPECT_THAT(refusal_of("]}b"), HasSubstr("expected an object to give a dict to; found a list"));
  EXPECT_THAT(refusal_of("cos\nsystem\n}b"), HasSubstr("found 'os.system'"));
  EXPECT_THAT(refusal_of("cos\nsystem\nNR"), HasSubstr("expected a tuple of arguments"));
  EXPECT_THAT(refusal_of("K\1)R"), HasSubstr("expected something to call; found an integer"));
  EXPECT_THAT(refusal_of("K\1K\2\x93"), HasSubstr("expected two strings that name a global"));
  EXPECT_THAT(refusal_of("X\1\0\0\0\xff"s), HasSubstr("is not UTF-8"));
}

TEST(Pickle, IsBounded) {
  EXPECT_THAT(refusal(kStart + "N.", {.bytes = 3}), HasSubstr("it has 4 bytes; at most 3 are read"));
  EXPECT_THAT(refusal(kStart + std::string(20, ']') + ".", {.objects = 16}),
              HasSubstr("it makes more than 16 objects"));
  // A list that holds itself, and one nested deeply: nothing recurs in reading or destroying them.
  EXPECT_EQ(refusal_of("]q\1h\1a"), "(no error)");
  std::string deep(1'000'000, ']');
  deep.append(999'999, 'a');
  EXPECT_EQ(refusal_of(deep), "(no error)");
}

TEST(Pickle, SurvivesRandomDamage) {
  const std::string archive = golden_pt("lightning.ckpt");
  const zip::Archive zip(bytes_of(archive, "f"));
  const std::string start = zip.read(*zip.find("lightning/data.pkl"));
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = start;
    for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    refusal(bytes);
  }
}

}  // namespace
}  // namespace perceive::io::pickle
