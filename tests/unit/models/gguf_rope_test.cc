#include <ATen/ATen.h>

#include "support/models.h"
#include "unit/models/gguf_bytes.h"

namespace bitlaw {
namespace {

using namespace gguf_bytes;  // NOLINT(google-build-using-namespace)

// tiny.gguf: llama, two heads of keys, 8 dimensions a head (4 divisors), no scaling.
class GgufRope : public FileTest {
 protected:
  static constexpr size_t kDataBegin = 6656;
  const std::string good_ = Read(BITLAW_SOURCE_DIR "/tests/parity/logits/tiny.gguf");
  std::unique_ptr<ModelBackend> gguf_ = MakeModelBackend("gguf");

  static std::string Real(const std::string& key, float value) { return Key("llama.rope." + key, kFloat32, Le(value)); }
  static std::string Word(const std::string& key, const std::string& word) {
    return Key("llama.rope." + key, kString, Text(word));
  }
  at::Tensor HiddenOf(const std::string& bytes) const {
    return gguf_->Open(Write("m.gguf", bytes), {})->Forward(at::arange(24).view({1, 24}), {});
  }
  at::Tensor Hidden(const std::vector<std::string>& keys) const { return HiddenOf(With(good_, keys)); }
  std::string RefusalOf(const std::string& bytes) const {
    const auto path = Write("m.gguf", bytes);
    return ErrorText([&] { gguf_->Open(path, {}); });
  }
  std::string Refusal(const std::vector<std::string>& keys) const { return RefusalOf(With(good_, keys)); }
  // The file with "rope_freqs.weight" behind its other data.
  std::string WithDivisors(uint32_t type, const std::string& values, const std::vector<std::string>& keys = {},
                           const std::vector<uint64_t>& shape = {4}) const {
    std::string bytes = good_;
    bytes.resize(kDataBegin + (bytes.size() - kDataBegin + 31) / 32 * 32, '\0');
    return With(bytes + values, keys, "token_embd.weight",
                Tensor("rope_freqs.weight", shape, type, bytes.size() - kDataBegin));
  }
};

TEST_F(GgufRope, AFactorWithoutATypeAndTheOldKeyAreLinear) {
  const at::Tensor plain = HiddenOf(good_);
  const at::Tensor linear = Hidden({Word("scaling.type", "linear"), Real("scaling.factor", 4)});
  EXPECT_FALSE(linear.allclose(plain, 1e-3, 1e-3));
  EXPECT_TRUE(Hidden({Real("scaling.factor", 4)}).equal(linear));
  EXPECT_TRUE(Hidden({Real("scale_linear", 4)}).equal(linear));
  EXPECT_TRUE(Hidden({Word("scaling.type", "linear"), Real("scale_linear", 4)}).equal(linear));
  // The new key wins over the old one, and the number of positions before the scaling changes nothing.
  EXPECT_TRUE(Hidden({Real("scaling.factor", 4), Real("scale_linear", 2)}).equal(linear));
  EXPECT_TRUE(Hidden({Real("scaling.factor", 4), Key("llama.rope.scaling.original_context_length", kUint32,
                                                     Le<uint32_t>(64))})
                  .equal(linear));
  EXPECT_TRUE(Hidden({Key("llama.rope.scaling.factor", kUint32, Le<uint32_t>(4))}).equal(linear)) << "an integer";
}

TEST_F(GgufRope, AFactorOfZeroAndTheTypeNoneScaleNothing) {
  const at::Tensor plain = HiddenOf(good_);
  EXPECT_TRUE(Hidden({Real("scaling.factor", 0)}).equal(plain));
  EXPECT_TRUE(Hidden({Word("scaling.type", "none"), Real("scaling.factor", 4)}).equal(plain));
  EXPECT_TRUE(Hidden({Real("scaling.attn_factor", 1)}).equal(plain));
}

TEST_F(GgufRope, DivisorsMayBeStoredInAnyTypeThatCanBeRead) {
  // 1, 2, 4, 8: exact in every type. Half: 0x3C00 and one exponent step of 0x400 each; bfloat16: upper halves.
  std::string floats, halves, bfloats, doubles;
  for (int j = 0; j < 4; ++j) {
    floats += Le(static_cast<float>(1 << j));
    doubles += Le(static_cast<double>(1 << j));
    halves += Le(static_cast<uint16_t>(0x3C00 + 0x400 * j));
    bfloats += Le(static_cast<uint16_t>(0x3F80 + 0x80 * j));
  }
  const at::Tensor expected = HiddenOf(WithDivisors(0, floats));
  EXPECT_FALSE(expected.allclose(HiddenOf(good_), 1e-3, 1e-3));
  EXPECT_TRUE(HiddenOf(WithDivisors(1, halves)).equal(expected));
  EXPECT_TRUE(HiddenOf(WithDivisors(30, bfloats)).equal(expected));
  EXPECT_TRUE(HiddenOf(WithDivisors(28, doubles)).equal(expected));
  EXPECT_TRUE(HiddenOf(WithDivisors(0, floats, {}, {4, 1})).equal(expected)) << "a matrix of one row";
  // On top of a factor: 2 times 1, 2, 4, 8.
  std::string doubled;
  for (int j = 0; j < 4; ++j) doubled += Le(static_cast<float>(2 << j));
  EXPECT_TRUE(HiddenOf(WithDivisors(0, floats, {Real("scaling.factor", 2)})).equal(HiddenOf(WithDivisors(0, doubled))));
}

TEST_F(GgufRope, RefusesDivisorsThatItCannotUse) {
  EXPECT_EQ(RefusalOf(WithDivisors(0, std::string(12, '\1'), {}, {3})),
            "DIR/m.gguf: tensor 'rope_freqs.weight' has 3 elements. head_dim = 8 takes 4.");
  EXPECT_EQ(RefusalOf(WithDivisors(24, std::string(4, '\1'))).substr(0, 66),
            "DIR/m.gguf: tensor 'rope_freqs.weight' is stored as I8. Supported:");
  EXPECT_EQ(RefusalOf(WithDivisors(0, std::string(16, '\0'))),
            "DIR/m.gguf: a rotary divisor is 0.000000. It must be finite and positive.");
}

TEST_F(GgufRope, RefusesWhatItDoesNotComputeByName) {
  EXPECT_EQ(Refusal({Word("scaling.type", "yarn"), Real("scaling.factor", 4)}),
            "DIR/m.gguf: rope scaling 'yarn' is not supported. Supported: none, linear, and rope_freqs.weight.");
  EXPECT_EQ(Refusal({Word("scaling.type", "longrope")}),
            "DIR/m.gguf: rope scaling 'longrope' is not supported. Supported: none, linear, and rope_freqs.weight.");
  EXPECT_EQ(Refusal({Real("scaling.attn_factor", 1.5)}),
            "DIR/m.gguf: 'llama.rope.scaling.attn_factor' is 1.5. Only 1 is supported.");
  EXPECT_EQ(Refusal({Real("scaling.yarn_ext_factor", 1)}),
            "DIR/m.gguf: metadata key 'llama.rope.scaling.yarn_ext_factor' is a rotary setting that bitlaw does not "
            "compute.");
  const auto refusal = [&](const std::string& key, float value) {
    return Refusal({Key("llama." + key, kFloat32, Le(value))});
  };
  EXPECT_EQ(refusal("logit_scale", 0.5),
            "DIR/m.gguf: 'llama.logit_scale' is 0.5, which bitlaw does not compute.");
  EXPECT_EQ(refusal("attention.scale", 0.25),
            "DIR/m.gguf: 'llama.attention.scale' is 0.25, which bitlaw does not compute.");
  EXPECT_EQ(refusal("residual_scale", 0), "no error");
  EXPECT_EQ(Refusal({Key("llama.attention.sliding_window", kUint32, Le<uint32_t>(64))}),
            "DIR/m.gguf: 'llama.attention.sliding_window' is 64. Every token must see all 512 positions.");
  EXPECT_EQ(Refusal({Key("llama.attention.sliding_window", kUint32, Le<uint32_t>(512))}), "no error");
  EXPECT_EQ(Refusal({Real("scaling.factor", -4)}),
            "DIR/m.gguf: a rotary divisor is -4.000000. It must be finite and positive.");
  EXPECT_EQ(Refusal({Word("scaling.type", "linear")}),
            "DIR/m.gguf: 'llama.rope.scaling.type' is linear, and 'llama.rope.scaling.factor' is missing. Convert the "
            "model again.");
  EXPECT_EQ(Refusal({Word("scaling.factor", "4")}),
            "DIR/m.gguf: 'llama.rope.scaling.factor' is of type string. It must be a number.");
}

}  // namespace
}  // namespace bitlaw
